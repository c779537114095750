// TCP hosts over simulated links: connecting, streams, and peers that do not keep to the rules.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "core/crypto/hash.h"
#include "tests/support/link_world.h"
#include "tests/support/net_pair.h"

namespace sereus::net {
namespace {

using test::kEcho;
using test::kSecond;
using test::LinkWorld;

constexpr std::string_view kAddress = "/ip4/10.0.0.2/tcp/4001";
const IpEndpoint kEndpoint{false, {10, 0, 0, 2}, 4001};

template <typename T>
const T* find(const LinkWorld::Node& node) {
  for (const HostEvent& event : node.events) {
    if (const T* found = std::get_if<T>(&event)) return found;
  }
  return nullptr;
}
template <typename T>
size_t count(const LinkWorld::Node& node) {
  size_t out = 0;
  for (const HostEvent& event : node.events) out += std::holds_alternative<T>(event) ? 1 : 0;
  return out;
}

class TcpHostTest : public testing::TestWithParam<std::tuple<uint64_t, TcpSecurity>> {
 protected:
  TcpHostTest() : world(seed()), client(world.add(settings())), server(world.add(server_settings())) {
    EXPECT_TRUE(server.host->listen(kAddress).ok());
    server.host->set_protocols({std::string(kEcho)});
    world.on_event = [this](LinkWorld::Node& node, const HostEvent& event) { on_event(node, event); };
  }
  static uint64_t seed() { return std::get<uint64_t>(GetParam()); }
  static TcpSettings settings() {
    TcpSettings settings;
    settings.security = {std::get<TcpSecurity>(GetParam())};
    return settings;
  }
  static TcpSettings server_settings() {
    TcpSettings out = settings();
    out.half_open_max = 4;
    return out;
  }

  ConnectionId connect() {
    EXPECT_TRUE(client.host->dial(kAddress, server.host->peer_id()).ok());
    world.run(20 * kSecond, [&] {
      return (find<Connected>(client) != nullptr && find<Connected>(server) != nullptr) || find<DialFailed>(client);
    });
    const auto* connected = find<Connected>(client);
    return connected == nullptr ? 0 : connected->connection;
  }

