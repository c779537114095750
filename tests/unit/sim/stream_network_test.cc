// The network of connections and streams keeps the contract of net::Host, and goes by the topology as the others do.
#include "sim/stream_network.h"

#include <gtest/gtest.h>

#include "core/crypto/init.h"
#include "core/crypto/sign.h"

namespace sereus::sim {
namespace {

constexpr uint64_t kSecondUs = 1'000'000;
constexpr std::string_view kProtocol = "/test/1";

net::PeerId peer(size_t machine) {
  SecretBytes<32> seed;
  seed.data()[0] = static_cast<uint8_t>(machine + 1);
  return net::PeerId::from_device_key(KeyPair::from_seed(seed).device_key());
}

// Three hosts that listen; the events of each are kept.
struct Net {
  Net() : network(scheduler, topology, SimRandom(1)) { crypto::init(); }
  void start() {
    for (size_t i = 0; i < 3; ++i) {
      hosts[i] = network.make_host(i, peer(i), [] {});
      hosts[i]->set_protocols({std::string(kProtocol)});
      EXPECT_TRUE(hosts[i]->listen("/ip4/0.0.0.0/udp/4001/quic-v1").ok());
    }
  }
  std::string address(size_t i) { return hosts[i]->listen_addresses().front(); }
  void run(uint64_t for_us = kSecondUs) {
    const uint64_t end = scheduler.now_us() + for_us;
    while (scheduler.step(end)) {
    }
    for (size_t i = 0; i < 3; ++i) {
      if (!hosts[i]) continue;
      while (auto event = hosts[i]->next_event()) events[i].push_back(std::move(*event));
    }
  }
  template <class Event>
  std::vector<Event> take(size_t i) {
    std::vector<Event> out;
    std::vector<net::HostEvent> rest;
    for (net::HostEvent& event : events[i]) {
      if (auto* one = std::get_if<Event>(&event)) {
        out.push_back(std::move(*one));
      } else {
        rest.push_back(std::move(event));
      }
    }
    events[i] = std::move(rest);
    return out;
  }
  // Connects 0 with 1, and opens a stream from there.
  void connect() {
    ASSERT_TRUE(hosts[0]->dial(address(1), peer(1)).ok());
    run();
    const auto mine = take<net::Connected>(0);
    const auto theirs = take<net::Connected>(1);
    ASSERT_TRUE(mine.size() == 1 && theirs.size() == 1);
    EXPECT_TRUE(!mine[0].incoming && theirs[0].incoming && theirs[0].peer == peer(0));
    here = mine[0].connection;
    there = theirs[0].connection;
    stream_here = *hosts[0]->open_stream(here, kProtocol);
    run();
    const auto opened = take<net::StreamOpened>(1);
    ASSERT_EQ(opened.size(), 1u);
    stream_there = opened[0].stream;
    events[0].clear();
  }
  std::string read(size_t i, net::StreamId stream) {
    Bytes out(1'000'000);
    const auto got = hosts[i]->read(stream, out);
    return got.ok() ? to_string(ByteView(out).first(got->size)) : "closed";
  }

