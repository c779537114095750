// What ends a command: one line that says what is wrong and what to do, and the exit code.
#pragma once

#include <stdexcept>
#include <string>

#include "include/sereus.h"

namespace cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

class Failure : public std::runtime_error {
 public:
  Failure(const std::string& what, std::string advice, std::string status = "", int exit_code = kExitFailure)
      : std::runtime_error(what), advice_(std::move(advice)), status_(std::move(status)), exit_(exit_code) {}

  const std::string& advice() const { return advice_; }
  const std::string& status() const { return status_; }  // "SEREUS_E_..." or "" when it is the command's own
  int exit_code() const { return exit_; }

 private:
  std::string advice_;
  std::string status_;
  int exit_;
};

// `doing` completes "cannot ...". `detail` is the library's own line for this case and says what to do; without it the
// meaning of the status and a general advice stand in.
Failure status_failure(const std::string& doing, sereus_status status, const std::string& detail = "");
Failure usage_failure(const std::string& what, std::string advice);
Failure errno_failure(const std::string& doing, int error);

// Throws unless OK.
void check(const std::string& doing, sereus_status status);

}  // namespace cli
