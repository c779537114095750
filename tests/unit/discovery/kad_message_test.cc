// The codec of the Kad-DHT against js-libp2p's bytes, and against bytes that nobody honest writes.
#include "core/discovery/kad_message.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/codec/protobuf.h"
#include "core/discovery/limits.h"
#include "tests/support/files_in_repository.h"

namespace sereus::discovery {
namespace {

using nlohmann::json;

class KadMessageTest : public ::testing::Test {
 protected:
  KadMessageTest() {
    const auto text = test::read_text_file(std::string(SEREUS_SOURCE_DIR) + "/vectors/libp2p_kad.json");
    vectors_ = json::parse(text.value());
    peer_ = *net::PeerId::parse(vectors_["peer"].get<std::string>());
  }
  Bytes bytes(const char* name) const { return *from_hex(vectors_[name].get<std::string>()); }
  std::vector<Bytes> addresses() const {
    std::vector<Bytes> out;
    for (const auto& text : vectors_["addresses"])
      out.push_back(net::Multiaddr::parse(text.get<std::string>())->to_bytes());
    return out;
  }
  json vectors_;
  net::PeerId peer_;
};

TEST_F(KadMessageTest, ReadsAndWritesWhatJsWrites) {
  const auto request = decode_kad(bytes("findNode"));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->type, KadType::find_node);
  EXPECT_TRUE(equal(request->key, peer_.multihash()));
  EXPECT_EQ(*encode_kad(*request), bytes("findNode"));

  const auto reply = decode_kad(bytes("findNodeReply"));
  ASSERT_TRUE(reply.ok());
  ASSERT_EQ(reply->closer.size(), 1u);
  EXPECT_EQ(reply->closer[0].id, peer_);
  EXPECT_EQ(reply->closer[0].addresses, addresses());
  EXPECT_EQ(reply->closer[0].link, KadLink::connected);
  EXPECT_EQ(*encode_kad(*reply), bytes("findNodeReply"));

  const auto provider = decode_kad(bytes("addProvider"));
  ASSERT_TRUE(provider.ok());
  EXPECT_EQ(provider->type, KadType::add_provider);
  ASSERT_EQ(provider->providers.size(), 1u);
  EXPECT_EQ(provider->providers[0].addresses, addresses());
  EXPECT_EQ(*encode_kad(*provider), bytes("addProvider"));
}

TEST_F(KadMessageTest, ReadsAValueOfJsWhichLeavesOutTheTypeZero) {
  const auto put = decode_kad(bytes("putValue"));
  ASSERT_TRUE(put.ok());
  EXPECT_EQ(put->type, KadType::put_value);
  ASSERT_TRUE(put->record);
  EXPECT_EQ(as_text(put->record->key), "/sereus-test/a");
  EXPECT_EQ(as_text(put->record->value), "b");
  EXPECT_EQ(put->record->time_received, "2023-11-14T22:13:20.123000000Z");
  // Ours has the type before it, as go-libp2p's has.
  Bytes with_type = {0x08, 0x00};
  append(with_type, bytes("putValue"));
  EXPECT_EQ(*encode_kad(*put), with_type);
}

TEST_F(KadMessageTest, WritesDatesAsTheCalendarHasThem) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339(1'700'000'000'123'456), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(rfc3339(1'709'164'800'000'000), "2024-02-29T00:00:00.000Z");
  EXPECT_EQ(rfc3339(-5), "1970-01-01T00:00:00.000Z");
}

TEST_F(KadMessageTest, SkipsWhatItDoesNotKnowAndCannotUse) {
  codec::ProtobufWriter peer;
  peer.bytes(1, peer_.multihash());
  peer.bytes(2, Bytes{0xff, 0xff});  // no address
  peer.bytes(2, addresses()[0]);
  peer.number(3, 17);  // a link from the future
  peer.bytes(77, Bytes{1});
  codec::ProtobufWriter nobody;
  nobody.bytes(1, Bytes{1, 2, 3});
  codec::ProtobufWriter message;
  message.number(1, 4);
  message.number(55, 9);
  message.bytes(8, peer.view());
  message.bytes(8, nobody.view());
  const auto decoded = decode_kad(message.view());
  ASSERT_TRUE(decoded.ok());
  ASSERT_EQ(decoded->closer.size(), 1u);
  EXPECT_EQ(decoded->closer[0].addresses, std::vector<Bytes>{addresses()[0]});
  EXPECT_EQ(decoded->closer[0].link, KadLink::not_connected);
  EXPECT_EQ(decoded->skipped, 2u);
}

TEST_F(KadMessageTest, AnAddressOfAnotherPeerIsNoneOfThisOne) {
  const auto other = net::PeerId::parse("12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5");
  const auto direct = net::Multiaddr::parse("/ip4/203.0.113.7/tcp/4001");
  EXPECT_EQ(address_of_peer(direct->with_peer_id(peer_).to_bytes(), peer_), direct->to_bytes());
  EXPECT_FALSE(address_of_peer(direct->with_peer_id(*other).to_bytes(), peer_));
  const auto relay = net::Multiaddr::parse("/ip4/203.0.113.7/tcp/4001/p2p/" + other->to_string() + "/p2p-circuit");
  EXPECT_EQ(address_of_peer(relay->with_peer_id(peer_).to_bytes(), peer_), relay->to_bytes());
  EXPECT_FALSE(address_of_peer(net::Multiaddr().with_peer_id(peer_).to_bytes(), peer_));
}

TEST_F(KadMessageTest, RefusesWhatIsTooMuch) {
  const auto with = [&](uint32_t field, ByteView content, size_t times) {
    codec::ProtobufWriter out;
    out.number(1, 4);
    for (size_t i = 0; i < times; ++i) out.bytes(field, content);
    return decode_kad(out.view()).code();
  };
  codec::ProtobufWriter peer;
  peer.bytes(1, peer_.multihash());
  EXPECT_EQ(with(8, peer.view(), kKadPeersMax), Code::ok);
  EXPECT_EQ(with(8, peer.view(), kKadPeersMax + 1), Code::too_large);
  EXPECT_EQ(with(9, peer.view(), kKadPeersMax + 1), Code::too_large);
  EXPECT_EQ(with(2, Bytes(kKadKeyMax), 1), Code::ok);
  EXPECT_EQ(with(2, Bytes(kKadKeyMax + 1), 1), Code::too_large);
  for (size_t i = 0; i <= kKadAddressesMax; ++i) peer.bytes(2, addresses()[0]);
  EXPECT_EQ(with(8, peer.view(), 1), Code::too_large);
  codec::ProtobufWriter record;
  record.bytes(2, Bytes(kKadValueMax + 1));
  EXPECT_EQ(with(3, record.view(), 1), Code::too_large);
  EXPECT_EQ(decode_kad(Bytes(kKadMessageMax + 1)).code(), Code::too_large);
}

TEST_F(KadMessageTest, RefusesWhatIsNoMessage) {
  EXPECT_EQ(decode_kad(Bytes{0x08}).code(), Code::malformed);
  EXPECT_EQ(decode_kad(Bytes{0x08, 0x06}).code(), Code::unsupported);  // a type
  EXPECT_EQ(decode_kad(Bytes{0x0a, 0x00}).code(), Code::malformed);    // a type that is a string
  EXPECT_EQ(decode_kad(Bytes{0x42, 0x02, 0x0a}).code(), Code::malformed);
  EXPECT_EQ(decode_kad(Bytes{0x42, 0x01, 0x0a}).code(), Code::malformed);  // inside a peer
}

}  // namespace
}  // namespace sereus::discovery
