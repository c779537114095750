#include "sim/shrink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sereus::sim {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

Fault fault(FaultKind kind, uint64_t at_us, size_t machine = 0, int64_t amount = 0) {
  Fault made;
  made.kind = kind;
  made.at_us = at_us;
  made.for_us = 8'000'000;
  made.machine = machine;
  made.amount = amount;
  return made;
}

// 40 faults and 100 actions on 8 machines.
Plan big_plan() {
  Plan plan;
  plan.seed = 7;
  plan.workload = "story";
  plan.nodes = 8;
  plan.duration_us = 100'000'000;
  plan.knobs["values"] = 3;
  for (size_t i = 0; i < 40; ++i) plan.faults.push_back(fault(FaultKind::kill, i * 1'000'000, i % 8));
  for (size_t i = 0; i < 100; ++i) plan.actions.push_back({i * 500'000, i % 8, 0, i});
  return plan;
}

bool has_fault(const Plan& plan, uint64_t at_us) {
  return std::any_of(plan.faults.begin(), plan.faults.end(), [&](const Fault& one) { return one.at_us == at_us; });
}
bool has_action(const Plan& plan, uint64_t draws) {
  return std::any_of(plan.actions.begin(), plan.actions.end(), [&](const Action& one) { return one.draws == draws; });
}

// Calls `holds` for each plan and remembers for which it was true.
class Judge {
 public:
  explicit Judge(std::function<bool(const Plan&)> holds) : holds_(std::move(holds)) {}
  Shrinker::Violates violates() {
    return [this](const std::vector<Plan>& plans) {
      std::vector<bool> answers;
      answers.reserve(plans.size());
      for (const Plan& plan : plans) {
        answers.push_back(holds_(plan));
        if (answers.back()) seen_.push_back(plan);
      }
      most_ = std::max(most_, plans.size());
      return answers;
    };
  }
  bool saw(const Plan& plan) const { return std::find(seen_.begin(), seen_.end(), plan) != seen_.end(); }
  size_t most() const { return most_; }

 private:
  std::function<bool(const Plan&)> holds_;
  std::vector<Plan> seen_;
  size_t most_ = 0;
};

TEST(Shrink, FindsTheFaultsAndActionsThatAreNeeded) {
  for (const size_t side_by_side : {1, 2, 5}) {
    Judge judge([](const Plan& plan) {
      return has_fault(plan, 9'000'000) && has_fault(plan, 24'000'000) && has_action(plan, 0) && has_action(plan, 57);
    });
    Shrinker shrinker({.side_by_side = side_by_side}, judge.violates());
    const Plan small = shrinker.shrink(big_plan());
    EXPECT_THAT(small.faults, ElementsAre(Field(&Fault::at_us, 9'000'000), Field(&Fault::at_us, 24'000'000)));
    EXPECT_THAT(small.actions, ElementsAre(Field(&Action::draws, 0), Field(&Action::draws, 57)));
    EXPECT_EQ(small.nodes, 2u);  // fault 9 is of machine 1
    EXPECT_LT(small.duration_us, 40'000'000u);
    EXPECT_GT(small.duration_us, 28'500'000u);
    EXPECT_EQ(small.knobs, big_plan().knobs);
    EXPECT_EQ(small.seed, 7u);
    EXPECT_TRUE(judge.saw(small));
    EXPECT_LE(judge.most(), side_by_side);
    EXPECT_FALSE(shrinker.ended_early());
    EXPECT_LT(shrinker.trials(), 300u);
  }
}

TEST(Shrink, APlanThatNeedsAllOfItStaysAsItIs) {
  const Plan plan = big_plan();
  Shrinker shrinker({.side_by_side = 3},
                    [](const std::vector<Plan>& plans) { return std::vector<bool>(plans.size(), false); });
  EXPECT_EQ(shrinker.shrink(plan), plan);
}

TEST(Shrink, NothingIsLeftWhereNothingIsNeeded) {
  Shrinker shrinker({.nodes_min = 2},
                    [](const std::vector<Plan>& plans) { return std::vector<bool>(plans.size(), true); });
  const Plan small = shrinker.shrink(big_plan());
  EXPECT_THAT(small.faults, IsEmpty());
  EXPECT_THAT(small.actions, IsEmpty());
  EXPECT_EQ(small.nodes, 2u);
}

TEST(Shrink, GoesOnUntilNoSingleFaultCanGo) {
  // Either of a pair will do, and which one decides what else is needed.
  Judge judge([](const Plan& plan) {
    return (has_fault(plan, 30'000'000) && has_fault(plan, 3'000'000)) || has_fault(plan, 39'000'000);
  });
  Shrinker shrinker({}, judge.violates());
  const Plan small = shrinker.shrink(big_plan());
  for (size_t i = 0; i < small.faults.size(); ++i) {
    Plan without = small;
    without.faults.erase(without.faults.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_FALSE((has_fault(without, 30'000'000) && has_fault(without, 3'000'000)) || has_fault(without, 39'000'000));
  }
}

TEST(Shrink, HalvesDurationsAndStrengths) {
  Plan plan = big_plan();
  plan.faults = {fault(FaultKind::disk_slow, 1'000'000, 0, 64'000), fault(FaultKind::nat, 0, 0, 4)};
  Judge judge([](const Plan& one) {
    return one.faults.size() == 2 && one.faults[0].amount >= 5000 && one.faults[0].for_us >= 1'500'000;
  });
  Shrinker shrinker({}, judge.violates());
  const Plan small = shrinker.shrink(plan);
  ASSERT_EQ(small.faults.size(), 2u);
  EXPECT_EQ(small.faults[0].amount, 8000);
  EXPECT_EQ(small.faults[0].for_us, 2'000'000u);
  EXPECT_EQ(small.faults[1].amount, 4);  // a kind of box is no strength
}

TEST(Shrink, EndsWithItsTrialsOrItsTimeOnAPlanThatViolates) {
  Judge judge([](const Plan& plan) { return has_fault(plan, 9'000'000) && has_action(plan, 57); });
  Shrinker few({.side_by_side = 2, .trials = 10}, judge.violates());
  const Plan small = few.shrink(big_plan());
  EXPECT_TRUE(few.ended_early());
  EXPECT_LE(few.trials(), 11u);
  EXPECT_LT(small.faults.size(), 40u);
  EXPECT_TRUE(judge.saw(small));

  size_t asked = 0;
  Shrinker short_of_time({.out_of_time = [&] { return ++asked > 5; }}, judge.violates());
  EXPECT_TRUE(judge.saw(short_of_time.shrink(big_plan())));
  EXPECT_TRUE(short_of_time.ended_early());
  EXPECT_EQ(short_of_time.trials(), 5u);
}

TEST(Shrink, AMachineLeavesWithWhatBefallsIt) {
  Plan plan = big_plan();
  plan.nodes = 3;
  plan.actions = {{1, 0, 0, 10}, {2, 2, 0, 11}};
  Fault link = fault(FaultKind::cut, 1);
  link.other = 2;
  Fault alone = fault(FaultKind::stop, 2, 1);
  alone.other = 2;
  plan.faults = {link,
                 alone,
                 fault(FaultKind::kill, 3, 2),
                 fault(FaultKind::partition, 4, 0, 0b101),
                 fault(FaultKind::partition, 5, 0, 0b100),
                 fault(FaultKind::lost, 0, 0, 1000)};
  const Plan smaller = without_last_machine(plan);
  EXPECT_EQ(smaller.nodes, 2u);
  EXPECT_THAT(smaller.actions, ElementsAre(Field(&Action::draws, 10)));
  ASSERT_EQ(smaller.faults.size(), 3u);
  EXPECT_EQ(smaller.faults[0].kind, FaultKind::stop);
  EXPECT_EQ(smaller.faults[0].other, 0u);
  EXPECT_EQ(smaller.faults[1].amount, 0b001);
  EXPECT_EQ(smaller.faults[2].kind, FaultKind::lost);
}

}  // namespace
}  // namespace sereus::sim
