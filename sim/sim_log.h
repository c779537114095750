// A machine's log: the last lines of it, of all levels and all processes, and an ear for each line.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "core/base/log.h"

namespace sereus::sim {

class SimLog final : public Logger {
 public:
  static constexpr size_t kLinesMax = 2'000;

  bool enabled(LogLevel) const override { return true; }
  void write(LogLevel level, std::string_view room, std::string_view message) override {
    static constexpr std::string_view kLevels[] = {"", "error", "warn", "info", "debug", "trace"};
    std::string line(kLevels[static_cast<uint32_t>(level)]);
    line.append(" ").append(room).append(": ").append(message);
    if (on_line) on_line(line);
    if (lines_.size() >= kLinesMax) lines_.pop_front();
    lines_.push_back(std::move(line));
  }
  const std::deque<std::string>& lines() const { return lines_; }

  std::function<void(std::string_view)> on_line;  // "debug net: connection 3 ended: timeout"

 private:
  std::deque<std::string> lines_;
};

}  // namespace sereus::sim
