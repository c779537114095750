// yamux, three ways by the first byte: received bytes as they come; frames put together from few bytes each, so that deep
// states are reached; and two honest sessions driven by the input, which must never end each other and lose no byte.
#include <cstdint>

#include "core/net/yamux.h"

using namespace sereus;
using namespace sereus::net;

namespace {

constexpr uint64_t kTickUs = 50'000;

void check(const YamuxSession& session) {
  SEREUS_ASSERT(session.received_bytes() <= kYamuxReceivedMax);
  SEREUS_ASSERT(session.streams() <= kYamuxIncomingMax + kYamuxOutgoingMax);
  SEREUS_ASSERT(!session.ended() || session.streams() == 0);
}

// An application that takes streams and, by `mood`, echoes, ends or resets them.
void use(YamuxSession& session, uint8_t mood, uint64_t now_us) {
  Bytes buffer(3000);
  while (const auto id = session.accept()) {
    if (mood % 5 == 1) session.reset(*id);
    if (mood % 5 == 2) session.finish(*id);
  }
  while (const auto event = session.next_event()) {
    const auto* readable = std::get_if<YamuxReadable>(&*event);
    if (readable == nullptr || mood % 3 == 0) continue;
    const auto got = session.read(readable->stream, buffer, now_us);
    if (got.ok()) (void)session.write(readable->stream, ByteView(buffer).first(got->size)).ok();
    if (got.ok() && got->finished) session.finish(readable->stream);
  }
  if (mood % 7 == 0) (void)session.open(now_us).ok();
  (void)session.step(now_us);
  check(session);
}

void raw_bytes(ByteView in) {
  YamuxSession session(YamuxRole::server, {}, 0);
  uint64_t now_us = 0;
  Bytes out;
  while (in.size() >= 2) {
    const uint8_t mood = in[0];
    const size_t count = std::min<size_t>(in[1], in.size() - 2);
    const Status fed = session.feed(in.subspan(2, count), now_us);
    SEREUS_ASSERT(fed.ok() || session.ended());
    use(session, mood, now_us += kTickUs);
    if (mood % 2 == 0) session.produce(out, 100'000, now_us);
    out.clear();
    in = in.subspan(2 + count);
  }
}

// Five bytes a frame: type and flags, stream, two bytes of length, mood.
void frames(ByteView in) {
  YamuxSession session(YamuxRole::client, {}, 0);
  uint64_t now_us = 0;
  Bytes out;
  for (; in.size() >= 5; in = in.subspan(5)) {
    YamuxHeader header;
    header.type = static_cast<YamuxType>(in[0] & 3);
    header.flags = static_cast<uint16_t>((in[0] >> 2) & 15);
    header.stream = in[1];
    header.length = load_be<uint16_t>(in.data() + 2) * (in[4] % 16 == 0 ? 16u : 1u);
    Bytes frame;
    append_yamux_header(frame, header);
    if (header.type == YamuxType::data) frame.resize(frame.size() + header.length);
    (void)session.feed(frame, now_us).ok();
    use(session, in[4], now_us += kTickUs);
    if (in[4] % 2 == 0) session.produce(out, 100'000, now_us);
    out.clear();
  }
}

struct Side {
  explicit Side(YamuxRole role) : session(role, {}, 0) {}

  YamuxSession session;
  std::vector<YamuxStreamId> streams;
  Bytes wire;  // produced and not yet delivered
};

// Each stream carries 0, 1, 2, ... from the first byte on, in both directions.
struct Counter {
  uint8_t written = 0;
  uint8_t read = 0;
};

void honest(ByteView in) {
  Side sides[2] = {Side(YamuxRole::client), Side(YamuxRole::server)};
  std::map<std::pair<YamuxStreamId, int>, Counter> counters;
  uint64_t now_us = 0;
  for (; in.size() >= 3; in = in.subspan(3)) {
    const int who = in[0] & 1;
    Side& side = sides[who];
    Side& other = sides[1 - who];
    const size_t amount = size_t{in[2]} * in[2];
    now_us += in[1];
    while (const auto id = side.session.accept()) side.streams.push_back(*id);
    const YamuxStreamId id = side.streams.empty() ? 0 : side.streams[in[1] % side.streams.size()];
    Counter& counter = counters[{id, who}];
    switch ((in[0] >> 1) % 7) {
      case 0:
        if (const auto opened = side.session.open(now_us); opened.ok()) side.streams.push_back(*opened);
        break;
      case 1: {
        Bytes data(amount);
        for (size_t i = 0; i < amount; ++i) data[i] = static_cast<uint8_t>(counter.written + i);
        const auto taken = side.session.write(id, data);
        if (taken.ok()) counter.written = static_cast<uint8_t>(counter.written + *taken);
        break;
      }
      case 2: {
        Bytes data(amount);
        const auto got = side.session.read(id, data, now_us);
        for (size_t i = 0; got.ok() && i < got->size; ++i) SEREUS_ASSERT(data[i] == counter.read++);
        break;
      }
      case 3:
        side.session.finish(id);
        break;
      case 4:
        if (in[1] % 4 == 0) side.session.reset(id);
        break;
      case 5:
        side.session.produce(side.wire, amount, now_us);
        break;
      default: {
        const size_t count = std::min(amount + 1, side.wire.size());
        SEREUS_ASSERT(other.session.feed(ByteView(side.wire).first(count), now_us).ok());
        side.wire.erase(side.wire.begin(), side.wire.begin() + static_cast<ptrdiff_t>(count));
        break;
      }
    }
    while (side.session.next_event()) {
    }
    check(side.session);
    SEREUS_ASSERT(!side.session.ended());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView input(data + 1, size - 1);
  if (data[0] % 3 == 0) raw_bytes(input);
  if (data[0] % 3 == 1) frames(input);
  if (data[0] % 3 == 2) honest(input);
  return 0;
}
