// SQLite on the crashing disk: power cuts, and threads.
#include "core/storage/vfs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/storage/vfs_locks.h"
#include "tests/unit/storage/storage_test_base.h"

namespace sereus::storage {
namespace {

struct CutResult {
  int cuts = 0;
  int lost = 0;    // acknowledged rows that were gone
  int broken = 0;  // databases that no longer opened or checked
};

// Runs `lives` lives of one database, each ended by a power cut at a drawn operation, with checkpoints, large and small
// transactions and reopenings in between.
CutResult cut_power(uint64_t seed, int lives, Durability durability, const sim::DiskFaults& faults) {
  test::TestRandom random(seed);
  sim::SimDisk disk(random);
  Vfs vfs(disk, random);
  disk.set_faults(faults);
  DatabaseOptions options = test_options();
  options.durability = durability;
  CutResult result;
  int64_t acknowledged = 0;
  int64_t next = 1;
  for (int life = 0; life < lives; ++life) {
    if (random.below(4) == 0) disk.crash_at(disk.operations() + 1 + random.below(8));  // while it opens or is made
    auto opened = Database::open(vfs, "test.db", options);
    if (opened.ok()) {
      Database& database = **opened;
      const auto count = database.query_int("SELECT count(*) FROM item");
      const auto last = database.query_int("SELECT ifnull(max(id), 0) FROM item");
      if (count.ok() && last.ok()) {
        if (*last < acknowledged) ++result.lost;
        if (*last != *count || (life % 16 == 0 && database.quick_check().code() == Code::corrupt)) ++result.broken;
        acknowledged = *last;
        next = *last + 1;
      }
      disk.crash_at(disk.operations() + 1 + random.below(40));
      for (int i = 0; i < 100 && disk.powered(); ++i) {
        if (random.below(8) == 0) static_cast<void>(database.checkpoint(CheckpointMode::passive).ok());
        if (random.below(16) == 0) static_cast<void>(database.checkpoint(CheckpointMode::truncate).ok());
        const auto rows = static_cast<int64_t>(random.below(6) == 0 ? 60 : 1 + random.below(3));
        auto transaction = Transaction::begin(database, Transaction::Kind::write);
        if (!transaction.ok()) break;
        Status status;
        for (int64_t id = next; id < next + rows && status.ok(); ++id) {
          auto statement = database.cached("INSERT INTO item VALUES(?1, zeroblob(?2))");
          if (!statement.ok()) break;
          (*statement)->bind_int(1, id);
          (*statement)->bind_int(2, static_cast<int64_t>(random.below(900)));
          status = (*statement)->run();
        }
        if (!status.ok() || !transaction->commit().ok()) break;
        next += rows;
        acknowledged = next - 1;
      }
    } else if (opened.code() == Code::corrupt) {
      ++result.broken;
    }
    disk.crash_at(0);
    if (disk.powered() && random.below(5) == 0) {  // only the process dies
      disk.kill();
      opened = fail(Code::closed);
      continue;
    }
    disk.crash();
    opened = fail(Code::closed);
    disk.power_on();
    ++result.cuts;
    if (result.broken > 0) return result;
  }
  return result;
}

TEST(VfsPowerCuts, FullLosesNothingCommitted) {
  int cuts = 0;
  for (uint64_t seed = 1; seed <= 32; ++seed) {
    const CutResult result = cut_power(seed, 100, Durability::full, {});
    cuts += result.cuts;
    ASSERT_EQ(result.lost, 0) << "seed " << seed;
    ASSERT_EQ(result.broken, 0) << "seed " << seed;
  }
  EXPECT_GE(cuts, 2000);
}

TEST(VfsPowerCuts, NormalStaysWholeButLoses) {
  int lost = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const CutResult result = cut_power(seed, 100, Durability::normal, {});
    ASSERT_EQ(result.broken, 0) << "seed " << seed;
    lost += result.lost;
  }
  EXPECT_GT(lost, 50);  // otherwise the disk is kinder than real ones, and the test above shows nothing
}

TEST(VfsPowerCuts, ALyingDiskIsNoticed) {
  sim::DiskFaults faults;
  faults.sync_lies = true;
  int harmed = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const CutResult result = cut_power(seed, 50, Durability::full, faults);
    harmed += result.broken + result.lost > 0 ? 1 : 0;
  }
  EXPECT_GT(harmed, 5);
}

TEST(VfsPowerCuts, FailedSyncsLoseNothingAcknowledged) {
  sim::DiskFaults faults;
  faults.sync_failed_ppm = 50'000;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const CutResult result = cut_power(seed, 60, Durability::full, faults);
    ASSERT_EQ(result.lost, 0) << "seed " << seed;
    ASSERT_EQ(result.broken, 0) << "seed " << seed;
  }
}

TEST(VfsPowerCuts, SameSeedSameBytes) {
  const auto run = [] {
    seed_sqlite_for_simulation(77);
    test::TestRandom random(3);
    sim::SimDisk disk(random);
    Vfs vfs(disk, random);
    const auto database = must(Database::open(vfs, "test.db", test_options()));
    EXPECT_TRUE(database->exec("INSERT INTO item VALUES(1, randomblob(16))").ok());
    return disk.hash();
  };
  EXPECT_EQ(run(), run());
}

