#include "sim/workload_files.h"

#include <algorithm>

#include "sim/power_lives.h"

namespace sereus::sim {
namespace {

int64_t draw_amount(SimRandom& random, FaultKind kind) {
  switch (kind) {
    case FaultKind::disk_errors:
      return static_cast<int64_t>(random.between(10'000, random.below(4) == 0 ? 1'000'000 : 200'000));
    case FaultKind::disk_slow:
      return static_cast<int64_t>(random.between(1'000, 500'000));
    case FaultKind::disk_lies:
      return static_cast<int64_t>(random.between(50'000, 1'000'000));
    case FaultKind::bit_rot:
      return static_cast<int64_t>(random.between(1, random.below(3) == 0 ? 200 : 3));
    default:
      return 0;
  }
}

// A disk that lies or rots does nothing else: with it less is promised of everything.
FaultKind draw_kind(SimRandom& random, uint64_t character) {
  if (character == 0) return FaultKind::disk_lies;
  if (character == 1) return FaultKind::bit_rot;
  static constexpr FaultKind kHonest[] = {FaultKind::disk_full, FaultKind::disk_errors, FaultKind::disk_slow};
  return kHonest[random.below(3)];
}

void draw(SimRandom& random, Plan& plan) {
  const auto kind = static_cast<SubjectKind>(random.below(kSubjectKinds));
  plan.knobs["subject"] = static_cast<int64_t>(kind);
  const uint64_t actions = random.between(30, 150);
  plan.actions.reserve(actions);
  for (uint64_t i = 0; i < actions; ++i) plan.actions.push_back({(i + 1) * kActionUs, 0, 0, random.next_u64()});
  plan.duration_us = actions * kActionUs;
  const uint64_t character = random.below(6);
  for (uint64_t left = random.between(1, 8); left > 0; --left) {
    const FaultKind fault = draw_kind(random, character);
    const uint64_t for_us = fault == FaultKind::bit_rot ? 0 : random.between(1, 15) * kActionUs;
    plan.faults.push_back({fault, random.below(plan.duration_us), for_us, 0, 0, draw_amount(random, fault)});
  }
  for (uint64_t left = random.between(0, 12); left > 0; --left) {
    plan.faults.push_back({FaultKind::power_cut, random.below(plan.duration_us), 0, 0, 0, draw_cut(random, kind)});
  }
}

}  // namespace

const Workload kFilesWorkload{
    "files", "disks that are full, fail, lie and rot, under the store and the keystore", 18, 1, 1, draw, run_lives};

}  // namespace sereus::sim
