#include "core/net/relay_quota.h"

#include <algorithm>

#include "core/net/limits.h"

namespace sereus::net {
namespace {

constexpr uint64_t kDayUs = 24 * 3600 * kMicrosPerSecond;

Bytes prefix_key(const IpEndpoint& endpoint, size_t v4_bytes, size_t v6_bytes) {
  if (is_loopback(endpoint)) return {};
  const IpEndpoint ip = unmapped(endpoint);
  const ByteView prefix = ByteView(ip.address).first(ip.is_v6 ? v6_bytes : v4_bytes);
  Bytes out{static_cast<uint8_t>(ip.is_v6 ? 6 : 4)};
  append(out, prefix);
  return out;
}

}  // namespace

uint64_t DayBucket::left(uint64_t day_bytes, uint64_t now_us) {
  if (!begun_) {
    begun_ = true;
    filled_us_ = now_us;
  }
  if (day_bytes != day_bytes_) {
    const uint64_t taken = day_bytes_ - left_;
    day_bytes_ = day_bytes;
    left_ = day_bytes - std::min(day_bytes, taken);
  }
  const uint64_t elapsed_us = std::min(now_us - std::min(now_us, filled_us_), kDayUs);
  if (elapsed_us == kDayUs || left_ == day_bytes_) {
    left_ = day_bytes_;
    filled_us_ = now_us;
    return left_;
  }
  // Whole bytes, and the time that they took: nothing is lost by rounding. Divided first where the product would not fit.
  const uint64_t step_us = std::max<uint64_t>(1, kDayUs / std::max<uint64_t>(1, day_bytes_));
  const bool fits = day_bytes_ == 0 || elapsed_us <= UINT64_MAX / day_bytes_;
  const uint64_t fresh = fits ? elapsed_us * day_bytes_ / kDayUs : elapsed_us / step_us;
  if (fresh == 0) return left_;
  left_ = std::min(day_bytes_, left_ + fresh);
  filled_us_ += fits ? fresh * kDayUs / day_bytes_ : fresh * step_us;
  return left_;
}

uint64_t DayBuckets::left(const Bytes& key, uint64_t day_bytes, uint64_t now_us) {
  auto found = buckets_.find(key);
  if (found == buckets_.end()) {
    if (buckets_.size() >= kRelayBucketsMax) {
      buckets_.erase(std::min_element(buckets_.begin(), buckets_.end(), [](const auto& a, const auto& b) {
        return a.second.missing() < b.second.missing();
      }));
    }
    found = buckets_.emplace(key, DayBucket(day_bytes)).first;
  }
  return found->second.left(day_bytes, now_us);
}

void DayBuckets::take(const Bytes& key, uint64_t bytes) {
  const auto found = buckets_.find(key);
  if (found != buckets_.end()) found->second.take(bytes);
}

Bytes subnet_key(const IpEndpoint& endpoint) { return prefix_key(endpoint, 3, 6); }
Bytes source_key(const IpEndpoint& endpoint) { return prefix_key(endpoint, 4, 8); }

}  // namespace sereus::net
