// The TLS channel: whatever arrives, in whatever parts, before the handshake, in its middle or after it, it never faults,
// never establishes a channel out of bytes that nobody signed, and holds no more than its bounds.
#include <cstdint>

#include "core/base/assert.h"
#include "core/net/limits.h"
#include "core/net/tls_channel.h"
#include "core/net/wolfssl_scope.h"
#include "tests/support/fuzz_random.h"

using namespace sereus;
using namespace sereus::net;

namespace {

const TlsContext& context(uint8_t number) {
  static test::MixedRandom random;
  const auto make = [](uint8_t seed) {
    const auto device = crypto::KeyPair::from_seed(crypto::SecretBytes<32>(Bytes(32, seed)));
    const TlsIdentity identity = make_tls_identity(device, random).value();
    const WolfsslScope scope(random, 0);
    return TlsContext::create(identity).value();
  };
  static const std::unique_ptr<TlsContext> one = make(1);
  static const std::unique_ptr<TlsContext> two = make(2);
  return number == 1 ? *one : *two;
}

// Feeds `in` in parts of `step` bytes.
Status feed_in_parts(TlsChannel& channel, ByteView in, size_t step, Bytes& out, Bytes& plain) {
  while (!in.empty()) {
    const size_t count = in.size() < step ? in.size() : step;
    SEREUS_TRY(channel.feed(in.first(count), out, plain));
    in = in.subspan(count);
  }
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t mode = data[0];
  const size_t step = data[1] == 0 ? size : data[1];
  const ByteView input(data + 2, size - 2);
  const Times now{1'000'000, 1'767'225'600'000'000};
  const TlsOptions options{{}, {"/yamux/1.0.0"}, false};
  test::MixedRandom random;
  const auto client = TlsChannel::create(context(1), TlsRole::client, options, &now, random).value();
  const auto server = TlsChannel::create(context(2), TlsRole::server, options, &now, random).value();
  Bytes hello, answer, last, rest, plain;
  SEREUS_ASSERT(client->start(hello).ok() && server->start(answer).ok());
  if (mode % 5 == 0) {  // a stranger dials
    (void)feed_in_parts(*server, input, step, answer, plain);
    SEREUS_ASSERT(server->state() != Channel::State::established && plain.empty());
    return 0;
  }
  if (mode % 5 == 1) {  // a stranger answers
    (void)feed_in_parts(*client, input, step, last, plain);
    SEREUS_ASSERT(client->state() != Channel::State::established && plain.empty());
    return 0;
  }
  SEREUS_ASSERT(server->feed(hello, answer, plain).ok() && client->feed(answer, last, plain).ok());
  if (mode % 5 == 2) {  // instead of the client's certificate
    (void)feed_in_parts(*server, input, step, rest, plain);
    SEREUS_ASSERT(server->state() != Channel::State::established && plain.empty());
    return 0;
  }
  SEREUS_ASSERT(server->feed(last, rest, plain).ok() && server->state() == Channel::State::established);
  if (mode % 5 == 3) {  // instead of records
    (void)feed_in_parts(*server, input, step, rest, plain);
    SEREUS_ASSERT(plain.empty());
    return 0;
  }
  Bytes sealed;
  SEREUS_ASSERT(client->seal(input, sealed).ok());
  SEREUS_ASSERT(feed_in_parts(*server, sealed, step, rest, plain).ok() && equal(plain, input));
  return 0;
}
