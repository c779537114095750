#include "core/net/yamux.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "tests/support/yamux_link.h"

namespace sereus::net {
namespace {

using test::YamuxEnd;
using test::YamuxLink;

// The byte at `at` of what `from_client` writes to a stream: every place has its own.
uint8_t pattern(YamuxStreamId stream, bool from_client, uint64_t at) {
  const uint64_t mixed = (at + 1) * 0x9e3779b97f4a7c15u + stream * 0xbf58476d1ce4e5b9u + (from_client ? 77 : 0);
  return static_cast<uint8_t>(mixed >> 56);
}
Bytes pattern_bytes(YamuxStreamId stream, bool from_client, uint64_t from, size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) out[i] = pattern(stream, from_client, from + i);
  return out;
}

// One direction of a stream, written and read at drawn speed, every byte checked.
struct Flow {
  YamuxEnd* from = nullptr;
  YamuxEnd* to = nullptr;
  YamuxStreamId stream = 0;
  bool from_client = true;
  uint64_t size = 0;
  uint64_t written = 0;
  uint64_t read = 0;
  bool finish_called = false;
  bool finished = false;

  void write(size_t most) {
    if (finish_called) return;
    const size_t count = static_cast<size_t>(std::min<uint64_t>(most, size - written));
    const auto taken = from->session.write(stream, pattern_bytes(stream, from_client, written, count));
    ASSERT_TRUE(taken.ok());
    written += *taken;
    if (written < size) return;
    from->session.finish(stream);
    finish_called = true;
  }
  void receive(size_t most, uint64_t now_us) {
    if (finished) return;
    Bytes out(most);
    const auto got = to->session.read(stream, out, now_us);
    ASSERT_TRUE(got.ok());
    out.resize(got->size);
    ASSERT_EQ(out, pattern_bytes(stream, from_client, read, got->size));
    read += got->size;
    finished = got->finished;
  }
};

TEST(YamuxFrame, RoundTrip) {
  for (const YamuxHeader& header :
       {YamuxHeader{YamuxType::data, YamuxHeader::kSyn | YamuxHeader::kFin, 1, 0xffffffff},
        YamuxHeader{YamuxType::window_update, YamuxHeader::kRst, 0xfffffffe, 7},
        YamuxHeader{YamuxType::ping, YamuxHeader::kAck, 0, 0x01020304}, YamuxHeader{YamuxType::go_away, 0, 0, 2}}) {
    Bytes raw;
    append_yamux_header(raw, header);
    ASSERT_EQ(raw.size(), kYamuxHeaderSize);
    const auto parsed = parse_yamux_header(std::span<const uint8_t, kYamuxHeaderSize>(raw.data(), raw.size()));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, header);
  }
  Bytes raw;
  append_yamux_header(raw, {YamuxType::window_update, YamuxHeader::kSyn, 3, 0x00010203});
  EXPECT_EQ(to_hex(raw), "000100010000000300010203");  // libp2p specs, yamux, "Framing"
}

TEST(Yamux, OpensAcceptsAndHalfCloses) {
  YamuxLink link;
  const YamuxStreamId id = link.open();
  ASSERT_EQ(id, 1u);
  EXPECT_EQ(*link.client.session.write(id, as_bytes("question")), 8u);
  link.client.session.finish(id);
  EXPECT_EQ(link.client.session.write(id, as_bytes("more")).code(), Code::closed);
  link.settle();
  EXPECT_EQ(link.server.readable.count(id), 1u);
  Bytes out(100);
  auto got = link.server.session.read(id, out, link.now_us);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(to_string(ByteView(out).first(got->size)), "question");
  EXPECT_TRUE(got->finished);
  // The other direction is still open.
  EXPECT_EQ(*link.server.session.write(id, as_bytes("answer")), 6u);
  link.settle();
  got = link.client.session.read(id, out, link.now_us);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(to_string(ByteView(out).first(got->size)), "answer");
  EXPECT_FALSE(got->finished);
  link.server.session.finish(id);
  link.settle();
  EXPECT_TRUE(link.client.session.read(id, out, link.now_us)->finished);
  EXPECT_EQ(link.client.session.streams(), 0u);
  EXPECT_EQ(link.server.session.streams(), 0u);
  EXPECT_EQ(link.client.session.read(id, out, link.now_us).code(), Code::closed);
  EXPECT_TRUE(link.client.closed.empty() && link.server.closed.empty());
}

