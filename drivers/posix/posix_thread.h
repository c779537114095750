// A thread that is joined when it is destroyed. Creating one may fail, which std::thread can only tell by an exception.
#pragma once

#include <pthread.h>

#include <functional>
#include <memory>

#include "core/base/result.h"

namespace sereus::posix {

class PosixThread {
 public:
  // `name` is shown by debuggers, at most 15 characters. Signals are left to the application's threads.
  static Result<std::unique_ptr<PosixThread>> start(const char* name, std::function<void()> run);
  ~PosixThread();
  PosixThread(const PosixThread&) = delete;
  PosixThread& operator=(const PosixThread&) = delete;

  bool is_current() const;

 private:
  explicit PosixThread(pthread_t thread) : thread_(thread) {}
  pthread_t thread_;
};

// Runs on a thread of its own that nobody joins; on the caller's when there can be no more threads. exit() gives those that
// still run a few seconds.
void run_in_background(std::function<void()> run);

}  // namespace sereus::posix
