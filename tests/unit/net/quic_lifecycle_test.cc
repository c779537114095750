// Connections: how they begin, and every way they end.
#include <gtest/gtest.h>

#include "tests/support/bad_identities.h"
#include "tests/support/net_pair.h"

namespace sereus::test {
namespace {

using net::CertificateFields;
using net::CertificateKey;
using net::libp2p_extension;
using net::TlsIdentity;

TEST(QuicLifecycle, DialsAndProvesBothPeers) {
  Pair pair;
  ASSERT_NE(pair.connect(), 0u);
  const auto* at_client = find_event<Connected>(pair.client);
  const auto* at_server = find_event<Connected>(pair.server);
  ASSERT_TRUE(at_client && at_server);
  EXPECT_EQ(at_client->peer, pair.server.host->peer_id());
  EXPECT_EQ(at_server->peer, pair.client.host->peer_id());
  EXPECT_FALSE(at_client->incoming);
  EXPECT_TRUE(at_server->incoming);
  EXPECT_EQ(at_client->address, pair.address);
  EXPECT_EQ(pair.client.host->stats().connections, 1u);
  EXPECT_EQ(pair.server.host->listen_addresses(), std::vector<std::string>{pair.address});
}

TEST(QuicLifecycle, TheWrongPeerIsRefused) {
  Pair pair;
  const net::PeerId wrong = net::PeerId::from_device_key(NetWorld::key(99).device_key());
  const auto dial = pair.client.host->dial(pair.address, wrong);
  ASSERT_TRUE(dial.ok());
  ASSERT_TRUE(pair.world.run(5 * kSecond, [&] { return find_event<DialFailed>(pair.client); }));
  EXPECT_EQ(find_event<DialFailed>(pair.client)->dial, *dial);
  EXPECT_EQ(find_event<DialFailed>(pair.client)->error.code, Code::denied);
  pair.world.run(5 * kSecond);
  EXPECT_EQ(count_events<Connected>(pair.client) + count_events<Connected>(pair.server), 0u);
  // And an address that names another peer is not even tried.
  EXPECT_EQ(pair.client.host->dial(pair.address + "/p2p/" + wrong.to_string(), pair.server.host->peer_id()).code(),
            Code::invalid);
}

TEST(QuicLifecycle, AddressesThatCannotBeDialed) {
  Pair pair;
  const net::PeerId peer = pair.server.host->peer_id();
  EXPECT_EQ(pair.client.host->dial("/ip4/10.0.0.2/tcp/4001", peer).code(), Code::unsupported);
  EXPECT_EQ(pair.client.host->dial("/dns4/example.org/udp/4001/quic-v1", peer).code(), Code::unsupported);
  EXPECT_EQ(pair.client.host->dial("/ip4/10.0.0.2/udp/0/quic-v1", peer).code(), Code::invalid);
  EXPECT_EQ(pair.client.host->dial("nonsense", peer).code(), Code::malformed);
  EXPECT_EQ(pair.client.host->dial(pair.address, net::PeerId()).code(), Code::invalid);
  EXPECT_EQ(pair.client.host->listen("/ip4/10.0.0.1/tcp/1").code(), Code::unsupported);
}

TEST(QuicLifecycle, NobodyAnswers) {
  Pair pair;
  ASSERT_TRUE(pair.client.host->dial("/ip4/10.0.0.9/udp/4001/quic-v1", pair.server.host->peer_id()).ok());
  ASSERT_TRUE(pair.world.run(15 * kSecond, [&] { return find_event<DialFailed>(pair.client); }));
  EXPECT_EQ(find_event<DialFailed>(pair.client)->error.code, Code::timeout);
}

TEST(QuicLifecycle, TheNetworkSaysThatNobodyListens) {
  Pair pair;
  ASSERT_TRUE(pair.client.host->dial("/ip4/10.0.0.9/udp/4001/quic-v1", pair.server.host->peer_id()).ok());
  pair.world.run(kSecond / 10);
  pair.client.host->on_unreachable(pair.client.sockets.begin()->first, NetWorld::address(8, 4001));
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<DialFailed>(pair.client); }));
  EXPECT_EQ(find_event<DialFailed>(pair.client)->error.code, Code::unreachable);
  // It cannot end what is connected.
  pair.client.events.clear();
  ASSERT_NE(pair.connect(), 0u);
  pair.client.host->on_unreachable(pair.client.sockets.begin()->first, NetWorld::address(1, 4001));
  pair.world.run(kSecond);
  EXPECT_EQ(count_events<Disconnected>(pair.client), 0u);
}

