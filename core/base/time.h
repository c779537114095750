// Time is an argument. Timers use the monotonic clock, HLC and expiry the wall clock (architecture: Clocks).
#pragma once

#include <cstdint>

namespace sereus {

struct Times {
  uint64_t mono_us = 0;  // never goes back; only differences mean something
  int64_t wall_us = 0;   // microseconds since 1970-01-01 UTC; may jump
};

inline constexpr uint64_t kNever = UINT64_MAX;  // a deadline that does not come
inline constexpr uint64_t kMicrosPerMilli = 1'000;
inline constexpr uint64_t kMicrosPerSecond = 1'000'000;

}  // namespace sereus
