// Swarms with real QUIC and TCP hosts on simulated networks.
#include "core/net/swarm.h"

#include <gtest/gtest.h>

#include "tests/support/net_pair.h"
#include "tests/support/swarm_world.h"

namespace sereus::net {
namespace {

using test::kEcho;
using test::kSecond;
using test::SwarmWorld;

class SwarmTest : public testing::Test {
 protected:
  SwarmWorld::Node& add(const SwarmSettings& settings = {}, const ResourceSettings& resources = {}) {
    SwarmWorld::Node& node = world.add(settings, resources);
    node.swarm->set_protocols({std::string(kEcho)});
    return node;
  }
  uint64_t dial(SwarmWorld::Node& from, const SwarmWorld::Node& to, const std::vector<std::string>& addresses) {
    const auto id = from.swarm->dial(to.swarm->peer_id(), addresses);
    EXPECT_TRUE(id.ok());
    return id.ok() ? *id : 0;
  }
  ConnectionId reach(SwarmWorld::Node& from, const SwarmWorld::Node& to, const std::vector<std::string>& addresses) {
    const uint64_t id = dial(from, to, addresses);
    const Reached* reached = nullptr;
    world.run(20 * kSecond, [&] { return (reached = answer<Reached>(from, id)) != nullptr; });
    return reached == nullptr ? 0 : reached->connection;
  }
  template <typename T>
  static const T* answer(const SwarmWorld::Node& node, uint64_t dial) {
    for (const SwarmNotice& notice : node.notices) {
      const T* found = std::get_if<T>(&notice);
      if (found != nullptr && found->dial == dial) return found;
    }
    return nullptr;
  }
  // Opens a stream and waits until both sides have it; the server's id.
  std::pair<StreamId, StreamId> open(SwarmWorld::Node& from, SwarmWorld::Node& to, ConnectionId connection) {
    const size_t before = to.events.size();
    const auto stream = from.swarm->open_stream(connection, kEcho);
    EXPECT_TRUE(stream.ok());
    if (!stream.ok()) return {0, 0};
    StreamId theirs = 0;
    world.run(kSecond, [&] {
      for (size_t i = before; i < to.events.size(); ++i) {
        const auto* opened = std::get_if<StreamOpened>(&to.events[i]);
        if (opened != nullptr && opened->incoming) theirs = opened->stream;
      }
      return theirs != 0;
    });
    return {*stream, theirs};
  }

