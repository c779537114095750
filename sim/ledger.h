// Which seeds ran on which commit and what they came to: a text file to which whole lines are appended, a JSON object each. A
// line that was torn by a crash is cut off before the next is written.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "sim/plan.h"

namespace sereus::sim {

// Sets of seeds, as ranges: first -> last.
class SeedRanges {
 public:
  void add(uint64_t first, uint64_t last);
  bool contains(uint64_t seed) const;
  uint64_t count() const;
  const std::map<uint64_t, uint64_t>& ranges() const { return ranges_; }

 private:
  std::map<uint64_t, uint64_t> ranges_;  // neither touch nor overlap
};

struct LedgerFailure {
  uint64_t seed = 0;
  std::string workload;
  std::string oracle;
  std::string violation;
};

struct LedgerSums {
  uint64_t seeds = 0;
  uint64_t failed = 0;
  uint64_t virtual_us = 0;
  uint64_t cpu_us = 0;
  std::map<std::string, uint64_t> counts;

  void add(const LedgerSums& other);
};

// What was the same for a range of seeds, beside the seeds.
struct LedgerKey {
  std::string commit;
  PlanWishes wishes;

  // A tree with changes may be another one the next time.
  bool dirty() const { return commit.ends_with("-dirty") || commit == "unknown"; }
  // The same for equal keys only: "1a2b3c4 workload=drawn nodes=drawn minutes=drawn transport=drawn".
  std::string text() const;
};

// Consecutive seeds, all of which ran.
struct LedgerChunk {
  static constexpr uint64_t kSeedsMax = 100;

  LedgerKey key;
  uint64_t first = 0;
  uint64_t last = 0;
  std::vector<LedgerFailure> failures;
  std::map<std::string, LedgerSums> workloads;
};

std::string write_chunk(const LedgerChunk& chunk);  // a line, with its end
// malformed: says what is wrong with it.
Result<LedgerChunk> read_chunk(std::string_view line);
// All lines of a ledger's text; one without its end, as a crash leaves it, is passed over. malformed: says which line.
Result<std::vector<LedgerChunk>> read_chunks(std::string_view text);

// not_found: there is no such file.
Result<std::vector<LedgerChunk>> read_ledger(const std::string& path);
// Mends a torn last line, and returns only when the system has the chunk.
Status append_to_ledger(const std::string& path, const LedgerChunk& chunk);

// Gathers the seeds of a run as they end, in any order, and gives chunks of consecutive ones.
class LedgerChunks {
 public:
  explicit LedgerChunks(LedgerKey key) : key_(std::move(key)) {}

  // `sums` are those of the one seed.
  void add(uint64_t seed, std::string_view workload, const LedgerSums& sums, std::optional<LedgerFailure> failure);
  // The chunks that are full, which end at whole hundreds; with `all` also those that are not.
  std::vector<LedgerChunk> take(bool all);

 private:
  struct Seed {
    std::string workload;
    LedgerSums sums;
    std::optional<LedgerFailure> failure;
  };
  LedgerKey key_;
  std::map<uint64_t, Seed> seeds_;
};

}  // namespace sereus::sim
