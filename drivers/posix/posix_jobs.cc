#include "drivers/posix/posix_jobs.h"

#include <utility>

namespace sereus::posix {

PosixJobs::~PosixJobs() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    for (Lane& lane : lanes_) lane.changed.notify_all();
  }
  for (Lane& lane : lanes_) lane.thread.reset();
}

void PosixJobs::submit(JobQueue queue, std::function<void()> work, std::function<void()> done) {
  Lane& to = lane(queue);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++under_way_;
    if (!to.thread && !to.failed) {
      auto started =
          PosixThread::start(queue == JobQueue::writer ? "sereus-writer" : "sereus-worker", [this, &to] { run(to); });
      if (started.ok()) {
        to.thread = std::move(*started);
      } else {
        to.failed = true;
      }
    }
    if (!to.failed) {
      to.jobs.push_back(Job{std::move(work), std::move(done)});
      to.changed.notify_one();
      return;
    }
  }
  work();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished_.push_back(std::move(done));
  }
  wake_();
}

void PosixJobs::run(Lane& lane) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    lane.changed.wait(lock, [this, &lane] { return stopping_ || !lane.jobs.empty(); });
    if (lane.jobs.empty()) return;
    Job job = std::move(lane.jobs.front());
    lane.jobs.pop_front();
    lock.unlock();
    job.work();
    job.work = nullptr;  // what it holds is released here, not on the loop
    lock.lock();
    finished_.push_back(std::move(job.done));
    const bool first = finished_.size() == 1;
    if (first) {
      lock.unlock();
      wake_();
      lock.lock();
    }
  }
}

bool PosixJobs::complete() {
  std::vector<std::function<void()>> finished;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished.swap(finished_);
  }
  for (std::function<void()>& done : finished) {
    done();
    done = nullptr;
    const std::lock_guard<std::mutex> lock(mutex_);
    --under_way_;
  }
  return !finished.empty();
}

bool PosixJobs::idle() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return under_way_ == 0;
}

void InlineJobs::submit(JobQueue, std::function<void()> work, std::function<void()> done) {
  const std::lock_guard<std::mutex> lock(mutex_);
  jobs_.push_back(Job{std::move(work), std::move(done)});
}

bool InlineJobs::run_some() {
  std::deque<Job> jobs;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs.swap(jobs_);
  }
  for (Job& job : jobs) {
    job.work();
    job.done();
  }
  return !jobs.empty();
}

bool InlineJobs::idle() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return jobs_.empty();
}

}  // namespace sereus::posix
