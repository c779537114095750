// Peer exchange between swarms on the simulated network.
#include "core/discovery/pex.h"

#include <gtest/gtest.h>

#include <set>

#include "core/discovery/schema/pex_generated.h"
#include "core/net/peer_record.h"
#include "tests/support/swarm_world.h"

namespace sereus::discovery {
namespace {

using test::NetWorld;
using test::SwarmWorld;

constexpr uint64_t kSecond = kMicrosPerSecond;

crypto::KeyPair stranger(size_t number) {
  crypto::SecretBytes<32> seed;
  seed.span()[0] = 0x77;
  seed.span()[1] = static_cast<uint8_t>(number);
  return crypto::KeyPair::from_seed(seed);
}

net::PeerId id_of(const crypto::KeyPair& key) { return net::PeerId::from_device_key(key.device_key()); }

Bytes record_of(const crypto::KeyPair& key, std::string_view address, uint64_t seq = 1) {
  return net::seal_peer_record(key, seq, {net::Multiaddr::parse(address).value()}).value();
}

class PexTest : public testing::Test {
 protected:
  struct Party {
    SwarmWorld::Node* node = nullptr;
    AddressBook book;
    std::unique_ptr<Pex> pex;
    std::deque<PexLearned> learned;
    net::PeerId id() const { return node->swarm->peer_id(); }
  };

  PexTest() {
    world.on_event = [this](SwarmWorld::Node& node, const net::HostEvent& event) {
      for (auto& party : parties) {
        if (party->node == &node && party->pex) party->pex->on_event(event, now());
      }
    };
  }

  Party& add(uint64_t interval_us = 0) {
    parties.push_back(std::make_unique<Party>());
    Party& party = *parties.back();
    party.node = &world.add();
    world.listen(*party.node);
    PexSettings settings;
    settings.protocol = pex_protocol_of("test");
    settings.interval_us = interval_us;
    party.pex = std::make_unique<Pex>(*party.node->swarm, *party.node->random, party.book, settings);
    party.node->swarm->set_protocols(party.pex->protocols());
    return party;
  }
  // The world's, and what pass() has added: that is long for a simulated network to stand idle.
  Times now() const {
    Times times = world.now();
    times.mono_us += passed_us;
    times.wall_us += static_cast<int64_t>(passed_us);
    return times;
  }
  void pass(uint64_t us) {
    passed_us += us;
    run(SwarmWorld::kTickUs, [] { return false; });
  }
  void step() {
    for (auto& party : parties) {
      while (!party->node->notices.empty()) {
        if (party->pex) party->pex->on_notice(party->node->notices.front(), now());
        party->node->notices.pop_front();
      }
      if (!party->pex) continue;
      party->pex->step(now());
      while (auto event = party->pex->next_event()) party->learned.push_back(std::move(*event));
    }
  }
  bool run(uint64_t us, const std::function<bool()>& done) {
    return world.run(us, [&] {
      step();
      return done();
    });
  }
  void connect(Party& from, Party& to) {
    ASSERT_TRUE(from.node->swarm->dial(to.id(), {world.quic_address(*to.node)}).ok());
    ASSERT_TRUE(run(5 * kSecond, [&] { return from.node->swarm->connection_with(to.id()).has_value(); }));
    run(kSecond, [] { return false; });  // identify
  }
  // What `party` learns of one question to all.
  PexLearned ask(Party& party) {
    party.learned.clear();
    party.pex->ask_all();
    EXPECT_TRUE(run(5 * kSecond, [&] { return !party.learned.empty(); }));
    return party.learned.empty() ? PexLearned() : party.learned.front();
  }
  void knows(Party& party, size_t number, std::string_view address = "/ip4/10.1.0.1/udp/4001/quic-v1") {
    const crypto::KeyPair key = stranger(number);
    ASSERT_TRUE(party.book.add_record(id_of(key), record_of(key, address), now().mono_us).ok());
  }

