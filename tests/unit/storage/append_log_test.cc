#include "core/storage/append_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/storage/crc32c.h"
#include "tests/unit/storage/storage_test_base.h"

namespace sereus::storage {
namespace {

constexpr std::string_view kPath = "log";

AppendLogOptions log_options(uint64_t trusted_end = 0) {
  AppendLogOptions options;
  options.id.fill(0xab);
  options.create = true;
  options.trusted_end = trusted_end;
  return options;
}

Bytes payload_of(uint64_t number, size_t size) {
  Bytes payload(size);
  for (size_t i = 0; i < size; ++i) payload[i] = static_cast<uint8_t>(number * 31 + i * 7 + 1);
  return payload;
}

class AppendLogTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<AppendLog>> try_open(const AppendLogOptions& options = log_options()) {
    recovery_ = {};
    return AppendLog::open(disk_, random_, kPath, options, &recovery_);
  }
  std::unique_ptr<AppendLog> open(const AppendLogOptions& options = log_options()) { return must(try_open(options)); }
  // Appends `count` records of `size` bytes, each durable on its own, and returns their payload positions.
  std::vector<uint64_t> fill(AppendLog& log, uint64_t first, uint64_t count, size_t size) {
    std::vector<uint64_t> positions;
    for (uint64_t i = first; i < first + count; ++i) {
      positions.push_back(must(log.append(static_cast<uint8_t>(i % 128), payload_of(i, size))));
      EXPECT_TRUE(log.sync().ok());
    }
    return positions;
  }
  // Number of records, each checked; -1 for damage.
  static int64_t count(const AppendLog& log) {
    LogScanner scanner = log.scan(kLogHeaderSize);
    LogRecord record;
    int64_t found = 0;
    for (;;) {
      const auto more = scanner.next(&record);
      if (!more.ok()) return -1;
      if (!*more) return found;
      const auto number = static_cast<uint64_t>(found);
      EXPECT_EQ(record.kind, number % 128);
      EXPECT_TRUE(equal(record.payload, payload_of(number, record.payload.size())));
      ++found;
    }
  }

