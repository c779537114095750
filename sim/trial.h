// One run of a plan for a command: what it came to, and its way from a worker process to the one that counts.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "sim/chronicle.h"
#include "sim/outcome.h"
#include "sim/plan.h"
#include "sim/runner.h"

namespace sereus::sim {

struct Trial {
  std::string workload;
  Outcome outcome;
  uint64_t cpu_us = 0;  // of the first of two runs
  std::string error;    // not run: the plan cannot be drawn or read
};

using RunPlan = std::function<Outcome(const Plan& plan, Chronicle* chronicle)>;

// With `twice` a run that violates nothing runs again, and another trace violates the oracle "determinism".
Trial try_plan(const Plan& plan, const RunPlan& run, bool twice, Chronicle* chronicle = nullptr);

// The processor time of this process.
uint64_t cpu_now_us();

std::string write_trial(const Trial& trial);
Trial read_trial(const std::string& text);
// A worker that crashed or hung violates the oracle of that name.
Trial trial_of(const WorkerPool::Result& result);

}  // namespace sereus::sim
