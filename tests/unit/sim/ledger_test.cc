#include "sim/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

namespace sereus::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

LedgerKey key() {
  LedgerKey key;
  key.commit = "1a2b3c4";
  return key;
}

LedgerSums sums(uint64_t failed = 0) {
  LedgerSums sums;
  sums.seeds = 1;
  sums.failed = failed;
  sums.virtual_us = 2'500'000;
  sums.cpu_us = 10'000;
  sums.counts["power cuts"] = 3;
  return sums;
}

LedgerChunk chunk(uint64_t first, uint64_t last) {
  LedgerChunk chunk;
  chunk.key = key();
  chunk.first = first;
  chunk.last = last;
  for (uint64_t seed = first; seed <= last; ++seed) chunk.workloads["story"].add(sums());
  return chunk;
}

class Folder : public testing::Test {
 protected:
  Folder() {
    char name[] = "/tmp/sereus-ledger-XXXXXX";
    folder_ = mkdtemp(name);
    path_ = folder_ + "/ledger.jsonl";
  }
  ~Folder() override {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }
  void write(const std::string& text) const {
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
  }
  std::string folder_;
  std::string path_;
};

TEST(SeedRangesTest, MergesWhatTouchesOrOverlaps) {
  SeedRanges ranges;
  ranges.add(10, 19);
  ranges.add(30, 39);
  ranges.add(50, 50);
  EXPECT_THAT(ranges.ranges(), ElementsAre(Pair(10, 19), Pair(30, 39), Pair(50, 50)));
  ranges.add(20, 29);
  EXPECT_THAT(ranges.ranges(), ElementsAre(Pair(10, 39), Pair(50, 50)));
  ranges.add(35, 60);
  ranges.add(0, 3);
  ranges.add(1, 2);
  EXPECT_THAT(ranges.ranges(), ElementsAre(Pair(0, 3), Pair(10, 60)));
  EXPECT_EQ(ranges.count(), 55u);
  EXPECT_TRUE(ranges.contains(0));
  EXPECT_TRUE(ranges.contains(60));
  EXPECT_FALSE(ranges.contains(4));
  EXPECT_FALSE(ranges.contains(9));
  EXPECT_FALSE(ranges.contains(61));
}

TEST(LedgerTest, AChunkIsReadAsItWasWritten) {
  LedgerChunk written = chunk(100, 199);
  written.key.wishes.workload = "story";
  written.key.wishes.nodes = 4;
  written.key.wishes.minutes = 3;
  written.key.wishes.transport = Transport::quic;
  written.workloads["story"].failed = 1;
  written.failures.push_back({117, "story", "acknowledged", "lost \"own/1\"\n\xff bytes"});
  const std::string line = write_chunk(written);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  const auto read = read_chunk(line);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->key.text(), written.key.text());
  EXPECT_EQ(read->first, 100u);
  EXPECT_EQ(read->last, 199u);
  ASSERT_EQ(read->failures.size(), 1u);
  EXPECT_EQ(read->failures[0].seed, 117u);
  EXPECT_EQ(read->failures[0].oracle, "acknowledged");
  const LedgerSums& all = read->workloads.at("story");
  EXPECT_EQ(all.seeds, 100u);
  EXPECT_EQ(all.failed, 1u);
  EXPECT_EQ(all.virtual_us, 250'000'000u);
  EXPECT_EQ(all.cpu_us, 1'000'000u);
  EXPECT_EQ(all.counts.at("power cuts"), 300u);
}

TEST(LedgerTest, KeysDifferInEachPart) {
  LedgerKey other = key();
  other.wishes.minutes = 1;
  EXPECT_NE(other.text(), key().text());
  EXPECT_FALSE(key().dirty());
  other.commit = "1a2b3c4-dirty";
  EXPECT_TRUE(other.dirty());
}

TEST(LedgerTest, ATornLastLineIsPassedOver) {
  const std::string line = write_chunk(chunk(0, 99));
  for (size_t cut = 0; cut < line.size(); cut += 7) {
    const auto chunks = read_chunks(line + line.substr(0, cut));
    ASSERT_TRUE(chunks) << chunks.error().detail;
    EXPECT_EQ(chunks->size(), 1u);
  }
}

