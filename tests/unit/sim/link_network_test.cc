// The network of byte streams keeps its promises: every byte once and in order, bounded when nobody reads, ends and resets
// as TCP has them, silence where a cable is cut, and the same from the same seed.
#include "sim/link_network.h"

#include <gtest/gtest.h>

#include <numeric>

namespace sereus::sim {
namespace {

constexpr uint64_t kSecondUs = 1'000'000;

struct Owner final : LinkEvents {
  void on_accepted(ListenerId, LinkId link, const IpEndpoint& at, const IpEndpoint& from) override {
    accepted.push_back(link);
    local = at;
    remote = from;
  }
  void on_connected(LinkId link, const IpEndpoint&) override { connected.push_back(link); }
  void on_readable(LinkId) override { ++readable; }
  void on_writable(LinkId) override { ++writable; }
  void on_closed(LinkId link, const Error& reason) override { closed[link] = reason.code; }

  std::vector<LinkId> accepted;
  std::vector<LinkId> connected;
  std::map<LinkId, Code> closed;
  IpEndpoint local;
  IpEndpoint remote;
  int readable = 0;
  int writable = 0;
  int wakes = 0;
};

struct Net {
  explicit Net(uint64_t seed = 1) : network(scheduler, topology, SimRandom(seed)) {
    for (size_t i = 0; i < 2; ++i) links[i] = network.attach(i, owners[i], [this, i] { ++owners[i].wakes; });
    EXPECT_TRUE(links[1]->listen({false, {}, 4001}).ok());
  }
  void run(uint64_t for_us = kSecondUs) {
    const uint64_t end = scheduler.now_us() + for_us;
    while (scheduler.step(end)) {
    }
  }
  // Connects 0 with 1; the links are here and there afterwards.
  void connect() {
    here = *links[0]->connect(Topology::v4(1, 4001));
    run();
    ASSERT_EQ(owners[0].connected.size(), 1u);
    ASSERT_EQ(owners[1].accepted.size(), 1u);
    there = owners[1].accepted[0];
  }
  Bytes read(size_t machine, LinkId link, size_t size = 100'000, bool* ended = nullptr) {
    Bytes out(size);
    const Links::ReadResult got = links[machine]->read(link, out);
    if (ended != nullptr) *ended = got.ended;
    out.resize(got.size);
    return out;
  }

