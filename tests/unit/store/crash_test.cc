// Loss of power and full disks: what was acknowledged is there afterwards, chains go on, the index equals the log.

#include <map>
#include <set>

#include "core/storage/database.h"
#include "core/store/index.h"
#include "tests/unit/store/store_test_base.h"

namespace sereus::store {
namespace {

// A node that writes and takes, on a disk that fails; the oracle remembers what was acknowledged.
class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed), disk_(random_), draws_(seed * 31 + 7) {
    vfs_ = std::make_unique<storage::Vfs>(disk_, random_);
  }
  ~Life() { shut(); }

  bool open() {
    StoreConfig config;
    config.id = test_store_id();
    config.folder = "stores/s";
    config.create = true;
    auto opened = Store::open(disk_, *vfs_, random_, config, &recovery_);
    open_code_ = opened.code();
    if (!opened.ok()) {
      open_error_ = opened.error().detail;
      return false;
    }
    store_ = std::move(opened).value();
    return true;
  }
  void shut() { store_.reset(); }

  // A drawn operation. False when the disk failed it.
  bool step() {
    now_.wall_us += 1000;
    switch (draws_.below(8)) {
      case 0:
        return take();
      case 1: {
        int64_t next = 0;
        return store_->release_held(now_, &next).ok();
      }
      case 2:
        return draws_.below(4) != 0 || store_->maintain().ok();
      default:
        return write();
    }
  }

  // Everything that was acknowledged is there, in a store that checks out and goes on.
  void check(bool thoroughly = true) {
    if (thoroughly) {
      MUST_OK(store_->verify());
    }
    const auto tip = store_->tip(alice_.key());
    ASSERT_GE(tip ? tip->seq : 0, acknowledged_);
    const auto theirs = store_->tip(bob_.key());
    ASSERT_GE(theirs ? theirs->seq : 0, taken_);
    const auto ranges = must(store_->make_range_reader());
    for (const auto& [seq, hash] : hashes_) {
      if (seq <= acknowledged_) {
        ASSERT_EQ(must(ranges->hash_at(alice_.key(), seq)), hash);
      }
    }
    const auto reader = must(store_->make_reader());
    for (const auto& [key, written] : values_) {
      // A write that was not acknowledged may have come after it.
      auto heads = must(reader->heads(as_bytes(key), true));
      ASSERT_FALSE(heads.empty()) << key;
      bool found = false;
      for (const Head& head : heads) found = found || head.seq >= written.first;
      ASSERT_TRUE(found) << key;
      for (const Head& head : heads) {
        if (head.author == alice_.key() && head.seq == written.first) {
          ASSERT_EQ(to_string(head.value), written.second);
        }
      }
    }
    acknowledged_ = tip ? tip->seq : 0;
    taken_ = theirs ? theirs->seq : 0;
    hashes_.clear();
    for (uint64_t seq = 1; seq <= acknowledged_; ++seq) hashes_[seq] = must(ranges->hash_at(alice_.key(), seq));
  }

  sim::SimDisk& disk() { return disk_; }
  Code open_code() const { return open_code_; }
  const std::string& open_error() const { return open_error_; }
  Store& store() { return *store_; }
  bool write() {
    std::vector<Transaction> group(1 + draws_.below(4));
    std::vector<std::pair<std::string, std::string>> written;
    for (size_t i = 0; i < group.size(); ++i) {
      if (i == 0 && !store_->tip(alice_.key())) group[i].ops.push_back(alice_.author_op(test_store_id()));
      const std::string key = "k" + std::to_string(draws_.below(12));
      const std::string value = "v" + std::to_string(++count_) + std::string(draws_.below(10) == 0 ? 9000 : 20, 'x');
      group[i].ops.push_back(put_op(key, value));
      written.emplace_back(key, value);
    }
    const auto report = store_->commit(std::move(group), alice_.author, {}, now_);
    if (!report.ok()) return false;
    bool all = true;
    for (size_t i = 0; i < written.size(); ++i) {
      const auto& one = report->written[i];
      if (!one.ok()) {
        all = false;
        continue;
      }
      EXPECT_TRUE(all);  // none after a failed one: it would not be durable
      acknowledged_ = one->seq;
      hashes_[one->seq] = one->hash;
      values_[written[i].first] = {one->seq, written[i].second};
    }
    return all;
  }

