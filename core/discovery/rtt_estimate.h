// How long to wait for an answer, from how long answers took (RFC 6298, with a floor that fits requests over streams).
#pragma once

#include <algorithm>

#include "core/discovery/limits.h"

namespace sereus::discovery {

class RttEstimate {
 public:
  void add(uint64_t rtt_us) {
    if (rtt_us == 0) rtt_us = 1;
    if (smoothed_us_ == 0) {
      smoothed_us_ = rtt_us;
      deviation_us_ = rtt_us / 2;
      return;
    }
    const uint64_t off = rtt_us > smoothed_us_ ? rtt_us - smoothed_us_ : smoothed_us_ - rtt_us;
    deviation_us_ = (3 * deviation_us_ + off) / 4;
    smoothed_us_ = (7 * smoothed_us_ + rtt_us) / 8;
  }
  bool measured() const { return smoothed_us_ > 0; }
  uint64_t smoothed_us() const { return smoothed_us_; }
  // An honest answer takes longer once in a hundred times or less.
  uint64_t timeout_us() const {
    if (!measured()) return kKadTimeoutFirstUs;
    return std::clamp(smoothed_us_ + 4 * deviation_us_, kKadTimeoutMinUs, kKadTimeoutMaxUs);
  }
  // Most answers are there by then.
  uint64_t hedge_us() const {
    if (!measured()) return kKadHedgeFirstUs;
    return std::clamp(smoothed_us_ + deviation_us_, kKadHedgeMinUs, kKadTimeoutMaxUs);
  }

 private:
  uint64_t smoothed_us_ = 0;
  uint64_t deviation_us_ = 0;
};

}  // namespace sereus::discovery
