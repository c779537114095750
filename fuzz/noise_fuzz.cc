// The Noise channel: whatever arrives, in whatever parts, it never faults, never establishes a channel out of bytes that
// nobody signed, and the payload parser reads back what it wrote.
#include <cstdint>

#include "core/net/noise.h"
#include "tests/support/fuzz_random.h"

using namespace sereus;
using namespace sereus::net;

namespace {

const NoiseIdentity& identity(uint8_t seed) {
  static test::CountingRandom random;
  static const NoiseIdentity one = make_noise_identity(KeyPair::from_seed(SecretBytes<32>(Bytes(32, 1))), random);
  static const NoiseIdentity two = make_noise_identity(KeyPair::from_seed(SecretBytes<32>(Bytes(32, 2))), random);
  return seed == 1 ? one : two;
}

// Feeds `in` in parts of `step` bytes.
void feed_in_parts(NoiseChannel& channel, ByteView in, size_t step, Bytes& out) {
  Bytes plain;
  while (!in.empty()) {
    const size_t count = in.size() < step ? in.size() : step;
    if (!channel.feed(in.first(count), out, plain).ok()) break;
    in = in.subspan(count);
  }
  SEREUS_ASSERT(plain.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t mode = data[0];
  const size_t step = data[1] == 0 ? size : data[1];
  const ByteView input(data + 2, size - 2);
  if (const auto payload = parse_noise_payload(input); payload.ok()) {
    const auto again = parse_noise_payload(encode_noise_payload(*payload));
    SEREUS_ASSERT(again.ok() && again->identity_key == payload->identity_key &&
                  again->identity_sig == payload->identity_sig && again->stream_muxers == payload->stream_muxers);
  }
  test::CountingRandom random;
  Bytes first, second, third, rest;
  NoiseChannel initiator(NoiseRole::initiator, identity(1), {PeerId(), {"/yamux/1.0.0"}}, random);
  NoiseChannel responder(NoiseRole::responder, identity(2), {PeerId(), {"/yamux/1.0.0"}}, random);
  SEREUS_ASSERT(initiator.start(first).ok());
  if (mode % 4 == 0) {
    feed_in_parts(responder, input, step, second);
    SEREUS_ASSERT(responder.state() != NoiseChannel::State::established);
  } else if (mode % 4 == 1) {
    feed_in_parts(initiator, input, step, third);
    SEREUS_ASSERT(initiator.state() != NoiseChannel::State::established);
  } else {
    Bytes plain;
    SEREUS_ASSERT(responder.feed(first, second, plain).ok() && initiator.feed(second, third, plain).ok());
    if (mode % 4 == 2) {
      feed_in_parts(responder, input, step, rest);
      SEREUS_ASSERT(responder.state() != NoiseChannel::State::established);
    } else {
      SEREUS_ASSERT(responder.feed(third, rest, plain).ok());
      feed_in_parts(responder, input, step, rest);
      Bytes sealed, opened;
      SEREUS_ASSERT(
          responder.state() == NoiseChannel::State::failed ||
          (responder.seal(input, sealed).ok() && initiator.feed(sealed, rest, opened).ok() && equal(opened, input)));
    }
  }
  return 0;
}
