// A relay's limits, and what it refuses, asked by hand with streams of bytes.
#include "core/net/relay_server.h"

#include <gtest/gtest.h>

#include "core/codec/protobuf.h"
#include "core/net/delimited.h"
#include "tests/support/relay_world.h"

namespace sereus::net {
namespace {

constexpr uint64_t kSecond = kMicrosPerSecond;
using test::RawStream;
using test::RelayWorld;
using Peer = RelayWorld::Peer;

constexpr uint64_t kMinute = 60 * kSecond;

class RelayServerTest : public testing::Test {
 protected:
  static HopMessage request(HopMessage::Type type, std::optional<PeerId> peer = std::nullopt) {
    HopMessage out;
    out.type = type;
    out.peer = std::move(peer);
    return out;
  }
  // A peer that speaks by hand, connected with the relay.
  struct Hand {
    test::SwarmWorld::Node* node = nullptr;
    ConnectionId connection = 0;
    PeerId id() const { return node->swarm->peer_id(); }
  };
  Hand connect() {
    Hand hand{&world.world.add(), 0};
    hand.node->swarm->set_protocols({std::string(kStopProtocol)});
    EXPECT_TRUE(hand.node->swarm->dial(world.address(relay, quic), relay.id()).ok());
    EXPECT_TRUE(world.run(5 * kSecond, [&] { return hand.node->event<Connected>() != nullptr; }));
    hand.connection = hand.node->event<Connected>()->connection;
    return hand;
  }
  RawStream open(const Hand& hand, ByteView bytes) {
    RawStream stream{*hand.node->swarm, hand.node->swarm->open_stream(hand.connection, kHopProtocol).value()};
    EXPECT_EQ(hand.node->swarm->write(stream.id, bytes).value(), bytes.size());
    return stream;
  }
  // The next message on it.
  std::optional<Bytes> answer(RawStream& stream) {
    std::optional<Bytes> out;
    world.run(15 * kSecond, [&] {
      stream.read();
      DelimitedReader reader(kCircuitMessageMax);
      const auto used = reader.feed(stream.received);
      if (!used.ok() || !reader.complete()) return stream.ended;
      stream.received.erase(stream.received.begin(), stream.received.begin() + static_cast<ptrdiff_t>(*used));
      out = reader.take();
      return true;
    });
    return out;
  }
  HopMessage ask(const Hand& hand, const HopMessage& message) {
    RawStream stream = open(hand, delimited(encode_hop(message).value()));
    const auto bytes = answer(stream);
    const auto out = bytes ? decode_hop(*bytes) : Result<HopMessage>(fail(Code::closed));
    EXPECT_TRUE(out.ok());
    return out.ok() ? *out : HopMessage();
  }
  CircuitStatus status(const Hand& hand, const HopMessage& message) {
    return ask(hand, message).status.value_or(CircuitStatus::unused);
  }
  CircuitStatus reserve(const Hand& hand) { return status(hand, request(HopMessage::Type::reserve)); }
  uint64_t refused(RelayRefusal reason) const { return relay.server->stats().refused[static_cast<size_t>(reason)]; }
  uint64_t ended(CircuitEnd end) const { return relay.server->stats().ended[static_cast<size_t>(end)]; }

