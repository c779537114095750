// A sum over everything that happened, in order: equal for equal runs, and different for almost all others.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"
#include "core/ports/datagram.h"

namespace sereus::sim {

class Trace {
 public:
  void add(uint64_t value) {
    sum_ ^= value;
    sum_ *= 0x9e3779b97f4a7c15u;
    sum_ ^= sum_ >> 32;
  }
  void add(ByteView bytes) {
    add(uint64_t{bytes.size()});
    // Eight at a time: all packets of all runs go through here.
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) add(load_le<uint64_t>(bytes.data()));
    for (const uint8_t byte : bytes) add(uint64_t{byte});
  }
  void add(const IpEndpoint& endpoint) {
    add(ByteView(endpoint.address));
    add(uint64_t{endpoint.port} << 1 | (endpoint.is_v6 ? 1 : 0));
  }
  uint64_t value() const { return sum_; }

 private:
  uint64_t sum_ = 0xcbf29ce484222325u;
};

}  // namespace sereus::sim
