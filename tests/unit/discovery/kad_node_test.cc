// Nodes of the DHT on the least network there can be (sim/kad_world.h): what they find, and what hostile ones achieve.
#include "core/discovery/kad_node.h"

#include <gtest/gtest.h>

#include "core/crypto/hash.h"
#include "sim/kad_world.h"

namespace sereus::discovery {
namespace {

using sim::KadWorld;
using Kind = KadWorld::Kind;
using Index = KadWorld::Index;
constexpr uint64_t kSecond = kMicrosPerSecond;

class KadNodeTest : public ::testing::Test {
 protected:
  explicit KadNodeTest(sim::KadWorldSettings settings = {}) : world_(settings) {
    world_.on_event = [this](KadWorld::Node& node, const KadEvent& event) {
      if (const auto* done = std::get_if<KadDone>(&event)) done_[{node.index, done->op}] = *done;
      if (const auto* trace = std::get_if<KadTrace>(&event)) traces_.push_back(*trace);
    };
  }
  void grow(size_t count, Kind kind = Kind::honest) {
    for (size_t i = 0; i < count; ++i) {
      world_.add(world_.nodes.empty() ? std::vector<Index>() : std::vector<Index>{0}, kind);
      world_.run(kSecond);
    }
  }
  KadDone wait(KadWorld::Node& node, const Result<uint64_t>& op) {
    EXPECT_TRUE(op.ok());
    world_.drain(node);
    const std::pair<Index, uint64_t> key{node.index, *op};
    EXPECT_TRUE(world_.run(90 * kSecond, [&] { return done_.contains(key); }));
    return done_[key];
  }
  KadDone find(KadWorld::Node& node, const KadWorld::Node& target) {
    return wait(node, node.kad->find_peer(target.peer, true, world_.now()));
  }
  KadWorld::Node& at(size_t index) { return *world_.nodes[index]; }
  static Bytes content(std::string_view text) {
    Bytes out = {0x12, 0x20};
    append(out, crypto::sha256(as_bytes(text)).view());
    return out;
  }
  // What one request of `from` gets at `to`.
  Result<std::optional<KadMessage>> ask(KadWorld::Node& to, const KadWorld::Node& from, const KadMessage& message) {
    return to.kad->serve(from.peer, from.address, message, world_.now());
  }

