// Datagrams from nobody in particular: no growth, no amplification, no effect on those who behave.
#include <gtest/gtest.h>
#include <malloc.h>

#include "tests/support/net_pair.h"

namespace sereus::test {
namespace {

constexpr size_t kInitialSize = 1200;

IpEndpoint attacker(uint64_t number) {
  return {false, {192, 0, 2, static_cast<uint8_t>(number % 250)}, static_cast<uint16_t>(1024 + number % 60000)};
}
IpEndpoint server_endpoint() { return NetWorld::address(1, 4001); }

size_t heap_in_use() { return mallinfo2().uordblks; }

// Records a client's first Initial, to replay it from elsewhere.
Bytes real_initial(uint64_t seed) {
  NetWorld world(seed);
  auto& client = world.add();
  auto& server = world.add();
  Bytes first;
  world.trace = [&](const NetWorld::Datagram& datagram) {
    if (first.empty()) first = datagram.data;
  };
  world.link.cut = true;
  (void)client.host->dial("/ip4/10.0.0.2/udp/4001/quic-v1", server.host->peer_id());
  world.run(1000, [&] { return !first.empty(); });
  return first;
}

struct Counter {
  explicit Counter(NetWorld& world) {
    world.trace = [this](const NetWorld::Datagram& datagram) {
      if (datagram.from == server_endpoint()) {
        ++answers;
        answer_bytes += datagram.data.size();
      }
    };
  }
  uint64_t answers = 0;
  uint64_t answer_bytes = 0;
};

TEST(QuicHostile, RandomDatagramsLeaveNothingBehind) {
  Pair pair;
  ASSERT_NE(pair.connect(), 0u);
  SeededRandom random(1);
  Bytes data(1500);
  const auto flood = [&](uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      random.fill(data);
      const size_t size = random.below(data.size() + 1);
      if (i % 3 == 0) data[0] |= 0xc0;                                              // long header
      if (i % 6 == 0) std::copy_n(Bytes{0, 0, 0, 1}.begin(), 4, data.begin() + 1);  // of version 1
      pair.world.inject(attacker(i), server_endpoint(), ByteView(data).first(size));
      if (i % 100 == 0) pair.world.run(1000);
    }
    pair.world.run(20 * kSecond);
  };
  flood(2000);
  const size_t before = heap_in_use();
  flood(50000);
  EXPECT_LT(heap_in_use(), before + (64 << 10));
  EXPECT_EQ(pair.server.host->stats().connections, 1u);
  EXPECT_EQ(count_events<Disconnected>(pair.client) + count_events<Disconnected>(pair.server), 0u);
}

TEST(QuicHostile, AReplayedInitialIsOneHalfOpenConnection) {
  Pair pair;
  Counter counter(pair.world);
  const Bytes initial = real_initial(5);
  ASSERT_EQ(initial.size(), kInitialSize);
  const size_t before = heap_in_use();
  uint64_t sent = 0;
  // Spoofed addresses never answer, so every handshake stays half open.
  for (uint64_t i = 0; i < 5000; ++i) {
    pair.world.inject(attacker(i * 7919), server_endpoint(), initial);
    sent += initial.size();
    if (i % 20 == 0) pair.world.run(500);
  }
  // The destination id is the same in all copies: they are one connection's.
  EXPECT_LE(pair.server.host->stats().connections, 1u);
  EXPECT_LT(counter.answer_bytes, 3 * sent);
  EXPECT_LT(heap_in_use(), before + (4 << 20));
}

TEST(QuicHostile, HalfOpenHandshakesAreBoundedAndThenAddressesAreValidated) {
  QuicSettings settings;
  settings.half_open_retry = 8;
  settings.half_open_max = 16;
  Pair pair(1, {}, settings);
  std::vector<Bytes> initials;
  for (uint64_t i = 0; i < 200; ++i) initials.push_back(real_initial(100 + i));
  Counter counter(pair.world);
  const size_t before = heap_in_use();
  for (uint64_t i = 0; i < initials.size(); ++i) {
    pair.world.inject(attacker(i), server_endpoint(), initials[i]);
    pair.world.run(100);
  }
  // Eight handshakes hold state; the others got a Retry each, which costs nothing.
  EXPECT_LT(heap_in_use(), before + 8 * (200 << 10));
  EXPECT_GE(counter.answers, 190u);
  EXPECT_LT(counter.answer_bytes, 3 * initials.size() * kInitialSize);
  // One who answers the Retry is served all the same.
  EXPECT_NE(pair.connect(), 0u);
  // And when the half-open ones have timed out, the Retry is no longer asked for.
  pair.world.run(30 * kSecond);
  EXPECT_LT(heap_in_use(), before + (1 << 20));
}

TEST(QuicHostile, MoreThanTheHalfOpenLimitIsRefused) {
  QuicSettings settings;
  settings.half_open_retry = 1000;
  settings.half_open_max = 4;
  Pair pair(1, {}, settings);
  for (uint64_t i = 0; i < 10; ++i) {
    pair.world.inject(attacker(i), server_endpoint(), real_initial(300 + i));
  }
  pair.world.run(1000);
  ASSERT_TRUE(pair.client.host->dial(pair.address, pair.server.host->peer_id()).ok());
  ASSERT_TRUE(pair.world.run(5 * kSecond, [&] { return find_event<DialFailed>(pair.client); }));
  EXPECT_EQ(find_event<DialFailed>(pair.client)->error.code, Code::busy);
}

TEST(QuicHostile, ConnectionsAreBounded) {
  QuicSettings settings;
  settings.connections_max = 3;
  Pair pair(1, {}, settings);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(pair.client.host->dial(pair.address, pair.server.host->peer_id()).ok());
  pair.world.run(5 * kSecond);
  EXPECT_EQ(pair.server.host->stats().connections, 3u);
  EXPECT_EQ(count_events<DialFailed>(pair.client), 3u);
}

TEST(QuicHostile, UnknownVersionsAreAnsweredWithOursUnlessTooShort) {
  Pair pair;
  Counter counter(pair.world);
  Bytes packet(kInitialSize, 0);
  packet[0] = 0xc0;
  store_be<uint32_t>(packet.data() + 1, 0x1a2a3a4a);
  packet[5] = 8;
  packet[14] = 8;
  pair.world.inject(attacker(1), server_endpoint(), ByteView(packet).first(300));
  pair.world.run(10000);
  EXPECT_EQ(counter.answers, 0u);
  pair.world.inject(attacker(1), server_endpoint(), packet);
  pair.world.run(10000);
  EXPECT_EQ(counter.answers, 1u);
  EXPECT_LT(counter.answer_bytes, 60u);
}

TEST(QuicHostile, StatelessAnswersAreFewerThanAFlood) {
  Pair pair;
  Counter counter(pair.world);
  Bytes packet(1000, 0x55);
  packet[0] = 0x45;
  for (uint64_t i = 0; i < 20000; ++i) {
    store_be<uint64_t>(packet.data() + 1, i);
    pair.world.inject(attacker(i), server_endpoint(), packet);
    if (i % 200 == 0) pair.world.run(1000);
  }
  EXPECT_LE(counter.answers, 2 * net::kStatelessBurst + net::kStatelessPerSecond);
  // Two hosts without state do not keep one another busy: an answer is smaller than its cause.
  pair.world.run(kSecond);
  Counter fresh(pair.world);
  pair.world.inject(NetWorld::address(0, 4002), server_endpoint(), ByteView(packet).first(21));
  pair.world.run(10000);
  EXPECT_EQ(fresh.answers, 0u);
}

TEST(QuicHostile, ForgedPacketsForAConnectionDoNotEndIt) {
  Pair pair;
  std::vector<Bytes> seen;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) {
    if (datagram.to == server_endpoint()) seen.push_back(datagram.data);
  };
  const ConnectionId connection = pair.connect();
  pair.world.trace = {};
  SeededRandom random(3);
  for (int round = 0; round < 3000; ++round) {
    Bytes packet = seen[random.below(seen.size())];
    for (uint64_t i = 0; i <= random.below(4); ++i)
      packet[random.below(packet.size())] ^= static_cast<uint8_t>(1 + random.below(255));
    if (random.below(4) == 0) packet.resize(random.below(packet.size()) + 1);
    pair.world.inject(random.below(2) ? attacker(1) : pair.client.sockets.begin()->second, server_endpoint(), packet);
    if (round % 50 == 0) pair.world.run(1000);
  }
  pair.world.run(kSecond);
  EXPECT_EQ(count_events<Disconnected>(pair.client) + count_events<Disconnected>(pair.server), 0u);
  EXPECT_TRUE(pair.client.host->open_stream(connection, kEcho).ok());
}

