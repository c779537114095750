// Passphrases: asked without echo, read from a file or the environment, wiped when no longer needed.
#pragma once

#include <string>

namespace cli {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  ~Secret() { wipe(); }
  Secret(const Secret& other) = default;
  Secret& operator=(const Secret& other) {
    if (this != &other) {
      wipe();
      value_ = other.value_;
    }
    return *this;
  }
  bool empty() const { return value_.empty(); }
  const std::string& value() const { return value_; }
  void wipe();

 private:
  std::string value_;
};

// The first line of a file ("-": standard input).
Secret read_passphrase_file(const std::string& path);
// From the terminal, without echo; throws a usage Failure with `advice` when there is none.
Secret ask_passphrase(const std::string& prompt, const std::string& advice);
// Twice, until both are the same. Empty is allowed when `may_be_empty`.
Secret ask_new_passphrase(const std::string& prompt, bool may_be_empty, const std::string& advice);
// A line from the terminal with echo.
std::string ask_line(const std::string& prompt, const std::string& advice);
// The content of an environment variable, or empty.
Secret passphrase_from_environment(const char* variable);

}  // namespace cli
