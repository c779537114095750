// The relay client: reservations that are renewed, lost and made again, on the better relays; and what hostile relays say.
#include "core/net/relay_client.h"

#include <gtest/gtest.h>

#include "core/net/delimited.h"
#include "tests/support/relay_world.h"

namespace sereus::net {
namespace {

constexpr uint64_t kSecond = kMicrosPerSecond;
using test::RawStream;
using test::RelayWorld;
using Peer = RelayWorld::Peer;

class RelayClientTest : public testing::Test {
 protected:
  size_t reserved(Peer& client) const {
    size_t out = 0;
    for (const auto& peer : world.peers) out += client.client->reserved(peer->id()) ? 1 : 0;
    return out;
  }
  template <typename T>
  size_t count(Peer& client) {
    (void)client.event<T>();
    return static_cast<size_t>(std::count_if(client.told.begin(), client.told.end(),
                                             [](const auto& event) { return std::holds_alternative<T>(event); }));
  }
  void drop_connection(Peer& client, Peer& relay) {
    relay.swarm().disconnect(*relay.swarm().connection_with(client.id()), Code::ok);
  }

  RelayWorld world{5};
};

TEST_F(RelayClientTest, ReservationsAreRenewedBetweenHalfAndThreeQuartersOfTheirLife) {
  RelayServerSettings settings = RelayWorld::local();
  settings.reservation_life_us = 100 * kSecond;
  Peer& relay = world.add_relay(settings);
  Peer& client = world.add_client();
  ASSERT_TRUE(world.reserve(client, relay));
  world.settle(48 * kSecond);
  EXPECT_EQ(relay.server->stats().renewed, 0u);
  world.settle(30 * kSecond);
  EXPECT_EQ(relay.server->stats().renewed, 1u);
  EXPECT_TRUE(client.event<ReservationMade>()->renewed);
  world.settle(400 * kSecond);
  EXPECT_GE(relay.server->stats().renewed, 5u);
  EXPECT_EQ(count<ReservationLost>(client), 0u);
}

TEST_F(RelayClientTest, ALostReservationIsToldAndMadeAgain) {
  Peer& relay = world.add_relay();
  Peer& client = world.add_client();
  ASSERT_TRUE(world.reserve(client, relay));
  for (size_t round = 1; round <= 3; ++round) {
    drop_connection(client, relay);
    ASSERT_TRUE(world.run(5 * kSecond, [&] { return count<ReservationLost>(client) == round; }));
    EXPECT_TRUE(client.swarm().listen_addresses().empty());
    ASSERT_TRUE(world.run(10 * kSecond, [&] { return client.client->reserved(relay.id()); }));
    EXPECT_EQ(client.swarm().listen_addresses().size(), 2u);
  }
  EXPECT_EQ(count<ReservationMade>(client), 4u);
}

TEST_F(RelayClientTest, RelaysAreLearntFromIdentifyAndTwoAreKept) {
  for (int i = 0; i < 4; ++i) world.add_relay();
  Peer& client = world.add_client();
  for (const auto& peer : world.peers) {
    if (!peer->server) continue;
    EXPECT_NE(world.connect(client, world.address(*peer), peer->id()), 0u);
  }
  ASSERT_TRUE(world.run(20 * kSecond, [&] { return reserved(client) == 2; }));
  world.settle(60 * kSecond);
  EXPECT_EQ(reserved(client), 2u);
  // When one goes, a third takes its place.
  Peer* gone = nullptr;
  for (const auto& peer : world.peers) {
    if (client.client->reserved(peer->id())) gone = peer.get();
  }
  ASSERT_NE(gone, nullptr);
  gone->swarm().close(world.world.now());
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return reserved(client) == 1; }));
  ASSERT_TRUE(world.run(20 * kSecond, [&] { return reserved(client) == 2; }));
  EXPECT_FALSE(client.client->reserved(gone->id()));
  // Nobody else's are asked for when none are wanted.
  Peer& passive = world.add_client(RelayWorld::passive());
  Peer* other = world.peers[0].get() == gone ? world.peers[1].get() : world.peers[0].get();
  EXPECT_NE(world.connect(passive, world.address(*other), other->id()), 0u);
  world.settle(10 * kSecond);
  EXPECT_EQ(reserved(passive), 0u);
}

