// Peers that make us hold memory: they send and nobody reads, they do not read what we write, they leave gaps.
#include <gtest/gtest.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "core/net/swarm.h"
#include "tests/support/net_pair.h"
#include "tests/support/swarm_world.h"

namespace sereus::net {
namespace {

using test::kEcho;
using test::kSecond;
using test::SwarmWorld;

class SwarmMemoryTest : public testing::TestWithParam<TransportKind> {
 protected:
  SwarmMemoryTest() {
    world.on_event = [this](SwarmWorld::Node& node, const HostEvent& event) {
      if (const auto* writable = std::get_if<StreamWritable>(&event)) fill(node, writable->stream);
      if (const auto* opened = std::get_if<StreamOpened>(&event); opened != nullptr && opened->incoming) {
        incoming[&node].push_back(opened->stream);
      }
    };
  }
  SwarmWorld::Node& add(const ResourceSettings& resources = {}) {
    SwarmWorld::Node& node = world.add({}, resources);
    node.swarm->set_protocols({std::string(kEcho)});
    return node;
  }
  ConnectionId connect(SwarmWorld::Node& from, SwarmWorld::Node& to) {
    const bool quic = GetParam() == TransportKind::quic;
    const size_t before = from.count<Connected>();
    const size_t before_there = to.count<Connected>();
    const auto dialed = from.swarm->dial(quic ? world.quic_address(to) : world.tcp_address(to), to.swarm->peer_id());
    EXPECT_TRUE(dialed.ok());
    EXPECT_TRUE(world.run(5 * kSecond,
                          [&] { return from.count<Connected>() > before && to.count<Connected>() > before_there; }));
    for (auto event = from.events.rbegin(); event != from.events.rend(); ++event) {
      if (const auto* connected = std::get_if<Connected>(&*event)) return connected->connection;
    }
    return 0;
  }
  // Writes until nothing more is taken.
  static void fill(SwarmWorld::Node& node, StreamId stream) {
    static const Bytes kData(64 << 10, 7);
    for (;;) {
      const auto taken = node.swarm->write(stream, kData);
      if (!taken.ok() || *taken < kData.size()) return;
    }
  }
  StreamId open_and_fill(SwarmWorld::Node& node, ConnectionId connection) {
    const auto stream = node.swarm->open_stream(connection, kEcho);
    EXPECT_TRUE(stream.ok());
    if (!stream.ok()) return 0;
    fill(node, *stream);
    return *stream;
  }
  static const Refused* refused(const SwarmWorld::Node& node, RefusalReason reason) {
    for (const SwarmNotice& notice : node.notices) {
      const auto* found = std::get_if<Refused>(&notice);
      if (found != nullptr && found->reason == reason) return found;
    }
    return nullptr;
  }
  static uint64_t buffered(const SwarmWorld::Node& node) {
    uint64_t out = 0;
    for (const ConnectionInfo& info : node.swarm->connections()) out += node.swarm->buffered(info.connection);
    return out;
  }

