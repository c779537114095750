// The lanes of a run's picture as SVG: for all of it, or for a part.
#pragma once

#include <string>
#include <string_view>

#include "sim/chronicle.h"
#include "sim/outcome.h"
#include "sim/plan.h"

namespace sereus::sim {

struct LanesWindow {
  uint64_t from_us = 0;
  uint64_t until_us = 0;
};

// An <svg> element. `notes_line` becomes what was drawn together or left out, in words; empty if nothing was.
std::string draw_lanes(const Plan& plan, const Outcome& outcome, const Chronicle& chronicle, const LanesWindow& window,
                       std::string& notes_line);

// For the text of an element or an attribute: markup escaped, bytes that are no UTF-8 replaced, and cut to about `most` bytes.
std::string html(std::string_view text, size_t most = 400);

}  // namespace sereus::sim
