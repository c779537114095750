// Who gets in and who stays out, with whole nodes on the simulated network.
#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

class Membership : public NodeWorld {};

TEST_F(Membership, an_invited_device_gets_every_store_and_writes_into_it) {
  ASSERT_EQ(put(alice(), store_of_alice, "from", "alice").status, Code::ok);
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  EXPECT_TRUE(arrives(bob(), "shared", "from", "alice"));
  ASSERT_EQ(put(bob(), handle(bob(), "shared"), "back", "bob").status, Code::ok);
  EXPECT_TRUE(arrives(alice(), "shared", "back", "bob"));
  // A store made later appears by itself.
  ASSERT_NE(create_store("later"), 0u);
  EXPECT_TRUE(world.run_until([&] { return handle(bob(), "later") != 0; }, 60 * kSecondUs));
}

TEST_F(Membership, a_declared_store_that_could_not_be_made_is_made_later) {
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  ASSERT_TRUE(world.run_until([&] { return handle(bob(), "shared") != 0; }, 60 * kSecondUs));
  // One operation of bob's disk fails, each in turn: some while the root's entry is written, some while the store is made.
  for (uint64_t operation = 1; operation <= 40; ++operation) {
    const std::string name = "store " + std::to_string(operation);
    bob().disk().fail_at(bob().disk().operations() + operation, Code::io);
    ASSERT_NE(create_store(name), 0u);
    EXPECT_TRUE(world.run_until([&] { return handle(bob(), name) != 0; }, 60 * kSecondUs)) << operation;
    bob().disk().fail_at(0, Code::io);
  }
}

TEST_F(Membership, a_long_history_of_the_root_store_arrives_at_once) {
  for (int i = 0; i < 40; ++i) ASSERT_NE(create_store("store " + std::to_string(i)), 0u);
  const uint64_t before = world.scheduler.now_us();
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  EXPECT_LT(world.scheduler.now_us() - before, 2 * kSecondUs);
}

TEST_F(Membership, an_invite_is_single_use_and_its_holder_may_repeat_a_lost_answer) {
  const Bytes text = invite();
  ASSERT_EQ(join(bob(), text).status, Code::ok);
  EXPECT_EQ(join(mallory(), text).status, Code::denied);
  EXPECT_TRUE(stores(mallory()).empty());
  EXPECT_EQ(join(bob(), text).status, Code::ok) << "the same device may ask again";
}

TEST_F(Membership, a_join_ends_when_its_node_goes_offline) {
  const Bytes text = invite();
  ASSERT_EQ(join(bob(), text).status, Code::ok);
  // Mallory's join, with what bob has used up, reaches an issuer that does not answer for a while.
  alice().freeze(20 * kSecondUs);
  Request request;
  request.kind = RequestKind::join;
  request.x = text;
  const uint64_t first = mallory().submit(request);
  world.run_for(kSecondUs);
  Request online;
  online.kind = RequestKind::set_online;
  ASSERT_EQ(world.call(mallory(), online).status, Code::ok);
  ASSERT_TRUE(world.run_until([&] { return mallory().done(first) != nullptr; }, kSecondUs));
  EXPECT_EQ(mallory().done(first)->status, Code::unreachable);
  // The next one has its own answer, though its stream may have the number of the first.
  online.a = 1;
  ASSERT_EQ(world.call(mallory(), online).status, Code::ok);
  world.run_for(30 * kSecondUs);
  EXPECT_EQ(join(mallory(), text).status, Code::denied);
  EXPECT_EQ(join(mallory(), invite()).status, Code::ok);
}

