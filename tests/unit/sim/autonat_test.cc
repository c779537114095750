// AutoNAT behind boxes of every kind: whether a host finds out that it is reached, and where.
#include <gtest/gtest.h>

#include "tests/unit/sim/nat_world.h"

namespace sereus::sim {
namespace {

using net::NatMapping;
using net::Reachability;

class AutoNatTest : public testing::Test {
 protected:
  // Machines 0 to 2 are public servers, 3 is behind the box, if any.
  NatWorld::Node& start(std::optional<NatSettings> box, uint64_t seed = 1, size_t servers = 3) {
    world = std::make_unique<NatWorld>(seed);
    if (box) world->put_behind(servers, *box);
    for (size_t i = 0; i < servers; ++i) {
      world->listen(world->add());
    }
    NatWorld::Node& node = world->add();
    world->listen(node);
    return node;
  }
  void connect(NatWorld::Node& node, bool quic = true) {
    for (auto& other : world->nodes) {
      if (other.get() != &node) world->connect(node, *other, quic);
    }
  }
  bool settles(NatWorld::Node& node, Reachability state, uint64_t within_us = 120 * kNatSecond) {
    return world->run(within_us, [&] { return node.state() == state; });
  }
  static NatSettings of(NatKind kind) {
    NatSettings settings;
    settings.kind = kind;
    return settings;
  }

