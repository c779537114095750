// Which secure channel TCP hosts agree on, and TLS between whole hosts: wrong certificates, suspect clocks.
#include <gtest/gtest.h>

#include <map>

#include "core/net/tls_channel.h"
#include "tests/support/bad_identities.h"
#include "tests/support/link_world.h"
#include "tests/support/net_pair.h"

namespace sereus::net {
namespace {

using test::kSecond;
using test::LinkWorld;
using enum TcpSecurity;

constexpr std::string_view kAddress = "/ip4/10.0.0.2/tcp/4001";

template <typename T>
const T* find(const LinkWorld::Node& node) {
  for (const HostEvent& event : node.events) {
    if (const T* found = std::get_if<T>(&event)) return found;
  }
  return nullptr;
}

TcpSettings only(std::vector<TcpSecurity> security) {
  TcpSettings settings;
  settings.security = std::move(security);
  return settings;
}

// Dials; what was said in the clear before the secure channel is in `said`.
struct Dial {
  Dial(const TcpSettings& dialing, const TcpSettings& listening, const TlsIdentity* client_identity = nullptr,
       const TlsIdentity* server_identity = nullptr)
      : client(world.add(dialing, client_identity)), server(world.add(listening, server_identity)) {
    world.trace = [this](LinkId, ByteView sent) { append(said, sent); };
    EXPECT_TRUE(server.host->listen(kAddress).ok());
    EXPECT_TRUE(client.host->dial(kAddress, server.host->peer_id()).ok());
    world.run(5 * kSecond);
    links = world.links();
  }
  bool said_text(std::string_view text) const { return to_string(said).find(text) != std::string::npos; }

  LinkWorld world{1};
  LinkWorld::Node& client;
  LinkWorld::Node& server;
  Bytes said;
  std::vector<LinkId> links;  // the client's, the server's
};

TEST(TcpSecurityTest, TheDialersFirstThatTheListenerAllows) {
  const struct {
    std::vector<TcpSecurity> dialing, listening;
    bool proposes_tls, proposes_noise;
  } cases[] = {
      {{tls, noise}, {tls, noise}, true, false}, {{tls, noise}, {noise}, true, true},
      {{tls, noise}, {tls}, true, false},        {{noise, tls}, {tls, noise}, false, true},
      {{noise, tls}, {tls}, true, true},         {{noise}, {tls, noise}, false, true},
      {{tls}, {noise, tls}, true, false},
  };
  for (const auto& one : cases) {
    const Dial dial(only(one.dialing), only(one.listening));
    ASSERT_NE(find<Connected>(dial.client), nullptr);
    ASSERT_NE(find<Connected>(dial.server), nullptr);
    EXPECT_EQ(find<Connected>(dial.client)->peer, dial.server.host->peer_id());
    EXPECT_EQ(find<Connected>(dial.server)->peer, dial.client.host->peer_id());
    EXPECT_EQ(dial.said_text(kTlsProtocol), one.proposes_tls);
    EXPECT_EQ(dial.said_text(kNoiseProtocol), one.proposes_noise);
    EXPECT_FALSE(dial.said_text("/yamux/1.0.0\n")) << "the muxer is named inside the handshake";
  }
}

TEST(TcpSecurityTest, NothingInCommonEndsTheDial) {
  for (const bool forth : {true, false}) {
    const Dial dial(only({forth ? tls : noise}), only({forth ? noise : tls}));
    ASSERT_NE(find<DialFailed>(dial.client), nullptr);
    EXPECT_EQ(find<DialFailed>(dial.client)->error.code, Code::unsupported);
    EXPECT_TRUE(dial.server.events.empty());
  }
}

TEST(TcpSecurityTest, AHostWithoutAnySecurityIsNone) {
  test::SeededRandom random(1);
  EXPECT_EQ(TcpHost::create(test::NetWorld::key(1), random, nullptr, only({})).code(), Code::invalid);
}

TEST(TcpSecurityTest, BadServerCertificatesAreRefused) {
  for (const test::BadIdentity& bad : test::bad_identities(2)) {
    const Dial dial({}, {}, nullptr, &bad.identity);
    ASSERT_NE(find<DialFailed>(dial.client), nullptr) << bad.name;
    EXPECT_EQ(find<DialFailed>(dial.client)->error.code, bad.code) << find<DialFailed>(dial.client)->error.detail;
    EXPECT_EQ(find<Connected>(dial.server), nullptr) << bad.name;
    EXPECT_TRUE(dial.world.links().empty());
  }
}

TEST(TcpSecurityTest, BadClientCertificatesAreRefused) {
  for (const test::BadIdentity& bad : test::bad_identities(1)) {
    const Dial dial({}, {}, &bad.identity, nullptr);
    // TLS 1.3: the client is done before the server has seen its certificate, and hears of the refusal after.
    ASSERT_NE(find<Disconnected>(dial.client), nullptr) << bad.name;
    EXPECT_EQ(find<Disconnected>(dial.client)->reason.code, Code::denied);
    EXPECT_EQ(find<Connected>(dial.server), nullptr) << bad.name;
    EXPECT_EQ(dial.server.host->stats().connections, 0u);
    EXPECT_TRUE(dial.world.links().empty());
  }
}

TEST(TcpSecurityTest, AGoodbyeIsSaid) {
  Dial dial({}, {});
  std::map<LinkId, size_t> records;
  dial.world.trace = [&](LinkId link, ByteView sent) {
    // Whole records: yamux's GO_AWAY, and close_notify (RFC 8446 6.1).
    for (size_t at = 0; at + 5 <= sent.size(); at += 5 + load_be<uint16_t>(sent.data() + at + 3)) ++records[link];
  };
  dial.client.host->disconnect(find<Connected>(dial.client)->connection, Code::busy);
  dial.world.run(kSecond);
  EXPECT_EQ(find<Disconnected>(dial.client)->reason.code, Code::busy);
  EXPECT_EQ(find<Disconnected>(dial.server)->reason.code, Code::ok);
  EXPECT_EQ(records, (std::map<LinkId, size_t>{{dial.links[0], 2}}));
}

TEST(TcpSecurityTest, ASuspectClockDoesNotStopTheNode) {
  for (const test::BadIdentity& bad : test::bad_identities(2)) {
    if (bad.code != Code::expired) continue;
    TcpSettings suspect;
    suspect.clock_suspect = true;
    const Dial dial(suspect, {}, nullptr, &bad.identity);
    EXPECT_NE(find<Connected>(dial.client), nullptr) << bad.name;
  }
}

}  // namespace
}  // namespace sereus::net
