#include "sim/world.h"

#include "sim/sim_disk.h"

namespace sereus::sim {

World::World(uint64_t seed, size_t count, Transport transport)
    : random(seed), network(scheduler, random.fork("network")) {
  for (size_t i = 0; i < count; ++i) {
    machines.push_back(std::make_unique<SimMachine>(i, scheduler, network, random.fork("machine")));
    machines.back()->transport = transport;
  }
}

bool World::run_until(const std::function<bool()>& done, uint64_t timeout_us) {
  const uint64_t end = scheduler.now_us() + timeout_us;
  while (!done()) {
    if (!scheduler.step(end)) return done();
  }
  return true;
}

void World::run_for(uint64_t duration_us) {
  const uint64_t end = scheduler.now_us() + duration_us;
  while (scheduler.step(end)) {
  }
}

node::Event World::call(SimMachine& machine, node::Request request, uint64_t timeout_us) {
  const uint64_t op = machine.submit(std::move(request));
  if (run_until([&] { return machine.done(op) != nullptr || !machine.running(); }, timeout_us)) {
    if (const node::Event* done = machine.done(op)) return *done;
  }
  node::Event none;
  none.status = Code::timeout;
  none.detail = "no DONE came";
  return none;
}

uint64_t World::trace() const {
  uint64_t sum = scheduler.now_us() + network.trace();
  for (const auto& machine : machines) sum = sum * 0x100000001b3u + machine->trace() + machine->disk().hash();
  return sum;
}

}  // namespace sereus::sim
