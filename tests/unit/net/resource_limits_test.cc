// The limits on their own: what is refused, why, how it is told, and that everything is given back.
#include "core/net/resource_limits.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/net_world.h"

namespace sereus::net {
namespace {

constexpr uint64_t kSecond = kMicrosPerSecond;
constexpr std::string_view kA = "/a/1";
constexpr std::string_view kB = "/b/1";

PeerId peer(uint8_t n) { return PeerId::from_device_key(test::NetWorld::key(n).device_key()); }
IpEndpoint ip(std::string_view text) { return *parse_ip(text, 4001); }

class ResourceLimitsTest : public testing::Test {
 protected:
  void use(const ResourceSettings& settings) { limits.set_settings(settings); }
  bool admit(std::string_view from, TransportKind transport = TransportKind::quic) {
    return limits.admit(transport, ip(from), now);
  }
  size_t admit_many(std::string_view from, size_t count) {
    size_t out = 0;
    for (size_t i = 0; i < count; ++i) out += admit(from) ? 1 : 0;
    return out;
  }
  std::optional<RefusalReason> connect(uint8_t n) { return limits.add_connection(peer(n), "/ip4/10.0.0.9", true, now); }
  std::optional<RefusalReason> open(uint8_t n, std::string_view protocol, bool incoming = true) {
    return limits.add_stream(peer(n), protocol, incoming, now);
  }
  std::vector<Refused> told() {
    limits.step(now);
    std::vector<Refused> out;
    while (auto refused = limits.next_refused()) out.push_back(*refused);
    return out;
  }

  ResourceLimits limits;
  Times now{10 * kSecond, 0};
};

// ---- Handshakes

TEST_F(ResourceLimitsTest, ASourceHasItsBurstAndThenItsRate) {
  ResourceSettings settings;
  settings.handshakes_address_burst = 5;
  settings.handshakes_address_per_second = 2;
  use(settings);
  EXPECT_EQ(admit_many("10.0.0.1", 20), 5u);
  EXPECT_TRUE(admit("10.0.0.2"));  // another one is not touched
  now.mono_us += 3 * kSecond;
  EXPECT_EQ(admit_many("10.0.0.1", 20), 5u);  // no more than the burst is saved up
  now.mono_us += kSecond;
  EXPECT_EQ(admit_many("10.0.0.1", 20), 2u);
  const auto refusals = told();
  ASSERT_FALSE(refusals.empty());
  EXPECT_EQ(refusals[0].reason, RefusalReason::handshake_address);
  EXPECT_EQ(refusals[0].address, "/ip4/10.0.0.1/udp/4001/quic-v1");
}

TEST_F(ResourceLimitsTest, ASourceOfIpv6IsItsNetworkOf64Bits) {
  ResourceSettings settings;
  settings.handshakes_address_burst = 2;
  settings.handshakes_address_per_second = 0;
  use(settings);
  EXPECT_TRUE(admit("2001:db8:0:1::1"));
  EXPECT_TRUE(admit("2001:db8:0:1:ffff::2"));
  EXPECT_FALSE(admit("2001:db8:0:1::3"));
  EXPECT_TRUE(admit("2001:db8:0:2::1"));
  // IPv4 addresses mapped into IPv6 are sources of their own, the same as without.
  EXPECT_TRUE(admit("::ffff:10.0.0.1"));
  EXPECT_TRUE(admit("10.0.0.1"));
  EXPECT_FALSE(admit("::ffff:10.0.0.1"));
  EXPECT_TRUE(admit("::ffff:10.0.0.2"));
}

TEST_F(ResourceLimitsTest, LoopbackIsNoSourceAndTheTotalHolds) {
  ResourceSettings settings;
  settings.handshakes_address_burst = 1;
  settings.handshakes_address_per_second = 0;
  settings.handshakes_burst = 30;
  settings.handshakes_per_second = 10;
  use(settings);
  EXPECT_EQ(admit_many("127.0.0.1", 10) + admit_many("127.8.9.1", 5), 15u);
  EXPECT_EQ(admit_many("::1", 10) + admit_many("::ffff:127.0.0.1", 5), 15u);
  EXPECT_FALSE(admit("127.0.0.1"));
  const auto refusals = told();
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::handshake_rate);
  now.mono_us += kSecond;
  EXPECT_EQ(admit_many("::1", 20), 10u);
}

TEST_F(ResourceLimitsTest, TheRateOfAllHoldsOverManySources) {
  ResourceSettings settings;
  settings.handshakes_burst = 10;
  settings.handshakes_per_second = 4;
  use(settings);
  size_t admitted = 0;
  for (size_t n = 0; n < 100; ++n) admitted += admit("10.0.0." + std::to_string(n)) ? 1 : 0;
  EXPECT_EQ(admitted, 10u);
  now.mono_us += kSecond;
  for (size_t n = 100; n < 200; ++n) admitted += admit("10.0.0." + std::to_string(n)) ? 1 : 0;
  EXPECT_EQ(admitted, 14u);
}

TEST_F(ResourceLimitsTest, ASourceThatAsksTooOftenTakesNothingFromTheOthers) {
  ResourceSettings settings;
  settings.handshakes_burst = 10;
  settings.handshakes_per_second = 0;
  settings.handshakes_address_burst = 2;
  settings.handshakes_address_per_second = 0;
  use(settings);
  EXPECT_EQ(admit_many("10.0.0.1", 1000), 2u);
  for (size_t n = 2; n < 10; ++n) EXPECT_TRUE(admit("10.0.0." + std::to_string(n)));
  EXPECT_FALSE(admit("10.0.0.99"));
}

TEST_F(ResourceLimitsTest, SourcesAreRememberedInBounds) {
  ResourceSettings settings;
  settings.handshakes_burst = 1 << 20;
  settings.handshakes_address_burst = 1;
  settings.handshakes_address_per_second = 0;
  use(settings);
  IpEndpoint source = ip("10.0.0.0");
  for (size_t n = 0; n <= kHandshakeSourcesMax; ++n) {
    source.address = {10, static_cast<uint8_t>(n >> 16), static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n)};
    ASSERT_TRUE(limits.admit(TransportKind::tcp, source, now));
  }
  EXPECT_TRUE(admit("10.0.0.0"));   // the oldest was forgotten
  EXPECT_FALSE(admit("10.0.0.9"));  // a later one was not
}