TEST_F(RelayClientTest, ARefusalIsToldAndAnotherRelayAsked) {
  RelayServerSettings full = RelayWorld::local();
  full.reservations = 0;
  Peer& busy = world.add_relay(full);
  Peer& open = world.add_relay();
  RelayClientSettings one;
  one.reservations = 1;
  Peer& client = world.add_client(one);
  ASSERT_TRUE(client.client->add_relay(world.address(busy)).ok());
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return client.event<ReservationRefused>() != nullptr; }));
  const auto* refused = client.event<ReservationRefused>();
  EXPECT_EQ(refused->status, CircuitStatus::reservation_refused);
  EXPECT_GE(refused->retry_us, kRelayRefusedUs / 2);
  ASSERT_TRUE(client.client->add_relay(world.address(open)).ok());
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return client.client->reserved(open.id()); }));
  EXPECT_LT(*client.client->health(busy.id(), world.world.now()), *client.client->health(open.id(), world.world.now()));
}

TEST_F(RelayClientTest, ABetterRelayTakesThePlaceOfTheWorst) {
  RelayClientSettings settings;
  settings.reservations = 1;
  settings.rotation_us = 60 * kSecond;
  Peer& poor = world.add_relay();
  Peer& good = world.add_relay();
  Peer& client = world.add_client(settings);
  ASSERT_NE(world.connect(client, world.address(poor), poor.id()), 0u);  // learnt
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return client.client->reserved(poor.id()); }));
  ASSERT_NE(world.connect(client, world.address(good), good.id()), 0u);
  ASSERT_TRUE(client.client->add_relay(world.address(good)).ok());  // the user's choice, and as near
  ASSERT_TRUE(world.run(10 * 60 * kSecond, [&] { return client.client->reserved(good.id()); }));
  // The old one is told no more, and ends with its time.
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return client.swarm().listen_addresses().size() == 2; }));
  for (const std::string& address : client.swarm().listen_addresses()) {
    EXPECT_NE(address.find(good.id().to_string()), std::string::npos) << address;
  }
}

TEST_F(RelayClientTest, ListenAsksForAReservation) {
  Peer& relay = world.add_relay();
  Peer& client = world.add_client(RelayWorld::passive());
  EXPECT_EQ(client.swarm().listen(world.circuit(relay, relay)).code(), Code::invalid);  // another's name
  EXPECT_TRUE(client.swarm().listen("/p2p-circuit").ok());
  EXPECT_TRUE(client.swarm().listen(world.address(relay) + "/p2p-circuit").ok());
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return client.client->reserved(relay.id()); }));
}

// ---- Hostile relays ---------------------------------------------------------------------------------------------------

// A relay by hand: answers RESERVE with what the test says, and calls whom it likes.
class HostileRelayTest : public RelayClientTest {
 protected:
  HostileRelayTest() {
    hand.swarm->set_protocols({std::string(kHopProtocol)});
    world.world.listen(hand);
    world.world.on_event = [this](test::SwarmWorld::Node& node, const HostEvent& event) {
      const auto* opened = std::get_if<StreamOpened>(&event);
      if (&node != &hand || opened == nullptr || !opened->incoming) return;
      (void)hand.swarm->write(opened->stream, answer);
      hand.swarm->finish(opened->stream);
    };
    EXPECT_TRUE(client.client->add_relay(world.world.quic_address(hand) + "/p2p/" + id().to_string()).ok());
  }
  PeerId id() const { return hand.swarm->peer_id(); }
  HopMessage granted(Bytes voucher, int64_t life_s = 3600) const {
    HopMessage out;
    out.type = HopMessage::Type::status;
    out.status = CircuitStatus::ok;
    out.reservation.emplace();
    out.reservation->expire_s = static_cast<uint64_t>(now_s() + life_s);
    out.reservation->voucher = std::move(voucher);
    return out;
  }
  int64_t now_s() const { return world.world.now().wall_us / static_cast<int64_t>(kSecond); }
  Bytes voucher(const crypto::KeyPair& by, const PeerId& for_peer, int64_t life_s = 3600) const {
    return seal_voucher(by, for_peer, static_cast<uint64_t>(now_s() + life_s)).value();
  }
  // What becomes of an answer.
  Code told() {
    const size_t before = count<ReservationRefused>(client);
    const bool decided = world.run(
        700 * kSecond, [&] { return count<ReservationRefused>(client) > before || client.client->reserved(id()); });
    EXPECT_TRUE(decided);
    if (client.client->reserved(id())) return Code::ok;
    return client.event<ReservationRefused>()->error.code;
  }
  void say(const HopMessage& message) { answer = delimited(encode_hop(message).value()); }

