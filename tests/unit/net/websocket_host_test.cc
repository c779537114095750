// TCP hosts over WebSocket, plain and in TLS, on simulated links: addresses, whole connections, and who does not keep to the
// rules.
#include <gtest/gtest.h>

#include "core/net/multiaddr.h"
#include "core/net/tcp_address.h"
#include "core/net/transport_policy.h"
#include "tests/support/link_world.h"
#include "tests/support/net_pair.h"
#include "tests/support/test_random.h"
#include "tests/support/web_certificate.h"

namespace sereus::net {
namespace {

using test::kEcho;
using test::kSecond;
using test::LinkWorld;

const IpEndpoint kEndpoint{false, {10, 0, 0, 2}, 4001};
const IpEndpoint kThird{false, {10, 0, 0, 3}, 4001};
constexpr std::string_view kWs = "/ip4/10.0.0.2/tcp/4001/ws";
constexpr std::string_view kWss = "/ip4/10.0.0.2/tcp/4001/tls/ws";
constexpr std::string_view kWssNamed = "/ip4/10.0.0.2/tcp/4001/tls/sni/node.example/ws";

template <typename T>
const T* find(const LinkWorld::Node& node) {
  for (const HostEvent& event : node.events) {
    if (const T* found = std::get_if<T>(&event)) return found;
  }
  return nullptr;
}

TEST(TcpAddressTest, Forms) {
  const auto of = [](std::string_view text) { return TcpAddress::of(*Multiaddr::parse(text)); };
  const std::string peer = "/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
  EXPECT_EQ(of("/ip4/10.0.0.2/tcp/4001"), (TcpAddress{kEndpoint, TcpWrap::none, {}}));
  EXPECT_EQ(of(kWs), (TcpAddress{kEndpoint, TcpWrap::ws, {}}));
  EXPECT_EQ(of(std::string(kWs) + peer), (TcpAddress{kEndpoint, TcpWrap::ws, {}}));
  EXPECT_EQ(of(kWss), (TcpAddress{kEndpoint, TcpWrap::wss, {}}));
  EXPECT_EQ(of("/ip4/10.0.0.2/tcp/4001/wss"), (TcpAddress{kEndpoint, TcpWrap::wss, {}}));
  EXPECT_EQ(of(kWssNamed), (TcpAddress{kEndpoint, TcpWrap::wss, "node.example"}));
  EXPECT_EQ(of("/ip6/::1/tcp/443/wss")->multiaddr().to_string(), "/ip6/::1/tcp/443/tls/ws");
  for (const std::string_view text : {kWs, kWss, kWssNamed}) EXPECT_EQ(of(text)->multiaddr().to_string(), text);
  for (const auto* text : {"/ip4/10.0.0.2/udp/4001/quic-v1", "/ip4/10.0.0.2/tcp/1/tls", "/ip4/10.0.0.2/tcp/1/ws/ws",
                           "/ip4/10.0.0.2/tcp/1/sni/a.example/ws", "/dns4/a.example/tcp/1/ws", "/ip4/10.0.0.2",
                           "/ip4/10.0.0.2/udp/1/ws", "/ip4/10.0.0.2/tcp/1/tls/sni/a.example"}) {
    EXPECT_FALSE(of(text)) << text;
  }
  EXPECT_EQ(of("/ip4/10.0.0.2/tcp/80/ws")->host_field(), "10.0.0.2");
  EXPECT_EQ(of("/ip4/10.0.0.2/tcp/443/ws")->host_field(), "10.0.0.2:443");
  EXPECT_EQ(of("/ip6/::1/tcp/443/wss")->host_field(), "[::1]");
  EXPECT_EQ(of("/ip6/::1/tcp/4001/wss")->host_field(), "[::1]:4001");
  EXPECT_EQ(of(kWssNamed)->host_field(), "node.example:4001");
  EXPECT_TRUE(Multiaddr::parse(kWssNamed)->dialable());
  EXPECT_FALSE(Multiaddr::parse("/ip4/10.0.0.2/tcp/1/tls")->dialable());
}

class WebSocketHostTest : public testing::TestWithParam<std::string_view> {
 protected:
  WebSocketHostTest() : client(world.add(client_settings())), server(world.add(server_settings())) {
    server.host->set_protocols({std::string(kEcho)});
  }
  TcpSettings client_settings() {
    TcpSettings settings;
    settings.websocket.trust = std::make_shared<TlsTrust>(
        [this]() -> Result<Bytes> { return to_bytes(std::string_view(authority.anchor())); }, random);
    return settings;
  }
  TcpSettings server_settings() {
    TcpSettings settings;
    settings.websocket.certificate = certificate;
    settings.half_open_max = 4;
    const auto shown = authority.server({{"node.example"}, {kEndpoint, kThird}});
    EXPECT_TRUE(certificate->load(as_bytes(shown.chain), as_bytes(shown.key)).ok());
    return settings;
  }
  void dial(std::string_view address) {
    EXPECT_TRUE(client.host->dial(address, server.host->peer_id()).ok());
    world.run(20 * kSecond, [&] {
      return (find<Connected>(client) != nullptr && find<Connected>(server) != nullptr) || find<DialFailed>(client);
    });
  }
  Code dial_error() {
    const auto* failed = find<DialFailed>(client);
    return failed == nullptr ? Code::ok : failed->error.code;
  }

