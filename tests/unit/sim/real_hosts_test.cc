// Whole nodes over QUIC and TCP on the simulated networks: they work, everything they send is decided by the seed, and they
// come through what a network does to them.
#include <gtest/gtest.h>

#include "core/crypto/init.h"
#include "core/storage/vfs.h"
#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

struct Played {
  uint64_t network = 0;  // over every packet and every byte of a link, in order and with times
  uint64_t world = 0;
  DatagramStats datagrams;
  LinkStats links;
  bool arrived = false;
};

class Two {
 public:
  Two(uint64_t seed, Transport transport) : world(seed, 2, transport) {
    crypto::init();
    storage::seed_sqlite_for_simulation(static_cast<uint32_t>(seed) | 1u);
  }

  // Gives alice a store and lets bob in.
  void meet() {
    ASSERT_NO_FATAL_FAILURE(start_all(world));
    Request create;
    create.kind = RequestKind::store_create;
    create.x = to_bytes("shared");
    store = world.call(alice(), create).store;
    Request invite;
    invite.kind = RequestKind::invite_create;
    Request join;
    join.kind = RequestKind::join;
    join.x = world.call(alice(), invite).data;
    const node::Event joined = world.call(bob(), join);
    ASSERT_EQ(joined.status, Code::ok) << joined.detail;
  }

  void put(std::string_view key, std::string_view value) {
    Request request;
    request.kind = RequestKind::store_write;
    request.store = store;
    store::WriteOp op;
    op.key = to_bytes(key);
    op.value = to_bytes(value);
    request.writes.push_back(op);
    ASSERT_EQ(world.call(alice(), request).status, Code::ok);
  }

  // Whether bob has it within the time.
  bool arrives(std::string_view key, std::string_view value, uint64_t within_us = 120 * kSecondUs) {
    return world.run_until(
        [&] {
          Query open;
          open.kind = QueryKind::store_open;
          open.x = to_bytes("shared");
          const auto row = bob().query(open);
          if (!row.ok()) return false;
          Query get;
          get.kind = QueryKind::get;
          get.store = std::get<std::vector<node::StoreRow>>(*row).front().store;
          get.x = to_bytes(key);
          const auto heads = bob().query(get);
          return heads.ok() && to_string(ByteView(std::get<std::vector<store::Head>>(*heads).front().value)) == value;
        },
        within_us);
  }

  SimMachine& alice() { return *world.machines[0]; }
  SimMachine& bob() { return *world.machines[1]; }
  World world;
  uint64_t store = 0;
};