TEST(QuicHostile, ReplayedDatagramsDoNothing) {
  Pair pair;
  std::vector<NetWorld::Datagram> seen;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) { seen.push_back(datagram); };
  const ConnectionId connection = pair.connect();
  const StreamId stream = *pair.client.host->open_stream(connection, kEcho);
  ASSERT_TRUE(pair.client.host->write(stream, as_bytes("once")).ok());
  pair.world.run(kSecond);
  pair.world.trace = {};
  for (int round = 0; round < 20; ++round) {
    for (const auto& datagram : seen) pair.world.inject(datagram.from, datagram.to, datagram.data);
    pair.world.run(1000);
  }
  pair.world.run(kSecond);
  EXPECT_EQ(count_events<Connected>(pair.server), 1u);
  EXPECT_EQ(count_events<StreamOpened>(pair.server), 1u);
  Bytes buffer(100);
  EXPECT_EQ(pair.server.host->read(find_event<StreamOpened>(pair.server)->stream, buffer)->size, 4u);
}

TEST(QuicHostile, RapidResetsAreBounded) {
  Pair pair;
  const ConnectionId connection = pair.connect();
  const auto churn = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const auto stream = pair.client.host->open_stream(connection, kEcho);
      if (stream.ok()) {
        (void)pair.client.host->write(*stream, as_bytes("x"));
        if (i % 2 == 0) pair.world.run(300);
        pair.client.host->reset(*stream);
      } else {
        pair.world.run(2000);
      }
      pair.server.events.clear();
      pair.client.events.clear();
    }
    pair.world.run(kSecond);
    pair.server.events.clear();
    pair.client.events.clear();
  };
  churn(2000);
  const size_t before = heap_in_use();
  churn(20000);
  EXPECT_LT(heap_in_use(), before + (256 << 10));
  EXPECT_EQ(pair.server.host->stats().streams, 0u);
}

TEST(QuicHostile, AnApplicationThatTakesNoEventsLosesPacketsNotMemory) {
  Pair pair;
  const ConnectionId connection = pair.connect();
  pair.server.drained = false;
  const size_t heap = heap_in_use();
  for (int i = 0; i < 40000; ++i) {
    const auto stream = pair.client.host->open_stream(connection, kEcho);
    if (stream.ok()) {
      if (i % 4 == 0) pair.world.run(300);
      pair.client.host->reset(*stream);
    } else {
      pair.world.run(2000);
    }
    pair.client.events.clear();
    if (count_events<Disconnected>(pair.client) > 0) break;
  }
  EXPECT_LT(heap_in_use(), heap + (8 << 20));
  size_t events = 0;
  while (pair.server.host->next_event()) ++events;
  EXPECT_LE(events, net::kEventsMax + 1000);
  EXPECT_GT(events, 1000u);
}

}  // namespace
}  // namespace sereus::test
