// Signed envelopes, peer records, identify, ping and their framing: vectors of js-libp2p, and what is refused.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/codec/protobuf.h"
#include "core/codec/varint.h"
#include "core/net/delimited.h"
#include "core/net/identify.h"
#include "core/net/limits.h"
#include "core/net/peer_record.h"
#include "core/net/ping.h"
#include "core/net/signed_envelope.h"
#include "tests/support/files_in_repository.h"
#include "tests/support/test_random.h"

namespace sereus::net {
namespace {

using nlohmann::json;

const json& vectors() {
  static const json loaded =
      json::parse(test::read_text_file(SEREUS_SOURCE_DIR "/vectors/libp2p_messages.json").value_or(""), nullptr, false);
  return loaded;
}

Bytes hex(const json& value) { return from_hex(value.get<std::string>()).value_or(Bytes()); }
crypto::KeyPair pair(uint8_t n) {
  return crypto::KeyPair::from_seed(crypto::SecretBytes<crypto::kSeedSize>(Bytes(32, n)));
}
PeerId peer(uint8_t n) { return PeerId::from_device_key(pair(n).device_key()); }
std::vector<Multiaddr> addresses_of(const json& texts) {
  std::vector<Multiaddr> out;
  for (const auto& text : texts) out.push_back(Multiaddr::parse(text.get<std::string>()).value());
  return out;
}

// --- envelopes and records ---

TEST(PeerRecord, OfJs) {
  ASSERT_EQ(vectors()["peer_records"].size(), 4u);
  for (const json& item : vectors()["peer_records"]) {
    const auto record = open_peer_record(hex(item["envelope"]));
    ASSERT_TRUE(record.ok()) << item["name"] << record.error().detail;
    EXPECT_EQ(record->peer.to_string(), item["peer"].get<std::string>());
    EXPECT_EQ(std::to_string(record->seq), item["seq"].get<std::string>());
    EXPECT_EQ(record->addresses, addresses_of(item["addrs"]));
    EXPECT_EQ(record->skipped, 0u);
    // Ed25519 signatures are deterministic: ours are the same bytes.
    if (record->peer != peer(1)) continue;
    const auto ours = seal_peer_record(pair(1), record->seq, record->addresses);
    ASSERT_TRUE(ours.ok());
    EXPECT_EQ(to_hex(*ours), item["envelope"].get<std::string>()) << item["name"];
  }
}

TEST(SignedEnvelope, IsForOnePurpose) {
  const Bytes type = {0x03, 0x01};
  const Bytes other_type = {0x03, 0x02};
  const Bytes envelope = seal_envelope(pair(1), {"one", type}, as_bytes("payload")).value();
  const auto opened = open_envelope(envelope, {"one", type});
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(to_string(opened->payload), "payload");
  EXPECT_EQ(opened->signer, PublicKey::of(pair(1).device_key()));
  EXPECT_EQ(open_envelope(envelope, {"two", type}).code(), Code::bad_signature);
  EXPECT_EQ(open_envelope(envelope, {"one", other_type}).code(), Code::protocol);
  EXPECT_EQ(seal_envelope(pair(1), {"one", type}, Bytes(kEnvelopeBytesMax)).code(), Code::too_large);
  EXPECT_EQ(open_envelope(Bytes(kEnvelopeBytesMax + 1), {"one", type}).code(), Code::too_large);
  // The lengths that are signed keep bytes from wandering between the domain, the type and the payload.
  EXPECT_EQ(open_envelope(seal_envelope(pair(1), {"on", Bytes{'e', 3, 1}}, {}).value(), {"one", Bytes{3, 1}}).code(),
            Code::protocol);
}

TEST(SignedEnvelope, EveryChangeIsRefused) {
  const Bytes envelope = seal_peer_record(pair(1), 7, addresses_of(json{"/ip4/192.0.2.1/tcp/1"})).value();
  for (size_t at = 0; at < envelope.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes changed = envelope;
      changed[at] ^= static_cast<uint8_t>(1 << bit);
      EXPECT_FALSE(open_peer_record(changed).ok()) << at << ' ' << bit;
    }
    EXPECT_FALSE(open_peer_record(ByteView(envelope).first(at)).ok()) << at;
  }
  // An unknown field is not signed and not looked at.
  Bytes longer = envelope;
  append(longer, Bytes{0x78, 0x01});
  EXPECT_TRUE(open_peer_record(longer).ok());
}

// A record as `write` makes it, in an envelope that `signer` signs.
template <typename Write>
Result<PeerRecord> sealed(uint8_t signer, Write write) {
  ProtobufWriter payload;
  write(payload);
  const Bytes type = {0x03, 0x01};
  return open_peer_record(seal_envelope(pair(signer), {"libp2p-peer-record", type}, payload.view()).value());
}

TEST(PeerRecord, Refuses) {
  const auto id = [](ProtobufWriter& out, uint8_t n) { out.bytes(1, peer(n).multihash()); };
  EXPECT_EQ(sealed(1, [&](auto& out) { id(out, 2); }).code(), Code::denied);
  EXPECT_EQ(sealed(1, [](auto& out) { out.number(2, 1); }).code(), Code::malformed);
  EXPECT_EQ(sealed(1, [](auto& out) { out.bytes(1, Bytes{1, 2, 3}); }).code(), Code::malformed);
  EXPECT_EQ(sealed(1, [&](auto& out) { id(out, 1), out.bytes(2, Bytes{1}); }).code(), Code::malformed);
  EXPECT_EQ(sealed(1, [&](auto& out) { id(out, 1), out.bytes(3, Bytes{0x0a, 0x05, 1}); }).code(), Code::malformed);
  const auto record = sealed(1, [&](auto& out) { id(out, 1), out.number(9, 1); });
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->seq, 0u);
}