// Readers see whole transactions only, while a writer commits and checkpoints.
TEST_F(StorageTest, ReadersInThreadsBesideAWriter) {
  const auto writer = open_database();
  MUST_OK(insert(*writer, 1, 10, 1000));
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  std::atomic<int> wrong{0};
  const auto read = [&] {
    auto opened = Database::open(vfs_, "test.db", test_options());
    if (!opened.ok()) {
      ++wrong;
      return;
    }
    Database& database = **opened;
    int64_t before = 0;
    while (!stop) {
      auto snapshot = Transaction::begin(database, Transaction::Kind::read);
      const auto count = database.query_int("SELECT count(*) FROM item");
      const auto bytes = database.query_int("SELECT sum(length(body)) FROM item");
      if (!snapshot.ok() || !count.ok() || !bytes.ok()) {
        ++wrong;
        return;
      }
      if (*count % 10 != 0 || *bytes != *count * 1000 || *count < before) ++wrong;
      before = *count;
      ++reads;
    }
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) readers.emplace_back(read);
  for (int64_t first = 11; first <= 2000; first += 10) {
    const Status status = insert(*writer, first, first + 9, 1000);
    EXPECT_TRUE(status.ok()) << status.error().detail;
    if (first % 200 == 1) {
      EXPECT_TRUE(writer->checkpoint(CheckpointMode::passive).ok());
      static_cast<void>(writer->checkpoint(CheckpointMode::truncate).ok());
    }
  }
  while (reads < 20 && wrong == 0) std::this_thread::yield();
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(must(writer->query_int("SELECT count(*) FROM item")), 2000);
  MUST_OK(writer->quick_check());
}

// Connections that open and close at once share one WAL index, whoever comes first.
TEST_F(StorageTest, ConnectionsComeAndGoInThreads) {
  open_database().reset();
  std::atomic<int> wrong{0};
  std::atomic<int64_t> next{1};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 60; ++round) {
        auto database = Database::open(vfs_, "test.db", test_options());
        if (!database.ok()) {
          // Another connection was in the middle of opening or closing.
          if (database.code() != Code::busy) ++wrong;
          continue;
        }
        const int64_t id = next++;
        const Status status = insert(**database, id, id);
        if (!status.ok() && status.code() != Code::busy) ++wrong;
        const auto count = (*database)->query_int("SELECT count(*) FROM item");
        if (!count.ok() && count.code() != Code::busy) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(vfs_.open_files(), 0u);
  MUST_OK(open_database()->quick_check());
}

TEST(VfsLocks, FileLocksFollowSqlitesRules) {
  constexpr int kNone = 0;
  constexpr int kShared = 1;
  constexpr int kReserved = 2;
  constexpr int kExclusive = 4;
  constexpr int kOk = 0;
  constexpr int kBusy = 5;
  VfsLocks locks;
  VfsHold a;
  VfsHold b;
  VfsHold c;
  EXPECT_EQ(locks.lock(a, kShared), kOk);
  EXPECT_EQ(locks.lock(b, kShared), kOk);
  EXPECT_EQ(locks.lock(a, kReserved), kOk);
  EXPECT_TRUE(locks.reserved());
  EXPECT_EQ(locks.lock(b, kReserved), kBusy);
  EXPECT_EQ(locks.lock(c, kShared), kOk);  // RESERVED lets readers in
  EXPECT_EQ(locks.lock(a, kExclusive), kBusy);
  EXPECT_EQ(locks.unlock(c, kNone), kOk);
  EXPECT_EQ(locks.lock(c, kShared), kBusy);  // PENDING does not
  EXPECT_EQ(locks.unlock(b, kNone), kOk);
  EXPECT_EQ(locks.lock(a, kExclusive), kOk);
  EXPECT_EQ(locks.lock(b, kShared), kBusy);
  EXPECT_EQ(locks.unlock(a, kShared), kOk);
  EXPECT_FALSE(locks.reserved());
  EXPECT_EQ(locks.lock(b, kShared), kOk);
  EXPECT_EQ(locks.unlock(a, kNone), kOk);
  EXPECT_EQ(locks.lock(b, kExclusive), kOk);
  EXPECT_EQ(locks.unlock(b, kNone), kOk);
}

TEST(VfsLocks, IndexLocksFollowSqlitesRules) {
  constexpr int kUnlock = 1;
  constexpr int kLock = 2;
  constexpr int kShared = 4;
  constexpr int kExclusive = 8;
  VfsLocks locks;
  VfsHold a;
  VfsHold b;
  EXPECT_EQ(locks.lock_index(a, 3, 1, kLock | kShared), 0);
  EXPECT_EQ(locks.lock_index(b, 3, 1, kLock | kShared), 0);
  EXPECT_EQ(locks.lock_index(b, 0, 8, kLock | kExclusive), 5);
  EXPECT_EQ(locks.lock_index(b, 0, 3, kLock | kExclusive), 0);
  EXPECT_EQ(locks.lock_index(a, 2, 1, kLock | kShared), 5);
  EXPECT_EQ(locks.lock_index(b, 0, 3, kUnlock | kExclusive), 0);
  EXPECT_EQ(locks.lock_index(a, 2, 1, kLock | kShared), 0);
  EXPECT_EQ(locks.lock_index(a, 7, 2, kLock | kShared), 5130);  // beyond the slots
  void volatile* region = nullptr;
  EXPECT_EQ(locks.map_index(a, 0, 32768, false, &region), 0);
  EXPECT_EQ(region, nullptr);
  EXPECT_EQ(locks.map_index(a, 1, 32768, true, &region), 0);
  ASSERT_NE(region, nullptr);
  static_cast<volatile char*>(region)[32767] = 1;
  void volatile* same = nullptr;
  EXPECT_EQ(locks.map_index(b, 1, 32768, false, &same), 0);
  EXPECT_EQ(same, region);
  locks.unmap_index(a);
  EXPECT_EQ(locks.map_index(b, 0, 32768, false, &same), 0);
  EXPECT_NE(same, nullptr);
  locks.unmap_index(b);
  EXPECT_EQ(locks.map_index(b, 0, 32768, false, &same), 0);
  EXPECT_EQ(same, nullptr);
  locks.unmap_index(b);
}

}  // namespace
}  // namespace sereus::storage
