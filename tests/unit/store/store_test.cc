// A store by itself: writing, reading, limits, restart.

#include "tests/unit/store/store_test_base.h"

namespace sereus::store {
namespace {

TEST(Store, PutIsReadBackAndSurvivesRestart) {
  Replica a(1);
  const Writer alice(1);
  const Written first = a.put(alice, "colour", "red");
  EXPECT_EQ(first.seq, 1u);
  EXPECT_EQ(a.get("colour"), "red");
  const Written second = a.put(alice, "colour", "blue");
  EXPECT_EQ(second.seq, 2u);
  EXPECT_GT(second.hlc, first.hlc);
  EXPECT_GT(second.sequence, first.sequence);
  EXPECT_EQ(a.heads("colour").size(), 1u);
  const Hash state = a.state();
  const StoreStats stats = a.stats();
  EXPECT_EQ(stats.entries, 2u);
  EXPECT_EQ(stats.keys, 1u);
  EXPECT_EQ(stats.authors, 1u);
  EXPECT_EQ(stats.conflicts, 0u);
  EXPECT_EQ(stats.digest, a.store->digest());
  MUST_OK(a.store->verify());
  a.reopen();
  EXPECT_EQ(a.get("colour"), "blue");
  EXPECT_EQ(a.state(), state);
  EXPECT_EQ(a.stats().epoch, stats.epoch);
  EXPECT_EQ(a.recovery.entries_replayed, 0u);
  EXPECT_FALSE(a.recovery.index_rebuilt);
  EXPECT_EQ(a.put(alice, "colour", "green").seq, 3u);
  MUST_OK(a.store->verify());
}

TEST(Store, DeleteLeavesATombstone) {
  Replica a(1);
  const Writer alice(1);
  a.put(alice, "k", "v");
  a.remove(alice, "k");
  EXPECT_EQ(a.get("k"), "(SEREUS_E_NOT_FOUND)");
  ASSERT_EQ(a.heads("k").size(), 1u);
  EXPECT_TRUE(a.heads("k")[0].tombstone);
  EXPECT_EQ(a.stats().keys, 0u);
  EXPECT_TRUE(must(a.reader->list({}, {}, 10, true)).empty());
  a.put(alice, "k", "again");
  EXPECT_EQ(a.get("k"), "again");
  EXPECT_EQ(a.stats().keys, 1u);
  MUST_OK(a.store->verify());
}

TEST(Store, GroupSeesItsOwnEarlierTransactions) {
  Replica a(1);
  const Writer alice(1);
  a.put(alice, "k", "0");
  std::vector<Transaction> group;
  for (int i = 1; i <= 5; ++i) {
    Transaction transaction;
    transaction.ops.push_back(put_op("k", std::to_string(i)));
    transaction.ops.push_back(put_op("n" + std::to_string(i), "x"));
    group.push_back(std::move(transaction));
  }
  const CommitReport report = must(a.store->commit(std::move(group), alice.author, {}, a.now));
  ASSERT_EQ(report.written.size(), 5u);
  EXPECT_EQ(report.entries_applied, 5u);
  for (const auto& written : report.written) ASSERT_TRUE(written.ok());
  EXPECT_EQ(a.get("k"), "5");
  EXPECT_EQ(a.heads("k").size(), 1u);
  EXPECT_EQ(a.stats().keys, 6u);
  EXPECT_EQ(report.sequence, a.stats().sequence);
  EXPECT_EQ(report.written.back()->sequence, report.sequence);
  ASSERT_EQ(report.tips.size(), 1u);
  EXPECT_EQ(report.tips[0].seq, 6u);
  EXPECT_EQ(report.digest, a.store->digest());
  MUST_OK(a.store->verify());
}

TEST(Store, ATransactionThatCannotBeWrittenFailsAlone) {
  Replica a(1);
  const Writer alice(1);
  a.put(alice, "k", "0");
  const auto with = [](WriteOp op) {
    Transaction transaction;
    transaction.ops.push_back(std::move(op));
    return transaction;
  };
  std::vector<Transaction> group;
  group.push_back(with(put_op("good", "1")));
  group.push_back(with(put_op("", "no key")));
  group.push_back(with(put_op(std::string(kKeySizeMax + 1, 'k'), "v")));
  group.push_back(with(put_op("large", std::string(kValueSizeMax + 1, 'v'))));
  group.push_back(Transaction());
  group.push_back(with(put_op(std::string(kKeySizeMax, 'k'), std::string(kValueSizeMax, 'v'))));
  Transaction two_large;
  two_large.ops.push_back(put_op("a", std::string(kValueSizeMax, 'v')));
  two_large.ops.push_back(put_op("b", std::string(kValueSizeMax, 'v')));
  group.push_back(std::move(two_large));
  group.push_back(with(put_op("good", "2")));
  const CommitReport report = must(a.store->commit(std::move(group), alice.author, {}, a.now));
  const Code expected[] = {Code::ok,      Code::invalid, Code::too_large, Code::too_large,
                           Code::invalid, Code::ok,      Code::too_large, Code::ok};
  ASSERT_EQ(report.written.size(), std::size(expected));
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(report.written[i].code(), expected[i]) << i;
  EXPECT_EQ(a.get("good"), "2");
  EXPECT_EQ(a.get("a"), "(SEREUS_E_NOT_FOUND)");
  EXPECT_EQ(a.stats().entries, 4u);
  MUST_OK(a.store->verify());
  a.reopen();
  EXPECT_EQ(a.get(std::string(kKeySizeMax, 'k')).size(), kValueSizeMax);
}

TEST(Store, OfSeveralWritesOfAKeyInOneTransactionTheLastCounts) {
  Replica a(1);
  const Writer alice(1);
  std::vector<WriteOp> ops;
  ops.push_back(put_op("k", "1"));
  ops.push_back(put_op("other", "x"));
  ops.push_back(delete_op("k"));
  ops.push_back(put_op("k", "3"));
  must(a.commit(alice, std::move(ops)));
  EXPECT_EQ(a.get("k"), "3");
  EXPECT_EQ(a.get("other"), "x");
  MUST_OK(a.store->verify());
}

TEST(Store, FirstEntryNeedsCertificates) {
  Replica a(1);
  const Writer alice(1);
  const Writer bob(2);
  std::vector<Transaction> group(1);
  group[0].ops.push_back(put_op("k", "v"));
  auto report = must(a.store->commit(group, alice.author, {}, a.now));
  EXPECT_EQ(report.written[0].code(), Code::denied);
  group[0].ops.push_back(bob.author_op(test_store_id()));
  report = must(a.store->commit(group, alice.author, {}, a.now));
  EXPECT_EQ(report.written[0].code(), Code::bad_signature);
  group[0].ops.back() = alice.author_op(test_store_id(9));
  report = must(a.store->commit(group, alice.author, {}, a.now));
  EXPECT_EQ(report.written[0].code(), Code::wrong_store);
  EXPECT_EQ(a.stats().entries, 0u);
  group[0].ops.back() = alice.author_op(test_store_id());
  report = must(a.store->commit(group, alice.author, {}, a.now));
  EXPECT_TRUE(report.written[0].ok());
  ASSERT_TRUE(a.store->binding(alice.key()));
  EXPECT_EQ(a.store->binding(alice.key())->party, alice.party.party_key());
  // Certified anew.
  group[0].ops = {alice.author_op(test_store_id(), 2)};
  report = must(a.store->commit(group, alice.author, {}, a.now));
  ASSERT_TRUE(report.written[0].ok());
  EXPECT_EQ(a.store->binding(alice.key())->incarnation.bytes[0], 2);
  a.reopen();
  EXPECT_EQ(a.store->binding(alice.key())->incarnation.bytes[0], 2);
  MUST_OK(a.store->verify());
}

TEST(Store, ListPagesInByteOrder) {
  Replica a(1);
  const Writer alice(1);
  std::vector<WriteOp> ops;
  for (const char* key : {"a", "dir/1", "dir/2", "dir/3", "dir0", "e"})
    ops.push_back(put_op(key, std::string("v") + key));
  must(a.commit(alice, std::move(ops)));
  a.remove(alice, "dir/2");
  const auto rows = must(a.reader->list(as_bytes("dir/"), {}, 10, true));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(as_text(rows[0].key), "dir/1");
  EXPECT_EQ(as_text(rows[0].value), "vdir/1");
  EXPECT_EQ(rows[0].author, alice.key());
  EXPECT_EQ(as_text(rows[1].key), "dir/3");
  const auto after = must(a.reader->list(as_bytes("dir/"), as_bytes("dir/1"), 10, false));
  ASSERT_EQ(after.size(), 1u);
  EXPECT_EQ(as_text(after[0].key), "dir/3");
  EXPECT_TRUE(after[0].value.empty());
  EXPECT_EQ(after[0].value_size, 6u);
  const auto all = must(a.reader->list({}, {}, 3, false));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(as_text(all[2].key), "dir/3");
  EXPECT_EQ(must(a.reader->list(Bytes{0xff, 0xff}, {}, 3, false)).size(), 0u);
}

TEST(Store, ChangesInOrderResumeAnywhere) {
  Replica a(1);
  const Writer alice(1);
  std::vector<WriteOp> ops;
  for (int i = 0; i < 10; ++i) ops.push_back(put_op("k" + std::to_string(i), std::string(100, 'v')));
  must(a.commit(alice, std::move(ops)));
  for (int i = 0; i < 10; ++i) a.put(alice, "s" + std::to_string(i), "v");
  a.remove(alice, "k3");
  for (const size_t limit : {1u, 3u, 7u, 100u}) {
    for (const char* prefix : {"", "k", "s"}) {
      uint64_t sequence = 0;
      std::vector<std::string> seen;
      while (true) {
        uint64_t scanned = 0;
        const auto page = must(a.reader->changes(sequence, as_bytes(prefix), limit, 1 << 20, &scanned));
        EXPECT_LE(page.size(), limit);
        uint64_t last = sequence;
        for (const Change& change : page) {
          EXPECT_GT(change.sequence, last);
          last = change.sequence;
          EXPECT_TRUE(change.winner);
          seen.push_back(to_string(change.key) + (change.tombstone ? "-" : "+"));
        }
        EXPECT_GE(scanned, last);
        if (page.empty() && scanned == sequence) break;
        // Either place may be resumed from.
        sequence = page.empty() || limit % 2 == 1 ? scanned : last;
      }
      std::vector<std::string> expected;
      for (int i = 0; i < 10 && *prefix != 's'; ++i) expected.push_back("k" + std::to_string(i) + "+");
      for (int i = 0; i < 10 && *prefix != 'k'; ++i) expected.push_back("s" + std::to_string(i) + "+");
      if (*prefix != 's') expected.push_back("k3-");
      EXPECT_EQ(seen, expected) << prefix << limit;
    }
  }
  uint64_t scanned = 0;
  EXPECT_EQ(a.reader->changes(12345, {}, 10, 1000, &scanned).code(), Code::invalid);
  EXPECT_EQ(a.reader->changes(a.stats().sequence + 1, {}, 10, 1000, &scanned).code(), Code::invalid);
}

TEST(Store, RootStoreKnowsItsEntries) {
  const Writer alice(1);
  std::array<uint8_t, 16> nonce{};
  nonce[3] = 4;
  Replica a(1, root_store_id(alice.party.party_key(), nonce));
  WriteOp genesis;
  genesis.kind = OpKind::genesis;
  genesis.party = alice.party.party_key();
  genesis.nonce = nonce;
  std::vector<WriteOp> ops;
  ops.push_back(put_op("/nodes/x", "y"));
  ops.push_back(genesis);
  const Written first = must(a.commit(alice, std::move(ops)));
  const Written second = a.put(alice, "k", "v");
  EXPECT_TRUE(a.store->contains(first.hash));
  EXPECT_TRUE(a.store->contains(second.hash));
  EXPECT_FALSE(a.store->contains(Hash()));
  EXPECT_EQ(a.store->authority_heads(), std::vector<Hash>{second.hash});
  MUST_OK(a.store->verify());
  a.reopen();
  EXPECT_TRUE(a.store->contains(first.hash));
  MUST_OK(a.disk.remove(a.index_path()).ok() ? Status() : Status());
  // A genesis of another store.
  Replica b(2);
  std::vector<WriteOp> wrong;
  wrong.push_back(genesis);
  EXPECT_EQ(b.commit(alice, std::move(wrong)).code(), Code::wrong_store);
}

TEST(Store, IndexIsRebuiltFromTheLog) {
  Replica a(1);
  const Writer alice(1);
  for (int i = 0; i < 50; ++i) a.put(alice, "k" + std::to_string(i % 20), std::to_string(i));
  a.remove(alice, "k7");
  const Hash state = a.state();
  const StoreStats stats = a.stats();
  a.shut();
  MUST_OK(a.disk.remove(a.index_path()));
  MUST_OK(a.disk.remove(a.index_path() + "-wal"));
  a.must_open();
  EXPECT_TRUE(a.recovery.index_rebuilt);
  EXPECT_EQ(a.recovery.entries_replayed, 51u);
  EXPECT_EQ(a.state(), state);
  EXPECT_EQ(a.stats().epoch, stats.epoch);
  EXPECT_EQ(a.stats().sequence, stats.sequence);
  EXPECT_EQ(a.stats().keys, stats.keys);
  MUST_OK(a.store->verify());
  // Garbage instead of a database.
  a.shut();
  a.disk.set_contents(a.index_path(), Bytes(8192, 0x5a));
  a.must_open();
  EXPECT_TRUE(a.recovery.index_rebuilt);
  EXPECT_EQ(a.state(), state);
  MUST_OK(a.store->verify());
}

TEST(Store, LostLogIsNotStartedAnew) {
  Replica a(1);
  const Writer alice(1);
  for (int i = 0; i < 50; ++i) a.put(alice, "k", std::to_string(i));
  a.shut();
  const Bytes log = a.disk.contents(a.log_path());
  Bytes shorter(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(log.size() / 2));
  a.disk.set_contents(a.log_path(), shorter);
  EXPECT_EQ(a.open().code(), Code::corrupt);
  MUST_OK(a.disk.remove(a.log_path()));
  EXPECT_EQ(a.open().code(), Code::corrupt);
  a.disk.set_contents(a.log_path(), log);
  a.must_open();
  EXPECT_EQ(a.get("k"), "49");
  // Another store's log.
  Replica b(2, test_store_id(8));
  b.put(alice, "k", "other");
  b.shut();
  a.shut();
  a.disk.set_contents(a.log_path(), b.disk.contents(b.log_path()));
  EXPECT_FALSE(a.open().ok());
}

TEST(Store, MissingStoreIsNotMade) {
  test::TestRandom random(1);
  sim::SimDisk disk(random);
  storage::Vfs vfs(disk, random);
  StoreConfig config;
  config.id = test_store_id();
  config.folder = "stores/x";
  EXPECT_EQ(Store::open(disk, vfs, random, config, nullptr).code(), Code::not_found);
}

// Once its WAL had grown, the file stays large: that alone is no reason to move it again after every commit.
TEST(Store, MaintainMovesTheWalOnlyWhenItHasGrown) {
  Replica a(1);
  const Writer alice(1);
  const auto index = [&a] {
    auto file = must(a.disk.open(a.index_path(), OpenMode::read));
    Bytes content(must(file->size()));
    EXPECT_EQ(must(file->read_at(0, content)), content.size());
    return content;
  };
  const Bytes before = index();
  for (int i = 0; i < 1500; ++i) a.put(alice, "key" + std::to_string(i), "value");
  MUST_OK(a.store->maintain());
  const Bytes moved = index();
  EXPECT_NE(moved, before);
  for (int i = 0; i < 3; ++i) {
    a.put(alice, "later" + std::to_string(i), "value");
    MUST_OK(a.store->maintain());
    EXPECT_EQ(index(), moved);
  }
}

TEST(Store, ClosedStoreSaysSo) {
  Replica a(1);
  const Writer alice(1);
  a.put(alice, "k", "v");
  MUST_OK(a.store->close());
  EXPECT_EQ(a.reader->get(as_bytes("k")).code(), Code::closed);
  EXPECT_EQ(a.ranges->hash_at(alice.key(), 1).code(), Code::closed);
  EXPECT_EQ(a.store->make_reader().code(), Code::closed);
  EXPECT_EQ(a.commit(alice, {}).code(), Code::closed);
}

TEST(Store, ClocksAt1970And2050) {
  Replica a(1);
  const Writer alice(1);
  a.now = at_ms(0);
  const Written early = a.put(alice, "k", "1970");
  const Written next = a.put(alice, "k", "still 1970");
  EXPECT_LT(early.hlc, next.hlc);
  a.now = {0, -5};
  EXPECT_GT(a.put(alice, "k", "before 1970").hlc, next.hlc);
  a.now = at_ms(2'540'000'000'000);
  const Written late = a.put(alice, "k", "2050");
  a.now = at_ms(kStartMs);
  const Written after = a.put(alice, "k", "back");
  EXPECT_GT(after.hlc, late.hlc);
  EXPECT_EQ(after.hlc.wall_ms, late.hlc.wall_ms);
  EXPECT_EQ(a.get("k"), "back");
  a.reopen();
  EXPECT_GT(a.put(alice, "k", "reopened").hlc, after.hlc);
  MUST_OK(a.store->verify());
}

}  // namespace
}  // namespace sereus::store
