// How much a relay carries, for whom: buckets of bytes a day, for each peer and for each subnet. Deterministic: the time is an
// argument.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "core/base/bytes.h"
#include "core/base/time.h"
#include "core/ports/datagram.h"

namespace sereus::net {

// A bucket that holds a day's bytes, and fills in the course of a day. Exact to the byte.
class DayBucket {
 public:
  explicit DayBucket(uint64_t day_bytes = 0) : day_bytes_(day_bytes), left_(day_bytes) {}

  // Fills, and says what is left. A day that was changed holds from now on; what was taken stays taken.
  uint64_t left(uint64_t day_bytes, uint64_t now_us);
  // At most what is left.
  void take(uint64_t bytes) { left_ -= bytes < left_ ? bytes : left_; }
  uint64_t missing() const { return day_bytes_ - left_; }

 private:
  uint64_t day_bytes_;
  uint64_t left_;
  uint64_t filled_us_ = 0;
  bool begun_ = false;
};

// Buckets by name. At most kRelayBucketsMax are remembered: the fullest makes room, since it says least.
class DayBuckets {
 public:
  uint64_t left(const Bytes& key, uint64_t day_bytes, uint64_t now_us);
  void take(const Bytes& key, uint64_t bytes);
  size_t size() const { return buckets_.size(); }

 private:
  std::map<Bytes, DayBucket> buckets_;
};

// The network that an address is of: an IPv4 /24, an IPv6 /48. Empty for loopback, which is none: many nodes of one machine are
// ordinary, and who is on it has other means.
Bytes subnet_key(const IpEndpoint& endpoint);
// The household: an IPv4 address, an IPv6 /64. Empty likewise.
Bytes source_key(const IpEndpoint& endpoint);

}  // namespace sereus::net
