#include "sim/phase.h"

#include <utility>

namespace sereus::sim {
namespace {

PhaseListener g_listener;

}  // namespace

void set_phase_listener(PhaseListener listener) { g_listener = std::move(listener); }

void tell_phase(std::string_view phase, uint64_t now_us) {
  if (g_listener) g_listener(phase, now_us);
}

}  // namespace sereus::sim
