// sereus-sim bench: how fast the simulator is, in processor time of this process.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "sim/commands.h"
#include "sim/describe.h"
#include "sim/phase.h"
#include "sim/workload.h"

namespace sereus::sim {
namespace {

using nlohmann::ordered_json;

constexpr size_t kQuicNodes = 4;
constexpr double kTarget = 100;  // times real time, of many machines on streams

struct Row {
  std::string workload;
  size_t nodes = 0;
  std::string transport;
  uint64_t seeds = 0;
  uint64_t cpu_us = 0;         // of whole runs
  uint64_t active_us = 0;      // virtual time of set-up and the disturbed part
  uint64_t active_cpu_us = 0;  // what these took
  std::map<std::string, uint64_t> counts;
  std::vector<std::string> violations;

  double cpu_s() const { return static_cast<double>(std::max<uint64_t>(cpu_us, 1)) / 1e6; }
  double seeds_per_s() const { return static_cast<double>(seeds) / cpu_s(); }
  double times() const {
    return static_cast<double>(active_us) / static_cast<double>(std::max<uint64_t>(active_cpu_us, 1));
  }
  double count(const char* what) const {
    const auto found = counts.find(what);
    return found == counts.end() ? 0 : static_cast<double>(found->second);
  }
};

// Virtual time, and what it cost, until all is healed: afterwards nodes wait for hours for what is held back, at no cost.
class Stopwatch {
 public:
  Stopwatch() {
    set_phase_listener([this](std::string_view phase, uint64_t now_us) {
      if (phase == "healing") stop(now_us);
    });
  }
  ~Stopwatch() { set_phase_listener(nullptr); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void start() {
    begin_us_ = cpu_now_us();
    stopped_ = false;
  }
  void stop(uint64_t now_us) {
    if (stopped_) return;
    stopped_ = true;
    active_us += now_us;
    cpu_us += cpu_now_us() - begin_us_;
  }

  uint64_t active_us = 0;
  uint64_t cpu_us = 0;

 private:
  uint64_t begin_us_ = 0;
  bool stopped_ = true;
};

// Without what makes time pass in which nothing happens.
void leave_out_idle_time(Plan& plan) {
  std::erase_if(plan.faults, [](const Fault& fault) {
    return fault.kind == FaultKind::clock_jump || fault.kind == FaultKind::sleep;
  });
}

Row measure(const Workload& workload, const PlanWishes& wishes, const BenchOptions& options) {
  Row row;
  row.workload = std::string(workload.name);
  Stopwatch watch;
  const auto patience_us = static_cast<uint64_t>(options.seconds * 1e6);
  for (uint64_t seed = 1; row.cpu_us < patience_us && !interrupted(); ++seed) {
    auto plan = draw_plan(seed, wishes);
    if (!plan) {
      row.violations.push_back(plan.error().detail);
      break;
    }
    leave_out_idle_time(*plan);
    row.nodes = plan->nodes;
    row.transport = std::string(name_of(plan->transport));
    watch.start();
    const Trial trial = try_plan(*plan, run_plan, false);
    watch.stop(trial.outcome.virtual_us);
    ++row.seeds;
    row.cpu_us += trial.cpu_us;
    for (const auto& [what, count] : trial.outcome.counts) row.counts[what] += count;
    if (!trial.outcome.violation.empty()) {
      row.violations.push_back("seed " + std::to_string(seed) + " violates '" + trial.outcome.oracle +
                               "': " + trial.outcome.violation);
    }
  }
  row.active_us = watch.active_us;
  row.active_cpu_us = watch.cpu_us;
  return row;
}

// What a unit of a workload's work costs.
std::string cost_of(const Row& row) {
  char text[64];
  if (const double mib = row.count("bytes echoed") / 1048576; mib > 0) {
    std::snprintf(text, sizeof text, "%.0f ms/echoed MiB", row.cpu_s() * 1e3 / mib);
  } else if (const double writes = row.count("writes acknowledged"); writes > 0) {
    std::snprintf(text, sizeof text, "%.2f ms/write", row.cpu_s() * 1e3 / writes);
  } else {
    return "-";
  }
  return text;
}

bool is_of_nodes(const Row& row) { return row.nodes > 1; }

std::string speed_of(const Row& row) {
  char text[64];
  if (!is_of_nodes(row)) {
    std::snprintf(text, sizeof text, "%.0f cuts/s", row.count("power cuts") / row.cpu_s());
  } else if (row.transport == "stream") {
    std::snprintf(text, sizeof text, "%.0f (%s)", row.times(), row.times() >= kTarget ? "met" : "missed");
  } else {
    std::snprintf(text, sizeof text, "%.0f", row.times());
  }
  return text;
}

void print(const Row& row, bool json) {
  if (!json) {
    std::printf("%-10s %5zu %-9s %7.1f %16s %20s\n", row.workload.c_str(), row.nodes,
                is_of_nodes(row) ? row.transport.c_str() : "-", row.seeds_per_s(), speed_of(row).c_str(),
                cost_of(row).c_str());
  } else {
    ordered_json line = {{"workload", row.workload}, {"nodes", row.nodes}};
    if (is_of_nodes(row)) {
      line["transport"] = row.transport;
      line["times_real_time"] = row.times();
      if (row.transport == "stream") line["target"] = kTarget;
    } else {
      line["cuts_per_s"] = row.count("power cuts") / row.cpu_s();
    }
    line["seeds"] = row.seeds;
    line["seeds_per_s"] = row.seeds_per_s();
    line["cpu_s"] = row.cpu_s();
    if (row.count("writes acknowledged") > 0)
      line["ms_per_write"] = row.cpu_s() * 1e3 / row.count("writes acknowledged");
    if (row.count("bytes echoed") > 0) line["ms_per_mib"] = row.cpu_s() * 1e3 / (row.count("bytes echoed") / 1048576);
    line["violations"] = row.violations;
    std::printf("%s\n", line.dump(-1, ' ', false, ordered_json::error_handler_t::replace).c_str());
  }
  std::fflush(stdout);
  for (const std::string& violation : row.violations)
    std::fprintf(stderr, "%s: %s\n", row.workload.c_str(), violation.c_str());
}

}  // namespace

int command_bench(const BenchOptions& options) {
  forbid_randomness();
  catch_interrupts();
  if (!options.json) {
    std::printf("%-10s %5s %-9s %7s %16s %20s\n", "workload", "nodes", "transport", "seeds/s", "times real time",
                "cost");
  }
  bool held = true;
  const auto run = [&](const Workload& workload, Transport transport, size_t nodes) {
    if (interrupted()) return;
    PlanWishes wishes;
    wishes.workload = std::string(workload.name);
    wishes.transport = transport;
    wishes.nodes = nodes;
    wishes.minutes = options.minutes;
    const Row row = measure(workload, wishes, options);
    print(row, options.json);
    held = held && row.violations.empty();
  };
  for (const Workload& workload : workloads()) {
    if (!options.workload.empty() && workload.name != options.workload) continue;
    if (workload.nodes_max == 1) {
      run(workload, Transport::stream, 1);
      continue;
    }
    run(workload, Transport::stream, std::max(options.nodes, workload.nodes_min));
    if (workload.nodes_min <= kQuicNodes) run(workload, Transport::quic, kQuicNodes);
  }
  if (interrupted()) return kInterrupted;
  return held ? kHeld : kViolated;
}

}  // namespace sereus::sim
