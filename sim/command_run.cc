// sereus-sim run: a range of seeds over worker processes.

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <map>

#include <nlohmann/json.hpp>

#include "sim/commands.h"
#include "sim/describe.h"
#include "sim/ledger.h"
#include "sim/workload.h"

namespace sereus::sim {
namespace {

using nlohmann::ordered_json;

// Pictures are made by running again, and a broken build fails in most seeds.
constexpr size_t kPicturesMax = 20;
// What a kill at any time may lose.
constexpr double kLedgerEverySeconds = 5;

// Tasks are text: the seed alone, or the seed with where the picture of its run goes.
std::string picture_task(uint64_t seed, const std::string& path) { return std::to_string(seed) + " " + path; }

std::string work(const RunOptions& options, const std::string& task) {
  const uint64_t seed = std::strtoull(task.c_str(), nullptr, 10);
  const auto plan = draw_plan(seed, options.wishes);
  if (!plan) {
    Trial none;
    none.error = plan.error().detail;
    return write_trial(none);
  }
  const size_t blank = task.find(' ');
  if (blank == std::string::npos) return write_trial(try_plan(*plan, run_for_command, is_run_twice(seed)));
  Chronicle chronicle;
  Trial trial = try_plan(*plan, run_for_command, is_run_twice(seed), &chronicle);
  const Status written =
      write_picture(task.substr(blank + 1), *plan, trial.outcome, chronicle, replay_command(seed, options.wishes));
  if (!written) trial.error = written.error().detail;
  return write_trial(trial);
}

// The id of the task that draws the picture of a seed's run; seeds are below.
constexpr uint64_t kPictureBit = uint64_t{1} << 63;

class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options),
        pool_(options.jobs, std::chrono::seconds(options.timeout_s),
              [this](const std::string& task) { return work(options_, task); }),
        key_{commit(), options.wishes},
        chunks_(key_),
        progress_(!options.json),
        next_(options.first) {}

  int run();

 private:
  Status read_done();
  bool next(uint64_t& seed);
  void submit();
  void take(const WorkerPool::Result& result);
  void count(uint64_t seed, const Trial& trial);
  void fail_seed(uint64_t seed, const Trial& trial);
  void print_failure(uint64_t seed, const Trial& trial, bool has_picture);
  std::string file_of(uint64_t seed, const Trial& trial, const char* ending) const;
  void write_ledger(bool all);
  void show_progress();
  void print_table() const;
  void print_json() const;

  const RunOptions& options_;
  WorkerPool pool_;
  LedgerKey key_;
  LedgerChunks chunks_;
  SeedRanges done_;
  ProgressLine progress_;
  std::map<std::string, LedgerSums> workloads_;
  LedgerSums sums_;
  uint64_t next_;
  bool exhausted_ = false;
  uint64_t skipped_ = 0;
  std::map<uint64_t, Trial> to_draw_;  // failures whose picture waits for a worker
  std::map<uint64_t, Trial> drawing_;
  size_t pictures_ = 0;
  double ledger_written_ = 0;
  std::string error_;  // ends the run
};

// What the ledger has of these seeds, by the same commit with the same options.
Status Run::read_done() {
  if (options_.ledger.empty()) return {};
  auto chunks = read_ledger(options_.ledger);
  if (!chunks && chunks.code() == Code::not_found) return {};
  if (!chunks) return chunks.error();
  if (key_.dirty()) return {};
  for (const LedgerChunk& chunk : *chunks) {
    if (chunk.key.text() == key_.text()) done_.add(chunk.first, chunk.last);
  }
  for (const auto& [first, last] : done_.ranges()) {
    const uint64_t from = std::max(first, options_.first);
    const uint64_t to = std::min(last, options_.last);
    if (from <= to) skipped_ += to - from + 1;
  }
  return {};
}

// The next seed that is to run, if any is left.
bool Run::next(uint64_t& seed) {
  while (!exhausted_) {
    seed = next_;
    exhausted_ = next_ == options_.last;
    ++next_;
    if (!done_.contains(seed)) return true;
  }
  return false;
}

std::string Run::file_of(uint64_t seed, const Trial& trial, const char* ending) const {
  return options_.failures + "/" + trial.workload + "-" + std::to_string(seed) + ending;
}