  SwarmWorld world{5};
  std::map<SwarmWorld::Node*, std::vector<StreamId>> incoming;
};

std::string name(const testing::TestParamInfo<TransportKind>& info) { return std::string(transport_name(info.param)); }
INSTANTIATE_TEST_SUITE_P(Transports, SwarmMemoryTest, testing::Values(TransportKind::quic, TransportKind::tcp), name);

TEST_P(SwarmMemoryTest, WhatIsNotReadIsMeasuredAndGivenBack) {
  auto& client = add();
  auto& server = add();
  world.listen(server);
  open_and_fill(client, connect(client, server));
  world.run(3 * kSecond);
  const uint64_t held = buffered(server);
  EXPECT_GT(held, 200u << 10);
  EXPECT_LE(server.swarm->use().memory, kConnectionMemory + kStreamMemory + held);
  EXPECT_GE(server.swarm->use().memory, held);
  EXPECT_EQ(server.swarm->use(client.swarm->peer_id()).memory, server.swarm->use().memory);
  // Read, it is given back. The sender stops, so that nothing follows.
  world.on_event = nullptr;
  Bytes buffer(64 << 10);
  world.run(5 * kSecond, [&] {
    for (;;) {
      const auto got = server.swarm->read(incoming[&server][0], buffer);
      if (!got.ok() || got->size == 0) return false;
    }
  });
  EXPECT_LT(buffered(server), kConnectionMemory);
  EXPECT_EQ(server.swarm->use().memory, kConnectionMemory + kStreamMemory);
  EXPECT_LT(client.swarm->use().memory, 3 * kConnectionMemory);  // ngtcp2 keeps pools of what it used
}

TEST_P(SwarmMemoryTest, APeerThatSendsWhatNobodyReadsLosesItsStream) {
  ResourceSettings resources;
  resources.memory_peer = 512 << 10;
  auto& client = add();
  auto& quiet = add();
  auto& server = add(resources);
  world.listen(server);
  connect(quiet, server);
  const ConnectionId connection = connect(client, server);
  for (size_t n = 0; n < 4; ++n) open_and_fill(client, connection);
  ASSERT_TRUE(world.run(5 * kSecond,
                        [&] { return refused(server, RefusalReason::memory_peer) && server.event<StreamClosed>(); }));
  EXPECT_EQ(refused(server, RefusalReason::memory_peer)->peer, client.swarm->peer_id());
  EXPECT_EQ(refused(server, RefusalReason::memory_peer)->protocol, kEcho);
  EXPECT_EQ(server.event<StreamClosed>()->reason.code, Code::again);
  world.run(3 * kSecond);
  EXPECT_LE(server.swarm->use(client.swarm->peer_id()).memory, resources.memory_peer);
  // Who holds nothing is not touched, and neither is the connection.
  EXPECT_EQ(server.swarm->connections().size(), 2u);
  EXPECT_EQ(server.count<Disconnected>(), 0u);
}

TEST_P(SwarmMemoryTest, APeerThatDoesNotReadWhatWeWriteIsBoundedToo) {
  ResourceSettings resources;
  resources.memory_peer = 256 << 10;
  auto& client = add();
  auto& server = add(resources);
  world.listen(server);
  connect(client, server);
  // The server's application writes; the client's never reads.
  open_and_fill(server, server.event<Connected>()->connection);
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return refused(server, RefusalReason::memory_peer) != nullptr; }));
  world.run(2 * kSecond);
  EXPECT_LE(server.swarm->use().memory, resources.memory_peer);
}

TEST_P(SwarmMemoryTest, InAllWhoHoldsMostLoses) {
  ResourceSettings resources;
  resources.memory = 1200 << 10;
  auto& modest = add();
  auto& greedy = add();
  auto& server = add(resources);
  world.listen(server);
  const ConnectionId small = connect(modest, server);
  const ConnectionId large = connect(greedy, server);
  const auto stream = modest.swarm->open_stream(small, kEcho);
  ASSERT_TRUE(stream.ok());
  const Bytes some(100 << 10, 1);
  ASSERT_EQ(*modest.swarm->write(*stream, some), some.size());
  for (size_t n = 0; n < 8; ++n) open_and_fill(greedy, large);
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return refused(server, RefusalReason::memory_total) != nullptr; }));
  EXPECT_EQ(refused(server, RefusalReason::memory_total)->peer, greedy.swarm->peer_id());
  world.run(3 * kSecond);
  EXPECT_LE(server.swarm->use().memory, resources.memory);
  // All that the modest one sent is still there to be read.
  Bytes buffer(200 << 10);
  size_t got = 0;
  for (const StreamId id : incoming[&server]) {
    const auto read = server.swarm->read(id, buffer);
    if (read.ok() && buffer[0] == 1) got = read->size;
  }
  EXPECT_EQ(got, some.size());
}

