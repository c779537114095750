#include "core/capi/delivery.h"

#include <utility>

namespace sereus::capi {
namespace {

// The Delivery whose function this thread runs.
thread_local const Delivery* t_inside = nullptr;

}  // namespace

void Delivery::run(uint64_t number, const Deliver& deliver) {
  Threads ended;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended = std::move(ended_);
    ended_.clear();
  }
  ended.clear();  // waits for them
  t_inside = this;
  while (auto event = queue_.next_delivery(number)) {
    const std::lock_guard<std::mutex> lock(delivering_);
    deliver(std::move(*event));
  }
  t_inside = nullptr;
}

Code Delivery::set(Deliver deliver) {
  Threads before;
  Code code = Code::ok;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (abandoned_) return Code::closed;
    uint64_t number = 0;
    if (deliver) {
      code = queue_.begin_delivery(&number);
      if (code != Code::ok) return code;
    } else {
      queue_.end_delivery();
    }
    Threads& old = t_inside == this ? ended_ : before;
    if (thread_) old.push_back(std::move(thread_));
    if (deliver) {
      auto started = platform_.start_thread("sereus-events",
                                            [this, number, deliver = std::move(deliver)] { run(number, deliver); });
      if (started.ok()) {
        thread_ = std::move(*started);
      } else {
        queue_.end_delivery();
        code = started.code();
      }
    }
  }
  before.clear();  // without the lock: the function it waits for may be calling set() itself
  return code;
}

void Delivery::abandon() {
  const std::lock_guard<std::mutex> lock(mutex_);
  abandoned_ = true;
  queue_.end_delivery();
}

void Delivery::finish() {
  Threads threads;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    threads = std::move(ended_);
    if (thread_) threads.push_back(std::move(thread_));
    ended_.clear();
  }
  threads.clear();
}

}  // namespace sereus::capi
