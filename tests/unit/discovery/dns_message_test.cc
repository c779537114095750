#include "core/discovery/dns_message.h"

#include <gtest/gtest.h>

#include "core/discovery/limits.h"
#include "tests/support/test_random.h"

namespace sereus::discovery {
namespace {

// The question of RFC 6762 for libp2p's service, by hand: header, then the name, PTR, IN.
Bytes question_bytes() {
  Bytes out{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  append(out, to_bytes(std::string_view("\x04_p2p\x04_udp\x05local\0", 17)));
  append(out, Bytes{0, 12, 0, 1});
  return out;
}

TEST(DnsMessage, AQuestion) {
  DnsMessage message;
  message.questions.push_back({"_p2p._udp.local", DnsType::ptr});
  EXPECT_EQ(encode_dns(message), question_bytes());
  const auto parsed = parse_dns(question_bytes());
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(parsed->response);
  ASSERT_EQ(parsed->questions.size(), 1u);
  EXPECT_EQ(parsed->questions[0].name, "_p2p._udp.local");
  EXPECT_EQ(parsed->questions[0].type, DnsType::ptr);
}

TEST(DnsMessage, ThereAndBack) {
  DnsMessage message;
  message.response = true;
  message.records.push_back({"_p2p._udp.local", DnsType::ptr, 120, "abc._p2p._udp.local", {}});
  message.records.push_back(
      {"abc._p2p._udp.local", DnsType::txt, 120, {}, {"dnsaddr=/ip4/10.0.0.1/tcp/1", "", std::string(255, 'x')}});
  const auto parsed = parse_dns(encode_dns(message));
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->response);
  ASSERT_EQ(parsed->records.size(), 2u);
  EXPECT_EQ(parsed->records[0].target, "abc._p2p._udp.local");
  EXPECT_EQ(parsed->records[1].texts, message.records[1].texts);
  EXPECT_EQ(parsed->records[1].ttl_s, 120u);
}

// RFC 1035 section 4.1.4: names end in pointers to what stood before. Upper case, and a type that we do not know.
TEST(DnsMessage, CompressedNames) {
  Bytes packet{0, 0, 0x84, 0, 0, 0, 0, 2, 0, 0, 0, 1};
  append(packet, to_bytes(std::string_view("\x04_P2P\x04_udp\x05local\0", 17)));         // at 12
  append(packet, Bytes{0, 12, 0x80, 1, 0, 0, 0, 10, 0, 6, 3, 'a', 'b', 'c', 0xc0, 12});  // its data at 39
  append(packet, Bytes{0xc0, 39, 0, 1, 0, 1, 0, 0, 0, 10, 0, 4, 10, 0, 0, 1});           // an A record: passed over
  append(packet, Bytes{0xc0, 39, 0, 16, 0, 1, 0, 0, 0, 10, 0, 3, 2, 'h', 'i'});
  const auto parsed = parse_dns(packet);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed->records.size(), 2u);
  EXPECT_EQ(parsed->records[0].name, "_p2p._udp.local");
  EXPECT_EQ(parsed->records[0].target, "abc._p2p._udp.local");
  EXPECT_EQ(parsed->records[1].name, "abc._p2p._udp.local");
  EXPECT_EQ(parsed->records[1].texts, std::vector<std::string>{"hi"});
}

TEST(DnsMessage, PointersThatGoRoundOrForwardAreRefused) {
  for (const Bytes& name : {Bytes{0xc0, 12}, Bytes{1, 'a', 0xc0, 12}, Bytes{0xc0, 14, 0}, Bytes{0xc0, 0}, Bytes{0xc0},
                            Bytes{0xff, 0xff}, Bytes{0x40, 'a', 0}}) {
    Bytes packet{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    append(packet, name);
    append(packet, Bytes{0, 12, 0, 1});
    EXPECT_EQ(parse_dns(packet).code(), Code::malformed);
  }
}

TEST(DnsMessage, WhatIsCutOrTooMuchIsRefused) {
  const Bytes whole = question_bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(parse_dns(ByteView(whole).first(size)).code(), Code::malformed) << size;
  }
  EXPECT_EQ(parse_dns(Bytes{0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0}).code(), Code::too_large);
  EXPECT_EQ(parse_dns(Bytes{0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}).code(), Code::too_large);
  // A name of many labels, and a text that is longer than its record.
  Bytes packet{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  for (size_t i = 0; i < 200; ++i) append(packet, Bytes{1, 'a'});
  append(packet, Bytes{0, 0, 12, 0, 1});
  EXPECT_EQ(parse_dns(packet).code(), Code::malformed);
  EXPECT_EQ(parse_dns(Bytes{0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 16, 0, 1, 0, 0, 0, 1, 0, 2, 5, 'x'}).code(),
            Code::malformed);
}

TEST(DnsMessage, NoiseIsSurvived) {
  test::TestRandom random(3);
  const Bytes whole = question_bytes();
  size_t good = 0;
  for (size_t i = 0; i < 20'000; ++i) {
    Bytes packet = whole;
    for (size_t changes = 1 + random.below(3); changes > 0; --changes) {
      packet[random.below(packet.size())] = static_cast<uint8_t>(random.below(256));
    }
    if (parse_dns(packet).ok()) ++good;
  }
  EXPECT_GT(good, 0u);
}

}  // namespace
}  // namespace sereus::discovery
