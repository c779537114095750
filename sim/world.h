// One simulated run: virtual time, a network and some machines, all drawn from one seed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/sim_machine.h"

namespace sereus::sim {

class World {
 public:
  // All machines are on `transport`; with another than `stream` the conditions of the networks are good until they are set.
  World(uint64_t seed, size_t machines, Transport transport = Transport::stream);

  // Runs until `done` says so; false when `timeout_us` of virtual time passed before.
  bool run_until(const std::function<bool()>& done, uint64_t timeout_us);
  void run_for(uint64_t duration_us);
  // Submits and runs until its DONE; the event's status is `timeout` when none came.
  node::Event call(SimMachine& machine, node::Request request, uint64_t timeout_us = 60'000'000);

  uint64_t trace() const;

  Scheduler scheduler;
  SimRandom random;
  Networks network;
  std::vector<std::unique_ptr<SimMachine>> machines;
};

}  // namespace sereus::sim
