// A token bucket: so many at once, so many a second after that. For frames that cost a peer nothing and us a little.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/time.h"

namespace sereus::net {

class Allowance {
 public:
  Allowance(uint64_t burst, uint64_t per_second, uint64_t now_us)
      : burst_(burst), per_second_(per_second), tokens_(burst), filled_us_(now_us) {}

  // False when there is none left.
  [[nodiscard]] bool take(uint64_t now_us) {
    // Beyond a minute it is full in any case (and the product below cannot overflow).
    const uint64_t elapsed = std::min(now_us > filled_us_ ? now_us - filled_us_ : 0, 60 * kMicrosPerSecond);
    if (const uint64_t fresh = elapsed * per_second_ / kMicrosPerSecond; fresh > 0) {
      tokens_ = std::min(burst_, tokens_ + fresh);
      filled_us_ = now_us;
    }
    if (tokens_ == 0) return false;
    --tokens_;
    return true;
  }

 private:
  uint64_t burst_;
  uint64_t per_second_;
  uint64_t tokens_;
  uint64_t filled_us_;
};

}  // namespace sereus::net
