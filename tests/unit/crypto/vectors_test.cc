// vectors/identity.json, certificates.json and keystore.json, which tools/vectors/core_vectors.py writes from the pages
// in docs/formats/ without any of our code.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/crypto/certificate.h"
#include "core/crypto/hash.h"
#include "core/crypto/keystore.h"
#include "core/crypto/sign.h"
#include "tests/support/files_in_repository.h"
#include "tests/support/memory_files.h"

namespace sereus::crypto {
namespace {

using nlohmann::json;

json load(const std::string& name) {
  const auto text = test::read_text_file(std::string(SEREUS_SOURCE_DIR) + "/vectors/" + name + ".json");
  EXPECT_TRUE(text.has_value()) << name;
  return json::parse(text.value_or("null"), nullptr, false);
}

Bytes bytes_of(const json& value) { return from_hex(value.get<std::string>()).value(); }
SecretBytes<32> secret_of(const json& value) { return SecretBytes<32>(bytes_of(value)); }
std::string hex_of(const json& value) { return value.get<std::string>(); }

template <typename Id>
Id id_of(const json& value) {
  return Id::from(bytes_of(value)).value();
}

CheckDate date_of(const json& value) { return value.is_null() ? std::nullopt : CheckDate(value.get<uint64_t>()); }

TEST(IdentityVectors, KeysAndDerivation) {
  const json v = load("identity");
  for (const char* role : {"party", "device"}) {
    EXPECT_EQ(KeyPair::from_seed(secret_of(v[role]["seed"])).party_key().hex(), hex_of(v[role]["public_key"]));
  }
  EXPECT_EQ(fingerprint(bytes_of(v["party"]["public_key"])), v["party"]["fingerprint"].get<std::string>());
  const json& author = v["author"];
  const auto seed = derive_key(secret_of(author["root"]), "sereus author key",
                               {bytes_of(author["store"]), bytes_of(author["incarnation"])});
  EXPECT_EQ(to_hex(seed.view()), hex_of(author["seed"]));
  EXPECT_EQ(KeyPair::from_seed(seed).author_key().hex(), hex_of(author["public_key"]));
  const json& storage = v["storage_key"];
  EXPECT_EQ(to_hex(derive_key(secret_of(storage["root"]), "sereus storage key",
                              {as_bytes(storage["purpose"].get_ref<const std::string&>())})
                       .view()),
            hex_of(storage["key"]));
}

TEST(IdentityVectors, Primitives) {
  const json v = load("identity");
  const auto root = secret_of(v["author"]["root"]);
  for (const auto& one : v["hash"]) {
    const Bytes data = bytes_of(one["data"]);
    EXPECT_EQ(blake2b_256(data).hex(), hex_of(one["blake2b_256"]));
    EXPECT_EQ(sha256(data).hex(), hex_of(one["sha256"]));
    EXPECT_EQ(hash_in_context("test", data).hex(), hex_of(one["in_context_test"]));
    EXPECT_EQ(keyed_hash(root.view(), data).hex(), hex_of(one["keyed_with_root"]));
  }
  for (const auto& one : v["signature"]) {
    const KeyPair pair = KeyPair::from_seed(secret_of(one["seed"]));
    const Bytes message = bytes_of(one["message"]);
    EXPECT_EQ(pair.sign_in_context("test", message).hex(), hex_of(one["signature"]));
    EXPECT_TRUE(verify_in_context(pair.public_key(), "test", message, bytes_of(one["signature"])));
  }
  for (const auto& one : v["derive_key"]) {
    std::vector<Bytes> parts;
    for (const auto& part : one["parts"]) parts.push_back(bytes_of(part));
    const auto key = secret_of(one["key"]);
    const auto derived = parts.empty()       ? derive_key(key, "test")
                         : parts.size() == 1 ? derive_key(key, "test", {parts[0]})
                                             : derive_key(key, "test", {parts[0], parts[1]});
    EXPECT_EQ(to_hex(derived.view()), hex_of(one["derived"]));
  }
}

TEST(CertificateVectors, Valid) {
  const json vectors = load("certificates");
  for (const auto& v : vectors["valid"]) {
    const Bytes wire = bytes_of(v["certificate"]);
    const KeyPair issuer = KeyPair::from_seed(secret_of(v["issuer_seed"]));
    const auto check_tail = [&](const auto& certificate) {
      EXPECT_EQ(certificate.serial, v["serial"].get<uint64_t>());
      EXPECT_EQ(certificate.issued_at_s, v["issued_at"].get<uint64_t>());
      EXPECT_EQ(certificate.expires_at_s, v["expires_at"].get<uint64_t>());
      EXPECT_EQ(to_hex(issue_certificate(issuer, certificate)), to_hex(wire)) << "issued the same";
    };
    if (v["kind"] == "device") {
      const auto certificate = verify_device_certificate(wire, date_of(v["date"]));
      ASSERT_TRUE(certificate.ok());
      EXPECT_EQ(certificate->party, id_of<PartyKey>(v["party"]));
      EXPECT_EQ(certificate->device, id_of<DeviceKey>(v["device"]));
      check_tail(*certificate);
    } else {
      const auto certificate = verify_author_certificate(wire, date_of(v["date"]));
      ASSERT_TRUE(certificate.ok());
      EXPECT_EQ(certificate->device, id_of<DeviceKey>(v["device"]));
      EXPECT_EQ(certificate->author, id_of<AuthorKey>(v["author"]));
      EXPECT_EQ(certificate->store, id_of<StoreId>(v["store"]));
      EXPECT_EQ(certificate->incarnation, id_of<Incarnation>(v["incarnation"]));
      check_tail(*certificate);
    }
  }
}

TEST(CertificateVectors, RefusedAndChains) {
  const json vectors = load("certificates");
  for (const auto& v : vectors["refused"]) {
    const Bytes wire = bytes_of(v["certificate"]);
    const Code code = v["kind"] == "device" ? verify_device_certificate(wire, date_of(v["date"])).code()
                                            : verify_author_certificate(wire, date_of(v["date"])).code();
    EXPECT_EQ(code_name(code), v["code"].get<std::string>()) << v["why"];
  }
  for (const auto& v : vectors["chains"]) {
    const auto who = verify_author_chain(bytes_of(v["author"]), bytes_of(v["device"]), id_of<StoreId>(v["store"]),
                                         date_of(v["date"]));
    EXPECT_EQ(code_name(who.code()), v["code"].get<std::string>());
    if (who.ok()) {
      EXPECT_EQ(who->party, id_of<PartyKey>(v["party"]));
    }
  }
}

// Byte number n is n mod 251.
class CountingRandom : public Random {
 public:
  void fill(ByteSpan out) override {
    for (auto& byte : out) byte = static_cast<uint8_t>(at_++ % 251);
  }