TEST(PeerRecord, LeavesOutAddressesItCannotRead) {
  const auto with = [](size_t good, size_t bad) {
    return sealed(1, [&](auto& out) {
      out.bytes(1, peer(1).multihash());
      for (size_t i = 0; i < good; ++i) out.bytes(3, from_hex("0a0804c0000201060001").value());
      for (size_t i = 0; i < bad; ++i) out.bytes(3, from_hex("0a03d0c701").value());
    });
  };
  const auto record = with(2, 1);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->addresses.size(), 2u);
  EXPECT_EQ(record->addresses[0].to_string(), "/ip4/192.0.2.1/tcp/1");
  EXPECT_EQ(record->skipped, 1u);
  EXPECT_TRUE(with(kPeerAddressesMax, kPeerAddressesMax).ok());
  EXPECT_EQ(with(kPeerAddressesMax + 1, 0).code(), Code::too_large);
  EXPECT_EQ(with(0, kPeerAddressesMax + 1).code(), Code::too_large);
  EXPECT_EQ(seal_peer_record(pair(1), 1, std::vector<Multiaddr>(kPeerAddressesMax + 1)).code(), Code::too_large);
}

TEST(PeerRecord, HigherSeqSupersedes) {
  const auto record = [](uint8_t n, uint64_t seq) { return PeerRecord{peer(n), seq, {}, 0}; };
  EXPECT_TRUE(supersedes(record(1, 2), record(1, 1)));
  EXPECT_FALSE(supersedes(record(1, 1), record(1, 1)));
  EXPECT_FALSE(supersedes(record(1, 1), record(1, 2)));
  EXPECT_TRUE(supersedes(record(1, UINT64_MAX), record(1, 0)));
  EXPECT_FALSE(supersedes(record(2, 2), record(1, 1)));
}

// --- identify ---

TEST(Identify, OfJs) {
  for (const json& item : vectors()["identify"]) {
    const auto message = decode_identify(hex(item["bytes"]));
    ASSERT_TRUE(message.ok()) << item["name"];
    EXPECT_EQ(message->listen_addresses, addresses_of(item["addrs"]));
    EXPECT_EQ(message->protocols, item["protocols"].get<std::vector<std::string>>());
    EXPECT_EQ(message->agent_version.value_or(""), item.value("agent_version", ""));
    EXPECT_EQ(message->protocol_version.value_or(""), item.value("protocol_version", ""));
    EXPECT_EQ(message->observed ? message->observed->to_string() : "", item.value("observed", ""));
    EXPECT_EQ(to_hex(message->signed_peer_record), item.value("record", ""));
    EXPECT_EQ(message->skipped, 0u);
    EXPECT_EQ(to_hex(message->public_key ? message->public_key->protobuf() : Bytes()), item.value("public", ""));
    // js writes in another order; what we write reads the same.
    const auto again = decode_identify(encode_identify(*message).value());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(encode_identify(*again).value(), encode_identify(*message).value());
    const auto verified = verify_identify(*message, peer(1));
    ASSERT_TRUE(verified.ok());
    EXPECT_EQ(verified->record.has_value(), item.contains("record"));
    EXPECT_EQ(verified->addresses(), message->listen_addresses);
  }
}

