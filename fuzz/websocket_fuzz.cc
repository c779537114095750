// The WebSocket stage, both roles: whatever arrives, in whatever parts, it never faults, carries no more than it was fed
// and nothing before the upgrade, and what one side seals the other reads.
#include <cstdint>

#include "core/net/websocket_channel.h"
#include "tests/support/fuzz_random.h"

using namespace sereus;
using namespace sereus::net;

namespace {

// Feeds `in` in parts of `step` bytes until the channel fails.
void feed_in_parts(Channel& channel, ByteView in, size_t step, Bytes& out, Bytes& plain) {
  while (!in.empty()) {
    const ByteView part = in.first(in.size() < step ? in.size() : step);
    const size_t before = plain.size();
    const bool fed = channel.feed(part, out, plain).ok();
    SEREUS_ASSERT(plain.size() - before <= part.size());
    SEREUS_ASSERT(fed == (channel.state() != Channel::State::failed));
    if (!fed) return;
    in = in.subspan(part.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t mode = data[0];
  const size_t step = data[1] == 0 ? size : data[1];
  const ByteView input(data + 2, size - 2);
  test::CountingRandom random;
  const Times now{1'000'000, 0};
  const auto client = WebSocketChannel::client("a.example", random, now);
  const auto server = WebSocketChannel::server({}, random, now);
  Bytes request, response, said, plain;
  SEREUS_ASSERT(client->start(request).ok() && server->start(response).ok() && response.empty());
  if (mode % 4 == 0) {
    feed_in_parts(*server, input, step, said, plain);
    SEREUS_ASSERT(plain.empty() || said.size() > 100);  // nothing is carried before the upgrade was answered
    return 0;
  }
  if (mode % 4 == 1) {
    feed_in_parts(*client, input, step, said, plain);
    SEREUS_ASSERT(client->state() != Channel::State::handshaking || plain.empty());
    return 0;
  }
  SEREUS_ASSERT(server->feed(request, response, plain).ok() && client->feed(response, said, plain).ok());
  Channel& fed = mode % 4 == 2 ? static_cast<Channel&>(*server) : *client;
  Channel& other = mode % 4 == 2 ? static_cast<Channel&>(*client) : *server;
  feed_in_parts(fed, input, step, said, plain);
  Bytes ignored, answered;
  SEREUS_ASSERT(other.feed(said, ignored, answered).ok() &&
                answered.empty());  // pongs and a close, all of them in order
  if (fed.state() != Channel::State::established || other.state() != Channel::State::established) return 0;
  Bytes sealed, opened;
  SEREUS_ASSERT(fed.seal(input, sealed).ok() && other.feed(sealed, ignored, opened).ok() && equal(opened, input));
  return 0;
}
