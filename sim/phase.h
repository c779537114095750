// The parts of a run of nodes, for who measures them: nothing in a run may look at a real clock.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace sereus::sim {

// "set-up", "disturbed", "healing", "checks", as each begins.
using PhaseListener = std::function<void(std::string_view phase, uint64_t now_us)>;

// Of the runs that follow in this process; null: nobody listens.
void set_phase_listener(PhaseListener listener);
void tell_phase(std::string_view phase, uint64_t now_us);

}  // namespace sereus::sim
