// What can be read of a node from any thread while it runs: the readers of its stores, and a copy of its own state
// that the node refreshes at the end of a step.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "core/base/result.h"
#include "core/node/rows.h"

namespace sereus::node {

class View {
 public:
  // Any thread. Errors: not_found, suspended (nothing published), closed, and those of the store.
  Result<Rows> query(const Query& query);

  // ---- The node's side -------------------------------------------------------------------------------------------
  struct State {
    Code unavailable = Code::ok;  // suspended or closed: every query fails with it
    InfoRow info;
    std::vector<StoreRow> stores;  // stats are read when asked for
    std::vector<PeerRow> peers;
    std::vector<InviteRow> invites;
    std::vector<HostRow> hosts;
  };
  void publish(State state);
  void publish_info(InfoRow info);  // and leaves the rest as it is
  // Null removes it, and waits for queries under way: afterwards nobody reads the store through this view.
  void set_reader(uint64_t store, std::shared_ptr<store::StoreReader> reader);
  void count_operations(uint32_t operations);
  // Connections are shown as they change: there may be thousands.
  void show_connection(ConnectionRow row);
  void count_streams(uint64_t connection, uint32_t streams);
  void hide_connection(uint64_t connection);

 private:
  std::shared_ptr<store::StoreReader> reader_of(uint64_t store);
  std::vector<HostRow> host_rows() const;
  std::vector<ConnectionRow> connection_rows() const;
  Result<Rows> query_store(const Query& query);
  Result<Rows> find_store(std::string_view text);
  void fill_stats(std::vector<StoreRow>& rows);

  std::shared_mutex gate_;  // shared by queries, alone for removing a reader
  std::mutex mutex_;        // the members below
  State state_;
  std::map<uint64_t, std::shared_ptr<store::StoreReader>> readers_;
  std::map<uint64_t, ConnectionRow> connections_;
};

}  // namespace sereus::node