  Scheduler scheduler;
  Topology topology;
  StreamNetwork network;
  std::unique_ptr<net::Host> hosts[3];
  std::vector<net::HostEvent> events[3];
  net::ConnectionId here = 0;
  net::ConnectionId there = 0;
  net::StreamId stream_here = 0;
  net::StreamId stream_there = 0;
};

// A host that kept silent about its own disconnect() made nodes dial in a busy loop: for them the connection was still there.
TEST(StreamNetwork, WhoDisconnectsIsToldItselfAfterItsStreams) {
  for (const size_t who : {size_t{0}, size_t{1}}) {
    Net net;
    net.start();
    ASSERT_NO_FATAL_FAILURE(net.connect());
    net.hosts[who]->disconnect(who == 0 ? net.here : net.there, Code::cancelled);
    net.run();
    for (const size_t i : {size_t{0}, size_t{1}}) {
      ASSERT_EQ(net.events[i].size(), 2u);
      EXPECT_TRUE(std::holds_alternative<net::StreamClosed>(net.events[i][0]));
      const auto* ended = std::get_if<net::Disconnected>(&net.events[i][1]);
      ASSERT_NE(ended, nullptr);
      EXPECT_EQ(ended->connection, i == 0 ? net.here : net.there);
      EXPECT_EQ(ended->reason.code, Code::cancelled);
    }
    net.hosts[who]->disconnect(who == 0 ? net.here : net.there, Code::ok);
    net.run(30 * kSecondUs);
    EXPECT_EQ(net.events[0].size() + net.events[1].size(), 4u) << "once";
  }
}

TEST(StreamNetwork, ADialIsAnsweredOnce) {
  Net net;
  net.start();
  ASSERT_TRUE(net.hosts[0]->dial(net.address(1), peer(2)).ok());
  ASSERT_TRUE(net.hosts[0]->dial("/ip4/10.0.0.99/udp/4001/quic-v1", peer(2)).ok());
  net.run(2 * StreamNetwork::kDialTimeoutUs);
  const auto failed = net.take<net::DialFailed>(0);
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_EQ(failed[0].error.code, Code::denied);
  EXPECT_EQ(failed[1].error.code, Code::unreachable);
  EXPECT_TRUE(net.events[0].empty() && net.events[1].empty());
}

TEST(StreamNetwork, ASystemWhoseProgramIsGoneRefusesAtOnceAndOneWithoutPowerIsSilent) {
  Net net;
  net.start();
  const std::string address = net.address(1);
  net.hosts[1].reset();
  ASSERT_TRUE(net.hosts[0]->dial(address, peer(1)).ok());
  net.run(StreamNetwork::kDialTimeoutUs / 10);
  EXPECT_EQ(net.take<net::DialFailed>(0).size(), 1u);
  net.topology.set_powered(1, false);
  ASSERT_TRUE(net.hosts[0]->dial(address, peer(1)).ok());
  net.run(StreamNetwork::kDialTimeoutUs / 2);
  EXPECT_EQ(net.take<net::DialFailed>(0).size(), 0u);
  net.run(StreamNetwork::kDialTimeoutUs);
  EXPECT_EQ(net.take<net::DialFailed>(0).size(), 1u);
  EXPECT_EQ(net.network.busiest_dialing(), 2u);
}

TEST(StreamNetwork, UnknownProtocolsAreRefusedAndEndsAreRead) {
  Net net;
  net.start();
  ASSERT_NO_FATAL_FAILURE(net.connect());
  (void)net.hosts[0]->open_stream(net.here, "/unknown");
  net.run();
  const auto refused = net.take<net::StreamClosed>(0);
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].reason.code, Code::unsupported);
  EXPECT_EQ(*net.hosts[0]->write(net.stream_here, as_bytes("last words")), 10u);
  net.hosts[0]->finish(net.stream_here);
  net.run();
  EXPECT_EQ(net.take<net::StreamReadable>(1).size(), 1u);
  Bytes out(100);
  const auto got = net.hosts[1]->read(net.stream_there, out);
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE(got->size == 10 && got->finished);
}

