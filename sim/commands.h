// The commands of sereus-sim. Each returns its exit code: 0 all held, 1 an oracle was violated, 2 it was asked for wrongly.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/plan.h"
#include "sim/timeline.h"
#include "sim/trial.h"

namespace sereus::sim {

inline constexpr int kHeld = 0;
inline constexpr int kViolated = 1;
inline constexpr int kMisused = 2;
inline constexpr int kInterrupted = 130;

struct RunOptions {
  PlanWishes wishes;
  uint64_t first = 1;
  uint64_t last = 500;
  std::string ledger;    // empty: none
  std::string failures;  // a folder
  size_t jobs = 1;
  uint64_t timeout_s = 120;
  bool stop_at_first = false;
  bool json = false;
};
int command_run(const RunOptions& options);

// One plan: that of a seed, or one from a file.
struct PlanChoice {
  std::optional<uint64_t> seed;
  PlanWishes wishes;
  std::string schedule;
};
struct ReplayOptions {
  PlanChoice choice;
  std::string picture;  // empty: none
};
int command_replay(const ReplayOptions& options);

struct ShrinkOptions {
  PlanChoice choice;
  std::string out;  // empty: beside the other failures
  std::string failures;
  size_t jobs = 1;
  uint64_t timeout_s = 120;
  size_t trials = 2000;
  uint64_t seconds = 300;
};
int command_shrink(const ShrinkOptions& options);

int command_report(const std::vector<std::string>& ledgers, bool json);
// `folder` empty: sim/regressions of the sources.
int command_regressions(const std::string& folder, size_t jobs, uint64_t timeout_s);
int command_workloads();

struct BenchOptions {
  std::string workload;  // empty: all
  size_t nodes = 20;
  std::optional<uint64_t> minutes;
  double seconds = 10;  // of processor time for each row
  bool json = false;
};
int command_bench(const BenchOptions& options);

// ---- What they share (command_shared.cc) ----

// How the program was called; for the commands that are printed.
void set_program(const std::string& name);
const std::string& program();
// Runs make and forget whole disks: asking the system for the memory each time costs 4 % of their time.
void keep_memory();
// The folder that holds the sources this program was built from, if it is there; otherwise the present one.
const std::string& source_folder();
// What this was built from: $SEREUS_SIM_COMMIT, or what git says of source_folder(), or "unknown".
const std::string& commit();
// Says what is wrong on standard error; kMisused.
int misused(const std::string& what);
// Before anything runs. No part may take randomness from outside the seed from here on.
void forbid_randomness();
// run_plan(); or what $SEREUS_SIM_SELF_TEST makes of it: "crash:SEED", "hang:SEED" or "violate:SEED" spoil the seed's runs, with
// a further ":N" only those with at least N faults.
Outcome run_for_command(const Plan& plan, Chronicle* chronicle);
bool is_run_twice(uint64_t seed);

Result<Plan> chosen_plan(const PlanChoice& choice);
Result<std::string> read_file(const std::string& path);
Status write_file(const std::string& path, const std::string& text);
// With the folders above it.
Status make_folder(const std::string& path);
// " --workload story --nodes 4"
std::string options_of(const PlanWishes& wishes);
std::string replay_command(uint64_t seed, const PlanWishes& wishes);
std::string replay_command(const std::string& schedule);
// Writes the picture of a run that has ended.
Status write_picture(const std::string& path, const Plan& plan, const Outcome& outcome, const Chronicle& chronicle,
                     const std::string& again);

// A line on standard error that is written over on a terminal, and every ten seconds a new one otherwise.
class ProgressLine {
 public:
  explicit ProgressLine(bool shown);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // `text` is what follows the bar.
  void show(uint64_t done, uint64_t of, const std::string& text);
  void clear();
  double seconds() const;  // since it was made

 private:
  bool shown_;
  bool terminal_;
  bool dirty_ = false;
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point last_;
};

// True once Ctrl-C was pressed, or SIGTERM came; from catch_interrupts() on.
void catch_interrupts();
bool interrupted();

}  // namespace sereus::sim
