#include "sim/fault_mix.h"

#include <gtest/gtest.h>

#include <set>

#include "sim/workload.h"

namespace sereus::sim {
namespace {

Plan planned(uint64_t seed) {
  auto plan = draw_plan(seed);
  EXPECT_TRUE(plan.ok());
  return std::move(plan).value();
}

TEST(FaultMix, NamesAreThereAndBack) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kFaultKinds; ++i) {
    const auto kind = static_cast<FaultKind>(i);
    EXPECT_EQ(fault_kind_of(name_of(kind)), kind);
    names.insert(name_of(kind));
  }
  EXPECT_EQ(names.size(), kFaultKinds);
  EXPECT_FALSE(fault_kind_of("sunshine").has_value());
}

TEST(FaultMix, TheSameSeedDrawsTheSamePlanAndOthersDiffer) {
  std::set<std::string> plans;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    EXPECT_EQ(planned(seed), planned(seed));
    plans.insert(write_plan(planned(seed), "commit"));
  }
  EXPECT_EQ(plans.size(), 50u);
}

TEST(FaultMix, RunsDifferInWhatGoesWrong) {
  size_t calm = 0;
  std::set<FaultKind> seen;
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    const Plan plan = planned(seed);
    calm += plan.faults.empty() ? 1 : 0;
    for (const Fault& fault : plan.faults) seen.insert(fault.kind);
  }
  EXPECT_GT(calm, 600u / 20);
  EXPECT_LT(calm, 600u / 3);
  for (const FaultKind kind : all_survivable_faults()) EXPECT_TRUE(seen.contains(kind)) << name_of(kind);
}

TEST(FaultMix, FaultsAreOfMachinesAndTimesThatThereAre) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const Plan plan = planned(seed);
    uint64_t last_us = 0;
    for (const Fault& fault : plan.faults) {
      EXPECT_LT(fault.machine, plan.nodes);
      EXPECT_LT(fault.other, plan.nodes);
      EXPECT_LE(fault.at_us, plan.duration_us);
      EXPECT_GE(fault.at_us, last_us) << "by time";
      last_us = fault.at_us;
    }
    for (const Action& action : plan.actions) EXPECT_LT(action.machine, plan.nodes);
  }
}

TEST(FaultMix, APlanIsWrittenAndReadAgain) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const Plan plan = planned(seed);
    const auto again = read_plan(write_plan(plan, "commit"));
    ASSERT_TRUE(again.ok()) << again.error().detail;
    EXPECT_EQ(*again, plan);
  }
}

TEST(FaultMix, BadSchedulesSayWhatIsWrong) {
  const struct {
    const char* text;
    const char* says;
  } cases[] = {
      {"", "not JSON"},
      {"[]", "not an object"},
      {R"({"seed": 1, "transport": "stream", "nodes": 2})", "schedule.workload"},
      {R"({"seed": 1, "workload": "store", "transport": "pigeon", "nodes": 2})", "pigeon"},
      {R"({"seed": 1, "workload": "store", "transport": "stream", "nodes": 0})", "schedule.nodes"},
      {R"({"seed": -1, "workload": "store", "transport": "stream", "nodes": 2})", "schedule.seed"},
      {R"({"seed": 1, "workload": "store", "transport": "stream", "nodes": 2, "faults": [{"kind": "sunshine"}]})",
       "faults[0].kind"},
      {R"({"seed": 1, "workload": "store", "transport": "stream", "nodes": 2, "faults": [{"kind": "cut", "other": 2}]})",
       "a machine that is not there"},
      {R"({"seed": 1, "workload": "store", "transport": "stream", "nodes": 2, "actions": [[1, 2]]})", "actions[0]"},
      {R"({"seed": 1, "workload": "store", "transport": "stream", "nodes": 2, "knobs": {"x": "y"}})", "knobs.x"},
  };
  for (const auto& bad : cases) {
    const auto plan = read_plan(bad.text);
    ASSERT_FALSE(plan.ok()) << bad.text;
    EXPECT_EQ(plan.code(), Code::malformed);
    EXPECT_NE(plan.error().detail.find(bad.says), std::string::npos) << plan.error().detail;
  }
}

TEST(FaultMix, WishesAreHeardAndTheRestStays) {
  PlanWishes wishes;
  wishes.workload = "members";
  wishes.nodes = 7;
  wishes.transport = Transport::tcp;
  wishes.minutes = 2;
  const auto plan = draw_plan(5, wishes);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->workload, "members");
  EXPECT_EQ(plan->nodes, 7u);
  EXPECT_EQ(plan->transport, Transport::tcp);
  EXPECT_EQ(plan->duration_us, 120'000'000u);
  wishes.workload = "nonsense";
  EXPECT_EQ(draw_plan(5, wishes).code(), Code::invalid);
  wishes.workload = "members";
  wishes.nodes = 1;
  EXPECT_EQ(draw_plan(5, wishes).code(), Code::invalid);
}

}  // namespace
}  // namespace sereus::sim