TEST(StreamNetwork, WhoDoesNotReadStopsTheSender) {
  Net net;
  net.start();
  ASSERT_NO_FATAL_FAILURE(net.connect());
  const Bytes data(StreamNetwork::kWindow + 1'000, 1);
  EXPECT_EQ(*net.hosts[0]->write(net.stream_here, data), StreamNetwork::kWindow);
  EXPECT_EQ(*net.hosts[0]->write(net.stream_here, data), 0u);
  net.run();
  EXPECT_TRUE(net.take<net::StreamWritable>(0).empty());
  (void)net.read(1, net.stream_there);
  net.run();
  EXPECT_EQ(net.take<net::StreamWritable>(0).size(), 1u);
}

TEST(StreamNetwork, ACutInOneDirectionLetsTheOtherThroughUntilOneGivesUp) {
  Net net;
  net.start();
  ASSERT_NO_FATAL_FAILURE(net.connect());
  net.topology.cut_one_way(0, 1, true);
  (void)net.hosts[0]->write(net.stream_here, as_bytes("not heard"));
  (void)net.hosts[1]->write(net.stream_there, as_bytes("heard"));
  net.run(2 * kSecondUs);
  EXPECT_EQ(net.read(0, net.stream_here), "heard");
  EXPECT_EQ(net.read(1, net.stream_there), "");
  net.topology.heal_all();
  net.run();
  EXPECT_EQ(net.read(1, net.stream_there), "not heard");
  // For long: the deaf one gives up first, and says so in vain or not.
  net.topology.cut_one_way(0, 1, true);
  net.run(StreamNetwork::kIdleUs + 2 * kSecondUs);
  ASSERT_EQ(net.take<net::Disconnected>(1).size(), 1u);
  net.run(StreamNetwork::kIdleUs + 2 * kSecondUs);
  EXPECT_EQ(net.take<net::Disconnected>(0).size(), 1u);
  // No handshake gets through.
  ASSERT_TRUE(net.hosts[1]->dial(net.address(0), peer(0)).ok());
  net.run(2 * StreamNetwork::kDialTimeoutUs);
  EXPECT_EQ(net.take<net::DialFailed>(1).size(), 1u);
}

TEST(StreamNetwork, PartitionsSeparateSides) {
  Net net;
  net.start();
  net.topology.partition({0, 1}, 3);
  ASSERT_NO_FATAL_FAILURE(net.connect());
  ASSERT_TRUE(net.hosts[2]->dial(net.address(0), peer(0)).ok());
  net.run(kSecondUs);
  EXPECT_TRUE(net.events[2].empty());
  net.topology.partition({0, 1}, 3, false);
  net.run(kSecondUs);
  EXPECT_EQ(net.take<net::Connected>(2).size(), 1u);
}

TEST(StreamNetwork, ACloggedPathIsSlower) {
  Net net;
  net.start();
  ASSERT_NO_FATAL_FAILURE(net.connect());
  net.topology.clog(1, 0, 700'000);
  (void)net.hosts[0]->write(net.stream_here, as_bytes("slow"));
  net.run(690'000);
  EXPECT_EQ(net.read(1, net.stream_there), "");
  net.run(20'000);
  EXPECT_EQ(net.read(1, net.stream_there), "slow");
  net.run();  // what reading gave back goes the slow way as well
  net.topology.clog(0, 1, 0);
  (void)net.hosts[1]->write(net.stream_there, as_bytes("fast"));
  net.run(20'000);
  EXPECT_EQ(net.read(0, net.stream_here), "fast");
}

TEST(StreamNetwork, AProcessThatDiesIsMissedAtOnceAndAMachineWithoutPowerLater) {
  for (const bool power_cut : {false, true}) {
    Net net;
    net.start();
    ASSERT_NO_FATAL_FAILURE(net.connect());
    net.topology.set_powered(1, !power_cut);
    net.hosts[1].reset();
    net.run(kSecondUs);
    EXPECT_EQ(net.take<net::Disconnected>(0).size(), power_cut ? 0u : 1u);
    net.run(StreamNetwork::kIdleUs + kSecondUs);
    EXPECT_EQ(net.take<net::Disconnected>(0).size(), power_cut ? 1u : 0u);
  }
}

TEST(StreamNetwork, AProcessThatStandsStillGetsEverythingInOrderAfterwards) {
  Net net;
  net.start();
  ASSERT_NO_FATAL_FAILURE(net.connect());
  net.topology.halt(1);
  for (const char* word : {"one ", "two ", "three"}) {
    (void)net.hosts[0]->write(net.stream_here, as_bytes(word));
    net.run(kSecondUs);
  }
  EXPECT_EQ(net.read(1, net.stream_there), "");
  net.topology.go_on(1);
  net.run(0);
  EXPECT_EQ(net.read(1, net.stream_there), "one two three");
  // For too long: the peer gives it up.
  net.topology.halt(1);
  net.run(StreamNetwork::kIdleUs + 2 * kSecondUs);
  EXPECT_EQ(net.take<net::Disconnected>(0).size(), 1u);
  EXPECT_TRUE(net.take<net::Disconnected>(1).empty());
  net.topology.go_on(1);
  net.run(StreamNetwork::kIdleUs + 2 * kSecondUs);
  EXPECT_EQ(net.take<net::Disconnected>(1).size(), 1u);
}

TEST(StreamNetwork, AMachineThatSleepsHearsNothing) {
  Net net;
  net.start();
  ASSERT_NO_FATAL_FAILURE(net.connect());
  net.topology.set_asleep(1, true);
  (void)net.hosts[0]->write(net.stream_here, as_bytes("wake up"));
  ASSERT_TRUE(net.hosts[2]->dial(net.address(1), peer(1)).ok());
  net.run(5 * kSecondUs);
  EXPECT_EQ(net.read(1, net.stream_there), "");
  net.run(2 * kSecondUs);
  EXPECT_EQ(net.take<net::DialFailed>(2).size(), 1u);
  net.topology.set_asleep(1, false);
  net.run();
  EXPECT_EQ(net.read(1, net.stream_there), "wake up") << "sent again";
}

TEST(StreamNetwork, TheTapAndTheChronicleSeeWhatPasses) {
  Net net;
  net.start();
  std::string seen;
  Chronicle chronicle;
  net.network.set_tap([&](ByteView bytes) { seen += to_string(bytes); });
  net.network.set_chronicle(&chronicle);
  ASSERT_NO_FATAL_FAILURE(net.connect());
  (void)net.hosts[0]->write(net.stream_here, as_bytes("a secret"));
  net.run();
  EXPECT_NE(seen.find("a secret"), std::string::npos);
  ASSERT_GE(chronicle.notes().size(), 3u);
  EXPECT_EQ(chronicle.notes().front().kind, Chronicle::Kind::connected);
  const Chronicle::Note& last = chronicle.notes().back();
  EXPECT_EQ(last.kind, Chronicle::Kind::message);
  EXPECT_TRUE(last.machine == 0 && last.other == 1 && last.bytes == 8 && last.until_us > last.at_us);
}

TEST(StreamNetwork, BoxesDecideWhoCanBeDialled) {
  for (const bool forwards : {false, true}) {
    for (const bool hairpin : {false, true}) {
      Net net;
      NatSettings settings;
      settings.forwards = forwards;
      settings.hairpin = hairpin;
      net.topology.put_behind_nat({0, 1}, settings, SimRandom(1));
      net.start();
      EXPECT_EQ(net.address(0), "/ip4/192.168.1.1/udp/4001/quic-v1");
      ASSERT_NO_FATAL_FAILURE(net.connect());
      const std::string outside = "/ip4/10.2.1.1/udp/4001/quic-v1";
      (void)net.hosts[2]->dial(net.address(0), peer(0));
      (void)net.hosts[2]->dial(outside, peer(0));
      (void)net.hosts[1]->dial(outside, peer(0));
      (void)net.hosts[0]->dial(net.address(2), peer(2));
      net.run(2 * StreamNetwork::kDialTimeoutUs);
      EXPECT_EQ(net.take<net::DialFailed>(2).size(), forwards ? 1u : 2u);
      EXPECT_EQ(net.take<net::DialFailed>(1).size(), forwards && hairpin ? 0u : 1u);
      EXPECT_TRUE(net.take<net::DialFailed>(0).empty());
      const auto connected = net.take<net::Connected>(2);
      ASSERT_EQ(connected.size(), forwards ? 2u : 1u);
      for (const net::Connected& one : connected) {
        EXPECT_EQ(one.address.substr(0, 14), "/ip4/10.2.1.1/") << "the box's address, whoever dialled";
      }
    }
  }
}

}  // namespace
}  // namespace sereus::sim
