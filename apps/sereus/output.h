// Where results go. Standard output carries results only: text for people, or with --json one object per line (lists)
// or one document. Notes, progress and errors go to standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "apps/sereus/failure.h"
#include "include/sereus.h"

namespace cli {

using Json = nlohmann::ordered_json;

bool stdout_is_tty();
bool stderr_is_tty();
bool stdin_is_tty();

class Output {
 public:
  bool json = false;
  bool quiet = false;
  // While a folder is opened, log lines wait: a failure is told by its status, in one line, and they are dropped.
  void hold_log();
  void release_log(bool show);
  // A whole line of the log. Called from threads of the library, too.
  void log_line(const std::string& text);

  // One of the two, by mode.
  void result(const Json& object, const std::string& text) const;
  void object(const Json& object) const;     // only with --json
  void line(const std::string& text) const;  // only without
  void note(const std::string& text) const;  // standard error, for people
  void warning(const std::string& text) const;
  void failure(const Failure& failure) const;
  void raw(std::string_view data) const;  // standard output, unchanged
  void flush() const;                     // throws when standard output could not be written

 private:
  std::mutex log_mutex_;
  bool log_held_ = false;
  std::vector<std::string> held_;
};

// Text as columns; cells are printed as given (pass what came from elsewhere through printable()).
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  std::string text(const std::string& indent = "") const;  // without the last newline

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

// A bar on standard error, when that is a terminal and nothing asked for silence.
class Progress {
 public:
  Progress(const Output& out, std::string what, uint64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(uint64_t done, uint64_t total);
  void update(uint64_t done) { update(done, total_); }
  void clear();

 private:
  bool shown_;
  bool drawn_ = false;
  std::string what_;
  uint64_t total_;
  std::chrono::steady_clock::time_point last_{};
};

// {"key": text} when the bytes are UTF-8, otherwise {"key_base64": text}.
void set_bytes(Json& object, const std::string& name, std::string_view data);
Json lines_to_json(const char* text);  // "a\nb" -> ["a", "b"]
std::string dump(const Json& json, int indent = -1);

Json to_json(const sereus_node_info& info);
Json to_json(const sereus_store_info& info);
Json to_json(const sereus_peer_info& info);
Json to_json(const sereus_invite_info& info);
Json to_json(const sereus_head& head, bool winner);
const char* role_name(uint32_t role);
const char* state_name(uint32_t state);

}  // namespace cli