  Scheduler scheduler;
  Topology topology;
  LinkNetwork network;
  Owner owners[2];
  std::unique_ptr<Links> links[2];
  LinkId here = 0;
  LinkId there = 0;
};

Bytes counting(size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(i * 7 + i / 256);
  return out;
}

// Moves all of `data` from 0 to 1 as an owner does that goes by what it is told.
Bytes carry(Net& net, const Bytes& data) {
  size_t sent = 0;
  Bytes got;
  bool ended = false;
  int writable = -1;
  int readable = -1;
  for (int turns = 0; !ended && turns < 200'000; ++turns) {
    if (sent < data.size() && std::exchange(writable, net.owners[0].writable) != net.owners[0].writable) {
      sent += net.links[0]->write(net.here, ByteView(data).subspan(sent));
      if (sent == data.size()) net.links[0]->finish(net.here);
    }
    if (std::exchange(readable, net.owners[1].readable) != net.owners[1].readable) {
      append(got, net.read(1, net.there, 1'000'000, &ended));
    }
    net.run(1'000);
  }
  return ended ? got : Bytes();
}

TEST(LinkNetwork, ConnectsAndSaysWho) {
  Net net;
  net.connect();
  EXPECT_EQ(net.owners[1].local, Topology::v4(1, 4001));
  EXPECT_EQ(ip_to_string(net.owners[1].remote), ip_to_string(Topology::v4(0)));
  EXPECT_GT(net.owners[0].wakes, 0);
  EXPECT_FALSE(net.links[1]->listen({false, {}, 4001}).ok());
  EXPECT_TRUE(net.links[1]->listen({true, {}, 4001}).ok());
}

TEST(LinkNetwork, RefusesWhereNobodyListensAndTimesOutWhereNobodyIs) {
  Net net;
  const LinkId refused = *net.links[0]->connect(Topology::v4(1, 9));
  net.run();
  EXPECT_EQ(net.owners[0].closed.at(refused), Code::unreachable);
  net.topology.set_powered(1, false);
  const LinkId silent = *net.links[0]->connect(Topology::v4(1, 4001));
  const LinkId given_up = *net.links[0]->connect(Topology::v4(1, 4001));
  net.run(2 * kSecondUs);
  EXPECT_FALSE(net.owners[0].closed.contains(silent));
  net.links[0]->close(given_up);
  net.run(LinkNetwork::kConnectTimeoutUs);
  EXPECT_EQ(net.owners[0].closed.at(silent), Code::unreachable);
  EXPECT_FALSE(net.owners[0].closed.contains(given_up));
  EXPECT_EQ(net.network.links(), 0u);
}

TEST(LinkNetwork, CarriesEveryByteInOrderWithAnyConditions) {
  const Bytes data = counting(150'000);
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Net net(seed);
    SimRandom draws(seed);
    LinkConditions conditions = LinkConditions::draw(draws);
    conditions.refused = conditions.broken = 0;
    net.network.set_conditions(conditions);
    ASSERT_NO_FATAL_FAILURE(net.connect());
    EXPECT_EQ(carry(net, data), data) << "seed " << seed;
  }
}

TEST(LinkNetwork, GivesAndTakesPartsWhenAskedTo) {
  Net net;
  LinkConditions conditions;
  conditions.partial_reads = conditions.partial_writes = 500'000;
  net.network.set_conditions(conditions);
  net.connect();
  const Bytes data = counting(1'000'000);
  EXPECT_EQ(carry(net, data), data);
  EXPECT_GT(net.network.stats().partial_reads, 3u);
  EXPECT_GT(net.network.stats().partial_writes, 3u);
}

TEST(LinkNetwork, WhoDoesNotReadStopsTheSender) {
  Net net;
  net.connect();
  const Bytes data(1'000'000, 1);
  EXPECT_EQ(net.links[0]->write(net.here, data), 256u * 1024);
  EXPECT_EQ(net.links[0]->write(net.here, data), 0u);
  net.run(10 * kSecondUs);
  EXPECT_EQ(net.owners[0].writable, 0);
  EXPECT_EQ(net.owners[1].readable, 1) << "told once until it was read";
  EXPECT_EQ(net.links[0]->write(net.here, data), 0u);
  EXPECT_EQ(net.read(1, net.there).size(), 100'000u);
  net.run();
  EXPECT_EQ(net.owners[0].writable, 1);
  EXPECT_EQ(net.links[0]->write(net.here, data), 100'000u);
}

TEST(LinkNetwork, OneDirectionEndsAndTheOtherGoesOn) {
  Net net;
  net.connect();
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("last words")), 10u);
  net.links[0]->finish(net.here);
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("no more")), 0u);
  net.run();
  bool ended = false;
  EXPECT_EQ(to_string(ByteView(net.read(1, net.there, 100, &ended))), "last words");
  EXPECT_TRUE(ended);
  EXPECT_EQ(net.links[1]->write(net.there, as_bytes("an answer")), 9u);
  net.run();
  EXPECT_EQ(to_string(ByteView(net.read(0, net.here))), "an answer");
  net.links[1]->close(net.there);
  net.links[0]->close(net.here);
  net.run();
  EXPECT_EQ(net.network.links(), 0u);
  EXPECT_TRUE(net.owners[0].closed.empty() && net.owners[1].closed.empty());
}

TEST(LinkNetwork, AClosedEndAnswersWithAReset) {
  Net net;
  net.connect();
  net.links[1]->close(net.there);
  net.run();
  bool ended = false;
  (void)net.read(0, net.here, 100, &ended);
  EXPECT_TRUE(ended);
  EXPECT_TRUE(net.owners[0].closed.empty());
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("hello?")), 6u);
  net.run();
  EXPECT_EQ(net.owners[0].closed.at(net.here), Code::io);
}