 private:
  uint64_t at_ = 0;
};

KeystoreOptions options_of(const json& v) {
  KeystoreOptions options;
  options.kdf =
      Argon2Params{v["argon2"]["ops"].get<uint64_t>(), v["argon2"]["mem_kib"].get<uint64_t>(), kArgon2Version};
  options.floor = Argon2Floor::tests;
  return options;
}

TEST(KeystoreVectors, WrittenByteForByte) {
  const json vectors = load("keystore");
  for (const auto& v : vectors["keystores"]) {
    test::MemoryFiles files;
    CountingRandom random;
    const std::string passphrase = v["passphrase"].get<std::string>();
    const auto keystore =
        Keystore::create(files, random, as_bytes(passphrase), v["created_at"].get<uint64_t>(), options_of(v));
    ASSERT_TRUE(keystore.ok());
    EXPECT_EQ(to_hex(files.content("keystore").value()), hex_of(v["file"]));
    const auto backup = keystore->export_backup(random, as_bytes(v["backup_passphrase"].get_ref<const std::string&>()),
                                                bytes_of(v["backup_attachment"]));
    ASSERT_TRUE(backup.ok());
    EXPECT_EQ(to_hex(*backup), hex_of(v["backup"]));
  }
}

TEST(KeystoreVectors, Opened) {
  const json vectors = load("keystore");
  EXPECT_EQ(vectors["keystores"].size(), 3u);
  for (const auto& v : vectors["keystores"]) {
    test::MemoryFiles files;
    files.put("keystore", bytes_of(v["file"]));
    const std::string passphrase = v["passphrase"].get<std::string>();
    const auto keystore = Keystore::open(files, as_bytes(passphrase), options_of(v));
    ASSERT_TRUE(keystore.ok()) << keystore.error().detail;
    EXPECT_EQ(keystore->has_passphrase(), !passphrase.empty());
    EXPECT_EQ(keystore->party_key().hex(), hex_of(v["party"]));
    EXPECT_EQ(keystore->device().device_key().hex(), hex_of(v["device"]));
    EXPECT_EQ(to_hex(keystore->device_seed().view()), hex_of(v["device_seed"]));
    EXPECT_EQ(keystore->incarnation().hex(), hex_of(v["incarnation"]));
    EXPECT_EQ(to_hex(keystore->device_certificate()), hex_of(v["device_certificate"]));
    EXPECT_EQ(keystore->author(id_of<StoreId>(v["store"])).author_key().hex(), hex_of(v["author_public_key"]));
    EXPECT_EQ(to_hex(keystore->storage_key("database").view()), hex_of(v["storage_key_database"]));

    test::MemoryFiles elsewhere;
    CountingRandom random;
    SecretBuffer attachment;
    const auto restored = Keystore::import_backup(elsewhere, random, bytes_of(v["backup"]),
                                                  as_bytes(v["backup_passphrase"].get_ref<const std::string&>()), {},
                                                  &attachment, options_of(v));
    ASSERT_TRUE(restored.ok());
    EXPECT_EQ(restored->party_key(), keystore->party_key());
    EXPECT_EQ(to_hex(attachment.view()), hex_of(v["backup_attachment"]));
  }
}

}  // namespace
}  // namespace sereus::crypto
