// A node: composes identity, stores, sync and hosts behind requests and events. Sans-I/O: submit() and step() on one
// thread, blocking work in jobs, everything outside through ports.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/base/time.h"
#include "core/crypto/secret.h"
#include "core/net/swarm.h"
#include "core/node/event.h"
#include "core/node/host_settings.h"
#include "core/node/request.h"
#include "core/node/view.h"
#include "core/ports/files.h"
#include "core/ports/jobs.h"
#include "core/ports/random.h"

namespace sereus::node {

// Makes what swarms are made of: transports over real sockets in the POSIX driver, over simulated ones in the simulator.
class HostFactory {
 public:
  virtual ~HostFactory() = default;
  // `device_seed` is the Ed25519 seed of the device key; the host copies what it needs. The host's sockets close with it.
  virtual Result<net::SwarmParts> make_host(const SecretBytes<32>& device_seed, const HostSettings& settings) = 0;
};

// All outlive the node.
struct NodePorts {
  Files* files = nullptr;
  Random* random = nullptr;
  Jobs* jobs = nullptr;
  HostFactory* hosts = nullptr;
  EventSink* events = nullptr;
  Logger* logger = nullptr;  // may be null
};

struct NodeConfig {
  std::vector<std::string> listen;  // multiaddrs
  HostSettings host;                // of its own host
  bool online = true;
  bool fsync_each = false;
  bool kdf_interactive = false;
  bool verify_every_signature = false;
  Bytes passphrase;          // wiped once the keystore is open
  int64_t build_wall_s = 0;  // a wall clock before this date is suspect
};

class Node {
 public:
  // Blocks (key derivation, recovery of logs). Takes the lock of the data folder.
  static Result<std::unique_ptr<Node>> open(const NodePorts& ports, NodeConfig config, const Times& now);
  virtual ~Node() = default;

  // Node thread. Answered by one DONE for (origin, op).
  virtual void submit(Request request, const Times& now) = 0;
  // Node thread. Cancels (origin, op); ends a watch. False when it is over.
  virtual bool cancel(uint32_t origin, uint64_t op, const Times& now) = 0;
  // Node thread. A control client went away: its watches end, its operations finish unheard.
  virtual void forget_origin(uint32_t origin, const Times& now) = 0;
  // Node thread. Begins to close: every operation gets its DONE, then CLOSED for every origin. Keep stepping until closed().
  virtual void close(const Times& now) = 0;
  virtual bool closed() const = 0;
  // Node thread. Returns when it wants to be called next (monotonic us), or kNever.
  virtual uint64_t step(const Times& now) = 0;
  // Any thread; lives as long as the node.
  virtual std::shared_ptr<View> view() = 0;
};

}  // namespace sereus::node