  SwarmWorld world{1};
};

TEST_F(SwarmTest, QuicWinsTheRaceAndBothSidesIdentify) {
  auto& client = add();
  auto& server = add();
  world.listen(server);
  const ConnectionId connection = reach(client, server, {world.tcp_address(server), world.quic_address(server)});
  ASSERT_NE(connection, 0u);
  EXPECT_TRUE(client.event<Connected>()->address.ends_with("quic-v1"));
  EXPECT_EQ(client.event<Connected>()->dial, 1u);
  ASSERT_TRUE(world.run(kSecond, [&] { return client.notice<Identified>() && server.notice<Identified>(); }));
  EXPECT_EQ(client.notice<Identified>()->peer.said.listen_addresses.size(), 2u);
  EXPECT_EQ(client.notice<Identified>()->connection, connection);
  // The services' streams stay inside.
  EXPECT_EQ(client.count<StreamOpened>() + server.count<StreamOpened>(), 0u);
  ASSERT_TRUE(client.swarm->ping(connection).ok());
  ASSERT_TRUE(world.run(kSecond, [&] { return client.notice<Pinged>() != nullptr; }));
  EXPECT_GT(client.notice<Pinged>()->rtt_us, 0u);
}

TEST_F(SwarmTest, TcpWhenQuicIsBlocked) {
  auto& client = add();
  auto& server = add();
  world.listen(server);
  world.quic.link.cut = true;
  const uint64_t began = world.now().mono_us;
  ASSERT_NE(reach(client, server, {world.tcp_address(server), world.quic_address(server)}), 0u);
  EXPECT_TRUE(client.event<Connected>()->address.find("/tcp/") != std::string::npos);
  EXPECT_LT(world.now().mono_us - began, kDialDelayUs);  // 10.0.0.2 is of the own network
  // The loser was let go.
  world.run(kSecond);
  EXPECT_EQ(client.swarm->stats().connections, 1u);
  EXPECT_EQ(client.count<Connected>(), 1u);
}

TEST_F(SwarmTest, ALiveConnectionIsUsedAgain) {
  auto& client = add();
  auto& server = add();
  world.listen(server);
  const ConnectionId connection = reach(client, server, {world.quic_address(server)});
  const uint64_t again = dial(client, server, {});
  client.notices.clear();
  while (auto notice = client.swarm->next_notice()) client.notices.push_back(std::move(*notice));
  const Reached* reached = answer<Reached>(client, again);
  ASSERT_NE(reached, nullptr);  // without any step
  EXPECT_EQ(reached->connection, connection);
  EXPECT_TRUE(reached->reused);
}

TEST_F(SwarmTest, DialsAtOnceShareAnAttempt) {
  auto& client = add();
  auto& server = add();
  world.listen(server);
  const uint64_t first = dial(client, server, {world.quic_address(server)});
  const uint64_t second = dial(client, server, {world.tcp_address(server)});
  ASSERT_TRUE(world.run(kSecond, [&] { return answer<Reached>(client, first) && answer<Reached>(client, second); }));
  EXPECT_EQ(answer<Reached>(client, first)->connection, answer<Reached>(client, second)->connection);
  world.run(kSecond);
  EXPECT_EQ(client.count<Connected>(), 1u);
  EXPECT_EQ(server.swarm->stats().connections, 1u);
}

TEST_F(SwarmTest, NobodyThere) {
  auto& client = add();
  auto& server = add();
  const uint64_t id = dial(client, server, {world.quic_address(server), world.tcp_address(server)});
  ASSERT_TRUE(world.run(20 * kSecond, [&] { return answer<Unreached>(client, id) != nullptr; }));
  const Unreached& failed = *answer<Unreached>(client, id);
  EXPECT_EQ(failed.failures.size(), 2u);
  EXPECT_NE(failed.error.detail.find(world.tcp_address(server) + ": nobody listens there"), std::string::npos);
  // A moment later: not tried.
  const uint64_t again = dial(client, server, {world.quic_address(server)});
  ASSERT_TRUE(world.run(kSecond / 10, [&] { return answer<Unreached>(client, again) != nullptr; }));
  EXPECT_EQ(answer<Unreached>(client, again)->error.code, Code::again);
  // Unless the network is another.
  client.swarm->network_changed(world.now());
  world.listen(server);
  EXPECT_NE(reach(client, server, {world.quic_address(server)}), 0u);
}

TEST_F(SwarmTest, SimultaneousOpensLeaveTheSameConnectionOnBothSides) {
  for (const bool quic : {true, false}) {
    SwarmWorld both(quic ? 3 : 4);
    auto& a = both.add();
    auto& b = both.add();
    both.listen(a);
    both.listen(b);
    const auto address = [&](const SwarmWorld::Node& n) { return quic ? both.quic_address(n) : both.tcp_address(n); };
    const uint64_t of_a = *a.swarm->dial(b.swarm->peer_id(), {address(b)});
    const uint64_t of_b = *b.swarm->dial(a.swarm->peer_id(), {address(a)});
    ASSERT_TRUE(both.run(5 * kSecond, [&] { return answer<Reached>(a, of_a) && answer<Reached>(b, of_b); }));
    both.run(12 * kSecond);
    ASSERT_EQ(a.swarm->connections().size(), 1u) << quic;
    ASSERT_EQ(b.swarm->connections().size(), 1u) << quic;
    const bool a_is_smaller = a.swarm->peer_id() < b.swarm->peer_id();
    EXPECT_EQ(a.swarm->connections()[0].incoming, !a_is_smaller);
    EXPECT_EQ(b.swarm->connections()[0].incoming, a_is_smaller);
    EXPECT_EQ(a.swarm->connection_with(b.swarm->peer_id()), a.swarm->connections()[0].connection);
    // Whichever connection a dial was answered with, both know where it goes on.
    for (const auto& [node, dial] : {std::pair{&a, of_a}, {&b, of_b}}) {
      ConnectionId reached = answer<Reached>(*node, dial)->connection;
      for (const SwarmNotice& notice : node->notices) {
        const auto* superseded = std::get_if<Superseded>(&notice);
        if (superseded != nullptr && superseded->connection == reached) reached = superseded->by;
      }
      EXPECT_EQ(reached, node->swarm->connections()[0].connection) << quic;
    }
  }
}

TEST_F(SwarmTest, WhatIsForbiddenIsNeitherDialedNorListenedOn) {
  SwarmSettings settings;
  settings.policy.order = {TransportKind::tcp};
  auto& client = add(settings);
  auto& server = add();
  world.listen(server);
  EXPECT_EQ(client.swarm->listen("/ip4/10.0.0.1/udp/4001/quic-v1").code(), Code::denied);
  EXPECT_EQ(client.swarm->dial(world.quic_address(server), server.swarm->peer_id()).code(), Code::denied);
  const uint64_t id = dial(client, server, {world.quic_address(server)});
  ASSERT_TRUE(world.run(kSecond, [&] { return answer<Unreached>(client, id) != nullptr; }));
  EXPECT_EQ(answer<Unreached>(client, id)->error.code, Code::denied);
  ASSERT_NE(reach(client, server, {world.quic_address(server), world.tcp_address(server)}), 0u);
}

TEST_F(SwarmTest, OneAddressAsAHostDials) {
  auto& client = add();
  auto& server = add();
  world.listen(server);
  for (size_t n = 1; n <= 2; ++n) {
    const auto id = client.swarm->dial(world.tcp_address(server), server.swarm->peer_id());
    ASSERT_TRUE(id.ok());
    ASSERT_TRUE(world.run(kSecond, [&] { return client.count<Connected>() == n; }));
    EXPECT_EQ(std::get<Connected>(client.events.back()).dial, *id);
  }
  const auto by_name = client.swarm->dial("/dns4/server.example/tcp/4001", server.swarm->peer_id());
  ASSERT_TRUE(by_name.ok());
  world.run(kSecond / 10);
  client.resolver.answer(1, {*parse_ip("10.0.0.2", 0)});
  ASSERT_TRUE(world.run(kSecond, [&] { return client.count<Connected>() == 3; }));
  EXPECT_EQ(std::get<Connected>(client.events.back()).dial, *by_name);
}

TEST_F(SwarmTest, NewProtocolsAndAddressesArePushed) {
  auto& client = add();
  auto& server = add();
  world.listen(server);
  ASSERT_NE(reach(client, server, {world.quic_address(server)}), 0u);
  world.run(kSecond);
  client.notices.clear();
  server.swarm->set_protocols({"/new/1"});
  const auto pushed = [&] {
    const Identified* told = client.notice<Identified>();
    return told != nullptr && told->pushed ? told : nullptr;
  };
  ASSERT_TRUE(world.run(kSecond, [&] { return pushed() != nullptr; }));
  EXPECT_EQ(pushed()->peer.said.protocols.front(), "/new/1");
  client.notices.clear();
  ASSERT_TRUE(server.swarm->listen("/ip4/10.0.0.2/tcp/5001").ok());
  ASSERT_TRUE(world.run(2 * kSecond, [&] { return pushed() != nullptr; }));
  EXPECT_EQ(pushed()->peer.addresses().size(), 3u);
}

TEST_F(SwarmTest, StreamsAreLimitedAndGivenBack) {
  ResourceSettings resources;
  resources.protocol_peer[std::string(kEcho)] = {2, 100};
  auto& client = add();
  auto& server = add({}, resources);
  world.listen(server);
  const ConnectionId connection = reach(client, server, {world.quic_address(server)});
  const auto first = open(client, server, connection);
  ASSERT_NE(first.second, 0u);
  ASSERT_NE(open(client, server, connection).second, 0u);
  EXPECT_EQ(open(client, server, connection).second, 0u);  // the third is reset
  const Refused* refused = server.notice<Refused>();
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->reason, RefusalReason::streams_protocol_peer);
  EXPECT_EQ(refused->protocol, kEcho);
  EXPECT_EQ(refused->peer, client.swarm->peer_id());
  EXPECT_EQ(server.swarm->use().streams_in, 2u);
  // One that ends in order makes room.
  client.swarm->finish(first.first);
  world.run(kSecond / 10);
  std::array<uint8_t, 10> buffer;
  ASSERT_TRUE(server.swarm->read(first.second, buffer)->finished);
  server.swarm->finish(first.second);
  EXPECT_EQ(server.swarm->use().streams_in, 1u);
  EXPECT_NE(open(client, server, connection).second, 0u);
  client.swarm->disconnect(connection, Code::ok);
  world.run(kSecond);
  EXPECT_EQ(server.swarm->use().streams_in, 0u);
  EXPECT_EQ(server.swarm->use().connections, 0u);
  EXPECT_EQ(server.swarm->use().memory, 0u);
  EXPECT_EQ(client.swarm->use().memory, 0u);
}

TEST_F(SwarmTest, OwnStreamsAreLimited) {
  ResourceSettings resources;
  resources.streams_peer.out = 1;
  auto& client = add({}, resources);
  auto& server = add();
  world.listen(server);
  const ConnectionId connection = reach(client, server, {world.quic_address(server)});
  const auto stream = client.swarm->open_stream(connection, kEcho);
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(client.swarm->open_stream(connection, kEcho).code(), Code::again);
  client.swarm->reset(*stream);
  EXPECT_TRUE(client.swarm->open_stream(connection, kEcho).ok());
}

TEST_F(SwarmTest, ConnectionsOfAPeerAreLimited) {
  ResourceSettings resources;
  resources.connections_peer = 2;
  auto& client = add();
  auto& server = add({}, resources);
  world.listen(server);
  for (size_t n = 0; n < 4; ++n) {
    ASSERT_TRUE(client.swarm->dial(world.quic_address(server), server.swarm->peer_id()).ok());
    world.run(kSecond / 4);
  }
  EXPECT_EQ(server.count<Connected>(), 2u);
  EXPECT_EQ(server.swarm->use().connections, 2u);
  EXPECT_EQ(server.notice<Refused>()->reason, RefusalReason::connections_peer);
  EXPECT_EQ(client.swarm->connections().size(), 2u);
}

TEST_F(SwarmTest, HandshakesOfOneSourceAreLimitedOnBothTransports) {
  ResourceSettings resources;
  resources.handshakes_address_burst = 3;
  resources.handshakes_address_per_second = 1;
  auto& client = add();
  auto& server = add({}, resources);
  world.listen(server);
  for (size_t n = 0; n < 6; ++n) {
    const std::string address = n % 2 == 0 ? world.quic_address(server) : world.tcp_address(server);
    ASSERT_TRUE(client.swarm->dial(address, server.swarm->peer_id()).ok());
  }
  world.run(kSecond / 2);
  EXPECT_EQ(server.count<Connected>(), 3u);
  EXPECT_EQ(server.notice<Refused>()->reason, RefusalReason::handshake_address);
  EXPECT_EQ(server.notice<Refused>()->count, 1u);
  world.run(2 * kSecond);
  size_t refused = 0;
  size_t told = 0;
  for (const SwarmNotice& notice : server.notices) {
    if (const auto* r = std::get_if<Refused>(&notice)) refused += r->count, ++told;
  }
  EXPECT_EQ(refused, 3u);
  EXPECT_EQ(told, 2u);  // the first at once, the others together
}

TEST_F(SwarmTest, IdleConnectionsAreTrimmedAndProtectedOnesStay) {
  SwarmSettings settings;
  settings.connections.high_water = 2;
  settings.connections.low_water = 1;
  settings.connections.grace_us = 2 * kSecond;
  auto& server = add(settings);
  world.listen(server);
  // Trimming waits for the grace period, and for its interval.
  std::vector<SwarmWorld::Node*> clients;
  for (size_t n = 0; n < 3; ++n) {
    clients.push_back(&add());
    ASSERT_NE(reach(*clients.back(), server, {world.quic_address(server)}), 0u);
  }
  server.swarm->protect(clients[0]->swarm->peer_id(), "friend");
  world.run(15 * kSecond);
  ASSERT_EQ(server.swarm->connections().size(), 1u);
  EXPECT_EQ(server.swarm->connections()[0].peer, clients[0]->swarm->peer_id());
  EXPECT_EQ(server.notice<Trimmed>()->reason, TrimReason::high_water);
  EXPECT_EQ(server.count<Disconnected>(), 2u);
  EXPECT_TRUE(server.swarm->unprotect(clients[0]->swarm->peer_id(), "friend"));
  EXPECT_FALSE(server.swarm->unprotect(clients[0]->swarm->peer_id(), "friend"));
}

TEST_F(SwarmTest, ClosingAnswersEveryDial) {
  auto& client = add();
  auto& server = add();
  const uint64_t id = dial(client, server, {world.quic_address(server)});
  world.run(kSecond);
  client.swarm->close(world.now());
  world.run(kSecond / 10);
  ASSERT_NE(answer<Unreached>(client, id), nullptr);
  EXPECT_EQ(answer<Unreached>(client, id)->error.code, Code::closed);
  EXPECT_EQ(client.swarm->dial(server.swarm->peer_id(), {world.quic_address(server)}).code(), Code::closed);
}

}  // namespace
}  // namespace sereus::net
