// The order of addresses, and the race, on a host that does what the test says.
#include "core/net/dialer.h"

#include <gtest/gtest.h>

#include "core/net/dial_ranking.h"
#include "tests/support/fake_host.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/net_world.h"

namespace sereus::net {
namespace {

using test::FakeHost;
using test::FakeResolver;

constexpr uint64_t kMs = kMicrosPerMilli;

std::vector<Multiaddr> addresses(std::initializer_list<std::string_view> texts) {
  std::vector<Multiaddr> out;
  for (const auto text : texts) out.push_back(Multiaddr::parse(text).value());
  return out;
}

struct Expected {
  std::string address;
  uint64_t ms;
};
void expect_ranking(std::initializer_list<std::string_view> given, const std::vector<Expected>& expected,
                    const TransportPolicy& policy = {}) {
  const auto ranked = rank_addresses(addresses(given), policy);
  ASSERT_EQ(ranked.size(), expected.size());
  for (size_t i = 0; i < ranked.size(); ++i) {
    EXPECT_EQ(ranked[i].address.to_string(), expected[i].address);
    EXPECT_EQ(ranked[i].delay_us, expected[i].ms * kMs) << expected[i].address;
  }
}

TEST(DialRanking, QuicThenTcpThenWebSocketsEachFamilyInTurn) {
  expect_ranking({"/ip4/198.51.100.1/tcp/4001", "/ip4/198.51.100.1/udp/4001/quic-v1", "/ip4/198.51.100.1/tcp/80/ws",
                  "/ip6/2001:db8::1/udp/4001/quic-v1", "/ip6/2001:db8::1/tcp/4001",
                  "/ip4/198.51.100.1/tcp/443/tls/sni/h.example/ws"},
                 {{"/ip6/2001:db8::1/udp/4001/quic-v1", 0},
                  {"/ip4/198.51.100.1/udp/4001/quic-v1", 250},
                  {"/ip6/2001:db8::1/tcp/4001", 500},
                  {"/ip4/198.51.100.1/tcp/4001", 750},
                  {"/ip4/198.51.100.1/tcp/443/tls/sni/h.example/ws", 1000},
                  {"/ip4/198.51.100.1/tcp/80/ws", 1250}});
}

TEST(DialRanking, FurtherAddressesOfATransportComeTogether) {
  expect_ranking({"/ip4/198.51.100.1/udp/1/quic-v1", "/ip4/198.51.100.2/udp/1/quic-v1",
                  "/ip4/198.51.100.3/udp/1/quic-v1", "/ip4/198.51.100.1/tcp/1"},
                 {{"/ip4/198.51.100.1/udp/1/quic-v1", 0},
                  {"/ip4/198.51.100.2/udp/1/quic-v1", 250},
                  {"/ip4/198.51.100.3/udp/1/quic-v1", 250},
                  {"/ip4/198.51.100.1/tcp/1", 500}});
}

TEST(DialRanking, TheOwnNetworkHasARaceOfItsOwn) {
  expect_ranking({"/ip4/198.51.100.1/udp/1/quic-v1", "/ip4/192.168.1.2/tcp/1", "/ip4/192.168.1.2/udp/1/quic-v1",
                  "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/198.51.100.1/udp/1/quic-v1"},
                 {{"/ip4/192.168.1.2/udp/1/quic-v1", 0},
                  {"/ip4/198.51.100.1/udp/1/quic-v1", 0},
                  {"/ip4/127.0.0.1/udp/1/quic-v1", 30},
                  {"/ip4/192.168.1.2/tcp/1", 60}});
}

TEST(DialRanking, ThePolicyOrdersAndForbids) {
  TransportPolicy policy;
  policy.order = {TransportKind::tcp, TransportKind::quic};
  policy.ipv6 = false;
  expect_ranking({"/ip4/198.51.100.1/udp/1/quic-v1", "/ip6/2001:db8::1/tcp/1", "/ip4/198.51.100.1/tcp/1",
                  "/ip4/198.51.100.1/tcp/1/ws"},
                 {{"/ip4/198.51.100.1/tcp/1", 0}, {"/ip4/198.51.100.1/udp/1/quic-v1", 250}}, policy);
}

TEST(DialRanking, Scopes) {
  const auto scope = [](std::string_view ip) { return scope_of(*parse_ip(ip, 1)); };
  EXPECT_EQ(scope("127.1.2.3"), AddressScope::loopback);
  EXPECT_EQ(scope("::1"), AddressScope::loopback);
  for (const auto* ip :
       {"10.0.0.1", "172.16.0.1", "172.31.255.1", "192.168.0.1", "169.254.1.1", "fd00::1", "fe80::1"}) {
    EXPECT_EQ(scope(ip), AddressScope::local) << ip;
  }
  for (const auto* ip : {"172.32.0.1", "192.169.0.1", "198.51.100.1", "2001:db8::1", "fec0::1"}) {
    EXPECT_EQ(scope(ip), AddressScope::global) << ip;
  }
}

TEST(TransportPolicy, SaysWhatIsForbidden) {
  TransportPolicy policy;
  policy.order = {TransportKind::tcp};
  policy.ipv4 = false;
  const auto check = [&](std::string_view text) { return policy.check(Multiaddr::parse(text).value()); };
  EXPECT_TRUE(check("/ip6/::1/tcp/1").ok());
  EXPECT_TRUE(check("/dns/h/tcp/1").ok());
  EXPECT_EQ(check("/ip6/::1/udp/1/quic-v1").code(), Code::denied);
  EXPECT_EQ(check("/ip6/::1/udp/1/quic-v1").error().detail, "the transport policy forbids quic");
  EXPECT_EQ(check("/ip4/127.0.0.1/tcp/1").error().detail, "the transport policy forbids IPv4");
  EXPECT_EQ(check("/dns4/h/tcp/1").code(), Code::denied);
  EXPECT_EQ(check("/dnsaddr/h").code(), Code::unsupported);
  EXPECT_EQ(check("/ip4/127.0.0.1/udp/1/quic-v1/webtransport").code(), Code::unsupported);
}

// --- the race

class DialerTest : public testing::Test {
 protected:
  static constexpr std::string_view kQuic6 = "/ip6/2001:db8::1/udp/1/quic-v1";
  static constexpr std::string_view kQuic4 = "/ip4/198.51.100.1/udp/1/quic-v1";
  static constexpr std::string_view kTcp4 = "/ip4/198.51.100.1/tcp/1";