 private:
  // From another replica, some of it from the future.
  bool take() {
    if (peer_ == nullptr) {
      peer_ = std::make_unique<Replica>(99);
      peer_->now = at_ms(kStartMs);
    }
    peer_->now.wall_us = now_.wall_us + (draws_.below(3) == 0 ? 6 * 60 * 1'000'000 : 0);
    peer_->put(bob_, "k" + std::to_string(draws_.below(12)), "theirs");
    const auto ours = store_->tip(bob_.key());
    std::vector<VerifiedRange> ranges;
    ranges.push_back(peer_->range(bob_.key(), (ours ? ours->seq : 0) + 1));
    const uint64_t end = ranges[0].header.first_seq + ranges[0].entries.size() - 1;
    std::vector<Status> refused;
    TestAuthority anyone;
    const auto report = store_->ingest(std::move(ranges), anyone, now_, &refused);
    if (!report.ok()) return false;
    EXPECT_TRUE(refused[0].ok()) << refused[0].error().detail;
    taken_ = end;
    return true;
  }

  test::TestRandom random_;
  sim::SimDisk disk_;
  test::TestRandom draws_;
  std::unique_ptr<storage::Vfs> vfs_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Replica> peer_;
  Writer alice_{1};
  Writer bob_{2};
  Times now_ = at_ms(kStartMs);
  RecoveryReport recovery_;
  Code open_code_ = Code::ok;
  std::string open_error_;
  uint64_t count_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t taken_ = 0;
  std::map<uint64_t, Hash> hashes_;
  std::map<std::string, std::pair<uint64_t, std::string>> values_;
};

