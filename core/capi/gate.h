// Lets calls through until it is shut; shutting waits for those inside.
#pragma once

#include <condition_variable>
#include <mutex>

namespace sereus::capi {

class Gate {
 public:
  // False when it is shut; otherwise leave() must follow.
  bool enter() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (shut_) return false;
    ++inside_;
    return true;
  }
  void leave() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--inside_ == 0) changed_.notify_all();
  }
  void shut() {
    std::unique_lock<std::mutex> lock(mutex_);
    shut_ = true;
    changed_.wait(lock, [this] { return inside_ == 0; });
  }
  void open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    shut_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t inside_ = 0;
  bool shut_ = false;
};

}  // namespace sereus::capi
