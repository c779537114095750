// NAT boxes let out and in what their kind does, at the level of packets, of links and of streams; and whole nodes behind them
// find each other where that is possible.
#include "sim/nat.h"

#include <gtest/gtest.h>

#include "core/storage/vfs.h"
#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

constexpr NatKind kKinds[] = {NatKind::full_cone, NatKind::address_restricted, NatKind::port_restricted,
                              NatKind::symmetric, NatKind::carrier};

struct Received {
  IpEndpoint local;
  IpEndpoint remote;
};

// Machines 0 and 1 are behind one box, 2 behind another if there is one, 3 and 4 are public. Each has sockets at 4001 and 4002.
struct Net {
  explicit Net(const NatSettings& settings, bool second_box = false) : network(scheduler, topology, SimRandom(1)) {
    topology.put_behind_nat({0, 1}, settings, SimRandom(2));
    if (second_box) topology.put_behind_nat({2}, settings, SimRandom(3));
    for (size_t i = 0; i < kMachines; ++i) {
      DatagramNetwork::Events events;
      events.received = [this, i](SocketId, const IpEndpoint& local, const IpEndpoint& remote, Ecn, ByteView) {
        received[i].push_back({local, remote});
      };
      events.writable = [](SocketId) {};
      events.unreachable = [this, i](SocketId, const IpEndpoint&) { ++unreachable[i]; };
      ports[i] = network.attach(i, std::move(events));
      for (const uint16_t port : {uint16_t{4001}, uint16_t{4002}}) {
        sockets[i][port - 4001] = ports[i]->bind({false, {}, port})->socket;
      }
    }
  }
  // Sends from the port of `from`, and gives who it came from where it arrived, if it did.
  std::optional<IpEndpoint> send(size_t from, const IpEndpoint& to, size_t at, uint16_t port = 4001) {
    const size_t before = received[at].size();
    const Bytes data(10, 1);
    EXPECT_TRUE(ports[from]->send(sockets[from][port - 4001], to, Ecn::not_ect, data, 10));
    run(100'000);
    if (received[at].size() == before) return std::nullopt;
    return received[at].back().remote;
  }
  void run(uint64_t for_us) {
    const uint64_t end = scheduler.now_us() + for_us;
    while (scheduler.step(end)) {
    }
  }
  static IpEndpoint at(size_t machine, uint16_t port = 4001) { return Topology::v4(machine, port); }

  static constexpr size_t kMachines = 5;
  Scheduler scheduler;
  Topology topology;
  DatagramNetwork network;
  std::unique_ptr<Datagrams> ports[kMachines];
  SocketId sockets[kMachines][2] = {};
  std::vector<Received> received[kMachines];
  int unreachable[kMachines] = {};
};

NatSettings of(NatKind kind) {
  NatSettings settings;
  settings.kind = kind;
  return settings;
}

TEST(Nat, EachKindLetsInWhomItShould) {
  for (const NatKind kind : kKinds) {
    Net net(of(kind));
    const auto seen = net.send(0, Net::at(3), 3);
    ASSERT_TRUE(seen.has_value()) << name_of(kind);
    EXPECT_EQ(ip_to_string(*seen), "10.2.1.1");
    EXPECT_EQ(net.send(3, *seen, 0), Net::at(3)) << "the answer comes in";
    EXPECT_EQ(net.received[0].back().local, net.topology.interface_address(0, false, 4001));
    const bool other_port = net.send(3, *seen, 0, 4002).has_value();
    const bool other_machine = net.send(4, *seen, 0).has_value();
    EXPECT_EQ(other_port, kind == NatKind::full_cone || kind == NatKind::address_restricted) << name_of(kind);
    EXPECT_EQ(other_machine, kind == NatKind::full_cone) << name_of(kind);
    EXPECT_EQ(net.unreachable[3] + net.unreachable[4], 0) << "what is not let in is not answered";
    EXPECT_EQ(net.network.stats().filtered, 2u - (other_port ? 1 : 0) - (other_machine ? 1 : 0));
  }
}

TEST(Nat, MappingsAreOneForAllDestinationsOrOneForEach) {
  for (const NatKind kind : kKinds) {
    Net net(of(kind));
    const bool by_destination = kind == NatKind::symmetric || kind == NatKind::carrier;
    const auto to_3 = net.send(0, Net::at(3), 3);
    const auto to_4 = net.send(0, Net::at(4), 4);
    EXPECT_EQ(to_3 != to_4, by_destination) << name_of(kind);
    EXPECT_EQ(net.send(0, Net::at(3), 3), to_3) << "and it stays";
    // Machines and ports inside have mappings of their own.
    const auto of_1 = net.send(1, Net::at(3), 3);
    const auto of_port = net.send(0, Net::at(3), 3, 4002);
    EXPECT_TRUE(of_1 != to_3 && of_port != to_3 && of_1 != of_port);
    EXPECT_FALSE(net.send(3, *of_1, 0).has_value());
    EXPECT_TRUE(net.send(3, *of_1, 1).has_value());
  }
}

TEST(Nat, MappingsExpireAndOnlyWhatLeavesRefreshesThem) {
  for (const NatKind kind : kKinds) {
    NatSettings settings = of(kind);
    settings.udp_expiry_us = 30 * kSecondUs;
    Net net(settings);
    const auto first = net.send(0, Net::at(3), 3);
    ASSERT_TRUE(first.has_value());
    for (int i = 0; i < 12; ++i) {  // a carrier may have half the time
      net.run(10 * kSecondUs);
      EXPECT_EQ(net.send(0, Net::at(3), 3), first) << name_of(kind);
    }
    EXPECT_TRUE(net.send(3, *first, 0).has_value());
    for (int i = 0; i < 7; ++i) {
      net.run(10 * kSecondUs);
      (void)net.send(3, *first, 0);
    }
    EXPECT_FALSE(net.send(3, *first, 0).has_value()) << name_of(kind);
    const auto again = net.send(0, Net::at(3), 3);
    EXPECT_NE(again, first);
    EXPECT_TRUE(net.send(3, *again, 0).has_value());
  }
}

TEST(Nat, ABoxThatStartsAgainHasForgotten) {
  for (const bool moved : {false, true}) {
    Net net(of(NatKind::full_cone));
    const auto before = net.send(0, Net::at(3), 3);
    net.network.rebind(1, moved);  // any machine behind it
    EXPECT_FALSE(net.send(3, *before, 0).has_value());
    const auto after = net.send(0, Net::at(3), 3);
    EXPECT_NE(after, before);
    EXPECT_EQ(ip_to_string(*after) != ip_to_string(*before), moved);
    EXPECT_TRUE(net.send(3, *after, 0).has_value());
  }
}

TEST(Nat, NeighboursReachEachOtherAndTheOutsideAddressOnlyWithHairpinning) {
  for (const bool hairpin : {false, true}) {
    NatSettings settings = of(NatKind::full_cone);
    settings.hairpin = hairpin;
    Net net(settings);
    const IpEndpoint inside = net.topology.interface_address(1, false, 4001);
    EXPECT_EQ(to_string(inside), "192.168.1.2:4001");
    EXPECT_EQ(net.send(0, inside, 1), net.topology.interface_address(0, false, 4001)) << "as it is, not translated";
    EXPECT_FALSE(net.send(3, inside, 1).has_value()) << "private addresses lead nowhere from outside";
    const auto outside = net.send(1, Net::at(3), 3);
    const auto seen = net.send(0, *outside, 1);
    ASSERT_EQ(seen.has_value(), hairpin);
    EXPECT_TRUE(!hairpin || ip_to_string(*seen) == "10.2.1.1");
  }
}

TEST(Nat, TwoBoxesLetEachOtherInWhenBothHaveSpokenUnlessTheyAreSymmetric) {
  for (const NatKind kind : kKinds) {
    Net net(of(kind), true);
    const auto first = net.send(0, Net::at(3), 3);
    const auto second = net.send(2, Net::at(3), 3);
    (void)net.send(0, *second, 2);
    (void)net.send(2, *first, 0);
    const bool met = net.send(0, *second, 2).has_value() && net.send(2, *first, 0).has_value();
    EXPECT_EQ(met, kind != NatKind::symmetric && kind != NatKind::carrier) << name_of(kind);
  }
}

TEST(Nat, AForwardedPortIsOpenExceptBehindACarrier) {
  for (const NatKind kind : kKinds) {
    NatSettings settings = of(kind);
    settings.forwards = true;
    Net net(settings);
    EXPECT_EQ(net.send(3, {false, {10, 2, 1, 1}, 4001}, 0).has_value(), kind != NatKind::carrier) << name_of(kind);
    if (kind != NatKind::carrier) {
      EXPECT_EQ(to_string(*net.send(0, Net::at(4), 4)), "10.2.1.1:4001");
    }
  }
}

TEST(Nat, ATableIsBounded) {
  NatTable table(NatKind::symmetric, kSecondUs, SimRandom(5));
  const IpEndpoint inside{false, {192, 168, 1, 1}, 4001};
  uint16_t port = 0;
  for (uint32_t i = 0; i < 20'000; ++i) {
    const IpEndpoint remote{false, {10, 9, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)}, 1};
    port = table.leave(inside, remote, 1);
    EXPECT_TRUE(table.enter(port, false, remote, 1).has_value());
  }
}