TEST(LinkNetwork, ACutIsSilentAndHeals) {
  Net net;
  net.connect();
  net.topology.cut_one_way(1, 0, true);  // without the way back TCP comes to a halt as well
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("wait for it")), 11u);
  net.run(30 * kSecondUs);
  EXPECT_EQ(net.owners[1].readable, 0);
  EXPECT_TRUE(net.owners[0].closed.empty());
  net.topology.heal_all();
  net.run(LinkNetwork::kRetransmitMaxUs + kSecondUs);
  EXPECT_EQ(to_string(ByteView(net.read(1, net.there))), "wait for it");
  // One that never heals ends the link of who has something to say, and of nobody else.
  net.topology.cut(0, 1, true);
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("lost")), 4u);
  net.run(LinkNetwork::kGiveUpUs + 2 * LinkNetwork::kRetransmitMaxUs);
  EXPECT_EQ(net.owners[0].closed.at(net.here), Code::io);
  EXPECT_TRUE(net.owners[1].closed.empty());
}

TEST(LinkNetwork, ResetsEndBothEnds) {
  Net net;
  net.connect();
  net.network.break_links(1, 0);
  net.run();
  EXPECT_EQ(net.owners[0].closed.at(net.here), Code::io);
  EXPECT_EQ(net.owners[1].closed.at(net.there), Code::io);
  EXPECT_EQ(net.network.links(), 0u);
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("x")), 0u);
}

TEST(LinkNetwork, WhoLosesPowerIsSilentAndAnswersWithAResetAfterwards) {
  Net net;
  net.connect();
  net.topology.set_powered(1, false);
  net.links[1].reset();
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("anybody?")), 8u);
  net.run(20 * kSecondUs);
  EXPECT_TRUE(net.owners[0].closed.empty());
  bool ended = false;
  (void)net.read(0, net.here, 10, &ended);
  EXPECT_FALSE(ended);
  net.topology.set_powered(1, true);
  net.run(LinkNetwork::kRetransmitMaxUs + kSecondUs);
  EXPECT_EQ(net.owners[0].closed.at(net.here), Code::io);
  EXPECT_EQ(net.network.links(), 0u);
}

TEST(LinkNetwork, ForAProcessThatStandsStillItsSystemGoesOn) {
  Net net;
  net.topology.halt(1);
  net.here = *net.links[0]->connect(Topology::v4(1, 4001));
  net.run();
  EXPECT_EQ(net.owners[0].connected.size(), 1u) << "the system accepts";
  EXPECT_TRUE(net.owners[1].accepted.empty());
  EXPECT_EQ(net.links[0]->write(net.here, Bytes(1'000'000, 1)), 256u * 1024);
  net.run(10 * kSecondUs);
  EXPECT_EQ(net.owners[1].readable, 0);
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("more")), 0u);
  net.topology.go_on(1);
  ASSERT_EQ(net.owners[1].accepted.size(), 1u);
  EXPECT_EQ(net.owners[1].readable, 1);
  EXPECT_EQ(net.read(1, net.owners[1].accepted[0], 1'000'000).size(), 256u * 1024);
  // It hears of the end when it goes on as well.
  net.topology.halt(1);
  net.network.break_links(0, 1);
  net.run();
  EXPECT_EQ(net.owners[0].closed.size(), 1u);
  EXPECT_TRUE(net.owners[1].closed.empty());
  net.topology.go_on(1);
  EXPECT_EQ(net.owners[1].closed.size(), 1u);
}

