// The DHT on swarms over the simulated networks: streams, dials, identify, limits of requests.
#include "core/discovery/kad.h"

#include <gtest/gtest.h>

#include "tests/support/swarm_world.h"

namespace sereus::discovery {
namespace {

using test::SwarmWorld;
constexpr uint64_t kSecond = kMicrosPerSecond;

class KadTest : public ::testing::Test {
 protected:
  struct Peer {
    SwarmWorld::Node* node = nullptr;
    AddressBook book;
    std::unique_ptr<Kad> kad;
    std::vector<KadDone> done;
    size_t events = 0;
    size_t notices = 0;
  };

  Peer& add(bool server, const std::string& bootstrap = {}, const std::string& protocol = "/sereus/test/kad/1.0.0") {
    auto made = std::make_unique<Peer>();
    Peer& peer = *made;
    peers_.push_back(std::move(made));
    peer.node = &world_.add();
    KadServiceSettings settings;
    settings.protocol = protocol;
    settings.node.server = server;
    peer.kad = std::make_unique<Kad>(*peer.node->swarm, *peer.node->key, *peer.node->random, peer.book, settings);
    peer.node->swarm->set_protocols(peer.kad->protocols());
    world_.listen(*peer.node);
    EXPECT_EQ(peer.kad->add_bootstrap(bootstrap, world_.now()).ok(), !bootstrap.empty());
    return peer;
  }
  std::string address_of(const Peer& peer) {
    return world_.tcp_address(*peer.node) + "/p2p/" + peer.node->swarm->peer_id().to_string();
  }
  static net::PeerId id_of(const Peer& peer) { return peer.node->swarm->peer_id(); }
  void drain(Peer& peer) {
    while (peer.events < peer.node->events.size()) peer.kad->on_event(peer.node->events[peer.events++], world_.now());
    while (peer.notices < peer.node->notices.size())
      peer.kad->on_notice(peer.node->notices[peer.notices++], world_.now());
    peer.kad->step(world_.now());
    while (auto event = peer.kad->next_event()) {
      if (auto* done = std::get_if<KadDone>(&*event)) peer.done.push_back(std::move(*done));
    }
  }
  bool run(
      uint64_t for_us, const std::function<bool()>& done = [] { return false; }) {
    return world_.run(for_us, [&] {
      for (auto& peer : peers_) drain(*peer);
      return done();
    });
  }
  KadDone wait(Peer& peer, const Result<uint64_t>& op) {
    EXPECT_TRUE(op.ok());
    const auto there = [&] { return !peer.done.empty() && peer.done.back().op == *op; };
    EXPECT_TRUE(run(30 * kSecond, there));
    return peer.done.empty() ? KadDone{} : peer.done.back();
  }

