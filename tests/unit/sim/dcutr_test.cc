// DCUtR between boxes of every kind: which relayed connections become direct ones, and what is said of the others.
#include <gtest/gtest.h>

#include "tests/unit/sim/nat_world.h"

namespace sereus::sim {
namespace {

using net::DirectPath;
using net::HolePunched;
using net::PathReason;

constexpr std::string_view kTalk = "/talk/1.0.0";

// What stands in front of a machine.
enum class Front : uint8_t { open, full_cone, address_restricted, port_restricted, symmetric, carrier, udp_blocked };
constexpr Front kFronts[] = {Front::open,      Front::full_cone, Front::address_restricted, Front::port_restricted,
                             Front::symmetric, Front::carrier,   Front::udp_blocked};

std::optional<NatKind> box_of(Front front) {
  switch (front) {
    case Front::open:
      return std::nullopt;
    case Front::udp_blocked:  // a firewall that lets TCP out
      return NatKind::port_restricted;
    case Front::full_cone:
      return NatKind::full_cone;
    case Front::address_restricted:
      return NatKind::address_restricted;
    case Front::port_restricted:
      return NatKind::port_restricted;
    case Front::symmetric:
      return NatKind::symmetric;
    case Front::carrier:
      return NatKind::carrier;
  }
  return std::nullopt;
}

std::string name_of_front(Front front) {
  if (front == Front::open) return "open";
  if (front == Front::udp_blocked) return "udp_blocked";
  return std::string(name_of(*box_of(front)));
}

// Machines 0 and 1 are public servers; 2 (A) dials 3 (B) through the relay.
struct Pair {
  Pair(Front of_a, Front of_b, uint64_t seed, const net::NatSettings& settings = NatWorld::default_settings())
      : world(seed) {
    if (const auto kind = box_of(of_a)) world.put_behind(2, *kind);
    if (const auto kind = box_of(of_b)) world.put_behind(3, *kind);
    world.extra_protocols = {std::string(kTalk)};
    for (int i = 0; i < 2; ++i) {
      net::NatSettings of_server = settings;
      of_server.dcutr.initiate = false;
      world.listen(world.add(of_server));
    }
    for (int i = 0; i < 2; ++i) world.listen(world.add(settings));
    if (of_a == Front::udp_blocked) world.block_udp(2);
    if (of_b == Front::udp_blocked) world.block_udp(3);
    for (int i = 0; i < 2; ++i) {
      world.connect(a(), *world.nodes[static_cast<size_t>(i)], of_a != Front::udp_blocked);
      world.connect(b(), *world.nodes[static_cast<size_t>(i)], of_b != Front::udp_blocked);
    }
  }
  NatWorld::Node& a() { return *world.nodes[2]; }
  NatWorld::Node& b() { return *world.nodes[3]; }
  void meet(uint64_t settle_us = 5 * kNatSecond) {
    world.run(settle_us);
    world.connect_relayed(a(), b());
  }
  // What B says in the end.
  const HolePunched* outcome(uint64_t within_us = 60 * kNatSecond) {
    world.run(within_us, [&] { return !b().punched.empty(); });
    return b().punched.empty() ? nullptr : &b().punched.front();
  }
  NatWorld world;
};

bool opens_to_all(Front front) { return front == Front::open || front == Front::full_cone; }
bool by_peer(Front front) { return front == Front::symmetric || front == Front::carrier; }

// From RFC 5128 and the kinds' definitions, for datagrams.
bool possible(Front a, Front b) {
  // TCP reaches who is open, and nobody else here: links are not punched through the simulated boxes.
  if (a == Front::udp_blocked) return b == Front::open;
  if (b == Front::udp_blocked) return a == Front::open;
  if (opens_to_all(a) || opens_to_all(b)) return true;
  if (by_peer(a) && by_peer(b)) return false;
  // One side's port is new to the other: a filter by address alone lets it in.
  const Front other = by_peer(a) ? b : a;
  const bool one_by_peer = by_peer(a) || by_peer(b);
  return !one_by_peer || other == Front::address_restricted;
}

TEST(Dcutr, EveryPairOfBoxes) {
  for (const Front a : kFronts) {
    for (const Front b : kFronts) {
      const std::string cell = name_of_front(a) + " and " + name_of_front(b);
      Pair pair(a, b, 1);
      pair.meet();
      const HolePunched* told = pair.outcome();
      ASSERT_NE(told, nullptr) << cell;
      EXPECT_TRUE(told->initiated);
      EXPECT_EQ(told->ok, possible(a, b)) << cell << ": " << net::path_reason_name(told->reason);
      EXPECT_EQ(told->ok, told->reason == PathReason::none) << cell;
      if (told->ok) {
        EXPECT_NE(told->direct, 0u);
        EXPECT_FALSE(net::is_relayed(told->address));
        EXPECT_LT(told->took_us, 2 * kNatSecond) << cell;
        // The relayed one goes when nothing is done on it, and what is opened next is direct.
        EXPECT_TRUE(pair.world.run(30 * kNatSecond, [&] { return pair.b().count<net::Disconnected>() > 0; })) << cell;
        const auto used = pair.b().swarm->connection_with(pair.a().swarm->peer_id());
        ASSERT_TRUE(used.has_value()) << cell;
        EXPECT_EQ(*used, told->direct) << cell;
      } else {
        EXPECT_EQ(told->attempts, net::kHolePunchAttemptsMax) << cell;
        const bool blocked = b == Front::udp_blocked;
        const PathReason expected = blocked      ? PathReason::udp_blocked
                                    : by_peer(b) ? PathReason::symmetric_nat
                                                 : PathReason::timeout_direct;
        EXPECT_EQ(told->reason, expected) << cell << ": " << net::path_reason_name(told->reason);
        EXPECT_TRUE(pair.b().swarm->connection_with(pair.a().swarm->peer_id()).has_value()) << "the relayed one stays";
      }
    }
  }
}

TEST(Dcutr, APunchedHoleTakesAFewRoundTrips) {
  Pair pair(Front::port_restricted, Front::port_restricted, 2);
  pair.meet();
  const HolePunched* told = pair.outcome();
  ASSERT_NE(told, nullptr);
  ASSERT_TRUE(told->ok);
  EXPECT_EQ(told->path, DirectPath::punched_quic);
  EXPECT_EQ(told->attempts, 1u);
  ASSERT_EQ(pair.a().punched.size(), 1u);
  EXPECT_FALSE(pair.a().punched[0].initiated);
  EXPECT_EQ(pair.a().punched[0].path, DirectPath::punched_quic);
  // A is the client of it, as the specification has it.
  const auto* at_a = pair.a().direct_with(pair.b().swarm->peer_id());
  ASSERT_NE(at_a, nullptr);
  EXPECT_FALSE(at_a->incoming);
}

TEST(Dcutr, WhoHasAPublicAddressIsDialed) {
  Pair pair(Front::open, Front::port_restricted, 3);
  pair.meet(30 * kNatSecond);
  const HolePunched* told = pair.outcome();
  ASSERT_NE(told, nullptr);
  EXPECT_TRUE(told->ok);
  EXPECT_EQ(told->path, DirectPath::dialed);
  EXPECT_EQ(told->attempts, 0u);
  const auto* at_b = pair.b().direct_with(pair.a().swarm->peer_id());
  ASSERT_NE(at_b, nullptr);
  EXPECT_FALSE(at_b->incoming);
}

TEST(Dcutr, StreamsOnTheRelayedConnectionGoOn) {
  Pair pair(Front::port_restricted, Front::full_cone, 4);
  pair.world.run(5 * kNatSecond);
  net::StreamId at_b = 0;
  pair.world.on_event = [&](NatWorld::Node& node, const net::HostEvent& event) {
    const auto* opened = std::get_if<net::StreamOpened>(&event);
    if (opened == nullptr || opened->protocol != kTalk) return false;
    if (opened->incoming && &node == &pair.b()) at_b = opened->stream;
    return true;
  };
  pair.world.connect_relayed(pair.a(), pair.b());
  ASSERT_TRUE(pair.world.run(kNatSecond,
                             [&] { return pair.a().swarm->connection_with(pair.b().swarm->peer_id()).has_value(); }));
  const auto relayed = pair.a().swarm->connection_with(pair.b().swarm->peer_id());
  const auto stream = pair.a().swarm->open_stream(*relayed, kTalk);
  ASSERT_TRUE(stream.ok());
  ASSERT_NE(pair.outcome(), nullptr);
  ASSERT_TRUE(pair.outcome()->ok);
  pair.world.run(20 * kNatSecond);
  ASSERT_NE(at_b, 0u);
  EXPECT_EQ(pair.a().count<net::Disconnected>(), 0u);
  EXPECT_NE(pair.a().swarm->connection_with(pair.b().swarm->peer_id()), relayed);
  ASSERT_TRUE(pair.a().swarm->write(*stream, as_bytes("still here")).ok());
  Bytes got;
  pair.world.run(5 * kNatSecond, [&] {
    std::array<uint8_t, 100> buffer;
    const auto read = pair.b().swarm->read(at_b, buffer);
    if (read.ok()) append(got, ByteView(buffer).first(read->size));
    return got.size() == 10;
  });
  EXPECT_EQ(to_string(ByteView(got)), "still here");
  pair.a().swarm->finish(*stream);
  pair.b().swarm->reset(at_b);
  EXPECT_TRUE(pair.world.run(10 * kNatSecond, [&] { return pair.a().count<net::Disconnected>() == 1; }));
}

TEST(Dcutr, AnotherNetworkIsAnotherChance) {
  Pair pair(Front::symmetric, Front::port_restricted, 5);
  pair.meet();
  const HolePunched* told = pair.outcome(90 * kNatSecond);
  ASSERT_NE(told, nullptr);
  ASSERT_FALSE(told->ok);
  pair.b().swarm->network_changed(pair.world.now());
  EXPECT_TRUE(pair.world.run(90 * kNatSecond, [&] { return pair.b().punched.size() == 2; }));
}

TEST(Dcutr, WithoutARelayedConnectionNothingIsPunched) {
  Pair pair(Front::open, Front::open, 6);
  pair.world.connect(pair.a(), pair.b());
  pair.world.run(20 * kNatSecond);
  EXPECT_TRUE(pair.a().punched.empty());
  EXPECT_TRUE(pair.b().punched.empty());
}

}  // namespace
}  // namespace sereus::sim
