#include "core/discovery/routing_table.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/discovery/address_facts.h"
#include "core/net/multiaddr.h"
#include "tests/support/test_random.h"

namespace sereus::discovery {
namespace {

class RoutingTableTest : public ::testing::Test {
 protected:
  net::PeerId draw() {
    DeviceKey key;
    random_.fill(key.bytes);
    return net::PeerId::from_device_key(key);
  }
  // One that shares exactly `bits` with us.
  net::PeerId draw_in(size_t bits) {
    for (;;) {
      net::PeerId peer = draw();
      if (KadId::of(peer).shared_bits(table_.own()) == bits) return peer;
    }
  }
  test::TestRandom random_{7};
  TableSettings settings_;
  RoutingTable table_{draw(), settings_};
};

TEST_F(RoutingTableTest, PlacesAndDistances) {
  const KadId a = KadId::of(as_bytes("a"));
  EXPECT_EQ(a.shared_bits(a), 256u);
  KadId b = a;
  b.words[1] ^= 1;
  EXPECT_EQ(a.shared_bits(b), 127u);
  EXPECT_LT(a.distance(b), a.distance(KadId::of(as_bytes("c"))));
  for (const size_t bits : {0, 1, 5, 9}) {
    EXPECT_EQ(KadId::of(key_in_bucket(a, bits, random_)).shared_bits(a), bits);
  }
}

TEST_F(RoutingTableTest, GivesTheClosestInOrder) {
  std::vector<net::PeerId> all;
  for (size_t i = 0; i < 15; ++i) {
    all.push_back(draw());
    table_.proven(all.back(), 0, 0, 1);
  }
  ASSERT_EQ(table_.size(), all.size());  // no bucket was full
  const KadId target = KadId::of(draw());
  std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) {
    return KadId::of(a).distance(target) < KadId::of(b).distance(target);
  });
  const auto closest = table_.closest(target, 5, false);
  ASSERT_EQ(closest.size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(closest[i].peer, all[i]);
}

TEST_F(RoutingTableTest, AFullBucketKeepsWhoLives) {
  std::vector<net::PeerId> first;
  for (size_t i = 0; i < settings_.k; ++i) {
    first.push_back(draw_in(0));
    EXPECT_EQ(table_.proven(first.back(), 0, 0, i), RoutingTable::Proven::added);
  }
  // However many come later.
  for (size_t i = 0; i < 200; ++i)
    EXPECT_EQ(table_.proven(draw_in(0), 0, 0, 1000 + i), RoutingTable::Proven::candidate);
  for (const auto& peer : first) EXPECT_TRUE(table_.contains(peer));
  EXPECT_EQ(table_.candidates(), settings_.k);
  // The one that was not seen for longest is doubted, once it is stale.
  EXPECT_FALSE(table_.doubtful(draw_in(0), 1000));
  table_.proven(first[0], 0, 0, kKadStaleUs);
  EXPECT_EQ(table_.doubtful(draw_in(0), kKadStaleUs + 1), first[1]);
  // It fails: the latest candidate takes its place.
  const auto newest = draw_in(0);
  table_.proven(newest, 0, 0, kKadStaleUs);
  table_.failed(first[1], false);
  EXPECT_FALSE(table_.contains(first[1]));
  EXPECT_TRUE(table_.contains(newest));
}

TEST_F(RoutingTableTest, OneFailureIsForgivenWhenNobodyWaits) {
  const auto peer = draw();
  table_.proven(peer, 0, 0, 1);
  table_.failed(peer, false);
  EXPECT_TRUE(table_.contains(peer));
  table_.proven(peer, 0, 0, 2);
  table_.failed(peer, false);
  EXPECT_TRUE(table_.contains(peer));
  table_.failed(peer, false);
  EXPECT_FALSE(table_.contains(peer));
  table_.proven(peer, 0, 0, 3);
  table_.failed(peer, true);
  EXPECT_FALSE(table_.contains(peer));
}

TEST_F(RoutingTableTest, OneSubnetFillsNeitherABucketNorTheTable) {
  constexpr uint64_t kSubnet = 42;
  size_t added = 0;
  for (size_t i = 0; i < 500; ++i) added += table_.proven(draw(), kSubnet, 0, i) == RoutingTable::Proven::added ? 1 : 0;
  EXPECT_EQ(added, kKadSubnetTableMax);
  for (const auto& bucket : table_.buckets(500)) EXPECT_LE(bucket.peers, kKadSubnetBucketMax);
  // Others have their places.
  EXPECT_EQ(table_.proven(draw_in(0), kSubnet + 1, 0, 501), RoutingTable::Proven::added);
}

TEST_F(RoutingTableTest, NamedPeersAreCandidatesOnlyAndFewOfThemByOnePeer) {
  const auto liar = draw();
  size_t taken = 0;
  for (size_t i = 0; i < 100; ++i) {
    const auto peer = draw_in(0);
    taken += table_.named(peer, KadId::of(peer), 0, liar, 1) ? 1 : 0;
  }
  EXPECT_EQ(taken, kKadCandidatesSourceMax);
  EXPECT_EQ(table_.size(), 0u);
  EXPECT_TRUE(table_.closest(table_.own(), 20, false).empty());
  EXPECT_EQ(table_.closest(table_.own(), 20, true).size(), taken);
  // Who answers is none any more, and the rest ends.
  const auto some = table_.closest(table_.own(), 1, true)[0].peer;
  EXPECT_EQ(table_.proven(some, 0, 0, 2), RoutingTable::Proven::added);
  table_.sweep(3);
  EXPECT_EQ(table_.candidates(), 0u);
  EXPECT_EQ(table_.size(), 1u);
}

TEST(AddressFactsTest, SaysWhereAnAddressIs) {
  const auto facts = [](const char* text) { return facts_of(net::Multiaddr::parse(text)->to_bytes()); };
  const auto a = facts("/ip4/203.0.113.7/udp/4001/quic-v1");
  const auto b = facts("/ip4/203.0.113.200/tcp/80");
  EXPECT_EQ(a.scope, net::AddressScope::global);
  EXPECT_EQ(a.subnet, b.subnet);
  EXPECT_NE(a.endpoint, b.endpoint);
  EXPECT_NE(a.subnet, facts("/ip4/203.0.114.7/tcp/80").subnet);
  EXPECT_EQ(facts("/ip4/127.0.0.1/tcp/80").scope, net::AddressScope::loopback);
  EXPECT_EQ(facts("/ip4/192.168.1.1/tcp/80").scope, net::AddressScope::local);
  EXPECT_EQ(facts("/ip6/2001:db8:1:2::1/tcp/80").subnet, facts("/ip6/2001:db8:1:9::1/udp/1/quic-v1").subnet);
  EXPECT_NE(facts("/ip6/2001:db8:1::1/tcp/80").subnet, facts("/ip6/2001:db8:2::1/tcp/80").subnet);
  const auto relayed =
      facts("/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5/p2p-circuit");
  EXPECT_TRUE(relayed.relayed);
  EXPECT_EQ(relayed.endpoint, facts("/ip4/203.0.113.7/tcp/4001").endpoint);
  EXPECT_EQ(facts("/dns4/relay.example.org/tcp/443/tls/ws").subnet, 0u);
  EXPECT_EQ(facts_of(Bytes{1, 2, 3}).endpoint, (Bytes{1, 2, 3}));
}

}  // namespace
}  // namespace sereus::discovery