void Run::submit() {
  while (pool_.idle()) {
    if (!to_draw_.empty()) {
      auto waiting = to_draw_.extract(to_draw_.begin());
      const uint64_t seed = waiting.key();
      pool_.submit(seed | kPictureBit, picture_task(seed, file_of(seed, waiting.mapped(), ".html")));
      drawing_.insert(std::move(waiting));
      continue;
    }
    uint64_t seed = 0;
    if (options_.stop_at_first && sums_.failed > 0) return;
    if (!next(seed)) return;
    pool_.submit(seed, std::to_string(seed));
  }
}

void Run::count(uint64_t seed, const Trial& trial) {
  LedgerSums one;
  one.seeds = 1;
  one.failed = trial.outcome.violation.empty() ? 0 : 1;
  one.virtual_us = trial.outcome.virtual_us;
  one.cpu_us = trial.cpu_us;
  one.counts = trial.outcome.counts;
  std::optional<LedgerFailure> failure;
  if (one.failed != 0) failure = LedgerFailure{seed, trial.workload, trial.outcome.oracle, trial.outcome.violation};
  chunks_.add(seed, trial.workload, one, std::move(failure));
  workloads_[trial.workload].add(one);
  sums_.add(one);
}

void Run::take(const WorkerPool::Result& result) {
  Trial trial = trial_of(result);
  if ((result.id & kPictureBit) != 0) {
    const auto drawn = drawing_.extract(result.id & ~kPictureBit);
    const bool has_picture = result.end == WorkerPool::End::answered && trial.error.empty();
    if (!drawn.empty()) print_failure(drawn.key(), drawn.mapped(), has_picture);
    return;
  }
  if (!trial.error.empty()) {
    error_ = "seed " + std::to_string(result.id) + ": " + trial.error;
    return;
  }
  if (trial.workload.empty()) {
    // Its worker is dead; drawing the plan runs nothing.
    const auto plan = draw_plan(result.id, options_.wishes);
    if (plan) trial.workload = plan->workload;
  }
  count(result.id, trial);
  if (!trial.outcome.violation.empty()) fail_seed(result.id, trial);
}

void Run::fail_seed(uint64_t seed, const Trial& trial) {
  if (const Status made = make_folder(options_.failures); !made) error_ = made.error().detail;
  const bool died = trial.outcome.oracle == "crash" || trial.outcome.oracle == "hang";
  if (!died && pictures_ < kPicturesMax) {
    ++pictures_;
    to_draw_[seed] = trial;
  } else {
    print_failure(seed, trial, false);
  }
}

void Run::print_failure(uint64_t seed, const Trial& trial, bool has_picture) {
  const std::string schedule = file_of(seed, trial, ".json");
  const auto plan = draw_plan(seed, options_.wishes);
  Status written;
  if (plan) written = write_file(schedule, write_plan(*plan, commit()));
  if (!written) error_ = written.error().detail;
  const std::string picture = has_picture ? file_of(seed, trial, ".html") : std::string();
  if (options_.json) {
    const ordered_json line = {{"seed", seed},
                               {"commit", commit()},
                               {"workload", trial.workload},
                               {"oracle", trial.outcome.oracle},
                               {"violation", trial.outcome.violation},
                               {"schedule", schedule},
                               {"picture", picture},
                               {"replay", replay_command(seed, options_.wishes)}};
    std::printf("%s\n", line.dump(-1, ' ', false, ordered_json::error_handler_t::replace).c_str());
  } else {
    progress_.clear();
    std::printf("seed %" PRIu64 " of %s on commit %s violates '%s': %s\n", seed, trial.workload.c_str(),
                commit().c_str(), trial.outcome.oracle.c_str(), trial.outcome.violation.c_str());
    std::printf("  schedule: %s\n", schedule.c_str());
    if (has_picture) std::printf("  picture:  %s\n", picture.c_str());
    std::printf("  again:    %s\n", replay_command(seed, options_.wishes).c_str());
    std::printf("  or:       %s\n", replay_command(schedule).c_str());
  }
  std::fflush(stdout);
}

// A seed is in the ledger a few seconds after it has ended, so that a kill loses little.
void Run::write_ledger(bool all) {
  if (options_.ledger.empty()) return;
  all = all || progress_.seconds() - ledger_written_ > kLedgerEverySeconds;
  if (all) ledger_written_ = progress_.seconds();
  for (const LedgerChunk& chunk : chunks_.take(all)) {
    const Status written = append_to_ledger(options_.ledger, chunk);
    if (!written) error_ = written.error().detail;
  }
}