  test::SwarmWorld::Node& hand = world.world.add();
  Peer& client = world.add_client();
  Bytes answer;
};

TEST_F(HostileRelayTest, WhatItGrantsIsVerified) {
  const auto stranger = test::NetWorld::key(77);
  const PeerId other = PeerId::from_device_key(stranger.device_key());
  answer = delimited(Bytes{0xff});
  EXPECT_EQ(told(), Code::malformed);
  answer = Bytes{0xff, 0xff, 0x7f};  // announced as huge
  EXPECT_EQ(told(), Code::too_large);
  answer = {};
  EXPECT_EQ(told(), Code::protocol);
  HopMessage bare;
  bare.type = HopMessage::Type::status;
  bare.status = CircuitStatus::ok;
  say(bare);
  EXPECT_EQ(told(), Code::protocol);
  say(granted({}, -1));
  EXPECT_EQ(told(), Code::expired);
  say(granted(voucher(stranger, client.id())));  // another relay's
  EXPECT_EQ(told(), Code::denied);
  say(granted(voucher(*hand.key, other)));  // for another peer
  EXPECT_EQ(told(), Code::denied);
  say(granted(voucher(*hand.key, client.id(), -1)));
  EXPECT_EQ(told(), Code::expired);
  Bytes forged = voucher(*hand.key, client.id());
  forged.back() ^= 1;
  say(granted(forged));
  EXPECT_EQ(told(), Code::bad_signature);
  // An endless one is renewed all the same, and what is told is the way that we came.
  HopMessage good = granted(voucher(*hand.key, client.id(), 40'000'000), 40'000'000);
  good.reservation->addresses = {*Multiaddr::parse("/ip4/127.0.0.1/tcp/22"),
                                 *Multiaddr::parse("/ip4/10.0.0.9/tcp/1/p2p/" + other.to_string())};
  say(good);
  EXPECT_EQ(told(), Code::ok);
  EXPECT_EQ(client.event<ReservationMade>()->life_us, kRelayLifeMaxUs);
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return !client.swarm().listen_addresses().empty(); }));
  EXPECT_EQ(client.swarm().listen_addresses(),
            (std::vector<std::string>{world.world.quic_address(hand) + "/p2p/" + id().to_string() + "/p2p-circuit"}));
}