TEST_F(ResourceLimitsTest, AddressesSayWhichTransport) {
  ResourceSettings settings;
  settings.handshakes_address_burst = 0;
  settings.handshakes_address_per_second = 0;
  for (const auto& [transport, address] : {std::pair{TransportKind::quic, "/ip4/10.0.0.1/udp/4001/quic-v1"},
                                           {TransportKind::tcp, "/ip4/10.0.0.1/tcp/4001"},
                                           {TransportKind::ws, "/ip4/10.0.0.1/tcp/4001/ws"},
                                           {TransportKind::wss, "/ip4/10.0.0.1/tcp/4001/tls/ws"}}) {
    limits = ResourceLimits(settings);
    EXPECT_FALSE(admit("10.0.0.1", transport));
    const auto refusals = told();
    ASSERT_EQ(refusals.size(), 1u);
    EXPECT_EQ(refusals[0].address, address);
  }
}

// ---- Connections

TEST_F(ResourceLimitsTest, ConnectionsInAllAndOfAPeer) {
  ResourceSettings settings;
  settings.connections = 3;
  settings.connections_peer = 2;
  use(settings);
  EXPECT_EQ(connect(1), std::nullopt);
  EXPECT_EQ(connect(1), std::nullopt);
  EXPECT_EQ(connect(1), RefusalReason::connections_peer);
  EXPECT_EQ(connect(2), std::nullopt);
  EXPECT_EQ(connect(3), RefusalReason::connections_total);
  EXPECT_FALSE(admit("10.0.0.1"));  // before the handshake, too
  limits.remove_connection(peer(1));
  EXPECT_TRUE(admit("10.0.0.1"));
  EXPECT_EQ(connect(3), std::nullopt);
  EXPECT_EQ(limits.use().connections, 3u);
  for (const uint8_t n : {1, 2, 3}) limits.remove_connection(peer(n));
  EXPECT_EQ(limits.use().connections, 0u);
  EXPECT_EQ(limits.use().memory, 0u);
  limits.remove_connection(peer(1));  // one too many changes nothing
  EXPECT_EQ(limits.use().connections, 0u);
}

TEST_F(ResourceLimitsTest, NoneAtAll) {
  ResourceSettings settings;
  settings.connections = 0;
  use(settings);
  EXPECT_FALSE(admit("127.0.0.1"));
  EXPECT_EQ(connect(1), RefusalReason::connections_total);
}

// ---- Streams