  std::unique_ptr<NatWorld> world;
};

TEST_F(AutoNatTest, AnOpenHostFindsItselfPublic) {
  NatWorld::Node& node = start(std::nullopt);
  connect(node);
  ASSERT_TRUE(settles(node, Reachability::reachable));
  const auto& told = node.nat->client().state();
  EXPECT_EQ(told.v4, Reachability::reachable);
  EXPECT_EQ(told.v6, Reachability::unreachable) << "it does not listen there";
  EXPECT_EQ(told.reason, net::ReachabilityReason::dialed_back);
  ASSERT_TRUE(world->run(60 * kNatSecond, [&] { return node.nat->client().state().addresses.size() == 2; }));
  EXPECT_EQ(told.addresses[0], NatWorld::quic_address(node));
  EXPECT_EQ(node.nat->client().mapping(false), NatMapping::none);
  EXPECT_TRUE(node.nat->client().external_addresses().empty()) << "it listens on them all";
  for (const auto& address : node.nat->client().addresses()) EXPECT_EQ(address.yes, 3u);
  // The servers, which nobody told anything, find the same by asking it and each other.
  EXPECT_TRUE(settles(*world->nodes[0], Reachability::reachable));
}

TEST_F(AutoNatTest, OneServerIsEnoughWhereThereIsOne) {
  NatWorld::Node& open = start(std::nullopt, 2, 1);
  connect(open);
  EXPECT_TRUE(settles(open, Reachability::reachable));
  NatWorld::Node& behind = start(of(NatKind::port_restricted), 2, 1);
  connect(behind);
  EXPECT_TRUE(settles(behind, Reachability::unreachable));
}

TEST_F(AutoNatTest, BehindEachKindOfBox) {
  struct Expected {
    NatKind kind;
    Reachability state;
    NatMapping mapping;
  };
  const Expected table[] = {
      {NatKind::full_cone, Reachability::reachable, NatMapping::endpoint_independent},
      // Its filter knows the servers' addresses already: autonat_client.h says so.
      {NatKind::address_restricted, Reachability::reachable, NatMapping::endpoint_independent},
      {NatKind::port_restricted, Reachability::unreachable, NatMapping::endpoint_independent},
      {NatKind::symmetric, Reachability::unreachable, NatMapping::endpoint_dependent},
      {NatKind::carrier, Reachability::unreachable, NatMapping::endpoint_dependent},
  };
  for (const Expected& expected : table) {
    NatWorld::Node& node = start(of(expected.kind), 3);
    connect(node);
    EXPECT_TRUE(settles(node, expected.state)) << name_of(expected.kind);
    EXPECT_EQ(node.nat->client().mapping(false), expected.mapping) << name_of(expected.kind);
    const auto external = node.nat->client().external_addresses();
    const bool reached = expected.state == Reachability::reachable;
    EXPECT_EQ(external.size(), reached ? 1u : 0u) << name_of(expected.kind);
    if (!reached) {
      EXPECT_EQ(node.nat->client().state().reason, net::ReachabilityReason::not_dialed_back);
      continue;
    }
    EXPECT_TRUE(external[0].starts_with("/ip4/10.2.1.1/udp/")) << external[0];
    // Who is connected hears of it, in the signed record too.
    const auto told = [&] {
      for (const auto& notice : world->nodes[0]->notices) {
        const auto* identified = std::get_if<net::Identified>(&notice);
        if (identified == nullptr || !identified->pushed || !identified->peer.record) continue;
        for (const auto& address : identified->peer.record->addresses) {
          if (address.to_string() == external[0]) return true;
        }
      }
      return false;
    };
    EXPECT_TRUE(world->run(10 * kNatSecond, told)) << name_of(expected.kind);
    EXPECT_EQ(node.swarm->announced_addresses()[0], external[0]);
  }
}

TEST_F(AutoNatTest, AForwardedPortIsFoundThoughNobodyIsSeenComingFromIt) {
  // TCP leaves by ports of its own, so the address is put together from what peers see and what is listened on.
  NatSettings box = of(NatKind::symmetric);
  box.forwards = true;
  NatWorld::Node& node = start(box, 4);
  connect(node, false);
  const std::string forwarded = "/ip4/10.2.1.1/tcp/4001";
  const auto found = [&] {
    const auto external = node.nat->client().external_addresses();
    return std::find(external.begin(), external.end(), forwarded) != external.end();
  };
  EXPECT_TRUE(world->run(120 * kNatSecond, found));
}

TEST_F(AutoNatTest, WhoseDatagramsAreBlockedIsReachedByTcpAlone) {
  NatWorld::Node& node = start(std::nullopt, 5);
  world->block_udp(3);
  connect(node, false);
  ASSERT_TRUE(world->run(180 * kNatSecond, [&] {
    return node.nat->client().addresses().size() == 2 && node.nat->client().state().addresses.size() == 1 &&
           node.nat->client().addresses()[0].no >= 1;
  }));
  EXPECT_EQ(node.nat->client().state().addresses[0], NatWorld::tcp_address(node));
  EXPECT_TRUE(node.nat->udp_blocked());
}

TEST_F(AutoNatTest, AnotherNetworkIsLookedAtAnew) {
  NatSettings box = of(NatKind::full_cone);
  NatWorld::Node& node = start(box, 6);
  connect(node);
  ASSERT_TRUE(settles(node, Reachability::reachable));
  ASSERT_EQ(node.nat->client().external_addresses().size(), 1u);
  const std::string before = node.nat->client().external_addresses()[0];
  world->network.rebind(3, true);
  node.swarm->network_changed(world->now());
  ASSERT_TRUE(world->run(10 * kNatSecond, [&] { return node.state() == Reachability::unknown; }));
  EXPECT_EQ(node.reachability.back().reason, net::ReachabilityReason::network_changed);
  EXPECT_TRUE(node.nat->client().external_addresses().empty());
  // The addresses that identify told are those of the old box until somebody is asked anew: connections that began after it.
  for (auto& server : world->nodes) {
    if (server.get() == &node) continue;
    world->connect(node, *server);
  }
  ASSERT_TRUE(world->run(180 * kNatSecond, [&] {
    const auto external = node.nat->client().external_addresses();
    return !external.empty() && external[0].starts_with("/ip4/10.2.1.2/");
  }));
  EXPECT_NE(node.nat->client().external_addresses()[0], before);
}

TEST_F(AutoNatTest, WithoutServersNothingIsKnown) {
  NatWorld::Node& node = start(std::nullopt, 7, 0);
  world->run(300 * kNatSecond);
  EXPECT_EQ(node.state(), Reachability::unknown);
  EXPECT_TRUE(node.reachability.empty());
}

TEST_F(AutoNatTest, ADialBackComesFromElsewhereThanTheServer) {
  NatWorld::Node& node = start(std::nullopt, 8, 1);
  connect(node);
  ASSERT_TRUE(settles(node, Reachability::reachable));
  size_t strangers = 0;
  for (const auto& event : node.events) {
    const auto* connected = std::get_if<net::Connected>(&event);
    if (connected == nullptr || !connected->incoming) continue;
    ++strangers;
    EXPECT_NE(connected->peer, world->nodes[0]->swarm->peer_id());
    EXPECT_FALSE(connected->address.ends_with("/4001/quic-v1")) << connected->address;
  }
  EXPECT_GE(strangers, 1u);
  EXPECT_GE(world->nodes[0]->nat->server()->stats().served, 1u);
  EXPECT_EQ(world->nodes[0]->nat->server()->stats().data_bytes, 0u) << "at the address that it is seen at";
}

TEST_F(AutoNatTest, TheSameSeedAsksTheSame) {
  std::vector<uint64_t> traces;
  for (int i = 0; i < 2; ++i) {
    NatWorld::Node& node = start(of(NatKind::symmetric), 9);
    connect(node);
    ASSERT_TRUE(settles(node, Reachability::unreachable));
    traces.push_back(world->network.trace());
  }
  EXPECT_EQ(traces[0], traces[1]);
}

}  // namespace
}  // namespace sereus::sim
