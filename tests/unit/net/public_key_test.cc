// vectors/libp2p_messages.json: keys of every type, what they signed, and what is no key or no signature.
#include "core/net/public_key.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/crypto/sign.h"
#include "core/net/der.h"
#include "core/net/limits.h"
#include "core/net/rsa.h"
#include "tests/support/files_in_repository.h"

namespace sereus::net {
namespace {

using nlohmann::json;

const json& vectors() {
  static const json loaded =
      json::parse(test::read_text_file(SEREUS_SOURCE_DIR "/vectors/libp2p_messages.json").value_or(""), nullptr, false);
  return loaded;
}

Bytes hex(const json& value) { return from_hex(value.get<std::string>()).value_or(Bytes()); }

TEST(PublicKey, OfEveryTypeVerifies) {
  ASSERT_FALSE(vectors().is_discarded());
  const std::map<std::string, KeyType> types = {{"ed25519", KeyType::ed25519},
                                                {"secp256k1", KeyType::secp256k1},
                                                {"ecdsa", KeyType::ecdsa},
                                                {"rsa 2048", KeyType::rsa},
                                                {"rsa 4096", KeyType::rsa}};
  const Bytes message = hex(vectors()["message"]);
  ASSERT_EQ(vectors()["keys"].size(), types.size());
  for (const json& item : vectors()["keys"]) {
    const std::string name = item["name"];
    const auto key = PublicKey::parse(hex(item["public"]));
    ASSERT_TRUE(key.ok()) << name << ": " << key.error().detail;
    EXPECT_EQ(key->type(), types.at(name));
    EXPECT_EQ(key->protobuf(), hex(item["public"]));
    EXPECT_EQ(write_public_key(key->type(), key->data()), key->protobuf());
    EXPECT_EQ(key->peer_id().to_string(), item["peer"].get<std::string>());
    EXPECT_EQ(key->peer_id().to_cid(), item["cid"].get<std::string>());
    EXPECT_EQ(PeerId::parse(item["cid"].get<std::string>()), key->peer_id());
    EXPECT_TRUE(key->verify(message, hex(item["signature"])).ok()) << name;
    EXPECT_EQ(key->verify({}, hex(item["signature"])).code(), Code::bad_signature) << name;
  }
}

TEST(PublicKey, RsaOf8192BitsVerifies) {
  const json& item = vectors()["rsa_8192"];
  const auto key = PublicKey::parse(hex(item["public"]));
  ASSERT_TRUE(key.ok());
  EXPECT_LE(key->protobuf().size(), kPublicKeyBytesMax);
  EXPECT_TRUE(key->verify(hex(vectors()["message"]), hex(item["signature"])).ok());
  EXPECT_EQ(key->verify({}, hex(item["signature"])).code(), Code::bad_signature);
}

TEST(PublicKey, Signatures) {
  ASSERT_GT(vectors()["signatures"].size(), 40u);
  for (const json& item : vectors()["signatures"]) {
    const auto key = PublicKey::parse(hex(item["public"]));
    ASSERT_TRUE(key.ok()) << item["name"];
    EXPECT_EQ(key->verify(hex(vectors()["message"]), hex(item["signature"])).ok(), item["valid"].get<bool>())
        << item["name"];
  }
}

TEST(PublicKey, RefusesWhatIsNoKey) {
  ASSERT_GT(vectors()["bad_keys"].size(), 40u);
  for (const json& item : vectors()["bad_keys"]) {
    const auto key = PublicKey::parse(hex(item["public"]));
    EXPECT_EQ(std::string(code_name(key.code())), "SEREUS_E_" + item["code"].get<std::string>()) << item["name"];
  }
}

TEST(PublicKey, OneKeyHasOneEncoding) {
  // Every change of one bit is another key, or none.
  for (const json& item : vectors()["keys"]) {
    const auto key = PublicKey::parse(hex(item["public"]));
    ASSERT_TRUE(key.ok());
    for (size_t at = 0; at < key->protobuf().size(); ++at) {
      Bytes changed = key->protobuf();
      changed[at] ^= static_cast<uint8_t>(1 << (at % 8));
      const auto other = PublicKey::parse(changed);
      if (!other.ok()) continue;
      EXPECT_NE(other->peer_id(), key->peer_id());
      EXPECT_FALSE(other->verify(hex(vectors()["message"]), hex(item["signature"])).ok()) << item["name"] << at;
    }
    for (size_t size = 0; size < key->protobuf().size(); ++size) {
      EXPECT_FALSE(PublicKey::parse(ByteView(key->protobuf()).first(size)).ok());
    }
  }
}

TEST(PublicKey, OfADevice) {
  const auto pair = crypto::KeyPair::from_seed(crypto::SecretBytes<crypto::kSeedSize>(Bytes(32, 7)));
  const PublicKey key = PublicKey::of(pair.device_key());
  EXPECT_EQ(key.type(), KeyType::ed25519);
  EXPECT_EQ(key.protobuf(), public_key_protobuf(pair.device_key()));
  EXPECT_EQ(key.peer_id(), PeerId::from_device_key(pair.device_key()));
  EXPECT_EQ(*PublicKey::parse(key.protobuf()), key);
  EXPECT_TRUE(key.verify(as_bytes("text"), pair.sign(as_bytes("text")).view()).ok());
}

TEST(PublicKey, SizesOfRsa) {
  const auto bits = [](Bytes modulus) { return RsaKey{modulus, {}}.bits(); };
  EXPECT_EQ(bits({}), 0u);
  EXPECT_EQ(bits({1}), 1u);
  EXPECT_EQ(bits({0x80}), 8u);
  EXPECT_EQ(bits({1, 0}), 9u);
}

TEST(Der, PositiveIntegers) {
  const auto read = [](std::string_view text) -> std::string {
    const Bytes der = from_hex(text).value();
    der::Reader reader(der);
    const auto value = der::next_positive(reader);
    return value ? to_hex(*value) : "none";
  };
  EXPECT_EQ(read("020101"), "01");
  EXPECT_EQ(read("02020080"), "80");
  EXPECT_EQ(read("02027fff"), "7fff");
  for (const std::string_view bad : {"0200", "020100", "020180", "02020001", "0202ff01", "030101", "0202", ""}) {
    EXPECT_EQ(read(bad), "none") << bad;
  }
}

}  // namespace
}  // namespace sereus::net