TEST_F(Membership, a_refused_first_write_does_not_take_others_with_it) {
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  ASSERT_TRUE(world.run_until([&] { return handle(bob(), "shared") != 0; }, 60 * kSecondUs));
  Request request;
  request.kind = RequestKind::store_write;
  request.store = handle(bob(), "shared");
  request.writes.emplace_back();  // without a key
  (void)bob().submit(request);    // goes alone, as there is nothing else by then
  const uint64_t refused = bob().submit(request);
  request.writes.front().key = to_bytes("key");
  request.writes.front().value = to_bytes("value");
  const uint64_t written = bob().submit(request);
  ASSERT_TRUE(world.run_until([&] { return bob().done(refused) && bob().done(written); }, 60 * kSecondUs));
  EXPECT_EQ(bob().done(refused)->status, Code::invalid);
  EXPECT_EQ(bob().done(written)->status, Code::ok) << bob().done(written)->detail;
  EXPECT_TRUE(arrives(alice(), "shared", "key", "value"));
}

TEST_F(Membership, an_invite_for_one_peer_is_refused_to_another) {
  const Bytes text = invite(0, 0, 0, info(bob()).peer);
  EXPECT_EQ(join(mallory(), text).status, Code::denied);
  EXPECT_EQ(join(bob(), text).status, Code::ok);
}

TEST_F(Membership, an_expired_invite_is_refused_by_both_sides) {
  const Bytes text = invite(0, 0, 60);
  world.run_for(120 * kSecondUs);
  EXPECT_EQ(join(bob(), text).status, Code::expired);
  // A device whose clock is behind does not see it; the issuer does.
  mallory().wall_offset_us = -600 * static_cast<int64_t>(kSecondUs);
  EXPECT_EQ(join(mallory(), text).status, Code::expired);
}

TEST_F(Membership, a_revoked_invite_is_refused) {
  const Bytes text = invite();
  Request revoke;
  revoke.kind = RequestKind::invite_revoke;
  revoke.x = text;
  ASSERT_EQ(world.call(alice(), revoke).status, Code::ok);
  EXPECT_EQ(join(bob(), text).status, Code::denied);
}

TEST_F(Membership, a_stranger_with_a_forged_token_learns_nothing) {
  auto forged = node::invite_from_text(as_text(invite()));
  ASSERT_TRUE(forged.ok());
  forged->token.fill(0);
  const node::Event refused = join(mallory(), to_bytes(node::invite_to_text(*forged)));
  EXPECT_EQ(refused.status, Code::denied);
  EXPECT_TRUE(stores(mallory()).empty());
  // A stranger's connection is ended after a while.
  world.run_for(40 * kSecondUs);
  EXPECT_EQ(info(alice()).connections, 0u);
}

TEST_F(Membership, a_reader_receives_and_cannot_write) {
  ASSERT_EQ(join(bob(), invite(static_cast<uint64_t>(node::Role::read))).status, Code::ok);
  ASSERT_EQ(put(alice(), store_of_alice, "key", "value").status, Code::ok);
  EXPECT_TRUE(arrives(bob(), "shared", "key", "value"));
  EXPECT_EQ(put(bob(), handle(bob(), "shared"), "key", "mine").status, Code::denied);
  Request create;
  create.kind = RequestKind::store_create;
  create.store = stores(bob()).front().root;
  create.x = to_bytes("not allowed");
  EXPECT_EQ(world.call(bob(), create).status, Code::denied);
}

TEST_F(Membership, a_removed_device_is_cut_off_and_what_it_wrote_before_stays) {
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  ASSERT_TRUE(world.run_until([&] { return handle(bob(), "shared") != 0; }, 60 * kSecondUs));
  ASSERT_EQ(put(bob(), handle(bob(), "shared"), "before", "kept").status, Code::ok);
  ASSERT_TRUE(arrives(alice(), "shared", "before", "kept"));
  Request remove;
  remove.kind = RequestKind::peer_remove;
  remove.x = to_bytes(info(bob()).peer);
  ASSERT_EQ(world.call(alice(), remove).status, Code::ok);
  ASSERT_EQ(put(alice(), store_of_alice, "secret", "after the removal").status, Code::ok);
  (void)put(bob(), handle(bob(), "shared"), "late", "must not arrive");
  world.run_for(120 * kSecondUs);
  EXPECT_EQ(get(bob(), handle(bob(), "shared"), "secret"), "");
  EXPECT_EQ(get(alice(), store_of_alice, "late"), "");
  EXPECT_EQ(get(alice(), store_of_alice, "before"), "kept");
}