  test::TestRandom random{11};
  test::WebAuthority authority{random};
  std::shared_ptr<TlsServerCertificate> certificate = std::make_shared<TlsServerCertificate>(random);
  LinkWorld world{1};
  LinkWorld::Node& client;
  LinkWorld::Node& server;
};

INSTANTIATE_TEST_SUITE_P(Addresses, WebSocketHostTest, testing::Values(kWs, kWss, kWssNamed));

TEST_P(WebSocketHostTest, BothSidesAreProved) {
  ASSERT_TRUE(server.host->listen(GetParam()).ok());
  EXPECT_EQ(server.host->listen_addresses(), std::vector<std::string>{std::string(GetParam())});
  dial(GetParam());
  const auto* ours = find<Connected>(client);
  const auto* theirs = find<Connected>(server);
  ASSERT_TRUE(ours != nullptr && theirs != nullptr);
  EXPECT_EQ(ours->peer, server.host->peer_id());
  EXPECT_EQ(theirs->peer, client.host->peer_id());
  EXPECT_EQ(ours->address, GetParam());
  EXPECT_TRUE(TcpAddress::of(*Multiaddr::parse(theirs->address))->wrap ==
              TcpAddress::of(*Multiaddr::parse(GetParam()))->wrap);
}

// What a gate is asked, for whom.
class CountingGate final : public AcceptGate {
 public:
  bool admit(TransportKind transport, const IpEndpoint& /*remote*/, const Times& /*now*/) override {
    asked.push_back(transport);
    return asked.size() <= admitted;
  }
  void on_half_open_refused(TransportKind transport, const IpEndpoint& /*remote*/, const Times& /*now*/) override {
    full.push_back(transport);
  }
  size_t admitted = 1;
  std::vector<TransportKind> asked;
  std::vector<TransportKind> full;
};

TEST_P(WebSocketHostTest, CountsAsWhatItIsAndNotAsTcp) {
  const TransportKind kind = shape_of(*Multiaddr::parse(GetParam()))->transport;
  CountingGate gate;
  BandwidthLimits limits;
  limits.transport[static_cast<size_t>(TransportKind::tcp)] = {1, 1};
  limits.transport[static_cast<size_t>(kind)].up = 50'000;
  Bandwidth bandwidth(limits);
  TcpSettings settings = server_settings();
  settings.gate = &gate;
  settings.bandwidth = &bandwidth;
  settings.half_open_max = 1;
  LinkWorld::Node& limited = world.add(settings);
  limited.host->set_protocols({std::string(kEcho)});
  const std::string address =
      "/ip4/10.0.0.3" + std::string(GetParam().substr(std::string_view("/ip4/10.0.0.2").size()));
  ASSERT_TRUE(limited.host->listen(address).ok());
  ASSERT_TRUE(client.host->dial(address, limited.host->peer_id()).ok());
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return find<Connected>(limited) != nullptr; }));
  EXPECT_EQ(gate.asked, std::vector<TransportKind>{kind});
  // A second one is refused, and counted as what it is.
  ASSERT_TRUE(client.host->dial(address, limited.host->peer_id()).ok());
  ASSERT_TRUE(world.run(5 * kSecond, [&] { return find<DialFailed>(client) != nullptr; }));
  EXPECT_EQ(gate.asked, (std::vector<TransportKind>{kind, kind}));
  // Its own limit holds, and TCP's does not. Nobody reads, so that yamux's window of 256 KiB is all that goes.
  const auto stream = limited.host->open_stream(find<Connected>(limited)->connection, kEcho);
  ASSERT_TRUE(stream.ok());
  client.host->set_protocols({std::string(kEcho)});
  const Bytes data(1 << 20, 1);
  ASSERT_TRUE(limited.host->write(*stream, data).ok());
  world.run(kSecond);
  const uint64_t before = limited.host->stats().bytes_sent;
  world.run(3 * kSecond);
  const auto sent = static_cast<double>(limited.host->stats().bytes_sent - before);
  EXPECT_NEAR(sent, 150'000, 66'000);  // a whole frame of yamux may be before or behind
}

