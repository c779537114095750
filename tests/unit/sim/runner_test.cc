#include "sim/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>

#include "sim/trial.h"

namespace sereus::sim {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::chrono::milliseconds kPatience = std::chrono::seconds(60);

std::string work(const std::string& task) {
  if (task == "crash") {
    std::fprintf(stderr, "the last words\n");
    std::abort();
  }
  if (task == "leave") _exit(7);
  while (task == "hang") pause();
  if (task == "stop the pool") {
    kill(getppid(), SIGSTOP);
    const timespec longer_than_a_task{3, 0};
    nanosleep(&longer_than_a_task, nullptr);
    kill(getppid(), SIGCONT);
    const timespec rest_of_the_task{1, 0};
    nanosleep(&rest_of_the_task, nullptr);
  }
  return task + " is done";
}

std::map<uint64_t, WorkerPool::Result> run(WorkerPool& pool, const std::vector<std::string>& tasks) {
  std::map<uint64_t, WorkerPool::Result> results;
  for (size_t next = 0; next < tasks.size() || pool.busy() > 0;) {
    while (next < tasks.size() && pool.idle()) {
      pool.submit(next, tasks[next]);
      ++next;
    }
    for (WorkerPool::Result& result : pool.wait(kPatience)) results[result.id] = std::move(result);
  }
  return results;
}

TEST(WorkerPool, AnswersEachTask) {
  WorkerPool pool(3, kPatience, work);
  std::vector<std::string> tasks;
  for (int i = 0; i < 50; ++i) tasks.push_back(std::to_string(i));
  tasks.emplace_back(1'000'000, 'x');  // more than a pipe holds
  const auto results = run(pool, tasks);
  ASSERT_EQ(results.size(), tasks.size());
  for (const auto& [id, result] : results) {
    EXPECT_EQ(result.end, WorkerPool::End::answered);
    EXPECT_EQ(result.text, tasks[id] + " is done");
  }
}

TEST(WorkerPool, ACrashIsAResultAndTheOthersGoOn) {
  WorkerPool pool(2, kPatience, work);
  const auto results = run(pool, {"a", "crash", "b", "leave", "c"});
  ASSERT_EQ(results.size(), 5u);
  EXPECT_EQ(results.at(1).end, WorkerPool::End::crashed);
  EXPECT_THAT(results.at(1).text, StartsWith("the process was ended by signal 6"));
  EXPECT_THAT(results.at(1).text, HasSubstr("\n  the last words"));
  EXPECT_EQ(results.at(3).text, "the process ended with code 7");
  for (const uint64_t id : {0, 2, 4}) EXPECT_EQ(results.at(id).end, WorkerPool::End::answered);
}

TEST(WorkerPool, AHangIsAResultAndTheOthersGoOn) {
  // Long enough for a busy machine to answer the others.
  WorkerPool pool(2, std::chrono::seconds(5), work);
  const auto results = run(pool, {"a", "hang", "b", "c"});
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results.at(1).end, WorkerPool::End::hung);
  EXPECT_EQ(results.at(1).text, "no end after 5 s");
  EXPECT_EQ(results.at(3).end, WorkerPool::End::answered);
}

// In a process of its own, as whoever waits for this one would take it for stopped.
TEST(WorkerPool, TimeInWhichItIsStoppedDoesNotCount) {
  const pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    WorkerPool pool(1, std::chrono::seconds(2), work);
    const auto results = run(pool, {"stop the pool", "a"});
    const bool answered =
        results.at(0).end == WorkerPool::End::answered && results.at(1).end == WorkerPool::End::answered;
    _exit(answered ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(WorkerPool, EndsWorkersThatAreBusyWhenItEnds) {
  WorkerPool pool(2, kPatience, work);
  pool.submit(1, "hang");
  pool.submit(2, "hang");
}

TEST(WorkerPool, WordsThatTellMostComeFirst) {
  std::string words = "==1==ERROR: AddressSanitizer: heap-use-after-free\n";
  for (int i = 0; i < 30; ++i) words += "frame " + std::to_string(i) + "\n";
  words += "SUMMARY: AddressSanitizer: heap-use-after-free node.cc:7\n";
  for (int i = 0; i < 30; ++i) words += "shadow " + std::to_string(i) + "\n";
  const std::string told = telling_lines(words);
  EXPECT_THAT(told, StartsWith("\n  ==1==ERROR: AddressSanitizer"));
  EXPECT_THAT(told, HasSubstr("SUMMARY: "));
  EXPECT_THAT(told, HasSubstr("shadow 29"));
  EXPECT_THAT(told, Not(HasSubstr("frame 3\n")));
  EXPECT_LT(telling_lines(std::string(100'000, 'x')).size(), 3000u);
  EXPECT_EQ(telling_lines(""), "");
}

TEST(Trials, CrossAProcessAsTheyAre) {
  Trial trial;
  trial.workload = "story";
  trial.cpu_us = 17;
  trial.outcome.oracle = "forks";
  trial.outcome.violation = "two \"histories\"\n";
  trial.outcome.violated_at_us = 4;
  trial.outcome.trace = UINT64_MAX - 1;
  trial.outcome.virtual_us = 9;
  trial.outcome.counts["writes"] = 3;
  const Trial read = read_trial(write_trial(trial));
  EXPECT_EQ(read.workload, trial.workload);
  EXPECT_EQ(read.cpu_us, trial.cpu_us);
  EXPECT_EQ(read.outcome.oracle, trial.outcome.oracle);
  EXPECT_EQ(read.outcome.violation, trial.outcome.violation);
  EXPECT_EQ(read.outcome.violated_at_us, 4u);
  EXPECT_EQ(read.outcome.trace, trial.outcome.trace);
  EXPECT_EQ(read.outcome.virtual_us, 9u);
  EXPECT_EQ(read.outcome.counts, trial.outcome.counts);
  EXPECT_EQ(read.error, "");
  EXPECT_NE(read_trial("[]").error, "");
}

TEST(Trials, ADifferentSecondRunIsAViolation) {
  uint64_t runs = 0;
  const RunPlan drifting = [&runs](const Plan&, Chronicle*) {
    Outcome outcome;
    outcome.trace = ++runs;
    return outcome;
  };
  EXPECT_EQ(try_plan({}, drifting, false).outcome.oracle, "");
  EXPECT_EQ(try_plan({}, drifting, true).outcome.oracle, "determinism");
  const RunPlan steady = [](const Plan&, Chronicle*) { return Outcome(); };
  EXPECT_EQ(try_plan({}, steady, true).outcome.oracle, "");
}

}  // namespace
}  // namespace sereus::sim