TEST(Identify, OfAnotherPeer) {
  Identify message;
  message.public_key = PublicKey::of(pair(1).device_key());
  EXPECT_EQ(verify_identify(message, peer(2)).code(), Code::denied);
  message.public_key.reset();
  message.listen_addresses = addresses_of(json{"/ip4/192.0.2.1/tcp/1"});
  message.signed_peer_record = seal_peer_record(pair(1), 1, {}).value();
  const auto verified = verify_identify(message, peer(2));
  ASSERT_TRUE(verified.ok());
  EXPECT_FALSE(verified->record.has_value());
  EXPECT_EQ(verified->record_error.code, Code::denied);
  EXPECT_EQ(verified->addresses().size(), 1u);
  EXPECT_TRUE(verify_identify(message, peer(1))->addresses().empty());  // the signed ones count
  message.signed_peer_record.back() ^= 1;
  EXPECT_EQ(verify_identify(message, peer(1))->record_error.code, Code::bad_signature);
}

TEST(Identify, LeavesOutWhatIsUnfit) {
  ProtobufWriter writer;
  writer.bytes(2, Bytes{0xff});
  writer.bytes(3, as_bytes("/a\n"));
  writer.bytes(3, {});
  writer.bytes(3, as_bytes("/b"));
  writer.bytes(4, Bytes{0xff});
  writer.bytes(5, as_bytes("\x1b[2J"));
  writer.bytes(6, Bytes(kIdentifyTextMax + 1, 'a'));
  writer.number(7, 1);
  const auto message = decode_identify(writer.view());
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->skipped, 6u);
  EXPECT_EQ(message->protocols, std::vector<std::string>{"/b"});
  EXPECT_FALSE(message->agent_version.has_value());
}

TEST(Identify, Refuses) {
  const auto code = [](std::string_view text) { return decode_identify(from_hex(text).value()).code(); };
  EXPECT_EQ(code(""), Code::ok);
  EXPECT_EQ(code("0a"), Code::malformed);
  EXPECT_EQ(code("0a0101"), Code::malformed);  // no public key
  EXPECT_EQ(code("1001"), Code::malformed);    // a number where bytes belong
  EXPECT_EQ(code("4001"), Code::malformed);
  EXPECT_EQ(decode_identify(Bytes(kIdentifyTotalMax + 1)).code(), Code::too_large);
  ProtobufWriter many;
  for (size_t i = 0; i <= kIdentifyProtocolsMax; ++i) many.bytes(3, as_bytes("/p"));
  EXPECT_EQ(decode_identify(many.view()).code(), Code::too_large);
  Identify large;
  large.signed_peer_record = Bytes(kIdentifyBytesMax);
  EXPECT_EQ(encode_identify(large).code(), Code::too_large);
}

TEST(Identify, PushChangesWhatItHas) {
  Identify known;
  known.agent_version = "a/1";
  known.protocols = {"/x"};
  known.listen_addresses = addresses_of(json{"/ip4/192.0.2.1/tcp/1"});
  Identify update;
  update.protocols = {"/y", "/z"};
  apply_push(known, update);
  EXPECT_EQ(known.protocols, update.protocols);
  EXPECT_EQ(known.agent_version, "a/1");
  EXPECT_EQ(known.listen_addresses.size(), 1u);
}

