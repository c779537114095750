#include "core/net/ping.h"

#include <algorithm>

#include "core/base/assert.h"
#include "core/base/time.h"

namespace sereus::net {

void PingResponder::feed(ByteView in, Bytes& out) {
  while (!in.empty()) {
    const ByteView part = in.first(std::min(in.size(), kPingBytes - size_));
    std::copy(part.begin(), part.end(), payload_.begin() + static_cast<ptrdiff_t>(size_));
    size_ += part.size();
    in = in.subspan(part.size());
    if (size_ < kPingBytes) continue;
    append(out, payload_);
    size_ = 0;
  }
}

Bytes PingInitiator::start(Random& random, uint64_t now_us) {
  SEREUS_ASSERT(!waiting_);
  random.fill(payload_);
  matched_ = 0;
  waiting_ = true;
  started_us_ = now_us;
  return Bytes(payload_.begin(), payload_.end());
}

uint64_t PingInitiator::deadline_us() const { return waiting_ ? started_us_ + kPingTimeoutUs : kNever; }

Result<std::optional<uint64_t>> PingInitiator::feed(ByteView in, uint64_t now_us) {
  if (in.empty()) return std::optional<uint64_t>();
  if (!waiting_ || in.size() > kPingBytes - matched_ || !equal(in, ByteView(payload_).subspan(matched_, in.size()))) {
    return fail(Code::protocol, "ping: not the echo of what was sent");
  }
  matched_ += in.size();
  if (matched_ < kPingBytes) return std::optional<uint64_t>();
  waiting_ = false;
  return std::optional<uint64_t>(now_us > started_us_ ? now_us - started_us_ : 0);
}

}  // namespace sereus::net