  // The server echoes; the client collects.
  void on_event(LinkWorld::Node& node, const HostEvent& event) {
    StreamId stream = 0;
    if (const auto* readable = std::get_if<StreamReadable>(&event)) stream = readable->stream;
    if (const auto* writable = std::get_if<StreamWritable>(&event)) stream = writable->stream;
    if (stream == 0) return;
    if (&node == &server && echoing) echo(stream);
    if (&node == &client) transfer(stream);
  }
  void echo(StreamId stream) {
    Bytes buffer(10'000);
    Bytes& rest = echoes[stream];
    for (;;) {
      if (!rest.empty()) {
        const auto taken = server.host->write(stream, rest);
        if (!taken.ok()) return;
        rest.erase(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(*taken));
        if (!rest.empty()) return;
      }
      const auto got = server.host->read(stream, buffer);
      if (!got.ok()) return;
      rest.assign(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(got->size));
      if (got->size > 0) continue;
      if (got->finished) server.host->finish(stream);
      return;
    }
  }

  struct Transfer {
    Bytes data;
    size_t sent = 0;
    bool finished = false;
    Bytes received;
    bool done = false;
  };
  void transfer(StreamId stream) {
    const auto at = transfers.find(stream);
    if (at == transfers.end()) return;
    Transfer& t = at->second;
    while (t.sent < t.data.size()) {
      const auto taken = client.host->write(stream, ByteView(t.data).subspan(t.sent));
      if (!taken.ok() || *taken == 0) break;
      t.sent += *taken;
    }
    if (t.sent == t.data.size() && !std::exchange(t.finished, true)) client.host->finish(stream);
    Bytes buffer(7'777);
    while (!t.done) {
      const auto got = client.host->read(stream, buffer);
      if (!got.ok()) break;
      append(t.received, ByteView(buffer).first(got->size));
      t.done = got->finished;
      if (got->size < buffer.size()) break;
    }
  }
  StreamId start(ConnectionId connection, size_t size) {
    const auto stream = client.host->open_stream(connection, kEcho);
    EXPECT_TRUE(stream.ok());
    transfers[*stream].data = test::pattern(size, *stream);
    transfer(*stream);
    return *stream;
  }
  bool all_done() const {
    return std::all_of(transfers.begin(), transfers.end(), [](const auto& t) { return t.second.done; });
  }

  LinkWorld world;
  LinkWorld::Node& client;
  LinkWorld::Node& server;
  bool echoing = true;
  std::map<StreamId, Bytes> echoes;
  std::map<StreamId, Transfer> transfers;
};

INSTANTIATE_TEST_SUITE_P(Seeds, TcpHostTest,
                         testing::Combine(testing::Range<uint64_t>(1, 4),
                                          testing::Values(TcpSecurity::tls, TcpSecurity::noise)));

TEST_P(TcpHostTest, BothSidesAreProved) {
  ASSERT_NE(connect(), 0u);
  const auto* ours = find<Connected>(client);
  const auto* theirs = find<Connected>(server);
  ASSERT_NE(theirs, nullptr);
  EXPECT_EQ(ours->peer, server.host->peer_id());
  EXPECT_EQ(theirs->peer, client.host->peer_id());
  EXPECT_FALSE(ours->incoming);
  EXPECT_TRUE(theirs->incoming);
  EXPECT_EQ(ours->address, kAddress);
  EXPECT_EQ(client.host->stats().connections, 1u);
  EXPECT_EQ(server.host->listen_addresses(), std::vector<std::string>{std::string(kAddress)});
}

TEST_P(TcpHostTest, AnotherPeerThanExpectedIsRefused) {
  const PeerId stranger = PeerId::from_device_key(test::NetWorld::key(77).device_key());
  ASSERT_TRUE(client.host->dial(kAddress, stranger).ok());
  ASSERT_TRUE(world.run(20 * kSecond, [&] { return find<DialFailed>(client) != nullptr; }));
  EXPECT_EQ(find<DialFailed>(client)->error.code, Code::denied);
  world.run(kSecond);
  EXPECT_EQ(find<Connected>(server), nullptr) << "the server never saw a proof";
  EXPECT_EQ(client.host->stats().connections + server.host->stats().connections, 0u);
}

TEST_P(TcpHostTest, EchoesStreamsOfAllSizesAtOnce) {
  const ConnectionId connection = connect();
  ASSERT_NE(connection, 0u);
  for (const size_t size : {0u, 1u, 1000u, 300'000u, 3'000'000u}) start(connection, size);
  ASSERT_TRUE(world.run(120 * kSecond, [&] { return all_done(); }));
  for (const auto& [stream, t] : transfers) EXPECT_TRUE(equal(t.received, t.data)) << t.data.size();
  world.run(kSecond);
  EXPECT_EQ(client.host->stats().streams, 0u);
  EXPECT_EQ(server.host->stats().streams, 0u);
  EXPECT_EQ(count<StreamClosed>(client) + count<StreamClosed>(server), 0u);
}

TEST_P(TcpHostTest, AHundredStreams) {
  const ConnectionId connection = connect();
  for (int i = 0; i < 100; ++i) start(connection, 2000 + static_cast<size_t>(i));
  ASSERT_TRUE(world.run(120 * kSecond, [&] { return all_done(); }));
  for (const auto& [stream, t] : transfers) EXPECT_TRUE(equal(t.received, t.data));
}

TEST_P(TcpHostTest, WhoDoesNotReadStopsTheWriter) {
  echoing = false;
  const ConnectionId connection = connect();
  const StreamId stream = start(connection, 64 << 20);
  world.run(20 * kSecond);
  const size_t sent = transfers[stream].sent;
  EXPECT_LT(sent, size_t{20} << 20) << "a reader that does not read must stop the writer";
  world.run(20 * kSecond);
  EXPECT_EQ(transfers[stream].sent, sent);
  EXPECT_EQ(count<Disconnected>(client), 0u) << "keep-alive goes on meanwhile";
}

TEST_P(TcpHostTest, AProtocolNobodySpeaksIsRefused) {
  const ConnectionId connection = connect();
  const auto stream = client.host->open_stream(connection, "/nobody/1.0.0");
  ASSERT_TRUE(stream.ok());
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return find<StreamClosed>(client) != nullptr; }));
  EXPECT_EQ(find<StreamClosed>(client)->reason.code, Code::unsupported);
  EXPECT_EQ(count<StreamOpened>(server), 0u);
  EXPECT_FALSE(client.host->write(*stream, as_bytes("x")).ok());
  start(connection, 100);
  EXPECT_TRUE(world.run(10 * kSecond, [&] { return all_done(); })) << "the connection lives on";
}

TEST_P(TcpHostTest, AStreamOpenedAfterALongQuietHasAllItsTime) {
  const ConnectionId connection = connect();
  world.run(kYamuxKeepAliveUs - kSecond);  // longer than a negotiation may take, and nothing happens
  start(connection, 100);
  EXPECT_TRUE(world.run(10 * kSecond, [&] { return all_done(); }));
}

TEST_P(TcpHostTest, AResetIsToldToTheOtherSide) {
  echoing = false;
  const ConnectionId connection = connect();
  const StreamId stream = start(connection, 1000);
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return find<StreamOpened>(server) != nullptr; }));
  client.host->reset(stream);
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return find<StreamClosed>(server) != nullptr; }));
  EXPECT_EQ(find<StreamClosed>(server)->stream, find<StreamOpened>(server)->stream);
  EXPECT_EQ(find<StreamClosed>(client), nullptr) << "who resets is not told";
}