TEST_F(ResourceLimitsTest, StreamsOfEachLevel) {
  struct Case {
    RefusalReason reason;
    ResourceSettings settings;
  };
  std::vector<Case> cases(5);
  cases[0].reason = RefusalReason::streams_total;
  cases[0].settings.streams.in = 2;
  cases[1].reason = RefusalReason::streams_peer;
  cases[1].settings.streams_peer.in = 2;
  cases[2].reason = RefusalReason::streams_protocol;
  cases[2].settings.streams_protocol.in = 2;
  cases[3].reason = RefusalReason::streams_protocol_peer;
  cases[3].settings.streams_protocol_peer.in = 2;
  cases[4].reason = RefusalReason::streams_protocol_peer;
  cases[4].settings.protocol_peer[std::string(kA)] = {2, 9};
  for (const Case& c : cases) {
    limits = ResourceLimits(c.settings);
    ASSERT_EQ(connect(1), std::nullopt);
    EXPECT_EQ(open(1, kA), std::nullopt);
    EXPECT_EQ(open(1, kA), std::nullopt);
    EXPECT_EQ(open(1, kA), c.reason) << refusal_name(c.reason);
    EXPECT_EQ(open(1, kA, false), std::nullopt);  // the other direction has its own
    // Whom it does not concern: another protocol, another peer.
    using enum RefusalReason;
    EXPECT_EQ(open(1, kB).has_value(), c.reason == streams_total || c.reason == streams_peer);
    EXPECT_EQ(open(2, kA).has_value(), c.reason == streams_total || c.reason == streams_protocol);
    limits.remove_stream(peer(1), kA, true);
    limits.remove_stream(peer(1), kA, true);
    EXPECT_EQ(open(1, kA), std::nullopt) << refusal_name(c.reason);
  }
}

TEST_F(ResourceLimitsTest, StreamsAreGivenBack) {
  ASSERT_EQ(connect(1), std::nullopt);
  for (const bool incoming : {true, false}) {
    ASSERT_EQ(open(1, kA, incoming), std::nullopt);
    ASSERT_EQ(open(1, kB, incoming), std::nullopt);
  }
  EXPECT_EQ(limits.use().streams_in, 2u);
  EXPECT_EQ(limits.use(peer(1)).streams_out, 2u);
  for (const bool incoming : {true, false}) {
    limits.remove_stream(peer(1), kA, incoming);
    limits.remove_stream(peer(1), kA, incoming);  // one too many changes nothing
    limits.remove_stream(peer(1), kB, incoming);
  }
  limits.remove_connection(peer(1));
  EXPECT_EQ(limits.use().streams_in + limits.use().streams_out, 0u);
  EXPECT_EQ(limits.use().memory, 0u);
  EXPECT_EQ(limits.use(peer(1)).memory, 0u);
}

// ---- Memory that is reserved

TEST_F(ResourceLimitsTest, MemoryOfConnectionsAndStreamsIsReserved) {
  ResourceSettings settings;
  settings.memory = 3 * kConnectionMemory + kStreamMemory;
  settings.memory_peer = 2 * kConnectionMemory + kStreamMemory - 1;
  use(settings);
  EXPECT_EQ(connect(1), std::nullopt);
  EXPECT_EQ(connect(1), std::nullopt);
  EXPECT_EQ(connect(1), RefusalReason::memory_peer);
  EXPECT_EQ(open(1, kA), RefusalReason::memory_peer);
  EXPECT_EQ(connect(2), std::nullopt);
  EXPECT_EQ(open(2, kA), std::nullopt);
  EXPECT_EQ(open(2, kA), RefusalReason::memory_total);
  EXPECT_EQ(connect(3), RefusalReason::memory_total);
  EXPECT_FALSE(admit("10.0.0.1"));
  EXPECT_EQ(limits.use().memory, settings.memory);
}

// ---- Memory in buffers

TEST_F(ResourceLimitsTest, BuffersCountAsMemoryAndReplaceWhatWasMeasuredBefore) {
  ASSERT_EQ(connect(1), std::nullopt);
  ASSERT_EQ(connect(2), std::nullopt);
  limits.set_buffered(peer(1), 1000);
  limits.set_buffered(peer(2), 500);
  limits.set_buffered(peer(1), 200);
  limits.set_buffered(peer(9), 7000);  // nobody
  EXPECT_EQ(limits.use().memory, 2 * kConnectionMemory + 700);
  EXPECT_EQ(limits.use(peer(1)).memory, kConnectionMemory + 200);
  EXPECT_EQ(limits.use(peer(9)).memory, 0u);
  limits.remove_connection(peer(1));  // with what it had in buffers
  EXPECT_EQ(limits.use().memory, kConnectionMemory + 500);
  limits.remove_connection(peer(2));
  EXPECT_EQ(limits.use().memory, 0u);
}

