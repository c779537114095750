// Closing while jobs are under way: they come back to something that is still there.
#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

class Closing : public NodeWorld {};

// A slow read for a watch, still under way when the writer has nothing to do any more: the store waits for it. (Found by the
// story under AddressSanitizer; without that it may seem to pass.)
TEST_F(Closing, AStoreOutlivesWhatIsReadForItsWatches) {
  Request watch;
  watch.kind = RequestKind::store_watch;
  watch.store = store_of_alice;
  watch.a = UINT64_MAX;
  const uint64_t op = alice().submit(std::move(watch));
  world.run_for(kSecondUs);
  ASSERT_EQ(alice().done(op), nullptr);
  alice().jobs().hold_back(JobQueue::worker, 2 * kSecondUs);
  ASSERT_EQ(put(alice(), store_of_alice, "key", "value").status, Code::ok);
  alice().stop();
  world.run_for(kSecondUs);
  ASSERT_NE(alice().done(op), nullptr);
  EXPECT_EQ(alice().done(op)->status, Code::cancelled);
  EXPECT_FALSE(alice().stopped()) << "the read is under way";
  ASSERT_TRUE(world.run_until([&] { return alice().stopped(); }, 10 * kSecondUs));
  EXPECT_EQ(alice().done_violations(), 0u);
  alice().jobs().hold_back(JobQueue::worker, 0);
  ASSERT_TRUE(alice().start().ok());
  EXPECT_EQ(get(alice(), handle(alice(), "shared"), "key"), "value");
}

// Making the first store takes several steps (a root, its first entry, the store). Whenever closing begins, each step finds that
// the database is not the node's any more. (Found by the members workload, seed 5.)
TEST(ClosingEarly, AStoreThatIsBeingMadeIsMadeOrCancelled) {
  crypto::init();
  std::map<Code, int> answers;
  for (uint64_t delay_us = 0; delay_us < 60'000; delay_us += 500) {
    World world(42, 1);
    SimMachine& machine = *world.machines[0];
    ASSERT_TRUE(machine.start().ok());
    Request identity;
    identity.kind = RequestKind::identity_create;
    identity.x = to_bytes("machine");
    ASSERT_EQ(world.call(machine, identity).status, Code::ok);
    Request create;
    create.kind = RequestKind::store_create;
    create.x = to_bytes("shared");
    const uint64_t op = machine.submit(std::move(create));
    world.run_for(delay_us);
    machine.stop();
    ASSERT_TRUE(world.run_until([&] { return machine.stopped(); }, 60 * kSecondUs));
    ASSERT_NE(machine.done(op), nullptr);
    ++answers[machine.done(op)->status];
    EXPECT_EQ(machine.done_violations(), 0u);
    ASSERT_TRUE(machine.start().ok());
  }
  EXPECT_GT(answers[Code::ok], 0);
  EXPECT_GT(answers[Code::cancelled], 0);
}

}  // namespace
}  // namespace sereus::sim
