// What a peer may do that means harm: every class ends in bounded memory, and either in a reset stream or in GO_AWAY.
#include <gtest/gtest.h>

#include <utility>

#include "core/net/yamux.h"
#include "tests/support/yamux_link.h"

namespace sereus::net {
namespace {

using test::TestRandom;
using test::YamuxEnd;
using test::YamuxLink;

constexpr uint16_t kSyn = YamuxHeader::kSyn;
constexpr uint16_t kAck = YamuxHeader::kAck;
constexpr uint16_t kFin = YamuxHeader::kFin;
constexpr uint16_t kRst = YamuxHeader::kRst;

Bytes frame(YamuxType type, uint16_t flags, uint32_t stream, uint32_t length) {
  Bytes out;
  append_yamux_header(out, {type, flags, stream, length});
  return out;
}
Bytes data(uint16_t flags, uint32_t stream, size_t size) {
  Bytes out = frame(YamuxType::data, flags, stream, static_cast<uint32_t>(size));
  out.resize(out.size() + size, 'x');
  return out;
}
Bytes update(uint16_t flags, uint32_t stream, uint32_t delta) {
  return frame(YamuxType::window_update, flags, stream, delta);
}
Bytes ping(uint32_t value) { return frame(YamuxType::ping, kSyn, 0, value); }

// A server whose client is the test.
struct Victim {
  explicit Victim(const YamuxOptions& options = {}) : end(YamuxRole::server, options) { sent(); }

  Code feed(const Bytes& bytes) {
    const Status status = end.session.feed(bytes, now_us);
    end.take_events();
    return status.code();
  }
  // Frames that it wants to send.
  std::vector<YamuxHeader> sent() {
    Bytes out;
    end.session.produce(out, SIZE_MAX, now_us);
    std::vector<YamuxHeader> headers;
    for (size_t at = 0; at < out.size();) {
      const auto header =
          parse_yamux_header(std::span<const uint8_t, kYamuxHeaderSize>(out.data() + at, kYamuxHeaderSize));
      EXPECT_TRUE(header.ok());
      headers.push_back(*header);
      at += kYamuxHeaderSize + (header->type == YamuxType::data ? header->length : 0);
    }
    return headers;
  }
  // Ended, with a GO_AWAY that says "protocol error" and nothing after it.
  void expect_ended() {
    ASSERT_TRUE(end.session.ended());
    ASSERT_TRUE(end.ended.has_value());
    EXPECT_EQ(end.ended->reason.code, Code::protocol);
    const auto headers = sent();
    ASSERT_EQ(headers.size(), 1u);
    EXPECT_EQ(headers[0], (YamuxHeader{YamuxType::go_away, 0, 0, 1}));
    EXPECT_FALSE(end.session.wants_to_send());
    EXPECT_EQ(end.session.streams() + end.session.received_bytes() + end.session.unsent_bytes(), 0u);
    EXPECT_EQ(feed(data(kSyn, 99, 10)), Code::protocol);
    EXPECT_EQ(end.session.open(now_us).code(), Code::protocol);
  }