  explicit DialerTest() { settings.timeout_us = 15 * kMicrosPerSecond; }
  Times now() const { return {now_us, 0}; }
  // Steps at each time the dialer asks for, up to `ms` from now.
  void run(uint64_t ms) {
    const uint64_t limit = now_us + ms * kMs;
    for (;;) {
      const uint64_t next = dialer.step(now());
      if (next > limit) break;
      now_us = std::max(next, now_us + 1);
    }
    now_us = limit;
    dialer.step(now());
  }
  void dial(uint64_t id, std::initializer_list<std::string_view> to, bool force = false) {
    ASSERT_TRUE(dialer.dial(id, peer, addresses(to), force).ok());
  }
  void fail_dial(std::string_view address, Code code, const std::string& why) {
    ASSERT_TRUE(dialer.on_dial_failed({host.dial_of(address), fail(code, why)}, now()));
  }

  test::SeededRandom random{5};
  FakeHost host;
  FakeResolver resolver;
  DialSettings settings;
  Dialer dialer{host, &resolver, random, settings};
  PeerId peer = PeerId::from_device_key(test::NetWorld::key(7).device_key());
  uint64_t now_us = kMicrosPerSecond;
};

TEST_F(DialerTest, LaterAddressesStartWhenTheirTimeComes) {
  dial(1, {kTcp4, kQuic4, kQuic6});
  run(0);
  EXPECT_EQ(host.dialed, (std::vector<std::string>{std::string(kQuic6)}));
  run(249);
  EXPECT_EQ(host.dialed.size(), 1u);
  run(1);
  EXPECT_EQ(host.dialed.size(), 2u);
  run(249);
  EXPECT_EQ(host.dialed.size(), 2u);
  run(1);
  EXPECT_EQ(host.dialed.back(), kTcp4);
}

TEST_F(DialerTest, TheWinnerEndsTheOthers) {
  dial(1, {kQuic6, kQuic4, kTcp4});
  run(300);
  const auto taken = dialer.on_connected({5, host.dial_of(kQuic4), peer, std::string(kQuic4), false});
  EXPECT_TRUE(taken.ours && !taken.surplus);
  EXPECT_EQ(taken.dial, 1u);
  EXPECT_EQ(host.cancelled, std::vector<uint64_t>{host.dial_of(kQuic6)});
  const auto outcome = dialer.next_outcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->connection, 5u);
  run(1000);
  EXPECT_EQ(host.dialed.size(), 2u);  // TCP was never tried
  // A loser that came through all the same is not wanted.
  const auto late = dialer.on_connected({6, host.dial_of(kQuic6), peer, std::string(kQuic6), false});
  EXPECT_TRUE(late.ours && late.surplus);
}

TEST_F(DialerTest, AfterAFailureTheNextBeginsAtOnce) {
  dial(1, {kQuic4, kTcp4});
  run(10);
  fail_dial(kQuic4, Code::unreachable, "nobody listens at this address");
  run(0);
  EXPECT_EQ(host.dialed.back(), kTcp4);
}

TEST_F(DialerTest, TheErrorNamesEveryAddressAndItsReason) {
  dial(1, {kQuic4, kTcp4, "/ip4/198.51.100.1/udp/1/quic-v1/webtransport"});
  run(0);
  fail_dial(kQuic4, Code::timeout, "the peer did not answer");
  run(0);
  fail_dial(kTcp4, Code::unreachable, "connection refused");
  run(0);
  const auto outcome = dialer.next_outcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->connection, 0u);
  EXPECT_EQ(outcome->error.code, Code::unreachable);
  EXPECT_EQ(
      outcome->error.detail,
      "peer " + peer.to_string() +
          " cannot be reached: /ip4/198.51.100.1/udp/1/quic-v1/webtransport: no transport here is for such an address; "
          "/ip4/198.51.100.1/udp/1/quic-v1: the peer did not answer; /ip4/198.51.100.1/tcp/1: connection refused");
  EXPECT_EQ(outcome->failures.size(), 3u);
}

