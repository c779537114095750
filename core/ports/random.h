// Randomness as a port. The core has no other source; the simulator's is seeded and reproducible.
#pragma once

#include "core/base/bytes.h"

namespace sereus {

class Random {
 public:
  virtual ~Random() = default;
  // Fills `out` with bytes fit for keys. Never fails; an operating system without randomness is a reason to abort.
  // Called from the node's own threads only; implementations are thread-safe.
  virtual void fill(ByteSpan out) = 0;

  uint64_t next_u64() {
    uint8_t raw[8];
    fill(raw);
    return load_le<uint64_t>(raw);
  }
  // Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound) {
    const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value = next_u64();
    while (value >= limit) value = next_u64();
    return value % bound;
  }
};

}  // namespace sereus
