// A seeded Random for tests: splitmix64. Not fit for keys, and the same bytes on every machine.
#pragma once

#include "core/ports/random.h"

namespace sereus::test {

class TestRandom : public Random {
 public:
  explicit TestRandom(uint64_t seed = 1) : state_(seed) {}
  void fill(ByteSpan out) override {
    for (size_t i = 0; i < out.size(); ++i) {
      if (i % 8 == 0) word_ = next();
      out[i] = static_cast<uint8_t>(word_ >> (8 * (i % 8)));
    }
  }

 private:
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
  uint64_t word_ = 0;
};

}  // namespace sereus::test
