// The options that say how a host is to behave, for every command that has one.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "include/sereus.h"

namespace cli {

struct HostOptions {
  std::vector<std::string> transports;
  std::vector<std::string> security;
  bool metered = false;
  uint32_t connections_max = 0;
  uint64_t up_max = 0;
  uint64_t down_max = 0;
  std::string certificate_file;
  std::string key_file;
  std::string authorities_file;
  bool any_server = false;
};

// Listening hosts also get the options of those.
enum class HostRole { dials, listens };
void add_host_options(CLI::App* command, HostOptions& options, HostRole role);

// The C struct over the options, which outlive it.
class HostSettings {
 public:
  explicit HostSettings(const HostOptions& options);
  HostSettings(const HostSettings&) = delete;
  HostSettings& operator=(const HostSettings&) = delete;
  const sereus_host_settings* get() const { return &settings_; }

 private:
  std::string transports_;
  std::string security_;
  std::string certificate_file_;
  std::string key_file_;
  std::string authorities_file_;
  sereus_rate rate_ = SEREUS_INIT(sereus_rate);
  sereus_host_settings settings_ = SEREUS_INIT(sereus_host_settings);
};

}  // namespace cli
