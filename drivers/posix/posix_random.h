// The operating system's randomness behind the Random port.
#pragma once

#include "core/ports/random.h"

namespace sereus::posix {

// getrandom(2), or getentropy(2) where that is missing. Thread-safe, no state. Aborts when the system has none.
class PosixRandom : public Random {
 public:
  void fill(ByteSpan out) override;
};

}  // namespace sereus::posix
