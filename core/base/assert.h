// Invariants. An assertion stays on in release builds: a node whose state is wrong must stop before it writes.
// Hostile input is never an assertion; it is an Error.
#pragma once

namespace sereus {

// Prints the broken invariant to stderr and aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace sereus

#define SEREUS_ASSERT(condition) \
  (static_cast<bool>(condition) ? void(0) : ::sereus::assertion_failed(#condition, __FILE__, __LINE__))
