// Limits of bandwidth: the buckets, and what really goes over the simulated networks.
#include "core/net/bandwidth.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/net_pair.h"
#include "tests/support/swarm_world.h"

namespace sereus::net {
namespace {

using test::kEcho;
using test::kSecond;
using test::SwarmWorld;

TEST(Bandwidth, WithoutALimitThereIsAlwaysRoom) {
  Bandwidth bandwidth;
  EXPECT_EQ(bandwidth.available(TransportKind::quic, Direction::up, {5, 0}), SIZE_MAX);
  bandwidth.spend(TransportKind::quic, Direction::up, 1 << 30, {5, 0});
  EXPECT_EQ(bandwidth.ready_at(TransportKind::quic, Direction::up, {5, 0}), 5u);
}

TEST(Bandwidth, TheRateIsMetToTheByte) {
  for (const uint64_t rate : {1'000u, 77'777u, 10'000'000u}) {
    BandwidthLimits limits;
    limits.transport[static_cast<size_t>(TransportKind::tcp)].up = rate;
    Bandwidth bandwidth(limits);
    Times now{1'000'000, 0};
    uint64_t sent = 0;
    while (now.mono_us < 21'000'000) {
      const size_t room = bandwidth.available(TransportKind::tcp, Direction::up, now);
      if (room == 0) {
        now.mono_us = bandwidth.ready_at(TransportKind::tcp, Direction::up, now);
        ASSERT_GT(bandwidth.available(TransportKind::tcp, Direction::up, now), 0u);  // the time it says is right
        continue;
      }
      bandwidth.spend(TransportKind::tcp, Direction::up, room, now);
      sent += room;
    }
    EXPECT_NEAR(static_cast<double>(sent), static_cast<double>(rate * 20), static_cast<double>(rate) / 10 + 6000);
  }
}

TEST(Bandwidth, TheTotalIsSharedAndDirectionsAreNot) {
  BandwidthLimits limits;
  limits.total.up = 100'000;
  Bandwidth bandwidth(limits);
  const Times now{1, 0};
  bandwidth.spend(TransportKind::tcp, Direction::up, 100'000, now);
  EXPECT_EQ(bandwidth.available(TransportKind::quic, Direction::up, now), 0u);
  EXPECT_EQ(bandwidth.available(TransportKind::quic, Direction::down, now), SIZE_MAX);
  EXPECT_EQ(bandwidth.rate(TransportKind::quic, Direction::up), 100'000u);
}

// --- over the networks

struct Case {
  TransportKind transport;
  Direction direction;  // as the limited side, which is the sender for `up`, sees it
  uint64_t rate;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << transport_name(c.transport) << (c.direction == Direction::up ? " up " : " down ") << c.rate;
}

class BandwidthNetTest : public testing::TestWithParam<Case> {
 protected:
  // The client sends without end on `streams`; the server reads all.
  void fill(SwarmWorld::Node& node, StreamId stream) {
    static const Bytes kData(64 << 10, 7);
    for (;;) {
      const auto taken = node.swarm->write(stream, kData);
      if (!taken.ok() || *taken < kData.size()) return;
    }
  }
  void drain(SwarmWorld::Node& node, StreamId stream) {
    Bytes buffer(64 << 10);
    for (;;) {
      const auto got = node.swarm->read(stream, buffer);
      if (!got.ok() || got->size == 0) return;
      received[stream] += got->size;
    }
  }
  uint64_t total() const {
    uint64_t sum = 0;
    for (const auto& [stream, bytes] : received) sum += bytes;
    return sum;
  }
  std::map<StreamId, uint64_t> received;
};

TEST_P(BandwidthNetTest, TheRateIsKeptAndConnectionsShareIt) {
  const Case& param = GetParam();
  SwarmWorld world(1);
  world.quic.link.delay_us = 10'000;
  BandwidthLimits limits;
  auto& rate = limits.transport[static_cast<size_t>(param.transport)];
  (param.direction == Direction::up ? rate.up : rate.down) = param.rate;
  const bool up = param.direction == Direction::up;
  auto& client = world.add({}, {}, up ? limits : BandwidthLimits());
  auto& server = world.add({}, {}, up ? BandwidthLimits() : limits);
  server.swarm->set_protocols({std::string(kEcho)});
  world.listen(server);
  const std::string address =
      param.transport == TransportKind::quic ? world.quic_address(server) : world.tcp_address(server);
  world.on_event = [&](SwarmWorld::Node& node, const HostEvent& event) {
    if (const auto* readable = std::get_if<StreamReadable>(&event); readable && &node == &server) {
      drain(node, readable->stream);
    }
    if (const auto* writable = std::get_if<StreamWritable>(&event)) fill(node, writable->stream);
  };
  for (size_t n = 1; n <= 3; ++n) {
    ASSERT_TRUE(client.swarm->dial(address, server.swarm->peer_id()).ok());
    ASSERT_TRUE(world.run(20 * kSecond, [&] { return client.count<Connected>() == n; }));
    const auto stream = client.swarm->open_stream(std::get<Connected>(client.events.back()).connection, kEcho);
    ASSERT_TRUE(stream.ok());
    fill(client, *stream);
  }
  world.run(4 * kSecond);  // what windows and buckets allowed at first
  const uint64_t before = total();
  const auto began = received;
  world.run(10 * kSecond);
  const double measured = static_cast<double>(total() - before) / 10;
  RecordProperty("bytes_per_second", std::to_string(measured));
  EXPECT_NEAR(measured, static_cast<double>(param.rate), static_cast<double>(param.rate) / 10);
  ASSERT_EQ(received.size(), 3u);
  for (const auto& [stream, bytes] : received) {
    const uint64_t had = began.contains(stream) ? began.at(stream) : 0;
    EXPECT_GT(static_cast<double>(bytes - had) / 10, static_cast<double>(param.rate) / 3 * 0.6);
  }
}

INSTANTIATE_TEST_SUITE_P(All, BandwidthNetTest,
                         testing::Values(Case{TransportKind::quic, Direction::up, 200'000},
                                         Case{TransportKind::quic, Direction::up, 2'000'000},
                                         Case{TransportKind::quic, Direction::down, 200'000},
                                         Case{TransportKind::quic, Direction::down, 2'000'000},
                                         Case{TransportKind::tcp, Direction::up, 200'000},
                                         Case{TransportKind::tcp, Direction::up, 2'000'000},
                                         Case{TransportKind::tcp, Direction::down, 200'000},
                                         Case{TransportKind::tcp, Direction::down, 2'000'000}));

}  // namespace
}  // namespace sereus::net
