// Randomness of fuzz targets: the same for every input, and never changed, since the corpora hold what was made with it.
#pragma once

#include "core/ports/random.h"

namespace sereus::test {

class CountingRandom final : public Random {
 public:
  void fill(ByteSpan out) override {
    for (uint8_t& byte : out) byte = next_++;
  }

 private:
  uint8_t next_ = 1;
};

// Not one byte after the other alone, for keys that are drawn until they are in range.
class MixedRandom final : public Random {
 public:
  void fill(ByteSpan out) override {
    for (uint8_t& byte : out) {
      byte = static_cast<uint8_t>((state_ = state_ * 6364136223846793005u + 1442695040888963407u) >> 56);
    }
  }

 private:
  uint64_t state_ = 1;
};

}  // namespace sereus::test