  // A circuit between two hands; `says` is what the target answers.
  struct Ends {
    RawStream source;
    RawStream target;
  };
  std::optional<StreamId> called(const Hand& target, size_t nth = 0) {
    std::optional<StreamId> out;
    world.run(5 * kSecond, [&] {
      size_t seen = 0;
      for (const auto& event : target.node->events) {
        const auto* opened = std::get_if<StreamOpened>(&event);
        if (opened != nullptr && opened->incoming && seen++ == nth) out = opened->stream;
      }
      return out.has_value();
    });
    return out;
  }
  static Bytes stop_status(CircuitStatus status) {
    StopMessage message;
    message.type = StopMessage::Type::status;
    message.status = status;
    return delimited(encode_stop(message).value());
  }
  Ends circuit(const Hand& source, const Hand& target, ByteView early = {}, size_t nth = 0) {
    Bytes words = delimited(encode_hop(request(HopMessage::Type::connect, target.id())).value());
    append(words, early);
    RawStream from = open(source, words);
    const auto stop = called(target, nth);
    EXPECT_TRUE(stop);
    RawStream to{*target.node->swarm, stop.value_or(0)};
    const auto call = answer(to);
    const auto parsed = call ? decode_stop(*call) : Result<StopMessage>(fail(Code::closed));
    EXPECT_TRUE(parsed.ok() && parsed->peer == source.id());
    if (parsed.ok()) limit = parsed->limit.value_or(CircuitLimit());
    EXPECT_TRUE(to.swarm.write(to.id, stop_status(CircuitStatus::ok)).ok());
    const auto answered = answer(from);
    const auto granted = answered ? decode_hop(*answered) : Result<HopMessage>(fail(Code::closed));
    EXPECT_TRUE(granted.ok() && granted->status == CircuitStatus::ok);
    EXPECT_TRUE(!granted.ok() || granted->limit.value_or(CircuitLimit()) == limit);
    return {std::move(from), std::move(to)};
  }
  bool was_reset(const Hand& hand, StreamId stream) {
    return std::any_of(hand.node->events.begin(), hand.node->events.end(), [&](const HostEvent& event) {
      const auto* closed = std::get_if<StreamClosed>(&event);
      return closed != nullptr && closed->stream == stream;
    });
  }
  void send(RawStream& stream, size_t bytes) {
    while (bytes > 0) {
      const Bytes block(std::min<size_t>(bytes, 16 << 10), 7);
      const auto taken = stream.swarm.write(stream.id, block);
      if (!taken.ok()) return;
      bytes -= *taken;
      world.settle(10 * kMicrosPerMilli);
    }
  }
  bool receive(RawStream& stream, size_t bytes) {
    return world.run(5 * kSecond, [&] {
      stream.read();
      return stream.received.size() >= bytes;
    });
  }

  bool quic = true;
  RelayWorld world{11};
  Peer& relay = world.add_relay();
  CircuitLimit limit;
};

// ---- Reservations -----------------------------------------------------------------------------------------------------

TEST_F(RelayServerTest, GrantsAReservationWithAVoucher) {
  const Hand hand = connect();
  const HopMessage granted = ask(hand, request(HopMessage::Type::reserve));
  EXPECT_EQ(granted.status, CircuitStatus::ok);
  ASSERT_TRUE(granted.reservation);
  const auto now_s = static_cast<uint64_t>(world.world.now().wall_us) / kMicrosPerSecond;
  EXPECT_NEAR(static_cast<double>(granted.reservation->expire_s), static_cast<double>(now_s + 3600), 2);
  EXPECT_TRUE(check_voucher(granted.reservation->voucher, relay.id(), hand.id(), now_s).ok());
  ASSERT_EQ(granted.reservation->addresses.size(), 2u);
  EXPECT_EQ(granted.reservation->addresses[0].to_string(), world.address(relay));
  EXPECT_EQ(granted.limit, (CircuitLimit{kRelayControlDurationUs, kRelayControlBytes}));
  // Again: renewed, not a second one.
  EXPECT_EQ(reserve(hand), CircuitStatus::ok);
  EXPECT_EQ(relay.server->stats().reservations, 1u);
  EXPECT_EQ(relay.server->stats().renewed, 1u);
}

TEST_F(RelayServerTest, PrivateAddressesAreNotToldUnlessAllowed) {
  relay.server->set_settings({});
  const HopMessage granted = ask(connect(), request(HopMessage::Type::reserve));
  EXPECT_EQ(granted.status, CircuitStatus::ok);
  ASSERT_TRUE(granted.reservation);
  EXPECT_TRUE(granted.reservation->addresses.empty());
}

TEST_F(RelayServerTest, AReservationEndsWithItsTimeOrItsConnection) {
  RelayServerSettings settings = RelayWorld::local();
  settings.reservation_life_us = 30 * kSecond;
  relay.server->set_settings(settings);
  const Hand late = connect();
  const Hand gone = connect();
  ASSERT_EQ(reserve(late), CircuitStatus::ok);
  ASSERT_EQ(reserve(gone), CircuitStatus::ok);
  gone.node->swarm->disconnect(gone.connection, Code::ok);
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return !relay.server->reserved(gone.id()); }));
  EXPECT_FALSE(relay.serve_event<RelayServer::ReservationEnded>()->expired);
  EXPECT_TRUE(relay.server->reserved(late.id()));
  world.settle(20 * kSecond);
  EXPECT_TRUE(relay.server->reserved(late.id()));
  world.settle(11 * kSecond);
  EXPECT_FALSE(relay.server->reserved(late.id()));
  EXPECT_TRUE(relay.serve_event<RelayServer::ReservationEnded>()->expired);
  EXPECT_EQ(status(gone.node != nullptr ? late : gone, request(HopMessage::Type::connect, gone.id())),
            CircuitStatus::no_reservation);
}

