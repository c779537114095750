// Workloads: what the applications of a run do, and what must hold. docs/simulation.md shows how to add one.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "sim/outcome.h"
#include "sim/plan.h"

namespace sereus::sim {

class Chronicle;

struct Workload {
  std::string_view name;
  std::string_view what;  // a line for help texts
  uint32_t share;         // of the seeds that draw their workload, against the others'
  size_t nodes_min;
  size_t nodes_max;
  // Sets knobs, actions and faults, in any order; seed, workload, transport, nodes and duration_us are there already (duration_us 0: draw it).
  void (*draw)(class SimRandom& random, Plan& plan);
  // Runs it. `chronicle` may be null.
  Outcome (*run)(const Plan& plan, Chronicle* chronicle);
};

// All of them, in the order of sim/workloads.cc. A new one is added there.
std::span<const Workload> workloads();
const Workload* find_workload(std::string_view name);

// Runs the plan's workload, with SQLite's randomness drawn from the seed as well.
Outcome run_plan(const Plan& plan, Chronicle* chronicle = nullptr);

}  // namespace sereus::sim
