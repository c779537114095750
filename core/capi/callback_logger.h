// The log callback of the C ABI as a Logger: one call at a time, and none after silence().
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>

#include "core/base/log.h"

namespace sereus::capi {

class CallbackLogger : public Logger {
 public:
  using Write = std::function<void(uint32_t level, const char* room, const char* message)>;
  CallbackLogger(LogLevel level, Write write) : level_(level), write_(std::move(write)) {}

  bool enabled(LogLevel level) const override { return level <= level_.load(std::memory_order_relaxed); }
  void write(LogLevel level, std::string_view room, std::string_view message) override {
    if (!enabled(level)) return;
    const std::string room_text(room);
    std::string line(message);
    for (char& c : line) {
      if (c == '\n' || c == '\r' || c == '\0') c = ' ';
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (write_) write_(static_cast<uint32_t>(level), room_text.c_str(), line.c_str());
  }
  void silence() {
    level_.store(LogLevel{0}, std::memory_order_relaxed);
    const std::lock_guard<std::mutex> lock(mutex_);
    write_ = nullptr;
  }

 private:
  std::atomic<LogLevel> level_;
  std::mutex mutex_;
  Write write_;
};

}  // namespace sereus::capi
