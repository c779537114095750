#include "drivers/posix/posix_random.h"

#include <algorithm>
#include <cerrno>

#if defined(__linux__)
#include <sys/random.h>
#else
#include <unistd.h>
#endif

#include "core/base/assert.h"

namespace sereus::posix {

void PosixRandom::fill(ByteSpan out) {
  constexpr size_t kAtOnce = 256;  // never interrupted, and getentropy's bound
  while (!out.empty()) {
    const size_t size = std::min(out.size(), kAtOnce);
#if defined(__linux__)
    const ssize_t got = getrandom(out.data(), size, 0);
    if (got < 0 && errno == EINTR) continue;
    SEREUS_ASSERT(got > 0);
    out = out.subspan(static_cast<size_t>(got));
#else
    SEREUS_ASSERT(getentropy(out.data(), size) == 0);
    out = out.subspan(size);
#endif
  }
}

}  // namespace sereus::posix