size_t from_environment(const char* name, size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<size_t>(std::strtoull(text, nullptr, 10));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kLives = 8;  // sanitizers take an order of magnitude longer
#else
constexpr size_t kLives = 60;
#endif

TEST(Crash, AcknowledgedSurvivesPowerCuts) {
  const size_t lives = from_environment("SEREUS_CRASH_LIVES", kLives);
  size_t cuts = 0;
  for (uint64_t seed = 1; seed <= lives; ++seed) {
    SCOPED_TRACE("life " + std::to_string(seed));
    Life life(seed);
    test::TestRandom draws(seed);
    for (int boot = 0; boot < 40; ++boot) {
      life.disk().crash_at(life.disk().operations() + 1 + draws.below(boot % 4 == 3 ? 300 : 40));
      if (life.open()) {
        for (int i = 0; i < 60 && life.disk().powered(); ++i) life.step();
      }
      life.shut();
      if (life.disk().powered()) life.disk().crash();
      ++cuts;
      life.disk().power_on();
      life.disk().crash_at(0);
      if (!life.open()) FAIL() << "boot " << boot << ": " << life.open_error();
      life.check(boot % 3 == 0 || boot == 39);
      if (HasFatalFailure()) return;
      life.shut();
    }
  }
  std::printf("[ INFO     ] %zu power cuts\n", cuts);
}

TEST(Crash, FullDiskLosesNothingAndRecovers) {
  size_t refused = 0;
  for (uint64_t seed = 1; seed <= 15; ++seed) {
    SCOPED_TRACE("life " + std::to_string(seed));
    Life life(seed);
    ASSERT_TRUE(life.open()) << life.open_error();
    test::TestRandom draws(seed);
    for (int i = 0; i < 10; ++i) life.step();
    for (int round = 0; round < 10; ++round) {
      // Somewhere in the middle of what comes, an operation finds the disk full (or broken); then there is space again.
      life.disk().fail_at(life.disk().operations() + 1 + draws.below(30),
                          draws.below(3) == 0 ? Code::io : Code::no_space);
      for (int i = 0; i < 12; ++i) refused += life.step() ? 0 : 1;
      life.disk().fail_at(0, Code::io);
      ASSERT_TRUE(life.write());
      life.check();
      if (HasFatalFailure()) return;
    }
    life.shut();
    ASSERT_TRUE(life.open()) << life.open_error();
    life.check();
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(refused, 30u);
}

TEST(Crash, FullDiskSaysSo) {
  Replica a(1);
  const Writer alice(1);
  a.put(alice, "k", "1");
  sim::DiskFaults faults;
  faults.capacity = 0;
  a.disk.set_faults(faults);
  const std::string large(300'000, 'x');
  EXPECT_EQ(a.commit(alice, {put_op("large", large)}).code(), Code::no_space);
  EXPECT_EQ(a.get("k"), "1");
  faults.capacity = std::numeric_limits<uint64_t>::max();
  a.disk.set_faults(faults);
  a.put(alice, "k", "2");
  EXPECT_EQ(a.get("k"), "2");
  MUST_OK(a.store->verify());
}

TEST(Crash, TornTailIsCutOff) {
  Replica a(1);
  const Writer alice(1);
  for (int i = 0; i < 10; ++i) a.put(alice, "k", std::to_string(i));
  a.shut();
  const Bytes log = a.disk.contents(a.log_path());
  for (const size_t more : {1u, 11u, 12u, 13u, 60u, 200u}) {
    // The beginning of another record, as a write under way leaves it.
    Bytes torn = log;
    const size_t boundary = 40 + 12 + 9;
    torn.insert(torn.end(), log.begin() + boundary, log.begin() + boundary + static_cast<std::ptrdiff_t>(more));
    a.disk.set_contents(a.log_path(), torn);
    const Status opened = a.open();
    ASSERT_TRUE(opened.ok()) << more << ": " << opened.error().detail;
    EXPECT_EQ(a.get("k"), "9");
    EXPECT_EQ(a.put(alice, "k", "9").seq, 11u);
    MUST_OK(a.store->verify());
    a.shut();
    // Back to where the index was.
    a.disk.set_contents(a.log_path(), log);
    MUST_OK(a.disk.remove(a.index_path()));
  }
}

TEST(Crash, DamageIsFoundByVerify) {
  Replica a(1);
  const Writer alice(1);
  for (int i = 0; i < 100; ++i) a.put(alice, "k" + std::to_string(i), std::to_string(i));
  a.shut();
  const Bytes log = a.disk.contents(a.log_path());
  test::TestRandom draws(3);
  for (int i = 0; i < 60; ++i) {
    a.disk.set_contents(a.log_path(), log);
    a.must_open();
    MUST_OK(a.store->verify());
    a.shut();
    const uint64_t at = draws.below(log.size());
    a.disk.flip_bit(a.log_path(), at, static_cast<unsigned>(draws.below(8)));
    const Status opened = a.open();
    if (!opened.ok()) {
      EXPECT_EQ(a.disk.contents(a.log_path()).size(), log.size()) << "an open that fails changes nothing";
      continue;
    }
    EXPECT_FALSE(a.store->verify().ok()) << "bit at byte " << at;
    a.shut();
  }
}

TEST(Crash, TamperedIndexIsFoundByVerify) {
  Replica a(1);
  const Writer alice(1);
  for (int i = 0; i < 30; ++i) a.put(alice, "k" + std::to_string(i), std::to_string(i));
  a.shut();
  test::TestRandom random(4);
  storage::Vfs vfs(a.disk, random);
  const char* const changes[] = {
      "UPDATE head SET heads = (SELECT heads FROM head WHERE key = x'6b31') WHERE key = x'6b32'",
      "DELETE FROM head WHERE key = x'6b33'",
      "UPDATE meta SET keys = 31",
      "UPDATE author SET hlc = hlc + 1",
      "UPDATE run SET position = position + 1 WHERE first_seq = 1",
      "INSERT INTO loser VALUES(99)",
  };
  for (const char* change : changes) {
    {
      storage::DatabaseOptions options;
      const char* const none[] = {""};
      options.migrations = none;
      options.application_id = kIndexApplicationId;
      auto database = must(storage::Database::open(vfs, a.index_path(), options));
      MUST_OK(database->exec(change));
    }
    a.must_open();
    EXPECT_EQ(a.store->verify().code(), Code::corrupt) << change;
    // Found damage leads to a new index at the next open.
    a.reopen();
    EXPECT_TRUE(a.recovery.index_rebuilt) << change;
    MUST_OK(a.store->verify());
    EXPECT_EQ(a.get("k3"), "3");
    a.shut();
  }
}

}  // namespace
}  // namespace sereus::store