TEST_P(TcpHostTest, DisconnectingEndsStreamsFirst) {
  echoing = false;
  const ConnectionId connection = connect();
  start(connection, 1000);
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return find<StreamOpened>(server) != nullptr; }));
  client.host->disconnect(connection, Code::ok);
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return find<Disconnected>(client) && find<Disconnected>(server); }));
  for (const LinkWorld::Node* node : {&client, &server}) {
    bool over = false;
    for (const HostEvent& event : node->events) {
      if (std::holds_alternative<Disconnected>(event)) over = true;
      if (std::holds_alternative<StreamClosed>(event)) {
        EXPECT_FALSE(over);
      }
    }
    EXPECT_EQ(count<StreamClosed>(*node), 1u);
    EXPECT_EQ(node->host->stats().streams, 0u);
  }
  EXPECT_EQ(find<Disconnected>(server)->reason.code, Code::ok);
  EXPECT_FALSE(client.host->open_stream(connection, kEcho).ok());
}

TEST_P(TcpHostTest, TheReasonOfADisconnectIsTheCallers) {
  const ConnectionId connection = connect();
  client.host->disconnect(connection, Code::denied);
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return find<Disconnected>(client) && find<Disconnected>(server); }));
  EXPECT_EQ(find<Disconnected>(client)->reason.code, Code::denied);
  EXPECT_EQ(find<Disconnected>(server)->reason.code, Code::ok);
}

TEST_P(TcpHostTest, NobodyListens) {
  ASSERT_TRUE(client.host->dial("/ip4/10.0.0.2/tcp/9", server.host->peer_id()).ok());
  ASSERT_TRUE(world.run(20 * kSecond, [&] { return find<DialFailed>(client) != nullptr; }));
  EXPECT_EQ(find<DialFailed>(client)->error.code, Code::unreachable);
}

TEST_P(TcpHostTest, AddressesThatAreNotTcp) {
  EXPECT_EQ(client.host->dial("/ip4/10.0.0.2/udp/1/quic-v1", server.host->peer_id()).code(), Code::unsupported);
  EXPECT_EQ(client.host->dial("/ip4/10.0.0.2/tcp/0", server.host->peer_id()).code(), Code::invalid);
  EXPECT_EQ(client.host->dial("nonsense", server.host->peer_id()).code(), Code::malformed);
  EXPECT_EQ(client.host->listen("/ip4/10.0.0.1/udp/1/quic-v1").code(), Code::unsupported);
}

// ---- Peers that do not keep to the rules ----------------------------------------------------------------------------

TEST_P(TcpHostTest, ASilentPeerIsLetGo) {
  const LinkId raw = world.raw_connect(kEndpoint);
  world.run(kTcpHandshakeTimeoutUs - kSecond);
  EXPECT_FALSE(world.links().empty());
  world.run(2 * kSecond);
  EXPECT_TRUE(world.links() == std::vector<LinkId>{raw}) << "the server closed its end";
  EXPECT_TRUE(server.events.empty());
}

// The host's time is that of its last step, and an idle host may not have stepped for longer than a handshake may take.
TEST_P(TcpHostTest, AHandshakeIsTimedFromItsOwnBeginning) {
  server.frozen = true;
  world.run(kTcpHandshakeTimeoutUs + kSecond);
  ASSERT_TRUE(client.host->dial(kAddress, server.host->peer_id()).ok());
  world.run(10 * LinkWorld::kDelayUs);
  server.frozen = false;
  EXPECT_TRUE(world.run(kSecond, [this] { return find<Connected>(client) != nullptr; }));
}