TEST(QuicLifecycle, ReasonsTravel) {
  for (const Code reason : {Code::ok, Code::denied, Code::too_large, Code::pending}) {
    Pair pair;
    const ConnectionId connection = pair.connect();
    const StreamId stream = *pair.client.host->open_stream(connection, kEcho);
    ASSERT_TRUE(pair.client.host->write(stream, as_bytes("x")).ok());
    pair.world.run(kSecond);
    pair.client.host->disconnect(connection, reason);
    ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<Disconnected>(pair.server); }));
    EXPECT_EQ(find_event<Disconnected>(pair.server)->reason.code, reason);
    EXPECT_EQ(find_event<Disconnected>(pair.client)->reason.code, reason);
    // Streams are told first, on both sides.
    for (const auto* node : {&pair.client, &pair.server}) {
      size_t closed = SIZE_MAX;
      size_t gone = SIZE_MAX;
      for (size_t i = 0; i < node->events.size(); ++i) {
        if (std::holds_alternative<StreamClosed>(node->events[i])) closed = i;
        if (std::holds_alternative<Disconnected>(node->events[i])) gone = i;
      }
      EXPECT_LT(closed, gone);
    }
    EXPECT_EQ(pair.client.host->open_stream(connection, kEcho).code(), Code::closed);
    pair.client.host->disconnect(connection, Code::ok);  // no effect
    EXPECT_EQ(count_events<Disconnected>(pair.client), 1u);
  }
}

TEST(QuicLifecycle, CloseCodes) {
  EXPECT_EQ(net::close_code_of(Code::ok), 0u);
  EXPECT_EQ(net::reason_of_close_code(0).code, Code::ok);
  for (int32_t code = -1; code >= static_cast<int32_t>(Code::pending); --code) {
    EXPECT_EQ(net::reason_of_close_code(net::close_code_of(static_cast<Code>(code))).code, static_cast<Code>(code));
  }
  for (const uint64_t strange : {uint64_t{1}, net::kCloseCodeBase, net::kCloseCodeBase + 1000, UINT64_MAX}) {
    EXPECT_EQ(net::reason_of_close_code(strange).code, Code::closed);
  }
}

TEST(QuicLifecycle, KeepAliveKeepsAnIdleConnection) {
  Pair pair;
  ASSERT_NE(pair.connect(), 0u);
  pair.world.run(120 * kSecond);
  EXPECT_EQ(count_events<Disconnected>(pair.client) + count_events<Disconnected>(pair.server), 0u);
  EXPECT_LT(pair.world.datagrams, 300u);
}

TEST(QuicLifecycle, WithoutKeepAliveAnIdleConnectionEnds) {
  QuicSettings settings;
  settings.keep_alive_us = 0;
  Pair pair(1, settings, settings);
  ASSERT_NE(pair.connect(), 0u);
  const uint64_t from = pair.world.now_us;
  ASSERT_TRUE(pair.world.run(
      30 * kSecond, [&] { return find_event<Disconnected>(pair.client) && find_event<Disconnected>(pair.server); }));
  EXPECT_EQ(find_event<Disconnected>(pair.client)->reason.code, Code::timeout);
  EXPECT_GE(pair.world.now_us - from, 9 * kSecond);
  EXPECT_LE(pair.world.now_us - from, 12 * kSecond);
}

