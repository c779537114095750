// multistream-select, both roles: whatever arrives, in whatever parts, it never faults, takes no more than it was given, takes
// nothing once it is over, answers within bounds, and comes to the same end however the bytes were cut.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/assert.h"
#include "core/net/limits.h"
#include "core/net/multistream.h"

using namespace sereus;
using namespace sereus::net;

namespace {

struct Outcome {
  Multistream::State state;
  std::string protocol;
  Bytes out;
  size_t used = 0;
};

Outcome run(bool initiator, ByteView in, size_t step) {
  static const std::vector<std::string> kProtocols{"/tls/1.0.0", "/noise", "/a"};
  Outcome outcome{};
  Multistream select = initiator ? Multistream::initiator(kProtocols, outcome.out) : Multistream::responder();
  while (!in.empty() && select.state() == Multistream::State::negotiating) {
    const ByteView part = in.first(in.size() < step ? in.size() : step);
    const size_t used = select.feed(part, kProtocols, outcome.out);
    SEREUS_ASSERT(used <= part.size());
    SEREUS_ASSERT(used == part.size() || select.state() != Multistream::State::negotiating);
    outcome.used += used;
    in = in.subspan(used);
  }
  outcome.state = select.state();
  outcome.protocol = select.protocol();
  SEREUS_ASSERT(outcome.out.size() <= (kMultistreamProposalsMax + 2) * (kMultistreamLineMax + 2));
  if (outcome.state == Multistream::State::agreed) SEREUS_ASSERT(valid_protocol_name(outcome.protocol));
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const ByteView input(data + 2, size - 2);
  const bool initiator = data[0] % 2 == 0;
  const Outcome whole = run(initiator, input, input.size() + 1);
  const Outcome parts = run(initiator, input, data[1] == 0 ? 1 : data[1]);
  SEREUS_ASSERT(whole.state == parts.state && whole.protocol == parts.protocol && whole.out == parts.out);
  if (whole.state == Multistream::State::agreed) SEREUS_ASSERT(whole.used == parts.used);
  return 0;
}