// ---- Links ----------------------------------------------------------------------------------------------------------

struct Owner final : LinkEvents {
  void on_accepted(ListenerId, LinkId link, const IpEndpoint&, const IpEndpoint& from) override {
    accepted = link;
    remote = from;
  }
  void on_connected(LinkId link, const IpEndpoint&) override { connected = link; }
  void on_readable(LinkId) override { ++readable; }
  void on_writable(LinkId) override {}
  void on_closed(LinkId link, const Error& reason) override { closed[link] = reason.code; }
  LinkId accepted = 0;
  LinkId connected = 0;
  int readable = 0;
  IpEndpoint remote;
  std::map<LinkId, Code> closed;
};

// 0 and 1 behind a box, 2 public; all listen.
struct LinkNet {
  explicit LinkNet(const NatSettings& settings) : network(scheduler, topology, SimRandom(1)) {
    topology.put_behind_nat({0, 1}, settings, SimRandom(2));
    for (size_t i = 0; i < 3; ++i) {
      links[i] = network.attach(i, owners[i], [] {});
      EXPECT_TRUE(links[i]->listen({false, {}, static_cast<uint16_t>(4001 + i)}).ok());
    }
  }
  void run(uint64_t for_us = kSecondUs) {
    const uint64_t end = scheduler.now_us() + for_us;
    while (scheduler.step(end)) {
    }
  }
  Scheduler scheduler;
  Topology topology;
  LinkNetwork network;
  Owner owners[3];
  std::unique_ptr<Links> links[3];
};

