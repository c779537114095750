// One day of a store, with the power cut, a full disk or a broken operation at every one of its disk operations in
// turn: what was acknowledged is there afterwards, the chain goes on without a fork, and the store works again.

#include <limits>
#include <map>

#include "tests/unit/store/forge.h"

namespace sereus::store {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kStride = 7;  // sanitizers take an order of magnitude longer
#else
constexpr uint64_t kStride = 1;
#endif

// The same calls each time: writes of several sizes, a group, entries of another author, some of them held, a deletion,
// maintenance, closing and opening again.
class Day {
 public:
  Day() : random_(1), disk_(random_) {
    vfs_ = std::make_unique<storage::Vfs>(disk_, random_);
    Replica other(9);
    for (int i = 0; i < 6; ++i) {
      if (i == 4) other.now.wall_us += 10 * 60 * 1'000'000;
      other.put(bob_, "k" + std::to_string(i), "bob's " + std::to_string(i));
    }
    for (const uint64_t first : {1u, 4u}) {
      offers_.push_back(must(other.ranges->read_range(bob_.key(), first, first == 1 ? 1 : kRangeBytesMax)));
    }
  }

  Status open() {
    StoreConfig config;
    config.id = test_store_id();
    config.folder = "stores/s";
    config.create = true;
    auto opened = Store::open(disk_, *vfs_, random_, config, nullptr);
    if (!opened.ok()) return opened.error();
    store_ = std::move(opened).value();
    known_tips_.clear();
    for (const AuthorTip& tip : store_->tips()) known_tips_[tip.author] = tip.seq;
    known_digest_ = store_->digest();
    return {};
  }
  void shut() { store_.reset(); }