TEST(QuicLifecycle, APeerThatVanishesIsNoticed) {
  Pair pair;
  ASSERT_NE(pair.connect(), 0u);
  pair.server.frozen = true;
  ASSERT_TRUE(pair.world.run(30 * kSecond, [&] { return find_event<Disconnected>(pair.client); }));
  EXPECT_EQ(find_event<Disconnected>(pair.client)->reason.code, Code::timeout);
}

TEST(QuicLifecycle, APeerThatForgotAnswersWithAStatelessReset) {
  Pair pair;
  const ConnectionId connection = pair.connect();
  pair.world.run(kSecond);
  // The server's process dies and comes back with the same key and address.
  pair.world.link.cut = true;
  pair.server.host.reset();
  pair.world.link.cut = false;
  pair.server.host =
      net::QuicHost::create(*pair.server.key, *pair.server.datagrams, *pair.server.random, nullptr).value();
  ASSERT_EQ(pair.world.listen(pair.server), pair.address);
  const StreamId stream = *pair.client.host->open_stream(connection, kEcho);
  ASSERT_TRUE(pair.client.host->write(stream, as_bytes("are you there?")).ok());
  const uint64_t from = pair.world.now_us;
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<Disconnected>(pair.client); }));
  EXPECT_LT(pair.world.now_us - from, kSecond / 10);
  EXPECT_EQ(find_event<Disconnected>(pair.client)->reason.code, Code::closed);
}

TEST(QuicLifecycle, CloseIsPoliteAndFinal) {
  Pair pair;
  ASSERT_NE(pair.connect(), 0u);
  ASSERT_TRUE(pair.client.host->dial("/ip4/10.0.0.9/udp/4001/quic-v1", pair.server.host->peer_id()).ok());
  pair.client.host->close(pair.world.now());
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<Disconnected>(pair.server); }));
  EXPECT_EQ(find_event<Disconnected>(pair.server)->reason.code, Code::ok);
  EXPECT_EQ(find_event<DialFailed>(pair.client)->error.code, Code::closed);
  EXPECT_EQ(pair.client.host->dial(pair.address, pair.server.host->peer_id()).code(), Code::closed);
  EXPECT_EQ(pair.client.host->listen("/ip4/10.0.0.1/udp/1/quic-v1").code(), Code::closed);
  pair.world.run(10 * kSecond);
  EXPECT_EQ(pair.client.host->step(pair.world.now()), kNever);
}

TEST(QuicLifecycle, TheClosePacketIsRepeatedToAPeerThatGoesOn) {
  Pair pair;
  pair.client.host->set_protocols({std::string(kEcho)});
  const ConnectionId connection = pair.connect();
  const StreamId stream = *pair.server.host->open_stream(find_event<Connected>(pair.server)->connection, kEcho);
  pair.world.run(kSecond);
  pair.client.host->disconnect(connection, Code::denied);
  pair.world.link.cut = true;  // the close packet is lost
  pair.world.run(kSecond / 1000);
  pair.world.link.cut = false;
  (void)pair.server.host->write(stream, as_bytes("still here"));
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<Disconnected>(pair.server); }));
  EXPECT_EQ(find_event<Disconnected>(pair.server)->reason.code, Code::denied);
}

TEST(QuicLifecycle, NatRebindingIsFollowed) {
  Pair pair(3);
  const ConnectionId connection = pair.connect();
  Echo echo(pair.server);
  pair.world.on_event = [&](NetWorld::Node& node, const HostEvent& event) {
    if (&node == &pair.server) echo.on_event(event);
  };
  Transfer before(pair.client, *pair.client.host->open_stream(connection, kEcho), pattern(100000, 1));
  ASSERT_TRUE(pair.world.run(10 * kSecond, [&] { return before.pump(), before.done; }));
  // The NAT gives the client another port: datagrams leave from, and arrive for, 50000.
  pair.client.sockets.begin()->second.port = 50000;
  Transfer after(pair.client, *pair.client.host->open_stream(connection, kEcho), pattern(100000, 2));
  ASSERT_TRUE(pair.world.run(10 * kSecond, [&] { return after.pump(), after.done; }));
  EXPECT_TRUE(after.received == after.data);
  EXPECT_EQ(count_events<Disconnected>(pair.client) + count_events<Disconnected>(pair.server), 0u);
}

