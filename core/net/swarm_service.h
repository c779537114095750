// A protocol that a host speaks by itself, beside what its application does: relay, DHT, AutoNAT and their like. Each is a state
// machine over a Swarm, and uses nothing but what applications use.
//
//   for everything that swarm.next_event() gives   on_event(), service after service until one says that it was its own matter
//   for everything that swarm.next_notice() gives  on_notice() of all services
//   whenever the swarm is stepped                  step(); its deadline joins the swarm's
//
// Whoever owns the swarm gives it the protocols of all services (set_protocols()), and looks again after each step.
// Thread rule: the node's thread. A service outlives no swarm: it is made and destroyed with it.
#pragma once

#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/net/swarm.h"

namespace sereus::net {

class SwarmService {
 public:
  virtual ~SwarmService() = default;

  // What it accepts on incoming streams now. May change in any call.
  virtual std::vector<std::string> protocols() const = 0;
  // True: the event concerned this service alone, as it has opened or accepted the stream. Connected and Disconnected concern all.
  virtual bool on_event(const HostEvent& event, const Times& now) = 0;
  virtual void on_notice(const SwarmNotice& /*notice*/, const Times& /*now*/) {}
  // Monotonic time of the next step that it wants, or kNever.
  virtual uint64_t step(const Times& now) = 0;
};

}  // namespace sereus::net