TEST_F(RelayServerTest, ReservationsAreLimitedInAllAndBySubnet) {
  RelayServerSettings settings = RelayWorld::local();
  settings.reservations = 3;
  settings.reservations_subnet = 2;
  relay.server->set_settings(settings);
  const Hand first = connect();
  const Hand second = connect();
  const Hand third = connect();
  EXPECT_EQ(reserve(first), CircuitStatus::ok);
  EXPECT_EQ(reserve(second), CircuitStatus::ok);
  EXPECT_EQ(reserve(third), CircuitStatus::reservation_refused);  // all are of 10.0.0.0/24
  EXPECT_EQ(refused(RelayRefusal::reservations_subnet), 1u);
  EXPECT_EQ(reserve(first), CircuitStatus::ok);  // what is there may be renewed
  settings.reservations_subnet = 10;
  settings.reservations = 2;
  relay.server->set_settings(settings);
  EXPECT_EQ(reserve(third), CircuitStatus::reservation_refused);
  EXPECT_EQ(refused(RelayRefusal::reservations_total), 1u);
  settings.reservations = 3;
  relay.server->set_settings(settings);
  EXPECT_EQ(reserve(third), CircuitStatus::ok);
  EXPECT_EQ(relay.server->stats().reservations, 3u);
}

TEST_F(RelayServerTest, AskingTooOftenIsRefused) {
  const Hand hand = connect();
  size_t granted = 0;
  for (uint64_t i = 0; i < 2 * kRelayReservesBurst; ++i) granted += reserve(hand) == CircuitStatus::ok ? 1 : 0;
  EXPECT_GE(granted, kRelayReservesBurst);
  EXPECT_LT(granted, 2 * kRelayReservesBurst);
  EXPECT_GT(refused(RelayRefusal::reservations_rate), 0u);
}

TEST_F(RelayServerTest, TheApplicationAndItsTrustDecide) {
  const Hand friendly = connect();
  const Hand enemy = connect();
  RelayServerSettings settings = RelayWorld::local();
  settings.may_reserve = [&](const PeerId& peer, std::string_view) { return peer != enemy.id(); };
  settings.may_connect = [&](const PeerId& source, const PeerId&) { return source != enemy.id(); };
  relay.server->set_settings(settings);
  EXPECT_EQ(reserve(friendly), CircuitStatus::ok);
  EXPECT_EQ(reserve(enemy), CircuitStatus::permission_denied);
  EXPECT_EQ(status(enemy, request(HopMessage::Type::connect, friendly.id())), CircuitStatus::permission_denied);
  EXPECT_EQ(refused(RelayRefusal::acl), 2u);
  relay.server->set_trust(friendly.id(), RelayTrust::blocked);
  EXPECT_FALSE(relay.server->reserved(friendly.id()));
  EXPECT_EQ(reserve(friendly), CircuitStatus::permission_denied);
  relay.server->set_trust(friendly.id(), std::nullopt);
  EXPECT_EQ(reserve(friendly), CircuitStatus::ok);
}

// ---- Hostile requests -------------------------------------------------------------------------------------------------

