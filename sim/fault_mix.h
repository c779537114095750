// Which faults a run gets. Every run draws for itself which kinds it has and how often they come, so that some runs are calm,
// some have one thing wrong all the time, and some have everything (swarm testing, Groce et al. 2012).
#pragma once

#include <span>

#include "sim/plan.h"
#include "sim/sim_random.h"

namespace sereus::sim {

// Draws faults of `kinds` for the plan, whose nodes, transport and duration are set. Kinds that mean nothing on its transport
// are passed over.
void draw_faults(SimRandom& random, Plan& plan, std::span<const FaultKind> kinds);

// What a run of nodes survives without losing anything that was acknowledged.
std::span<const FaultKind> all_survivable_faults();

// Log-uniform: as many draws between 1 and 10 as between 10 and 100.
uint64_t draw_scale(SimRandom& random, uint64_t low, uint64_t high);

}  // namespace sereus::sim
