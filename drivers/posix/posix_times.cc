#include "drivers/posix/posix_times.h"

#include <time.h>

namespace sereus::posix {

Times now() {
  struct timespec mono {};
  struct timespec wall {};
  clock_gettime(CLOCK_MONOTONIC, &mono);
  clock_gettime(CLOCK_REALTIME, &wall);
  return {static_cast<uint64_t>(mono.tv_sec) * kMicrosPerSecond + static_cast<uint64_t>(mono.tv_nsec) / 1000,
          static_cast<int64_t>(wall.tv_sec) * static_cast<int64_t>(kMicrosPerSecond) + wall.tv_nsec / 1000};
}

}  // namespace sereus::posix
