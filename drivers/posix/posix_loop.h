// One thread's wait for descriptors, a deadline and wakes from other threads: epoll and an eventfd.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "core/base/result.h"
#include "core/base/time.h"

namespace sereus::posix {

class PosixLoop {
 public:
  // What a descriptor is ready for; after an error or a hang-up everything that is asked of it is.
  struct Ready {
    bool readable = false;
    bool writable = false;
    bool failed = false;
  };
  using Handler = std::function<void(Ready)>;

  static Result<std::unique_ptr<PosixLoop>> make();
  ~PosixLoop();
  PosixLoop(const PosixLoop&) = delete;
  PosixLoop& operator=(const PosixLoop&) = delete;

  // Loop thread, also from inside a handler.
  Status watch(int fd, bool readable, bool writable, Handler handler);
  void change(int fd, bool readable, bool writable);
  void forget(int fd);  // before the descriptor is closed

  // Any thread: ends the present or the next wait().
  void wake();
  // Loop thread: waits until `deadline_mono_us`, a wake or input, and calls the handlers of what is ready.
  void wait(uint64_t deadline_mono_us);

 private:
  PosixLoop(int epoll, int wake) : epoll_(epoll), wake_(wake) {}
  int poll(uint64_t deadline_mono_us, void* events, int count);

  const int epoll_;
  const int wake_;
  std::atomic<bool> woken_{false};  // the eventfd is written already
  bool has_pwait2_ = true;
  uint64_t last_key_ = 0;
  std::unordered_map<int, uint64_t> keys_;                           // of watched descriptors
  std::unordered_map<uint64_t, std::shared_ptr<Handler>> handlers_;  // by key: a reused descriptor gets a new one
};

}  // namespace sereus::posix