  YamuxEnd end;
  uint64_t now_us = 1;
};

void expect_refused(const std::vector<Bytes>& frames) {
  Victim victim;
  for (size_t i = 0; i + 1 < frames.size(); ++i) ASSERT_EQ(victim.feed(frames[i]), Code::ok) << i;
  EXPECT_EQ(victim.feed(frames.back()), Code::protocol);
  victim.expect_ended();
}

TEST(YamuxHostile, BadHeaders) {
  for (const char* const raw : {
           "010000000000000100000000",  // version 1
           "000400000000000100000000",  // type 4
           "000000100000000100000000",  // flag 16
           "000080000000000100000000",
           "000000010000000000000000",  // data for the session
           "000100010000000000000000",
           "000200010000000100000000",  // ping and GO_AWAY for a stream
           "000300000000000100000000",
           "000200000000000000000000",  // ping without and with two meanings
           "000200030000000000000000",
       }) {
    Victim victim;
    const Code code = victim.feed(from_hex(raw).value_or(Bytes()));
    EXPECT_EQ(code, raw[1] == '1' ? Code::too_new : Code::protocol) << raw;
    EXPECT_TRUE(victim.end.session.ended());
    EXPECT_EQ(victim.sent().size(), 1u);
  }
}

TEST(YamuxHostile, MoreThanTheWindowAllows) {
  const auto whole = data(kSyn, 1, kYamuxWindowInitial);
  expect_refused({whole, data(0, 1, 1)});
  expect_refused({data(kSyn, 1, kYamuxWindowInitial + 1)});
  expect_refused({update(kSyn, 1, 0), data(0, 1, kYamuxWindowInitial + 1)});
  expect_refused({update(kSyn, 1, 0), frame(YamuxType::data, 0, 1, 0xffffffff)});
  expect_refused({update(kSyn, 1, 0), frame(YamuxType::data, 0, 1, kYamuxFrameReceiveMax + 1)});
  // Reading does not give window back before the update was sent.
  Victim victim;
  ASSERT_EQ(victim.feed(whole), Code::ok);
  ASSERT_EQ(victim.end.session.accept(), YamuxStreamId{1});
  Bytes out(kYamuxWindowInitial);
  ASSERT_EQ(victim.end.session.read(1, out, victim.now_us)->size, out.size());
  EXPECT_EQ(victim.feed(data(0, 1, 1)), Code::protocol);
}

TEST(YamuxHostile, StreamsThatAreNotThere) {
  expect_refused({data(0, 1, 10)});  // never opened
  expect_refused({update(0, 1, 10)});
  expect_refused({update(kRst, 1, 0)});
  expect_refused({update(kAck, 2, 0)});                      // ours, never opened
  expect_refused({update(kSyn, 2, 0)});                      // our parity
  expect_refused({update(kSyn, 1, 0), update(kSyn, 1, 0)});  // twice
  expect_refused({update(kSyn, 1, 0), update(kRst, 1, 0), update(kSyn, 1, 0)});
  expect_refused({update(kSyn, 1, 0), update(kRst, 1, 0), data(0, 1, 1)});
  expect_refused({data(kSyn | kFin, 1, 1), data(0, 1, 1)});  // after the end
  expect_refused({update(kSyn, 5, 0), data(0, 3, 1)});       // passed over, so not opened
}

TEST(YamuxHostile, IdsOutOfOrderAreNoOffence) {
  Victim victim;
  for (const uint32_t id : {9u, 1u, 5u, 3u, 7u, 1001u, 999u, 0xffffffffu, 0xfffffffdu}) {
    EXPECT_EQ(victim.feed(update(kSyn, id, 0)), Code::ok) << id;
  }
  // Only so many are remembered: then an id that was passed over counts as used.
  EXPECT_EQ(victim.feed(update(kSyn, 997, 0)), Code::protocol);
}

TEST(YamuxHostile, WindowsThatOverflow) {
  expect_refused({update(kSyn, 1, 0xffffffff)});
  expect_refused({update(kSyn, 1, 0x80000000), update(0, 1, 0x80000000)});
  Victim victim;
  EXPECT_EQ(victim.feed(update(kSyn, 1, UINT32_MAX - kYamuxWindowInitial)), Code::ok);
  EXPECT_EQ(victim.feed(update(0, 1, 1)), Code::protocol);
}

// Data for a stream that we reset: as much as was allowed when we did, and no more.
TEST(YamuxHostile, StrayDataHasABound) {
  Victim victim;
  ASSERT_EQ(victim.feed(data(kSyn, 1, 1000)), Code::ok);
  ASSERT_TRUE(victim.end.session.accept().has_value());
  victim.end.session.reset(1);
  EXPECT_EQ(victim.feed(data(0, 1, kYamuxWindowInitial - 1000)), Code::ok);
  EXPECT_EQ(victim.end.session.received_bytes(), 0u);
  EXPECT_EQ(victim.feed(data(0, 1, 1)), Code::protocol);
  // The rest of a frame whose stream went in its middle.
  Victim middle;
  const Bytes whole = data(kSyn, 1, 1000);
  ASSERT_EQ(middle.feed(Bytes(whole.begin(), whole.begin() + 500)), Code::ok);
  ASSERT_TRUE(middle.end.session.accept().has_value());
  middle.end.session.reset(1);
  ASSERT_EQ(middle.feed(Bytes(whole.begin() + 500, whole.end())), Code::ok);
  EXPECT_EQ(middle.feed(ping(1)), Code::ok);
  EXPECT_EQ(middle.end.session.received_bytes(), 0u);
}

// Repeats `make(i)` until the session ends; how often that took.
template <typename Make>
size_t flood(Victim& victim, size_t most, Make make) {
  for (size_t i = 0; i < most; ++i) {
    if (victim.feed(make(i)) == Code::protocol) return i;
  }
  return most;
}

TEST(YamuxHostile, Floods) {
  Victim pings;
  EXPECT_EQ(flood(pings, 100'000, [](size_t i) { return ping(static_cast<uint32_t>(i)); }), kYamuxPingsBurst);
  pings.expect_ended();
  Victim answers;
  EXPECT_EQ(flood(answers, 100'000, [](size_t) { return frame(YamuxType::ping, kAck, 0, 77); }), kYamuxIdleBurst);
  answers.expect_ended();
  Victim empty;
  ASSERT_EQ(empty.feed(update(kSyn, 1, 0)), Code::ok);
  EXPECT_EQ(flood(empty, 100'000, [](size_t) { return data(0, 1, 0); }), kYamuxIdleBurst);
  empty.expect_ended();
  Victim updates;
  ASSERT_EQ(updates.feed(update(kSyn, 1, 0)), Code::ok);
  EXPECT_EQ(flood(updates, 100'000, [](size_t) { return update(0, 1, 0); }), kYamuxIdleBurst);
  updates.expect_ended();
  Victim ends;
  ASSERT_EQ(ends.feed(update(kSyn | kFin, 1, 0)), Code::ok);
  EXPECT_EQ(flood(ends, 100'000, [](size_t) { return update(kFin, 1, 0); }), kYamuxIdleBurst);
  ends.expect_ended();
  Victim gone;
  ASSERT_EQ(gone.feed(update(kSyn | kRst, 1, 0)), Code::ok);
  EXPECT_EQ(flood(gone, 100'000, [](size_t) { return update(0, 1, 5); }), kYamuxIdleBurst);
  gone.expect_ended();
}

TEST(YamuxHostile, RapidResets) {
  Victim victim;
  size_t accepted = 0;
  const size_t count = flood(victim, 100'000, [&](size_t i) {
    Bytes both = update(kSyn, static_cast<uint32_t>(2 * i + 1), 0);
    append(both, update(kRst, static_cast<uint32_t>(2 * i + 1), 0));
    while (victim.end.session.accept()) ++accepted;
    EXPECT_LE(victim.end.session.streams(), 1u);
    return both;
  });
  EXPECT_EQ(count, kYamuxResetsBurst);
  EXPECT_EQ(accepted, 0u);  // they were gone before anybody saw them
  victim.expect_ended();
}

TEST(YamuxHostile, MoreStreamsThanAllowed) {
  Victim victim;
  size_t refused = 0;
  const size_t count = flood(victim, 100'000, [&](size_t i) {
    EXPECT_LE(victim.end.session.streams(), kYamuxIncomingMax);
    for (const YamuxHeader& header : victim.sent()) refused += header.has(kRst) ? 1 : 0;
    return data(kSyn, static_cast<uint32_t>(2 * i + 1), 100);
  });
  EXPECT_EQ(count, kYamuxIncomingMax + kYamuxRefusalsBurst);
  EXPECT_EQ(refused, kYamuxRefusalsBurst);
  victim.expect_ended();
}

TEST(YamuxHostile, FloodsInTimeAreForgiven) {
  Victim victim;
  for (uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(victim.feed(ping(i)), Code::ok);
    EXPECT_EQ(victim.sent().size(), 1u);
    victim.now_us += kMicrosPerSecond / kYamuxPingsPerSecond;
  }
  EXPECT_FALSE(victim.end.session.ended());
}

// A peer that never takes anything from us, whatever it asks for.
TEST(YamuxHostile, APeerThatNeverReads) {
  Victim pings;
  size_t count = 0;
  for (; count < 1000 && pings.end.session.feed(ping(1), pings.now_us).ok(); ++count) pings.now_us += kMicrosPerSecond;
  EXPECT_EQ(count, kYamuxPongsMax);
  // Streams that we reset: the resets wait to be sent, until there are too many.
  Victim resets;
  uint32_t id = 1;
  for (; id < 100'000 && !resets.end.session.ended(); id += 2) {
    (void)resets.end.session.feed(update(kSyn, id, 0), resets.now_us).ok();
    while (const auto stream = resets.end.session.accept()) resets.end.session.reset(*stream);
  }
  EXPECT_EQ(id / 2, kYamuxResetsMax + 1);
  // What write() took stays, and in the end time is up.
  Victim writer;
  const YamuxStreamId stream = *writer.end.session.open(writer.now_us);
  ASSERT_EQ(*writer.end.session.write(stream, Bytes(10 << 20)), kYamuxUnsentMax);
  uint64_t deadline = writer.end.session.step(writer.now_us);
  size_t steps = 0;
  for (; !writer.end.session.ended() && steps < 100; ++steps) {
    ASSERT_NE(deadline, kNever);
    writer.now_us = deadline;
    // It does send, so it is not silent.
    (void)writer.end.session.feed(update(0, 2, 1), writer.now_us).ok();
    deadline = writer.end.session.step(writer.now_us);
  }
  EXPECT_LE(writer.now_us, 2 * kYamuxStalledTimeoutUs);
  EXPECT_LT(steps, 100u);
}

// Streams filled and not read: what is held is bounded, and the ones that hold most go first.
TEST(YamuxHostile, AllWindowsFilledAtOnce) {
  Victim victim;
  const size_t streams = kYamuxIncomingMax;
  std::vector<bool> alive(streams, true);
  for (size_t i = 0; i < streams; ++i) {
    const auto id = static_cast<uint32_t>(2 * i + 1);
    ASSERT_EQ(victim.feed(data(kSyn, id, i % 10 == 0 ? 1000 : kYamuxWindowInitial)), Code::ok);
    ASSERT_TRUE(victim.end.session.accept().has_value());
    EXPECT_LE(victim.end.session.received_bytes(), kYamuxReceivedMax);
  }
  EXPECT_FALSE(victim.end.session.ended());
  EXPECT_GE(victim.end.closed.size(), 90u);
  for (const YamuxClosed& closed : victim.end.closed) {
    EXPECT_EQ(closed.reason.code, Code::too_large);
    EXPECT_NE((closed.stream / 2) % 10, 0u);  // none of the small ones
  }
  size_t resets = 0;
  for (const YamuxHeader& header : victim.sent()) resets += header.has(kRst) ? 1 : 0;
  EXPECT_EQ(resets, victim.end.closed.size());
}

TEST(YamuxHostile, GoAwayEndsAtOnce) {
  Victim victim;
  ASSERT_EQ(victim.feed(data(kSyn, 1, 10)), Code::ok);
  ASSERT_TRUE(victim.end.session.accept().has_value());
  EXPECT_EQ(victim.feed(frame(YamuxType::go_away, 0, 0, 1)), Code::closed);
  ASSERT_TRUE(victim.end.ended.has_value());
  EXPECT_EQ(victim.end.closed.size(), 1u);
  EXPECT_FALSE(victim.end.session.wants_to_send());
}

// Frames that mostly make sense, from a peer that follows no plan: bounded, and never a fault.
TEST(YamuxHostile, DrawnFrames) {
  TestRandom random(11);
  size_t frames = 0;
  for (int round = 0; round < 300; ++round) {
    Victim victim;
    uint32_t next_id = 1;
    for (int i = 0; i < 1000 && !victim.end.session.ended(); ++i, ++frames) {
      const bool opens = next_id == 1 || random.below(10) == 0;
      const uint32_t id =
          opens ? std::exchange(next_id, next_id + 2) : 1 + 2 * static_cast<uint32_t>(random.below(next_id / 2));
      const auto drawn = static_cast<uint16_t>(random.below(40) == 0 ? 1u << random.below(4) : 0);
      const auto flags = static_cast<uint16_t>((drawn & ~kSyn) | (opens ? kSyn : 0));
      const auto length = static_cast<uint32_t>(random.below(random.below(8) == 0 ? 30'000 : 300));
      const bool is_update = random.below(2) == 0;
      (void)victim.feed(is_update ? update(flags, id, length) : data(flags, id, length));
      if (random.below(50) == 0) (void)victim.feed(ping(7));
      while (const auto stream = victim.end.session.accept()) {
        (void)victim.end.session.write(*stream, Bytes(random.below(1000))).ok();
        if (random.below(3) == 0) victim.end.session.finish(*stream);
        if (random.below(9) == 0) victim.end.session.reset(*stream);
      }
      Bytes out(random.below(5000));
      (void)victim.end.session.read(id, out, victim.now_us).ok();
      if (random.below(2) == 0) (void)victim.sent();
      victim.now_us += random.below(20'000);
    }
    EXPECT_LE(victim.end.received_most, kYamuxReceivedMax);
  }
  EXPECT_GT(frames, 5'000u);  // it gets somewhere
}

}  // namespace
}  // namespace sereus::net