TEST_F(DialerTest, TwoDialsShareOneAttempt) {
  dial(1, {kQuic4});
  run(0);
  dial(2, {kQuic4, kTcp4});
  run(0);
  EXPECT_EQ(host.dialed.size(), 2u);  // TCP alone is a race of its own, and QUIC is under way
  dialer.on_connected({5, host.dial_of(kTcp4), peer, std::string(kTcp4), false});
  const auto outcome = dialer.next_outcome();
  EXPECT_EQ(outcome->dials, (std::vector<uint64_t>{1, 2}));
  EXPECT_FALSE(dialer.next_outcome());
}

TEST_F(DialerTest, TheLastAskerEndsTheAttempt) {
  dial(1, {kQuic4});
  dial(2, {kQuic4});
  run(0);
  dialer.cancel(1);
  EXPECT_TRUE(dialer.dialing(peer));
  dialer.cancel(2);
  EXPECT_FALSE(dialer.dialing(peer));
  EXPECT_EQ(host.cancelled.size(), 1u);
}

TEST_F(DialerTest, BackOffGrowsIsDrawnAndForgotten) {
  uint64_t last_us = 0;
  for (const uint64_t expected_ms : {1000u, 2000u, 4000u}) {
    dial(1, {kQuic4}, true);
    run(0);
    fail_dial(kQuic4, Code::timeout, "no answer");
    run(0);
    EXPECT_EQ(dialer.next_outcome()->error.code, Code::timeout);
    dial(2, {kQuic4});
    run(expected_ms / 2 - 1);
    EXPECT_EQ(dialer.next_outcome()->error.code, Code::again);
    run(expected_ms / 2 + 1);
    EXPECT_GT(now_us, last_us);
    last_us = now_us;
  }
  run(20);
  const size_t before = host.dialed.size();
  dial(3, {kQuic4});
  run(0);
  EXPECT_EQ(host.dialed.size(), before + 1);  // the time is over
  fail_dial(kQuic4, Code::timeout, "no answer");
  run(0);
  EXPECT_TRUE(dialer.next_outcome());
  dialer.forget_failures();
  dial(4, {kQuic4});
  run(0);
  EXPECT_EQ(host.dialed.size(), before + 2);
}

