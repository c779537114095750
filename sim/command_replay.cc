// sereus-sim replay, shrink and regressions: one plan at a time.

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "sim/commands.h"
#include "sim/describe.h"
#include "sim/shrink.h"
#include "sim/workload.h"

namespace sereus::sim {
namespace {

// A plan with more faults than that is hard to understand.
constexpr size_t kFewFaults = 10;

std::string again(const PlanChoice& choice) {
  return choice.schedule.empty() ? replay_command(*choice.seed, choice.wishes) : replay_command(choice.schedule);
}

void print_outcome(const Trial& trial) {
  const Outcome& outcome = trial.outcome;
  std::printf("%s of virtual time in %s of the processor's, trace %016" PRIx64 "\n",
              duration_in_words(outcome.virtual_us / 1000 * 1000).c_str(),
              duration_in_words(trial.cpu_us / 1000 * 1000).c_str(), outcome.trace);
  for (const auto& [what, count] : outcome.counts) std::printf("  %s %s\n", what.c_str(), grouped(count).c_str());
  if (!outcome.violation.empty()) {
    std::printf("at %s it violates '%s': %s\n", duration_in_words(outcome.violated_at_us / 1000 * 1000).c_str(),
                outcome.oracle.c_str(), outcome.violation.c_str());
  }
  std::printf(outcome.violation.empty() ? "1 passed, 0 failed\n" : "0 passed, 1 failed\n");
}

// Tasks of these workers are schedules; a first line "twice" has them run twice.
constexpr std::string_view kTwice = "twice\n";

std::string run_schedule(const std::string& task) {
  const bool twice = task.starts_with(kTwice);
  const auto plan = read_plan(std::string_view(task).substr(twice ? kTwice.size() : 0));
  if (plan) return write_trial(try_plan(*plan, run_for_command, twice));
  Trial trial;
  trial.error = plan.error().detail;
  return write_trial(trial);
}

// Runs plans side by side in workers.
class Bench {
 public:
  Bench(size_t jobs, uint64_t timeout_s) : pool_(jobs, std::chrono::seconds(timeout_s), run_schedule) {}

  std::vector<Trial> run(const std::vector<std::string>& tasks) {
    std::vector<Trial> trials(tasks.size());
    for (size_t next = 0; next < tasks.size() || pool_.busy() > 0;) {
      while (next < tasks.size() && pool_.idle()) {
        pool_.submit(next, tasks[next]);
        ++next;
      }
      for (const WorkerPool::Result& result : pool_.wait(std::chrono::seconds(1))) {
        trials[result.id] = trial_of(result);
      }
    }
    return trials;
  }

