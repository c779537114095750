// The daemon's log file: <data>/logs/sereus.log, one older generation beside it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <string>

#include "apps/sereus/output.h"

namespace cli {

class DaemonLog {
 public:
  // `out` and `terminal_level` decide what also goes to standard error.
  DaemonLog(const std::filesystem::path& data, Output& out, uint32_t terminal_level);
  ~DaemonLog();
  DaemonLog(const DaemonLog&) = delete;
  DaemonLog& operator=(const DaemonLog&) = delete;

  // To be given to sereus_open() with this object as user.
  static void write(void* user, uint32_t level, const char* room, const char* message);
  // What the library should send: enough for the file and the terminal.
  uint32_t level() const;

 private:
  void append(uint32_t level, const char* room, const char* message);
  void open();

  std::filesystem::path path_;
  Output& out_;
  uint32_t terminal_level_;
  std::mutex mutex_;
  std::FILE* file_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace cli
