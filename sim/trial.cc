#include "sim/trial.h"

#include <ctime>

#include <nlohmann/json.hpp>

namespace sereus::sim {
namespace {

using nlohmann::json;

}  // namespace

uint64_t cpu_now_us() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

Trial try_plan(const Plan& plan, const RunPlan& run, bool twice, Chronicle* chronicle) {
  Trial trial;
  trial.workload = plan.workload;
  const uint64_t begin = cpu_now_us();
  trial.outcome = run(plan, chronicle);
  trial.cpu_us = cpu_now_us() - begin;
  if (twice && trial.outcome.violation.empty() && run(plan, nullptr).trace != trial.outcome.trace) {
    trial.outcome.oracle = "determinism";
    trial.outcome.violation = "the same plan ran differently the second time";
    trial.outcome.violated_at_us = trial.outcome.virtual_us;
  }
  return trial;
}

std::string write_trial(const Trial& trial) {
  const Outcome& outcome = trial.outcome;
  const json written = {
      {"workload", trial.workload},     {"cpu_us", trial.cpu_us},           {"error", trial.error},
      {"violation", outcome.violation}, {"oracle", outcome.oracle},         {"violated_at_us", outcome.violated_at_us},
      {"trace", outcome.trace},         {"virtual_us", outcome.virtual_us}, {"counts", outcome.counts}};
  // A violation may quote bytes that are no UTF-8.
  return written.dump(-1, ' ', false, json::error_handler_t::replace);
}

Trial read_trial(const std::string& text) {
  Trial trial;
  const json read = json::parse(text, nullptr, false);
  if (!read.is_object()) {
    trial.error = "a worker's answer cannot be read";
    return trial;
  }
  trial.workload = read.value("workload", "");
  trial.cpu_us = read.value("cpu_us", uint64_t{0});
  trial.error = read.value("error", "");
  Outcome& outcome = trial.outcome;
  outcome.violation = read.value("violation", "");
  outcome.oracle = read.value("oracle", "");
  outcome.violated_at_us = read.value("violated_at_us", uint64_t{0});
  outcome.trace = read.value("trace", uint64_t{0});
  outcome.virtual_us = read.value("virtual_us", uint64_t{0});
  outcome.counts = read.value("counts", std::map<std::string, uint64_t>{});
  return trial;
}

Trial trial_of(const WorkerPool::Result& result) {
  if (result.end == WorkerPool::End::answered) return read_trial(result.text);
  Trial trial;
  trial.outcome.oracle = result.end == WorkerPool::End::hung ? "hang" : "crash";
  trial.outcome.violation = result.text;
  return trial;
}

}  // namespace sereus::sim
