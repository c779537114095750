// Notices that the machine's network is another: its addresses changed, or it slept. Told what there is to see, so that it can be
// tested; see_machine() looks.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/time.h"
#include "core/ports/datagram.h"

namespace sereus::posix {

// How long the machine has slept since it was started; 0 where the system does not tell.
uint64_t slept_us();

class NetworkWatch {
 public:
  // Cheap, for every turn of a loop. True: the machine slept since the last call. Either CLOCK_BOOTTIME went on while
  // CLOCK_MONOTONIC stood still, or the wall clock jumped by more than 30 s against the latter, where it is all there is to see.
  bool slept(const Times& now, uint64_t slept_us);
  // True: other addresses than those of the last call. The first call only remembers.
  bool moved(std::vector<IpEndpoint> addresses);

 private:
  std::optional<Times> times_;
  uint64_t slept_us_ = 0;
  std::optional<std::vector<IpEndpoint>> addresses_;  // sorted: their order means nothing
};

}  // namespace sereus::posix
