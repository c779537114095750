// The network of datagrams keeps its promises: rates as they were set, order where nothing overtakes, bounds, cuts in one
// direction, flows that a NAT moves, and the same from the same seed.
#include "sim/datagram_network.h"

#include <gtest/gtest.h>

namespace sereus::sim {
namespace {

constexpr uint64_t kSecondUs = 1'000'000;

struct Received {
  uint64_t at_us = 0;
  IpEndpoint local;
  IpEndpoint remote;
  Ecn ecn = Ecn::not_ect;
  Bytes data;
};

// Machines with one socket each, at port 4001.
struct Net {
  explicit Net(uint64_t seed = 1) : network(scheduler, topology, SimRandom(seed)) {
    for (size_t i = 0; i < 3; ++i) {
      DatagramNetwork::Events events;
      events.received = [this, i](SocketId, const IpEndpoint& local, const IpEndpoint& remote, Ecn ecn, ByteView data) {
        received[i].push_back({scheduler.now_us(), local, remote, ecn, to_bytes(data)});
      };
      events.writable = [this, i](SocketId) { ++writable[i]; };
      events.unreachable = [this, i](SocketId, const IpEndpoint& remote) { unreachable[i].push_back(remote); };
      ports[i] = network.attach(i, std::move(events));
      sockets[i] = ports[i]->bind({false, {}, 4001})->socket;
    }
  }
  static IpEndpoint at(size_t machine) { return Topology::v4(machine, 4001); }
  bool send(size_t from, const IpEndpoint& to, size_t size = 100, Ecn ecn = Ecn::not_ect) {
    Bytes data(size, static_cast<uint8_t>(sent >> 8));
    data[0] = static_cast<uint8_t>(sent++);
    return ports[from]->send(sockets[from], to, ecn, data, size);
  }
  void run(uint64_t for_us = kSecondUs) {
    const uint64_t end = scheduler.now_us() + for_us;
    while (scheduler.step(end)) {
    }
  }

