// Two sessions over real stores: they get in step from wherever they begin, however the bytes are cut, and resume where
// a broken stream left them.

#include "tests/unit/store/sync_pair.h"

namespace sereus::store {
namespace {

void write_some(Party& party, const Writer& writer, int count, size_t value_size = 20) {
  for (int i = 0; i < count; ++i) {
    party.replica.put(writer, "k" + std::to_string(i % 50), std::to_string(i) + std::string(value_size, 'v'));
  }
}

TEST(SyncSession, EmptyStoresAreInStepAtOnce) {
  Party a(1);
  Party b(2);
  Pipe pipe(a, b);
  pipe.open();
  ASSERT_TRUE(pipe.run());
  EXPECT_TRUE(pipe.left.synced() && pipe.right.synced());
  EXPECT_LT(pipe.carried(), 300u);
  EXPECT_EQ(pipe.left.session->deadline(), kNever);
  EXPECT_EQ(pipe.right.session->deadline(), kNever);
}

TEST(SyncSession, EqualStoresExchangeTwoFrames) {
  const Writer alice(1);
  Party a(1);
  Party b(2);
  write_some(a, alice, 100);
  MUST_OK(b.replica.pull_all(a.replica));
  Pipe pipe(a, b);
  pipe.open();
  ASSERT_TRUE(pipe.run());
  EXPECT_TRUE(pipe.left.synced() && pipe.right.synced());
  EXPECT_LT(pipe.carried(), 300u);
}

TEST(SyncSession, FullCatchUpInEitherDirection) {
  const Writer alice(1);
  for (const bool opener_has : {true, false}) {
    for (const size_t piece_max : {size_t{1}, size_t{7}, size_t{3000}, size_t{1} << 20}) {
      Party a(1);
      Party b(2);
      write_some(opener_has ? a : b, alice, 60);
      Pipe pipe(a, b, piece_max);
      pipe.piece_max = piece_max;
      pipe.open();
      ASSERT_TRUE(pipe.run());
      EXPECT_TRUE(pipe.left.synced() && pipe.right.synced());
      expect_equal(a, b);
      const SyncCounters got = (opener_has ? pipe.right : pipe.left).session->counters();
      EXPECT_EQ(got.entries_received, 60u);
      EXPECT_EQ(got.entries_missing, 0u);
      EXPECT_EQ((opener_has ? pipe.left : pipe.right).session->counters().entries_sent, 60u);
      MUST_OK(b.replica.store->verify());
    }
  }
}

TEST(SyncSession, BothDirectionsAtOnceAndMoreThanOneRange) {
  const Writer alice(1);
  const Writer bob(2);
  Party a(1);
  Party b(2);
  write_some(a, alice, 40, 100'000);  // about 4 MB each: several ranges, and the receiver stops the sender
  write_some(b, bob, 40, 100'000);
  Pipe pipe(a, b);
  pipe.open();
  ASSERT_TRUE(pipe.run());
  EXPECT_TRUE(pipe.left.synced() && pipe.right.synced());
  expect_equal(a, b);
  EXPECT_GT(pipe.left.outcomes.size(), 2u);
  EXPECT_GT(pipe.right.outcomes.size(), 2u);
  EXPECT_LT(pipe.carried(), 8'300'000u);
}

// What is durable is not sent again: over all attempts together, a broken stream costs a range under way each way.
TEST(SyncSession, ResumesAfterCutsAtDrawnBytes) {
  const Writer alice(1);
  const Writer bob(2);
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::TestRandom draws(seed);
    Party a(seed);
    Party b(seed + 100);
    write_some(a, alice, 120, 40'000);
    write_some(b, bob, 60, 20'000);
    Pipe pipe(a, b, seed);
    uint64_t cuts = 0;
    while (true) {
      pipe.open();
      if (pipe.run(draws.below(cuts % 4 == 3 ? 3'000 : 2'500'000))) break;
      ASSERT_LT(++cuts, 60u);
      MUST_OK(a.replica.store->verify());
      MUST_OK(b.replica.store->verify());
    }
    EXPECT_TRUE(pipe.left.synced() && pipe.right.synced());
    expect_equal(a, b);
    EXPECT_EQ(a.replica.stats().entries, 180u);
    EXPECT_GT(cuts, 2u);
    const uint64_t useful = a.replica.stats().log_bytes;
    EXPECT_LT(pipe.carried(), useful + (cuts + 1) * 2 * (kRangeBytesMax + 4096));
    for (const Status& outcome : pipe.left.outcomes) EXPECT_TRUE(outcome.ok());
    for (const Status& outcome : pipe.right.outcomes) EXPECT_TRUE(outcome.ok());
  }
}

TEST(SyncSession, WhatArrivedBeforeACutIsNotSentAgain) {
  const Writer alice(1);
  Party a(1);
  Party b(2);
  write_some(a, alice, 60, 100'000);
  Pipe pipe(a, b);
  pipe.open();
  ASSERT_FALSE(pipe.run(4'000'000));
  const uint64_t here = b.replica.stats().entries;
  EXPECT_GT(here, 20u);
  EXPECT_LT(here, 60u);
  pipe.open();
  ASSERT_TRUE(pipe.run());
  EXPECT_EQ(pipe.left.session->counters().entries_sent, 60 - here);
  EXPECT_EQ(pipe.right.session->counters().entries_received, 60 - here);
  expect_equal(a, b);
}

TEST(SyncSession, WhatIsWrittenLaterFollowsOnTheSameStream) {
  const Writer alice(1);
  const Writer bob(2);
  Party a(1);
  Party b(2);
  Pipe pipe(a, b);
  pipe.open();
  ASSERT_TRUE(pipe.run());
  for (int i = 0; i < 20; ++i) {
    a.put(alice, "from a", std::to_string(i));
    if (i % 3 == 0) b.put(bob, "from b", std::to_string(i));
    EXPECT_FALSE(pipe.left.synced());
    ASSERT_TRUE(pipe.run());
    EXPECT_TRUE(pipe.left.synced() && pipe.right.synced());
    expect_equal(a, b);
  }
}

TEST(SyncSession, WritesInTheMiddleOfACatchUp) {
  const Writer alice(1);
  const Writer bob(2);
  for (uint64_t cut = 0; cut < 40'000; cut += 1'700) {
    Party a(1);
    Party b(2);
    write_some(a, alice, 30, 1000);
    Pipe pipe(a, b, cut);
    pipe.piece_max = 900;
    pipe.open();
    pipe.run(cut);
    a.put(alice, "more", "a");
    b.put(bob, "more", "b");
    ASSERT_TRUE(pipe.run());
    EXPECT_TRUE(pipe.run_until_synced()) << cut;
    expect_equal(a, b);
  }
}

// a - b - c: what a writes reaches c, which never meets a, and the other way round.
TEST(SyncSession, AThirdAuthorsEntriesArePassedOn) {
  const Writer alice(1);
  const Writer bob(2);
  const Writer carol(3);
  Party a(1);
  Party b(2);
  Party c(3);
  write_some(a, alice, 10);
  write_some(b, bob, 5);
  write_some(c, carol, 7);
  Pipe ab(a, b, 1);
  Pipe bc(b, c, 2);
  ab.open();
  bc.open();
  for (int round = 0; round < 6; ++round) {
    ASSERT_TRUE(ab.run());
    ASSERT_TRUE(bc.run());
    ab.elapse();
    bc.elapse();
  }
  for (const End* end : {&ab.left, &ab.right, &bc.left, &bc.right}) EXPECT_TRUE(end->synced());
  expect_equal(a, b);
  expect_equal(a, c);
  c.put(carol, "late", "news");
  ASSERT_TRUE(bc.run());
  ASSERT_TRUE(ab.run());
  // Bob's store has it, and waits whether somebody else tells alice.
  EXPECT_EQ(a.replica.get("late"), "(SEREUS_E_NOT_FOUND)");
  EXPECT_EQ(ab.right.session->deadline(), ab.right.now.mono_us + kPassOnUs);
  ab.elapse();
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(bc.run());
    ASSERT_TRUE(ab.run());
  }
  EXPECT_EQ(a.replica.get("late"), "news");
  for (const End* end : {&ab.left, &ab.right, &bc.left, &bc.right}) EXPECT_TRUE(end->synced());
}

// Three that are all connected: who wrote sends it to both, and they tell each other that they have it.
TEST(SyncSession, WhatThePeerHasFromItsAuthorIsNotPassedOn) {
  const Writer alice(1);
  Party a(1);
  Party b(2);
  Party c(3);
  Pipe ab(a, b, 1);
  Pipe ac(a, c, 2);
  Pipe bc(b, c, 3);
  for (Pipe* pipe : {&ab, &ac, &bc}) pipe->open();
  for (int round = 0; round < 3; ++round) {
    for (Pipe* pipe : {&ab, &ac, &bc}) ASSERT_TRUE(pipe->run());
  }
  a.put(alice, "key", "value");
  for (int round = 0; round < 3; ++round) {
    for (Pipe* pipe : {&ab, &ac, &bc}) ASSERT_TRUE(pipe->run());
  }
  bc.elapse();
  ASSERT_TRUE(bc.run());
  EXPECT_EQ(c.replica.get("key"), "value");
  EXPECT_EQ(bc.left.session->counters().entries_sent, 0u);
  EXPECT_EQ(bc.right.session->counters().entries_sent, 0u);
  for (const End* end : {&ab.left, &ab.right, &ac.left, &ac.right, &bc.left, &bc.right}) EXPECT_TRUE(end->synced());
}

// Who asks is answered when all was sent, and that is at once.
TEST(SyncSession, WhatWaitsToBePassedOnIsSentToAPeerThatAsks) {
  const Writer carol(3);
  Party a(1);
  Party b(2);
  Party c(3);
  Pipe ab(a, b, 1);
  Pipe bc(b, c, 2);
  ab.open();
  bc.open();
  ASSERT_TRUE(ab.run());
  ASSERT_TRUE(bc.run());
  c.put(carol, "late", "news");
  ASSERT_TRUE(bc.run());
  const uint32_t question = ab.left.session->ask();
  ASSERT_TRUE(ab.run());
  EXPECT_EQ(ab.left.session->answered(), question);
  EXPECT_EQ(a.replica.get("late"), "news");
}

// Three stores that write and meet in drawn pairs, over streams that break: whatever the order, they end equal.
TEST(SyncSession, DrawnWritesMeetingsAndCutsConverge) {
  const Writer writers[] = {Writer(1), Writer(2), Writer(3)};
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::TestRandom draws(seed);
    Party parties[] = {Party(seed * 4), Party(seed * 4 + 1), Party(seed * 4 + 2)};
    Pipe pipes[] = {Pipe(parties[0], parties[1], seed), Pipe(parties[1], parties[2], seed + 1),
                    Pipe(parties[2], parties[0], seed + 2)};
    for (Pipe& pipe : pipes) pipe.piece_max = 1 + draws.below(2000);
    for (int step = 0; step < 60; ++step) {
      const uint64_t which = draws.below(3);
      Pipe& pipe = pipes[which];
      switch (draws.below(4)) {
        case 0:
          pipe.open();
          break;
        case 1:
          if (pipe.left.session) pipe.run(draws.below(3000));
          break;
        default: {
          const std::string value = std::to_string(step) + std::string(draws.below(400), 'v');
          parties[which].put(writers[which], "k" + std::to_string(draws.below(5)), value);
        }
      }
    }
    for (Pipe& pipe : pipes) pipe.open();
    for (int round = 0; round < 4; ++round) {
      for (Pipe& pipe : pipes) ASSERT_TRUE(pipe.run());
    }
    for (Pipe& pipe : pipes) {
      EXPECT_TRUE(pipe.left.synced() && pipe.right.synced());
      for (const End* end : {&pipe.left, &pipe.right}) {
        EXPECT_EQ(end->session->stage(), SyncSession::Stage::open);
        for (const Status& outcome : end->outcomes) EXPECT_TRUE(outcome.ok()) << outcome.error().detail;
      }
    }
    for (Party& party : parties) {
      expect_equal(parties[0], party);
      for (int key = 0; key < 5; ++key) {
        EXPECT_EQ(party.replica.get("k" + std::to_string(key)), parties[0].replica.get("k" + std::to_string(key)));
      }
      MUST_OK(party.replica.store->verify());
    }
  }
}

TEST(SyncSession, PendingEntriesAreAskedForAgain) {
  const Writer alice(1);
  Party a(1);
  Party b(2);
  write_some(a, alice, 10);
  b.replica.authority.rule = [](const AuthorBinding&, const EntryView&, const std::vector<Hash>&) -> Status {
    return fail(Code::pending, "not yet");
  };
  Pipe pipe(a, b);
  pipe.open();
  EXPECT_FALSE(pipe.run_until_synced(3));
  EXPECT_EQ(b.replica.stats().entries, 0u);
  EXPECT_EQ(pipe.right.session->counters().entries_missing, 10u);
  EXPECT_EQ(pipe.right.session->stage(), SyncSession::Stage::open);
  // Later and later.
  const uint64_t before = pipe.right.now.mono_us;
  for (int i = 0; i < 12; ++i) {
    pipe.elapse();
    pipe.run();
  }
  EXPECT_GT(pipe.right.now.mono_us - before, 2 * kRetryTipsUsMax);
  // Authority moved: at once.
  b.replica.authority.rule = nullptr;
  const uint64_t asked = pipe.right.now.mono_us;
  pipe.right.session->ask_again(pipe.right.now);
  EXPECT_TRUE(pipe.run_until_synced(2));
  EXPECT_EQ(pipe.right.now.mono_us, asked);
  expect_equal(a, b);
}

TEST(SyncSession, AnAskIsAnsweredWhenAllWasSaid) {
  const Writer alice(1);
  Party a(1);
  Party b(2);
  write_some(b, alice, 200, 20'000);
  Pipe pipe(a, b);
  pipe.open();
  const uint32_t asked = pipe.left.session->ask();
  while (pipe.left.session->answered() < asked) {
    const uint64_t before = pipe.carried();
    pipe.run(50'000);
    ASSERT_GT(pipe.carried(), before);
  }
  EXPECT_TRUE(pipe.left.synced());
  EXPECT_EQ(a.replica.stats().entries, 200u);
  EXPECT_EQ(pipe.left.session->ask(), asked + 1);
  ASSERT_TRUE(pipe.run());
  EXPECT_EQ(pipe.left.session->answered(), asked + 1);
}

// The peer got the entries elsewhere while we were reading them for it: what was read is dropped, what was asked is not.
TEST(SyncSession, AnAskSurvivesAReadThatIsNotNeededAnyMore) {
  const Writer alice(1);
  Party a(1);
  Party b(2);
  write_some(a, alice, 5);
  SyncSession session = SyncSession::initiate(a.replica.store->id(), a.tips(), a.digest(), a.replica.now);
  session.on_bytes(open_frame(a.replica.store->id(), b.digest()), a.replica.now);
  session.on_bytes(tips_frame({}), a.replica.now);
  const auto request = session.take_read();
  ASSERT_TRUE(request);
  session.on_bytes(state_frame(a.digest()), a.replica.now);
  const uint32_t asked = session.ask();
  session.consume_output(session.output().size());
  session.on_read(a.replica.ranges->read_range(request->author, request->first_seq, request->bytes_max));
  FrameReader reader;
  reader.feed(session.output());
  const auto frame = must(reader.next());
  ASSERT_TRUE(frame);
  ASSERT_EQ(frame->type, FrameType::sync_state);
  EXPECT_EQ(flatbuffers::GetRoot<wire::State>(frame->payload.data())->ask(), asked);
}

// ---- Forks ----------------------------------------------------------------------------------------------------------

// Both have the first `common` entries of an author, then each a history of its own.
struct Forked {
  Writer alice{1};
  Writer bob{2};
  Party a{1};
  Party b{2};
  Forked(int common, int more_a, int more_b) {
    write_some(a, alice, common);
    EXPECT_TRUE(b.replica.pull_all(a.replica).ok());
    a.replica.now = at_ms(kStartMs + 1000);
    b.replica.now = at_ms(kStartMs + 2000);
    write_some(a, alice, more_a);
    write_some(b, alice, more_b);
    write_some(b, bob, 3);
  }
};

TEST(SyncSession, AForkIsProvedToBothAndTheOthersGoOn) {
  for (const auto& [more_a, more_b] : {std::pair{1, 1}, std::pair{2, 6}, std::pair{6, 2}, std::pair{1, 400}}) {
    SCOPED_TRACE(std::to_string(more_a) + " and " + std::to_string(more_b));
    Forked forked(3, more_a, more_b);
    Pipe pipe(forked.a, forked.b);
    pipe.open();
    EXPECT_TRUE(pipe.run_until_synced());
    EXPECT_EQ(forked.a.replica.stats().forks, 1u);
    EXPECT_EQ(forked.b.replica.stats().forks, 1u);
    EXPECT_EQ(forked.a.replica.store->tip(forked.bob.key())->seq, 3u);
    EXPECT_EQ(forked.a.replica.store->tip(forked.alice.key())->seq, static_cast<uint64_t>(3 + more_a));
    EXPECT_EQ(forked.b.replica.store->tip(forked.alice.key())->seq, static_cast<uint64_t>(3 + more_b));
    // Others' entries still flow, and nothing of the forked author is repeated.
    const uint64_t sent = pipe.left.session->counters().entries_sent;
    forked.b.put(forked.bob, "k", "after");
    EXPECT_TRUE(pipe.run_until_synced());
    EXPECT_EQ(forked.a.replica.get("k"), "after");
    EXPECT_EQ(pipe.left.session->counters().entries_sent, sent);
    MUST_OK(forked.a.replica.store->verify());
    MUST_OK(forked.b.replica.store->verify());
  }
}

TEST(SyncSession, ManyAuthorsTakeSeveralFramesOfTips) {
  Party a(1);
  Party b(2);
  constexpr uint64_t kAuthors = 2 * kTipsPerFrame + 3;
  std::vector<AuthorTip> tips(kAuthors);
  SyncSession::TipMap map;
  for (uint64_t i = 0; i < kAuthors; ++i) {
    store_be<uint64_t>(tips[i].author.bytes.data(), i + 1);
    tips[i].seq = i + 1;
    tips[i].hash.bytes[0] = 1;
    map[tips[i].author] = tips[i];
  }
  Digest digest;
  digest.bytes[0] = 1;
  SyncSession session = SyncSession::initiate(a.replica.store->id(), map, digest, a.replica.now);
  session.on_bytes(open_frame(a.replica.store->id(), Digest{}), a.replica.now);
  FrameReader reader;
  reader.feed(session.output());
  size_t told = 0;
  std::vector<bool> last;
  while (const auto frame = must(reader.next())) {
    if (frame->type != FrameType::sync_tips) continue;
    const auto* list = flatbuffers::GetRoot<wire::Tips>(frame->payload.data());
    told += list->tips()->size();
    last.push_back(list->last());
  }
  EXPECT_EQ(told, kAuthors);
  EXPECT_EQ(last, (std::vector<bool>{false, false, true}));
}

}  // namespace
}  // namespace sereus::store
