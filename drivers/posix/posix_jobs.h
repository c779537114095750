// The Jobs port: one writer and one worker thread for each node; or none, in a caller-driven node.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/base/result.h"
#include "core/ports/jobs.h"
#include "drivers/posix/posix_thread.h"

namespace sereus::posix {

class PosixJobs : public Jobs {
 public:
  // `wake` makes the loop call complete() soon; any thread. Threads are started when first needed.
  explicit PosixJobs(std::function<void()> wake) : wake_(std::move(wake)) {}
  ~PosixJobs() override;  // jobs that were submitted are run, their done() is not

  void submit(JobQueue queue, std::function<void()> work, std::function<void()> done) override;
  // The node's thread: runs done() of what is finished. False when there was nothing.
  bool complete();
  bool idle();

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  struct Lane {
    std::deque<Job> jobs;
    std::condition_variable changed;
    std::unique_ptr<PosixThread> thread;
    bool failed = false;  // no thread could be started: its jobs run inside submit()
  };
  Lane& lane(JobQueue queue) { return lanes_[queue == JobQueue::writer ? 0 : 1]; }
  void run(Lane& lane);

  const std::function<void()> wake_;
  std::mutex mutex_;
  Lane lanes_[2];
  std::vector<std::function<void()>> finished_;
  size_t under_way_ = 0;  // submitted, done() not run yet
  bool stopping_ = false;
};

// Runs jobs on the thread that calls run_some().
class InlineJobs : public Jobs {
 public:
  void submit(JobQueue queue, std::function<void()> work, std::function<void()> done) override;
  // Runs what was submitted so far. False when there was nothing.
  bool run_some();
  bool idle();

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  std::mutex mutex_;
  std::deque<Job> jobs_;
};

}  // namespace sereus::posix
