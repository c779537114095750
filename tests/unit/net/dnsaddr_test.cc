// What a /dnsaddr stands for, with a resolver that answers as the test does.
#include "core/net/dnsaddr.h"

#include <gtest/gtest.h>

#include "tests/support/fake_resolver.h"
#include "tests/support/net_world.h"

namespace sereus::net {
namespace {

using test::FakeResolver;

const std::string kFirst = PeerId::from_device_key(test::NetWorld::key(1).device_key()).to_string();
const std::string kSecond = PeerId::from_device_key(test::NetWorld::key(2).device_key()).to_string();

class DnsaddrTest : public testing::Test {
 protected:
  uint64_t resolve(const std::string& text, uint64_t deadline_us = kNever) {
    return dnsaddr.resolve(Multiaddr::parse(text).value(), deadline_us).value();
  }
  void answer(Resolver::QueryId query, std::vector<std::string> texts) {
    resolver.answer_texts(query, std::move(texts));
    EXPECT_TRUE(dnsaddr.take(*resolver.next_answer()));
  }
  void refuse(Resolver::QueryId query, Code code) {
    resolver.refuse(query, fail(code));
    EXPECT_TRUE(dnsaddr.take(*resolver.next_answer()));
  }
  std::vector<std::string> found() {
    std::vector<std::string> out;
    const auto outcome = dnsaddr.next_outcome();
    EXPECT_TRUE(outcome && outcome->addresses.ok());
    if (!outcome || !outcome->addresses.ok()) return out;
    for (const Multiaddr& address : *outcome->addresses) out.push_back(address.to_string());
    return out;
  }

