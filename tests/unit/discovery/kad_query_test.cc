#include "core/discovery/kad_query.h"

#include <gtest/gtest.h>

#include <set>

#include "core/net/multiaddr.h"
#include "tests/support/test_random.h"

namespace sereus::discovery {
namespace {

using State = KadQuery::State;

class KadQueryTest : public ::testing::Test {
 protected:
  net::PeerId draw() {
    DeviceKey key;
    random_.fill(key.bytes);
    return net::PeerId::from_device_key(key);
  }
  static Bytes address(uint32_t a, uint16_t port = 4001) {
    return {4,
            20,
            static_cast<uint8_t>(a >> 16),
            static_cast<uint8_t>(a >> 8),
            static_cast<uint8_t>(a),
            6,
            static_cast<uint8_t>(port >> 8),
            static_cast<uint8_t>(port)};
  }
  // In a subnet of its own.
  Bytes fresh_address() { return address(++addresses_ << 8); }
  void name(KadQuery& query, const KadId& by, const net::PeerId& peer, Bytes at, bool certified = false) {
    query.named(by, KadPeer{peer, {std::move(at)}, KadLink::not_connected, {}}, KadId::of(peer), certified);
  }
  test::TestRandom random_{3};
  uint32_t addresses_ = 0;
  const net::PeerId own_ = draw();
  const KadId target_ = KadId::of(as_bytes("target"));
};

// A network of 300 in which everybody knows the 20 closest to anything.
TEST_F(KadQueryTest, EndsWithTheClosestOfAll) {
  std::map<KadId, net::PeerId> all;
  for (size_t i = 0; i < 300; ++i) {
    const auto peer = draw();
    all[KadId::of(peer).distance(target_)] = peer;
  }
  KadQuery query(target_, own_, {});
  query.seed(all.rbegin()->second, {fresh_address()}, true);
  while (auto ask = query.next()) {
    query.answered(ask->place);
    size_t told = 0;
    // It knows those that are at most 64 times nearer than itself.
    for (const auto& [distance, peer] : all) {
      if (distance.words[0] < ask->place.words[0] / 64) continue;
      if (++told > 20) break;
      name(query, ask->place, peer, fresh_address());
    }
  }
  EXPECT_TRUE(query.done());
  const auto closest = query.closest();
  ASSERT_EQ(closest.size(), 20u);
  auto expected = all.begin();
  for (const auto& ask : closest) EXPECT_EQ(ask.peer, (expected++)->second);
  EXPECT_LT(query.requests(), 45u);
}

TEST_F(KadQueryTest, AsksAlphaAtATimeAndAnotherBesideASlowOne) {
  KadQuery query(target_, own_, {});
  for (size_t i = 0; i < 10; ++i) query.seed(draw(), {}, true);
  std::vector<KadQuery::Ask> asked;
  while (auto ask = query.next()) {
    query.set_times(ask->place, 100, 300);
    asked.push_back(*ask);
  }
  EXPECT_EQ(asked.size(), 3u);
  EXPECT_EQ(query.step(99), 100u);
  EXPECT_FALSE(query.next());
  EXPECT_EQ(query.step(100), 300u);
  EXPECT_TRUE(query.next());
  // A slow answer counts.
  query.answered(asked[0].place);
  EXPECT_EQ(query.find(asked[0].place)->state, State::answered);
}

TEST_F(KadQueryTest, WaitsForLateOnesOnlyWhenPatientOrNobodyAnswered) {
  for (const bool patient : {false, true}) {
    QuerySettings settings;
    settings.patient = patient;
    KadQuery query(target_, own_, settings);
    query.seed(draw(), {}, true);
    query.seed(draw(), {}, true);
    const auto quick = query.next();
    const auto late = query.next();
    query.set_times(quick->place, 100, 300);
    query.set_times(late->place, 100, 300);
    query.step(300);
    EXPECT_FALSE(query.done());  // nobody answered
    query.answered(quick->place);
    EXPECT_EQ(query.done(), !patient);
    query.failed(late->place);
    EXPECT_TRUE(query.done());
  }
}

// Once, sixteen peers that were gone held up a lookup until the last of their dials had failed.
TEST_F(KadQueryTest, LateOnesHoldUpNobody) {
  KadQuery query(target_, own_, {});
  for (size_t i = 0; i < 100; ++i) query.seed(draw(), {}, true);
  size_t asked = 0;
  for (uint64_t now_us = 0; now_us < 100; ++now_us) {
    query.step(now_us);
    while (auto ask = query.next()) {
      query.set_times(ask->place, now_us + 1, now_us + 2);
      ++asked;
    }
  }
  EXPECT_EQ(asked, 100u);
}

TEST_F(KadQueryTest, WhoNamesPeersThatAreNotThereIsNotBelieved) {
  KadQuery query(target_, own_, {});
  const auto liar = draw();
  const auto honest = draw();
  query.seed(liar, {}, true);
  query.seed(honest, {}, true);
  const KadId liar_at = KadId::of(liar).distance(target_);
  const KadId honest_at = KadId::of(honest).distance(target_);
  while (query.next()) {
  }
  query.answered(liar_at);
  std::set<net::PeerId> lies;
  for (size_t i = 0; i < 20; ++i) {
    const auto peer = draw();
    lies.insert(peer);
    name(query, liar_at, peer, fresh_address());
  }
  query.answered(honest_at);
  const auto confirmed = *lies.begin();
  const auto good = draw();
  name(query, honest_at, good, fresh_address());
  name(query, honest_at, confirmed, fresh_address());
  std::set<net::PeerId> asked;
  while (auto ask = query.next()) {
    asked.insert(ask->peer);
    lies.contains(ask->peer) ? query.failed(ask->place) : query.answered(ask->place);
  }
  EXPECT_TRUE(query.done());
  EXPECT_TRUE(asked.contains(good));
  EXPECT_TRUE(asked.contains(confirmed));  // somebody else named it, too
  size_t wasted = 0;
  for (const auto& peer : lies) wasted += asked.contains(peer) ? 1 : 0;
  EXPECT_LE(wasted, kKadIntroducedBadMax + 3);
}

// "Dial amplification": strangers name one address for everybody.
TEST_F(KadQueryTest, AVictimIsDialedTwiceAndNoMore) {
  KadQuery query(target_, own_, {});
  size_t dials = 0;
  const Bytes victim = address(0x010203);
  for (size_t i = 0; i < 10; ++i) query.seed(draw(), {}, true);
  while (auto ask = query.next()) {
    for (const Bytes& at : ask->addresses) dials += at == victim ? 1 : 0;
    if (!ask->known) {
      query.failed(ask->place);
      continue;
    }
    query.answered(ask->place);
    for (size_t i = 0; i < 20; ++i) name(query, ask->place, draw(), victim);
  }
  EXPECT_TRUE(query.done());
  EXPECT_EQ(dials, kKadDialsEndpointMax);
}

TEST_F(KadQueryTest, ASubnetIsAskedAFewTimes) {
  KadQuery query(target_, own_, {});
  query.seed(draw(), {}, true);
  size_t asked = 0;
  uint32_t host = 0;
  while (auto ask = query.next()) {
    query.answered(ask->place);  // they all exist, in one place
    asked += ask->known ? 0 : 1;
    for (size_t i = 0; i < 20; ++i) name(query, ask->place, draw(), address(0x050500 + (++host & 0xff)));
  }
  EXPECT_TRUE(query.done());
  EXPECT_EQ(asked, kKadQuerySubnetMax);
}

TEST_F(KadQueryTest, EndsHoweverManyPeersAreInvented) {
  KadQuery query(target_, own_, {});
  query.seed(draw(), {}, true);
  while (auto ask = query.next()) {
    query.answered(ask->place);
    for (size_t i = 0; i < 20; ++i) name(query, ask->place, draw(), fresh_address());
  }
  EXPECT_TRUE(query.done());
  EXPECT_LE(query.requests(), kKadQueryRequestsMax);
}

TEST_F(KadQueryTest, PathsShareTheRequests) {
  QuerySettings settings;
  settings.paths = 4;
  settings.alpha = 4;
  KadQuery query(target_, own_, settings);
  for (size_t i = 0; i < 4; ++i) query.seed(draw(), {}, true);
  std::map<uint32_t, size_t> asked;
  size_t requests = 0;
  // The first path's peers invent one another without end.
  while (auto ask = query.next()) {
    if (++requests > 60) break;
    const uint32_t path = query.find(ask->place)->path;
    ++asked[path];
    query.answered(ask->place);
    for (size_t i = 0; i < (path == 0 ? 20 : 3); ++i) name(query, ask->place, draw(), fresh_address());
  }
  for (const auto& [path, count] : asked) EXPECT_GE(count, 5u) << path;
  EXPECT_EQ(asked.size(), 4u);
}

}  // namespace
}  // namespace sereus::discovery
