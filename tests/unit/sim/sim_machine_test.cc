// Machines have clocks of their own, and their processes stand still, sleep and die as real ones do.
#include "sim/sim_machine.h"

#include <gtest/gtest.h>

#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

// ---- Clocks ---------------------------------------------------------------------------------------------------------

TEST(LocalClock, DriftsWithBothClocksAndFindsTheTrueTimeExactly) {
  SimRandom draws(1);
  for (const int32_t ppm : {0, 1, -1, 200, -200, 33'333, -33'333, 100'000, -100'000}) {
    LocalClock clock;
    clock.boot(1'000'000, 5'000'000);
    clock.set_drift(1'000'000, ppm);
    const Times begin = clock.at(1'000'000);
    EXPECT_EQ(begin.mono_us, 5'000'000u);
    const Times later = clock.at(1'001'000'000);
    EXPECT_EQ(static_cast<int64_t>(later.mono_us - begin.mono_us), 1'000'000'000 + int64_t{1'000} * ppm);
    EXPECT_EQ(later.wall_us - begin.wall_us, 1'000'000'000 + int64_t{1'000} * ppm);
    for (int i = 0; i < 2'000; ++i) {
      const uint64_t wanted = begin.mono_us + 1 + draws.below(i < 1'000 ? 3'000'000 : 100'000'000'000);
      const uint64_t due = clock.true_time_of(wanted);
      EXPECT_GE(clock.at(due).mono_us, wanted) << "never early";
      EXPECT_LT(clock.at(due - 1).mono_us, wanted) << "and not late";
    }
    uint64_t last = 0;
    for (uint64_t t = 1'000'000; t < 1'010'000; ++t) {
      EXPECT_GE(clock.at(t).mono_us, last);
      last = clock.at(t).mono_us;
    }
  }
}

