// Messages of AutoNAT and DCUtR: vectors of js-libp2p, bytes put together by hand, and what is refused; and the small parts that the
// machines behind them stand on.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/codec/protobuf.h"
#include "core/net/address_filter.h"
#include "core/net/autonat_message.h"
#include "core/net/autonat_v2_message.h"
#include "core/net/hole_punch_message.h"
#include "core/net/limits.h"
#include "core/net/observed_addresses.h"
#include "core/net/path_reason.h"
#include "core/net/rate_table.h"
#include "tests/support/files_in_repository.h"
#include "tests/support/test_random.h"

namespace sereus::net {
namespace {

using codec::ProtobufWriter;
using nlohmann::json;

const json& vectors() {
  static const json loaded =
      json::parse(test::read_text_file(SEREUS_SOURCE_DIR "/vectors/libp2p_nat.json").value_or(""), nullptr, false);
  return loaded;
}
Bytes hex(const json& value) { return from_hex(value.get<std::string>()).value_or(Bytes()); }
Bytes bytes_of(std::string_view text) { return from_hex(text).value_or(Bytes()); }
Multiaddr at(std::string_view text) { return Multiaddr::parse(text).value(); }
std::vector<Multiaddr> addresses_of(const json& texts) {
  std::vector<Multiaddr> out;
  for (const auto& text : texts) out.push_back(at(text.get<std::string>()));
  return out;
}
IpEndpoint ip(std::string_view text, uint16_t port = 4001) { return *parse_ip(text, port); }

// --- AutoNAT version 1 ---

TEST(AutoNatMessage, DialsOfJs) {
  ASSERT_EQ(vectors()["dials"].size(), 2u);
  for (const json& item : vectors()["dials"]) {
    const Bytes bytes = hex(item["message"]);
    const auto dial = decode_autonat_dial(bytes);
    ASSERT_TRUE(dial.ok()) << item["name"];
    EXPECT_EQ(dial->peer.to_string(), item["peer"].get<std::string>());
    EXPECT_EQ(dial->addresses, addresses_of(item["addresses"]));
    EXPECT_EQ(encode_autonat_dial(*dial), bytes) << item["name"];
    EXPECT_EQ(decode_autonat_answer(bytes).code(), Code::malformed) << "the other message";
  }
}

TEST(AutoNatMessage, AnswersOfJs) {
  ASSERT_EQ(vectors()["answers"].size(), 5u);
  for (const json& item : vectors()["answers"]) {
    const Bytes bytes = hex(item["message"]);
    const auto answer = decode_autonat_answer(bytes);
    ASSERT_TRUE(answer.ok()) << item["name"];
    EXPECT_EQ(static_cast<uint32_t>(answer->status), item["status"].get<uint32_t>());
    EXPECT_EQ(answer->text, item["text"].get<std::string>());
    EXPECT_EQ(answer->address.has_value(), !item["address"].is_null());
    if (answer->address) {
      EXPECT_EQ(answer->address->to_string(), item["address"].get<std::string>());
    }
    EXPECT_EQ(encode_autonat_answer(*answer), bytes) << item["name"];
    EXPECT_EQ(decode_autonat_dial(bytes).code(), Code::malformed) << "the other message";
  }
}

TEST(AutoNatMessage, RefusesWhatIsNone) {
  EXPECT_EQ(decode_autonat_dial({}).code(), Code::malformed);
  EXPECT_EQ(decode_autonat_dial(bytes_of("0800")).code(), Code::malformed) << "no dial in it";
  EXPECT_EQ(decode_autonat_dial(bytes_of("080012020a00")).code(), Code::malformed) << "no peer in it";
  EXPECT_EQ(decode_autonat_dial(bytes_of("0800120408011002")).code(), Code::malformed) << "a number for a message";
  EXPECT_EQ(decode_autonat_answer(bytes_of("08011a020863")).code(), Code::unsupported) << "status 99";
  EXPECT_EQ(decode_autonat_answer(bytes_of("08011a00")).code(), Code::malformed) << "no status";
  EXPECT_EQ(decode_autonat_answer(bytes_of("08011a05")).code(), Code::malformed) << "cut";
  AutoNatDial many;
  many.peer = decode_autonat_dial(hex(vectors()["dials"][0]["message"]))->peer;
  many.addresses.assign(kAutoNatAddressesMax + 1, at("/ip4/198.51.100.7/tcp/1"));
  EXPECT_EQ(decode_autonat_dial(encode_autonat_dial(many)).code(), Code::too_large);
  many.addresses.pop_back();
  EXPECT_TRUE(decode_autonat_dial(encode_autonat_dial(many)).ok());
}

// --- AutoNAT version 2; the specification's messages, which the library of that version does not have ---

TEST(AutoNatV2Message, BytesAreThoseOfTheSpecification) {
  const AutoNatRequest request{{at("/ip4/198.51.100.7/tcp/4001")}, 0x1122334455667788};
  const Bytes bytes = encode_autonat_v2(request);
  EXPECT_EQ(to_hex(bytes), "0a130a0804c6336407060fa1118877665544332211");
  const auto again = decode_autonat_v2(bytes);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(std::get<AutoNatRequest>(*again).addresses, request.addresses);
  EXPECT_EQ(std::get<AutoNatRequest>(*again).nonce, request.nonce);
  EXPECT_EQ(to_hex(encode_autonat_v2(AutoNatResponse{AutoNatOutcome::ok, 1, AutoNatDialStatus::dial_error})),
            "120708c80110011864");
  EXPECT_EQ(to_hex(encode_autonat_v2(AutoNatDataRequest{2, 30'000})), "1a06080210b0ea01");
  EXPECT_EQ(to_hex(encode_autonat_v2(AutoNatData{3})), "22050a03000000");
  EXPECT_EQ(to_hex(encode_autonat_dial_back(1)), "090100000000000000");
  EXPECT_EQ(decode_autonat_dial_back(bytes_of("090100000000000000")).value(), 1u);
  EXPECT_TRUE(decode_autonat_dial_back_answer(encode_autonat_dial_back_answer()).ok());
  EXPECT_TRUE(decode_autonat_dial_back_answer(bytes_of("0800")).ok());
  EXPECT_EQ(decode_autonat_dial_back_answer(bytes_of("0801")).code(), Code::unsupported);
}

TEST(AutoNatV2Message, EveryMessageComesBackAsItWas) {
  for (const AutoNatOutcome outcome : {AutoNatOutcome::internal_error, AutoNatOutcome::request_rejected,
                                       AutoNatOutcome::dial_refused, AutoNatOutcome::ok}) {
    for (const AutoNatDialStatus dial : {AutoNatDialStatus::unused, AutoNatDialStatus::dial_error,
                                         AutoNatDialStatus::dial_back_error, AutoNatDialStatus::ok}) {
      const auto back = decode_autonat_v2(encode_autonat_v2(AutoNatResponse{outcome, 7, dial}));
      ASSERT_TRUE(back.ok());
      const auto& response = std::get<AutoNatResponse>(*back);
      EXPECT_TRUE(response.outcome == outcome && response.index == 7 && response.dial == dial);
    }
  }
  const auto data = decode_autonat_v2(encode_autonat_v2(AutoNatData{kAutoNatDataChunkMax}));
  EXPECT_EQ(std::get<AutoNatData>(*data).bytes, kAutoNatDataChunkMax);
}

TEST(AutoNatV2Message, AnAddressThatIsNoneKeepsItsPlace) {
  ProtobufWriter part;
  part.bytes(1, Bytes{0xff, 0xff, 0xff});
  part.bytes(1, at("/ip4/198.51.100.7/tcp/4001").to_bytes());
  ProtobufWriter message;
  message.bytes(1, part.view());
  const auto decoded = decode_autonat_v2(message.view());
  ASSERT_TRUE(decoded.ok());
  const auto& request = std::get<AutoNatRequest>(*decoded);
  ASSERT_EQ(request.addresses.size(), 2u);
  EXPECT_TRUE(request.addresses[0].empty());
}

TEST(AutoNatV2Message, RefusesWhatIsNone) {
  EXPECT_EQ(decode_autonat_v2({}).code(), Code::malformed);
  EXPECT_EQ(decode_autonat_v2(bytes_of("0800")).code(), Code::malformed) << "a number for a message";
  EXPECT_EQ(decode_autonat_v2(bytes_of("12001200")).code(), Code::malformed) << "two messages";
  EXPECT_EQ(decode_autonat_v2(bytes_of("0a021001")).code(), Code::malformed) << "a nonce that is a varint";
  EXPECT_EQ(decode_autonat_v2(bytes_of("12020801")).code(), Code::unsupported) << "status 1: must be discarded";
  EXPECT_EQ(decode_autonat_v2(bytes_of("12021801")).code(), Code::unsupported);
  EXPECT_EQ(decode_autonat_v2(bytes_of("12021040")).code(), Code::malformed) << "an index beyond every list";
  EXPECT_EQ(decode_autonat_dial_back({}).code(), Code::malformed);
  EXPECT_EQ(decode_autonat_dial_back(bytes_of("0801")).code(), Code::malformed);
  EXPECT_EQ(decode_autonat_v2(encode_autonat_v2(AutoNatData{kAutoNatDataChunkMax + 1})).code(), Code::too_large);
  AutoNatRequest many;
  many.addresses.assign(kAutoNatAddressesMax + 1, at("/ip4/198.51.100.7/tcp/1"));
  EXPECT_EQ(decode_autonat_v2(encode_autonat_v2(many)).code(), Code::too_large);
}

// --- DCUtR ---

TEST(HolePunchMessage, OfJs) {
  ASSERT_EQ(vectors()["punches"].size(), 3u);
  for (const json& item : vectors()["punches"]) {
    const Bytes bytes = hex(item["message"]);
    const auto message = decode_hole_punch(bytes);
    ASSERT_TRUE(message.ok()) << item["name"];
    EXPECT_EQ(static_cast<uint32_t>(message->type), item["type"].get<uint32_t>());
    EXPECT_EQ(message->addresses, addresses_of(item["addresses"]));
    EXPECT_EQ(encode_hole_punch(*message).value(), bytes) << item["name"];
  }
}

TEST(HolePunchMessage, RefusesWhatIsNone) {
  EXPECT_EQ(decode_hole_punch({}).code(), Code::malformed) << "the type is required";
  EXPECT_EQ(decode_hole_punch(bytes_of("0865")).code(), Code::malformed) << "type 101";
  EXPECT_EQ(decode_hole_punch(bytes_of("08641001")).code(), Code::malformed) << "a number for an address";
  EXPECT_EQ(decode_hole_punch(bytes_of("0a0164")).code(), Code::malformed) << "bytes for the type";
  EXPECT_EQ(decode_hole_punch(Bytes(kHolePunchBytesMax + 1)).code(), Code::too_large);
  HolePunchMessage many;
  many.addresses.assign(kHolePunchAddressesMax + 1, at("/ip4/198.51.100.7/tcp/1"));
  EXPECT_EQ(decode_hole_punch(encode_hole_punch(many).value()).code(), Code::too_large);
  many.addresses.assign(450, at("/ip4/198.51.100.7/tcp/1"));
  EXPECT_EQ(encode_hole_punch(many).code(), Code::too_large);
}

TEST(NatMessages, SpoiledOnesAreRefusedOrReadAndNeverMore) {
  test::TestRandom random(5);
  std::vector<Bytes> seeds;
  for (const char* of : {"dials", "answers", "punches"}) {
    for (const json& item : vectors()[of]) seeds.push_back(hex(item["message"]));
  }
  seeds.push_back(encode_autonat_v2(AutoNatRequest{{at("/ip4/198.51.100.7/tcp/4001")}, 1}));
  size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = seeds[static_cast<size_t>(random.below(seeds.size()))];
    for (uint64_t n = 1 + random.below(3); n > 0; --n) {
      bytes[static_cast<size_t>(random.below(bytes.size()))] = static_cast<uint8_t>(random.below(256));
    }
    if (random.below(4) == 0) bytes.resize(static_cast<size_t>(random.below(bytes.size() + 1)));
    const auto dial = decode_autonat_dial(bytes);
    if (dial.ok()) {
      EXPECT_LE(dial->addresses.size(), kAutoNatAddressesMax);
    }
    const auto punch = decode_hole_punch(bytes);
    // What was read can be written, and is read the same.
    if (punch.ok()) {
      EXPECT_EQ(decode_hole_punch(encode_hole_punch(*punch).value())->addresses, punch->addresses);
    }
    const auto v2 = decode_autonat_v2(bytes);
    if (v2.ok()) {
      EXPECT_TRUE(decode_autonat_v2(encode_autonat_v2(*v2)).ok() || std::holds_alternative<AutoNatRequest>(*v2));
    }
    if (!dial.ok() && !punch.ok() && !v2.ok() && !decode_autonat_answer(bytes).ok()) ++refused;
  }
  EXPECT_GT(refused, 1000u);
}

// --- whom may be dialed ---

TEST(AddressFilter, LetsThroughWhatAStrangerMayName) {
  const AddressFilter strict;
  const AddressFilter local{true, false};
  for (const char* text : {"198.51.100.7", "8.8.8.8", "2001:db8::7"}) EXPECT_TRUE(strict.allows(ip(text))) << text;
  for (const char* text :
       {"10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.1.1", "100.64.0.1", "fd00::1", "fe80::1"}) {
    EXPECT_FALSE(strict.allows(ip(text))) << text;
    EXPECT_TRUE(local.allows(ip(text))) << text;
  }
  for (const char* text : {"127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "240.0.0.1", "ff02::1",
                           "0.1.2.3", "::ffff:127.0.0.1", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(strict.allows(ip(text))) << text;
  }
  EXPECT_FALSE(local.allows(ip("127.0.0.1")));
  EXPECT_FALSE(local.allows(ip("::ffff:127.0.0.1")));
  EXPECT_FALSE(strict.allows(ip("198.51.100.7", 0)));
  EXPECT_FALSE(strict.allows(at("/dns4/example.org/tcp/1"))) << "what a name says today it does not say tomorrow";
  EXPECT_EQ(subnet_of(ip("198.51.100.7")), subnet_of(ip("198.51.100.200", 1)));
  EXPECT_NE(subnet_of(ip("198.51.100.7")), subnet_of(ip("198.51.101.7")));
  EXPECT_NE(subnet_of(ip("10.0.0.1")), subnet_of(ip("10.0.0.2")));
  EXPECT_EQ(subnet_of(ip("2001:db8:1:2::1")), subnet_of(ip("2001:db8:1:3::9")));
}

TEST(RateTable, IsBoundedAndForgets) {
  RateTable<int> table(2, 1000, 3);
  EXPECT_TRUE(table.take(1, 10) && table.take(1, 20));
  EXPECT_FALSE(table.take(1, 1009));
  EXPECT_TRUE(table.take(1, 1010)) << "another window";
  EXPECT_TRUE(table.take(2, 1010) && table.take(3, 1010));
  EXPECT_FALSE(table.take(4, 1011)) << "no room";
  EXPECT_EQ(table.sources(), 3u);
  EXPECT_TRUE(table.take(4, 2010)) << "those of before have gone";
}

// --- where we are seen ---

class Observed : public testing::Test {
 protected:
  void word(ConnectionId connection, std::string_view remote, bool incoming, std::string_view seen) {
    observed.add(connection, ip(remote, 9), incoming, at(seen));
  }
  ObservedAddresses observed{AddressFilter()};
  const std::vector<Multiaddr> listening{at("/ip4/192.168.1.2/udp/4001/quic-v1"), at("/ip4/192.168.1.2/tcp/4001")};
};

TEST_F(Observed, TheSameForTwoSubnetsIsAMapping) {
  word(1, "198.51.100.1", false, "/ip4/203.0.113.9/udp/5000/quic-v1");
  EXPECT_EQ(observed.mapping(false, listening), NatMapping::unknown);
  word(2, "198.51.100.2", false, "/ip4/203.0.113.9/udp/5000/quic-v1");
  EXPECT_EQ(observed.mapping(false, listening), NatMapping::unknown) << "one subnet, however many it is";
  word(3, "198.51.101.1", false, "/ip4/203.0.113.9/udp/5000/quic-v1");
  EXPECT_EQ(observed.mapping(false, listening), NatMapping::endpoint_independent);
  const auto candidates = observed.candidates(listening);
  ASSERT_EQ(candidates.size(), 3u);
  EXPECT_EQ(candidates[0].address, at("/ip4/203.0.113.9/udp/5000/quic-v1"));
  EXPECT_EQ(candidates[0].observers, 2u);
  // Put together, for ports that the NAT keeps.
  EXPECT_EQ(candidates[1].observers + candidates[2].observers, 0u);
}

TEST_F(Observed, AnotherForEachIsSymmetric) {
  word(1, "198.51.100.1", false, "/ip4/203.0.113.9/udp/5000/quic-v1");
  word(2, "198.51.101.1", false, "/ip4/203.0.113.9/udp/5001/quic-v1");
  EXPECT_EQ(observed.mapping(false, listening), NatMapping::endpoint_dependent);
  // A liar or two do not make a mapping of what most see.
  word(3, "198.51.102.1", false, "/ip4/203.0.113.9/udp/5000/quic-v1");
  EXPECT_EQ(observed.mapping(false, listening), NatMapping::endpoint_independent);
  EXPECT_TRUE(observed.remove(3) && observed.remove(2));
  EXPECT_EQ(observed.mapping(false, listening), NatMapping::unknown);
}

TEST_F(Observed, TcpLeavesByPortsOfItsOwn) {
  word(1, "198.51.100.1", false, "/ip4/203.0.113.9/tcp/33333");
  auto candidates = observed.candidates(listening);
  for (const auto& candidate : candidates) EXPECT_NE(candidate.address, at("/ip4/203.0.113.9/tcp/33333"));
  // Who came to us saw what it dialed.
  word(2, "198.51.101.1", true, "/ip4/203.0.113.9/tcp/7777");
  candidates = observed.candidates(listening);
  EXPECT_EQ(candidates[0].address, at("/ip4/203.0.113.9/tcp/7777"));
  EXPECT_EQ(observed.mapping(false, listening), NatMapping::unknown);
}

TEST_F(Observed, WhatNobodyMayBeToldIsLeftOut) {
  for (const char* text : {"/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/0.0.0.0/udp/1/quic-v1",
                           "/dns4/example.org/udp/1/quic-v1", "/ip4/224.0.0.1/tcp/1"}) {
    EXPECT_FALSE(observed.add(1, ip("198.51.100.1"), false, at(text))) << text;
  }
  EXPECT_TRUE(observed.candidates(listening).empty());
  for (ConnectionId id = 1; id <= kObserversMax; ++id) word(id, "198.51.100.1", false, "/ip4/203.0.113.9/tcp/1");
  EXPECT_FALSE(observed.add(kObserversMax + 1, ip("198.51.101.1"), false, at("/ip4/203.0.113.9/udp/1/quic-v1")));
}

// --- words ---

TEST(PathReasons, EachHasItsNumberNameAndWords) {
  std::set<std::string_view> names;
  uint8_t number = 0;
  for (const PathReasonText& text : path_reasons()) {
    EXPECT_EQ(static_cast<uint8_t>(text.reason), number++);
    EXPECT_TRUE(names.insert(text.name).second);
    EXPECT_TRUE(text.meaning.ends_with(".")) << text.name;
    EXPECT_EQ(text.advice.empty(), text.reason == PathReason::none);
    EXPECT_EQ(&explain(text.reason), &text);
  }
  EXPECT_EQ(number, 17u);
  EXPECT_EQ(path_reason_name(PathReason::symmetric_nat), "symmetric_nat");
  EXPECT_EQ(path_reason_name(static_cast<PathReason>(200)), "unknown");
}

}  // namespace
}  // namespace sereus::net
