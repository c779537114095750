#include "sim/phase.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "sim/workload.h"

namespace sereus::sim {
namespace {

TEST(Phases, AreToldInOrderAndChangeNothing) {
  PlanWishes wishes;
  wishes.workload = "store";
  wishes.transport = Transport::stream;
  wishes.nodes = 2;
  const auto plan = draw_plan(1, wishes);
  ASSERT_TRUE(plan.ok());
  std::vector<std::string> phases;
  std::vector<uint64_t> times;
  set_phase_listener([&](std::string_view phase, uint64_t now_us) {
    phases.emplace_back(phase);
    times.push_back(now_us);
  });
  const Outcome told = run_plan(*plan);
  set_phase_listener(nullptr);
  EXPECT_THAT(phases, testing::ElementsAre("set-up", "disturbed", "healing", "checks"));
  ASSERT_EQ(times.size(), 4u);
  EXPECT_EQ(times[2] - times[1], plan->duration_us);
  EXPECT_LE(times[3], told.virtual_us);
  EXPECT_EQ(run_plan(*plan).trace, told.trace);
}

}  // namespace
}  // namespace sereus::sim