TEST(IdentifyReader, JoinsMessagesHoweverTheyArrive) {
  Identify first;
  first.agent_version = "a/1";
  Identify second;
  second.protocols = {"/x"};
  Bytes stream = delimited(encode_identify(first).value());
  append(stream, delimited(encode_identify(second).value()));
  for (size_t step = 1; step <= stream.size(); ++step) {
    IdentifyReader reader;
    for (size_t at = 0; at < stream.size(); at += step) {
      ASSERT_TRUE(reader.feed(ByteView(stream).subspan(at, std::min(step, stream.size() - at))).ok());
    }
    const auto message = reader.finish();
    ASSERT_TRUE(message.ok());
    EXPECT_EQ(message->agent_version, "a/1");
    EXPECT_EQ(message->protocols, std::vector<std::string>{"/x"});
  }
  IdentifyReader cut;
  EXPECT_EQ(cut.finish().code(), Code::malformed);
  ASSERT_TRUE(cut.feed(ByteView(stream).first(stream.size() - 1)).ok());
  EXPECT_EQ(cut.finish().code(), Code::malformed);
}

TEST(IdentifyReader, HasItsBounds) {
  Bytes length;
  codec::varint_append(length, kIdentifyBytesMax + 1);
  EXPECT_EQ(IdentifyReader().feed(length).code(), Code::too_large);
  EXPECT_EQ(IdentifyReader().feed(Bytes{0x80, 0x00}).code(), Code::malformed);
  IdentifyReader many;
  for (size_t i = 0; i < kIdentifyMessagesMax; ++i) EXPECT_TRUE(many.feed(Bytes{0}).ok());
  EXPECT_EQ(many.feed(Bytes{0}).code(), Code::too_large);
  IdentifyReader large;
  EXPECT_TRUE(large.feed(delimited(Bytes(kIdentifyBytesMax))).ok());
  EXPECT_TRUE(large.feed(delimited(Bytes(kIdentifyBytesMax))).ok());
  EXPECT_EQ(large.feed(delimited(Bytes(1))).code(), Code::too_large);
}

// --- ping ---

TEST(Ping, ThereAndBack) {
  test::TestRandom random;
  PingInitiator initiator;
  PingResponder responder;
  EXPECT_EQ(initiator.deadline_us(), kNever);
  for (uint64_t i = 0; i < 3; ++i) {
    const uint64_t now = 1'000'000 * i;
    const Bytes sent = initiator.start(random, now);
    ASSERT_EQ(sent.size(), kPingBytes);
    EXPECT_EQ(initiator.deadline_us(), now + kPingTimeoutUs);
    Bytes echo;
    for (const uint8_t byte : sent) responder.feed(ByteView(&byte, 1), echo);
    ASSERT_EQ(echo, sent);
    EXPECT_TRUE(responder.clean());
    EXPECT_FALSE(initiator.feed(ByteView(echo).first(10), now + 5)->has_value());
    EXPECT_TRUE(initiator.waiting());
    EXPECT_EQ(**initiator.feed(ByteView(echo).subspan(10), now + 70), 70u);
    EXPECT_FALSE(initiator.waiting());
  }
}

TEST(Ping, OnlyTheEcho) {
  test::TestRandom random;
  PingInitiator initiator;
  EXPECT_EQ(initiator.feed(Bytes{1}, 0).code(), Code::protocol);  // nothing was sent
  Bytes echo = initiator.start(random, 0);
  echo.back() ^= 1;
  EXPECT_EQ(initiator.feed(echo, 1).code(), Code::protocol);
  PingInitiator other;
  echo = other.start(random, 0);
  echo.push_back(0);
  EXPECT_EQ(other.feed(echo, 1).code(), Code::protocol);
}

TEST(Ping, ResponderEchoesWholePayloads) {
  PingResponder responder;
  Bytes out;
  const Bytes in(kPingBytes * 2 + 5, 3);
  responder.feed(in, out);
  EXPECT_EQ(out.size(), kPingBytes * 2);
  EXPECT_FALSE(responder.clean());
}

TEST(Multiaddr, OfJs) {
  for (const json& item : vectors()["multiaddrs"]) {
    const auto parsed = Multiaddr::parse(item["text"].get<std::string>());
    ASSERT_TRUE(parsed.ok()) << item["text"] << parsed.error().detail;
    EXPECT_EQ(to_hex(parsed->to_bytes()), item["bytes"].get<std::string>()) << item["text"];
    EXPECT_EQ(parsed->to_string(), item["text"].get<std::string>());
    EXPECT_EQ(Multiaddr::from_bytes(hex(item["bytes"])).value(), *parsed);
  }
}

}  // namespace
}  // namespace sereus::net