TEST_F(RelayServerTest, HostileRequestsAreRefusedAndHarmNobody) {
  const Hand hand = connect();
  const auto say = [&](ByteView bytes) {
    RawStream stream = open(hand, bytes);
    const auto bytes_back = answer(stream);
    const auto back = bytes_back ? decode_hop(*bytes_back) : Result<HopMessage>(fail(Code::closed));
    return back.ok() ? back->status.value_or(CircuitStatus::unused) : CircuitStatus::unused;
  };
  EXPECT_EQ(say(delimited({})), CircuitStatus::malformed_message);
  EXPECT_EQ(say(delimited(Bytes{0x08, 0x09})), CircuitStatus::malformed_message);
  EXPECT_EQ(say(delimited(encode_hop(request(HopMessage::Type::connect)).value())), CircuitStatus::malformed_message);
  EXPECT_EQ(say(delimited(encode_hop(request(HopMessage::Type::status)).value())), CircuitStatus::unexpected_message);
  EXPECT_EQ(say(delimited(encode_hop(request(HopMessage::Type::connect, relay.id())).value())),
            CircuitStatus::permission_denied);
  EXPECT_EQ(say(delimited(encode_hop(request(HopMessage::Type::connect, hand.id())).value())),
            CircuitStatus::permission_denied);
  EXPECT_EQ(refused(RelayRefusal::own), 2u);
  // A message that is announced as huge ends the stream; so does one that is never finished, in time.
  RawStream huge = open(hand, Bytes{0xff, 0xff, 0x03});
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return was_reset(hand, huge.id); }));
  RawStream slow = open(hand, Bytes{0x20, 0x08});
  world.settle(kRelayHopTimeoutUs - kSecond);
  EXPECT_FALSE(was_reset(hand, slow.id));
  ASSERT_TRUE(world.run(3 * kSecond, [&] { return was_reset(hand, slow.id); }));
  EXPECT_EQ(reserve(hand), CircuitStatus::ok);
}

TEST_F(RelayServerTest, StreamsThatSayNothingAreLimited) {
  const Hand hand = connect();
  std::vector<StreamId> streams;
  for (size_t i = 0; i <= kRelayRequestsPeerMax; ++i) {
    streams.push_back(hand.node->swarm->open_stream(hand.connection, kHopProtocol).value());
    // A byte of a message, as negotiation is lazy.
    EXPECT_TRUE(hand.node->swarm->write(streams.back(), Bytes{0x20}).ok());
  }
  world.settle(kSecond);
  const auto count = std::count_if(streams.begin(), streams.end(), [&](StreamId s) { return was_reset(hand, s); });
  EXPECT_EQ(count, 1);
  EXPECT_EQ(refused(RelayRefusal::requests), 1u);
}

// An open proxy would connect to what the asker names. The addresses in a request are not looked at.
TEST_F(RelayServerTest, NothingIsDialedForAnybody) {
  const Hand hand = connect();
  const Hand loopback = connect();
  loopback.node->swarm->disconnect(loopback.connection, Code::ok);
  world.settle(kSecond);
  codec::ProtobufWriter peer;
  peer.bytes(1, loopback.id().multihash());
  for (const char* address : {"/ip4/127.0.0.1/tcp/22", "/ip4/10.0.0.3/tcp/4001", "/ip6/::1/udp/1/quic-v1"}) {
    peer.bytes(2, Multiaddr::parse(address)->to_bytes());
  }
  codec::ProtobufWriter message;
  message.number(1, static_cast<uint64_t>(HopMessage::Type::connect));
  message.bytes(2, peer.view());
  const uint64_t before = relay.swarm().connections().size();
  RawStream stream = open(hand, delimited(message.view()));
  const auto back = answer(stream);
  ASSERT_TRUE(back);
  EXPECT_EQ(decode_hop(*back)->status, CircuitStatus::no_reservation);
  world.settle(kSecond);
  EXPECT_EQ(relay.swarm().connections().size(), before);
}

// ---- Circuits ---------------------------------------------------------------------------------------------------------

