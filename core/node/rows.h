// Results of synchronous reads; numbers and meaning as in sereus.h.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/base/bytes.h"
#include "core/store/kv_store.h"

namespace sereus::node {

struct InfoRow {
  std::string peer;
  std::string party;
  std::string name;
  std::string data_folder;  // filled in by core/capi
  std::string addresses;
  bool protected_keystore = false;
  bool online = false;
  bool clock_suspect = false;
  uint32_t connections = 0;
  uint32_t operations = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  uint64_t entries_received = 0;
  uint64_t entries_sent = 0;
};

enum class StoreState : uint32_t { active = 1, archived = 2, damaged = 3 };

struct StoreRow {
  uint64_t store = 0;
  uint64_t root = 0;
  std::string uuid;
  std::string name;
  std::string detail;
  StoreState state = StoreState::active;
  bool is_root = false;
  store::StoreStats stats;
};

struct PeerRow {
  std::string peer;
  std::string party;
  std::string name;
  std::string addresses;
  std::string detail;
  uint32_t role = 0;
  bool connected = false;
  bool removed = false;
  bool is_self = false;
  uint64_t last_sync_ms = 0;
  uint64_t failures = 0;
};

struct InviteRow {
  std::string id;
  uint32_t role = 0;
  uint32_t uses_left = 0;
  int64_t expires_wall_s = 0;
  bool revoked = false;
  std::string peer;
};

struct HostRow {
  uint64_t host = 0;
  std::string peer;
  std::string addresses;     // with /p2p, one a line
  std::string protocols;     // of the application, one a line
  uint32_t connections = 0;  // counted when asked for
};

struct ConnectionRow {
  uint64_t connection = 0;
  uint64_t host = 0;
  std::string peer;
  std::string address;
  bool incoming = false;
  uint32_t streams = 0;  // of the application
  bool identified = false;
  bool signed_record = false;
  std::string agent;
  std::string protocol_version;
  std::string observed;
  std::string protocols;
  std::string addresses;
};

using Rows =
    std::variant<std::vector<store::ListRow>, std::vector<store::Head>, std::vector<InfoRow>, std::vector<StoreRow>,
                 std::vector<PeerRow>, std::vector<InviteRow>, std::vector<HostRow>, std::vector<ConnectionRow>>;

// Numbers are the control protocol's: append only.
enum class QueryKind : uint16_t {
  get = 1,           // store, x key -> one Head
  heads = 2,         // store, x key -> Heads
  list = 3,          // store, x prefix, y after, a limit, b flags (1: values) -> ListRows
  info = 4,          // -> one InfoRow
  stores = 5,        // -> StoreRows
  peers = 6,         // -> PeerRows
  invites = 7,       // -> InviteRows
  state_digest = 8,  // store -> one Head whose value is the digest
  store_open = 9,    // x uuid or name -> one StoreRow
  hosts = 10,        // -> HostRows
  connections = 11,  // -> ConnectionRows
};

struct Query {
  QueryKind kind = QueryKind::info;
  uint64_t store = 0;
  uint64_t a = 0;
  uint64_t b = 0;
  Bytes x;
  Bytes y;
};

}  // namespace sereus::node