TEST(Nat, LinksGoOutAndNotInUnlessThePortIsForwarded) {
  for (const bool forwards : {false, true}) {
    NatSettings settings = of(NatKind::full_cone);
    settings.forwards = forwards;
    LinkNet net(settings);
    (void)net.links[0]->connect(Topology::v4(2, 4003));
    net.run();
    EXPECT_NE(net.owners[0].connected, 0u);
    EXPECT_EQ(ip_to_string(net.owners[2].remote), "10.2.1.1");
    (void)net.links[2]->connect({false, {10, 2, 1, 1}, 4002});
    (void)net.links[0]->connect(net.topology.interface_address(1, false, 4002));
    net.run();
    EXPECT_NE(net.owners[1].accepted, 0u) << "from the neighbour at least";
    net.run(LinkNetwork::kConnectTimeoutUs);
    EXPECT_EQ(net.owners[2].closed.size(), forwards ? 0u : 1u);
  }
}

TEST(Nat, UnknownLinksAreTurnedAwayAtOnceOrInSilence) {
  for (const bool resets : {false, true}) {
    NatSettings settings = of(NatKind::port_restricted);
    settings.resets_tcp = resets;
    LinkNet net(settings);
    const LinkId in = *net.links[2]->connect({false, {10, 2, 1, 1}, 4001});
    net.run();
    EXPECT_EQ(net.owners[2].closed.contains(in), resets);
    // One that the box has forgotten, whichever end speaks first.
    for (const size_t speaks : {size_t{0}, size_t{2}}) {
      const LinkId here = *net.links[0]->connect(Topology::v4(2, 4003));
      net.run();
      const LinkId there = net.owners[2].accepted;
      const LinkId from = speaks == 0 ? here : there;
      EXPECT_EQ(net.links[speaks]->write(from, as_bytes("a")), 1u);
      net.run();
      EXPECT_TRUE(net.owners[speaks].closed.count(from) == 0);
      net.topology.box_of(0)->rebind(false);
      EXPECT_EQ(net.links[speaks]->write(from, as_bytes("b")), 1u);
      net.run(2 * kSecondUs);
      EXPECT_EQ(net.owners[speaks].closed.contains(from), resets);
      net.run(LinkNetwork::kGiveUpUs + 2 * LinkNetwork::kRetransmitMaxUs);
      EXPECT_TRUE(net.owners[speaks].closed.contains(from));
      EXPECT_GT(net.network.stats().forgotten, 0u);
    }
  }
}

