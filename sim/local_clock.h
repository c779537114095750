// A machine's own two clocks. Both are wrong by the same drift, as they stand on one crystal. The wall clock may also be
// off, and jump; the monotonic one begins anew at each boot, stands still while the machine sleeps, and never goes back.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/time.h"

namespace sereus::sim {

class LocalClock {
 public:
  static constexpr int64_t kStartWallUs = int64_t{1'800'000'000} * 1'000'000;  // at true time 0: 2027-01-15
  static constexpr int32_t kDriftMaxPpm = 100'000;

  // The machine gets power: the monotonic clock begins at `mono_us`.
  void boot(uint64_t true_us, uint64_t mono_us) {
    anchor(true_us);
    mono_us_ = mono_us;
    asleep_ = false;
  }
  // From now on both clocks gain (or lose) so many microseconds a second.
  void set_drift(uint64_t true_us, int32_t ppm) {
    anchor(true_us);
    drift_ppm_ = std::clamp(ppm, -kDriftMaxPpm, kDriftMaxPpm);
  }
  void sleep(uint64_t true_us) {
    anchor(true_us);
    asleep_ = true;
  }
  void wake_up(uint64_t true_us) {
    anchor(true_us);
    asleep_ = false;
  }

  Times at(uint64_t true_us) const {
    const uint64_t passed = passed_since(true_us);
    return Times{asleep_ ? mono_us_ : mono_us_ + passed, wall_us_ + static_cast<int64_t>(passed)};
  }

  // The first true time at which the monotonic clock shows `mono_us` or more. A time that is far away is answered with one
  // before it, so that the sum cannot overflow: who is woken then asks again. Precondition: awake.
  uint64_t true_time_of(uint64_t mono_us) const {
    if (mono_us <= mono_us_) return true_us_;
    const uint64_t wanted = std::min(mono_us - mono_us_, kFarUs);
    uint64_t after = wanted * kMillion / static_cast<uint64_t>(kMillion + drift_ppm_);
    while (after > 0 && passed(after - 1) >= wanted) --after;
    while (passed(after) < wanted) ++after;
    return true_us_ + after;
  }

 private:
  static constexpr int64_t kMillion = 1'000'000;
  static constexpr uint64_t kFarUs = 1'000'000'000'000;  // eleven days

  // What the clocks count in `true_us` microseconds; never less for more.
  uint64_t passed(uint64_t true_us) const {
    const auto whole = static_cast<int64_t>(true_us / kMillion);
    const auto rest = static_cast<int64_t>(true_us % kMillion);
    const int64_t gained = whole * drift_ppm_ + (rest * drift_ppm_ + (drift_ppm_ < 0 ? 1 - kMillion : 0)) / kMillion;
    return true_us + static_cast<uint64_t>(gained);
  }
  uint64_t passed_since(uint64_t true_us) const { return true_us <= true_us_ ? 0 : passed(true_us - true_us_); }
  void anchor(uint64_t true_us) {
    const Times now = at(true_us);
    mono_us_ = now.mono_us;
    wall_us_ = now.wall_us;
    true_us_ = true_us;
  }

  // What they showed when something was last changed.
  uint64_t true_us_ = 0;
  uint64_t mono_us_ = 0;
  int64_t wall_us_ = kStartWallUs;
  int32_t drift_ppm_ = 0;
  bool asleep_ = false;
};

}  // namespace sereus::sim
