// The simulator's randomness: a seeded generator (splitmix64), the same bytes for the same seed on every machine. Each
// part of a run draws from a stream of its own, so that one more draw in one part does not move all others.
#pragma once

#include <string_view>

#include "core/ports/random.h"

namespace sereus::sim {

class SimRandom : public Random {
 public:
  explicit SimRandom(uint64_t seed) : state_(seed) {}
  // An independent stream for a part of the run.
  SimRandom fork(std::string_view part) {
    uint64_t state = next();
    for (const char c : part) state = (state ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    return SimRandom(state);
  }

  void fill(ByteSpan out) override {
    uint64_t word = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      if (i % 8 == 0) word = next();
      out[i] = static_cast<uint8_t>(word >> (8 * (i % 8)));
    }
  }
  uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }
  bool chance(uint32_t percent) { return below(100) < percent; }

 private:
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

}  // namespace sereus::sim
