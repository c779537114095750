// Power cuts and bad disks under the store, the keystore, the log and the node's database, without nodes around them.
// SEREUS_POWER_SEEDS=A..B runs others than the usual seeds, and says how fast.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <map>

#include "sim/plan.h"
#include "sim/workload.h"

namespace sereus::sim {
namespace {

struct Seeds {
  uint64_t first = 1;
  uint64_t last = 60;
};

Seeds seeds() {
  Seeds seeds;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  seeds.last = 12;  // sanitizers take an order of magnitude longer
#endif
  const char* text = std::getenv("SEREUS_POWER_SEEDS");
  if (text == nullptr) return seeds;
  char* end = nullptr;
  seeds.first = seeds.last = std::strtoull(text, &end, 10);
  if (end[0] == '.' && end[1] == '.') seeds.last = std::strtoull(end + 2, nullptr, 10);
  return seeds;
}

Plan plan_of(uint64_t seed, const std::string& workload) {
  PlanWishes wishes;
  wishes.workload = workload;
  auto plan = draw_plan(seed, wishes);
  EXPECT_TRUE(plan.ok());
  return std::move(plan).value();
}

void run_all(const std::string& workload) {
  const Seeds wanted = seeds();
  std::map<std::string, uint64_t> counts;
  std::map<int64_t, uint64_t> cuts_of;
  const auto begun = std::chrono::steady_clock::now();
  for (uint64_t seed = wanted.first; seed <= wanted.last; ++seed) {
    const Plan plan = plan_of(seed, workload);
    const Outcome outcome = run_plan(plan);
    EXPECT_EQ(outcome.violation, "") << workload << " seed " << seed << " subject " << plan.knobs.at("subject") << ": "
                                     << outcome.oracle;
    for (const auto& [name, count] : outcome.counts) counts[name] += count;
    cuts_of[plan.knobs.at("subject")] += outcome.counts.at("power cuts");
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  std::printf("[ INFO     ] %.0f power cuts a second;", static_cast<double>(counts["power cuts"]) / took.count());
  for (const auto& [name, count] : counts) std::printf(" %s %llu,", name.c_str(), static_cast<unsigned long long>(count));
  std::printf(" of store, keystore, log, database:");
  for (const auto& [subject, count] : cuts_of) std::printf(" %llu", static_cast<unsigned long long>(count));
  std::printf("\n");
}

TEST(Power, NothingAcknowledgedIsLost) { run_all("power"); }

TEST(Power, BadDisksAreSurvivedAndSaid) { run_all("files"); }

TEST(Power, TheSameSeedDoesTheSame) {
  for (const char* workload : {"power", "files"}) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
      const Plan plan = plan_of(seed, workload);
      const Outcome first = run_plan(plan);
      const Outcome second = run_plan(plan);
      EXPECT_EQ(first.trace, second.trace) << workload << " seed " << seed;
      EXPECT_EQ(first.counts, second.counts) << workload << " seed " << seed;
    }
  }
}

// Each fault of a plan may be left out, so a failing run can be made shorter.
TEST(Power, APlanWithoutSomeOfItsFaultsRuns) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Plan plan = plan_of(seed, "power");
    while (!plan.faults.empty()) {
      plan.faults.resize(plan.faults.size() / 2);
      const Outcome outcome = run_plan(plan);
      EXPECT_EQ(outcome.violation, "") << "seed " << seed;
      EXPECT_LE(outcome.counts.at("power cuts"), plan.faults.size() + 1);
    }
  }
}

}  // namespace
}  // namespace sereus::sim