TEST_P(SwarmMemoryTest, AnEndedConnectionHoldsNothing) {
  auto& client = add();
  auto& server = add();
  world.listen(server);
  const ConnectionId connection = connect(client, server);
  open_and_fill(client, connection);
  world.run(2 * kSecond);
  ASSERT_GT(server.swarm->use().memory, kConnectionMemory + kStreamMemory);
  client.swarm->disconnect(connection, Code::ok);
  world.run(2 * kSecond);
  EXPECT_EQ(server.swarm->use().memory, 0u);
  EXPECT_EQ(client.swarm->use().memory, 0u);
  EXPECT_EQ(client.swarm->buffered(connection), 0u);
  EXPECT_EQ(client.swarm->largest_buffer(connection).stream, 0u);
}

// A sender whose packets with the beginning of a stream are lost: QUIC keeps what comes behind the gap, and no event tells of it.
TEST(SwarmMemoryGapTest, WhatWaitsForAGapIsMeasured) {
  SwarmWorld world(9);
  world.quic.link.loss = 0.4;
  world.quic.link.delay_us = 200'000;
  auto& client = world.add();
  auto& server = world.add();
  server.swarm->set_protocols({std::string(kEcho)});
  world.listen(server);
  ASSERT_TRUE(client.swarm->dial(world.quic_address(server), server.swarm->peer_id()).ok());
  ASSERT_TRUE(world.run(60 * kSecond, [&] { return server.event<Connected>() && client.event<Connected>(); }));
  const ConnectionId at_server = server.event<Connected>()->connection;
  const uint64_t idle = server.swarm->buffered(at_server);
  const auto stream = client.swarm->open_stream(client.event<Connected>()->connection, kEcho);
  ASSERT_TRUE(stream.ok());
  Bytes buffer(64 << 10);
  uint64_t most = 0;
  world.on_event = [&](SwarmWorld::Node& node, const HostEvent& event) {
    const auto* readable = std::get_if<StreamReadable>(&event);
    if (readable == nullptr || &node != &server) return;
    for (;;) {
      const auto got = node.swarm->read(readable->stream, buffer);
      if (!got.ok() || got->size == 0) return;
    }
  };
  ASSERT_TRUE(client.swarm->write(*stream, Bytes(512 << 10, 3)).ok());
  world.run(20 * kSecond, [&] {
    most = std::max(most, server.swarm->buffered(at_server));
    return false;
  });
  EXPECT_GT(most, idle + (4 << 10));  // everything in order was read at once
}

// The figures of docs/network.md.
TEST(ConnectionMemoryTest, AnIdleConnectionIsWithinItsReserve) {
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const auto heap = [] { return static_cast<double>(mallinfo2().uordblks); };
  for (const bool quic : {true, false}) {
    SwarmWorld world(11);
    SwarmSettings settings;
    settings.identify = false;
    ResourceSettings resources;
    resources.connections_peer = 1000;
    resources.handshakes_address_burst = 1000;
    auto& client = world.add(settings, resources);
    auto& server = world.add(settings, resources);
    world.listen(server);
    const auto dial = [&](size_t count) {
      for (size_t n = 0; n < count; ++n) {
        const std::string address = quic ? world.quic_address(server) : world.tcp_address(server);
        EXPECT_TRUE(client.swarm->dial(address, server.swarm->peer_id()).ok());
      }
      world.run(8 * kSecond);
      EXPECT_TRUE(client.swarm->connections().size() == count || client.swarm->connections().size() == count + 20);
    };
    dial(20);  // what is made once
    const double before = heap();
    dial(100);
    const double each = (heap() - before) / 200;  // both ends are here
    uint64_t told = 0;
    for (const ConnectionInfo& info : server.swarm->connections()) told += server.swarm->buffered(info.connection);
    told /= server.swarm->connections().size();
    std::printf("[  MEASURE ] %s: heap of an idle connection %.0f bytes, told as buffered %llu\n",
                quic ? "quic" : "tcp", each, static_cast<unsigned long long>(told));
    EXPECT_LT(each, static_cast<double>(kConnectionMemory));
    EXPECT_LT(told, kConnectionMemory);
  }
#else
  GTEST_SKIP() << "the heap tells its size only with glibc and without sanitizers";
#endif
}

}  // namespace
}  // namespace sereus::net