  SwarmWorld world_{5};
  std::vector<std::unique_ptr<Peer>> peers_;
};

TEST_F(KadTest, AClientIsFoundThroughOneBootstrapNode) {
  Peer& bootstrap = add(true);
  Peer& listener = add(false, address_of(bootstrap));
  Peer& dialer = add(false, address_of(bootstrap));
  EXPECT_TRUE(listener.kad->protocols().empty());
  // A relayed address is published, too.
  const auto relayed = net::Multiaddr::parse(address_of(bootstrap) + "/p2p-circuit");
  listener.kad->set_more_addresses({*relayed}, world_.now());
  run(3 * kSecond);
  const KadDone done = wait(dialer, dialer.kad->find_peer(id_of(listener), true, world_.now()));
  ASSERT_EQ(done.error.code, Code::ok) << done.error.detail;
  EXPECT_TRUE(done.certified);
  std::vector<std::string> found;
  for (const Bytes& bytes : done.peers.at(0).addresses) found.push_back(net::Multiaddr::from_bytes(bytes)->to_string());
  const auto has = [&](const std::string& text) { return std::find(found.begin(), found.end(), text) != found.end(); };
  EXPECT_TRUE(has(world_.tcp_address(*listener.node)));
  EXPECT_TRUE(has(world_.quic_address(*listener.node)));
  EXPECT_TRUE(has(relayed->to_string()));
  // And what was found can be dialed as it is.
  ASSERT_TRUE(
      dialer.node->swarm->dial(id_of(listener), dialer.book.best_addresses(id_of(listener), world_.now().mono_us))
          .ok());
  EXPECT_TRUE(run(10 * kSecond, [&] { return dialer.node->swarm->connection_with(id_of(listener)).has_value(); }));
}

TEST_F(KadTest, ProvidersAndValuesOverStreams) {
  Peer& bootstrap = add(true);
  Peer& one = add(true, address_of(bootstrap));
  Peer& two = add(true, address_of(bootstrap));
  run(3 * kSecond);
  const Bytes key = {0x12, 0x02, 1, 2};
  EXPECT_EQ(wait(one, one.kad->provide(key, world_.now())).error.code, Code::ok);
  run(kSecond);
  const KadDone providers = wait(two, two.kad->find_providers(key, 1, world_.now()));
  ASSERT_EQ(providers.peers.size(), 1u);
  EXPECT_EQ(providers.peers[0].id, id_of(one));
  const Bytes pk = public_key_key(id_of(one));
  const Bytes value = net::public_key_protobuf(one.node->key->device_key());
  EXPECT_GE(wait(one, one.kad->put_value(pk, value, world_.now())).copies, 1u);
  EXPECT_EQ(wait(two, two.kad->get_value(pk, 1, world_.now())).value, value);
  EXPECT_EQ(two.kad->put_value(pk, to_bytes("not a key"), world_.now()).code(), Code::malformed);
}

TEST_F(KadTest, NetworksDoNotMix) {
  Peer& bootstrap = add(true);
  Peer& listener = add(true, address_of(bootstrap));
  Peer& stranger = add(true, address_of(bootstrap), "/sereus/other/kad/1.0.0");
  run(3 * kSecond);
  const KadDone done = wait(stranger, stranger.kad->find_peer(id_of(listener), true, world_.now()));
  EXPECT_EQ(done.error.code, Code::unreachable);
  EXPECT_EQ(stranger.kad->node().table().size(), 0u);
  EXPECT_FALSE(bootstrap.kad->node().table().contains(id_of(stranger)));
}

TEST_F(KadTest, GarbageAndFloodsCostTheirSenderTheStream) {
  Peer& bootstrap = add(true);
  Peer& attacker = add(false, address_of(bootstrap));
  run(3 * kSecond);
  const auto connection = attacker.node->swarm->connection_with(id_of(bootstrap));
  ASSERT_TRUE(connection);
  net::Swarm& swarm = *attacker.node->swarm;
  const auto resets = [&] { return attacker.node->count<net::StreamClosed>(); };
  const size_t before = resets();
  const auto garbage = swarm.open_stream(*connection, bootstrap.kad->protocol());
  ASSERT_TRUE(garbage.ok());
  ASSERT_TRUE(swarm.write(*garbage, Bytes{0x02, 0x08, 0x7f}).ok());
  EXPECT_TRUE(run(5 * kSecond, [&] { return resets() == before + 1; }));
  // A thousand questions at once on one stream.
  KadMessage message;
  message.type = KadType::find_node;
  message.key = {1, 2, 3};
  const Bytes question = net::delimited(*encode_kad(message));
  Bytes flood;
  for (size_t i = 0; i < 1000; ++i) append(flood, question);
  const auto stream = swarm.open_stream(*connection, bootstrap.kad->protocol());
  ASSERT_TRUE(swarm.write(*stream, flood).ok());
  EXPECT_TRUE(run(5 * kSecond, [&] { return resets() == before + 2; }));
  // And many streams that ask nothing: beyond the limit they are reset.
  size_t opened = 0;
  for (size_t i = 0; i < 2 * kKadInboundStreamsPeer; ++i)
    opened += swarm.open_stream(*connection, bootstrap.kad->protocol()).ok() ? 1 : 0;
  EXPECT_TRUE(run(5 * kSecond, [&] { return resets() >= before + 2 + opened - kKadInboundStreamsPeer; }));
}

}  // namespace
}  // namespace sereus::discovery
