#include "sim/workload_power.h"

#include "sim/power_lives.h"

namespace sereus::sim {
namespace {

SubjectKind draw_subject(SimRandom& random) {
  const uint64_t of_100 = random.below(100);
  if (of_100 < 45) return SubjectKind::store;
  if (of_100 < 80) return SubjectKind::keystore;
  return of_100 < 88 ? SubjectKind::log : SubjectKind::database;
}

void draw(SimRandom& random, Plan& plan) {
  const SubjectKind kind = draw_subject(random);
  plan.knobs["subject"] = static_cast<int64_t>(kind);
  uint64_t at_us = 0;
  // Some come soon after one another: the second while the machine comes up.
  const uint64_t actions_max = random.between(1, 5);
  const uint64_t in_recovery = random.below(30);
  for (uint64_t cuts = random.between(20, 60); cuts > 0; --cuts) {
    const bool twice = random.below(100) < in_recovery;
    plan.faults.push_back({FaultKind::power_cut, at_us, 0, 0, 0, twice ? 100'000 : draw_cut(random, kind)});
    for (uint64_t actions = random.between(1, actions_max); actions > 0; --actions) {
      plan.actions.push_back({at_us += kActionUs, 0, 0, random.next_u64()});
    }
    if (twice)
      plan.faults.push_back({FaultKind::power_cut, at_us, 0, 0, 0, static_cast<int64_t>(random.between(1, 12))});
    at_us += kActionUs;
  }
  plan.duration_us = at_us;
}

}  // namespace

const Workload kPowerWorkload{
    "power", "power cuts over the store, the keystore, the log and the node's database", 32, 1, 1, draw, run_lives};

}  // namespace sereus::sim
