// The lives of one thing that keeps data (sim/power_subject.h) on a disk that loses power and fails: what the workloads
// `power` and `files` have in common. A plan's actions are operations, its faults those of the disk.
#pragma once

#include "sim/chronicle.h"
#include "sim/outcome.h"
#include "sim/plan.h"
#include "sim/sim_random.h"

namespace sereus::sim {

// The knob `subject`: which of them.
enum class SubjectKind : uint8_t { store, keystore, log, database };
inline constexpr uint64_t kSubjectKinds = 4;

// Between two actions; nothing in them takes time.
inline constexpr uint64_t kActionUs = 1000;

// How many disk operations until the power goes, in the middle of what `kind` does or, at times, of its recovery.
int64_t draw_cut(SimRandom& random, SubjectKind kind);

Outcome run_lives(const Plan& plan, Chronicle* chronicle);

}  // namespace sereus::sim