  Scheduler scheduler;
  Topology topology;
  DatagramNetwork network;
  std::unique_ptr<Datagrams> ports[3];
  SocketId sockets[3] = {0, 0, 0};
  std::vector<Received> received[3];
  std::vector<IpEndpoint> unreachable[3];
  int writable[3] = {0, 0, 0};
  uint64_t sent = 0;
};

TEST(DatagramNetwork, DeliversInOrderWithAddressesAndCongestionBits) {
  Net net;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(net.send(0, Net::at(1), 100, Ecn::ect_0));
  net.run();
  ASSERT_EQ(net.received[1].size(), 100u);
  for (size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(net.received[1][i].data[0], i);  // delays vary and nobody overtakes
    EXPECT_GE(net.received[1][i].at_us, 1'000'000u + 200);
    EXPECT_LE(net.received[1][i].at_us, 1'000'000u + 5'000);
  }
  EXPECT_EQ(net.received[1][0].local, Net::at(1));
  EXPECT_EQ(net.received[1][0].remote, Net::at(0));
  EXPECT_EQ(net.received[1][0].ecn, Ecn::ect_0);
  EXPECT_TRUE(net.received[0].empty() && net.received[2].empty());
}

TEST(DatagramNetwork, SegmentsOfABatchAreDatagramsOfTheirOwn) {
  Net net;
  const Bytes batch(250, 7);
  ASSERT_TRUE(net.ports[0]->send(net.sockets[0], Net::at(1), Ecn::not_ect, batch, 100));
  net.run();
  ASSERT_EQ(net.received[1].size(), 3u);
  EXPECT_EQ(net.received[1][2].data.size(), 50u);
}

TEST(DatagramNetwork, RatesAreAboutAsTheyWereSet) {
  Net net;
  DatagramConditions conditions;
  conditions.lost = 100'000;
  conditions.duplicated = 50'000;
  conditions.reordered = 200'000;
  conditions.corrupted = 30'000;
  conditions.truncated = 20'000;
  conditions.marked = 250'000;
  net.network.set_conditions(conditions);
  constexpr uint64_t kCount = 20'000;
  for (uint64_t i = 0; i < kCount; ++i) ASSERT_TRUE(net.send(0, Net::at(1), 100, Ecn::ect_0));
  net.run();
  const DatagramStats& stats = net.network.stats();
  const double through = kCount - static_cast<double>(stats.lost);
  EXPECT_NEAR(static_cast<double>(stats.lost), kCount * 0.1, kCount * 0.01);
  EXPECT_NEAR(static_cast<double>(stats.duplicated), through * 0.05, kCount * 0.01);
  EXPECT_NEAR(static_cast<double>(stats.reordered), (through + static_cast<double>(stats.duplicated)) * 0.2,
              kCount * 0.015);
  EXPECT_NEAR(static_cast<double>(stats.corrupted), through * 0.03, kCount * 0.01);
  EXPECT_NEAR(static_cast<double>(stats.truncated), through * 0.02, kCount * 0.01);
  EXPECT_NEAR(static_cast<double>(stats.marked), through * 0.25, kCount * 0.015);
  EXPECT_EQ(stats.delivered, kCount - stats.lost + stats.duplicated);
  EXPECT_EQ(net.received[1].size(), stats.delivered);
  size_t out_of_order = 0;
  size_t shorter = 0;
  for (size_t i = 1; i < net.received[1].size(); ++i) {
    const Bytes& data = net.received[1][i].data;
    shorter += data.size() < 100 ? 1 : 0;
    if (data.empty() || net.received[1][i - 1].data.empty()) continue;
    const auto step = static_cast<uint8_t>(data[0] - net.received[1][i - 1].data[0]);
    out_of_order += step >= 128 ? 1 : 0;
  }
  EXPECT_GT(out_of_order, kCount / 50);
  EXPECT_NEAR(static_cast<double>(shorter), static_cast<double>(stats.truncated), kCount * 0.002);
}

TEST(DatagramNetwork, LargeDatagramsVanishAtTheMtuAndAPathHasItsOwn) {
  Net net;
  DatagramConditions narrow;
  narrow.mtu = 1'200;
  net.network.set_conditions(0, 1, narrow);
  net.send(0, Net::at(1), 1'200);
  net.send(0, Net::at(1), 1'201);
  net.send(0, Net::at(2), 1'400);
  net.send(1, Net::at(0), 1'400);
  net.run();
  EXPECT_EQ(net.received[1].size(), 1u);
  EXPECT_EQ(net.received[2].size(), 1u);
  EXPECT_EQ(net.received[0].size(), 1u);
  EXPECT_EQ(net.network.stats().too_large, 1u);
}

TEST(DatagramNetwork, ASlowPathQueuesMarksAndThenDrops) {
  Net net;
  DatagramConditions slow;
  slow.delay_min_us = slow.delay_max_us = 1'000;
  slow.bytes_per_s = 100'000;
  slow.queue_bytes = 20'000;
  net.network.set_conditions(slow);
  for (int i = 0; i < 30; ++i) net.send(0, Net::at(1), 1'000, Ecn::ect_0);
  net.run(kSecondUs);
  ASSERT_EQ(net.received[1].size(), 20u);
  EXPECT_EQ(net.network.stats().queue_full, 10u);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(net.received[1][i].at_us, 1'000'000 + (i + 1) * 10'000 + 1'000);
  EXPECT_EQ(net.received[1][0].ecn, Ecn::ect_0);
  EXPECT_EQ(net.received[1][19].ecn, Ecn::ce);
}

TEST(DatagramNetwork, AFullSocketSaysWhenItTakesMore) {
  Net net;
  DatagramConditions busy;
  busy.refused = 500'000;
  net.network.set_conditions(busy);
  uint64_t taken = 0;
  uint64_t refused = 0;
  for (int i = 0; i < 200; ++i) {
    (net.send(0, Net::at(1)) ? taken : refused) += 1;
    net.run(5'000);
  }
  EXPECT_GT(refused, 60u);
  EXPECT_EQ(static_cast<uint64_t>(net.writable[0]), refused);
  EXPECT_EQ(net.received[1].size(), taken);
}

TEST(DatagramNetwork, CutsAreOfOneDirectionOrBothAndHeal) {
  Net net;
  net.topology.cut_one_way(0, 1, true);
  net.send(0, Net::at(1));
  net.send(1, Net::at(0));
  net.run();
  EXPECT_EQ(net.received[1].size(), 0u);
  EXPECT_EQ(net.received[0].size(), 1u);
  net.topology.partition({2}, 3);
  net.send(2, Net::at(0));
  net.send(1, Net::at(2));
  net.run();
  EXPECT_EQ(net.received[0].size(), 1u);
  EXPECT_EQ(net.received[2].size(), 0u);
  // What is under way when the cable is pulled is lost as well.
  net.topology.heal_all();
  net.send(0, Net::at(1));
  net.topology.cut(0, 1, true);
  net.run();
  EXPECT_EQ(net.received[1].size(), 0u);
  net.topology.heal_all();
  net.send(0, Net::at(1));
  net.send(1, Net::at(2));
  net.run();
  EXPECT_EQ(net.received[1].size() + net.received[2].size(), 2u);
}

TEST(DatagramNetwork, PortsWithoutASocketAreUnreachableAndMachinesWithoutPowerSilent) {
  Net net;
  net.send(0, Topology::v4(1, 9));
  net.run();
  ASSERT_EQ(net.unreachable[0].size(), 1u);
  EXPECT_EQ(net.unreachable[0][0], Topology::v4(1, 9));
  net.topology.set_powered(1, false);
  net.send(0, Topology::v4(1, 9));
  net.send(0, Net::at(1));
  net.run();
  EXPECT_EQ(net.unreachable[0].size(), 1u);
  EXPECT_TRUE(net.received[1].empty());
  // A process that ended leaves a port behind that nobody listens on.
  net.topology.set_powered(1, true);
  net.ports[1].reset();
  net.send(0, Net::at(1));
  net.run();
  EXPECT_EQ(net.unreachable[0].size(), 2u);
}

TEST(DatagramNetwork, BothFamiliesAndDrawnPorts) {
  Net net;
  const auto v6 = net.ports[0]->bind({true, {}, 0});
  ASSERT_TRUE(v6.ok());
  EXPECT_NE(v6->local.port, 0);
  EXPECT_FALSE(net.ports[0]->bind({false, {}, 4001}).ok());
  EXPECT_FALSE(net.ports[0]->bind(Topology::v4(1, 5)).ok()) << "an address of somebody else";
  const auto there = net.ports[1]->bind({true, {}, 4001});
  ASSERT_TRUE(there.ok());
  const Bytes data(10, 1);
  ASSERT_TRUE(net.ports[0]->send(v6->socket, Topology::v6(1, 4001), Ecn::not_ect, data, 10));
  net.run();
  ASSERT_EQ(net.received[1].size(), 1u);
  EXPECT_EQ(net.received[1][0].remote, Topology::v6(0, v6->local.port));
}

TEST(DatagramNetwork, ReboundFlowsComeFromElsewhereAndAnswersFindThem) {
  for (const bool moved : {false, true}) {
    Net net;
    net.send(0, Net::at(1));
    net.run();
    net.network.rebind(0, moved);
    net.send(0, Net::at(1));
    net.run();
    ASSERT_EQ(net.received[1].size(), 2u);
    const IpEndpoint outside = net.received[1][1].remote;
    EXPECT_NE(outside, Net::at(0));
    EXPECT_EQ(ip_to_string(outside) != ip_to_string(Net::at(0)), moved);
    net.send(1, outside);
    // Only those whom the flow is with come through.
    net.send(2, outside);
    net.run();
    EXPECT_EQ(net.received[0].size(), 1u);
    // The forwarded port stays, and who begins there sees no other address.
    net.send(2, Net::at(0));
    net.run();
    ASSERT_EQ(net.received[0].size(), 2u);
    net.send(0, Net::at(2));
    net.run();
    EXPECT_EQ(net.received[2].back().remote, Net::at(0));
    // Once more: what was drawn before is lost.
    net.network.rebind(0, moved);
    net.send(0, Net::at(1));
    net.send(1, outside);
    net.run();
    EXPECT_NE(net.received[1].back().remote, outside);
    EXPECT_EQ(net.received[0].size(), 2u);
    // And a flow that was silent for long is forgotten.
    net.run(DatagramNetwork::kBindingUs + kSecondUs);
    net.send(0, Net::at(1));
    net.run();
    EXPECT_EQ(net.received[1].back().remote, Net::at(0));
  }
}

TEST(DatagramNetwork, WhatComesForAProcessThatStandsStillWaitsAsLongAsTheSocketsBufferTakesIt) {
  Net net;
  net.topology.halt(1);
  for (int i = 0; i < 500; ++i) net.send(0, Net::at(1), 1'000);
  net.run();
  EXPECT_TRUE(net.received[1].empty());
  const size_t fits = DatagramNetwork::kSocketBuffer / (1'000 + DatagramNetwork::kBufferOverhead);
  EXPECT_EQ(net.network.stats().unread, 500 - fits);
  net.topology.go_on(1);
  ASSERT_EQ(net.received[1].size(), fits);
  for (size_t i = 0; i < fits; ++i) EXPECT_EQ(net.received[1][i].data[0], static_cast<uint8_t>(i));
  // A socket that was closed meanwhile gets nothing.
  net.topology.halt(1);
  net.send(0, Net::at(1));
  net.run();
  net.ports[1].reset();
  net.topology.go_on(1);
  EXPECT_EQ(net.received[1].size(), fits);
}

TEST(DatagramNetwork, AMachineThatSleepsIsSilentAndACloggedPathSlow) {
  Net net;
  net.topology.set_asleep(1, true);
  net.send(0, Topology::v4(1, 9));
  net.send(0, Net::at(1));
  net.run();
  EXPECT_TRUE(net.unreachable[0].empty() && net.received[1].empty());
  net.topology.set_asleep(1, false);
  net.topology.clog(0, 1, 500'000);
  net.send(0, Net::at(1));
  net.send(1, Net::at(0));
  net.send(0, Net::at(2));
  net.run(490'000);
  EXPECT_EQ(net.received[0].size() + net.received[1].size() + net.received[2].size(), 1u);
  net.run(20'000);
  EXPECT_EQ(net.received[0].size() + net.received[1].size() + net.received[2].size(), 3u);
}

TEST(DatagramNetwork, TheChronicleKnowsWhatWasLost) {
  Net net;
  Chronicle chronicle;
  net.network.set_chronicle(&chronicle);
  net.topology.cut_one_way(0, 1, true);
  net.send(0, Net::at(1));
  net.send(1, Net::at(0));
  net.run();
  ASSERT_EQ(chronicle.notes().size(), 2u);
  for (const Chronicle::Note& note : chronicle.notes()) {
    EXPECT_EQ(note.kind, Chronicle::Kind::message);
    EXPECT_EQ(note.bytes, 100u);
    EXPECT_EQ(note.until_us == 0, note.machine == 0);
  }
}

uint64_t drawn_run(uint64_t seed) {
  Net net(seed);
  SimRandom draws(seed);
  net.network.set_conditions(DatagramConditions::draw(draws));
  for (int i = 0; i < 500; ++i) {
    net.send(draws.below(3), Net::at(draws.below(3)), draws.between(1, 1'400), Ecn::ect_0);
    if (i % 100 == 50) net.network.rebind(draws.below(3), draws.chance(50));
    net.run(draws.below(2'000));
  }
  net.run();
  return net.network.trace();
}

TEST(DatagramNetwork, TheSameSeedDoesTheSame) {
  std::set<uint64_t> traces;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const uint64_t trace = drawn_run(seed);
    EXPECT_EQ(drawn_run(seed), trace);
    EXPECT_TRUE(traces.insert(trace).second);
  }
}

}  // namespace
}  // namespace sereus::sim
