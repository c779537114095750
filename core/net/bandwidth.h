// Limits of bandwidth: token buckets for each transport and for all together, up and down. Transports ask before they write or
// read and wait for the time they are told; QUIC, whose peer sends unasked, opens the peer's flow-control windows only as the
// limit allows. Deterministic: the time is an argument.
//
// What is counted: bytes handed to sockets, so TLS, Noise, QUIC and framing count and IP headers do not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/time.h"
#include "core/net/transport_policy.h"

namespace sereus::net {

enum class Direction : uint8_t { up, down };

// Bytes a second; 0 is no limit.
struct BandwidthLimits {
  struct Rate {
    uint64_t up = 0;
    uint64_t down = 0;
  };
  Rate total;
  std::array<Rate, kTransportKinds> transport{};  // by TransportKind
};

class Bandwidth {
 public:
  explicit Bandwidth(const BandwidthLimits& limits = {}) { set_limits(limits); }
  // Takes effect at once; what was saved up in a bucket is cut to its new size.
  void set_limits(const BandwidthLimits& limits);
  const BandwidthLimits& limits() const { return limits_; }

  bool limited(TransportKind transport, Direction direction) const { return rate(transport, direction) != 0; }
  // Bytes a second, the smaller of the transport's and the total's; 0 without a limit.
  uint64_t rate(TransportKind transport, Direction direction) const;
  // How many bytes may go now; SIZE_MAX without a limit. 0 until ready_at(): a bucket lets go in portions of at least a
  // hundredth of a second's worth, so that a limit does not become a flood of tiny packets.
  size_t available(TransportKind transport, Direction direction, const Times& now);
  // May be more than was available: then what follows waits the longer.
  void spend(TransportKind transport, Direction direction, size_t bytes, const Times& now);
  // When available() is next above 0: now, or later.
  uint64_t ready_at(TransportKind transport, Direction direction, const Times& now);

 private:
  // Tokens in millionths of a byte, so that no rate loses by rounding.
  struct Bucket {
    uint64_t rate = 0;
    int64_t micro_tokens = 0;
    uint64_t filled_us = 0;
    bool begun = false;

    int64_t burst() const;    // bytes
    int64_t portion() const;  // bytes
    void fill(uint64_t now_us);
    size_t available();
    uint64_t ready_at(uint64_t now_us) const;
  };
  Bucket& total(Direction direction) { return total_[static_cast<size_t>(direction)]; }
  Bucket& of(TransportKind transport, Direction direction) {
    return transport_[static_cast<size_t>(transport)][static_cast<size_t>(direction)];
  }

  BandwidthLimits limits_;
  std::array<Bucket, 2> total_{};
  std::array<std::array<Bucket, 2>, kTransportKinds> transport_{};
};

}  // namespace sereus::net