  SwarmWorld world{1};
  uint64_t passed_us = 0;
  std::vector<std::unique_ptr<Party>> parties;
};

TEST_F(PexTest, TellsWhomItKnowsWithTheirRecords) {
  Party& alice = add();
  Party& bob = add();
  knows(bob, 1);
  bob.book.add(id_of(stranger(2)), {net::Multiaddr::parse("/ip4/10.1.0.2/tcp/1").value().to_bytes()},
               AddressSource::connected, {}, now().mono_us);  // nobody signed that
  connect(alice, bob);
  const PexLearned learned = ask(alice);
  EXPECT_EQ(learned.from, bob.id());
  EXPECT_EQ(learned.refused, 0u);
  EXPECT_EQ(learned.peers, std::vector<net::PeerId>{id_of(stranger(1))});
  EXPECT_EQ(alice.book.best_addresses(learned.peers[0], now().mono_us),
            std::vector<std::string>{"/ip4/10.1.0.1/udp/4001/quic-v1"});
  EXPECT_FALSE(alice.book.knows(id_of(stranger(2)), now().mono_us));
  // The one who was asked knows the asker now, by its own word.
  EXPECT_FALSE(bob.book.record(alice.id(), now().mono_us).empty());
}

TEST_F(PexTest, AsksNewNeighboursByItselfAndThenNowAndThen) {
  Party& alice = add(60 * kSecond);
  Party& bob = add();
  knows(bob, 1);
  connect(alice, bob);
  ASSERT_EQ(alice.learned.size(), 1u);
  EXPECT_EQ(alice.learned[0].peers.size(), 1u);
  knows(bob, 2);
  pass(28 * kSecond);
  EXPECT_FALSE(run(kSecond, [&] { return alice.learned.size() > 1; }));
  pass(31 * kSecond);
  EXPECT_TRUE(run(kSecond, [&] { return alice.learned.size() > 1; }));
}

TEST_F(PexTest, AgesGoOnAndOldOnesAreNotTold) {
  Party& alice = add();
  Party& bob = add();
  Party& carol = add();
  knows(carol, 1);
  connect(bob, carol);
  pass(10 * 60 * kSecond);
  ASSERT_EQ(ask(bob).peers.size(), 1u);
  const net::PeerId peer = id_of(stranger(1));
  const uint64_t age_us = bob.book.record_age_us(peer, now().mono_us);
  EXPECT_GE(age_us, 600 * kSecond);
  EXPECT_LE(age_us, 603 * kSecond);
  pass(10 * 60 * kSecond);
  connect(alice, bob);
  ASSERT_EQ(ask(alice).peers, std::vector<net::PeerId>{peer});
  EXPECT_GE(alice.book.record_age_us(peer, now().mono_us), 1200 * kSecond);
  // Told again, it is no younger: nothing is kept alive by going round.
  pass(11 * 60 * kSecond);
  EXPECT_TRUE(ask(alice).peers.empty());
  EXPECT_GE(alice.book.record_age_us(peer, now().mono_us), 1800 * kSecond);
}

TEST_F(PexTest, DrawsASampleAndAnswersNotTooOften) {
  Party& alice = add();
  Party& bob = add();
  for (size_t i = 0; i < 200; ++i) knows(bob, i);
  connect(alice, bob);
  EXPECT_EQ(ask(alice).peers.size(), kPexPeersMax);
  alice.pex->ask_all();
  EXPECT_FALSE(run(5 * kSecond, [&] { return alice.learned.size() > 1; }));
  pass(30 * kSecond);
  const PexLearned again = ask(alice);
  EXPECT_GT(again.peers.size(), 10u);  // most of another 32 of 200 are others
}

TEST_F(PexTest, OnePeerFillsSoManyPlacesAndNoMore) {
  Party& alice = add();
  Party& bob = add();
  connect(alice, bob);
  for (size_t round = 0; round < 6; ++round) {
    for (size_t i = 0; i < kPexPeersMax; ++i) knows(bob, round * kPexPeersMax + i);
    EXPECT_FALSE(ask(alice).peers.empty());
    for (size_t i = 0; i < kPexPeersMax; ++i) bob.book.forget(id_of(stranger(round * kPexPeersMax + i)));
    pass(31 * kSecond);
  }
  EXPECT_LE(alice.book.peers(now().mono_us, AddressSource::certified).size(), kPexPeersSourceMax + 1);
}

TEST_F(PexTest, WhatIsOfALocalNetworkStaysInIt) {
  Party& alice = add();
  Party& bob = add();
  knows(bob, 1, "/ip4/10.1.0.1/udp/4001/quic-v1");
  knows(bob, 2, "/ip4/198.51.100.2/udp/4001/quic-v1");
  connect(alice, bob);
  // Bob sees her come from afar.
  const auto connection = bob.node->swarm->connection_with(alice.id());
  bob.pex->on_event(net::Connected{*connection, 0, alice.id(), "/ip4/203.0.113.5/udp/1/quic-v1", true}, now());
  EXPECT_EQ(ask(alice).peers, std::vector<net::PeerId>{id_of(stranger(2))});
}

// A peer that speaks the protocol and says what the test says.
class HostilePexTest : public PexTest {
 protected:
  HostilePexTest() : alice(add()), mallory(add()) {
    mallory.pex.reset();
    streams =
        std::make_unique<net::MessageStreams>(*mallory.node->swarm, net::MessageStreams::Bounds{1 << 20, 1 << 20});
    auto before = world.on_event;
    world.on_event = [this, before](SwarmWorld::Node& node, const net::HostEvent& event) {
      before(node, event);
      if (&node != mallory.node) return;
      const auto* opened = std::get_if<net::StreamOpened>(&event);
      if (opened != nullptr && opened->incoming) streams->accept(*opened, kNever);
      streams->on_event(event, now());
      while (const auto told = streams->next_event()) {
        const auto* message = std::get_if<net::MessageReceived>(&*told);
        if (message == nullptr) continue;
        (void)streams->send(message->stream, answer);
        streams->finish(message->stream);
      }
    };
    connect(alice, mallory);
  }
  static Bytes answer_of(const std::vector<Bytes>& records, uint32_t age_s = 0) {
    flatbuffers::FlatBufferBuilder builder(1024);
    std::vector<flatbuffers::Offset<wire::PexPeer>> peers;
    for (const Bytes& record : records) {
      peers.push_back(wire::CreatePexPeer(builder, builder.CreateVector(record.data(), record.size()), age_s));
    }
    builder.Finish(wire::CreatePexAnswer(builder, builder.CreateVector(peers)));
    return Bytes(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  }
  size_t known() { return alice.book.peers(now().mono_us).size(); }

  Party& alice;
  Party& mallory;
  std::unique_ptr<net::MessageStreams> streams;
  Bytes answer;
};

TEST_F(HostilePexTest, ForgedRecordsAreRefused) {
  Bytes forged = record_of(stranger(1), "/ip4/10.1.0.1/tcp/1");
  forged.back() ^= 1;
  answer = answer_of({forged, Bytes(40, 7), Bytes(), record_of(stranger(2), "/ip4/10.1.0.2/tcp/1")});
  const PexLearned learned = ask(alice);
  EXPECT_EQ(learned.refused, 3u);
  EXPECT_EQ(learned.peers, std::vector<net::PeerId>{id_of(stranger(2))});
  EXPECT_EQ(known(), 1u);
}

TEST_F(HostilePexTest, WhatIsNoAnswerIsNone) {
  for (const Bytes& bad : {Bytes(), Bytes(3, 1), Bytes(100, 0xff)}) {
    answer = bad;
    const PexLearned learned = ask(alice);
    EXPECT_EQ(learned.refused, 1u);
    EXPECT_TRUE(learned.peers.empty());
  }
  answer = Bytes(kPexMessageMax + 1);
  alice.learned.clear();
  alice.pex->ask_all();
  EXPECT_FALSE(run(kSecond, [&] { return !alice.learned.empty(); }));
  EXPECT_EQ(known(), 0u);
  // And is asked again another time.
  answer = answer_of({record_of(stranger(1), "/ip4/10.1.0.1/tcp/1")});
  EXPECT_EQ(ask(alice).peers.size(), 1u);
}

TEST_F(HostilePexTest, MoreThanWasAskedForIsNotLookedAt) {
  std::vector<Bytes> many;
  for (size_t i = 0; i < kPexPeersMax + 10; ++i) many.push_back(record_of(stranger(i), "/ip4/10.1.0.1/tcp/1"));
  answer = answer_of(many);
  EXPECT_EQ(ask(alice).peers.size(), kPexPeersMax);
}

TEST_F(HostilePexTest, OldOnesOursAndOlderThanWeKnowAreNotTaken) {
  knows(alice, 1);
  const Bytes newer = record_of(stranger(2), "/ip4/10.1.0.2/tcp/2", 5);
  ASSERT_TRUE(alice.book.add_record(id_of(stranger(2)), newer, now().mono_us).ok());
  const auto own = alice.node->swarm->signed_record(now());
  ASSERT_TRUE(own.ok());
  answer = answer_of({*own, record_of(stranger(2), "/ip4/10.1.0.9/tcp/9", 4)});
  PexLearned learned = ask(alice);
  EXPECT_TRUE(learned.peers.empty());
  EXPECT_EQ(learned.refused, 0u);
  EXPECT_EQ(to_bytes(alice.book.record(id_of(stranger(2)), now().mono_us)), newer);
  EXPECT_FALSE(alice.book.knows(alice.id(), now().mono_us));
  answer = answer_of({record_of(stranger(3), "/ip4/10.1.0.3/tcp/1")}, kPexFreshUs / kMicrosPerSecond);
  EXPECT_TRUE(ask(alice).peers.empty());
}

TEST_F(HostilePexTest, RequestsThatAreNoneAreReset) {
  const Bytes others = record_of(stranger(1), "/ip4/10.1.0.1/tcp/1");
  flatbuffers::FlatBufferBuilder builder(512);
  builder.Finish(wire::CreatePexRequest(builder, 1, 8, builder.CreateVector(others.data(), others.size())));
  const Bytes with_anothers_record(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  builder.Clear();
  builder.Finish(wire::CreatePexRequest(builder, 2, 8, 0));
  const Bytes newer(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  const auto connection = mallory.node->swarm->connection_with(alice.id());
  for (const Bytes& bad : {with_anothers_record, newer, Bytes(8, 1)}) {
    mallory.node->events.clear();
    const auto stream = mallory.node->swarm->open_stream(*connection, pex_protocol_of("test"));
    ASSERT_TRUE(stream.ok());
    ASSERT_TRUE(mallory.node->swarm->write(*stream, net::delimited(bad)).ok());
    EXPECT_TRUE(run(5 * kSecond, [&] { return mallory.node->event<net::StreamClosed>() != nullptr; }));
    pass(31 * kSecond);
  }
  EXPECT_EQ(known(), 0u);
}

}  // namespace
}  // namespace sereus::discovery
