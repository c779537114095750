// ping, both ends: the responder gives back whole payloads and nothing else; the initiator takes its echo and nothing else.
#include <cstdint>

#include "core/base/assert.h"
#include "core/net/ping.h"
#include "tests/support/fuzz_random.h"

using namespace sereus;
using namespace sereus::net;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const size_t step = data[0] == 0 ? 1 : data[0];
  const ByteView input(data + 1, size - 1);
  PingResponder responder;
  Bytes out;
  for (ByteView in = input; !in.empty();) {
    const ByteView part = in.first(in.size() < step ? in.size() : step);
    responder.feed(part, out);
    in = in.subspan(part.size());
  }
  SEREUS_ASSERT(equal(out, input.first(input.size() / kPingBytes * kPingBytes)));
  SEREUS_ASSERT(responder.clean() == (input.size() % kPingBytes == 0));

  test::CountingRandom random;
  PingInitiator initiator;
  const Bytes question = initiator.start(random, 5);
  SEREUS_ASSERT(question.size() == kPingBytes);
  for (ByteView in = input; !in.empty() && initiator.waiting();) {
    const ByteView part = in.first(in.size() < step ? in.size() : step);
    const auto answered = initiator.feed(part, 9);
    if (!answered.ok()) return 0;
    if (answered->has_value()) SEREUS_ASSERT(**answered == 4 && equal(question, input.first(kPingBytes)));
    in = in.subspan(part.size());
  }
  return 0;
}
