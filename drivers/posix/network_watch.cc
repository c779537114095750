#include "drivers/posix/network_watch.h"

#include <time.h>

#include <algorithm>
#include <utility>

namespace sereus::posix {
namespace {

// Shorter ones leave paths and NAT bindings as they are; clocks read one after the other differ by microseconds.
constexpr uint64_t kSleepUs = 2 * kMicrosPerSecond;
// Clocks are set and slewed; a leap of this size is a sleep, or a new time that harms nothing when it is taken for one.
constexpr int64_t kJumpUs = 30 * static_cast<int64_t>(kMicrosPerSecond);

}  // namespace

uint64_t slept_us() {
#if defined(CLOCK_BOOTTIME)
  struct timespec mono {};
  struct timespec boot {};
  clock_gettime(CLOCK_MONOTONIC, &mono);
  if (clock_gettime(CLOCK_BOOTTIME, &boot) != 0) return 0;
  const int64_t us = (static_cast<int64_t>(boot.tv_sec) - mono.tv_sec) * static_cast<int64_t>(kMicrosPerSecond) +
                     (boot.tv_nsec - mono.tv_nsec) / 1000;
  return us > 0 ? static_cast<uint64_t>(us) : 0;
#else
  return 0;
#endif
}

bool NetworkWatch::slept(const Times& now, uint64_t slept_us) {
  const std::optional<Times> before = std::exchange(times_, now);
  const uint64_t slept_before = std::exchange(slept_us_, slept_us);
  if (!before) return false;
  if (slept_us > slept_before + kSleepUs) return true;
  const int64_t wall = now.wall_us - before->wall_us;
  const auto mono = static_cast<int64_t>(now.mono_us - before->mono_us);
  return wall - mono > kJumpUs || mono - wall > kJumpUs;
}

bool NetworkWatch::moved(std::vector<IpEndpoint> addresses) {
  std::sort(addresses.begin(), addresses.end());
  const bool changed = addresses_ && *addresses_ != addresses;
  addresses_ = std::move(addresses);
  return changed;
}

}  // namespace sereus::posix
