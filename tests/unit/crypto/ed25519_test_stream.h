// A deterministic source of bytes for the Ed25519 tests: BLAKE2b of a label and a counter.
#pragma once

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "core/base/bytes.h"

namespace sereus::crypto {

using Bytes32 = std::array<uint8_t, 32>;
using Bytes64 = std::array<uint8_t, 64>;

class Ed25519TestStream {
 public:
  explicit Ed25519TestStream(std::string label) : label_(std::move(label)) {}
  void fill(uint8_t* out, size_t size) {
    while (size > 0) {
      Bytes64 block;
      const std::string input = label_ + "/" + std::to_string(counter_++);
      crypto_generichash(block.data(), block.size(), reinterpret_cast<const uint8_t*>(input.data()), input.size(),
                         nullptr, 0);
      const size_t count = std::min(size, block.size());
      std::copy_n(block.begin(), count, out);
      out += count;
      size -= count;
    }
  }
  Bytes32 bytes32() {
    Bytes32 out;
    fill(out.data(), out.size());
    return out;
  }
  Bytes bytes(size_t size) {
    Bytes out(size);
    fill(out.data(), size);
    return out;
  }
  uint32_t below(uint32_t bound) {
    const Bytes32 b = bytes32();
    return (b[0] | static_cast<uint32_t>(b[1]) << 8 | static_cast<uint32_t>(b[2]) << 16) % bound;
  }

 private:
  std::string label_;
  uint64_t counter_ = 0;
};

}  // namespace sereus::crypto