TEST_F(Membership, a_deleted_store_is_archived_everywhere) {
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  ASSERT_EQ(put(alice(), store_of_alice, "key", "value").status, Code::ok);
  ASSERT_TRUE(arrives(bob(), "shared", "key", "value"));
  Request remove;
  remove.kind = RequestKind::store_delete;
  remove.store = store_of_alice;
  ASSERT_EQ(world.call(alice(), remove).status, Code::ok);
  const uint64_t at_bob = handle(bob(), "shared");
  ASSERT_TRUE(world.run_until([&] { return put(bob(), at_bob, "x", "y").status == Code::archived; }, 60 * kSecondUs));
  EXPECT_EQ(get(bob(), at_bob, "key"), "value") << "its data stays readable";
}

TEST_F(Membership, a_sync_waits_until_both_are_equal) {
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  ASSERT_TRUE(world.run_until([&] { return handle(bob(), "shared") != 0; }, 60 * kSecondUs));
  world.network.cut(0, 1, true);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(put(alice(), store_of_alice, "k" + std::to_string(i), "v").status, Code::ok);
  world.run_for(30 * kSecondUs);
  Request sync;
  sync.kind = RequestKind::sync;
  EXPECT_EQ(world.call(bob(), sync, 120 * kSecondUs).status, Code::unreachable);
  world.network.cut(0, 1, false);
  const node::Event done = world.call(bob(), sync, 120 * kSecondUs);
  EXPECT_EQ(done.status, Code::ok) << done.detail;
  EXPECT_EQ(get(bob(), handle(bob(), "shared"), "k49"), "v");
}

TEST_F(Membership, closing_while_a_store_is_being_made_leaves_nothing_open) {
  for (uint64_t wait_us = 0; wait_us < 12'000; wait_us += 500) {
    Request create;
    create.kind = RequestKind::store_create;
    create.x = to_bytes("in the making");
    const uint64_t op = alice().submit(create);
    world.run_for(wait_us);
    alice().stop();
    ASSERT_TRUE(world.run_until([&] { return alice().stopped(); }, 60 * kSecondUs));
    EXPECT_NE(alice().done(op), nullptr);
    EXPECT_EQ(alice().done_violations(), 0u);
    ASSERT_TRUE(alice().start().ok());
  }
}

TEST_F(Membership, clocks_of_1970_and_2050_are_reported_and_work_goes_on) {
  ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  ASSERT_TRUE(world.run_until([&] { return handle(bob(), "shared") != 0; }, 60 * kSecondUs));
  (void)bob().take_events();
  bob().wall_offset_us = -bob().times().wall_us;  // 1970
  ASSERT_EQ(put(bob(), handle(bob(), "shared"), "old", "clock").status, Code::ok);
  EXPECT_TRUE(arrives(alice(), "shared", "old", "clock"));
  bool told = false;
  for (const node::Event& event : bob().take_events()) told |= event.kind == node::EventKind::clock_suspect;
  EXPECT_TRUE(told);
  // Entries of 2050 are kept and held until their time; the writer itself reads them.
  bob().wall_offset_us += int64_t{2'540'000'000} * 1'000'000;
  ASSERT_EQ(put(bob(), handle(bob(), "shared"), "new", "clock").status, Code::ok);
  EXPECT_EQ(get(bob(), handle(bob(), "shared"), "new"), "clock");
  ASSERT_EQ(put(alice(), store_of_alice, "mine", "still works").status, Code::ok);
}

}  // namespace
}  // namespace sereus::sim