TEST_F(DialerTest, HandshakesAtOnceAreBounded) {
  settings.parallel_peer = 2;
  settings.parallel = 3;
  dialer.set_settings(settings);
  dial(1, {"/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.2/udp/1/quic-v1", "/ip4/10.0.0.3/udp/1/quic-v1"});
  const PeerId other = PeerId::from_device_key(test::NetWorld::key(8).device_key());
  ASSERT_TRUE(
      dialer.dial(2, other, addresses({"/ip4/10.0.0.8/udp/1/quic-v1", "/ip4/10.0.0.9/udp/1/quic-v1"}), false).ok());
  run(1000);
  EXPECT_EQ(host.dialed.size(), 3u);
  fail_dial("/ip4/10.0.0.1/udp/1/quic-v1", Code::timeout, "no answer");
  run(0);
  EXPECT_EQ(host.dialed.size(), 4u);
  EXPECT_EQ(host.dialed.back(), "/ip4/10.0.0.3/udp/1/quic-v1");  // who began first
}

TEST_F(DialerTest, AnAttemptEnds) {
  dial(1, {kQuic4});
  run(14'999);
  EXPECT_FALSE(dialer.next_outcome());
  run(1);
  const auto outcome = dialer.next_outcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->error.code, Code::timeout);
  EXPECT_EQ(host.cancelled.size(), 1u);
}

TEST_F(DialerTest, NamesAreResolvedAndKeptForTls) {
  dial(1, {"/dns4/h.example/tcp/443/wss", "/dns6/h.example/udp/4001/quic-v1",
           "/dns/h.example/tcp/443/tls/sni/other.example/ws"});
  run(0);
  ASSERT_EQ(resolver.asked.size(), 3u);
  EXPECT_EQ(resolver.asked[0].family, NameFamily::v4);
  EXPECT_EQ(resolver.asked[1].family, NameFamily::v6);
  EXPECT_EQ(resolver.asked[2].family, NameFamily::any);
  resolver.answer(1, {*parse_ip("198.51.100.7", 0)});
  run(0);
  EXPECT_EQ(host.dialed.back(), "/ip4/198.51.100.7/tcp/443/tls/sni/h.example/ws");
  resolver.answer(2, {*parse_ip("2001:db8::7", 0)});
  run(0);
  EXPECT_EQ(host.dialed.back(), "/ip6/2001:db8::7/udp/4001/quic-v1");
  resolver.answer(3, {*parse_ip("198.51.100.8", 0)});
  run(0);
  EXPECT_EQ(host.dialed.back(), "/ip4/198.51.100.8/tcp/443/tls/sni/other.example/ws");
}

TEST_F(DialerTest, NamesThatDoNotResolve) {
  dial(1, {"/dns4/nowhere.example/tcp/1", "/dns4/slow.example/tcp/1"});
  run(0);
  resolver.refuse(1, fail(Code::not_found, "no such name"));
  run(4999);
  EXPECT_FALSE(dialer.next_outcome());
  run(1);
  const auto outcome = dialer.next_outcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->failures.at(0).error.detail, "no such name");
  EXPECT_EQ(outcome->failures.at(1).error.code, Code::timeout);
  EXPECT_EQ(resolver.cancelled.size(), 1u);
  EXPECT_TRUE(host.dialed.empty());
}