TEST_F(RelayServerTest, CarriesWhatComesEarlyAndHalfClose) {
  const Hand source = connect();
  const Hand target = connect();
  ASSERT_EQ(reserve(target), CircuitStatus::ok);
  Ends ends = circuit(source, target, as_bytes("early"));
  ASSERT_TRUE(receive(ends.target, 5));
  EXPECT_EQ(to_string(ByteView(ends.target.received)), "early");
  ends.source.swarm.finish(ends.source.id);
  ASSERT_TRUE(world.run(5 * kSecond, [&] {
    ends.target.read();
    return ends.target.ended;
  }));
  send(ends.target, 1000);
  ends.target.swarm.finish(ends.target.id);
  ASSERT_TRUE(world.run(5 * kSecond, [&] {
    ends.source.read();
    return ends.source.ended;
  }));
  EXPECT_EQ(ends.source.received.size(), 1000u);
  EXPECT_EQ(relay.server->stats().circuits, 0u);
  EXPECT_EQ(ended(CircuitEnd::finished), 1u);
  const auto* closed = relay.serve_event<RelayServer::CircuitClosed>();
  ASSERT_NE(closed, nullptr);
  EXPECT_EQ(closed->bytes_to_target, 5u);
  EXPECT_EQ(closed->bytes_to_source, 1000u);
}