// --- certificates that must not pass, presented by either side ---

TEST(QuicLifecycle, BadServerCertificatesAreRefused) {
  for (const BadIdentity& bad : bad_identities(2)) {
    NetWorld world(1);
    auto& client = world.add();
    auto& server = world.add({}, &bad.identity);
    const std::string address = world.listen(server);
    ASSERT_TRUE(client.host->dial(address, server.host->peer_id()).ok());
    ASSERT_TRUE(world.run(20 * kSecond, [&] { return find_event<DialFailed>(client); })) << bad.name;
    EXPECT_EQ(find_event<DialFailed>(client)->error.code, bad.code)
        << bad.name << ": " << find_event<DialFailed>(client)->error.detail;
    EXPECT_EQ(count_events<Connected>(server), 0u) << bad.name;
  }
}

TEST(QuicLifecycle, BadClientCertificatesAreRefused) {
  for (const BadIdentity& bad : bad_identities(1)) {
    NetWorld world(1);
    auto& client = world.add({}, &bad.identity);
    auto& server = world.add();
    const std::string address = world.listen(server);
    ASSERT_TRUE(client.host->dial(address, server.host->peer_id()).ok());
    // TLS 1.3: the client is done before the server has seen its certificate, and hears of the refusal after.
    ASSERT_TRUE(world.run(20 * kSecond, [&] {
      return find_event<Disconnected>(client) || find_event<DialFailed>(client);
    })) << bad.name;
    EXPECT_EQ(count_events<Connected>(server), 0u) << bad.name;
    EXPECT_EQ(server.host->stats().connections, 0u);
  }
}

TEST(QuicLifecycle, AnUnknownCriticalExtensionIsRefusedAndACriticalLibp2pOneIsNot) {
  SeededRandom random(5);
  const auto dial = [&](bool ours_critical, bool other_critical) {
    CertificateKey key = CertificateKey::generate(random).value();
    CertificateFields fields;
    fields.extensions.push_back(libp2p_extension(NetWorld::key(2), key.public_key_info()));
    fields.extensions[0].critical = ours_critical;
    fields.extensions.push_back({{0x2b, 0x06, 0x01, 0x04, 0x01, 0x01}, other_critical, {0x05, 0x00}});
    const TlsIdentity identity = identity_with(fields, std::move(key), random);
    NetWorld world(1);
    auto& client = world.add();
    auto& server = world.add({}, &identity);
    const std::string address = world.listen(server);
    EXPECT_TRUE(client.host->dial(address, server.host->peer_id()).ok());
    world.run(20 * kSecond, [&] { return find_event<Connected>(client) || find_event<DialFailed>(client); });
    return find_event<Connected>(client) ? Code::ok : find_event<DialFailed>(client)->error.code;
  };
  EXPECT_EQ(dial(false, false), Code::ok);
  EXPECT_EQ(dial(true, false), Code::ok);
  EXPECT_EQ(dial(true, true), Code::unsupported);
}

TEST(QuicLifecycle, ASuspectClockDoesNotStopTheNode) {
  for (const int64_t wall : {int64_t{0}, int64_t{2'524'608'000'000'000}}) {  // 1970 and 2050
    QuicSettings suspect;
    suspect.clock_suspect = true;
    Pair pair(1, suspect, suspect);
    pair.world.wall_us = wall;
    EXPECT_NE(pair.connect(), 0u);
  }
}

}  // namespace
}  // namespace sereus::test