TEST_F(HostileRelayTest, OnlyARelayWithAReservationMayCall) {
  const PeerId caller = PeerId::from_device_key(test::NetWorld::key(77).device_key());
  HopMessage no;
  no.type = HopMessage::Type::status;
  no.status = CircuitStatus::permission_denied;
  say(no);
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return hand.swarm->connection_with(client.id()).has_value(); }));
  world.settle(kSecond);
  const auto call = [&](std::optional<PeerId> peer, StopMessage::Type type = StopMessage::Type::connect) {
    StopMessage message;
    message.type = type;
    message.peer = std::move(peer);
    if (type == StopMessage::Type::status) message.status = CircuitStatus::ok;
    const ConnectionId connection = *hand.swarm->connection_with(client.id());
    RawStream stream{*hand.swarm, hand.swarm->open_stream(connection, kStopProtocol).value()};
    EXPECT_TRUE(hand.swarm->write(stream.id, delimited(encode_stop(message).value())).ok());
    DelimitedReader reader(kCircuitMessageMax);
    EXPECT_TRUE(world.run(5 * kSecond, [&] {
      stream.read();
      (void)reader.feed(stream.received).ok();
      return reader.complete();
    }));
    const auto back = decode_stop(reader.complete() ? reader.take() : Bytes());
    return back.ok() ? back->status.value_or(CircuitStatus::unused) : CircuitStatus::unused;
  };
  EXPECT_EQ(call(caller), CircuitStatus::permission_denied);
  say(granted(voucher(*hand.key, client.id())));
  ASSERT_TRUE(world.run(300 * kSecond, [&] { return client.client->reserved(id()); }));
  EXPECT_EQ(call(std::nullopt), CircuitStatus::malformed_message);
  EXPECT_EQ(call(caller, StopMessage::Type::status), CircuitStatus::unexpected_message);
  EXPECT_EQ(call(client.id()), CircuitStatus::permission_denied);  // from ourselves
  EXPECT_EQ(call(id()), CircuitStatus::permission_denied);         // from the relay itself
  EXPECT_EQ(call(caller), CircuitStatus::ok);
  // Nobody proves to be there: nothing comes of it.
  const size_t before = client.swarm().connections().size();
  world.settle(kCircuitHandshakeTimeoutUs + 2 * kSecond);
  EXPECT_EQ(client.swarm().connections().size(), before);
}

// A relay that leads a dial to somebody else, or announces somebody else: the handshake tells, on both sides.
class LyingRelayTest : public HostileRelayTest {
 protected:
  // Carries one circuit from `dialer` to the client, whatever was asked for.
  bool dial(const PeerId& wanted, const PeerId& announced) {
    world.world.on_event = nullptr;
    const auto via = world.world.quic_address(hand) + "/p2p/" + id().to_string() + "/p2p-circuit";
    const auto dial = dialer.swarm().dial(via, wanted);
    EXPECT_TRUE(dial.ok());
    RawStream hop{*hand.swarm};
    RawStream stop{*hand.swarm};
    bool heads = true;
    const auto carry = [&] {
      for (const auto& event : hand.events) {
        const auto* opened = std::get_if<StreamOpened>(&event);
        if (opened != nullptr && opened->incoming) hop.id = opened->stream;  // the last one is the dialer's
      }
      if (hand.swarm->connection_with(dialer.id()) == std::nullopt || hop.id == reserve_stream) return false;
      if (stop.id == 0) {
        StopMessage call;
        call.peer = announced;
        stop.id = hand.swarm->open_stream(*hand.swarm->connection_with(client.id()), kStopProtocol).value();
        EXPECT_TRUE(hand.swarm->write(stop.id, delimited(encode_stop(call).value())).ok());
      }
      hop.read();
      stop.read();
      if (heads && !hop.received.empty() && !stop.received.empty()) {
        heads = false;
        for (RawStream* each : {&hop, &stop}) {
          DelimitedReader reader(kCircuitMessageMax);
          const size_t used = reader.feed(each->received).value();
          each->received.erase(each->received.begin(), each->received.begin() + static_cast<ptrdiff_t>(used));
        }
        HopMessage ok;
        ok.type = HopMessage::Type::status;
        ok.status = CircuitStatus::ok;
        EXPECT_TRUE(hand.swarm->write(hop.id, delimited(encode_hop(ok).value())).ok());
      }
      if (!heads) {
        (void)hand.swarm->write(stop.id, std::exchange(hop.received, {})).ok();
        (void)hand.swarm->write(hop.id, std::exchange(stop.received, {})).ok();
        if (hop.ended) hand.swarm->finish(stop.id);
        if (stop.ended) hand.swarm->finish(hop.id);
      }
      return answered(*dial);
    };
    world.run(20 * kSecond, carry);
    world.run(2 * kSecond, [&] { return carry() && false; });
    return dialer.swarm().connection_with(client.id()).has_value();
  }
  bool answered(uint64_t dial) {
    for (const auto& event : dialer.node->events) {
      if (const auto* failed = std::get_if<DialFailed>(&event); failed != nullptr && failed->dial == dial) {
        world.failure = failed->error;
        return true;
      }
      if (const auto* made = std::get_if<Connected>(&event); made != nullptr && made->dial == dial) return true;
    }
    return false;
  }
  void reserve() {
    say(granted(voucher(*hand.key, client.id())));
    ASSERT_TRUE(world.run(10 * kSecond, [&] { return client.client->reserved(id()); }));
    for (const auto& event : hand.events) {
      const auto* opened = std::get_if<StreamOpened>(&event);
      if (opened != nullptr && opened->incoming) reserve_stream = opened->stream;
    }
  }
  StreamId reserve_stream = 0;
  Peer& dialer = world.add_client(RelayWorld::passive());
};

