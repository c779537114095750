// Relayed connections end to end: two hosts that nobody can dial, a relay between them, all on the simulated networks.
#include <gtest/gtest.h>

#include "tests/support/relay_world.h"

namespace sereus::net {
namespace {

constexpr uint64_t kSecond = kMicrosPerSecond;
using test::RelayWorld;
using Peer = RelayWorld::Peer;

class RelayCircuitTest : public testing::TestWithParam<bool> {
 protected:
  bool quic() const { return GetParam(); }
  // The target serves streams by hand; the first one is here.
  void serve(Peer& target) {
    target.node->services->set_protocols({std::string(RelayWorld::kEcho)});
    world.world.on_event = [this, &target](test::SwarmWorld::Node& node, const HostEvent& event) {
      const auto* opened = std::get_if<StreamOpened>(&event);
      if (&node == target.node && opened != nullptr && opened->incoming) incoming = opened->stream;
    };
  }
  StreamId open(Peer& from, ConnectionId connection) {
    const StreamId stream = from.swarm().open_stream(connection, RelayWorld::kEcho).value();
    EXPECT_TRUE(world.run(5 * kSecond, [&] { return incoming != 0; }));
    return stream;
  }

  RelayWorld world{7};
  Peer& relay = world.add_relay();
  Peer& listener = world.add_client();
  Peer& dialer = world.add_client(RelayWorld::passive());
  StreamId incoming = 0;
};

TEST_P(RelayCircuitTest, AReservationIsMadeAndTold) {
  ASSERT_TRUE(world.reserve(listener, relay, quic()));
  const auto* made = listener.event<ReservationMade>();
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->relay, relay.id());
  EXPECT_FALSE(made->renewed);
  EXPECT_EQ(made->life_us, kRelayReservationLifeUs);
  EXPECT_EQ(made->limit, (CircuitLimit{kRelayControlDurationUs, kRelayControlBytes}));
  const std::vector<std::string> expected = {
      world.world.quic_address(*relay.node) + "/p2p/" + relay.id().to_string() + "/p2p-circuit",
      world.world.tcp_address(*relay.node) + "/p2p/" + relay.id().to_string() + "/p2p-circuit"};
  EXPECT_EQ(listener.swarm().listen_addresses(), expected);
  const auto* granted = relay.serve_event<RelayServer::ReservationGranted>();
  ASSERT_NE(granted, nullptr);
  EXPECT_EQ(granted->peer, listener.id());
  // Identify pushes it, in the signed record, too.
  ASSERT_TRUE(world.run(5 * kSecond, [&] {
    for (const auto& notice : relay.node->notices) {
      const auto* identified = std::get_if<Identified>(&notice);
      if (identified == nullptr || !identified->peer.record) continue;
      if (identified->peer.record->addresses.size() == 2) return true;
    }
    return false;
  }));
}

TEST_P(RelayCircuitTest, CarriesDataBothWaysWithHalfClose) {
  ASSERT_TRUE(world.reserve(listener, relay, quic()));
  serve(listener);
  const ConnectionId connection = world.connect(dialer, world.circuit(relay, listener, quic()), listener.id());
  ASSERT_NE(connection, 0u) << world.failure.detail;
  const std::vector<ConnectionInfo> connections = dialer.swarm().connections();
  const auto at = std::find_if(connections.begin(), connections.end(),
                               [&](const ConnectionInfo& each) { return each.connection == connection; });
  ASSERT_NE(at, connections.end());
  EXPECT_EQ(at->peer, listener.id());
  EXPECT_EQ(at->address, world.address(relay, quic()) + "/p2p-circuit");
  ASSERT_TRUE(at->relayed);
  EXPECT_EQ(at->relayed->relay, relay.id());
  EXPECT_EQ(at->relayed->limit, (CircuitLimit{kRelayControlDurationUs, kRelayControlBytes}));
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return listener.swarm().connection_with(dialer.id()).has_value(); }));

  test::RawStream up{dialer.swarm(), open(dialer, connection)};
  test::RawStream down{listener.swarm(), incoming};
  const Bytes question(20'000, 3);
  const Bytes answer(30'000, 4);
  ASSERT_EQ(dialer.swarm().write(up.id, question).value(), question.size());
  dialer.swarm().finish(up.id);
  ASSERT_TRUE(world.run(5 * kSecond, [&] {
    down.read();
    return down.ended;
  }));
  EXPECT_EQ(down.received, question);
  // The other direction is open still.
  ASSERT_EQ(listener.swarm().write(down.id, answer).value(), answer.size());
  listener.swarm().finish(down.id);
  ASSERT_TRUE(world.run(5 * kSecond, [&] {
    up.read();
    return up.ended;
  }));
  EXPECT_EQ(up.received, answer);

  dialer.swarm().disconnect(connection, Code::ok);
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return !listener.swarm().connection_with(dialer.id()); }));
  const auto* gone = listener.node->event<Disconnected>();
  ASSERT_NE(gone, nullptr);
  EXPECT_EQ(gone->reason.code, Code::ok) << gone->reason.detail;
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return relay.server->stats().circuits == 0; }));
  EXPECT_EQ(relay.server->stats().ended[static_cast<size_t>(CircuitEnd::finished)], 1u);
}

