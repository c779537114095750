// Logging without a global: a Logger is handed down from the node. Callers never pass keys, tokens, passphrases or
// content; ids are shortened with brief().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/bytes.h"

namespace sereus {

enum class LogLevel : uint32_t { error = 1, warn = 2, info = 3, debug = 4, trace = 5 };

class Logger {
 public:
  virtual ~Logger() = default;
  virtual bool enabled(LogLevel level) const = 0;
  // `room` is a short lower-case name: "net", "store". May be called from any of the node's threads.
  virtual void write(LogLevel level, std::string_view room, std::string_view message) = 0;
};

// First four bytes in hexadecimal: enough to tell ids apart in a log, too little to use.
inline std::string brief(ByteView id) { return to_hex(id.first(id.size() < 4 ? id.size() : 4)); }

}  // namespace sereus