TEST_F(RelayServerTest, TheLastAllowedBytePassesAndTheNextEndsTheCircuit) {
  RelayServerSettings settings = RelayWorld::local();
  settings.control_tier.circuit_bytes = 100'000;
  relay.server->set_settings(settings);
  const Hand source = connect();
  const Hand target = connect();
  ASSERT_EQ(reserve(target), CircuitStatus::ok);
  // Exactly the limit in both directions, and the ends: nothing is wrong.
  Ends whole = circuit(source, target);
  EXPECT_EQ(limit.data_bytes, 100'000u);
  send(whole.source, 100'000);
  whole.source.swarm.finish(whole.source.id);
  send(whole.target, 100'000);
  ASSERT_TRUE(receive(whole.target, 100'000));
  ASSERT_TRUE(receive(whole.source, 100'000));
  whole.target.swarm.finish(whole.target.id);
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return ended(CircuitEnd::finished) == 1; }));
  // One byte more.
  for (const bool down : {false, true}) {
    Ends over = circuit(source, target, {}, down ? 2 : 1);
    RawStream& from = down ? over.target : over.source;
    RawStream& to = down ? over.source : over.target;
    send(from, 100'000);
    ASSERT_TRUE(receive(to, 100'000));
    world.settle(5 * kSecond);
    EXPECT_FALSE(was_reset(source, over.source.id));
    send(from, 1);
    ASSERT_TRUE(world.run(5 * kSecond, [&] {
      to.read();
      return was_reset(source, over.source.id) && was_reset(target, over.target.id);
    }));
    EXPECT_EQ(to.received.size(), 100'000u);
  }
  EXPECT_EQ(ended(CircuitEnd::data_limit), 2u);
  // In one go: what is allowed arrives all the same.
  Ends burst = circuit(source, target, {}, 3);
  send(burst.source, 150'000);
  ASSERT_TRUE(world.run(5 * kSecond, [&] {
    burst.target.read();
    return was_reset(target, burst.target.id);
  }));
  EXPECT_EQ(burst.target.received.size(), 100'000u);
  EXPECT_EQ(ended(CircuitEnd::data_limit), 3u);
}

TEST_F(RelayServerTest, ACircuitEndsWithItsTime) {
  RelayServerSettings settings = RelayWorld::local();
  settings.control_tier.circuit_duration_us = 10 * kSecond;
  relay.server->set_settings(settings);
  const Hand source = connect();
  const Hand target = connect();
  ASSERT_EQ(reserve(target), CircuitStatus::ok);
  Ends ends = circuit(source, target);
  EXPECT_EQ(limit.duration_us, 10 * kSecond);
  world.settle(9 * kSecond);
  send(ends.source, 10);
  ASSERT_TRUE(receive(ends.target, 10));
  ASSERT_TRUE(
      world.run(2 * kSecond, [&] { return was_reset(source, ends.source.id) && was_reset(target, ends.target.id); }));
  EXPECT_EQ(ended(CircuitEnd::duration_limit), 1u);
}

TEST_F(RelayServerTest, TheDaysBytesArePaidByBothEndsToTheByte) {
  RelayServerSettings settings = RelayWorld::local();
  settings.control_tier = {1 << 20, 3600 * kSecond, 50'000};
  relay.server->set_settings(settings);
  const Hand source = connect();
  const Hand target = connect();
  const Hand other = connect();
  ASSERT_EQ(reserve(target), CircuitStatus::ok);
  ASSERT_EQ(reserve(other), CircuitStatus::ok);
  const uint64_t begin_us = world.world.now().mono_us;
  Ends ends = circuit(source, target);
  send(ends.source, 30'000);
  send(ends.target, 30'000);
  ASSERT_TRUE(world.run(5 * kSecond, [&] {
    ends.source.read();
    ends.target.read();
    return ended(CircuitEnd::quota) == 1;
  }));
  // What fills again meanwhile is a byte every 1.7 seconds.
  const uint64_t carried = ends.source.received.size() + ends.target.received.size();
  const uint64_t fresh = (world.world.now().mono_us - begin_us) * 50'000 / (24 * 60 * kMinute) + 1;
  EXPECT_GE(carried, 50'000u);
  EXPECT_LE(carried, 50'000u + fresh);
  EXPECT_EQ(relay.server->stats().bytes, carried);
  // Each of the two has used its day up.
  EXPECT_EQ(status(other, request(HopMessage::Type::connect, target.id())), CircuitStatus::resource_limit_exceeded);
  EXPECT_EQ(status(source, request(HopMessage::Type::connect, other.id())), CircuitStatus::resource_limit_exceeded);
  EXPECT_EQ(refused(RelayRefusal::quota_peer), 2u);
  // An hour later there is an hour's worth.
  relay.server->set_trust(target.id(), RelayTrust::control);
  world.settle(2 * kMinute);
  Ends again = circuit(source, target, {}, 1);
  send(again.source, 1000);
  ASSERT_TRUE(world.run(10 * kSecond, [&] {
    again.target.read();
    return ended(CircuitEnd::quota) == 2;
  }));
  EXPECT_NEAR(static_cast<double>(again.target.received.size()), 50'000.0 * 125 / 86'400, 6);
}

TEST_F(RelayServerTest, ASubnetPaysForItsPeers) {
  RelayServerSettings settings = RelayWorld::local();
  settings.subnet_day_bytes = 10'000;
  relay.server->set_settings(settings);
  const Hand source = connect();
  const Hand target = connect();
  ASSERT_EQ(reserve(target), CircuitStatus::ok);
  Ends ends = circuit(source, target);
  send(ends.source, 20'000);
  ASSERT_TRUE(world.run(5 * kSecond, [&] {
    ends.target.read();
    return ended(CircuitEnd::quota) == 1;
  }));
  EXPECT_NEAR(static_cast<double>(ends.target.received.size()), 10'000, 1);  // both are of one subnet, charged once
  const Hand sybil = connect();
  EXPECT_EQ(status(sybil, request(HopMessage::Type::connect, target.id())), CircuitStatus::resource_limit_exceeded);
  EXPECT_EQ(refused(RelayRefusal::quota_subnet), 1u);
}

TEST_F(RelayServerTest, ContentIsForTrustedPeersWhereItIsAllowed) {
  RelayServerSettings settings = RelayWorld::local();
  const Hand source = connect();
  const Hand target = connect();
  relay.server->set_trust(source.id(), RelayTrust::content);
  relay.server->set_trust(target.id(), RelayTrust::content);
  EXPECT_EQ(ask(target, request(HopMessage::Type::reserve)).limit->data_bytes, kRelayControlBytes);  // not opted in
  settings.content = true;
  relay.server->set_settings(settings);
  EXPECT_EQ(ask(target, request(HopMessage::Type::reserve)).limit->data_bytes, kRelayContentBytes);
  circuit(source, target);
  EXPECT_EQ(limit.data_bytes, kRelayContentBytes);
  relay.server->set_trust(source.id(), std::nullopt);
  circuit(source, target, {}, 1);
  EXPECT_EQ(limit.data_bytes, kRelayControlBytes);  // of two ends the lower one counts
}

TEST_F(RelayServerTest, CircuitsAreLimitedInAllAndForEachPeer) {
  RelayServerSettings settings = RelayWorld::local();
  settings.circuits_peer = 2;
  relay.server->set_settings(settings);
  const Hand source = connect();
  const Hand target = connect();
  const Hand other = connect();
  ASSERT_EQ(reserve(target), CircuitStatus::ok);
  ASSERT_EQ(reserve(other), CircuitStatus::ok);
  circuit(source, target);
  const Ends second = circuit(source, target, {}, 1);
  EXPECT_EQ(status(source, request(HopMessage::Type::connect, other.id())), CircuitStatus::resource_limit_exceeded);
  EXPECT_EQ(refused(RelayRefusal::circuits_source), 1u);
  EXPECT_EQ(status(other, request(HopMessage::Type::connect, target.id())), CircuitStatus::resource_limit_exceeded);
  EXPECT_EQ(refused(RelayRefusal::circuits_target), 1u);
  source.node->swarm->reset(second.source.id);
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return was_reset(target, second.target.id); }));
  EXPECT_EQ(ended(CircuitEnd::source_gone), 1u);
  settings.circuits = 1;
  relay.server->set_settings(settings);
  EXPECT_EQ(status(source, request(HopMessage::Type::connect, target.id())), CircuitStatus::resource_limit_exceeded);
  EXPECT_EQ(refused(RelayRefusal::circuits_total), 1u);
}

TEST_F(RelayServerTest, ATargetThatRefusesOrIsSilentIsToldApart) {
  const Hand source = connect();
  const Hand target = connect();
  ASSERT_EQ(reserve(target), CircuitStatus::ok);
  RawStream refuses = open(source, delimited(encode_hop(request(HopMessage::Type::connect, target.id())).value()));
  const auto stop = called(target);
  ASSERT_TRUE(stop);
  ASSERT_TRUE(target.node->swarm->write(*stop, stop_status(CircuitStatus::permission_denied)).ok());
  auto back = answer(refuses);
  ASSERT_TRUE(back);
  EXPECT_EQ(decode_hop(*back)->status, CircuitStatus::connection_failed);
  EXPECT_EQ(refused(RelayRefusal::target_refused), 1u);
  RawStream silent = open(source, delimited(encode_hop(request(HopMessage::Type::connect, target.id())).value()));
  back = answer(silent);
  ASSERT_TRUE(back);
  EXPECT_EQ(decode_hop(*back)->status, CircuitStatus::connection_failed);
  EXPECT_EQ(refused(RelayRefusal::target_silent), 1u);
  EXPECT_EQ(relay.server->stats().circuits, 0u);
}

// Who does not read stops who writes, and the relay holds no more than its buffers.
TEST_F(RelayServerTest, WhoDoesNotReadStopsWhoWrites) {
  RelayServerSettings settings = RelayWorld::local();
  settings.control_tier = {64 << 20, 3600 * kSecond, 64 << 20};
  relay.server->set_settings(settings);
  const Hand source = connect();
  const Hand target = connect();
  ASSERT_EQ(reserve(target), CircuitStatus::ok);
  Ends ends = circuit(source, target);
  uint64_t written = 0;
  for (int i = 0; i < 400; ++i) {
    const Bytes block(64 << 10, 1);
    written += ends.source.swarm.write(ends.source.id, block).value();
    world.settle(10 * kMicrosPerMilli);
  }
  EXPECT_LT(written, uint64_t{20} << 20);  // of 25 MiB
  ASSERT_TRUE(world.run(60 * kSecond, [&] {
    ends.target.read();
    return ends.target.received.size() == written;
  }));
}

}  // namespace
}  // namespace sereus::net