TEST(LinkNetwork, LinksSurviveANapOfEitherEndAndALongSleepOfTheSender) {
  Net net;
  net.connect();
  net.topology.set_asleep(1, true);
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("morning")), 7u);
  net.run(60 * kSecondUs);
  net.topology.set_asleep(1, false);
  net.run(LinkNetwork::kRetransmitMaxUs + kSecondUs);
  EXPECT_EQ(to_string(ByteView(net.read(1, net.there))), "morning");
  // Who sleeps gives nothing up: its timers stand still.
  net.topology.cut(0, 1, true);
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("later")), 5u);
  net.run(kSecondUs);
  net.topology.set_asleep(0, true);
  net.run(2 * LinkNetwork::kGiveUpUs);
  net.topology.heal_all();
  net.topology.set_asleep(0, false);
  net.run(LinkNetwork::kRetransmitMaxUs + kSecondUs);
  EXPECT_EQ(to_string(ByteView(net.read(1, net.there))), "later");
  // Nobody answers for one that sleeps on.
  net.topology.set_asleep(1, true);
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("gone")), 4u);
  net.run(LinkNetwork::kGiveUpUs + 2 * LinkNetwork::kRetransmitMaxUs);
  EXPECT_EQ(net.owners[0].closed.at(net.here), Code::io);
}

TEST(LinkNetwork, WhatAMachineThatLostPowerHadNotGotThroughIsGone) {
  Net net;
  net.connect();
  net.topology.cut(0, 1, true);
  EXPECT_EQ(net.links[0]->write(net.here, as_bytes("last will")), 9u);
  net.run(kSecondUs);
  net.topology.set_powered(0, false);
  net.links[0].reset();
  net.topology.heal_all();
  net.topology.set_powered(0, true);
  net.run(30 * kSecondUs);
  EXPECT_EQ(net.owners[1].readable, 0);
}

TEST(LinkNetwork, TheTapAndTheChronicleSeeEveryByte) {
  Net net;
  Chronicle chronicle;
  Bytes seen;
  net.network.set_chronicle(&chronicle);
  net.network.set_tap([&](ByteView bytes) { append(seen, bytes); });
  net.connect();
  const Bytes data = counting(100'000);
  EXPECT_EQ(carry(net, data), data);
  EXPECT_EQ(seen, data);
  uint64_t bytes = 0;
  for (const Chronicle::Note& note : chronicle.notes()) bytes += note.bytes;
  EXPECT_EQ(bytes, data.size());
  EXPECT_EQ(chronicle.notes().front().kind, Chronicle::Kind::connected);
}

TEST(LinkNetwork, RefusalsAndBreaksComeAboutAsOftenAsSet) {
  Net net;
  LinkConditions conditions;
  conditions.refused = 300'000;
  net.network.set_conditions(conditions);
  for (int i = 0; i < 1'000; ++i) (void)net.links[0]->connect(Topology::v4(1, 4001));
  net.run(5 * kSecondUs);
  EXPECT_NEAR(static_cast<double>(net.owners[0].closed.size()), 300, 60);
  EXPECT_EQ(net.owners[0].closed.size() + net.owners[0].connected.size(), 1'000u);
  conditions.broken = 1'000'000;
  net.network.set_conditions(conditions);
  const LinkId link = net.owners[0].connected.front();
  EXPECT_EQ(net.links[0]->write(link, as_bytes("x")), 1u);
  net.run();
  EXPECT_EQ(net.owners[0].closed.at(link), Code::io);
}

TEST(LinkNetwork, TheSameSeedDoesTheSame) {
  const auto drawn_run = [](uint64_t seed) {
    Net net(seed);
    SimRandom draws(seed);
    LinkConditions conditions = LinkConditions::draw(draws);
    conditions.refused = 0;
    net.network.set_conditions(conditions);
    net.connect();
    (void)carry(net, Bytes(20'000, static_cast<uint8_t>(seed)));
    return net.network.trace();
  };
  std::set<uint64_t> traces;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const uint64_t trace = drawn_run(seed);
    EXPECT_EQ(drawn_run(seed), trace);
    EXPECT_TRUE(traces.insert(trace).second);
  }
}

}  // namespace
}  // namespace sereus::sim