TEST(LedgerTest, ADamagedLineIsNamed) {
  const std::string line = write_chunk(chunk(0, 99));
  const auto not_json = read_chunks(line + "{\"commit\": \n" + line);
  ASSERT_FALSE(not_json);
  EXPECT_EQ(not_json.code(), Code::malformed);
  EXPECT_THAT(not_json.error().detail, HasSubstr("line 2: not a JSON object"));
  const auto no_commit = read_chunk("{}\n");
  ASSERT_FALSE(no_commit);
  EXPECT_THAT(no_commit.error().detail, HasSubstr("'commit'"));
  for (const char* const wrong : {"\"last\":99", "\"failed\":0", "\"virtual_s\":250.0", "\"transport\":\"drawn\""}) {
    std::string spoiled = line;
    const size_t at = spoiled.find(wrong);
    ASSERT_NE(at, std::string::npos) << wrong << " in " << line;
    spoiled.replace(spoiled.find(':', at) + 1, 0, "\"x\", \"y\":");
    EXPECT_FALSE(read_chunk(spoiled)) << spoiled;
  }
}

TEST_F(Folder, TheNextLineFollowsATornOne) {
  const std::string line = write_chunk(chunk(0, 99));
  write(line + line.substr(0, line.size() / 2));
  ASSERT_TRUE(append_to_ledger(path_, chunk(100, 199)));
  ASSERT_TRUE(append_to_ledger(path_, chunk(200, 250)));
  const auto chunks = read_ledger(path_);
  ASSERT_TRUE(chunks) << chunks.error().detail;
  ASSERT_EQ(chunks->size(), 3u);
  EXPECT_EQ(chunks->at(1).first, 100u);
  EXPECT_EQ(chunks->at(2).last, 250u);
}

TEST_F(Folder, AFileThatIsOneTornLineBecomesEmpty) {
  write(std::string(10'000, '{'));
  ASSERT_TRUE(append_to_ledger(path_, chunk(0, 99)));
  const auto chunks = read_ledger(path_);
  ASSERT_TRUE(chunks) << chunks.error().detail;
  EXPECT_EQ(chunks->size(), 1u);
}

TEST_F(Folder, MissingFilesAndFoldersAreErrors) {
  EXPECT_EQ(read_ledger(path_).code(), Code::not_found);
  const Status status = append_to_ledger(folder_ + "/none/ledger.jsonl", chunk(0, 99));
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().detail, HasSubstr("none/ledger.jsonl"));
}

TEST(LedgerChunksTest, SeedsInAnyOrderBecomeWholeHundreds) {
  LedgerChunks chunks(key());
  for (uint64_t seed = 250; seed > 50; --seed) chunks.add(seed, seed % 2 == 0 ? "story" : "log", sums(), std::nullopt);
  std::vector<LedgerChunk> full = chunks.take(false);
  ASSERT_EQ(full.size(), 1u);
  EXPECT_EQ(full[0].first, 100u);
  EXPECT_EQ(full[0].last, 199u);
  EXPECT_EQ(full[0].workloads.at("story").seeds, 50u);
  EXPECT_EQ(full[0].workloads.at("log").seeds, 50u);
  full = chunks.take(true);
  ASSERT_EQ(full.size(), 2u);
  EXPECT_EQ(full[0].first, 51u);
  EXPECT_EQ(full[0].last, 99u);
  EXPECT_EQ(full[1].first, 200u);
  EXPECT_EQ(full[1].last, 250u);
  EXPECT_THAT(chunks.take(true), IsEmpty());
}

TEST(LedgerChunksTest, AGapDivides) {
  LedgerChunks chunks(key());
  for (const uint64_t seed : {1, 2, 4}) chunks.add(seed, "story", sums(), std::nullopt);
  chunks.add(5, "story", sums(1), LedgerFailure{5, "story", "forks", "two histories"});
  EXPECT_THAT(chunks.take(false), IsEmpty());
  const std::vector<LedgerChunk> all = chunks.take(true);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].last, 2u);
  EXPECT_EQ(all[1].first, 4u);
  ASSERT_EQ(all[1].failures.size(), 1u);
  EXPECT_EQ(all[1].workloads.at("story").failed, 1u);
  EXPECT_THAT(write_chunk(all[1]), HasSubstr("\"passed\":1"));
}

}  // namespace
}  // namespace sereus::sim