TEST_F(ResourceLimitsTest, WhoHoldsTooMuchIsNamed) {
  ResourceSettings settings;
  settings.memory = 1 << 20;
  settings.memory_peer = 512 << 10;
  use(settings);
  for (const uint8_t n : {1, 2, 3}) ASSERT_EQ(connect(n), std::nullopt);
  EXPECT_FALSE(limits.excess());
  limits.set_buffered(peer(2), settings.memory_peer - kConnectionMemory);
  EXPECT_FALSE(limits.excess());  // at the limit is not above it
  EXPECT_TRUE(limits.memory_is_tight());
  limits.set_buffered(peer(2), settings.memory_peer - kConnectionMemory + 1);
  ASSERT_TRUE(limits.excess());
  EXPECT_EQ(limits.excess()->peer, peer(2));
  EXPECT_EQ(limits.excess()->reason, RefusalReason::memory_peer);
  // In all it is the one that has most.
  limits.set_buffered(peer(1), 300 << 10);
  limits.set_buffered(peer(2), 301 << 10);
  limits.set_buffered(peer(3), 250 << 10);
  ASSERT_TRUE(limits.excess());
  EXPECT_EQ(limits.excess()->peer, peer(2));
  EXPECT_EQ(limits.excess()->reason, RefusalReason::memory_total);
  // What is full refuses what is new.
  EXPECT_EQ(connect(4), RefusalReason::memory_total);
  EXPECT_EQ(open(1, kA), RefusalReason::memory_total);
  EXPECT_FALSE(admit("127.0.0.1"));
  limits.on_ended_for(*limits.excess(), true, "/ip4/10.0.0.9", kA, now);
  limits.set_buffered(peer(2), 0);
  EXPECT_FALSE(limits.excess());
  bool told_of_it = false;
  for (const Refused& refused : told()) {
    told_of_it = told_of_it || (refused.reason == RefusalReason::memory_total && refused.count >= 1);
  }
  EXPECT_TRUE(told_of_it);
}

TEST_F(ResourceLimitsTest, ReservesAloneEndNothing) {
  ASSERT_EQ(connect(1), std::nullopt);
  ResourceSettings settings;
  settings.memory = settings.memory_peer = 1;
  use(settings);
  EXPECT_FALSE(limits.excess());
}

// ---- Telling

TEST_F(ResourceLimitsTest, AlikeRefusalsAreToldTogether) {
  ResourceSettings settings;
  settings.connections_peer = 0;
  use(settings);
  for (uint8_t n = 1; n <= 10; ++n) EXPECT_EQ(connect(n), RefusalReason::connections_peer);
  auto refusals = told();
  ASSERT_EQ(refusals.size(), 1u);  // the first at once
  EXPECT_EQ(refusals[0].count, 1u);
  EXPECT_EQ(refusals[0].peer, peer(1));
  now.mono_us += kRefusedIntervalUs;
  refusals = told();
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].count, 9u);
  EXPECT_EQ(refusals[0].peer, peer(2));  // of the first of them
  now.mono_us += kRefusedIntervalUs;
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(limits.step(now), kNever);
}

TEST_F(ResourceLimitsTest, HalfOpenRefusalsOfATransportAreTold) {
  limits.on_half_open_refused(TransportKind::ws, ip("10.0.0.7"), now);
  const auto refusals = told();
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].reason, RefusalReason::half_open);
  EXPECT_EQ(refusals[0].address, "/ip4/10.0.0.7/tcp/4001/ws");
}

TEST_F(ResourceLimitsTest, NewSettingsHoldForWhatComes) {
  ASSERT_EQ(connect(1), std::nullopt);
  ASSERT_EQ(connect(1), std::nullopt);
  ResourceSettings settings;
  settings.connections_peer = 1;
  settings.handshakes_address_burst = 1;
  use(settings);
  EXPECT_EQ(limits.use().connections, 2u);
  EXPECT_EQ(connect(1), RefusalReason::connections_peer);
  EXPECT_EQ(admit_many("10.0.0.1", 3), 1u);
}

}  // namespace
}  // namespace sereus::net
