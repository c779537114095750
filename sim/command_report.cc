// sereus-sim report and workloads.

#include <cinttypes>
#include <cstdio>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "sim/commands.h"
#include "sim/describe.h"
#include "sim/ledger.h"
#include "sim/workload.h"

namespace sereus::sim {
namespace {

using nlohmann::ordered_json;

struct PerWorkload {
  LedgerSums sums;
  std::set<std::string> commits;
};
struct Violation {
  std::string commit;
  LedgerFailure failure;
};
struct Summary {
  std::map<std::string, PerWorkload> workloads;
  std::map<std::string, SeedRanges> ranges;  // by commit and options
  LedgerSums total;
  std::set<std::string> commits;
  std::vector<Violation> violations;
};

void add(Summary& summary, const LedgerChunk& chunk) {
  for (const auto& [name, sums] : chunk.workloads) {
    summary.workloads[name].sums.add(sums);
    summary.workloads[name].commits.insert(chunk.key.commit);
    summary.total.add(sums);
  }
  summary.commits.insert(chunk.key.commit);
  summary.ranges[chunk.key.text()].add(chunk.first, chunk.last);
  for (const LedgerFailure& failure : chunk.failures) summary.violations.push_back({chunk.key.commit, failure});
}

ordered_json json_of(const LedgerSums& sums, size_t commits) {
  return {{"seeds", sums.seeds},
          {"passed", sums.seeds - sums.failed},
          {"failed", sums.failed},
          {"commits", commits},
          {"virtual_s", static_cast<double>(sums.virtual_us) / 1e6},
          {"cpu_s", static_cast<double>(sums.cpu_us) / 1e6},
          {"counts", sums.counts}};
}

void print_json(const Summary& summary) {
  ordered_json report = {{"workloads", ordered_json::object()},
                         {"ranges", ordered_json::object()},
                         {"violations", ordered_json::array()},
                         {"total", json_of(summary.total, summary.commits.size())}};
  for (const auto& [name, one] : summary.workloads) report["workloads"][name] = json_of(one.sums, one.commits.size());
  for (const auto& [key, ranges] : summary.ranges) {
    for (const auto& [first, last] : ranges.ranges()) report["ranges"][key].push_back({first, last});
  }
  for (const Violation& one : summary.violations) {
    report["violations"].push_back({{"commit", one.commit},
                                    {"seed", one.failure.seed},
                                    {"workload", one.failure.workload},
                                    {"oracle", one.failure.oracle},
                                    {"violation", one.failure.violation}});
  }
  std::printf("%s\n", report.dump(-1, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

void print_row(const std::string& name, const LedgerSums& sums, size_t commits) {
  std::printf("%-16s %11s %11s %9s %9zu %16s\n", name.c_str(), grouped(sums.seeds).c_str(),
              grouped(sums.seeds - sums.failed).c_str(), grouped(sums.failed).c_str(), commits,
              duration_in_words(sums.virtual_us / 1'000'000 * 1'000'000).c_str());
}

void print_text(const Summary& summary) {
  std::printf("%-16s %11s %11s %9s %9s %16s\n", "workload", "seeds", "passed", "failed", "commits", "virtual time");
  for (const auto& [name, one] : summary.workloads) print_row(name, one.sums, one.commits.size());
  print_row("all", summary.total, summary.commits.size());
  if (!summary.total.counts.empty()) std::printf("\ncounts\n");
  for (const auto& [what, count] : summary.total.counts) {
    std::printf("  %14s %s\n", grouped(count).c_str(), what.c_str());
  }
  std::printf("\nseeds\n");
  for (const auto& [key, ranges] : summary.ranges) {
    std::printf("  %s:", key.c_str());
    const char* between = " ";
    for (const auto& [first, last] : ranges.ranges()) {
      std::printf("%s%" PRIu64 "..%" PRIu64, between, first, last);
      between = ", ";
    }
    std::printf("\n");
  }
  if (!summary.violations.empty()) std::printf("\nviolations\n");
  for (const Violation& one : summary.violations) {
    std::printf("  %s, seed %" PRIu64 ", commit %s, %s: %s\n", one.failure.workload.c_str(), one.failure.seed,
                one.commit.c_str(), one.failure.oracle.c_str(), one.failure.violation.c_str());
  }
}

}  // namespace

int command_report(const std::vector<std::string>& ledgers, bool json) {
  Summary summary;
  for (const std::string& path : ledgers) {
    const auto chunks = read_ledger(path);
    if (!chunks) return misused(chunks.error().detail);
    for (const LedgerChunk& chunk : *chunks) add(summary, chunk);
  }
  if (json) {
    print_json(summary);
  } else {
    print_text(summary);
  }
  return kHeld;
}

int command_workloads() {
  uint64_t shares = 0;
  for (const Workload& workload : workloads()) shares += workload.share;
  std::printf("%-16s %7s %8s  %s\n", "workload", "share", "nodes", "what");
  for (const Workload& workload : workloads()) {
    const std::string nodes = workload.nodes_min == workload.nodes_max
                                  ? std::to_string(workload.nodes_min)
                                  : std::to_string(workload.nodes_min) + ".." + std::to_string(workload.nodes_max);
    std::printf("%-16s %5.1f %% %8s  %s\n", std::string(workload.name).c_str(),
                100.0 * workload.share / static_cast<double>(shares == 0 ? 1 : shares), nodes.c_str(),
                std::string(workload.what).c_str());
  }
  return kHeld;
}

}  // namespace sereus::sim