  // Goes on until something fails; its status.
  Status live() {
    SEREUS_TRY(open());
    for (int i = 0; i < 3; ++i) SEREUS_TRY(write({{"k" + std::to_string(i), std::string(20, 'v')}}));
    SEREUS_TRY(write({{"large", std::string(300'000, 'x')}, {"k0", "with it"}, {"k9", ""}}));
    SEREUS_TRY(take(0));
    SEREUS_TRY(store_->maintain());
    SEREUS_TRY(take(1));
    shut();
    SEREUS_TRY(open());
    SEREUS_TRY(write({{"k1", "after reopening"}}));
    SEREUS_TRY(release());
    SEREUS_TRY(write({{"k4", "the last"}}));
    const Status closed = store_->close();
    shut();
    return closed;
  }

  // Opens; what was acknowledged is here, nothing forked, and one more write works.
  void check() {
    MUST_OK(open());
    MUST_OK(store_->verify());
    const auto ours = store_->tip(alice_.key());
    ASSERT_GE(ours ? ours->seq : 0, acknowledged_);
    const auto theirs = store_->tip(bob_.key());
    ASSERT_GE(theirs ? theirs->seq : 0, taken_);
    auto reader = must(store_->make_reader());
    auto ranges = must(store_->make_range_reader());
    for (const auto& [seq, hash] : hashes_) ASSERT_EQ(must(ranges->hash_at(alice_.key(), seq)), hash);
    for (const auto& [key, written] : values_) {
      const auto heads = must(reader->heads(as_bytes(key), true));
      bool found = false;
      for (const Head& head : heads) {
        // The write that was under way may have come behind it.
        found = found || head.author != alice_.key() || head.seq > written.first ||
                (head.seq == written.first && to_string(head.value) == written.second);
      }
      ASSERT_TRUE(found) << key;
    }
    EXPECT_EQ(must(reader->stats()).forks, 0u);
    // Another replica that has all of it takes what comes now: the chain is one.
    Replica witness(11);
    witness.now = at_ms(kStartMs + 3'600'000);
    for (int round = 0; round < 2; ++round) {
      for (const AuthorTip& tip : store_->tips()) {
        const auto there = witness.store->tip(tip.author);
        if (there && there->seq == tip.seq) continue;
        const auto [header, payload] = must(ranges->read_range(tip.author, there ? there->seq + 1 : 1, kRangeBytesMax));
        MUST_OK(witness.take(must(verify_range(header, payload, VerifyPolicy::every_signature, {}))));
      }
      EXPECT_EQ(witness.store->digest(), store_->digest());
      MUST_OK(write({{"one more", "write"}}));
    }
    reader.reset();
    ranges.reset();
    shut();
  }

  sim::SimDisk& disk() { return disk_; }
  bool is_open() const { return store_ != nullptr; }
  // Without opening anew, as a process that met a full disk goes on.
  Status write(const std::vector<std::pair<std::string, std::string>>& puts) {
    now_.wall_us += 1000;
    std::vector<Transaction> group;
    for (const auto& [key, value] : puts) {
      group.emplace_back();
      if (group.size() == 1 && !store_->tip(alice_.key()))
        group.back().ops.push_back(alice_.author_op(test_store_id()));
      group.back().ops.push_back(put_op(key, value));
    }
    const auto report = store_->commit(std::move(group), alice_.author, {}, now_);
    keep(report);
    if (!report.ok()) return report.error();
    for (size_t i = 0; i < puts.size(); ++i) {
      const auto& one = report->written[i];
      if (!one.ok()) return one.error();
      acknowledged_ = one->seq;
      hashes_[one->seq] = one->hash;
      values_[puts[i].first] = {one->seq, puts[i].second};
    }
    return {};
  }

  // What somebody knows who keeps what the reports say is what the store holds.
  void check_reports() const {
    EXPECT_EQ(known_digest_, store_->digest());
    for (const AuthorTip& tip : store_->tips()) {
      const auto known = known_tips_.find(tip.author);
      ASSERT_NE(known, known_tips_.end()) << "an author that no report told of";
      EXPECT_EQ(known->second, tip.seq);
    }
  }

 private:
  void keep(const Result<CommitReport>& report) {
    if (!disk_.powered()) return;
    const CommitReport now = report.ok() ? *report : store_->report();
    for (const AuthorTip& tip : now.tips) known_tips_[tip.author] = tip.seq;
    known_digest_ = now.digest;
    EXPECT_GE(now.sequence, must(must(store_->make_reader())->stats()).sequence)
        << "readers see more than was reported";
  }

  Status take(size_t which) {
    const auto& [header, payload] = offers_[which];
    std::vector<VerifiedRange> ranges;
    ranges.push_back(must(verify_range(header, payload, VerifyPolicy::chain, {})));
    const uint64_t end = header.first_seq + header.entries - 1;
    std::vector<Status> refused;
    TestAuthority anyone;
    const auto report = store_->ingest(std::move(ranges), anyone, now_, &refused);
    keep(report);
    if (!report.ok()) return report.error();
    if (refused[0].ok()) taken_ = end;
    return refused[0].code() == Code::gap ? Status() : refused[0];
  }
  Status release() {
    int64_t next = 0;
    now_.wall_us += 3600 * int64_t{1'000'000};
    const auto report = store_->release_held(now_, &next);
    keep(report);
    return report.ok() ? Status() : Status(report.error());
  }

  test::TestRandom random_;
  sim::SimDisk disk_;
  std::unique_ptr<storage::Vfs> vfs_;
  std::unique_ptr<Store> store_;
  Writer alice_{1};
  Writer bob_{2};
  std::vector<std::pair<RangeHeader, Bytes>> offers_;
  Times now_ = at_ms(kStartMs);
  uint64_t acknowledged_ = 0;
  uint64_t taken_ = 0;
  std::map<AuthorKey, uint64_t> known_tips_;
  Digest known_digest_;
  std::map<uint64_t, Hash> hashes_;
  std::map<std::string, std::pair<uint64_t, std::string>> values_;
};

uint64_t operations_of_a_day() {
  Day day;
  EXPECT_TRUE(day.live().ok());
  return day.disk().operations();
}

TEST(CrashSweep, PowerCutAtEveryOperation) {
  const uint64_t operations = operations_of_a_day();
  ASSERT_GT(operations, 60u);
  for (uint64_t at = 1; at <= operations; at += kStride) {
    SCOPED_TRACE("operation " + std::to_string(at));
    Day day;
    day.disk().crash_at(at);
    const Status lived = day.live();
    EXPECT_FALSE(day.disk().powered());
    EXPECT_FALSE(lived.ok() && day.is_open());
    day.shut();
    day.disk().power_on();
    day.disk().crash_at(0);
    day.check();
    if (HasFatalFailure()) return;
  }
}

TEST(CrashSweep, ADiskThatIsFullAtEveryOperation) {
  const uint64_t operations = operations_of_a_day();
  uint64_t told = 0;
  for (const Code code : {Code::no_space, Code::io}) {
    for (uint64_t at = 1; at <= operations; at += kStride) {
      SCOPED_TRACE(std::string(code_name(code)) + " at operation " + std::to_string(at));
      Day day;
      day.disk().fail_at(at, code);
      const Status lived = day.live();
      if (!lived.ok()) {
        ++told;
        EXPECT_TRUE(lived.code() == Code::no_space || lived.code() == Code::io) << code_name(lived.code());
        EXPECT_FALSE(lived.error().detail.empty());
      }
      day.disk().fail_at(0, code);
      // The same process goes on, then another one.
      if (day.is_open()) {
        MUST_OK(day.write({{"k3", "there is space again"}}));
        day.check_reports();
      }
      day.shut();
      day.check();
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(told, operations / kStride / 2);
}

// Full from some byte on and for good, until somebody makes room.
TEST(CrashSweep, ADiskThatFillsUpAtEveryPlace) {
  const uint64_t limit = 700'000;
  uint64_t told = 0;
  for (uint64_t capacity = 0; capacity < limit; capacity += capacity < 30'000 ? 1'500 * kStride : 12'288 * kStride) {
    SCOPED_TRACE("capacity " + std::to_string(capacity));
    Day day;
    sim::DiskFaults faults;
    faults.capacity = capacity;
    day.disk().set_faults(faults);
    const Status lived = day.live();
    if (!lived.ok()) {
      ++told;
      EXPECT_EQ(code_name(lived.code()), code_name(Code::no_space)) << lived.error().detail;
      // Again and again: it stays an error, and nothing gets worse.
      for (int i = 0; i < 3 && day.is_open(); ++i) (void)day.write({{"k" + std::to_string(i), std::string(5000, 'y')}});
    }
    day.disk().set_faults(sim::DiskFaults());
    if (day.is_open()) {
      MUST_OK(day.write({{"k3", "there is space again"}}));
      day.check_reports();
    }
    day.shut();
    day.check();
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(told, 10u / kStride);
}

}  // namespace
}  // namespace sereus::store
