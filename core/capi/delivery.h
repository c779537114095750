// sereus_on_event(): a thread of the library that takes events from a queue and hands them to a function, one at a time.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/capi/event_queue.h"
#include "core/capi/platform.h"

namespace sereus::capi {

class Delivery {
 public:
  using Deliver = std::function<void(node::Event)>;
  // `queue` outlives the threads: finish() first.
  Delivery(EventQueue& queue, Platform& platform) : queue_(queue), platform_(platform) {}

  // Any thread. Replaces the function, or ends delivery (null). When it returns, the old function is not running any more,
  // unless it is the caller.
  Code set(Deliver deliver);
  // Any thread, does not wait: nothing more is delivered, except what is being delivered now.
  void abandon();
  // After abandon(), not from the function: waits for the threads.
  void finish();

 private:
  using Threads = std::vector<std::unique_ptr<Thread>>;
  void run(uint64_t number, const Deliver& deliver);

  EventQueue& queue_;
  Platform& platform_;
  std::mutex mutex_;
  std::unique_ptr<Thread> thread_;  // delivers
  Threads ended_;  // replaced from inside their own function: joined by the next thread, or by finish()
  bool abandoned_ = false;
  std::mutex delivering_;  // held while a function runs, so that old and new never overlap
};

}  // namespace sereus::capi