TEST(Nat, LinksThatAreSilentForLongAreForgotten) {
  NatSettings settings = of(NatKind::port_restricted);
  settings.tcp_expiry_us = 300 * kSecondUs;
  settings.resets_tcp = true;
  LinkNet net(settings);
  const LinkId here = *net.links[0]->connect(Topology::v4(2, 4003));
  for (int i = 0; i < 4; ++i) {
    net.run(200 * kSecondUs);
    EXPECT_EQ(net.links[0]->write(here, as_bytes("x")), 1u);
  }
  net.run(301 * kSecondUs);
  EXPECT_TRUE(net.owners[0].closed.empty());
  EXPECT_EQ(net.links[0]->write(here, as_bytes("x")), 1u);
  net.run();
  EXPECT_EQ(net.owners[0].closed.at(here), Code::io);
}

// ---- Nodes ----------------------------------------------------------------------------------------------------------

// Machine 0 is public and has the store; 1 and 2 are behind boxes of the kind.
struct Nodes {
  Nodes(uint64_t seed, Transport transport, const NatSettings& settings, bool one_box = false)
      : world(seed, 3, transport) {
    crypto::init();
    if (one_box) {
      world.network.put_behind_nat({1, 2}, settings);
    } else {
      world.network.put_behind_nat({1}, settings);
      world.network.put_behind_nat({2}, settings);
    }
  }
  void meet() {
    ASSERT_NO_FATAL_FAILURE(start_all(world));
    Request create;
    create.kind = RequestKind::store_create;
    create.x = to_bytes("shared");
    ASSERT_EQ(world.call(*world.machines[0], create).status, Code::ok);
    for (const size_t i : {size_t{1}, size_t{2}}) {
      Request invite;
      invite.kind = RequestKind::invite_create;
      Request join;
      join.kind = RequestKind::join;
      join.x = world.call(*world.machines[0], invite).data;
      const node::Event joined = world.call(*world.machines[i], join, 90 * kSecondUs);
      ASSERT_EQ(joined.status, Code::ok) << joined.detail;
      ASSERT_TRUE(world.run_until([&] { return store(i) != 0; }, 60 * kSecondUs));
    }
  }
  // Machine i is told where j listens, which is all that j itself knows.
  void introduce(size_t i, size_t j) {
    Query query;
    query.kind = QueryKind::info;
    const auto rows = world.machines[j]->query(query);
    const node::InfoRow info = std::get<std::vector<node::InfoRow>>(*rows).front();
    Request add;
    add.kind = RequestKind::peer_add_address;
    add.x = to_bytes(info.peer);
    add.y = to_bytes(info.addresses.substr(0, info.addresses.find('\n')));
    ASSERT_EQ(world.call(*world.machines[i], add).status, Code::ok) << info.addresses;
  }
  uint64_t store(size_t i) {
    Query query;
    query.kind = QueryKind::store_open;
    query.x = to_bytes("shared");
    const auto rows = world.machines[i]->query(query);
    return rows.ok() ? std::get<std::vector<node::StoreRow>>(*rows).front().store : 0;
  }
  void put(size_t i, std::string_view key, std::string_view value) {
    Request request;
    request.kind = RequestKind::store_write;
    request.store = store(i);
    store::WriteOp op;
    op.key = to_bytes(key);
    op.value = to_bytes(value);
    request.writes.push_back(op);
    ASSERT_EQ(world.call(*world.machines[i], request).status, Code::ok);
  }
  bool arrives(size_t i, std::string_view key, std::string_view value, uint64_t within_us) {
    return world.run_until(
        [&] {
          Query get;
          get.kind = QueryKind::get;
          get.store = store(i);
          get.x = to_bytes(key);
          const auto heads = world.machines[i]->query(get);
          return heads.ok() && to_string(ByteView(std::get<std::vector<store::Head>>(*heads).front().value)) == value;
        },
        within_us);
  }
  World world;
};

