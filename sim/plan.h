// A run before it begins: everything that was drawn for it. The same plan does the same; a plan with a part left out is another
// run, and that is how failing ones are made shorter. Plans are written to schedule files (JSON, docs/simulation.md) and read
// from them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "sim/fault.h"
#include "sim/networks.h"

namespace sereus::sim {

// One thing that the application on a machine does. What exactly is drawn from `draws`, so that leaving one out changes no other.
struct Action {
  uint64_t at_us = 0;  // after the set-up
  size_t machine = 0;
  uint32_t kind = 0;  // the workload's own
  uint64_t draws = 0;

  friend bool operator==(const Action&, const Action&) = default;
};

struct Plan {
  uint64_t seed = 0;
  std::string workload;
  Transport transport = Transport::stream;
  size_t nodes = 0;
  uint64_t duration_us = 0;              // of the part in which actions and faults happen
  std::map<std::string, int64_t> knobs;  // the workload's own
  std::vector<Fault> faults;             // by time
  std::vector<Action> actions;           // by time

  friend bool operator==(const Plan&, const Plan&) = default;
};

// A person may ask for more nodes than a workload draws, up to this many: addresses of the simulated network end there.
inline constexpr size_t kNodesMax = 200;

// What a person may fix; the rest is drawn.
struct PlanWishes {
  std::optional<std::string> workload;
  std::optional<Transport> transport;
  std::optional<size_t> nodes;
  std::optional<uint64_t> minutes;  // of virtual time, for duration_us
};

// invalid: no such workload, or it does not take so many nodes.
Result<Plan> draw_plan(uint64_t seed, const PlanWishes& wishes = {});

// `commit` is written beside the plan, and only for people.
std::string write_plan(const Plan& plan, std::string_view commit);
// malformed: says where.
Result<Plan> read_plan(std::string_view json);

}  // namespace sereus::sim
