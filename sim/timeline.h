// The picture of a run: one HTML file with a lane for each machine over virtual time, which any browser shows.
#pragma once

#include <string>

#include "sim/chronicle.h"
#include "sim/outcome.h"
#include "sim/plan.h"

namespace sereus::sim {

struct TimelineTitle {
  std::string commit;
  std::string again;  // the command that runs it again
};

// At most about kTimelineBytes: where there is more to show than that, things that lie close together are drawn as one, and
// their number is said.
inline constexpr size_t kTimelineBytes = 2'000'000;

std::string draw_timeline(const Plan& plan, const Outcome& outcome, const Chronicle& chronicle,
                          const TimelineTitle& title);

}  // namespace sereus::sim
