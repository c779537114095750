#include "core/net/bandwidth.h"

#include <algorithm>

namespace sereus::net {
namespace {

constexpr int64_t kMicro = 1'000'000;
constexpr uint64_t kBurstsPerSecond = 10;  // what a bucket holds: a tenth of a second
constexpr uint64_t kPortionsPerSecond =
    100;                             // what it gives out at least, for few large packets instead of many small ones
constexpr int64_t kBurstMin = 4096;  // so that a slow limit still lets a full packet through
constexpr int64_t kPortionMin = 1500;
constexpr uint64_t kIdleMaxUs = 60 * kMicrosPerSecond;  // more than any bucket takes to fill

}  // namespace

int64_t Bandwidth::Bucket::burst() const { return std::max(static_cast<int64_t>(rate / kBurstsPerSecond), kBurstMin); }
int64_t Bandwidth::Bucket::portion() const {
  return std::max(static_cast<int64_t>(rate / kPortionsPerSecond), kPortionMin);
}

void Bandwidth::Bucket::fill(uint64_t now_us) {
  const int64_t full = burst() * kMicro;
  if (!begun) {
    begun = true;
    micro_tokens = full;
  } else {
    const uint64_t elapsed = std::min(now_us > filled_us ? now_us - filled_us : 0, kIdleMaxUs);
    micro_tokens = std::min(full, micro_tokens + static_cast<int64_t>(rate * elapsed));
  }
  filled_us = std::max(filled_us, now_us);
}

size_t Bandwidth::Bucket::available() {
  return micro_tokens < portion() * kMicro ? 0 : static_cast<size_t>(micro_tokens / kMicro);
}

uint64_t Bandwidth::Bucket::ready_at(uint64_t now_us) const {
  const int64_t missing = portion() * kMicro - micro_tokens;
  if (missing <= 0) return now_us;
  return now_us + (static_cast<uint64_t>(missing) + rate - 1) / rate;
}

void Bandwidth::set_limits(const BandwidthLimits& limits) {
  limits_ = limits;
  const auto set = [](std::array<Bucket, 2>& buckets, const BandwidthLimits::Rate& rate) {
    for (const Direction direction : {Direction::up, Direction::down}) {
      Bucket& bucket = buckets[static_cast<size_t>(direction)];
      bucket.rate = std::min<uint64_t>(direction == Direction::up ? rate.up : rate.down, uint64_t{1} << 36);
      bucket.micro_tokens = std::min(bucket.micro_tokens, bucket.burst() * kMicro);
    }
  };
  set(total_, limits.total);
  for (size_t i = 0; i < kTransportKinds; ++i) set(transport_[i], limits.transport[i]);
}

uint64_t Bandwidth::rate(TransportKind transport, Direction direction) const {
  const auto at = static_cast<size_t>(direction);
  const uint64_t total = total_[at].rate;
  const uint64_t own = transport_[static_cast<size_t>(transport)][at].rate;
  return total != 0 && own != 0 ? std::min(total, own) : total + own;
}

size_t Bandwidth::available(TransportKind transport, Direction direction, const Times& now) {
  size_t out = SIZE_MAX;
  for (Bucket* bucket : {&total(direction), &of(transport, direction)}) {
    if (bucket->rate == 0) continue;
    bucket->fill(now.mono_us);
    out = std::min(out, bucket->available());
  }
  return out;
}

void Bandwidth::spend(TransportKind transport, Direction direction, size_t bytes, const Times& now) {
  for (Bucket* bucket : {&total(direction), &of(transport, direction)}) {
    if (bucket->rate == 0) continue;
    bucket->fill(now.mono_us);
    bucket->micro_tokens -= static_cast<int64_t>(bytes) * kMicro;
  }
}

uint64_t Bandwidth::ready_at(TransportKind transport, Direction direction, const Times& now) {
  uint64_t out = now.mono_us;
  for (Bucket* bucket : {&total(direction), &of(transport, direction)}) {
    if (bucket->rate == 0) continue;
    bucket->fill(now.mono_us);
    out = std::max(out, bucket->ready_at(now.mono_us));
  }
  return out;
}

}  // namespace sereus::net