TEST(LocalClock, FarTimesAreAnsweredWithOneBefore) {
  LocalClock clock;
  clock.boot(0, 1'000'000);
  const uint64_t due = clock.true_time_of(kNever - 1);
  EXPECT_GT(due, 1'000'000'000u);
  EXPECT_LT(due, kNever / 2);
}

TEST(LocalClock, OnlyTheWallClockGoesOnInSleep) {
  LocalClock clock;
  clock.boot(0, 1'000);
  clock.sleep(10'000);
  const Times before = clock.at(10'000);
  const Times during = clock.at(3'000'000);
  EXPECT_EQ(during.mono_us, before.mono_us);
  EXPECT_EQ(during.wall_us, before.wall_us + 2'990'000);
  clock.wake_up(4'000'000);
  EXPECT_EQ(clock.at(4'000'100).mono_us, before.mono_us + 100);
  EXPECT_EQ(clock.at(4'000'100).wall_us, before.wall_us + 3'990'100);
  EXPECT_EQ(clock.true_time_of(before.mono_us + 100), 4'000'100u);
}

TEST(SimMachine, TheMonotonicClockBeginsAnewWithPowerAndNotWithAProcess) {
  crypto::init();
  World world(3, 2);
  SimMachine& machine = *world.machines[0];
  machine.drift_ppm = 1'000;
  ASSERT_TRUE(machine.start().ok());
  ASSERT_TRUE(world.machines[1]->start().ok());
  EXPECT_NE(machine.times().mono_us, world.machines[1]->times().mono_us);
  const Times first = machine.times();
  world.run_for(kSecondUs);
  EXPECT_EQ(machine.times().mono_us, first.mono_us + kSecondUs + 1'000);
  machine.wall_offset_us -= 3'600 * static_cast<int64_t>(kSecondUs);
  EXPECT_EQ(machine.times().mono_us, first.mono_us + kSecondUs + 1'000) << "a jump is of the wall clock";
  EXPECT_LT(machine.times().wall_us, first.wall_us);
  machine.kill();
  world.run_for(kSecondUs);
  ASSERT_TRUE(machine.start().ok());
  EXPECT_EQ(machine.times().mono_us, first.mono_us + 2 * (kSecondUs + 1'000));
  const int64_t wall_us = machine.times().wall_us;
  machine.lose_power();
  world.run_for(kSecondUs);
  ASSERT_TRUE(machine.start().ok());
  EXPECT_EQ(machine.times().wall_us, wall_us + static_cast<int64_t>(kSecondUs) + 1'000);
  EXPECT_NE(machine.times().mono_us, first.mono_us + 3 * (kSecondUs + 1'000));
}

// ---- Standing still -------------------------------------------------------------------------------------------------

class SimMachineTest : public NodeWorld {
 protected:
  void SetUp() override {
    NodeWorld::SetUp();
    ASSERT_EQ(join(bob(), invite()).status, Code::ok);
    ASSERT_TRUE(world.run_until([&] { return handle(bob(), "shared") != 0; }, 60 * kSecondUs));
    world.run_for(kSecondUs);
  }
  Request write(uint64_t store, std::string_view key) {
    Request request;
    request.kind = RequestKind::store_write;
    request.store = store;
    store::WriteOp op;
    op.key = to_bytes(key);
    op.value = to_bytes("value");
    request.writes.push_back(op);
    return request;
  }
};

TEST_F(SimMachineTest, AFrozenProcessDoesNothingAndGoesOnAfterwards) {
  const uint64_t store_of_bob = handle(bob(), "shared");
  const uint64_t steps = bob().steps();
  const Times before = bob().times();
  bob().freeze(6 * kSecondUs);
  EXPECT_TRUE(bob().halted());
  const uint64_t op = bob().submit(write(store_of_bob, "given meanwhile"));
  ASSERT_EQ(put(alice(), store_of_alice, "while", "frozen").status, Code::ok);
  world.run_for(5 * kSecondUs);
  EXPECT_EQ(bob().steps(), steps);
  EXPECT_EQ(bob().done(op), nullptr);
  EXPECT_GE(bob().times().mono_us, before.mono_us + 5 * kSecondUs) << "its clocks go on";
  EXPECT_EQ(get(bob(), store_of_bob, "while"), "");
  EXPECT_TRUE(arrives(bob(), "shared", "while", "frozen"));
  EXPECT_TRUE(world.run_until([&] { return bob().done(op) != nullptr; }, 5 * kSecondUs));
  EXPECT_EQ(bob().done(op)->status, Code::ok);
  EXPECT_TRUE(arrives(alice(), "shared", "given meanwhile", "value"));
}

TEST_F(SimMachineTest, FrozenInTheMiddleOfJobsAndForLong) {
  for (const uint64_t for_us : {uint64_t{1}, uint64_t{50'000}, 120 * kSecondUs}) {
    const std::string key = "k" + std::to_string(for_us);
    const uint64_t op = bob().submit(write(handle(bob(), "shared"), key));
    world.run_for(500);
    bob().freeze(for_us);
    world.run_for(for_us > 1 ? for_us - 1 : 0);
    EXPECT_TRUE(world.run_until([&] { return bob().done(op) != nullptr; }, 5 * kSecondUs));
    EXPECT_TRUE(arrives(alice(), "shared", key, "value"));
  }
}

TEST_F(SimMachineTest, AFrozenProcessCanBeKilledAndStarted) {
  bob().freeze(100 * kSecondUs);
  const uint64_t op = bob().submit(write(handle(bob(), "shared"), "never"));
  world.run_for(kSecondUs);
  bob().kill();
  EXPECT_FALSE(bob().halted());
  ASSERT_TRUE(bob().start().ok());
  ASSERT_EQ(put(alice(), store_of_alice, "after", "all").status, Code::ok);
  EXPECT_TRUE(arrives(bob(), "shared", "after", "all"));
  EXPECT_EQ(bob().done(op), nullptr);
  world.run_for(100 * kSecondUs);
  EXPECT_TRUE(bob().running() && !bob().halted());
}

TEST_F(SimMachineTest, AMachineThatSleepsMissesEverythingAndCatchesUp) {
  for (const uint64_t for_us : {3 * kSecondUs, 3'600 * kSecondUs}) {
    const std::string value = std::to_string(for_us);
    const Times before = bob().times();
    const uint64_t steps = bob().steps();
    const uint64_t slept_at = world.scheduler.now_us();
    bob().sleep(for_us);
    ASSERT_EQ(put(alice(), store_of_alice, "while asleep", value).status, Code::ok);
    world.run_for(slept_at + for_us - 1 - world.scheduler.now_us());
    EXPECT_EQ(bob().steps(), steps);
    EXPECT_EQ(bob().times().mono_us, before.mono_us);
    EXPECT_EQ(bob().times().wall_us, before.wall_us + static_cast<int64_t>(for_us) - 1);
    EXPECT_TRUE(arrives(bob(), "shared", "while asleep", value));
    EXPECT_FALSE(bob().halted());
    ASSERT_EQ(put(bob(), handle(bob(), "shared"), "awake", value).status, Code::ok);
    EXPECT_TRUE(arrives(alice(), "shared", "awake", value));
  }
}

TEST_F(SimMachineTest, SleepAndFreezeOverlapAndEndEarlyWhenToldTo) {
  bob().freeze(10 * kSecondUs);
  bob().sleep(5 * kSecondUs);
  world.run_for(7 * kSecondUs);
  EXPECT_TRUE(bob().halted());
  EXPECT_FALSE(world.network.topology.asleep(1));
  world.run_for(4 * kSecondUs);
  EXPECT_FALSE(bob().halted());
  bob().sleep(1'000 * kSecondUs);
  bob().freeze(1'000 * kSecondUs);
  world.run_for(kSecondUs);
  bob().go_on();
  EXPECT_FALSE(bob().halted());
  ASSERT_EQ(put(alice(), store_of_alice, "up", "again").status, Code::ok);
  EXPECT_TRUE(arrives(bob(), "shared", "up", "again"));
}

// ---- Dying ----------------------------------------------------------------------------------------------------------

TEST_F(SimMachineTest, AKilledProcessLosesNothingThatWasWrittenAndIsMissedAtOnce) {
  ASSERT_EQ(put(bob(), handle(bob(), "shared"), "kept", "value").status, Code::ok);
  world.run_for(kSecondUs);
  ASSERT_GT(info(alice()).connections, 0u);
  bob().kill();
  EXPECT_TRUE(bob().stopped());
  world.run_for(kSecondUs);
  EXPECT_EQ(info(alice()).connections, 0u);
  ASSERT_TRUE(bob().start().ok());
  EXPECT_EQ(get(bob(), handle(bob(), "shared"), "kept"), "value");
  ASSERT_EQ(put(alice(), store_of_alice, "news", "for bob").status, Code::ok);
  EXPECT_TRUE(arrives(bob(), "shared", "news", "for bob"));
}

TEST(SimMachine, RealHostsComeThroughFreezeSleepAndKill) {
  for (const Transport transport : {Transport::quic, Transport::tcp}) {
    crypto::init();
    World world(51, 2, transport);
    SimMachine& alice = *world.machines[0];
    SimMachine& bob = *world.machines[1];
    uint64_t heard = 0;
    alice.on_log = [&](std::string_view line) { heard += line.find(": ") != std::string_view::npos ? 1 : 0; };
    ASSERT_NO_FATAL_FAILURE(start_all(world));
    Request create;
    create.kind = RequestKind::store_create;
    create.x = to_bytes("shared");
    const uint64_t store = world.call(alice, create).store;
    Request invite;
    invite.kind = RequestKind::invite_create;
    Request join;
    join.kind = RequestKind::join;
    join.x = world.call(alice, invite).data;
    ASSERT_EQ(world.call(bob, join).status, Code::ok);
    const auto arrives = [&](std::string_view key) {
      Request request;
      request.kind = RequestKind::store_write;
      request.store = store;
      store::WriteOp op;
      op.key = to_bytes(key);
      op.value = to_bytes(key);
      request.writes.push_back(op);
      EXPECT_EQ(world.call(alice, request).status, Code::ok);
      return world.run_until(
          [&] {
            Query open;
            open.kind = QueryKind::store_open;
            open.x = to_bytes("shared");
            const auto row = bob.query(open);
            if (!row.ok()) return false;
            Query get;
            get.kind = QueryKind::get;
            get.store = std::get<std::vector<node::StoreRow>>(*row).front().store;
            get.x = to_bytes(key);
            return bob.query(get).ok();
          },
          180 * kSecondUs);
    };
    EXPECT_TRUE(arrives("first"));
    bob.freeze(4 * kSecondUs);
    EXPECT_TRUE(arrives("frozen")) << name_of(transport);
    EXPECT_FALSE(bob.halted());
    bob.freeze(200 * kSecondUs);
    EXPECT_FALSE(arrives("frozen for long")) << name_of(transport);
    EXPECT_TRUE(arrives("afterwards")) << name_of(transport);
    const uint64_t links = world.network.links.stats().connected;
    bob.sleep(4 * kSecondUs);
    EXPECT_TRUE(arrives("slept")) << name_of(transport);
    EXPECT_EQ(world.network.links.stats().connected, links) << "a nap breaks no link";
    bob.sleep(900 * kSecondUs);
    EXPECT_FALSE(arrives("slept for long"));
    world.run_for(900 * kSecondUs);
    EXPECT_TRUE(arrives("awake")) << name_of(transport);
    bob.kill();
    world.run_for(kSecondUs);
    ASSERT_TRUE(bob.start().ok());
    EXPECT_TRUE(arrives("killed")) << name_of(transport);
    EXPECT_LT(bob.busiest_second(), 20'000u);
    EXPECT_GT(heard, 0u);
    EXPECT_EQ(alice.log_lines().size(), heard);
  }
}

// ---- What is recorded -----------------------------------------------------------------------------------------------

TEST_F(SimMachineTest, StepsOfIdleNodesAreFewWhateverTheirClocksDo) {
  world.run_for(60 * kSecondUs);
  const uint64_t before = alice().steps();
  world.run_for(600 * kSecondUs);
  const uint64_t straight = alice().steps() - before;
  EXPECT_LT(straight, 600u * 50);
  EXPECT_GE(alice().busiest_second(), 1u);
  for (const int32_t ppm : {-50'000, 50'000}) {
    alice().lose_power();
    alice().drift_ppm = ppm;
    ASSERT_TRUE(alice().start().ok());
    world.run_for(60 * kSecondUs);
    const uint64_t then = alice().steps();
    world.run_for(600 * kSecondUs);
    EXPECT_LT(alice().steps() - then, straight * 2 + 1'000) << ppm;
  }
}

TEST(SimMachine, TheLogIsBoundedAndHeard) {
  SimLog log;
  for (int i = 0; i < 3'000; ++i) log.write(LogLevel::warn, "net", std::to_string(i));
  ASSERT_EQ(log.lines().size(), SimLog::kLinesMax);
  EXPECT_EQ(log.lines().front(), "warn net: 1000");
  EXPECT_EQ(log.lines().back(), "warn net: 2999");
}

TEST_F(SimMachineTest, TheChronicleSaysWhoWasUpAndWhy) {
  Chronicle chronicle;
  bob().set_chronicle(&chronicle);
  world.network.set_chronicle(&chronicle);
  bob().kill();
  ASSERT_TRUE(bob().start().ok());
  bob().lose_power();
  ASSERT_TRUE(bob().start().ok());
  bob().stop();
  ASSERT_TRUE(world.run_until([&] { return bob().stopped(); }, 60 * kSecondUs));
  std::vector<std::string> downs;
  size_t ups = 0;
  for (const Chronicle::Note& note : chronicle.notes()) {
    ups += note.kind == Chronicle::Kind::up ? 1 : 0;
    if (note.kind == Chronicle::Kind::down) downs.push_back(note.text);
  }
  EXPECT_EQ(ups, 2u);
  EXPECT_EQ(downs, (std::vector<std::string>{"killed", "power cut", "stopped"}));
}

}  // namespace
}  // namespace sereus::sim