TEST_P(RelayCircuitTest, AnotherPeerThanTheOneDialedIsRefused) {
  Peer& other = world.add_client();
  ASSERT_TRUE(world.reserve(listener, relay, quic()));
  ASSERT_TRUE(world.reserve(other, relay, quic()));
  // The address names nobody, and the relay is asked for `other` by the dial: the handshake proves who it is.
  EXPECT_NE(world.connect(dialer, world.address(relay, quic()) + "/p2p-circuit", other.id()), 0u);
  EXPECT_EQ(dialer.swarm().dial(world.circuit(relay, listener, quic()), other.id()).code(), Code::invalid);
}

TEST_P(RelayCircuitTest, ThereIsNoCircuitWithoutAReservation) {
  EXPECT_EQ(world.connect(dialer, world.circuit(relay, listener, quic()), listener.id()), 0u);
  EXPECT_EQ(world.failure.code, Code::unreachable);
  EXPECT_NE(world.failure.detail.find("no_reservation"), std::string::npos) << world.failure.detail;
  const auto* refused = dialer.event<CircuitRefused>();
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->status, CircuitStatus::no_reservation);
  EXPECT_EQ(refused->target, listener.id());
  EXPECT_EQ(relay.server->stats().refused[static_cast<size_t>(RelayRefusal::no_reservation)], 1u);
}

TEST_P(RelayCircuitTest, TheEndOfTheRelayEndsWhatItCarries) {
  ASSERT_TRUE(world.reserve(listener, relay, quic()));
  serve(listener);
  const ConnectionId connection = world.connect(dialer, world.circuit(relay, listener, quic()), listener.id());
  ASSERT_NE(connection, 0u);
  const StreamId stream = open(dialer, connection);
  ASSERT_TRUE(dialer.swarm().write(stream, Bytes(1000, 1)).ok());
  relay.swarm().close(world.world.now());
  ASSERT_TRUE(world.run(30 * kSecond, [&] {
    return dialer.node->count<Disconnected>() == 2 && listener.node->count<Disconnected>() == 2;
  }));
  EXPECT_EQ(dialer.node->count<StreamClosed>(), 1u);
  const auto* lost = listener.event<ReservationLost>();
  ASSERT_NE(lost, nullptr);
  EXPECT_EQ(lost->reason, ReservationLoss::disconnected);
  EXPECT_TRUE(listener.swarm().listen_addresses().empty());
}

INSTANTIATE_TEST_SUITE_P(Transports, RelayCircuitTest, testing::Values(true, false),
                         [](const auto& each) { return each.param ? "quic" : "tcp"; });

}  // namespace
}  // namespace sereus::net
