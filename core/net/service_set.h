// A swarm and the protocols that its host speaks by itself (swarm_service.h), run as one: steps the swarm, gives each service what
// concerns it, and the application the rest.
//
//   ServiceSet set(swarm);
//   set.add(relay_client); set.add(relay_server);
//   set.set_protocols(...)          what the application accepts; those of the services are added
//   set.step(now)                   in place of swarm.step()
//   set.next_event(), next_notice() in place of the swarm's, until there is none
//
// What it has taken from the swarm and nobody has taken from it is bounded by kSwarmEventsMax; then more waits in the swarm. Thread
// rule: the node's thread.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/net/swarm.h"
#include "core/net/swarm_service.h"

namespace sereus::net {

class ServiceSet {
 public:
  // `swarm` outlives it.
  explicit ServiceSet(Swarm& swarm) : swarm_(swarm) {}

  // Asked in this order whose an event is. `service` outlives the set, or is removed before.
  void add(SwarmService& service);
  void remove(SwarmService& service);
  void set_protocols(std::vector<std::string> protocols);

  // The monotonic time of the next step that anyone wants, or kNever.
  uint64_t step(const Times& now);
  std::optional<HostEvent> next_event();
  std::optional<SwarmNotice> next_notice();

 private:
  // False when there was nothing.
  bool pump(const Times& now);
  void tell_protocols();

  Swarm& swarm_;
  std::vector<SwarmService*> services_;
  std::vector<std::string> protocols_;  // the application's
  std::vector<std::string> told_;
  std::deque<HostEvent> events_;
  std::deque<SwarmNotice> notices_;
};

}  // namespace sereus::net
