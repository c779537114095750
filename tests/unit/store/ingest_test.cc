// Taking ranges from other replicas: convergence, heads, forks, authority, the future.

#include <algorithm>

#include "tests/unit/store/forge.h"
#include "tests/unit/store/store_test_base.h"

namespace sereus::store {
namespace {

void expect_equal(Replica& a, Replica& b) {
  EXPECT_EQ(a.store->digest(), b.store->digest());
  EXPECT_EQ(a.state(), b.state());
  EXPECT_EQ(a.stats().keys, b.stats().keys);
  EXPECT_EQ(a.stats().conflicts, b.stats().conflicts);
  EXPECT_EQ(a.stats().digest, a.store->digest());
}

TEST(Ingest, CatchesUpUnderBothPolicies) {
  Replica a(1);
  const Writer alice(1);
  for (int i = 0; i < 300; ++i) a.put(alice, "k" + std::to_string(i % 70), "value " + std::to_string(i));
  for (const VerifyPolicy policy : {VerifyPolicy::chain, VerifyPolicy::every_signature}) {
    Replica b(2);
    MUST_OK(b.pull(a, alice.key(), 4000, policy));
    expect_equal(a, b);
    EXPECT_EQ(b.get("k3"), a.get("k3"));
    EXPECT_EQ(b.store->binding(alice.key())->device, alice.device.device_key());
    MUST_OK(b.store->verify());
    // Again: nothing new, nothing refused.
    CommitReport report;
    MUST_OK(b.take(a.range(alice.key(), 1), &report));
    EXPECT_EQ(report.entries_applied, 0u);
    EXPECT_TRUE(report.tips.empty());
    // A third replica from the second, in other pieces.
    Replica c(3);
    MUST_OK(c.pull(b, alice.key(), 777));
    expect_equal(a, c);
    MUST_OK(c.store->verify());
    b.reopen();
    expect_equal(a, b);
  }
}

TEST(Ingest, SeveralRangesInOneCall) {
  Replica a(1);
  const Writer alice(1);
  const Writer bob(2);
  for (int i = 0; i < 40; ++i) {
    a.put(alice, "k" + std::to_string(i % 7), "a" + std::to_string(i));
    a.put(bob, "k" + std::to_string(i % 5), "b" + std::to_string(i));
  }
  Replica b(2);
  std::vector<VerifiedRange> ranges;
  ranges.push_back(a.range(bob.key(), 1, VerifyPolicy::chain, 3000));
  const uint64_t half = ranges[0].entries.size();
  ASSERT_LT(half, 40u);
  ranges.push_back(a.range(bob.key(), half / 2));  // overlaps what was taken a moment ago
  ranges.push_back(a.range(alice.key(), 5));       // a gap
  ranges.push_back(a.range(alice.key(), 1, VerifyPolicy::every_signature));
  std::vector<Status> refused;
  const CommitReport report = must(b.store->ingest(std::move(ranges), b.authority, b.now, &refused));
  ASSERT_EQ(refused.size(), 4u);
  EXPECT_TRUE(refused[0].ok());
  EXPECT_TRUE(refused[1].ok()) << refused[1].error().detail;
  EXPECT_EQ(refused[2].code(), Code::gap);
  EXPECT_TRUE(refused[3].ok());
  EXPECT_EQ(report.entries_applied, 80u);
  EXPECT_EQ(report.tips.size(), 2u);
  expect_equal(a, b);
  MUST_OK(b.store->verify());
}

// Two replicas write the same key while apart.
struct Apart : public ::testing::Test {
  Writer alice{1};
  Writer bob{2};
  Replica a{1};
  Replica b{2};
  void SetUp() override {
    a.put(alice, "x", "base");
    MUST_OK(b.pull(a, alice.key()));
    b.now = at_ms(kStartMs + 10);
    a.put(alice, "x", "1");
    b.put(bob, "x", "2");
  }
};

TEST_F(Apart, ConcurrentWritesStandSideBySideAndTheNextMergesThem) {
  MUST_OK(a.pull(b, bob.key()));
  MUST_OK(b.pull(a, alice.key()));
  expect_equal(a, b);
  EXPECT_EQ(a.heads("x").size(), 2u);
  EXPECT_EQ(a.stats().conflicts, 1u);
  EXPECT_EQ(a.get("x"), "2");
  EXPECT_EQ(b.get("x"), "2");
  EXPECT_EQ(must(a.reader->list({}, {}, 10, true)).at(0).heads, 2u);
  a.now = at_ms(kStartMs + 20);
  a.put(alice, "x", "merged");
  MUST_OK(b.pull(a, alice.key()));
  expect_equal(a, b);
  EXPECT_EQ(b.heads("x").size(), 1u);
  EXPECT_EQ(b.get("x"), "merged");
  EXPECT_EQ(b.stats().conflicts, 0u);
  MUST_OK(a.store->verify());
  MUST_OK(b.store->verify());
}

TEST_F(Apart, SameTimeIsSettledByAuthor) {
  Replica c(3);
  Replica d(4);
  c.now = d.now = at_ms(kStartMs);
  c.put(alice, "y", "alice");
  d.put(bob, "y", "bob");
  MUST_OK(c.pull(d, bob.key()));
  MUST_OK(d.pull(c, alice.key()));
  ASSERT_EQ(c.heads("y").size(), 2u);
  EXPECT_EQ(c.heads("y")[0].hlc, c.heads("y")[1].hlc);
  EXPECT_EQ(c.get("y"), alice.key() > bob.key() ? "alice" : "bob");
  expect_equal(c, d);
}

TEST_F(Apart, DeleteDuringPartition) {
  b.now = at_ms(kStartMs + 50);
  b.remove(bob, "x");
  MUST_OK(a.pull(b, bob.key()));
  MUST_OK(b.pull(a, alice.key()));
  expect_equal(a, b);
  EXPECT_EQ(a.get("x"), "(SEREUS_E_NOT_FOUND)");
  EXPECT_EQ(a.heads("x").size(), 2u);
  EXPECT_EQ(a.stats().keys, 0u);
  a.now = at_ms(kStartMs + 60);
  a.put(alice, "x", "3");
  MUST_OK(b.pull(a, alice.key()));
  expect_equal(a, b);
  EXPECT_EQ(b.get("x"), "3");
}

TEST_F(Apart, AParentThatArrivesLaterIsNoHead) {
  // c gets bob's merge before the entry of alice that it replaces.
  MUST_OK(b.pull(a, alice.key()));
  b.now = at_ms(kStartMs + 30);
  b.put(bob, "x", "merge");
  Replica c(3);
  MUST_OK(c.pull(b, bob.key()));
  EXPECT_EQ(c.heads("x").size(), 1u);
  MUST_OK(c.pull(b, alice.key()));
  EXPECT_EQ(c.heads("x").size(), 1u);
  EXPECT_EQ(c.get("x"), "merge");
  expect_equal(b, c);
  MUST_OK(c.store->verify());
  // What arrived late was no winner.
  uint64_t scanned = 0;
  for (const Change& change : must(c.reader->changes(0, {}, 100, 1 << 20, &scanned))) {
    EXPECT_EQ(change.winner, change.author == bob.key());
  }
}

TEST_F(Apart, ForkIsProvedAndStopsItsAuthor) {
  // Alice's key writes on a third replica that only knows her first entry: a restored backup.
  Replica c(3);
  MUST_OK(c.take(a.range(alice.key(), 1, VerifyPolicy::chain, 1)));
  ASSERT_EQ(c.store->tip(alice.key())->seq, 1u);
  c.now = at_ms(kStartMs + 100);
  for (int i = 0; i < 5; ++i) c.put(alice, "x", "other life " + std::to_string(i));
  const Hash state = a.state();
  EXPECT_EQ(a.take(c.range(alice.key(), 1)).code(), Code::fork);
  EXPECT_EQ(a.stats().forks, 1u);
  EXPECT_EQ(a.state(), state);
  const auto proofs = must(a.store->fork_proofs());
  ASSERT_EQ(proofs.size(), 1u);
  EXPECT_EQ(proofs[0].author, alice.key());
  const auto check = [&](const Bytes& entry) {
    const ByteView body = ByteView(entry).first(entry.size() - kSignatureSize);
    EXPECT_TRUE(verify_entry(alice.key(), entry_hash(body), *Signature::from(ByteView(entry).last(kSignatureSize))));
    const EntryView view = must(parse_body(body));
    return std::make_pair(view.seq, view.prev);
  };
  EXPECT_EQ(check(proofs[0].ours), check(proofs[0].theirs));
  EXPECT_NE(proofs[0].ours, proofs[0].theirs);
  // Nothing more of hers is taken, whichever side it is of; others go on; it is remembered.
  EXPECT_EQ(a.take(c.range(alice.key(), 1)).code(), Code::fork);
  EXPECT_EQ(a.stats().forks, 1u);
  MUST_OK(a.pull(b, bob.key()));
  a.reopen();
  EXPECT_EQ(a.stats().forks, 1u);
  EXPECT_EQ(a.commit(alice, {put_op("k", "v")}).code(), Code::fork);
  MUST_OK(a.store->verify());
  // Also over a rebuilt index.
  a.shut();
  MUST_OK(a.disk.remove(a.index_path()));
  a.must_open();
  EXPECT_EQ(a.stats().forks, 1u);
  EXPECT_EQ(must(a.store->fork_proofs())[0].theirs, proofs[0].theirs);
}

TEST_F(Apart, ForkSeenFromBehindAndAtTheTip) {
  Replica c(3);
  MUST_OK(c.take(a.range(alice.key(), 1, VerifyPolicy::chain, 1)));
  c.now = at_ms(kStartMs + 100);
  for (int i = 0; i < 5; ++i) c.put(alice, "x", std::to_string(i));
  // c is ahead and gets the shorter branch; a has 2, and is sent from 3 on: what follows does not follow.
  EXPECT_EQ(c.take(a.range(alice.key(), 1)).code(), Code::fork);
  EXPECT_EQ(must(c.store->fork_proofs()).size(), 1u);
  EXPECT_EQ(a.take(c.range(alice.key(), 3)).code(), Code::fork);
  const auto proofs = must(a.store->fork_proofs());
  ASSERT_EQ(proofs.size(), 1u);
  const EntryView ours = must(parse_body(ByteView(proofs[0].ours).first(proofs[0].ours.size() - kSignatureSize)));
  const EntryView theirs = must(parse_body(ByteView(proofs[0].theirs).first(proofs[0].theirs.size() - kSignatureSize)));
  EXPECT_EQ(ours.seq + 1, theirs.seq);
  EXPECT_NE(entry_hash(ours.body), theirs.prev);
  MUST_OK(a.store->verify());
  MUST_OK(c.store->verify());
}

TEST(Ingest, RefusesWhatIsNotForIt) {
  Replica a(1);
  const Writer alice(1);
  a.put(alice, "k", "v");
  Replica other(2, test_store_id(9));
  EXPECT_EQ(other.take(a.range(alice.key(), 1)).code(), Code::wrong_store);
  EXPECT_EQ(other.stats().entries, 0u);
  Replica b(3);
  a.put(alice, "k", "w");
  EXPECT_EQ(b.take(a.range(alice.key(), 2)).code(), Code::gap);
}

TEST(Ingest, CertificatesAreWanted) {
  const Writer alice(1);
  const Writer mallory(6);
  Replica b(2);
  Forge none(alice);
  none.add({none.put("k", "v")}, false);
  EXPECT_EQ(b.take(none.take()).code(), Code::denied);
  Forge borrowed(mallory);
  Op op;
  op.kind = OpKind::author;
  op.certificates = alice.certificates(test_store_id());
  borrowed.add({op, borrowed.put("k", "v")}, false);
  EXPECT_EQ(b.take(borrowed.take()).code(), Code::bad_signature);
  Forge elsewhere(alice);
  op.certificates = alice.certificates(test_store_id(9));
  elsewhere.add({op}, false);
  EXPECT_EQ(b.take(elsewhere.take()).code(), Code::wrong_store);
  EXPECT_EQ(b.stats().authors, 0u);
  EXPECT_EQ(b.stats().entries, 0u);
  Forge good(alice);
  good.add({good.put("k", "v")}, true);
  MUST_OK(b.take(good.take()));
  EXPECT_EQ(b.get("k"), "v");
}

TEST(Ingest, TimeMustGoOnInAChain) {
  const Writer alice(1);
  Replica b(2);
  Forge forge(alice);
  forge.add({forge.put("k", "1")}, true);
  MUST_OK(b.take(forge.take()));
  forge.add({forge.put("k", "2")}, false, 0);
  EXPECT_EQ(b.take(forge.take()).code(), Code::malformed);
}

TEST(Ingest, OwnLaterWriteReplacesWithoutCiting) {
  const Writer alice(1);
  Replica b(2);
  Forge forge(alice);
  for (int i = 0; i < 20; ++i) forge.add({forge.put("k", std::to_string(i))}, i == 0);
  MUST_OK(b.take(forge.take()));
  EXPECT_EQ(b.heads("k").size(), 1u);
  EXPECT_EQ(b.get("k"), "19");
}

TEST(Ingest, ManyParentsOfNothing) {
  const Writer alice(1);
  Replica b(2);
  Forge forge(alice);
  std::vector<Hash> parents(kParentsPerOpMax);
  for (size_t i = 0; i < parents.size(); ++i) parents[i].bytes[0] = static_cast<uint8_t>(i + 1);
  forge.add({forge.put("k", "v", parents)}, true);
  MUST_OK(b.take(forge.take()));
  EXPECT_EQ(b.get("k"), "v");
  MUST_OK(b.store->verify());
  b.reopen();
  MUST_OK(b.store->verify());
}

TEST(Ingest, BadSignatureInTheMiddleIsTheEndOfWhatIsPassedOn) {
  // A chain whose middle entries are not signed themselves: the chain policy takes it, and passes on what a receiver
  // can check by the last signature again.
  const Writer alice(1);
  Replica b(2);
  Forge forge(alice);
  for (int i = 0; i < 200; ++i)
    forge.add({forge.put("k" + std::to_string(i), "v")}, i == 0, 1, i == 0 || i == 40 || i == 199);
  MUST_OK(b.take(forge.take()));
  MUST_OK(b.store->verify());
  Replica c(3);
  MUST_OK(c.pull(b, alice.key(), 500));
  EXPECT_EQ(c.store->digest(), b.store->digest());
  MUST_OK(c.store->verify());
  auto [header, payload] = must(b.ranges->read_range(alice.key(), 2, 100));
  EXPECT_EQ(header.first_seq + header.entries - 1, 41u);
  EXPECT_EQ(verify_range(header, payload, VerifyPolicy::every_signature, {}).code(), Code::bad_signature);
}

TEST(Ingest, AuthorityDecides) {
  const Writer alice(1);
  Hash known;
  known.bytes[0] = 1;
  Hash later;
  later.bytes[0] = 2;
  Replica b(2);
  Forge forge(alice);
  forge.add({forge.put("k", "0")}, true, 1, true, std::vector<Hash>{known});
  for (int i = 1; i < 10; ++i) forge.add({forge.put("k", std::to_string(i))}, false);
  forge.add({forge.put("k", "10")}, false, 1, true, std::vector<Hash>{known, later});
  for (int i = 11; i < 20; ++i) forge.add({forge.put("k", std::to_string(i))}, false);
  const Forge copy = forge;
  b.authority.rule = [&](const AuthorBinding& binding, const EntryView&, const std::vector<Hash>& cited) -> Status {
    EXPECT_EQ(binding.party, alice.party.party_key());
    if (std::find(cited.begin(), cited.end(), later) != cited.end()) return fail(Code::pending, "not yet");
    return {};
  };
  EXPECT_EQ(b.take(forge.take()).code(), Code::pending);
  EXPECT_EQ(b.get("k"), "9");
  EXPECT_LT(b.authority.asked, 6u);
  // It becomes known.
  b.authority.rule = nullptr;
  Forge again = copy;
  MUST_OK(b.take(again.take()));
  EXPECT_EQ(b.get("k"), "19");
  MUST_OK(b.store->verify());
  // Revoked after its entry 5: the good front is taken.
  Replica c(3);
  c.authority.rule = [&](const AuthorBinding&, const EntryView& entry, const std::vector<Hash>&) -> Status {
    if (entry.seq > 5) return fail(Code::denied, "revoked");
    return {};
  };
  Forge third = copy;
  EXPECT_EQ(c.take(third.take()).code(), Code::denied);
  EXPECT_EQ(c.store->tip(alice.key())->seq, 5u);
  MUST_OK(c.store->verify());
  Replica d(4);
  d.authority.rule = [&](const AuthorBinding&, const EntryView&, const std::vector<Hash>&) -> Status {
    return fail(Code::denied, "a stranger");
  };
  Forge fourth = copy;
  EXPECT_EQ(d.take(fourth.take()).code(), Code::denied);
  EXPECT_EQ(d.stats().authors, 0u);
}

TEST(Ingest, ARootStoreIsAskedAboutEachEntry) {
  const Writer alice(1);
  Replica b(2);
  b.root = true;
  b.reopen();
  Forge forge(alice);
  for (int i = 0; i < 20; ++i) forge.add({forge.put("k", std::to_string(i))}, i == 0);
  const Hash tip = forge.prev;
  MUST_OK(b.take(forge.take()));
  EXPECT_EQ(b.authority.asked, 20u);
  EXPECT_TRUE(b.store->contains(tip));
}

TEST(Ingest, AGenesisMakesARootStore) {
  const Writer alice(1);
  WriteOp genesis;
  genesis.kind = OpKind::genesis;
  genesis.party = alice.party.party_key();
  genesis.nonce[2] = 9;
  const StoreId id = root_store_id(genesis.party, genesis.nonce);
  Replica a(1, id);
  std::vector<Hash> hashes{must(a.commit(alice, {genesis, put_op("/nodes", "x")})).hash};
  // Each cites what was there, as the node's own writes do; every second one repeats it.
  for (int i = 0; i < 20; ++i) {
    hashes.push_back(
        must(a.commit(alice, {put_op("k", std::to_string(i))}, {hashes[static_cast<size_t>(i / 2)]})).hash);
  }
  Replica b(2, id);
  MUST_OK(b.pull(a, alice.key()));
  EXPECT_EQ(b.authority.asked, 21u);
  for (const Hash& hash : hashes) EXPECT_TRUE(b.store->contains(hash));
  MUST_OK(b.store->verify());
  // The genesis of another party.
  const Writer mallory(6);
  Replica c(3, id);
  EXPECT_EQ(c.commit(mallory, {genesis}).code(), Code::denied);
}

TEST(Ingest, TheFutureIsHeldThenReleased) {
  const Writer alice(1);
  const Writer bob(2);
  Replica a(1);
  Replica b(2);
  a.now = at_ms(kStartMs);
  a.put(alice, "x", "present");
  a.now = at_ms(kStartMs + 3'600'000);  // an hour ahead
  a.put(alice, "x", "future");
  a.put(alice, "z", "future");
  b.now = at_ms(kStartMs);
  b.put(bob, "y", "mine");
  CommitReport report;
  MUST_OK(b.take(a.range(alice.key(), 1), &report));
  EXPECT_EQ(report.entries_applied, 1u);
  EXPECT_EQ(report.entries_held, 2u);
  EXPECT_EQ(b.get("x"), "present");
  EXPECT_EQ(b.get("z"), "(SEREUS_E_NOT_FOUND)");
  EXPECT_EQ(b.stats().held, 2u);
  EXPECT_EQ(b.store->tip(alice.key())->seq, 3u);
  // What is held is not cited, and what is applied of its author is.
  const Hash applied = must(must(b.store->make_range_reader())->hash_at(alice.key(), 1));
  const std::vector<Hash> heads = b.store->authority_heads();
  EXPECT_EQ(heads.size(), 2u);
  EXPECT_NE(std::find(heads.begin(), heads.end(), applied), heads.end());
  // Held tips count: a replica with the same tips has the same digest.
  MUST_OK(a.pull(b, bob.key()));
  EXPECT_EQ(a.store->digest(), b.store->digest());
  // Our clock did not follow.
  EXPECT_LT(b.put(bob, "y", "mine again").hlc.wall_ms, static_cast<uint64_t>(kStartMs) + 1000);
  // Held entries are passed on all the same.
  Replica c(3);
  c.now = a.now;
  MUST_OK(c.pull(b, alice.key()));
  EXPECT_EQ(c.get("z"), "future");
  MUST_OK(b.store->verify());
  b.reopen();
  EXPECT_EQ(b.stats().held, 2u);

  int64_t next = -1;
  report = must(b.store->release_held(b.now, &next));
  EXPECT_EQ(report.entries_applied, 0u);
  EXPECT_EQ(next, (kStartMs + 3'600'000 - static_cast<int64_t>(kHlcAheadMsMax)) * 1000);
  const uint64_t before = b.stats().sequence;
  b.now = {0, next};
  report = must(b.store->release_held(b.now, &next));
  EXPECT_EQ(report.entries_applied, 2u);
  EXPECT_EQ(next, 0);
  EXPECT_EQ(b.get("x"), "future");
  EXPECT_EQ(b.get("z"), "future");
  EXPECT_EQ(b.stats().held, 0u);
  uint64_t scanned = 0;
  const auto changes = must(b.reader->changes(before, {}, 10, 1 << 20, &scanned));
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(as_text(changes[0].value), "future");
  EXPECT_EQ(scanned, b.stats().sequence);
  MUST_OK(b.store->verify());
  // Replay gives the same.
  const Hash state = b.state();
  b.shut();
  MUST_OK(b.disk.remove(b.index_path()));
  b.must_open();
  EXPECT_EQ(b.state(), state);
  MUST_OK(b.store->verify());
}

TEST(Ingest, WhatFollowsAHeldEntryWaitsWithIt) {
  const Writer alice(1);
  Replica b(2);
  b.now = at_ms(kStartMs);
  Forge forge(alice);
  forge.wall_ms = kStartMs + kHlcAheadMsMax + 50;
  forge.add({forge.put("k", "1")}, true);
  MUST_OK(b.take(forge.take()));
  EXPECT_EQ(b.stats().held, 1u);
  b.now = at_ms(kStartMs + 100);  // its time has come, but nobody released it yet
  forge.add({forge.put("k", "2", {forge.prev})}, false);
  CommitReport report;
  MUST_OK(b.take(forge.take(), &report));
  EXPECT_EQ(report.entries_held, 1u);
  EXPECT_EQ(b.get("k"), "(SEREUS_E_NOT_FOUND)");
  int64_t next = 0;
  EXPECT_EQ(must(b.store->release_held(b.now, &next)).entries_applied, 2u);
  EXPECT_EQ(b.get("k"), "2");
  EXPECT_EQ(b.heads("k").size(), 1u);
  MUST_OK(b.store->verify());
}

}  // namespace
}  // namespace sereus::store