TEST(Nat, StoresConvergeThroughAPublicMachineBehindEveryKind) {
  for (const Transport transport : {Transport::stream, Transport::quic, Transport::tcp}) {
    for (const NatKind kind : kKinds) {
      Nodes nodes(31, transport, of(kind));
      Chronicle chronicle;
      ASSERT_NO_FATAL_FAILURE(nodes.meet()) << name_of(transport) << " " << name_of(kind);
      nodes.world.network.set_chronicle(&chronicle);
      nodes.introduce(1, 2);
      nodes.introduce(2, 1);
      nodes.put(1, "from", "behind a box");
      EXPECT_TRUE(nodes.arrives(2, "from", "behind a box", 60 * kSecondUs))
          << name_of(transport) << " " << name_of(kind);
      size_t direct = 0;
      for (const Chronicle::Note& note : chronicle.notes()) {
        const bool between = note.machine + note.other == 3 && note.machine != 0 && note.other != 0;
        direct += between && note.kind == Chronicle::Kind::message && note.until_us != 0 ? 1 : 0;
      }
      EXPECT_EQ(direct, 0u) << name_of(transport) << " " << name_of(kind);
    }
  }
}

TEST(Nat, AConnectionOutlivesTheBoxStartingAgain) {
  for (const NatKind kind : kKinds) {
    Nodes nodes(33, Transport::quic, of(kind));
    ASSERT_NO_FATAL_FAILURE(nodes.meet());
    for (const bool moved : {false, true, false}) {
      nodes.world.run_for(3 * kSecondUs);
      nodes.world.network.rebind(1, moved);
      const std::string value = moved ? "moved" : "rebound";
      // Far less than the time after which a silent connection is given up: it is the same one.
      nodes.put(1, "after", value);
      EXPECT_TRUE(nodes.arrives(0, "after", value, 8 * kSecondUs)) << name_of(kind) << " " << value;
    }
    // From the other end nothing can get in until the one behind the box says something.
    nodes.world.network.rebind(1, true);
    nodes.put(0, "from", "outside");
    EXPECT_TRUE(nodes.arrives(1, "from", "outside", 60 * kSecondUs)) << name_of(kind);
  }
}

TEST(Nat, LinksAreMadeAnewAfterTheBoxForgotThem) {
  for (const bool resets : {false, true}) {
    NatSettings settings = of(NatKind::port_restricted);
    settings.resets_tcp = resets;
    Nodes nodes(35, Transport::tcp, settings);
    ASSERT_NO_FATAL_FAILURE(nodes.meet());
    nodes.world.network.rebind(1, true);
    nodes.put(1, "after", "the box");
    EXPECT_TRUE(nodes.arrives(0, "after", "the box", 180 * kSecondUs));
  }
}

TEST(Nat, NeighboursBehindOneBoxTalkToEachOtherWhenTheRestIsGone) {
  for (const Transport transport : {Transport::stream, Transport::quic, Transport::tcp}) {
    Nodes nodes(37, transport, of(NatKind::symmetric), true);
    ASSERT_NO_FATAL_FAILURE(nodes.meet());
    nodes.introduce(1, 2);
    nodes.world.network.topology.partition({0}, 3);
    nodes.put(1, "in the", "house");
    EXPECT_TRUE(nodes.arrives(2, "in the", "house", 120 * kSecondUs)) << name_of(transport);
  }
}

TEST(Nat, TheSameSeedDoesTheSame) {
  const auto run = [](uint64_t seed) {
    storage::seed_sqlite_for_simulation(static_cast<uint32_t>(seed) | 1u);
    SimRandom draws(seed);
    Nodes nodes(seed, Transport::both, NatSettings::draw(draws, kKinds[seed % kNatKinds]));
    nodes.meet();
    nodes.put(1, "a", "b");
    EXPECT_TRUE(nodes.arrives(2, "a", "b", 120 * kSecondUs));
    return nodes.world.trace();
  };
  for (uint64_t seed = 1; seed <= 5; ++seed) EXPECT_EQ(run(seed), run(seed)) << seed;
}

}  // namespace
}  // namespace sereus::sim
