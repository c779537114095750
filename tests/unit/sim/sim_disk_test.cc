#include "sim/sim_disk.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/support/test_random.h"

namespace sereus::sim {
namespace {

using test::TestRandom;

Bytes filled(size_t size, uint8_t with) { return Bytes(size, with); }

std::unique_ptr<File> open_file(SimDisk& disk, std::string_view path, OpenMode mode = OpenMode::read_write_create) {
  auto file = disk.open(path, mode);
  EXPECT_TRUE(file.ok()) << file.error().detail;
  return std::move(file).value();
}

TEST(SimDisk, ReadsWhatWasWritten) {
  TestRandom random(1);
  SimDisk disk(random);
  const auto file = open_file(disk, "a");
  ASSERT_TRUE(file->write_at(3, as_bytes("hello")).ok());
  Bytes out(20, 9);
  ASSERT_EQ(file->read_at(0, out).value(), 8u);
  EXPECT_EQ(to_string(ByteView(out).first(8)), std::string("\0\0\0hello", 8));
  EXPECT_EQ(file->read_at(8, out).value(), 0u);
  ASSERT_TRUE(file->truncate(4).ok());
  EXPECT_EQ(file->size().value(), 4u);
  EXPECT_EQ(disk.unsynced_bytes(), 5u);
}

TEST(SimDisk, ModesAndNames) {
  TestRandom random(1);
  SimDisk disk(random);
  EXPECT_EQ(disk.open("a", OpenMode::read).code(), Code::not_found);
  EXPECT_EQ(disk.open("a", OpenMode::read_write).code(), Code::not_found);
  EXPECT_EQ(disk.open("none/a", OpenMode::create_new).code(), Code::not_found);
  EXPECT_EQ(disk.open("../a", OpenMode::create_new).code(), Code::invalid);
  ASSERT_TRUE(disk.open("a", OpenMode::create_new).ok());
  EXPECT_EQ(disk.open("a", OpenMode::create_new).code(), Code::exists);
  EXPECT_EQ(open_file(disk, "a", OpenMode::read)->write_at(0, as_bytes("x")).code(), Code::invalid);
  ASSERT_TRUE(disk.make_folder("f/g/h").ok());
  ASSERT_TRUE(disk.make_folder("f/g").ok());
  EXPECT_EQ(disk.make_folder("a/b").code(), Code::exists);
  ASSERT_TRUE(open_file(disk, "f/g/z")->write_at(0, as_bytes("z")).ok());
  EXPECT_EQ(disk.list("f/g").value(), (std::vector<std::string>{"h", "z"}));
  EXPECT_EQ(disk.list("").value(), (std::vector<std::string>{"a", "f"}));
  ASSERT_TRUE(disk.rename("f", "k").ok());
  EXPECT_EQ(to_string(disk.contents("k/g/z")), "z");
  EXPECT_FALSE(disk.exists("f/g/z"));
  ASSERT_TRUE(disk.remove_tree("k").ok());
  EXPECT_EQ(disk.list("").value(), (std::vector<std::string>{"a"}));
  EXPECT_TRUE(disk.remove("nothing").ok());
}

TEST(SimDisk, SyncedDataAndNamesSurviveAndHandlesDie) {
  TestRandom random(1);
  SimDisk disk(random);
  for (int round = 0; round < 100; ++round) {
    const std::string name = "f" + std::to_string(round);
    const auto file = open_file(disk, name);
    ASSERT_TRUE(file->write_at(0, filled(3000, 1)).ok());
    ASSERT_TRUE(file->sync().ok());
    ASSERT_TRUE(disk.sync_folder("").ok());
    ASSERT_TRUE(file->write_at(3000, filled(3000, 2)).ok());
    disk.crash();
    EXPECT_EQ(file->sync().code(), Code::io);
    EXPECT_EQ(disk.open(name, OpenMode::read).code(), Code::io);
    disk.power_on();
    EXPECT_EQ(file->write_at(0, filled(1, 7)).code(), Code::io);
    const Bytes left = disk.contents(name);
    ASSERT_GE(left.size(), 3000u);
    EXPECT_TRUE(equal(ByteView(left).first(3000), filled(3000, 1)));
  }
}

TEST(SimDisk, UnsyncedSectorsAreKeptDroppedAndTorn) {
  TestRandom random(5);
  std::set<std::string> outcomes;  // which of the four sectors hold the new bytes
  for (int round = 0; round < 400; ++round) {
    SimDisk disk(random);
    disk.set_contents("a", filled(2048, 'o'));
    ASSERT_TRUE(open_file(disk, "a")->write_at(0, filled(2048, 'n')).ok());
    disk.crash();
    disk.power_on();
    const Bytes left = disk.contents("a");
    ASSERT_EQ(left.size(), 2048u);
    std::string outcome;
    for (size_t sector = 0; sector < 4; ++sector) {
      const ByteView bytes = ByteView(left).subspan(sector * 512, 512);
      ASSERT_TRUE(equal(bytes, filled(512, bytes[0])));
      outcome += static_cast<char>(bytes[0]);
    }
    outcomes.insert(outcome);
  }
  EXPECT_EQ(outcomes.size(), 16u);
}

TEST(SimDisk, NamesNeedTheirFolderSynced) {
  TestRandom random(6);
  int kept = 0;
  for (int round = 0; round < 200; ++round) {
    SimDisk disk(random);
    ASSERT_TRUE(disk.make_folder("d").ok());
    ASSERT_TRUE(disk.sync_folder("").ok());
    const auto file = open_file(disk, "d/new");
    ASSERT_TRUE(file->write_at(0, as_bytes("x")).ok());
    ASSERT_TRUE(file->sync().ok());
    disk.crash();
    disk.power_on();
    ASSERT_TRUE(disk.exists("d"));
    if (!disk.exists("d/new")) continue;
    ++kept;
    EXPECT_EQ(to_string(disk.contents("d/new")), "x");
  }
  EXPECT_GT(kept, 20);
  EXPECT_LT(kept, 180);
}

TEST(SimDisk, RenameIsOldOrNewNeverNeither) {
  TestRandom random(7);
  int renamed = 0;
  for (int round = 0; round < 200; ++round) {
    SimDisk disk(random);
    disk.set_contents("key", as_bytes("old"));
    const auto file = open_file(disk, "key.new");
    ASSERT_TRUE(file->write_at(0, as_bytes("new")).ok());
    ASSERT_TRUE(file->sync().ok());
    ASSERT_TRUE(disk.rename("key.new", "key").ok());
    disk.crash();
    disk.power_on();
    const std::string left = to_string(disk.contents("key"));
    ASSERT_TRUE(left == "old" || left == "new") << left;
    renamed += left == "new" ? 1 : 0;
  }
  EXPECT_GT(renamed, 20);
  EXPECT_LT(renamed, 180);
}

TEST(SimDisk, LyingAndLostSyncs) {
  TestRandom random(8);
  int lost = 0;
  for (int round = 0; round < 100; ++round) {
    SimDisk disk(random);
    disk.set_contents("a", {});
    DiskFaults faults;
    faults.sync_lies = true;
    disk.set_faults(faults);
    const auto file = open_file(disk, "a");
    ASSERT_TRUE(file->write_at(0, as_bytes("x")).ok());
    ASSERT_TRUE(file->sync().ok());
    disk.crash();
    disk.power_on();
    lost += disk.contents("a").empty() ? 1 : 0;
  }
  EXPECT_GT(lost, 20);
}

TEST(SimDisk, AFailedSyncForgetsButStillReadsBack) {
  TestRandom random(9);
  int lost = 0;
  for (int round = 0; round < 100; ++round) {
    SimDisk disk(random);
    disk.set_contents("a", {});
    const auto file = open_file(disk, "a");
    ASSERT_TRUE(file->write_at(0, as_bytes("x")).ok());
    disk.fail_at(disk.operations() + 1, Code::io);
    ASSERT_EQ(file->sync().code(), Code::io);
    EXPECT_EQ(to_string(disk.contents("a")), "x");
    ASSERT_TRUE(file->sync().ok());  // and yet:
    disk.crash();
    disk.power_on();
    lost += disk.contents("a").empty() ? 1 : 0;
  }
  EXPECT_GT(lost, 20);
}

TEST(SimDisk, FullDiskAndFailingReads) {
  TestRandom random(10);
  SimDisk disk(random);
  DiskFaults faults;
  faults.capacity = 1000;
  disk.set_faults(faults);
  const auto file = open_file(disk, "a");
  ASSERT_TRUE(file->write_at(0, filled(900, 1)).ok());
  EXPECT_EQ(disk.free_bytes().value(), 100u);
  EXPECT_EQ(file->write_at(900, filled(101, 1)).code(), Code::no_space);
  EXPECT_TRUE(file->write_at(0, filled(900, 2)).ok());
  EXPECT_TRUE(file->write_at(900, filled(100, 1)).ok());
  ASSERT_TRUE(disk.remove("a").ok());
  EXPECT_EQ(disk.free_bytes().value(), 1000u);
  faults.read_failed_ppm = 1'000'000;
  disk.set_faults(faults);
  Bytes out(1);
  EXPECT_EQ(file->read_at(0, out).code(), Code::io);
}

TEST(SimDisk, CrashAtOperation) {
  TestRandom random(11);
  SimDisk disk(random);
  disk.set_contents("a", {});
  const auto file = open_file(disk, "a");
  const uint64_t before = disk.operations();
  disk.crash_at(before + 3);
  EXPECT_TRUE(file->write_at(0, as_bytes("1")).ok());
  EXPECT_TRUE(file->sync().ok());
  EXPECT_EQ(file->write_at(1, as_bytes("2")).code(), Code::io);
  EXPECT_FALSE(disk.powered());
  EXPECT_EQ(disk.operations(), before + 3);
  disk.power_on();
  EXPECT_TRUE(starts_with(disk.contents("a"), as_bytes("1")));
}

TEST(SimDisk, LocksEndWithTheirHolderOrThePower) {
  TestRandom random(12);
  SimDisk disk(random);
  auto held = disk.lock("lock");
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(disk.lock("lock").code(), Code::busy);
  disk.crash();
  disk.power_on();
  auto next = disk.lock("lock");
  ASSERT_TRUE(next.ok());
  held.value().reset();  // of the life before: must not free the new one
  EXPECT_EQ(disk.lock("lock").code(), Code::busy);
  next.value().reset();
  EXPECT_TRUE(disk.lock("lock").ok());
}

TEST(SimDisk, AKilledProcessLeavesWhatItWroteNotYetDurable) {
  TestRandom random(14);
  int lost = 0;
  for (int round = 0; round < 100; ++round) {
    SimDisk disk(random);
    const auto file = open_file(disk, "a");
    ASSERT_TRUE(file->write_at(0, as_bytes("x")).ok());
    const auto lock = disk.lock("lock");
    disk.kill();
    EXPECT_EQ(file->write_at(1, as_bytes("y")).code(), Code::io);
    EXPECT_TRUE(disk.lock("lock").ok());
    ASSERT_EQ(to_string(disk.contents("a")), "x");
    disk.crash();
    disk.power_on();
    lost += disk.contents("a").empty() ? 1 : 0;
  }
  EXPECT_GT(lost, 20);
}

TEST(SimDisk, FullMeansThatNothingGrows) {
  TestRandom random(15);
  SimDisk disk(random);
  const auto file = open_file(disk, "a");
  ASSERT_TRUE(file->write_at(0, filled(100, 1)).ok());
  DiskFaults faults;
  faults.full = true;
  disk.set_faults(faults);
  EXPECT_EQ(file->write_at(50, filled(51, 2)).code(), Code::no_space);
  EXPECT_EQ(file->truncate(101).code(), Code::no_space);
  EXPECT_TRUE(file->write_at(50, filled(50, 2)).ok());
  EXPECT_EQ(file->size().value(), 100u);
  disk.set_faults(DiskFaults());
  EXPECT_TRUE(file->write_at(50, filled(51, 2)).ok());
}

TEST(SimDisk, SyncsTakeTheirTime) {
  TestRandom random(16);
  SimDisk disk(random);
  const auto file = open_file(disk, "a");
  ASSERT_TRUE(file->sync().ok());
  EXPECT_EQ(disk.take_us(), 0u);
  DiskFaults faults;
  faults.sync_us = 70'000;
  disk.set_faults(faults);
  ASSERT_TRUE(file->write_at(0, as_bytes("x")).ok());
  ASSERT_TRUE(file->sync().ok());
  ASSERT_TRUE(disk.sync_folder("").ok());
  EXPECT_EQ(disk.take_us(), 140'000u);
  EXPECT_EQ(disk.take_us(), 0u);
}

TEST(SimDisk, RotTurnsBitsOfWhatIsDurable) {
  TestRandom random(17);
  SimDisk disk(random);
  EXPECT_EQ(disk.rot(3), 0u);
  disk.set_contents("a", filled(1000, 0));
  disk.set_contents("b", filled(3000, 0));
  const auto file = open_file(disk, "a");
  ASSERT_TRUE(file->write_at(0, filled(1000, 0xff)).ok());
  EXPECT_EQ(disk.rot(200), 200u);
  // What is newer than the disk in memory stays good there, and makes it good on the disk.
  EXPECT_EQ(disk.contents("a"), filled(1000, 0xff));
  EXPECT_NE(disk.contents("b"), filled(3000, 0));
  ASSERT_TRUE(file->sync().ok());
  disk.crash();
  disk.power_on();
  EXPECT_EQ(disk.contents("a"), filled(1000, 0xff));
  EXPECT_NE(disk.contents("b"), filled(3000, 0));
}

TEST(SimDisk, ShowsAllThatIsOnIt) {
  TestRandom random(18);
  SimDisk disk(random);
  disk.set_contents("gone", as_bytes("still there"));
  disk.set_contents("a", as_bytes("old"));
  ASSERT_TRUE(disk.remove("gone").ok());
  const auto file = open_file(disk, "a");
  ASSERT_TRUE(file->write_at(0, as_bytes("mid")).ok());
  ASSERT_TRUE(file->write_at(0, as_bytes("new")).ok());
  std::multiset<std::string> seen;
  disk.for_each_file([&](std::string_view path, ByteView bytes) {
    if (!bytes.empty()) seen.insert(std::string(path) + ":" + to_string(bytes));
  });
  EXPECT_EQ(seen, (std::multiset<std::string>{"a:mid", "a:new", "a:new", "a:old", "gone:still there"}));
  ASSERT_TRUE(file->sync().ok());
  ASSERT_TRUE(disk.sync_folder("").ok());
  seen.clear();
  disk.for_each_file([&](std::string_view path, ByteView bytes) {
    if (!bytes.empty()) seen.insert(std::string(path) + ":" + to_string(bytes));
  });
  EXPECT_EQ(seen, (std::multiset<std::string>{"a:new"}));
}

// After a power cut what reads see is what is durable, whatever was written, cut off and forgotten before.
TEST(SimDisk, MemoryIsTheDiskAfterAPowerCut) {
  TestRandom random(19);
  for (int round = 0; round < 300; ++round) {
    SimDisk disk(random);
    const auto file = open_file(disk, "a");
    ASSERT_TRUE(disk.sync_folder("").ok());
    for (int i = 0; i < 30; ++i) {
      const uint64_t at = random.below(4000);
      switch (random.below(8)) {
        case 0:
          ASSERT_TRUE(file->truncate(at).ok());
          break;
        case 1:
          ASSERT_TRUE(file->sync().ok());
          break;
        case 2:
          disk.fail_at(disk.operations() + 1, Code::io);
          ASSERT_FALSE(file->sync().ok());
          break;
        case 3:
          disk.rot(1);
          break;
        default:
          ASSERT_TRUE(file->write_at(at, filled(random.below(1500), static_cast<uint8_t>(i + 1))).ok());
      }
    }
    disk.crash();
    disk.power_on();
    const Bytes left = disk.contents("a");
    const uint64_t hash = disk.hash();
    disk.crash();
    disk.power_on();
    ASSERT_EQ(disk.contents("a"), left);
    ASSERT_EQ(disk.hash(), hash);
    size_t different = 0;
    disk.for_each_file([&](std::string_view path, ByteView bytes) {
      different += path == "a" && Bytes(bytes.begin(), bytes.end()) != left ? 1u : 0u;
    });
    ASSERT_EQ(different, 0u);
  }
}

TEST(SimDisk, SameSeedSameDisk) {
  const auto run = [](uint64_t seed) {
    TestRandom random(seed);
    SimDisk disk(random);
    for (int i = 0; i < 20; ++i) {
      const auto file = open_file(disk, "f" + std::to_string(i % 3));
      EXPECT_TRUE(file->write_at(static_cast<uint64_t>(i) * 100, filled(2000, static_cast<uint8_t>(i))).ok());
      const bool synced = i % 4 != 0 || file->sync().ok();
      const bool named = i % 5 != 0 || disk.sync_folder("").ok();
      EXPECT_TRUE(synced && named);
      if (i % 7 == 6) {
        disk.crash();
        disk.power_on();
      }
    }
    return disk.hash();
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(SimDisk, FingerprintsBelongToOneDisk) {
  TestRandom random(13);
  SimDisk one(random);
  SimDisk other(random);
  EXPECT_NE(one.fingerprint(""), 0u);
  EXPECT_NE(one.fingerprint(""), other.fingerprint(""));
  const uint64_t before = one.fingerprint("");
  one.crash();
  one.power_on();
  EXPECT_EQ(one.fingerprint(""), before);
  EXPECT_EQ(one.fingerprint("none"), 0u);
}

}  // namespace
}  // namespace sereus::sim