TEST_P(TcpHostTest, HalfOpenConnectionsAreBounded) {
  for (int i = 0; i < 20; ++i) world.raw_connect(kEndpoint);
  world.run(1000);
  EXPECT_EQ(world.links().size(), 20u + 4u) << "four of the server's ends are open";
  world.run(kTcpHandshakeTimeoutUs + kSecond);
  EXPECT_NE(connect(), 0u) << "and there is room again";
}

TEST_P(TcpHostTest, GarbageEndsTheConnection) {
  for (const size_t size : {1u, 20u, 3000u, 200'000u}) {
    const LinkId raw = world.raw_connect(kEndpoint);
    world.raw_write(raw, test::pattern(size, size));
    world.run(kTcpHandshakeTimeoutUs + kSecond);
    EXPECT_EQ(world.links().back(), raw) << size << " bytes";
  }
  EXPECT_TRUE(server.events.empty());
}

// Whatever byte changes on its way, before or after the handshake: the connection ends, and no changed byte arrives.
TEST_P(TcpHostTest, AChangedByteEndsTheConnection) {
  for (const uint64_t offset : {0u, 5u, 30u, 60u, 100u, 200u, 300u, 400u, 1000u, 20'000u}) {
    LinkWorld fresh(seed());
    LinkWorld::Node& dialing = fresh.add(settings());
    LinkWorld::Node& listening = fresh.add(settings());
    ASSERT_TRUE(listening.host->listen(kAddress).ok());
    listening.host->set_protocols({std::string(kEcho)});
    ASSERT_TRUE(dialing.host->dial(kAddress, listening.host->peer_id()).ok());
    dialing.host->step(fresh.now());
    fresh.spoil(fresh.links().front(), offset);
    Bytes received;
    const Bytes sent = test::pattern(50'000, 3);
    fresh.on_event = [&](LinkWorld::Node& node, const HostEvent& event) {
      if (const auto* connected = std::get_if<Connected>(&event); connected && &node == &dialing) {
        const auto stream = dialing.host->open_stream(connected->connection, kEcho);
        EXPECT_TRUE(stream.ok());
        EXPECT_TRUE(dialing.host->write(*stream, sent).ok());
      }
      const auto* readable = std::get_if<StreamReadable>(&event);
      if (readable == nullptr || &node != &listening) return;
      Bytes buffer(100'000);
      const auto got = listening.host->read(readable->stream, buffer);
      if (got.ok()) append(received, ByteView(buffer).first(got->size));
    };
    fresh.run(30 * kSecond);
    EXPECT_TRUE(fresh.links().empty()) << "offset " << offset;
    EXPECT_LT(received.size(), sent.size());
    EXPECT_TRUE(std::equal(received.begin(), received.end(), sent.begin())) << "offset " << offset;
  }
}

TEST_P(TcpHostTest, TheSameSeedGivesTheSameBytes) {
  const auto bytes_of = [](uint64_t seed) {
    LinkWorld fresh(seed);
    LinkWorld::Node& dialing = fresh.add(settings());
    LinkWorld::Node& listening = fresh.add(settings());
    Bytes all;
    fresh.trace = [&](LinkId link, ByteView sent) {
      all.push_back(static_cast<uint8_t>(link));
      append(all, sent);
    };
    fresh.on_event = [&](LinkWorld::Node& node, const HostEvent& event) {
      const auto* connected = std::get_if<Connected>(&event);
      if (connected == nullptr || &node != &dialing) return;
      const StreamId stream = *dialing.host->open_stream(connected->connection, kEcho);
      EXPECT_TRUE(dialing.host->write(stream, test::pattern(100'000, 1)).ok());
      dialing.host->finish(stream);
    };
    EXPECT_TRUE(listening.host->listen(kAddress).ok());
    listening.host->set_protocols({std::string(kEcho)});
    EXPECT_TRUE(dialing.host->dial(kAddress, listening.host->peer_id()).ok());
    fresh.run(5 * kSecond);
    EXPECT_GT(all.size(), 100'000u);
    return std::pair(crypto::sha256(all).hex(), fresh.now_us);
  };
  EXPECT_EQ(bytes_of(seed()), bytes_of(seed()));
  EXPECT_NE(bytes_of(seed()).first, bytes_of(seed() + 100).first);
}

}  // namespace
}  // namespace sereus::net
