// The hosts of a node as its application uses them: the node's own under number 0, and more, each with a PeerID and
// sockets of its own, which carry nothing but the application's protocols. Requests find their host here.
//
// Hosts outlive going offline and a suspension: they listen again with the same key afterwards. Connections and streams do not.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/crypto/secret.h"
#include "core/node/app_host.h"

namespace sereus::node {

class AppHosts {
 public:
  explicit AppHosts(AppHost::Node node);

  AppHost& own() { return *own_; }
  const AppHost& own() const { return *own_; }

  void submit(OpRef ref, Request& request);
  void forget_origin(uint32_t origin);
  void set_clock_suspect(bool suspect);

  // Of the other hosts; the own one is the node's to step.
  void go_online();
  void go_offline(Code why);
  void network_changed();
  uint64_t step();

  std::vector<HostRow> host_rows() const;

 private:
  struct Slot {
    crypto::SecretBytes<32> seed;
    std::optional<crypto::KeyPair> device;
    uint32_t origin = 0;
    std::unique_ptr<net::Swarm> swarm;
    std::unique_ptr<AppHost> app;
  };

  void create(OpRef ref, Request& request);
  void close(OpRef ref, uint64_t number);
  Status open(Slot& slot, const std::vector<std::string>& listen);
  void close_slot(Slot& slot);
  AppHost* host_of(const Request& request);
  bool drain(Slot& slot);  // false: there was nothing

  const AppHost::Node node_;
  NodeContext& context_;
  std::unique_ptr<AppHost> own_;
  std::map<uint64_t, Slot> others_;
  bool online_ = false;
};

}  // namespace sereus::node