  test::TestRandom random_{1};
  sim::SimDisk disk_{random_};
  LogRecovery recovery_;
};

TEST_F(AppendLogTest, AppendsReadsReopens) {
  {
    const auto log = open();
    EXPECT_TRUE(recovery_.created);
    EXPECT_EQ(log->end(), kLogHeaderSize);
    const auto positions = fill(*log, 0, 200, 333);
    EXPECT_EQ(positions[0], kLogHeaderSize + kLogRecordHeaderSize);
    Bytes buffer;
    for (size_t i = 0; i < positions.size(); ++i) {
      const LogRecord record = must(log->read_record(positions[i], &buffer));
      EXPECT_EQ(record.kind, i % 128);
      ASSERT_TRUE(equal(record.payload, payload_of(i, 333)));
      EXPECT_EQ(record.boundary(), positions[i] - kLogRecordHeaderSize);
    }
    EXPECT_EQ(count(*log), 200);
    MUST_OK(log->close());
    EXPECT_EQ(log->append(0, payload_of(0, 1)).code(), Code::closed);
    EXPECT_EQ(disk_.contents(kPath).size(), log->end());  // what was reserved is given back
  }
  const auto log = open();
  EXPECT_FALSE(recovery_.created);
  EXPECT_EQ(recovery_.records_scanned, 200u);
  EXPECT_EQ(recovery_.torn_bytes_dropped, 0u);
  EXPECT_EQ(count(*log), 200);
  fill(*log, 200, 1, 5);
  EXPECT_EQ(count(*log), 201);
}

TEST_F(AppendLogTest, JoinsPartsAndRefusesBadRecords) {
  const auto log = open();
  const Bytes a = payload_of(0, 10);
  const Bytes whole = payload_of(0, 30);
  const ByteView parts[] = {ByteView(whole).first(10), {}, ByteView(whole).subspan(10)};
  const uint64_t position = must(log->append(0, parts));
  EXPECT_EQ(log->append(0, ByteView()).code(), Code::invalid);
  EXPECT_EQ(log->append(0x80, a).code(), Code::invalid);
  const Bytes large(kLogPayloadMax + 1);
  EXPECT_EQ(log->append(0, large).code(), Code::too_large);
  EXPECT_FALSE(log->failed());
  Bytes out(30);
  EXPECT_EQ(log->read(position, out).code(), Code::invalid);  // not visible yet
  MUST_OK(log->flush());
  MUST_OK(log->read(position, out));
  EXPECT_EQ(out, whole);
  EXPECT_EQ(log->durable_end(), kLogHeaderSize);
  MUST_OK(log->sync());
  EXPECT_EQ(log->durable_end(), log->end());
  EXPECT_EQ(count(*log), 1);
}

TEST_F(AppendLogTest, LargestRecordsAndWriteThrough) {
  const auto log = open();
  const uint64_t position = must(log->append(0, payload_of(0, kLogPayloadMax)));
  EXPECT_GT(log->visible_end(), position);  // more than the buffer holds is written through
  for (uint64_t i = 1; i < 40; ++i) must(log->append(static_cast<uint8_t>(i), payload_of(i, 100'000)));
  MUST_OK(log->sync());
  EXPECT_EQ(count(*log), 40);
  Bytes buffer;
  EXPECT_EQ(must(log->read_record(position, &buffer)).payload.size(), kLogPayloadMax);
  EXPECT_EQ(log->read_record(position + 1, &buffer).code(), Code::corrupt);
  EXPECT_EQ(log->read_record(3, &buffer).code(), Code::invalid);
  EXPECT_EQ(log->read_record(log->end(), &buffer).code(), Code::invalid);
}

class FixedRandom : public Random {
 public:
  void fill(ByteSpan out) override {
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(i + 1);
  }
};

// docs/formats/log.md; computed by a program of its own.
TEST_F(AppendLogTest, BytesAreAsDocumented) {
  FixedRandom fixed;
  AppendLogOptions options = log_options();
  for (size_t i = 0; i < options.id.size(); ++i) options.id[i] = static_cast<uint8_t>(0xa0 + i);
  const auto log = must(AppendLog::open(disk_, fixed, kPath, options, nullptr));
  must(log->append(1, as_bytes("first")));
  must(log->append(2, as_bytes("same group")));
  MUST_OK(log->sync());
  must(log->append(3, as_bytes("after a sync")));
  MUST_OK(log->close());
  EXPECT_EQ(to_hex(disk_.contents(kPath)),
            "7365726575736c670100000028000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf01020304f29e9a2e"
            "0500000081ecc8e3f6b261b66669727374"
            "0a0000000293209169064ad273616d652067726f7570"
            "0c00000083973ae222b1034b616674657220612073796e63");
}

TEST_F(AppendLogTest, NewerIsRefused) {
  open().reset();
  Bytes bytes = disk_.contents(kPath);
  bytes[8] = 2;
  store_le(bytes.data() + 36, crc32c(0, ByteView(bytes).first(36)));
  disk_.set_contents(kPath, bytes);
  EXPECT_EQ(try_open().code(), Code::too_new);
  EXPECT_EQ(disk_.contents(kPath), bytes);
}

TEST_F(AppendLogTest, MissingAndForeign) {
  AppendLogOptions options = log_options();
  options.create = false;
  EXPECT_EQ(try_open(options).code(), Code::not_found);
  options.create = true;
  options.trusted_end = 100;
  EXPECT_EQ(try_open(options).code(), Code::corrupt);
  EXPECT_FALSE(disk_.exists(kPath));
  open().reset();
  options = log_options();
  options.id.fill(1);
  EXPECT_EQ(try_open(options).code(), Code::wrong_store);
}

TEST_F(AppendLogTest, EveryFlippedBitOfTheHeaderIsCorrupt) {
  {
    const auto log = open();
    fill(*log, 0, 2, 50);
  }
  const Bytes before = disk_.contents(kPath);
  for (uint64_t byte = 0; byte < kLogHeaderSize; ++byte) {
    disk_.flip_bit(kPath, byte, static_cast<unsigned>(byte));
    EXPECT_EQ(try_open().code(), Code::corrupt) << byte;
    disk_.flip_bit(kPath, byte, static_cast<unsigned>(byte));
  }
  EXPECT_EQ(disk_.contents(kPath), before);
  EXPECT_EQ(count(*open()), 2);
}

TEST_F(AppendLogTest, HeaderCutShortIsMadeAnewOnlyWithoutKnowledge) {
  open().reset();
  const Bytes header = disk_.contents(kPath);
  for (size_t size = 0; size < kLogHeaderSize; ++size) {
    const ByteView cut = ByteView(header).first(size);
    disk_.set_contents(kPath, cut);
    EXPECT_EQ(try_open(log_options(kLogHeaderSize)).code(), Code::corrupt) << size;
    AppendLogOptions options = log_options();
    options.create = false;
    EXPECT_EQ(try_open(options).code(), Code::not_found) << size;
    EXPECT_TRUE(equal(disk_.contents(kPath), cut));
    EXPECT_EQ(count(*open()), 0);
    EXPECT_TRUE(recovery_.created);
  }
  disk_.set_contents(kPath, Bytes(5000));  // grown, but nothing of it arrived
  EXPECT_EQ(count(*open()), 0);
  Bytes garbage(5000);
  garbage[4999] = 1;
  disk_.set_contents(kPath, garbage);
  EXPECT_EQ(try_open().code(), Code::corrupt);
  EXPECT_EQ(disk_.contents(kPath), garbage);
}

TEST_F(AppendLogTest, TornAtEveryByteOfTheLastRecord) {
  uint64_t durable = 0;
  {
    const auto log = open();
    fill(*log, 0, 3, 60);
    durable = log->end();
    fill(*log, 3, 1, 60);
    MUST_OK(log->close());
  }
  const Bytes whole = disk_.contents(kPath);
  for (size_t size = durable; size < whole.size(); ++size) {
    for (const size_t zeros : {size_t{0}, size_t{700}}) {  // cut off, or in the zeros reserved ahead
      for (const uint64_t trusted : {uint64_t{0}, durable}) {
        Bytes torn(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
        torn.resize(size + zeros);
        disk_.set_contents(kPath, torn);
        const auto log = open(log_options(trusted));
        EXPECT_EQ(log->end(), durable);
        EXPECT_LE(recovery_.torn_bytes_dropped, size - durable);
        EXPECT_EQ(count(*log), 3);
        fill(*log, 3, 2, 44);
        EXPECT_EQ(count(*log), 5);
      }
    }
  }
}

TEST_F(AppendLogTest, EveryFlippedByteInTheMiddleIsCorrupt) {
  uint64_t last = 0;
  uint64_t end = 0;
  {
    const auto log = open();
    fill(*log, 0, 5, 40);
    last = log->end();
    fill(*log, 5, 1, 40);
    end = log->end();
    MUST_OK(log->close());
  }
  for (uint64_t byte = kLogHeaderSize; byte < last; ++byte) {
    disk_.flip_bit(kPath, byte, static_cast<unsigned>(byte * 5));
    const uint64_t before = disk_.hash();
    const auto refused = try_open();
    EXPECT_EQ(refused.code(), Code::corrupt) << byte;
    EXPECT_EQ(disk_.hash(), before) << byte;
    disk_.flip_bit(kPath, byte, static_cast<unsigned>(byte * 5));
  }
  // In the last record it looks like a torn write, unless the index knows better.
  for (uint64_t byte = last; byte < end; ++byte) {
    disk_.flip_bit(kPath, byte, 1);
    AppendLogOptions options = log_options(end);
    options.full_scan = true;
    const auto refused = try_open(options);
    EXPECT_EQ(refused.code(), Code::corrupt);
    EXPECT_NE(refused.error().detail.find("damaged at byte " + std::to_string(last)), std::string::npos);
    disk_.flip_bit(kPath, byte, 1);
  }
  EXPECT_EQ(try_open(log_options(end + 1)).code(), Code::corrupt);  // shorter than it was
  EXPECT_EQ(count(*open(log_options(end))), 6);
  EXPECT_EQ(recovery_.records_scanned, 0u);
}

// An index that belongs to another log must not make this one lose its end.
TEST_F(AppendLogTest, NothingIsCutAtAPositionThatIsNoBoundary) {
  uint64_t last = 0;
  uint64_t end = 0;
  {
    const auto log = open();
    fill(*log, 0, 4, 100);
    last = log->end();
    fill(*log, 4, 1, 100);
    end = log->end();
    MUST_OK(log->close());
  }
  const Bytes whole = disk_.contents(kPath);
  for (uint64_t trusted = last + 1; trusted < end; ++trusted) {
    AppendLogOptions options = log_options(trusted);
    EXPECT_EQ(try_open(options).code(), Code::corrupt) << trusted;
    options.trusted_last = last - 112;
    EXPECT_EQ(try_open(options).code(), Code::corrupt) << trusted;
    ASSERT_EQ(disk_.contents(kPath), whole);
  }
  disk_.flip_bit(kPath, end - 1, 0);  // torn at a true boundary
  AppendLogOptions options = log_options(last);
  options.trusted_last = last - 112;
  EXPECT_EQ(open(options)->end(), last);
}

// Sectors of one unsynced group arrive in any order: a whole record behind a torn one is no damage.
TEST_F(AppendLogTest, LaterRecordsOfTheSameGroupDoNotMakeDamage) {
  uint64_t durable = 0;
  uint64_t end = 0;
  {
    const auto log = open();
    fill(*log, 0, 2, 100);
    durable = log->end();
    for (uint64_t i = 2; i < 12; ++i) must(log->append(static_cast<uint8_t>(i), payload_of(i, 100)));
    MUST_OK(log->sync());
    end = log->end();
  }
  const Bytes whole = disk_.contents(kPath);
  for (uint64_t byte = durable; byte < end; byte += 5) {
    Bytes torn = whole;
    torn[byte] ^= 0x10;
    disk_.set_contents(kPath, torn);
    const auto log = open();
    const uint64_t kept = (log->end() - durable) / 112;
    EXPECT_EQ(kept, (byte - durable) / 112);
    EXPECT_EQ(count(*log), static_cast<int64_t>(2 + kept));
    // The stale records behind must not come back, whatever is written before them.
    fill(*log, 2 + kept, 1, 100);
    EXPECT_EQ(count(*log), static_cast<int64_t>(3 + kept));
    EXPECT_EQ(count(*open()), static_cast<int64_t>(3 + kept));
  }
}

// The same with a group so large that no zeros are written ahead, which would hide stale records.
TEST_F(AppendLogTest, WhatIsCutDoesNotComeBackBehindALargeRecord) {
  uint64_t durable = 0;
  {
    const auto log = open();
    fill(*log, 0, 1, 100);
    durable = log->end();
    must(log->append(1, payload_of(1, 200'000)));
    must(log->append(2, payload_of(2, 100)));
    MUST_OK(log->sync());
  }
  disk_.flip_bit(kPath, durable + 1000, 0);
  const auto log = open();
  EXPECT_EQ(log->end(), durable);
  fill(*log, 1, 1, 200'000);
  EXPECT_EQ(count(*log), 2);
  EXPECT_EQ(count(*open()), 2);
}

TEST_F(AppendLogTest, RecordsOfAnotherPlaceOrLogDoNotCount) {
  Bytes foreign;
  {
    const auto log = open();
    fill(*log, 0, 3, 100);
    MUST_OK(log->close());
    foreign = disk_.contents(kPath);
  }
  MUST_OK(disk_.remove(kPath));
  uint64_t end = 0;
  {
    const auto log = open();  // another salt
    fill(*log, 0, 1, 100);
    end = log->end();
    MUST_OK(log->close());
  }
  Bytes mixed = disk_.contents(kPath);
  append(mixed, ByteView(foreign).subspan(end));
  disk_.set_contents(kPath, mixed);
  EXPECT_EQ(open()->end(), end);
  EXPECT_EQ(recovery_.torn_bytes_dropped, foreign.size() - end);
  append(mixed, ByteView(mixed).subspan(kLogHeaderSize, 112));  // its own record, elsewhere
  disk_.set_contents(kPath, mixed);
  EXPECT_EQ(open()->end(), end);
}

TEST_F(AppendLogTest, AfterAFailureItRefusesUntilRewound) {
  const auto log = open();
  fill(*log, 0, 3, 100);
  const uint64_t durable = log->end();
  for (const uint64_t operation : {uint64_t{1}, uint64_t{3}}) {  // the write; the sync (after the zeros)
    must(log->append(3, payload_of(3, 100)));
    disk_.fail_at(disk_.operations() + operation, Code::io);
    EXPECT_EQ(log->sync().code(), Code::io);
    EXPECT_TRUE(log->failed());
    EXPECT_EQ(log->append(3, payload_of(3, 100)).code(), Code::io);
    EXPECT_EQ(log->sync().code(), Code::io);
    EXPECT_EQ(log->durable_end(), durable);
    disk_.fail_at(disk_.operations() + 2, Code::io);
    EXPECT_EQ(log->rewind_to_durable().code(), Code::io);
    EXPECT_TRUE(log->failed());
    MUST_OK(log->rewind_to_durable());
    EXPECT_FALSE(log->failed());
    EXPECT_EQ(log->end(), durable);
    EXPECT_EQ(count(*log), 3);
  }
  fill(*log, 3, 1, 100);
  disk_.crash();
  disk_.power_on();
  EXPECT_EQ(count(*open()), 4);
}

TEST_F(AppendLogTest, ClosesAfterAFailureOnceTheDiskWorks) {
  const auto log = open();
  fill(*log, 0, 3, 100);
  must(log->append(3, payload_of(3, 100)));
  disk_.fail_at(disk_.operations() + 1, Code::io);
  EXPECT_EQ(log->sync().code(), Code::io);
  disk_.fail_at(disk_.operations() + 1, Code::io);
  EXPECT_EQ(log->close().code(), Code::io) << "the disk still fails";
  MUST_OK(log->close());
  EXPECT_EQ(count(*open()), 3);
}

TEST_F(AppendLogTest, FullDisk) {
  const auto log = open();
  sim::DiskFaults faults;
  faults.capacity = 5000;  // less than what it would reserve
  disk_.set_faults(faults);
  uint64_t written = 0;
  Status status;
  while (true) {
    must(log->append(static_cast<uint8_t>(written % 128), payload_of(written, 100)));
    status = log->sync();
    if (!status.ok()) break;
    ++written;
  }
  EXPECT_EQ(status.code(), Code::no_space);
  EXPECT_EQ(written, (5000 - kLogHeaderSize) / 112);
  MUST_OK(log->rewind_to_durable());
  EXPECT_EQ(count(*log), static_cast<int64_t>(written));
  disk_.set_faults({});
  fill(*log, written, 3, 100);
  EXPECT_EQ(count(*log), static_cast<int64_t>(written + 3));
}

// Lives ended by power cuts or kills: nothing acknowledged is lost, nothing is taken for damage.
TEST(AppendLogPowerCuts, NothingAcknowledgedIsLost) {
  int cuts = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    test::TestRandom random(seed);
    sim::SimDisk disk(random);
    sim::DiskFaults faults;
    if (seed % 4 == 0) faults.sync_failed_ppm = 50'000;
    disk.set_faults(faults);
    uint64_t durable = 0;  // records acknowledged
    uint64_t trusted = 0;  // a boundary that an index could know
    std::vector<uint64_t> sizes;
    for (int life = 0; life < 25; ++life) {
      if (random.below(3) == 0) disk.crash_at(disk.operations() + 1 + random.below(6));
      AppendLogOptions options = log_options(random.below(2) == 0 ? trusted : 0);
      options.full_scan = random.below(4) == 0;
      auto opened = AppendLog::open(disk, random, kPath, options, nullptr);
      ASSERT_TRUE(opened.ok() || opened.code() == Code::io) << opened.error().detail << " seed " << seed << " " << life;
      if (opened.ok()) {
        AppendLog& log = **opened;
        LogScanner scanner = log.scan(kLogHeaderSize);
        LogRecord record;
        uint64_t found = 0;
        Result<bool> more = false;
        while ((more = scanner.next(&record)).ok() && *more) {
          if (found < sizes.size()) {
            ASSERT_TRUE(equal(record.payload, payload_of(found, sizes[found]))) << "seed " << seed;
          }
          ++found;
        }
        ASSERT_TRUE(more.ok()) << more.error().detail;
        ASSERT_GE(found, durable) << "seed " << seed << " life " << life;
        ASSERT_LE(found, sizes.size());
        sizes.resize(found);
        durable = found;
        trusted = log.durable_end();
        disk.crash_at(disk.operations() + 1 + random.below(30));
        for (int group = 0; group < 60 && disk.powered(); ++group) {
          const uint64_t records = random.below(8) == 0 ? 30 : 1 + random.below(3);
          for (uint64_t i = 0; i < records; ++i) {
            const auto size = static_cast<size_t>(1 + random.below(random.below(40) == 0 ? 20'000 : 500));
            if (!log.append(1, payload_of(sizes.size(), size)).ok()) break;
            sizes.push_back(size);
          }
          if (random.below(4) == 0 && log.flush().ok() && random.below(8) == 0) break;
          if (log.sync().ok()) {
            durable = sizes.size();
            trusted = log.durable_end();
          } else if (log.rewind_to_durable().ok()) {
            sizes.resize(durable);
          }
          if (random.below(20) == 0) break;
        }
        if (random.below(3) == 0) static_cast<void>(log.close().ok());
      }
      disk.crash_at(0);
      // Sometimes only the process dies, and what it wrote is there, durable or not.
      if (disk.powered() && random.below(4) == 0) {
        disk.kill();
        continue;
      }
      disk.crash();
      disk.power_on();
      ++cuts;
    }
  }
  EXPECT_GT(cuts, 2500);
}

TEST_F(AppendLogTest, ReadersInThreadsBesideTheWriter) {
  const auto log = open();
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  const auto read = [&] {
    LogScanner scanner = log->scan(kLogHeaderSize);
    LogRecord record;
    Bytes buffer;
    uint64_t found = 0;
    while (!stop || scanner.boundary() < log->visible_end()) {
      const auto more = scanner.next(&record);
      if (!more.ok()) {
        ++wrong;
        return;
      }
      if (!*more) continue;
      if (!equal(record.payload, payload_of(found, record.payload.size()))) ++wrong;
      if (found % 7 == 0 && !log->read_record(record.position, &buffer).ok()) ++wrong;
      ++found;
    }
    if (found != 3000) ++wrong;
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) readers.emplace_back(read);
  for (uint64_t i = 0; i < 3000; ++i) {
    must(log->append(1, payload_of(i, static_cast<size_t>(1 + i * 37 % 2000))));
    if (i % 5 == 0) MUST_OK(log->sync());
  }
  MUST_OK(log->sync());
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace sereus::storage