void Run::show_progress() {
  const uint64_t of = options_.last - options_.first + 1 - skipped_;
  const double rate = static_cast<double>(sums_.seeds) / std::max(progress_.seconds(), 0.001);
  char text[160];
  std::snprintf(
      text, sizeof text, "%s of %s seeds, %.1f a second, %s failures, %s left", grouped(sums_.seeds).c_str(),
      grouped(of).c_str(), rate, grouped(sums_.failed).c_str(),
      rate <= 0
          ? "?"
          : duration_in_words(static_cast<uint64_t>(static_cast<double>(of - sums_.seeds) / rate) * 1'000'000).c_str());
  progress_.show(sums_.seeds, of, text);
}

int Run::run() {
  if (const Status read = read_done(); !read) return misused(read.error().detail);
  // Wrong wishes are told at once.
  if (const auto plan = draw_plan(options_.first, options_.wishes); !plan) return misused(plan.error().detail);
  if (!options_.ledger.empty()) {
    // Also a ledger that cannot be written is told before anything runs.
    std::FILE* file = std::fopen(options_.ledger.c_str(), "ab");
    if (file == nullptr) return misused(options_.ledger + ": it cannot be written");
    std::fclose(file);
  }
  catch_interrupts();
  submit();
  while (pool_.busy() > 0 && !interrupted() && error_.empty()) {
    for (const WorkerPool::Result& result : pool_.wait(std::chrono::milliseconds(200))) take(result);
    write_ledger(false);
    show_progress();
    if (error_.empty()) submit();
  }
  progress_.clear();
  // Those whose picture is not drawn, because it ended early.
  for (const auto* waiting : {&drawing_, &to_draw_}) {
    for (const auto& [failed, trial] : *waiting) print_failure(failed, trial, false);
  }
  write_ledger(true);
  if (!error_.empty()) return misused(error_);
  if (options_.json) {
    print_json();
  } else {
    print_table();
  }
  if (interrupted()) return kInterrupted;
  return sums_.failed == 0 ? kHeld : kViolated;
}

double times_real(const LedgerSums& sums) {
  return sums.cpu_us == 0 ? 0 : static_cast<double>(sums.virtual_us) / static_cast<double>(sums.cpu_us);
}

void Run::print_table() const {
  if (skipped_ > 0) {
    std::printf("%s seeds of this commit are in the ledger already\n", grouped(skipped_).c_str());
  }
  if (interrupted()) std::printf("stopped; the same command goes on from here if it has a ledger\n");
  if (sums_.seeds > 0) {
    std::printf("%-16s %9s %9s %9s %16s %16s\n", "workload", "seeds", "passed", "failed", "virtual time",
                "times real time");
  }
  for (const auto& [name, sums] : workloads_) {
    std::printf("%-16s %9s %9s %9s %16s %16.0f\n", name.c_str(), grouped(sums.seeds).c_str(),
                grouped(sums.seeds - sums.failed).c_str(), grouped(sums.failed).c_str(),
                duration_in_words(sums.virtual_us / 1'000'000 * 1'000'000).c_str(), times_real(sums));
    std::string line;
    const auto print_line = [&line] {
      if (!line.empty()) std::printf("  %s\n", line.c_str());
      line.clear();
    };
    for (const auto& [what, count] : sums.counts) {
      const std::string one = what + " " + grouped(count);
      if (line.size() + one.size() > 100) print_line();
      line += (line.empty() ? "" : ", ") + one;
    }
    print_line();
  }
  std::printf("%" PRIu64 " passed, %" PRIu64 " failed\n", sums_.seeds - sums_.failed, sums_.failed);
}

void Run::print_json() const {
  const auto json_of = [](const LedgerSums& sums) {
    return ordered_json{{"seeds", sums.seeds},
                        {"passed", sums.seeds - sums.failed},
                        {"failed", sums.failed},
                        {"virtual_s", static_cast<double>(sums.virtual_us) / 1e6},
                        {"cpu_s", static_cast<double>(sums.cpu_us) / 1e6},
                        {"times_real_time", times_real(sums)},
                        {"counts", sums.counts}};
  };
  ordered_json summary = {{"commit", commit()},
                          {"first", options_.first},
                          {"last", options_.last},
                          {"skipped", skipped_},
                          {"real_s", progress_.seconds()},
                          {"interrupted", interrupted()},
                          {"workloads", ordered_json::object()},
                          {"total", json_of(sums_)}};
  for (const auto& [name, sums] : workloads_) summary["workloads"][name] = json_of(sums);
  std::printf("%s\n", summary.dump().c_str());
}

}  // namespace

int command_run(const RunOptions& options) { return Run(options).run(); }

}  // namespace sereus::sim
