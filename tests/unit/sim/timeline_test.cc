#include "sim/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/describe.h"
#include "sim/time_scale.h"
#include "sim/timeline_lanes.h"

namespace sereus::sim {
namespace {

using testing::HasSubstr;
using testing::Not;
using Kind = Chronicle::Kind;

constexpr uint64_t kSecond = 1'000'000;

Plan plan_of(size_t nodes) {
  Plan plan;
  plan.seed = 42;
  plan.workload = "story";
  plan.nodes = nodes;
  return plan;
}

Outcome violated(std::string text, uint64_t at_us) {
  Outcome outcome;
  outcome.oracle = "acknowledged";
  outcome.violation = std::move(text);
  outcome.violated_at_us = at_us;
  outcome.virtual_us = at_us;
  return outcome;
}

size_t times_in(const std::string& text, std::string_view part) {
  size_t times = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

TEST(Timeline, HasTitleLanesViolationAndTheCommandToRunItAgain) {
  Chronicle chronicle;
  chronicle.add({.kind = Kind::phase, .at_us = 0, .text = "set-up"});
  for (size_t machine = 0; machine < 3; ++machine) {
    chronicle.add({.kind = Kind::up, .at_us = machine * kSecond, .machine = machine});
  }
  chronicle.add(
      {.kind = Kind::fault, .at_us = 5 * kSecond, .until_us = 8 * kSecond, .machine = 0, .other = 2, .text = "cut"});
  chronicle.add(
      {.kind = Kind::message, .at_us = 4 * kSecond, .until_us = 4'200'000, .machine = 0, .other = 1, .bytes = 77});
  chronicle.add({.kind = Kind::message, .at_us = 6 * kSecond, .machine = 0, .other = 2, .bytes = 78});
  chronicle.add({.kind = Kind::violation, .at_us = 9 * kSecond, .machine = 1, .text = "acknowledged"});
  const std::string page = draw_timeline(plan_of(3), violated("machine 1 lost own/1/17", 9 * kSecond), chronicle,
                                         {"1a2b3c4", "sereus-sim replay 42"});
  for (const char* const part :
       {"Seed 42 of story", "1a2b3c4", "sereus-sim replay 42", "machine 1 lost own/1/17",
        "violated: acknowledged at 9 s", "machine 0</text>", "machine 2</text>", "0 to 1, 77 bytes</title>",
        "0 to 2, 78 bytes, lost</title>", "class='band'", "circle class='violation'", "set-up"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_EQ(times_in(page, "http"), times_in(page, "http://www.w3.org/2000/svg"));  // nothing is fetched
}

TEST(Timeline, NothingOfARunIsMarkup) {
  const std::string evil = "</title><script>&\"'\x01\xff\xc3";
  Chronicle chronicle;
  for (const Kind kind : {Kind::up, Kind::down, Kind::fault, Kind::action, Kind::message, Kind::connected, Kind::event,
                          Kind::violation, Kind::phase}) {
    for (uint64_t i = 1; i < 50; ++i) {
      chronicle.add(
          {.kind = kind, .at_us = i * kSecond, .until_us = i * kSecond + 5, .machine = 0, .other = 1, .text = evil});
    }
    chronicle.add({.kind = kind, .at_us = kSecond, .text = evil});
  }
  Plan plan = plan_of(2);
  plan.workload = evil;
  Outcome outcome = violated(evil, 60 * kSecond);
  outcome.oracle = evil;
  const std::string page = draw_timeline(plan, outcome, chronicle, {evil, evil});
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, HasSubstr("&lt;/title&gt;&lt;script&gt;&amp;&quot;&#39;"));
  EXPECT_EQ(page.find('\xff'), std::string::npos);
  EXPECT_EQ(page.find('\x01'), std::string::npos);
}

TEST(Timeline, AFullChronicleOfManyMachinesStaysSmall) {
  Chronicle chronicle;
  constexpr size_t kMachines = 20;
  for (uint64_t i = 0; i <= Chronicle::kNotesMax; ++i) {
    constexpr Kind kKinds[] = {Kind::message, Kind::message, Kind::fault, Kind::action,
                               Kind::event,   Kind::up,      Kind::down,  Kind::message};
    chronicle.add({.kind = kKinds[i % 8],
                   .at_us = i * 3000,
                   .until_us = i % 5 == 0 ? 0 : i * 3000 + 90'000,
                   .machine = i * 7 % kMachines,
                   .other = i * 11 % kMachines,
                   .bytes = 100,
                   .text = "some words that are not short: " + std::to_string(i)});
  }
  const std::string page = draw_timeline(plan_of(kMachines), violated("too much", 601 * kSecond), chronicle, {"", ""});
  EXPECT_LT(page.size(), kTimelineBytes);
  EXPECT_THAT(page, HasSubstr("messages are drawn as"));
  EXPECT_THAT(page, HasSubstr("actions are drawn as"));
  EXPECT_THAT(page, HasSubstr("faults are not drawn"));
  EXPECT_THAT(page, HasSubstr("1 later notes were not kept"));
}

TEST(Timeline, AnEmptyRunAndMachinesThatAreNotThereAreDrawn) {
  EXPECT_THAT(draw_timeline(plan_of(1), {}, {}, {"", ""}), HasSubstr("All oracles held"));
  Chronicle chronicle;
  for (const Kind kind : {Kind::up, Kind::fault, Kind::action, Kind::message, Kind::connected, Kind::violation}) {
    chronicle.add({.kind = kind, .at_us = 5, .until_us = 7, .machine = 9, .other = 12});
  }
  EXPECT_THAT(draw_timeline(plan_of(2), violated("x", 0), chronicle, {"", ""}), HasSubstr("</html>"));
}

TEST(Timeline, TheTableEndsWithTheViolation) {
  Chronicle chronicle;
  for (uint64_t i = 0; i < 200; ++i) {
    chronicle.add(
        {.kind = Kind::action, .at_us = i * kSecond, .machine = 0, .text = "write " + std::to_string(i) + "."});
    chronicle.add({.kind = Kind::message, .at_us = i * kSecond, .until_us = i * kSecond + 9, .machine = 0, .other = 1});
  }
  const std::string page = draw_timeline(plan_of(2), violated("x", 150 * kSecond), chronicle, {"", ""});
  const std::string table = page.substr(page.find("<table>"));
  EXPECT_EQ(times_in(table, "<tr>"), 61u);
  EXPECT_THAT(table, HasSubstr("write 150."));
  EXPECT_THAT(table, HasSubstr("write 91."));
  EXPECT_THAT(table, Not(HasSubstr("write 90.")));
  EXPECT_THAT(table, Not(HasSubstr("write 151.")));
}

TEST(TimeScale, QuietTimeIsCutShort) {
  std::vector<uint64_t> times;
  for (uint64_t i = 0; i <= 60; ++i) times.push_back(i * kSecond);
  times.push_back(4 * 3600 * kSecond);
  const TimeScale scale(0, 4 * 3600 * kSecond + 10 * kSecond, times, 100, 1000);
  ASSERT_EQ(scale.breaks().size(), 1u);
  EXPECT_GT(scale.x(60 * kSecond), 700);
  EXPECT_NEAR(scale.x(4 * 3600 * kSecond + 10 * kSecond), 1100, 0.01);
  EXPECT_NEAR(scale.x(UINT64_MAX), 1100, 0.01);
  double before = -1;
  for (uint64_t at = 0; at <= 4 * 3600 * kSecond; at += 700'000) {
    EXPECT_GE(scale.x(at), before);
    before = scale.x(at);
  }
}

TEST(TimeScale, LabelsDoNotOverlap) {
  for (const uint64_t until :
       {uint64_t{3}, uint64_t{900}, kSecond / 3, 17 * kSecond, 900 * kSecond, 40'000 * kSecond}) {
    const TimeScale scale(0, until, {0, until / 5, until / 4, until}, 0, 1200);
    const auto ticks = scale.ticks();
    for (size_t i = 1; i < ticks.size(); ++i) {
      const double label = static_cast<double>(ticks[i].label.size()) * 6.3;
      EXPECT_GE(ticks[i].x - ticks[i - 1].x, label) << ticks[i].label << " until " << until;
      EXPECT_NE(ticks[i].label, ticks[i - 1].label);
    }
    EXPECT_LE(ticks.size(), 20u);
  }
}

TEST(TimeScale, ClockLabels) {
  EXPECT_EQ(clock_label(12'500'000, 500'000), "12.5 s");
  EXPECT_EQ(clock_label(12'000'000, 2'000'000), "12 s");
  EXPECT_EQ(clock_label(125'250'000, 250'000), "2:05.25");
  EXPECT_EQ(clock_label(3'725'000'000, 5'000'000), "1:02:05");
}

TEST(Describe, WordsOfDurationsNumbersAndFaults) {
  EXPECT_EQ(duration_in_words(0), "0 us");
  EXPECT_EQ(duration_in_words(1500), "1.5 ms");
  EXPECT_EQ(duration_in_words(12'250'000), "12.25 s");
  EXPECT_EQ(duration_in_words(125'000'000), "2 min 5 s");
  EXPECT_EQ(duration_in_words(16'200'000'000), "4 h 30 min");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
  Fault fault;
  fault.kind = FaultKind::power_cut;
  fault.at_us = 12 * kSecond;
  fault.for_us = 3 * kSecond;
  fault.machine = 2;
  fault.amount = 17;
  EXPECT_EQ(in_words(fault), "at 12 s, machine 2: power_cut, after 17 disk operations, for 3 s");
  fault = {};
  fault.kind = FaultKind::partition;
  fault.at_us = kSecond;
  fault.for_us = kSecond;
  fault.amount = 0b101;
  EXPECT_EQ(in_words(fault), "at 1 s: partition, machines 0, 2 from the others, for 1 s");
  fault = {};
  fault.kind = FaultKind::lost;
  fault.amount = 12'500;
  EXPECT_EQ(in_words(fault), "all the time, all paths: lost, 1.25 %");
  fault.kind = FaultKind::clock_skew;
  fault.amount = -1'500'000;
  EXPECT_EQ(in_words(fault), "all the time, machine 0: clock_skew, -1.5 s");
}

}  // namespace
}  // namespace sereus::sim