TEST_F(LyingRelayTest, AnHonestOneConnects) {
  reserve();
  EXPECT_TRUE(dial(client.id(), dialer.id()));
  EXPECT_TRUE(client.swarm().connection_with(dialer.id()));
}

TEST_F(LyingRelayTest, AnotherTargetThanTheOneDialedIsRefused) {
  reserve();
  const PeerId wanted = PeerId::from_device_key(test::NetWorld::key(77).device_key());
  EXPECT_FALSE(dial(wanted, dialer.id()));
  EXPECT_EQ(world.failure.code, Code::denied) << world.failure.detail;
  EXPECT_FALSE(client.swarm().connection_with(dialer.id()));
}

TEST_F(LyingRelayTest, AnotherCallerThanTheOneAnnouncedIsRefused) {
  reserve();
  const PeerId announced = PeerId::from_device_key(test::NetWorld::key(77).device_key());
  (void)dial(client.id(), announced);
  EXPECT_FALSE(client.swarm().connection_with(dialer.id()));
  EXPECT_FALSE(client.swarm().connection_with(announced));
  EXPECT_FALSE(dialer.swarm().connection_with(client.id()));  // it was ended
  for (const auto& event : client.node->events) {
    const auto* connected = std::get_if<Connected>(&event);
    EXPECT_TRUE(connected == nullptr || !connected->relayed);
  }
}

// ---- Loops ------------------------------------------------------------------------------------------------------------

// A relay that is itself reached over a relay serves nobody there.
TEST_F(RelayClientTest, NoRelayServesOverARelayedConnection) {
  Peer& relay = world.add_relay();
  Peer& hidden = world.add_client();
  hidden.server = std::make_unique<RelayServer>(hidden.swarm(), *hidden.node->key, RelayWorld::local());
  hidden.node->services->add(*hidden.server);
  ASSERT_TRUE(world.reserve(hidden, relay));
  Peer& client = world.add_client(RelayWorld::passive());
  const ConnectionId connection = world.connect(client, world.circuit(relay, hidden), hidden.id());
  ASSERT_NE(connection, 0u);
  for (const HopMessage::Type type : {HopMessage::Type::reserve, HopMessage::Type::connect}) {
    HopMessage message;
    message.type = type;
    if (type == HopMessage::Type::connect) message.peer = relay.id();
    RawStream stream{client.swarm(), client.swarm().open_stream(connection, kHopProtocol).value()};
    ASSERT_TRUE(client.swarm().write(stream.id, delimited(encode_hop(message).value())).ok());
    DelimitedReader reader(kCircuitMessageMax);
    ASSERT_TRUE(world.run(5 * kSecond, [&] {
      stream.read();
      (void)reader.feed(stream.received).ok();
      return reader.complete();
    }));
    EXPECT_EQ(decode_hop(reader.take())->status, CircuitStatus::permission_denied);
  }
  EXPECT_EQ(hidden.server->stats().refused[static_cast<size_t>(RelayRefusal::relayed)], 2u);
  // The client does not ask for it either.
  ASSERT_TRUE(client.client->add_relay("/p2p/" + hidden.id().to_string()).ok());
  client.client->set_settings({});
  world.settle(20 * kSecond);
  EXPECT_FALSE(client.client->reserved(hidden.id()));
  EXPECT_EQ(world.connect(client, "/p2p/" + hidden.id().to_string() + "/p2p-circuit", relay.id()), 0u);
}