TEST_P(WebSocketHostTest, CarriesAMebibyteEachWay) {
  ASSERT_TRUE(server.host->listen(GetParam()).ok());
  const Bytes data = test::pattern(1 << 20, 5);
  size_t sent = 0;
  Bytes echoed;
  Bytes waiting;
  StreamId ours = 0;
  bool done = false;
  world.on_event = [&](LinkWorld::Node& node, const HostEvent& event) {
    if (const auto* connected = std::get_if<Connected>(&event); connected && &node == &client) {
      ours = *client.host->open_stream(connected->connection, kEcho);
    }
    if (&node == &client && ours != 0) {
      while (sent < data.size()) {
        const auto taken = client.host->write(ours, ByteView(data).subspan(sent));
        if (!taken.ok() || *taken == 0) break;
        sent += *taken;
      }
      Bytes buffer(50'000);
      for (auto got = client.host->read(ours, buffer); got.ok() && got->size > 0;
           got = client.host->read(ours, buffer)) {
        append(echoed, ByteView(buffer).first(got->size));
      }
      done = echoed.size() == data.size();
    }
    StreamId theirs = 0;
    if (const auto* readable = std::get_if<StreamReadable>(&event)) theirs = readable->stream;
    if (const auto* writable = std::get_if<StreamWritable>(&event)) theirs = writable->stream;
    if (&node != &server || theirs == 0) return;
    Bytes buffer(50'000);
    for (;;) {
      const auto taken = server.host->write(theirs, waiting);
      if (!taken.ok()) return;
      waiting.erase(waiting.begin(), waiting.begin() + static_cast<ptrdiff_t>(*taken));
      if (!waiting.empty()) return;
      const auto got = server.host->read(theirs, buffer);
      if (!got.ok() || got->size == 0) return;
      waiting.assign(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(got->size));
    }
  };
  dial(GetParam());
  ASSERT_TRUE(world.run(60 * kSecond, [&] { return done; })) << echoed.size();
  EXPECT_TRUE(equal(echoed, data));
}

TEST_P(WebSocketHostTest, AnotherPeerThanExpectedIsRefused) {
  ASSERT_TRUE(server.host->listen(GetParam()).ok());
  const PeerId stranger = PeerId::from_device_key(test::NetWorld::key(77).device_key());
  ASSERT_TRUE(client.host->dial(GetParam(), stranger).ok());
  world.run(20 * kSecond, [&] { return find<DialFailed>(client) != nullptr; });
  EXPECT_EQ(dial_error(), Code::denied);
  EXPECT_EQ(find<Connected>(server), nullptr);
}

TEST_P(WebSocketHostTest, DisconnectingIsHeard) {
  ASSERT_TRUE(server.host->listen(GetParam()).ok());
  dial(GetParam());
  ASSERT_NE(find<Connected>(client), nullptr);
  client.host->disconnect(find<Connected>(client)->connection, Code::ok);
  ASSERT_TRUE(world.run(10 * kSecond, [&] { return find<Disconnected>(server) != nullptr; }));
  EXPECT_EQ(find<Disconnected>(server)->reason.code, Code::ok);
  world.run(kSecond);
  EXPECT_TRUE(world.links().empty());
}

// A server that takes its time costs it no more than the handshake's.
TEST_P(WebSocketHostTest, SlowHeadersEndAtTheDeadline) {
  ASSERT_TRUE(server.host->listen(GetParam()).ok());
  const LinkId raw = world.raw_connect(kEndpoint);
  const std::string_view request = "GET / HTTP/1.1\r\nX: ";
  size_t at = 0;
  for (uint64_t passed = 0; passed < kTcpHandshakeTimeoutUs + kSecond; passed += kSecond / 2) {
    if (!world.is_closed(raw))
      world.raw_write(raw, at < request.size() ? as_bytes(request.substr(at++, 1)) : as_bytes("a"));
    world.run(kSecond / 2);
  }
  EXPECT_EQ(world.links(), std::vector<LinkId>{raw}) << "the server closed its end";
  EXPECT_TRUE(server.events.empty());
}

TEST_P(WebSocketHostTest, GarbageEndsTheConnection) {
  ASSERT_TRUE(server.host->listen(GetParam()).ok());
  for (const size_t size : {size_t{20}, size_t{3000}, size_t{200'000}}) {
    const LinkId raw = world.raw_connect(kEndpoint);
    world.raw_write(raw, test::pattern(size, size));
    world.run(kTcpHandshakeTimeoutUs + kSecond);
    EXPECT_EQ(world.links().back(), raw) << size << " bytes";
  }
  EXPECT_TRUE(server.events.empty());
}

using WebSocketHosts = WebSocketHostTest;
INSTANTIATE_TEST_SUITE_P(Once, WebSocketHosts, testing::Values(kWs));

TEST_P(WebSocketHosts, OnlyWhoSpeaksTheSameIsReached) {
  for (const auto& [listening, dialing] : {std::pair<std::string_view, std::string_view>{"/ip4/10.0.0.2/tcp/4001", kWs},
                                           {"/ip4/10.0.0.2/tcp/4001", kWss},
                                           {kWs, "/ip4/10.0.0.2/tcp/4001"},
                                           {kWs, kWss},
                                           {kWss, kWs},
                                           {kWss, "/ip4/10.0.0.2/tcp/4001"}}) {
    LinkWorld fresh(2);
    LinkWorld::Node& from = fresh.add(client_settings());
    LinkWorld::Node& to = fresh.add(server_settings());
    ASSERT_TRUE(to.host->listen(listening).ok());
    ASSERT_TRUE(from.host->dial(dialing, to.host->peer_id()).ok());
    ASSERT_TRUE(fresh.run(20 * kSecond, [&] { return find<DialFailed>(from) != nullptr; })) << listening << dialing;
    EXPECT_EQ(find<Connected>(to), nullptr);
    fresh.run(kTcpHandshakeTimeoutUs + kSecond);
    EXPECT_TRUE(fresh.links().empty());
  }
}

TEST_P(WebSocketHosts, SecureWebSocketNeedsACertificate) {
  LinkWorld::Node& bare = world.add();
  const Status listened = bare.host->listen("/ip4/10.0.0.3/tcp/1/tls/ws");
  EXPECT_EQ(listened.code(), Code::invalid);
  EXPECT_NE(listened.error().detail.find("certificate"), std::string::npos);
  EXPECT_TRUE(bare.host->listen("/ip4/10.0.0.3/tcp/1/ws").ok());
  EXPECT_EQ(bare.host->dial(kWss, server.host->peer_id()).code(), Code::unsupported) << "nobody is trusted";
  EXPECT_EQ(bare.host->listen("/ip4/10.0.0.3/tcp/2/tls").code(), Code::unsupported);
}

TEST_P(WebSocketHosts, TheServersNameIsChecked) {
  ASSERT_TRUE(server.host->listen(kWss).ok());
  dial("/ip4/10.0.0.2/tcp/4001/tls/sni/other.example/ws");
  EXPECT_EQ(dial_error(), Code::denied);
}

TEST_P(WebSocketHosts, UnlistedOriginsAreRefused) {
  LinkWorld fresh(3);
  TcpSettings settings;
  settings.websocket.origins = {"https://app.example"};
  LinkWorld::Node& from = fresh.add();
  LinkWorld::Node& to = fresh.add(settings);
  ASSERT_TRUE(to.host->listen("/ip4/10.0.0.2/tcp/4001/ws").ok());
  const LinkId raw = fresh.raw_connect(kEndpoint);
  fresh.raw_write(raw, as_bytes("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                "Origin: https://evil.example\r\n\r\n"));
  fresh.run(kSecond);
  EXPECT_EQ(fresh.links(), std::vector<LinkId>{raw}) << "closed at once";
  ASSERT_TRUE(from.host->dial("/ip4/10.0.0.2/tcp/4001/ws", to.host->peer_id()).ok());
  EXPECT_TRUE(fresh.run(5 * kSecond, [&] { return find<Connected>(from) != nullptr; })) << "no page, no Origin";
  settings.websocket.origins.resize(kWebSocketOriginsMax + 1);
  EXPECT_EQ(TcpHost::create(test::NetWorld::key(9), random, nullptr, settings).code(), Code::too_large);
}

}  // namespace
}  // namespace sereus::net
