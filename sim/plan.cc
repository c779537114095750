#include "sim/plan.h"

#include <algorithm>

#include "sim/sim_random.h"
#include "sim/workload.h"

namespace sereus::sim {
namespace {

constexpr uint64_t kMinuteUs = 60'000'000;

// Half of the seeds runs on streams, which are cheap, and half with real hosts over simulated packets.
Transport draw_transport(SimRandom& random) {
  switch (random.below(8)) {
    case 0:
    case 1:
      return Transport::quic;
    case 2:
      return Transport::tcp;
    case 3:
      return Transport::both;
    default:
      return Transport::stream;
  }
}

const Workload& draw_workload(SimRandom& random) {
  uint64_t all = 0;
  for (const Workload& workload : workloads()) all += workload.share;
  uint64_t at = random.below(all);
  for (const Workload& workload : workloads()) {
    if (at < workload.share) return workload;
    at -= workload.share;
  }
  return workloads().front();
}

std::string names_of_workloads() {
  std::string out;
  for (const Workload& workload : workloads()) out += (out.empty() ? "" : ", ") + std::string(workload.name);
  return out;
}

}  // namespace

Result<Plan> draw_plan(uint64_t seed, const PlanWishes& wishes) {
  SimRandom random(seed ^ 0x706c616e);
  // Each is drawn from a stream of its own and whether it is wished for or not, so that the rest of a seed stays what it was.
  SimRandom of_workload = random.fork("workload");
  SimRandom of_transport = random.fork("transport");
  SimRandom of_nodes = random.fork("nodes");
  SimRandom rest = random.fork("rest");
  const Workload* workload = &draw_workload(of_workload);
  if (wishes.workload) workload = find_workload(*wishes.workload);
  if (workload == nullptr) {
    return fail(Code::invalid, "there is no workload " + *wishes.workload + "; there are " + names_of_workloads());
  }
  Plan plan;
  plan.seed = seed;
  plan.workload = std::string(workload->name);
  plan.transport = wishes.transport.value_or(draw_transport(of_transport));
  plan.nodes = of_nodes.between(workload->nodes_min, workload->nodes_max);
  if (wishes.nodes) plan.nodes = *wishes.nodes;
  if (plan.nodes < workload->nodes_min || plan.nodes > std::max(workload->nodes_max, kNodesMax)) {
    return fail(Code::invalid, "the workload " + plan.workload + " takes " + std::to_string(workload->nodes_min) +
                                   " to " + std::to_string(std::max(workload->nodes_max, kNodesMax)) + " nodes");
  }
  if (wishes.minutes) plan.duration_us = *wishes.minutes * kMinuteUs;
  workload->draw(rest, plan);
  const auto earlier = [](const auto& a, const auto& b) { return a.at_us < b.at_us; };
  std::stable_sort(plan.faults.begin(), plan.faults.end(), earlier);
  std::stable_sort(plan.actions.begin(), plan.actions.end(), earlier);
  return plan;
}

}  // namespace sereus::sim