TEST(Yamux, WritesBeforeTheAnswer) {
  YamuxLink link;
  const YamuxStreamId id = *link.client.session.open(0);
  ASSERT_TRUE(link.client.session.write(id, as_bytes("early")).ok());
  link.client.session.finish(id);
  Bytes out;
  link.client.session.produce(out, SIZE_MAX, 0);
  // The first ping, SYN, the data and FIN, in one go. FIN has a frame of its own, see send_data().
  EXPECT_EQ(to_hex(out),
            "000200010000000000000000"
            "000100010000000100000000"
            "0000000000000001000000056561726c79"
            "000100040000000100000000");
}

TEST(Yamux, ServersIdsAreEven) {
  YamuxLink link;
  EXPECT_EQ(*link.server.session.open(0), 2u);
  EXPECT_EQ(*link.server.session.open(0), 4u);
  EXPECT_EQ(*link.client.session.open(0), 1u);
  link.settle();
  EXPECT_EQ(link.client.session.accept(), YamuxStreamId{2});
  EXPECT_EQ(link.client.session.accept(), YamuxStreamId{4});
  EXPECT_EQ(link.client.session.accept(), std::nullopt);
  EXPECT_EQ(link.server.session.accept(), YamuxStreamId{1});
}

TEST(Yamux, ResetsReachTheOtherSide) {
  YamuxLink link;
  const YamuxStreamId id = link.open();
  ASSERT_TRUE(link.client.session.write(id, Bytes(100'000)).ok());
  link.client.session.reset(id);
  EXPECT_EQ(link.client.session.streams(), 0u);
  EXPECT_EQ(link.client.session.unsent_bytes(), 0u);
  link.settle();
  ASSERT_EQ(link.server.closed.size(), 1u);
  EXPECT_EQ(link.server.closed[0].stream, id);
  EXPECT_EQ(link.server.session.write(id, as_bytes("x")).code(), Code::closed);
  EXPECT_TRUE(link.client.closed.empty());  // no event for one's own reset
  // Never sent, so nobody needs to know; and the id that was skipped disturbs nobody.
  const YamuxStreamId never = *link.client.session.open(link.now_us);
  link.client.session.reset(never);
  EXPECT_FALSE(link.client.session.wants_to_send());
  EXPECT_EQ(link.open(), never + 2);
}

TEST(Yamux, DataOnTheWayWhenAStreamIsResetIsNoOffence) {
  YamuxLink link;
  const YamuxStreamId id = link.open();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(link.client.session.write(id, Bytes(50'000)).ok());
    link.turn(10);
  }
  link.server.session.reset(id);
  link.settle();
  EXPECT_FALSE(link.server.session.ended());
  EXPECT_FALSE(link.client.session.ended());
  EXPECT_EQ(link.client.closed.size(), 1u);
  EXPECT_NE(link.open(), 0u);
}

TEST(Yamux, ASlowReaderStopsAFastWriter) {
  YamuxLink link;
  const YamuxStreamId id = link.open();
  uint64_t written = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto taken = link.client.session.write(id, pattern_bytes(id, true, written, 100'000));
    ASSERT_TRUE(taken.ok());
    written += *taken;
    link.turn();
  }
  EXPECT_EQ(link.server.session.received_bytes(), kYamuxWindowInitial);
  EXPECT_EQ(written, kYamuxWindowInitial + kYamuxUnsentMax);
  EXPECT_EQ(*link.client.session.write(id, as_bytes("x")), 0u);
  link.client.writable.clear();
  // Another stream is not stopped by it.
  const YamuxStreamId other = link.open();
  ASSERT_NE(other, 0u);
  ASSERT_TRUE(link.client.session.write(other, as_bytes("hello")).ok());
  link.settle();
  Bytes out(64 << 10);
  EXPECT_EQ(link.server.session.read(other, out, link.now_us)->size, 5u);
  // Reading opens the window, and the writer is told.
  Flow flow{&link.client, &link.server, id, true, written, written};
  for (int i = 0; i < 100; ++i) {
    flow.receive(10'000, link.now_us);
    link.turn();
  }
  EXPECT_EQ(link.client.writable.count(id), 1u);
  for (int i = 0; i < 1000 && flow.read < written; ++i) {
    flow.receive(10'000, link.now_us);
    link.turn();
  }
  EXPECT_EQ(flow.read, written);
}

TEST(Yamux, HundredStreamsBothWaysAtOnce) {
  YamuxLink link(5);
  std::vector<Flow> flows;
  for (int i = 0; i < 100; ++i) {
    const bool by_client = i % 2 == 0;
    YamuxEnd& opener = by_client ? link.client : link.server;
    YamuxEnd& other = by_client ? link.server : link.client;
    const YamuxStreamId id = *opener.session.open(link.now_us);
    std::optional<YamuxStreamId> taken;
    for (int j = 0; j < 100 && !taken; ++j) {
      link.turn();
      taken = other.session.accept();
    }
    ASSERT_EQ(taken, id);
    flows.push_back(Flow{&link.client, &link.server, id, true, 300'000});
    flows.push_back(Flow{&link.server, &link.client, id, false, 300'000});
  }
  for (int i = 0; i < 20'000 && link.client.session.streams() + link.server.session.streams() > 0; ++i) {
    for (Flow& flow : flows) {
      flow.write(1 + link.random.below(50'000));
      flow.receive(1 + link.random.below(50'000), link.now_us);
    }
    link.turn();
  }
  for (const Flow& flow : flows) {
    EXPECT_TRUE(flow.finished);
    EXPECT_EQ(flow.read, flow.size);
  }
  EXPECT_EQ(link.client.session.streams(), 0u);
  EXPECT_EQ(link.server.session.streams(), 0u);
  EXPECT_EQ(link.client.session.received_bytes() + link.server.session.received_bytes(), 0u);
  EXPECT_EQ(link.client.session.unsent_bytes() + link.server.session.unsent_bytes(), 0u);
}

// Streams are opened, written, read, finished and reset at random, over a link that cuts the bytes at random.
TEST(Yamux, Property) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    YamuxLink link(seed);
    link.part_max = seed % 4 == 0 ? 5 : 1 + link.random.below(100'000);
    link.delay_us = link.random.below(3000);
    link.pipe_max = 100 + link.random.below(300'000);
    std::map<std::pair<YamuxStreamId, bool>, Flow> flows;  // by stream and direction
    const uint64_t scale = link.part_max < 100 ? 2'000 : 200'000;
    const auto add = [&](YamuxStreamId id, YamuxEnd& writer) {
      YamuxEnd& reader = &writer == &link.client ? link.server : link.client;
      const bool from_client = &writer == &link.client;
      flows.emplace(std::pair(id, from_client), Flow{&writer, &reader, id, from_client, link.random.below(scale)});
    };
    // Which side knows of a stream: the opener at once, the other once it took it.
    std::set<std::pair<YamuxStreamId, bool>> known, dead;
    for (int round = 0; round < 3000; ++round) {
      for (YamuxEnd* end : {&link.client, &link.server}) {
        const bool is_client = end == &link.client;
        if (round < 1000 && link.random.below(30) == 0) {
          if (const auto id = end->session.open(link.now_us); id.ok()) {
            add(*id, *end);
            known.emplace(*id, is_client);
          }
        }
        while (const auto id = end->session.accept()) {
          add(*id, *end);
          known.emplace(*id, is_client);
        }
        for (const YamuxClosed& closed : end->closed) dead.emplace(closed.stream, is_client);
        end->closed.clear();
      }
      for (auto& [key, flow] : flows) {
        const bool writer_lives =
            known.count({flow.stream, flow.from_client}) && !dead.count({flow.stream, flow.from_client});
        const bool reader_lives =
            known.count({flow.stream, !flow.from_client}) && !dead.count({flow.stream, !flow.from_client});
        if (writer_lives && link.random.below(3) == 0) flow.write(link.random.below(scale / 4));
        if (reader_lives && link.random.below(3) == 0) flow.receive(1 + link.random.below(scale / 4), link.now_us);
        if (writer_lives && !flow.finish_called && round < 1000 && link.random.below(20'000) == 0) {
          flow.from->session.reset(flow.stream);
          dead.emplace(flow.stream, flow.from_client);
        }
      }
      link.turn(1 + link.random.below(2000));
      ASSERT_FALSE(link.client.ended || link.server.ended) << seed;
      ASSERT_LE(link.client.session.received_bytes(), kYamuxReceivedMax);
    }
    for (int round = 0; round < 20'000 && !flows.empty(); ++round) {
      bool busy = false;
      for (YamuxEnd* end : {&link.client, &link.server}) {
        for (const YamuxClosed& closed : end->closed) dead.emplace(closed.stream, end == &link.client);
        end->closed.clear();
      }
      for (auto& [key, flow] : flows) {
        if (dead.count({flow.stream, true}) || dead.count({flow.stream, false})) continue;
        flow.write(scale);
        flow.receive(scale, link.now_us);
        busy = busy || !flow.finished;
      }
      link.turn();
      if (!busy) break;
    }
    link.settle();
    size_t done = 0;
    for (const auto& [key, flow] : flows) {
      if (dead.count({flow.stream, true}) || dead.count({flow.stream, false})) continue;
      EXPECT_EQ(flow.read, flow.size) << seed;
      ++done;
    }
    EXPECT_GT(done, 10u);
    EXPECT_EQ(link.client.session.streams(), 0u) << seed;
    EXPECT_EQ(link.server.session.streams(), 0u) << seed;
    EXPECT_EQ(link.client.session.received_bytes() + link.server.session.received_bytes(), 0u);
  }
}

TEST(Yamux, StreamsTakeTurns) {
  YamuxLink link;
  std::vector<YamuxStreamId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(link.open());
  for (const YamuxStreamId id : ids) ASSERT_TRUE(link.client.session.write(id, Bytes(200'000)).ok());
  Bytes out;
  link.client.session.produce(out, SIZE_MAX, link.now_us);
  std::vector<YamuxStreamId> order;
  std::vector<uint32_t> sizes;
  for (size_t at = 0; at < out.size();) {
    const auto header =
        parse_yamux_header(std::span<const uint8_t, kYamuxHeaderSize>(out.data() + at, kYamuxHeaderSize));
    ASSERT_TRUE(header.ok());
    ASSERT_EQ(header->type, YamuxType::data);
    order.push_back(header->stream);
    sizes.push_back(header->length);
    at += kYamuxHeaderSize + header->length;
  }
  ASSERT_EQ(order.size(), 16u);
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(order[i], ids[i % 4]);
    EXPECT_EQ(sizes[i], i < 12 ? 65536u : 200'000u - 3 * 65536u);
  }
  // A small appetite gets one frame at a time.
  ASSERT_TRUE(link.server.session.feed(out, link.now_us).ok());
  ASSERT_TRUE(link.client.session.write(ids[0], Bytes(50'000)).ok());
  ASSERT_TRUE(link.client.session.write(ids[1], Bytes(50'000)).ok());
  out.clear();
  link.client.session.produce(out, 1, link.now_us);
  EXPECT_EQ(out.size(), kYamuxHeaderSize + 50'000);
}

TEST(Yamux, WindowsGrowWithTheRoundTripAndShareOneLimit) {
  YamuxLink link;
  link.delay_us = 20'000;
  link.pipe_max = 64 << 20;
  link.settle();
  EXPECT_GE(link.server.session.rtt_us(), 40'000u);
  const auto transfer = [&link](size_t streams, uint64_t size) {
    std::vector<Flow> flows;
    for (size_t i = 0; i < streams; ++i) flows.push_back(Flow{&link.client, &link.server, link.open(), true, size});
    const uint64_t start = link.now_us;
    bool busy = true;
    while (busy && link.now_us < start + 1000 * kMicrosPerSecond) {
      busy = false;
      for (Flow& flow : flows) {
        flow.write(1 << 20);
        flow.receive(1 << 20, link.now_us);
        busy = busy || !flow.finished;
      }
      link.turn(1000);
    }
    for (Flow& flow : flows) {
      EXPECT_EQ(flow.read, size);
      link.server.session.reset(flow.stream);
    }
    link.settle();
    return link.now_us - start;
  };
  // 256 KiB in 41 ms would be 32 MiB in 5 s; with a grown window it is limited by what write() takes between turns.
  EXPECT_LT(transfer(1, 32 << 20), 3 * kMicrosPerSecond);
  EXPECT_LE(link.server.received_most, kYamuxWindowInitial + kYamuxGrowthMax);
  transfer(20, 2 << 20);
  EXPECT_LE(link.server.received_most, 20 * kYamuxWindowInitial + kYamuxGrowthMax);
}

TEST(Yamux, PingsMeasureTheRoundTrip) {
  YamuxLink link;
  link.delay_us = 5'000;
  link.settle();
  const auto ping = link.client.session.ping(link.now_us);
  ASSERT_TRUE(ping.ok());
  link.settle();
  ASSERT_EQ(link.client.pongs.size(), 1u);
  EXPECT_EQ(link.client.pongs[0].ping, *ping);
  EXPECT_GE(link.client.pongs[0].rtt_us, 10'000u);
  EXPECT_LE(link.client.pongs[0].rtt_us, 11'000u);
  EXPECT_GE(link.client.session.rtt_us(), 10'000u);
  for (size_t i = 0; i < kYamuxPingsMax; ++i) EXPECT_TRUE(link.client.session.ping(link.now_us).ok());
  EXPECT_EQ(link.client.session.ping(link.now_us).code(), Code::again);
}

TEST(Yamux, KeepAliveEndsASilentSession) {
  YamuxLink link;
  const YamuxStreamId id = link.open();
  link.settle();
  // Alive as long as the other side answers.
  for (int i = 0; i < 600; ++i) link.turn(kMicrosPerSecond / 5);
  EXPECT_FALSE(link.client.ended || link.server.ended);
  link.server.cut = true;
  const uint64_t start = link.now_us;
  while (!link.client.ended && link.now_us < start + 100 * kMicrosPerSecond) link.turn(kMicrosPerSecond / 5);
  ASSERT_TRUE(link.client.ended);
  EXPECT_EQ(link.client.ended->reason.code, Code::timeout);
  EXPECT_LE(link.now_us - start, kYamuxKeepAliveUs + kYamuxPingTimeoutUs + kMicrosPerSecond);
  ASSERT_EQ(link.client.closed.size(), 1u);
  EXPECT_EQ(link.client.closed[0].stream, id);
  EXPECT_EQ(link.client.session.step(link.now_us), kNever);
}

TEST(Yamux, StepSaysWhenItIsWanted) {
  YamuxOptions quiet;
  quiet.keep_alive_us = kNever;
  YamuxSession session(YamuxRole::client, quiet, 0);
  EXPECT_EQ(session.step(0), kNever);
  EXPECT_FALSE(session.wants_to_send());
  YamuxSession pinging(YamuxRole::client, {}, 0);
  EXPECT_EQ(pinging.step(0), std::min(kYamuxPingTimeoutUs, kYamuxStalledTimeoutUs));
  // Nobody takes the ping out of it.
  EXPECT_EQ(pinging.step(kYamuxPingTimeoutUs), kNever);
  EXPECT_TRUE(pinging.ended());
}

TEST(Yamux, AnOrderlyEnd) {
  YamuxLink link;
  const YamuxStreamId id = link.open();
  link.client.session.close(YamuxGoAway::normal);
  EXPECT_EQ(link.client.session.open(link.now_us).code(), Code::closed);
  link.settle();
  ASSERT_TRUE(link.client.ended);
  EXPECT_EQ(link.client.ended->reason.code, Code::ok);
  EXPECT_EQ(link.client.closed.size(), 1u);
  // The other side may bring its streams to an end, and opens no more.
  EXPECT_FALSE(link.server.ended);
  EXPECT_EQ(link.server.session.open(link.now_us).code(), Code::closed);
  link.server.session.reset(id);
  link.settle();
  ASSERT_TRUE(link.server.ended);
  EXPECT_EQ(link.server.ended->reason.code, Code::ok);

  YamuxLink failing;
  failing.open();
  failing.client.session.close(YamuxGoAway::internal_error);
  failing.settle();
  ASSERT_TRUE(failing.server.ended);
  EXPECT_EQ(failing.server.ended->reason.code, Code::closed);
  EXPECT_EQ(failing.server.closed.size(), 1u);

  YamuxLink broken;
  broken.open();
  broken.client.session.transport_ended(fail(Code::io, "gone"));
  EXPECT_FALSE(broken.client.session.wants_to_send());
  broken.client.take_events();
  EXPECT_EQ(broken.client.ended->reason.code, Code::io);
}

TEST(Yamux, StreamIdsEnd) {
  YamuxOptions last;
  last.first_id = UINT32_MAX - 2;
  YamuxLink link(1, last);
  EXPECT_EQ(link.open(), UINT32_MAX - 2);
  EXPECT_EQ(link.open(), UINT32_MAX);
  EXPECT_EQ(link.client.session.open(link.now_us).code(), Code::closed);
  EXPECT_FALSE(link.client.session.ended());  // what is open goes on
  ASSERT_TRUE(link.client.session.write(UINT32_MAX, as_bytes("x")).ok());
  link.settle();
  EXPECT_EQ(link.server.session.received_bytes(), 1u);
}

TEST(Yamux, WhoAcceptsNothingStopsThePeer) {
  YamuxLink link;
  size_t opened = 0;
  while (link.client.session.open(link.now_us).ok()) ++opened;
  EXPECT_EQ(opened, kYamuxUnacknowledgedMax);
  EXPECT_EQ(link.client.session.open(link.now_us).code(), Code::again);
  link.settle();
  ASSERT_TRUE(link.server.session.accept().has_value());
  link.settle();
  EXPECT_TRUE(link.client.session.open(link.now_us).ok());
  EXPECT_EQ(link.client.session.open(link.now_us).code(), Code::again);
  // The one that is too many for the server is reset, and both go on.
  YamuxOptions few;
  few.incoming_max = 3;
  YamuxLink limited(1, {}, few);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(limited.client.session.open(0).ok());
  limited.settle();
  ASSERT_EQ(limited.client.closed.size(), 1u);
  EXPECT_EQ(limited.client.closed[0].stream, 7u);
  EXPECT_FALSE(limited.client.session.ended() || limited.server.session.ended());
}

TEST(Yamux, ManySlowStreamsDoNotStopTheOthers) {
  YamuxLink link;
  std::vector<YamuxStreamId> slow;
  for (int i = 0; i < 60; ++i) slow.push_back(link.open());
  for (int round = 0; round < 30; ++round) {
    for (const YamuxStreamId id : slow) ASSERT_TRUE(link.client.session.write(id, Bytes(100'000)).ok());
    for (int i = 0; i < 20; ++i) link.turn();
  }
  EXPECT_GE(link.client.unsent_most, kYamuxUnsentTotalMax);
  EXPECT_LE(link.client.unsent_most, kYamuxUnsentTotalMax + 61 * kYamuxUnsentReserve);
  const YamuxStreamId other = link.open();
  Flow flow{&link.client, &link.server, other, true, 500'000};
  for (int i = 0; i < 5000 && !flow.finished; ++i) {
    flow.write(50'000);
    flow.receive(50'000, link.now_us);
    link.turn();
  }
  EXPECT_TRUE(flow.finished);
  EXPECT_LE(link.server.received_most, kYamuxReceivedMax);
}

}  // namespace
}  // namespace sereus::net
