// Hybrid logical clock (Kulkarni et al. 2014): wall milliseconds and a counter, so that a write is always ordered
// after everything its author had seen, whatever the wall clocks say.
#pragma once

#include <compare>
#include <cstdint>

#include "core/base/time.h"

namespace sereus::store {

struct Hlc {
  uint64_t wall_ms = 0;  // below 2^47
  uint16_t counter = 0;

  // Order-preserving 63-bit form, as stored in the index.
  uint64_t packed() const { return (wall_ms << 16) | counter; }
  static Hlc unpack(uint64_t packed) { return {packed >> 16, static_cast<uint16_t>(packed & 0xffff)}; }
  friend std::strong_ordering operator<=>(const Hlc&, const Hlc&) = default;
};

inline constexpr uint64_t kHlcWallMsMax = (uint64_t{1} << 47) - 1;

// An entry further ahead of our wall clock than this is held (kept and counted, not applied) until its time comes,
// and never advances our clock.
inline constexpr uint64_t kHlcAheadMsMax = 5 * 60 * 1000;

class HlcClock {
 public:
  // The timestamp of a new entry: the wall clock, or one past the greatest seen when that is not behind it.
  Hlc next(const Times& now) {
    const uint64_t wall = now.wall_us <= 0 ? 0 : static_cast<uint64_t>(now.wall_us) / kMicrosPerMilli;
    Hlc candidate{wall > kHlcWallMsMax ? kHlcWallMsMax : wall, 0};
    if (candidate <= last_) candidate = successor(last_);
    last_ = candidate;
    return candidate;
  }
  // Takes note of an applied entry.
  void observe(const Hlc& seen) {
    if (last_ < seen) last_ = seen;
  }
  Hlc last() const { return last_; }

  static Hlc successor(const Hlc& hlc) {
    if (hlc.counter == UINT16_MAX) return {hlc.wall_ms + 1, 0};
    return {hlc.wall_ms, static_cast<uint16_t>(hlc.counter + 1)};
  }
  static bool too_far_ahead(const Hlc& hlc, const Times& now) {
    const uint64_t wall = now.wall_us <= 0 ? 0 : static_cast<uint64_t>(now.wall_us) / kMicrosPerMilli;
    return hlc.wall_ms > wall + kHlcAheadMsMax;
  }

 private:
  Hlc last_;
};

}  // namespace sereus::store
