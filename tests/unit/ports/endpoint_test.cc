#include <gtest/gtest.h>

#include "core/ports/datagram.h"
#include "core/ports/files.h"
#include "core/ports/jobs.h"
#include "core/ports/random.h"
#include "tests/support/test_random.h"

namespace sereus {
namespace {

TEST(IpEndpoint, RoundTrips) {
  for (const char* text :
       {"127.0.0.1:4001", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:4001", "[::]:0", "[2001:db8::1]:443",
        "[fe80::1:2:3:4]:1", "[1:2:3:4:5:6:7:8]:9", "[2001:db8:0:1:1:1:1:1]:80", "[1::8]:1", "[1:0:0:2::3]:1"}) {
    const auto endpoint = parse_ip_endpoint(text);
    ASSERT_TRUE(endpoint.has_value()) << text;
    EXPECT_EQ(to_string(*endpoint), text);
  }
}

TEST(IpEndpoint, LoopbackAndMapped) {
  for (const char* text : {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(is_loopback(*parse_ip(text, 1))) << text;
  }
  for (const char* text :
       {"126.0.0.1", "128.0.0.1", "10.0.0.1", "::", "::2", "1::1", "::ffff:10.0.0.1", "::127.0.0.1"}) {
    EXPECT_FALSE(is_loopback(*parse_ip(text, 1))) << text;
  }
  EXPECT_EQ(unmapped(*parse_ip("::ffff:10.1.2.3", 7)), *parse_ip("10.1.2.3", 7));
  EXPECT_EQ(unmapped(*parse_ip("2001:db8::1", 7)), *parse_ip("2001:db8::1", 7));
  EXPECT_EQ(unmapped(*parse_ip("10.1.2.3", 7)), *parse_ip("10.1.2.3", 7));
}

// RFC 5952: the canonical form of what may be written in other ways.
TEST(IpEndpoint, CanonicalForm) {
  const auto canonical = [](std::string_view text) {
    const auto ip = parse_ip(text, 1);
    return ip ? ip_to_string(*ip) : std::string("refused");
  };
  EXPECT_EQ(canonical("2001:0db8:0000:0000:0000:0000:0000:0001"), "2001:db8::1");
  EXPECT_EQ(canonical("2001:DB8::1"), "2001:db8::1");
  EXPECT_EQ(canonical("2001:db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");     // the first of two equal runs
  EXPECT_EQ(canonical("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1");           // the longer run
  EXPECT_EQ(canonical("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");  // never a single group
  EXPECT_EQ(canonical("::ffff:1.2.3.4"), "::ffff:102:304");
  EXPECT_EQ(canonical("1::"), "1::");
}

TEST(IpEndpoint, RefusesBadText) {
  for (const char* bad : {"",
                          ":",
                          "127.0.0.1",
                          "127.0.0.1:",
                          "127.0.0.1:65536",
                          "127.0.0.1:-1",
                          "127.0.0.1:1x",
                          "127.0.0:1",
                          "127.0.0.1.1:1",
                          "256.0.0.1:1",
                          "1.2.3.0004:1",
                          "010.0.0.1:1",
                          "[1.2.3.4::]:1",
                          "1.2.3.:1",
                          ".1.2.3:1",
                          "[127.0.0.1]:1",
                          "::1:4001",
                          "[::1]",
                          "[::1]4001",
                          "[:::1]:1",
                          "[1::2::3]:1",
                          "[1:2:3:4:5:6:7]:1",
                          "[1:2:3:4:5:6:7:8:9]:1",
                          "[12345::]:1",
                          "[g::]:1",
                          "[::1.2.3]:1",
                          "localhost:1",
                          " 127.0.0.1:1",
                          "127.0.0.1 :1",
                          "[::1%eth0]:1",
                          "[:1]:1",
                          "[1:]:1",
                          "[1:2:3:4:5:6:7:8::]:1"}) {
    EXPECT_FALSE(parse_ip_endpoint(bad).has_value()) << bad;
  }
}

TEST(IpEndpoint, IpWithoutPort) {
  const auto ip = parse_ip("10.1.2.3", 77);
  ASSERT_TRUE(ip.has_value());
  EXPECT_EQ(ip->port, 77);
  EXPECT_EQ(ip_to_string(*ip), "10.1.2.3");
  EXPECT_EQ(ip_to_string(IpEndpoint::loopback_v4(1)), "127.0.0.1");
  EXPECT_FALSE(parse_ip("10.1.2.3:1", 1).has_value());
}

// A source that first gives the bytes that `below` must throw away.
class FixedRandom : public Random {
 public:
  explicit FixedRandom(std::vector<uint64_t> words) : words_(std::move(words)) {}
  void fill(ByteSpan out) override { store_le<uint64_t>(out.data(), words_.at(at_++)); }
  size_t used() const { return at_; }

 private:
  std::vector<uint64_t> words_;
  size_t at_ = 0;
};

TEST(Random, BelowHasNoBias) {
  FixedRandom random({UINT64_MAX, UINT64_MAX - 1, 25});
  EXPECT_EQ(random.below(10), 5u);  // the first two are in the incomplete last ten
  EXPECT_EQ(random.used(), 3u);
}

TEST(Random, BelowStaysBelowAndReachesAll) {
  test::TestRandom random(7);
  std::vector<int> seen(6, 0);
  for (int i = 0; i < 6000; ++i) ++seen.at(random.below(6));
  for (const int count : seen) EXPECT_NEAR(count, 1000, 200);
  EXPECT_EQ(random.below(1), 0u);
}

}  // namespace
}  // namespace sereus