Played play(uint64_t seed, Transport transport) {
  Two two(seed, transport);
  SimRandom draws(seed);
  DatagramConditions datagrams = DatagramConditions::draw(draws);
  LinkConditions links = LinkConditions::draw(draws);
  links.refused = links.broken = 0;
  two.world.network.datagrams.set_conditions(datagrams);
  two.world.network.links.set_conditions(links);
  two.meet();
  for (int i = 0; i < 5; ++i) {
    two.put("key" + std::to_string(i), std::string(20'000, 'v'));
    two.world.run_for(200'000);
    two.world.network.datagrams.rebind(static_cast<size_t>(i) % 2, i == 3);
  }
  Played out;
  out.arrived = two.arrives("key4", std::string(20'000, 'v'));
  out.network = two.world.network.trace();
  out.world = two.world.trace();
  out.datagrams = two.world.network.datagrams.stats();
  out.links = two.world.network.links.stats();
  return out;
}

TEST(RealHosts, TheSameSeedSendsTheSamePacketsAndAnotherSeedOthers) {
  std::set<uint64_t> traces;
  for (const Transport transport : {Transport::quic, Transport::tcp, Transport::both}) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      const Played first = play(seed, transport);
      const Played again = play(seed, transport);
      EXPECT_TRUE(first.arrived) << name_of(transport) << " seed " << seed;
      EXPECT_EQ(first.network, again.network) << name_of(transport) << " seed " << seed;
      EXPECT_EQ(first.world, again.world) << name_of(transport) << " seed " << seed;
      EXPECT_TRUE(traces.insert(first.network).second);
      if (transport == Transport::tcp) {
        EXPECT_EQ(first.datagrams.sent, 0u);
        EXPECT_GT(first.links.bytes, 100'000u);
      } else if (transport == Transport::quic) {
        EXPECT_GT(first.datagrams.delivered, 100u);
      } else {
        EXPECT_GT(first.datagrams.delivered + first.links.bytes / 1000, 100u);  // whichever won the race
      }
    }
  }
}

TEST(RealHosts, AConnectionOutlivesARebinding) {
  Two two(7, Transport::quic);
  two.meet();
  IpEndpoint latest;
  two.world.network.datagrams.set_tap([&](const DatagramNetwork::Datagram& datagram) {
    if (Topology::machine_at(datagram.to) == 0) latest = datagram.from;
  });
  for (const bool moved : {false, true, false}) {
    two.world.network.datagrams.rebind(1, moved);
    two.put("after", moved ? "moved" : "rebound");
    // Far less than the time after which a silent connection is given up: it is the same one.
    EXPECT_TRUE(two.arrives("after", moved ? "moved" : "rebound", 8 * kSecondUs));
    two.world.run_for(kSecondUs);
    EXPECT_NE(latest, Topology::v4(1, 4001));
  }
  two.world.network.datagrams.set_tap({});
}

TEST(RealHosts, CutAndPowerlessPeersAreFoundAgain) {
  for (const Transport transport : {Transport::quic, Transport::tcp}) {
    Two two(11, transport);
    two.meet();
    two.world.network.topology.cut_one_way(0, 1, true);
    two.put("during", "the cut");
    EXPECT_FALSE(two.arrives("during", "the cut", 90 * kSecondUs)) << name_of(transport);
    two.world.network.heal_all();
    EXPECT_TRUE(two.arrives("during", "the cut")) << name_of(transport);
    two.bob().lose_power();
    two.put("while", "bob was dark");
    two.world.run_for(40 * kSecondUs);
    ASSERT_TRUE(two.bob().start().ok());
    EXPECT_TRUE(two.arrives("while", "bob was dark")) << name_of(transport);
    two.world.network.links.break_links(0, 1);
    two.put("after", "resets");
    EXPECT_TRUE(two.arrives("after", "resets")) << name_of(transport);
  }
}

// Who has another network does not wait for the next of the tries that were put off while nobody could be reached.
TEST(RealHosts, ANodeWhoseNetworkChangedDialsAtOnce) {
  for (const Transport transport : {Transport::quic, Transport::tcp}) {
    Two two(13, transport);
    two.meet();
    two.world.network.topology.cut(0, 1, true);
    two.world.run_for(600 * kSecondUs);
    two.put("back", "home");
    two.world.network.heal_all();
    EXPECT_FALSE(two.arrives("back", "home", kSecondUs)) << name_of(transport);
    two.bob().change_network();
    EXPECT_TRUE(two.arrives("back", "home", 2 * kSecondUs)) << name_of(transport);
  }
}

// Connections that the change has killed are found dead in seconds, instead of after the idle timeout, and made anew.
TEST(RealHosts, ConnectionsThatTheChangeKilledAreReplacedSoon) {
  Two two(14, Transport::tcp);
  two.meet();
  two.world.run_for(kSecondUs);
  two.world.network.topology.cut(0, 1, true);
  two.put("after", "the move");
  two.world.run_for(kSecondUs);
  two.bob().change_network();
  two.world.run_for(4 * kSecondUs);
  two.world.network.heal_all();
  two.bob().change_network();
  two.alice().change_network();
  EXPECT_TRUE(two.arrives("after", "the move", 6 * kSecondUs));
}

}  // namespace
}  // namespace sereus::sim