  FakeResolver resolver;
  Dnsaddr dnsaddr{&resolver};
};

TEST_F(DnsaddrTest, AreTheAddressesOfTheRecords) {
  const uint64_t lookup = resolve("/dnsaddr/bootstrap.example");
  ASSERT_EQ(resolver.asked.size(), 1u);
  EXPECT_EQ(resolver.asked[0].name, "_dnsaddr.bootstrap.example");
  EXPECT_TRUE(resolver.asked[0].texts);
  EXPECT_FALSE(dnsaddr.next_outcome());
  const std::string quic = "/ip4/198.51.100.1/udp/4001/quic-v1/p2p/" + kFirst;
  const std::string tcp = "/dns4/h.example/tcp/4001/p2p/" + kSecond;
  answer(1, {"v=spf1 -all", "dnsaddr=" + quic, "dnsaddr=" + tcp, "dnsaddr=" + quic, "dnsaddr=/unheard-of/1",
             "dnsaddr=nonsense", "dnsaddr="});
  EXPECT_EQ(found(), (std::vector<std::string>{quic, tcp}));
  EXPECT_FALSE(dnsaddr.next_outcome());
  dnsaddr.cancel(lookup);  // is over
}

TEST_F(DnsaddrTest, EndAsAskedFor) {
  resolve("/dnsaddr/bootstrap.example/p2p/" + kSecond);
  const std::string second = "/ip4/198.51.100.2/tcp/4001/p2p/" + kSecond;
  answer(1, {"dnsaddr=/ip4/198.51.100.1/tcp/4001/p2p/" + kFirst, "dnsaddr=" + second,
             "dnsaddr=/ip4/198.51.100.3/tcp/4001"});
  EXPECT_EQ(found(), std::vector<std::string>{second});
}

TEST_F(DnsaddrTest, ReferToOtherNames) {
  resolve("/dnsaddr/a.example/p2p/" + kFirst);
  answer(1, {"dnsaddr=/dnsaddr/b.example/p2p/" + kFirst, "dnsaddr=/dnsaddr/c.example/p2p/" + kSecond});
  ASSERT_EQ(resolver.asked.size(), 2u);
  EXPECT_EQ(resolver.asked[1].name, "_dnsaddr.b.example");
  EXPECT_FALSE(dnsaddr.next_outcome());
  const std::string address = "/ip4/198.51.100.1/tcp/4001/p2p/" + kFirst;
  answer(2, {"dnsaddr=" + address, "dnsaddr=/dnsaddr/a.example/p2p/" + kFirst});  // back to the first: a ring
  EXPECT_EQ(resolver.asked.size(), 2u);
  EXPECT_EQ(found(), std::vector<std::string>{address});
}

TEST_F(DnsaddrTest, ChainsAndFansOfNamesEnd) {
  resolve("/dnsaddr/0.example");
  for (size_t depth = 1; depth <= kDnsaddrDepthMax + 1; ++depth) {
    answer(depth, {"dnsaddr=/dnsaddr/" + std::to_string(depth) + ".example"});
  }
  EXPECT_EQ(resolver.asked.size(), kDnsaddrDepthMax + 1);
  EXPECT_EQ(dnsaddr.next_outcome()->addresses.code(), Code::too_large);

  resolve("/dnsaddr/fan.example");
  std::vector<std::string> fan;
  for (size_t i = 0; i < 2 * kDnsaddrNamesMax; ++i)
    fan.push_back("dnsaddr=/dnsaddr/x" + std::to_string(i) + ".example");
  const size_t before = resolver.asked.size();
  answer(before, fan);
  EXPECT_EQ(resolver.asked.size(), before + kDnsaddrNamesMax - 1);
}

TEST_F(DnsaddrTest, AddressesAreBounded) {
  resolve("/dnsaddr/many.example");
  std::vector<std::string> many;
  for (size_t i = 0; i < 2 * kDnsaddrAddressesMax; ++i) {
    many.push_back("dnsaddr=/ip4/198.51.100.1/tcp/" + std::to_string(1000 + i));
  }
  answer(1, many);
  EXPECT_EQ(found().size(), kDnsaddrAddressesMax);
}

TEST_F(DnsaddrTest, FailuresAreSaid) {
  resolve("/dnsaddr/nowhere.example");
  refuse(1, Code::not_found);
  EXPECT_EQ(dnsaddr.next_outcome()->addresses.code(), Code::not_found);
  resolve("/dnsaddr/empty.example");
  answer(2, {"hello"});
  EXPECT_EQ(dnsaddr.next_outcome()->addresses.code(), Code::not_found);
  EXPECT_EQ(dnsaddr.resolve(Multiaddr::parse("/dns4/h.example/tcp/1").value(), kNever).code(), Code::invalid);
  EXPECT_EQ(Dnsaddr(nullptr).resolve(Multiaddr::parse("/dnsaddr/h.example").value(), kNever).code(), Code::unsupported);
  for (size_t i = 0; i < kDnsaddrLookupsMax; ++i) resolve("/dnsaddr/h.example");
  EXPECT_EQ(dnsaddr.resolve(Multiaddr::parse("/dnsaddr/h.example").value(), kNever).code(), Code::again);
}

TEST_F(DnsaddrTest, TimeRunsOutWithWhatIsThere) {
  resolve("/dnsaddr/slow.example", 500);
  EXPECT_EQ(dnsaddr.step({499, 0}), 500u);
  EXPECT_FALSE(dnsaddr.next_outcome());
  EXPECT_EQ(dnsaddr.step({500, 0}), kNever);
  EXPECT_EQ(dnsaddr.next_outcome()->addresses.code(), Code::timeout);
  EXPECT_EQ(resolver.cancelled, std::vector<Resolver::QueryId>{1});

  resolve("/dnsaddr/half.example", 900);
  const std::string address = "/ip4/198.51.100.1/tcp/4001";
  answer(2, {"dnsaddr=" + address, "dnsaddr=/dnsaddr/slow.example"});
  dnsaddr.step({900, 0});
  EXPECT_EQ(found(), std::vector<std::string>{address});
}

TEST_F(DnsaddrTest, NothingFollowsACancel) {
  dnsaddr.cancel(resolve("/dnsaddr/h.example"));
  EXPECT_EQ(resolver.cancelled, std::vector<Resolver::QueryId>{1});
  resolver.answer_texts(1, {"dnsaddr=/ip4/198.51.100.1/tcp/4001"});
  EXPECT_FALSE(dnsaddr.take(*resolver.next_answer()));
  EXPECT_FALSE(dnsaddr.next_outcome());
}

}  // namespace
}  // namespace sereus::net