  KadWorld world_;
  std::map<std::pair<Index, uint64_t>, KadDone> done_;
  std::vector<KadTrace> traces_;
};

TEST_F(KadNodeTest, ANetworkOfOneBootstrapNode) {
  grow(1);
  auto& listener = world_.add({0}, Kind::honest, false);  // a client: it answers nobody
  auto& dialer = world_.add({0}, Kind::honest, false);
  world_.run(5 * kSecond);
  const KadDone done = find(dialer, listener);
  ASSERT_EQ(done.error.code, Code::ok);
  ASSERT_EQ(done.peers.size(), 1u);
  EXPECT_EQ(done.peers[0].addresses, std::vector<Bytes>{listener.address});
  EXPECT_TRUE(done.certified);
  // Also when it has gone from the bootstrap node long ago, for as long as its record lives.
  at(0).kad->on_disconnected(listener.peer, false);
  EXPECT_TRUE(find(dialer, listener).certified);
}

TEST_F(KadNodeTest, NobodyIsThere) {
  auto& alone = world_.add({});
  world_.run(kSecond);
  auto& other = world_.add({});
  EXPECT_EQ(find(alone, other).error.code, Code::unreachable);
  EXPECT_EQ(alone.kad->find_peer(alone.peer, true, world_.now()).code(), Code::invalid);
  // As soon as somebody is, it works by itself.
  alone.kad->add_bootstrap(other.peer, {other.address}, world_.now());
  world_.drain(alone);
  world_.run(5 * kSecond);
  auto& third = world_.add({other.index});
  world_.run(5 * kSecond);
  EXPECT_EQ(find(alone, third).error.code, Code::ok);
}

TEST_F(KadNodeTest, FindsTheClosestOfAll) {
  grow(60);
  world_.run(30 * kSecond);
  const Bytes key = to_bytes("a key");
  const KadDone done = wait(at(7), at(7).kad->get_closest(key, world_.now()));
  std::map<KadId, net::PeerId> all;
  for (const auto& node : world_.nodes) {
    if (node->index != 7) all[KadId::of(node->peer).distance(KadId::of(key))] = node->peer;
  }
  ASSERT_EQ(done.peers.size(), kKadK);
  size_t same = 0;
  auto expected = all.begin();
  for (const auto& peer : done.peers) same += peer.id == (expected++)->second ? 1 : 0;
  EXPECT_EQ(same, kKadK);
}

class ShortLives : public KadNodeTest {
 protected:
  static sim::KadWorldSettings settings() {
    sim::KadWorldSettings out;
    out.node.stores.provider_life_us = 8 * kMicrosPerMinute;
    out.node.republish_interval_us = 4 * kMicrosPerMinute;
    return out;
  }
  ShortLives() : KadNodeTest(settings()) {}
};

TEST_F(ShortLives, ProvidersAreFoundAndFadeAway) {
  grow(30);
  auto& provider = at(5);
  const KadDone told = wait(provider, provider.kad->provide(content("x"), world_.now()));
  EXPECT_EQ(told.error.code, Code::ok);
  EXPECT_GE(told.copies, 15u);
  const KadDone done = wait(at(20), at(20).kad->find_providers(content("x"), 1, world_.now()));
  ASSERT_EQ(done.peers.size(), 1u);
  EXPECT_EQ(done.peers[0].id, provider.peer);
  EXPECT_EQ(done.peers[0].addresses, std::vector<Bytes>{provider.address});
  EXPECT_EQ(wait(at(20), at(20).kad->find_providers(content("y"), 1, world_.now())).error.code, Code::not_found);
  // It comes again before its time is over, and not after it stopped.
  world_.run(20 * kMicrosPerMinute);
  EXPECT_EQ(wait(at(21), at(21).kad->find_providers(content("x"), 1, world_.now())).peers.size(), 1u);
  provider.kad->stop_providing(content("x"));
  world_.run(20 * kMicrosPerMinute);
  EXPECT_EQ(wait(at(22), at(22).kad->find_providers(content("x"), 1, world_.now())).error.code, Code::not_found);
}

TEST_F(KadNodeTest, ValuesAreFoundAndTheLaterOneWins) {
  grow(30);
  const auto expires = static_cast<uint64_t>(world_.now().wall_us / 1'000'000) + 3600;
  const Bytes key = signed_record_key(at(3).key.public_key(), "status");
  const Bytes first = *seal_signed_record(at(3).key, "status", 1, expires, as_bytes("one"));
  const Bytes second = *seal_signed_record(at(3).key, "status", 2, expires, as_bytes("two"));
  EXPECT_GE(wait(at(3), at(3).kad->put_value(key, first, world_.now())).copies, 15u);
  KadDone done = wait(at(9), at(9).kad->get_value(key, 3, world_.now()));
  EXPECT_EQ(done.value, first);
  // Only some have the second: it wins all the same, and those who answered with the first get it.
  KadMessage put;
  put.type = KadType::put_value;
  put.key = key;
  put.record = KadRecord{key, second, ""};
  size_t holders = 0;
  for (auto& node : world_.nodes) {
    if (node->index != 9 && node->kad->values().get(key, world_.now_us) != nullptr && ++holders <= 5) {
      EXPECT_TRUE(ask(*node, at(3), put).ok());
    }
  }
  done = wait(at(9), at(9).kad->get_value(key, 18, world_.now()));
  EXPECT_EQ(done.value, second);
  world_.run(5 * kSecond);
  size_t corrected = 0;
  for (auto& node : world_.nodes) {
    const auto* value = node->kad->values().get(key, world_.now_us);
    corrected += value != nullptr && value->value == second ? 1 : 0;
  }
  EXPECT_GE(corrected, 14u);
  // The old one does not come back.
  put.record->value = first;
  for (auto& node : world_.nodes) {
    const auto* value = node->kad->values().get(key, world_.now_us);
    if (value == nullptr || value->value != second) continue;
    EXPECT_EQ(ask(*node, at(3), put).code(), Code::exists);
  }
}

// ---- Poisoning -----------------------------------------------------------------------------------------------------------

TEST_F(KadNodeTest, WrongValuesAreNotStored) {
  grow(2);
  const auto expires = static_cast<uint64_t>(world_.now().wall_us / 1'000'000) + 3600;
  const Bytes key = signed_record_key(at(0).key.public_key(), "status");
  const Bytes good = *seal_signed_record(at(0).key, "status", 1, expires, as_bytes("one"));
  KadMessage put;
  put.type = KadType::put_value;
  const auto refused = [&](const Bytes& under, const Bytes& value) {
    put.key = under;
    put.record = KadRecord{under, value, ""};
    return ask(at(0), at(1), put).code();
  };
  Bytes forged = good;
  forged[forged.size() - 68] ^= 1;  // in the payload
  EXPECT_EQ(refused(key, forged), Code::bad_signature);
  // A valid record of somebody else, under our key.
  EXPECT_EQ(refused(key, *seal_signed_record(at(1).key, "status", 9, expires, as_bytes("x"))), Code::denied);
  EXPECT_EQ(refused(key, *seal_signed_record(at(0).key, "other", 9, expires, as_bytes("x"))), Code::denied);
  EXPECT_EQ(refused(key, *seal_signed_record(at(0).key, "status", 9, 1000, as_bytes("x"))), Code::expired);
  EXPECT_EQ(refused(to_bytes("/anything/else"), to_bytes("x")), Code::unsupported);
  EXPECT_EQ(refused(to_bytes("bare"), to_bytes("x")), Code::unsupported);
  EXPECT_EQ(refused(to_bytes("/sereus/other/x"), to_bytes("x")), Code::unsupported);
  EXPECT_EQ(refused(public_key_key(at(0).peer), net::public_key_protobuf(at(1).key.device_key())), Code::denied);
  EXPECT_EQ(refused(peer_record_key(at(0).peer), at(1).signed_record(world_.now())), Code::denied);
  EXPECT_EQ(refused({}, good), Code::protocol);
  put.key = key;
  put.record = KadRecord{to_bytes("/pk/x"), good, ""};
  EXPECT_EQ(ask(at(0), at(1), put).code(), Code::protocol);
  put.record.reset();
  EXPECT_EQ(ask(at(0), at(1), put).code(), Code::protocol);
  EXPECT_EQ(at(0).kad->values().size(), 0u);
  EXPECT_EQ(refused(key, good), Code::ok);
  EXPECT_EQ(refused(public_key_key(at(0).peer), net::public_key_protobuf(at(0).key.device_key())), Code::ok);
  EXPECT_EQ(at(0).kad->values().size(), 2u);
  // A peer's record goes to the address book.
  EXPECT_EQ(refused(peer_record_key(at(1).peer), at(1).signed_record(world_.now())), Code::ok);
  KadMessage get;
  get.type = KadType::get_value;
  get.key = peer_record_key(at(1).peer);
  const auto answer = ask(at(0), at(0), get);
  ASSERT_TRUE(answer.ok() && (*answer)->record);
  EXPECT_EQ(net::open_peer_record((*answer)->record->value)->peer, at(1).peer);
}

TEST_F(KadNodeTest, NobodyProvidesForSomebodyElse) {
  grow(3);
  KadMessage add;
  add.type = KadType::add_provider;
  add.key = content("x");
  add.providers.push_back({at(2).peer, {at(2).address}, KadLink::connected, {}});
  EXPECT_EQ(ask(at(0), at(1), add).code(), Code::denied);
  // Nor beside itself.
  add.providers.push_back({at(1).peer, {at(1).address}, KadLink::connected, {}});
  EXPECT_TRUE(ask(at(0), at(1), add).ok());
  EXPECT_EQ(at(0).kad->providers().get(content("x"), 10, world_.now_us), std::vector<net::PeerId>{at(1).peer});
  // A record of another peer in it changes nothing about that one.
  add.providers = {{at(1).peer, {}, KadLink::connected, at(2).signed_record(world_.now())}};
  const auto before = at(0).book->addresses(at(1).peer, world_.now_us);
  EXPECT_TRUE(ask(at(0), at(1), add).ok());
  EXPECT_EQ(at(0).book->addresses(at(1).peer, world_.now_us), before);
}

TEST_F(KadNodeTest, ASendersRecordIsItsOwnOnly) {
  grow(3);
  KadMessage request;
  request.type = KadType::find_node;
  request.key = to_bytes(at(0).peer.multihash());
  const auto seq = at(0).book->record_seq(at(2).peer, world_.now_us);
  world_.run(kSecond);
  request.sender_record = at(2).signed_record(world_.now());
  EXPECT_TRUE(ask(at(0), at(1), request).ok());
  EXPECT_EQ(at(0).book->record_seq(at(2).peer, world_.now_us), seq);
  EXPECT_TRUE(ask(at(0), at(2), request).ok());
  EXPECT_GT(at(0).book->record_seq(at(2).peer, world_.now_us), seq);
}

TEST_F(KadNodeTest, ClientsRefuseAndEmptyKeysAreRefused) {
  grow(2);
  KadMessage request;
  request.type = KadType::find_node;
  EXPECT_EQ(ask(at(0), at(1), request).code(), Code::protocol);
  request.key = {1};
  EXPECT_TRUE(ask(at(0), at(1), request).ok());
  at(0).kad->set_server(false);
  EXPECT_EQ(ask(at(0), at(1), request).code(), Code::unsupported);
}

TEST_F(KadNodeTest, StoresAreBoundedForEachPeerAndSubnet) {
  grow(2);
  KadMessage add;
  add.type = KadType::add_provider;
  add.providers.push_back({at(1).peer, {at(1).address}, KadLink::connected, {}});
  for (size_t i = 0; i < kKadProvidersPeerMax; ++i) {
    add.key = content(std::to_string(i));
    ASSERT_TRUE(ask(at(0), at(1), add).ok());
  }
  add.key = content("one more");
  EXPECT_EQ(ask(at(0), at(1), add).code(), Code::no_space);
  // Again is no more.
  add.key = content("1");
  EXPECT_TRUE(ask(at(0), at(1), add).ok());
  EXPECT_EQ(at(0).kad->providers().size(), kKadProvidersPeerMax);
  // Another peer of another subnet has its own room.
  auto& other = world_.add({0});
  add.providers = {{other.peer, {other.address}, KadLink::connected, {}}};
  add.key = content("one more");
  EXPECT_TRUE(ask(at(0), other, add).ok());
}

TEST(KadStoreTest, AFullStoreKeepsWhatLiesNear) {
  StoreSettings settings;
  settings.providers_max = 10;
  const KadId own = KadId::of(as_bytes("own"));
  ProviderStore store(own, settings);
  std::vector<std::pair<KadId, Bytes>> keys;
  for (int i = 0; i < 200; ++i) {
    const Bytes key = to_bytes("key" + std::to_string(i));
    keys.emplace_back(KadId::of(key).distance(own), key);
    DeviceKey peer;
    store_le<uint32_t>(peer.bytes.data(), static_cast<uint32_t>(i));
    (void)store.add(key, {net::PeerId::from_device_key(peer), 0}, 1).ok();
  }
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(store.size(), 10u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(store.get(keys[static_cast<size_t>(i)].second, 5, 2).size(), 1u);
}

// ---- Hostile crowds ------------------------------------------------------------------------------------------------------

TEST_F(KadNodeTest, FoundAmongColluders) {
  world_.invent(20'000);
  grow(1);
  for (size_t i = 0; i < 99; ++i) grow(1, i % 5 == 0 ? Kind::colluding : Kind::honest);
  world_.run(60 * kSecond);
  size_t found = 0;
  size_t asked = 0;
  double seconds = 0;
  for (size_t i = 2; i + 1 < world_.nodes.size(); ++i) {
    if (at(i).kind != Kind::honest || at(i + 1).kind != Kind::honest) continue;
    const KadDone done = find(at(i), at(i + 1));
    ++asked;
    found += !done.peers.empty() && done.peers[0].addresses[0] == at(i + 1).address ? 1 : 0;
    seconds += static_cast<double>(done.stats.duration_us) / kSecond;
  }
  EXPECT_GT(asked, 50u);
  EXPECT_EQ(found, asked);
  // Some wait for dials of inventions to fail; most do not.
  EXPECT_LT(seconds / static_cast<double>(asked), 2.0);
}

TEST_F(KadNodeTest, AVictimOfManyLiesIsDialedLittle) {
  world_.invent(20'000);
  world_.one_victim = true;
  grow(1);
  for (size_t i = 0; i < 60; ++i) grow(1, i % 3 == 0 ? Kind::colluding : Kind::honest);
  world_.run(60 * kSecond);
  size_t hits = 0;
  size_t dialed = 0;
  world_.on_dial = [&](const KadWorld::Node&, const KadRequest& request) {
    ++dialed;
    for (const Bytes& to : request.addresses) hits += to == world_.victim ? 1 : 0;
  };
  size_t lookups = 0;
  for (size_t i = 2; i < world_.nodes.size(); ++i) {
    if (at(i).kind != Kind::honest) continue;
    (void)wait(at(i), at(i).kad->get_closest(content(std::to_string(i)), world_.now()));
    ++lookups;
  }
  // And what upkeep did meanwhile, which takes a share of it.
  EXPECT_LE(hits, 2 * kKadDialsEndpointMax * lookups);
}

// Sybils of one subnet come in great numbers, before and after; the table is not theirs, and what an honest node looks for is found.
TEST_F(KadNodeTest, AnEclipseFromOneSubnetFails) {
  grow(20);
  auto& target = at(4);
  auto& own = at(7);
  const size_t before = own.kad->table().size();
  constexpr size_t kSybils = 2000;
  for (size_t i = 0; i < kSybils; ++i) {
    DeviceKey key;
    world_.random().fill(key.bytes);
    KadPeerFacts facts;
    facts.peer = net::PeerId::from_device_key(key);
    facts.server = true;
    facts.incoming = true;
    facts.remote = {4, 66, 66, 66, static_cast<uint8_t>(i), 6, 0x10, 0x01};
    facts.addresses = {facts.remote};
    own.kad->on_peer(facts, world_.now());
  }
  EXPECT_LE(own.kad->table().size(), before + kKadSubnetTableMax);
  EXPECT_EQ(find(own, target).error.code, Code::ok);
}

TEST_F(KadNodeTest, SybilsFromEverywhereDisplaceNobodyWhoLives) {
  grow(40);
  auto& own = at(7);
  std::vector<net::PeerId> honest;
  for (const TablePeer& peer : own.kad->table().closest(own.kad->table().own(), 100, false))
    honest.push_back(peer.peer);
  for (size_t i = 0; i < 2000; ++i) {
    DeviceKey key;
    world_.random().fill(key.bytes);
    KadPeerFacts facts;
    facts.peer = net::PeerId::from_device_key(key);
    facts.server = true;
    facts.incoming = true;
    facts.remote = {4, 66, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i), 1, 6, 0x10, 0x01};
    facts.addresses = {facts.remote};
    own.kad->on_peer(facts, world_.now());
  }
  for (const auto& peer : honest) EXPECT_TRUE(own.kad->table().contains(peer));
  EXPECT_EQ(find(own, at(30)).error.code, Code::ok);
}

TEST_F(KadNodeTest, AnOldRecordThatIsReplayedLosesToANewerOne) {
  grow(1);
  auto& target = world_.add({0});
  world_.run(2 * kSecond);
  const Bytes old_record = target.signed_record(world_.now());
  const Bytes old_address = target.address;
  // It moved, and the bootstrap node knows.
  target.address = {4, 21, 1, 2, 3, 6, 0x10, 0x01};
  target.kad->addresses_changed(world_.now());
  world_.drain(target);
  world_.run(3 * kSecond);
  EXPECT_EQ(at(0).book->add_record(target.peer, old_record, world_.now_us).code(), Code::exists);
  auto& dialer = world_.add({0});
  world_.run(kSecond);
  EXPECT_EQ(find(dialer, target).peers[0].addresses, std::vector<Bytes>{target.address});
}

// ---- Time and change -----------------------------------------------------------------------------------------------------

TEST_F(KadNodeTest, FoundWhileHalfOfAllLeave) {
  grow(40);
  world_.run(30 * kSecond);
  for (size_t i = 1; i < 40; i += 2) world_.kill(at(i));
  size_t found = 0;
  for (size_t i = 2; i < 38; i += 2) found += find(at(i), at(i + 2)).error.code == Code::ok ? 1 : 0;
  EXPECT_GE(found, 17u);
}

class SlowNetwork : public KadNodeTest {
 protected:
  static sim::KadWorldSettings settings() {
    sim::KadWorldSettings out;
    out.rtt_least_us = 3'000'000;  // a satellite, and then some
    out.rtt_spread_us = 500'000;
    return out;
  }
  SlowNetwork() : KadNodeTest(settings()) {}
};

TEST_F(SlowNetwork, TimeoutsFollowThePath) {
  for (size_t i = 0; i < 10; ++i) {
    grow(1);
    world_.run(30 * kSecond);
  }
  const KadDone done = find(at(3), at(8));
  EXPECT_EQ(done.error.code, Code::ok);
  EXPECT_LT(done.stats.duration_us, 10 * kSecond);
}

TEST_F(KadNodeTest, AnOperationThatIsCancelledIsNotAnswered) {
  grow(10);
  const auto op = at(3).kad->find_peer(net::PeerId::from_device_key(DeviceKey{{1}}), true, world_.now());
  ASSERT_TRUE(op.ok());
  at(3).kad->cancel(*op);
  world_.drain(at(3));
  world_.run(60 * kSecond);
  EXPECT_FALSE(done_.contains({3, *op}));
}

TEST_F(KadNodeTest, ATraceShowsEachQuestionAndAnswer) {
  grow(5);
  at(3).kad->set_trace(true);
  const KadDone done = wait(at(3), at(3).kad->get_closest(content("x"), world_.now()));
  size_t asked = 0;
  size_t answered = 0;
  for (const KadTrace& trace : traces_) {
    asked += trace.op == done.op && trace.what == KadTrace::What::asked ? 1 : 0;
    answered += trace.op == done.op && trace.what == KadTrace::What::answered ? 1 : 0;
  }
  EXPECT_EQ(asked, done.stats.requests);
  EXPECT_EQ(answered, done.stats.answers);
  EXPECT_GT(answered, 0u);
}

TEST_F(KadNodeTest, ATraceShowsWhatOthersAskAndGet) {
  grow(5);
  at(0).kad->set_trace(true);
  KadMessage question;
  question.type = KadType::find_node;
  question.key = to_bytes(at(2).peer.multihash());
  ASSERT_TRUE(ask(at(0), at(1), question).ok());
  question.key.clear();
  ASSERT_FALSE(ask(at(0), at(1), question).ok());
  world_.drain(at(0));
  ASSERT_EQ(traces_.size(), 2u);
  EXPECT_EQ(traces_[0].what, KadTrace::What::served);
  EXPECT_EQ(traces_[0].op, 0u);
  EXPECT_EQ(traces_[0].peer, at(1).peer);
  EXPECT_GT(traces_[0].closer, 0u);
  EXPECT_EQ(traces_[1].what, KadTrace::What::refused);
  EXPECT_EQ(traces_[1].error.code, Code::protocol);
}

class PublicNetwork : public KadNodeTest {
 protected:
  static sim::KadWorldSettings settings() {
    sim::KadWorldSettings out;
    out.node.public_network = true;
    return out;
  }
  PublicNetwork() : KadNodeTest(settings()) {}
};

TEST_F(PublicNetwork, PrivateAddressesAreNotToldAbroad) {
  grow(2);
  auto& inside = world_.add({0});
  inside.address = {4, 192, 168, 1, 7, 6, 0x10, 0x01};
  KadPeerFacts facts{inside.peer, true, inside.address, true, {inside.address}, {}};
  at(0).kad->on_peer(facts, world_.now());
  KadMessage request;
  request.type = KadType::find_node;
  request.key = to_bytes(inside.peer.multihash());
  const auto told = [&](const Bytes& remote) {
    const auto answer = at(0).kad->serve(at(1).peer, remote, request, world_.now());
    for (const KadPeer& peer : (*answer)->closer) {
      if (peer.id == inside.peer) {
        for (const Bytes& address : peer.addresses) {
          if (address == inside.address) return true;
        }
      }
    }
    return false;
  };
  EXPECT_FALSE(told(at(1).address));
  EXPECT_TRUE(told({4, 192, 168, 1, 9, 6, 0x10, 0x01}));
}

}  // namespace
}  // namespace sereus::discovery
