// A program's connection to a daemon's control socket, on a thread of its own.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "drivers/posix/posix_thread.h"

namespace sereus::posix {

class PosixControlChannel {
 public:
  struct Events {
    std::function<void(ByteView bytes)> received;
    std::function<void()> disconnected;  // once, the last
  };
  // At most `unsent_max` bytes wait to be sent.
  static Result<std::unique_ptr<PosixControlChannel>> connect(const std::string& path, size_t unsent_max,
                                                              Events events);
  ~PosixControlChannel();

  // Any thread.
  Status send(Bytes frame);
  void end();

 private:
  PosixControlChannel(int fd, int wake, size_t unsent_max, Events events)
      : fd_(fd), wake_(wake), unsent_max_(unsent_max), events_(std::move(events)) {}
  void run();
  bool exchange();
  bool send_some();
  void wake();

  const int fd_;
  const int wake_;
  const size_t unsent_max_;
  const Events events_;
  std::mutex mutex_;
  std::deque<Bytes> unsent_;
  size_t unsent_bytes_ = 0;
  size_t sent_ = 0;      // of the front
  bool ending_ = false;  // once all is sent
  bool stopping_ = false;
  bool over_ = false;
  std::unique_ptr<PosixThread> thread_;
};

}  // namespace sereus::posix
