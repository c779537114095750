// vectors/libp2p_identity.json: names and certificates made by others.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/crypto/sign.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_id.h"
#include "core/net/public_key.h"
#include "core/net/tls_certificate.h"
#include "tests/support/files_in_repository.h"

namespace sereus::net {
namespace {

using nlohmann::json;

const json& vectors() {
  static const json loaded =
      json::parse(test::read_text_file(SEREUS_SOURCE_DIR "/vectors/libp2p_identity.json").value_or(""), nullptr, false);
  return loaded;
}

Bytes hex(const json& value) { return from_hex(value.get<std::string>()).value_or(Bytes()); }

TEST(IdentityVectors, PeerIds) {
  ASSERT_FALSE(vectors().is_discarded());
  ASSERT_FALSE(vectors()["peer_ids"].empty());
  for (const json& item : vectors()["peer_ids"]) {
    const auto pair = crypto::KeyPair::from_seed(crypto::SecretBytes<crypto::kSeedSize>(hex(item["seed"])));
    EXPECT_EQ(public_key_protobuf(pair.device_key()), hex(item["public_key"]));
    const PeerId id = PeerId::from_device_key(pair.device_key());
    EXPECT_EQ(to_bytes(id.multihash()), hex(item["multihash"]));
    EXPECT_EQ(id.to_string(), item["base58"].get<std::string>());
    EXPECT_EQ(id.to_cid(), item["cid"].get<std::string>());
    EXPECT_EQ(PeerId::parse(item["base58"].get<std::string>()), id);
    EXPECT_EQ(PeerId::parse(item["cid"].get<std::string>()), id);
    EXPECT_EQ(PeerId::from_multihash(hex(item["multihash"])), id);
    EXPECT_EQ(id.device_key(), pair.device_key());
  }
}

TEST(IdentityVectors, PublicKeysOfAllTypesParse) {
  const std::map<std::string, KeyType> types = {{"rsa", KeyType::rsa},
                                                {"ed25519", KeyType::ed25519},
                                                {"secp256k1", KeyType::secp256k1},
                                                {"ecdsa", KeyType::ecdsa}};
  ASSERT_EQ(vectors()["public_keys"].size(), 4u);
  for (const json& item : vectors()["public_keys"]) {
    const Bytes protobuf = hex(item["protobuf"]);
    const auto key = PublicKey::parse(protobuf);
    ASSERT_TRUE(key.ok()) << item["type"];
    EXPECT_EQ(key->type(), types.at(item["type"]));
    // Longer than 42 bytes: named by the sha256.
    const PeerId id = PeerId::from_public_key_protobuf(protobuf);
    EXPECT_EQ(id.multihash()[0], protobuf.size() > 42 ? 0x12 : 0x00);
    EXPECT_EQ(PeerId::parse(id.to_string()), id);
    EXPECT_EQ(PeerId::parse(id.to_cid()), id);
    EXPECT_EQ(id.device_key().has_value(), key->type() == KeyType::ed25519);
  }
}

TEST(IdentityVectors, Multiaddrs) {
  ASSERT_FALSE(vectors()["multiaddrs"].empty());
  for (const json& item : vectors()["multiaddrs"]) {
    const auto parsed = Multiaddr::parse(item["text"].get<std::string>());
    ASSERT_TRUE(parsed.ok()) << item["text"];
    EXPECT_EQ(parsed->to_bytes(), hex(item["bytes"])) << item["text"];
    EXPECT_EQ(parsed->to_string(), item["text"].get<std::string>());
    const auto read = Multiaddr::from_bytes(hex(item["bytes"]));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, *parsed);
  }
}

TEST(IdentityVectors, Certificates) {
  const CertificateCheck check{vectors()["valid_at"].get<int64_t>() * 1'000'000, false};
  for (const json& item : vectors()["certificates"]) {
    const Bytes der = hex(item["der"]);
    const ByteView chain[] = {der};
    const auto peer = verify_peer_certificate(chain, check);
    const std::string expected = item.value("error", std::string("OK"));
    EXPECT_EQ(std::string(code_name(peer.code())),
              expected == "OK" ? std::string(code_name(Code::ok)) : "SEREUS_E_" + expected)
        << item["name"];
    if (peer.ok()) {
      EXPECT_EQ(peer->to_string(), item["peer"].get<std::string>()) << item["name"];
    }
  }
}

}  // namespace
}  // namespace sereus::net