TEST_F(DialerTest, ADnsaddrIsExplained) {
  dial(1, {"/dnsaddr/h.example"});
  run(0);
  ASSERT_EQ(resolver.asked.size(), 1u);
  EXPECT_EQ(resolver.asked[0].name, "_dnsaddr.h.example");
  const PeerId other = PeerId::from_device_key(test::NetWorld::key(8).device_key());
  resolver.answer_texts(1, {"dnsaddr=/ip4/198.51.100.9/tcp/1/p2p/" + other.to_string(),
                            "dnsaddr=/dns4/h.example/tcp/4001/p2p/" + peer.to_string()});
  run(0);
  ASSERT_EQ(resolver.asked.size(), 2u);
  EXPECT_EQ(resolver.asked[1].name, "h.example");
  resolver.answer(2, {*parse_ip("198.51.100.7", 0)});
  run(0);
  EXPECT_EQ(host.dialed, std::vector<std::string>{"/ip4/198.51.100.7/tcp/4001"});
}

TEST_F(DialerTest, DnsaddrsThatLeadNowhere) {
  dial(1, {"/dnsaddr/none.example", "/dnsaddr/others.example", "/dnsaddr/slow.example"});
  run(0);
  resolver.refuse(1, fail(Code::not_found, "no such name"));
  const PeerId other = PeerId::from_device_key(test::NetWorld::key(8).device_key());
  resolver.answer_texts(2, {"dnsaddr=/ip4/198.51.100.9/tcp/1/p2p/" + other.to_string()});
  run(4999);
  EXPECT_FALSE(dialer.next_outcome());
  run(1);
  const auto outcome = dialer.next_outcome();
  ASSERT_TRUE(outcome);
  ASSERT_EQ(outcome->failures.size(), 3u);
  EXPECT_EQ(outcome->failures[0].error.detail, "no such name");
  EXPECT_EQ(outcome->failures[1].error.detail, "the DNS has no address of the peer under the name");
  EXPECT_EQ(outcome->failures[2].error.code, Code::timeout);
  EXPECT_TRUE(host.dialed.empty());
}

TEST_F(DialerTest, ACancelledDialLetsItsDnsaddrGo) {
  dial(1, {"/dnsaddr/h.example"});
  run(0);
  dialer.cancel(1);
  run(0);
  EXPECT_EQ(resolver.cancelled, std::vector<Resolver::QueryId>{1});
  resolver.answer_texts(1, {"dnsaddr=/ip4/198.51.100.9/tcp/1"});
  run(10'000);
  EXPECT_TRUE(host.dialed.empty());
}

TEST_F(DialerTest, AnotherPeersAddressIsLeftOut) {
  const PeerId other = PeerId::from_device_key(test::NetWorld::key(8).device_key());
  ASSERT_TRUE(dialer.dial(1, peer, {Multiaddr::parse(kQuic4).value().with_peer_id(other)}, false).ok());
  run(0);
  EXPECT_EQ(dialer.next_outcome()->error.code, Code::invalid);
  EXPECT_TRUE(host.dialed.empty());
}

TEST_F(DialerTest, NoMoreAddressesThanAllowed) {
  std::vector<Multiaddr> many;
  for (int i = 0; i < 500; ++i) {
    many.push_back(
        Multiaddr::parse("/ip4/10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250) + "/tcp/1").value());
  }
  settings.parallel_peer = 1000;
  settings.parallel = 1000;
  dialer.set_settings(settings);
  ASSERT_TRUE(dialer.dial(1, peer, many, false).ok());
  run(1000);
  EXPECT_EQ(host.dialed.size(), kDialAddressesMax);
}

}  // namespace
}  // namespace sereus::net