 private:
  WorkerPool pool_;
};

std::string task_of(const Plan& plan, bool twice) {
  return (twice ? std::string(kTwice) : std::string()) + write_plan(plan, "");
}

std::string sizes_of(const Plan& plan) {
  return std::to_string(plan.faults.size()) + " faults, " + std::to_string(plan.actions.size()) + " actions, " +
         std::to_string(plan.nodes) + " machines, " + duration_in_words(plan.duration_us);
}

}  // namespace

int command_replay(const ReplayOptions& options) {
  const auto plan = chosen_plan(options.choice);
  if (!plan) return misused(plan.error().detail);
  std::printf("%s", in_words(*plan).c_str());
  std::fflush(stdout);  // the run may crash
  forbid_randomness();
  Chronicle chronicle;
  const Trial trial =
      try_plan(*plan, run_for_command, is_run_twice(plan->seed), options.picture.empty() ? nullptr : &chronicle);
  if (!options.picture.empty()) {
    const Status written = write_picture(options.picture, *plan, trial.outcome, chronicle, again(options.choice));
    if (!written) return misused(written.error().detail);
    std::printf("picture: %s\n", options.picture.c_str());
  }
  print_outcome(trial);
  return trial.outcome.violation.empty() ? kHeld : kViolated;
}

int command_shrink(const ShrinkOptions& options) {
  const auto plan = chosen_plan(options.choice);
  if (!plan) return misused(plan.error().detail);
  forbid_randomness();
  Bench bench(options.jobs, options.timeout_s);
  const Trial first = bench.run({task_of(*plan, true)}).front();
  if (!first.error.empty()) return misused(first.error);
  const std::string oracle = first.outcome.oracle;
  if (first.outcome.violation.empty()) {
    return misused("nothing is violated, so there is nothing to shrink: " + again(options.choice));
  }
  std::printf("violates '%s': %s\n  %s\n", oracle.c_str(), first.outcome.violation.c_str(), sizes_of(*plan).c_str());
  std::fflush(stdout);

  catch_interrupts();
  ProgressLine progress(true);
  Shrinker::Settings settings;
  settings.side_by_side = options.jobs;
  settings.trials = options.trials;
  const Workload* workload = find_workload(plan->workload);
  settings.nodes_min = workload == nullptr ? plan->nodes : workload->nodes_min;
  settings.out_of_time = [&] { return interrupted() || progress.seconds() > static_cast<double>(options.seconds); };
  settings.progress = [&](const Shrinker& shrinker) {
    progress.show(shrinker.trials(), options.trials,
                  shrinker.stage() + ": trial " + std::to_string(shrinker.trials()) + ", " + sizes_of(shrinker.best()));
  };
  Shrinker shrinker(settings, [&](const std::vector<Plan>& plans) {
    std::vector<std::string> tasks;
    tasks.reserve(plans.size());
    for (const Plan& one : plans) tasks.push_back(task_of(one, oracle == "determinism"));
    std::vector<bool> violates;
    violates.reserve(plans.size());
    for (const Trial& trial : bench.run(tasks)) {
      violates.push_back(trial.error.empty() && !trial.outcome.violation.empty() && trial.outcome.oracle == oracle);
    }
    return violates;
  });
  const Plan small = shrinker.shrink(*plan);
  progress.clear();

  // Once more, for what is said about it: the text may be another one than before.
  const Trial last = bench.run({task_of(small, oracle == "determinism")}).front();
  if (last.outcome.oracle != oracle) {
    std::fprintf(stderr, "sereus-sim: the shrunk plan does not always violate '%s': the run is not deterministic\n",
                 oracle.c_str());
    return kViolated;
  }
  std::string path = options.out;
  if (path.empty()) {
    const Status made = make_folder(options.failures);
    if (!made) return misused(made.error().detail);
    path = options.failures + "/" + small.workload + "-" + std::to_string(small.seed) + "-small.json";
  }
  const Status written = write_file(path, write_plan(small, commit()));
  if (!written) return misused(written.error().detail);
  std::printf("%s", in_words(small).c_str());
  std::printf("violates '%s': %s\n", oracle.c_str(), last.outcome.violation.c_str());
  std::printf("  %zu of %zu faults, %zu of %zu actions, %zu of %zu machines are left after %zu trials%s\n",
              small.faults.size(), plan->faults.size(), small.actions.size(), plan->actions.size(), small.nodes,
              plan->nodes, shrinker.trials(), shrinker.ended_early() ? ", at which it was ended" : "");
  if (small.faults.size() > kFewFaults) {
    std::printf("  warning: more than %zu faults are left\n", kFewFaults);
  }
  std::printf("  schedule: %s\n  again:    %s\n", path.c_str(), replay_command(path).c_str());
  return kHeld;
}

int command_regressions(const std::string& given, size_t jobs, uint64_t timeout_s) {
  const std::string folder = given.empty() ? source_folder() + "/sim/regressions" : given;
  std::error_code error;
  if (given.empty() && !std::filesystem::exists(folder, error)) {
    std::printf("no schedules are kept in sim/regressions\n0 passed, 0 failed\n");
    return kHeld;
  }
  std::vector<std::string> paths;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".json") paths.push_back(at->path().string());
  }
  if (error) return misused(folder + ": " + error.message());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> tasks;
  std::vector<std::string> reasons;
  for (const std::string& path : paths) {
    const auto text = read_file(path);
    if (!text) return misused(text.error().detail);
    const auto plan = read_plan(*text);
    if (!plan) return misused(path + ": " + plan.error().detail);
    const nlohmann::json object = nlohmann::json::parse(*text, nullptr, false);
    const std::string why = object.is_object() && object.contains("why") && object["why"].is_string()
                                ? object["why"].get<std::string>()
                                : std::string();
    if (why.empty()) return misused(path + ": it does not say \"why\" it is kept");
    reasons.push_back(why);
    tasks.push_back(task_of(*plan, is_run_twice(plan->seed)));
  }
  forbid_randomness();
  const std::vector<Trial> trials = Bench(jobs, timeout_s).run(tasks);
  size_t failed = 0;
  for (size_t i = 0; i < trials.size(); ++i) {
    const Trial& trial = trials[i];
    if (trial.error.empty() && trial.outcome.violation.empty()) continue;
    ++failed;
    std::printf(
        "%s: %s\n  it is kept because: %s\n  again: %s\n", paths[i].c_str(),
        trial.error.empty() ? (trial.outcome.oracle + ": " + trial.outcome.violation).c_str() : trial.error.c_str(),
        reasons[i].c_str(), replay_command(paths[i]).c_str());
  }
  std::printf("%zu passed, %zu failed\n", trials.size() - failed, failed);
  return failed == 0 ? kHeld : kViolated;
}

}  // namespace sereus::sim
