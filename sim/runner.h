// A pool of worker processes. SQLite, wolfSSL and libsodium are global to a process, so runs are side by side in processes and
// not in threads; and a run that crashes or hangs takes only its worker with it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sereus::sim {

class WorkerPool {
 public:
  // In a worker: answers a task. What it writes to standard output and error is kept for when it crashes.
  using Work = std::function<std::string(const std::string& task)>;

  enum class End : uint8_t { answered, crashed, hung };
  struct Result {
    uint64_t id = 0;
    End end = End::answered;
    std::string text;  // the answer; or how the worker ended, with its last words
  };

  // A task that takes longer than `timeout` is hung; time in which the pool itself was stopped does not count. `workers`: at
  // least one.
  WorkerPool(size_t workers, std::chrono::milliseconds timeout, Work work);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  size_t workers() const { return workers_.size(); }
  size_t busy() const;
  bool idle() const { return busy() < workers_.size(); }
  // Only while idle(). Workers are started as they are needed, and again after one has died.
  void submit(uint64_t id, const std::string& task);
  // What has ended, in the order in which it did; empty when nothing does for `patience`, or a signal comes.
  std::vector<Result> wait(std::chrono::milliseconds patience);

 private:
  using Clock = std::chrono::steady_clock;
  struct Worker {
    pid_t pid = -1;
    int channel = -1;  // tasks and answers
    int said = -1;     // its standard output and error
    bool busy = false;
    uint64_t id = 0;
    Clock::time_point deadline;
    std::string received;
    std::string last_words;
  };

  void start(Worker& worker);
  [[noreturn]] void serve(int channel) const;
  void bury(Worker& worker, End end, std::vector<Result>& results);
  void listen(Worker& worker);
  void receive(Worker& worker, std::vector<Result>& results);

  std::chrono::milliseconds timeout_;
  Work work_;
  std::vector<Worker> workers_;
};

// The lines of `words` that say most about a crash: what a sanitizer or an assertion reports first, then the last ones.
std::string telling_lines(const std::string& words);

}  // namespace sereus::sim