TEST(CircuitAddress, ShapesAreRecognisedAndDoubleRelaysAreNot) {
  const std::string r = "/p2p/" + PeerId::from_device_key(test::NetWorld::key(1).device_key()).to_string();
  const std::string t = "/p2p/" + PeerId::from_device_key(test::NetWorld::key(2).device_key()).to_string();
  const auto shape = [](const std::string& text) { return shape_of(*Multiaddr::parse(text)); };
  for (const std::string& via : {std::string("/ip4/10.0.0.1/tcp/1"), std::string("/dns4/r.example.org/udp/1/quic-v1"),
                                 std::string("/ip6/::1/tcp/1/ws"), std::string()}) {
    for (const std::string& target : {t, std::string()}) {
      const auto found = shape(via + r + "/p2p-circuit" + target);
      ASSERT_TRUE(found) << via;
      EXPECT_EQ(found->transport, TransportKind::relay);
      EXPECT_FALSE(found->needs_lookup());
    }
  }
  EXPECT_TRUE(shape("/p2p-circuit"));
  EXPECT_FALSE(shape("/ip4/10.0.0.1/tcp/1/p2p-circuit"));            // no relay
  EXPECT_FALSE(shape(r + "/p2p-circuit" + t + "/p2p-circuit" + r));  // a loop
  EXPECT_FALSE(shape("/ip4/10.0.0.1/udp/1" + r + "/p2p-circuit"));   // no transport of ours
  EXPECT_FALSE(shape("/ip4/10.0.0.1/tcp/1" + r + "/p2p-circuit/tcp/1"));
  TransportPolicy policy;
  policy.ipv4 = false;
  EXPECT_EQ(policy.check(*Multiaddr::parse("/ip4/10.0.0.1/tcp/1" + r + "/p2p-circuit")).code(), Code::denied);
  EXPECT_TRUE(policy.check(*Multiaddr::parse(r + "/p2p-circuit")).ok());
  policy.order = {TransportKind::quic};
  EXPECT_EQ(policy.check(*Multiaddr::parse(r + "/p2p-circuit")).code(), Code::denied);
}

TEST_F(RelayClientTest, ADirectWayWinsOverARelay) {
  Peer& relay = world.add_relay();
  Peer& listener = world.add_client();
  world.world.listen(*listener.node);
  ASSERT_TRUE(world.reserve(listener, relay));
  Peer& dialer = world.add_client(RelayWorld::passive());
  ASSERT_NE(world.connect(dialer, world.circuit(relay, listener), listener.id()), 0u);
  const ConnectionId relayed = *dialer.swarm().connection_with(listener.id());
  const ConnectionId direct = world.connect(dialer, world.address(listener), listener.id());
  ASSERT_NE(direct, 0u);
  EXPECT_NE(direct, relayed);
  EXPECT_EQ(dialer.swarm().connection_with(listener.id()), direct);
  // Raced, the direct one is there first, and nothing is asked of the relay.
  Peer& racer = world.add_client(RelayWorld::passive());
  const uint64_t before = relay.server->stats().opened;
  ASSERT_TRUE(racer.swarm().dial(listener.id(), {world.circuit(relay, listener), world.address(listener)}).ok());
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return racer.node->notice<Reached>() != nullptr; }));
  world.settle(2 * kSecond);
  EXPECT_EQ(relay.server->stats().opened, before);
  EXPECT_FALSE(racer.swarm().connections().front().relayed);
}

}  // namespace
}  // namespace sereus::net
