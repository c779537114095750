// ping (libp2p specs, ping): 32 random bytes there and back. Both ends as machines for one stream; the streams are
// host_services.h's.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/limits.h"
#include "core/ports/random.h"

namespace sereus::net {

inline constexpr std::string_view kPingProtocol = "/ipfs/ping/1.0.0";

// Sends whole payloads back. Holds less than one of them, so a caller that feeds it no more than it can write has a bound.
class PingResponder {
 public:
  // Appends to `out` the payloads that `in` completes.
  void feed(ByteView in, Bytes& out);
  // At the end of the stream: nothing was left half.
  bool clean() const { return size_ == 0; }

 private:
  std::array<uint8_t, kPingBytes> payload_{};
  size_t size_ = 0;
};

// One ping after the other on one stream.
class PingInitiator {
 public:
  // What to write; not while waiting().
  Bytes start(Random& random, uint64_t now_us);
  bool waiting() const { return waiting_; }
  // When to give up, in the time of start(); kNever while not waiting.
  uint64_t deadline_us() const;
  // The round trip in microseconds when `in` completes the echo, nothing when there is more to come. Code::protocol for
  // bytes that are not the echo.
  Result<std::optional<uint64_t>> feed(ByteView in, uint64_t now_us);

 private:
  std::array<uint8_t, kPingBytes> payload_{};
  size_t matched_ = 0;
  bool waiting_ = false;
  uint64_t started_us_ = 0;
};

}  // namespace sereus::net
