#include "core/crypto/certificate.h"

#include <gtest/gtest.h>

#include "core/codec/cbor.h"

namespace sereus::crypto {
namespace {

using codec::CborReader;
using codec::CborWriter;

KeyPair pair_of(uint8_t seed) { return KeyPair::from_seed(SecretBytes<32>(Bytes(32, seed))); }

struct Certificates : testing::Test {
  KeyPair party = pair_of(1);
  KeyPair device = pair_of(2);
  KeyPair author = pair_of(3);
  KeyPair mallory = pair_of(66);
  StoreId store{{5, 5, 5}};
  StoreId other_store{{6}};

  DeviceCertificate device_fields() const {
    DeviceCertificate fields;
    fields.party = party.party_key();
    fields.device = device.device_key();
    fields.serial = 7;
    fields.issued_at_s = 1'700'000'000;
    return fields;
  }
  AuthorCertificate author_fields() const {
    AuthorCertificate fields;
    fields.device = device.device_key();
    fields.author = author.author_key();
    fields.store = store;
    fields.incarnation = Incarnation{{9, 9}};
    fields.serial = 1;
    fields.issued_at_s = 1'700'000'100;
    fields.expires_at_s = 1'800'000'000;
    return fields;
  }
  Bytes device_certificate() const { return issue_certificate(party, device_fields()); }
  Bytes author_certificate() const { return issue_certificate(device, author_fields()); }
};

// A certificate of any body, properly signed.
Bytes signed_as(const KeyPair& issuer, std::string_view context, ByteView body) {
  Bytes out;
  CborWriter writer(out);
  writer.array(2);
  writer.bytes(body);
  writer.bytes(issuer.sign_in_context(context, body).view());
  return out;
}

TEST_F(Certificates, RoundTrip) {
  const auto device_back = verify_device_certificate(device_certificate(), 1'700'000'000);
  ASSERT_TRUE(device_back.ok());
  EXPECT_EQ(*device_back, device_fields());
  const auto author_back = verify_author_certificate(author_certificate(), 1'700'000'000);
  ASSERT_TRUE(author_back.ok());
  EXPECT_EQ(*author_back, author_fields());
  EXPECT_EQ(*parse_device_certificate(device_certificate()), device_fields());
  EXPECT_EQ(*parse_author_certificate(author_certificate()), author_fields());
  EXPECT_EQ(device_certificate(), device_certificate()) << "deterministic";
}

TEST_F(Certificates, LargestStaysFarBelowTheCap) {
  AuthorCertificate largest = author_fields();
  largest.serial = UINT64_MAX;
  largest.issued_at_s = UINT64_MAX - 1;
  largest.expires_at_s = UINT64_MAX;
  EXPECT_EQ(issue_certificate(device, largest).size(), 210u);
  EXPECT_TRUE(verify_author_certificate(issue_certificate(device, largest), std::nullopt).ok());
  DeviceCertificate other = device_fields();
  other.serial = UINT64_MAX;
  other.issued_at_s = UINT64_MAX - 1;
  other.expires_at_s = UINT64_MAX;
  EXPECT_EQ(issue_certificate(party, other).size(), 174u);
}

TEST_F(Certificates, ChainNamesTheParty) {
  const auto who = verify_author_chain(author_certificate(), device_certificate(), store, 1'750'000'000);
  ASSERT_TRUE(who.ok());
  EXPECT_EQ(who->party, party.party_key());
  EXPECT_EQ(who->device, device.device_key());
  EXPECT_EQ(who->author, author.author_key());
  EXPECT_EQ(who->incarnation, (Incarnation{{9, 9}}));
  EXPECT_EQ(who->device_serial, 7u);
  EXPECT_EQ(who->author_serial, 1u);
}

TEST_F(Certificates, ChainRefuses) {
  EXPECT_EQ(verify_author_chain(author_certificate(), device_certificate(), other_store, std::nullopt).code(),
            Code::wrong_store);
  // Swapped.
  EXPECT_EQ(verify_author_chain(device_certificate(), author_certificate(), store, std::nullopt).code(),
            Code::malformed);
  // Mallory's party does not make somebody else's device hers for an author certificate of another device.
  DeviceCertificate hers = device_fields();
  hers.party = mallory.party_key();
  hers.device = mallory.device_key();
  EXPECT_EQ(verify_author_chain(author_certificate(), issue_certificate(mallory, hers), store, std::nullopt).code(),
            Code::bad_signature);
  // An author certificate that Mallory's device signed in the name of the device.
  Bytes forged = author_certificate();
  const Signature signature = mallory.sign_in_context(kAuthorCertificateContext, Bytes(1, 0));
  std::copy(signature.bytes.begin(), signature.bytes.end(), forged.end() - 64);
  EXPECT_EQ(verify_author_chain(forged, device_certificate(), store, std::nullopt).code(), Code::bad_signature);
}

TEST_F(Certificates, SignatureOfTheOtherContextIsRefused) {
  const Bytes wire = device_certificate();
  CborReader outer(wire);
  uint64_t count = 0;
  ByteView body;
  ASSERT_TRUE(outer.get_array(count) && outer.get_bytes(body));
  EXPECT_TRUE(verify_device_certificate(signed_as(party, kDeviceCertificateContext, body), std::nullopt).ok());
  EXPECT_EQ(verify_device_certificate(signed_as(party, kAuthorCertificateContext, body), std::nullopt).code(),
            Code::bad_signature);
  EXPECT_EQ(verify_device_certificate(signed_as(party, "sereus entry 1", body), std::nullopt).code(),
            Code::bad_signature);
  EXPECT_EQ(verify_device_certificate(signed_as(mallory, kDeviceCertificateContext, body), std::nullopt).code(),
            Code::bad_signature);
}

TEST_F(Certificates, Dates) {
  EXPECT_TRUE(verify_author_certificate(author_certificate(), 1'799'999'999).ok());
  EXPECT_EQ(verify_author_certificate(author_certificate(), 1'800'000'000).code(), Code::expired);
  EXPECT_TRUE(verify_author_certificate(author_certificate(), std::nullopt).ok()) << "a suspect clock";
  EXPECT_TRUE(verify_author_certificate(author_certificate(), 0).ok()) << "1970: issued in the future is no reason";
  EXPECT_TRUE(verify_device_certificate(device_certificate(), UINT64_MAX).ok()) << "no expiry";
  EXPECT_EQ(verify_author_chain(author_certificate(), device_certificate(), store, 1'900'000'000).code(),
            Code::expired);
}

TEST_F(Certificates, EveryFlippedBitAndEveryTruncationIsRefused) {
  for (const bool is_device : {true, false}) {
    const Bytes good = is_device ? device_certificate() : author_certificate();
    const auto refused = [&](ByteView bytes) {
      return is_device ? !verify_device_certificate(bytes, std::nullopt).ok()
                       : !verify_author_certificate(bytes, std::nullopt).ok();
    };
    EXPECT_FALSE(refused(good));
    for (size_t at = 0; at < good.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes changed = good;
        changed[at] ^= static_cast<uint8_t>(1 << bit);
        EXPECT_TRUE(refused(changed)) << "bit " << bit << " of byte " << at;
      }
      EXPECT_TRUE(refused(ByteView(good).first(at))) << "truncated to " << at;
    }
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_TRUE(refused(longer));
  }
}

struct BodyField {
  uint64_t key;
  Bytes encoded;
};

// A device certificate's body from parts, to leave out, add or change some.
Bytes body_of(const std::vector<BodyField>& fields) {
  Bytes out;
  CborWriter writer(out);
  writer.map(fields.size());
  for (const auto& field : fields) {
    writer.uint(field.key);
    writer.encoded_item(field.encoded);
  }
  writer.finish();
  return out;
}

TEST_F(Certificates, OtherShapesAreRefused) {
  const auto id = [](ByteView view) {
    Bytes out;
    CborWriter writer(out);
    writer.bytes(view);
    return out;
  };
  const std::vector<BodyField> good = {
      {1, {1}}, {2, {1}}, {3, id(party.party_key().view())}, {4, id(device.device_key().view())}, {5, {7}},
      {6, {8}}, {7, {0}}};
  const auto code_of = [&](const std::vector<BodyField>& fields) {
    return verify_device_certificate(signed_as(party, kDeviceCertificateContext, body_of(fields)), std::nullopt).code();
  };
  EXPECT_EQ(code_of(good), Code::ok);
  for (size_t i = 0; i < good.size(); ++i) {
    auto missing = good;
    missing.erase(missing.begin() + static_cast<long>(i));
    EXPECT_EQ(code_of(missing), Code::malformed) << "without field " << i + 1;
    auto wrong = good;
    wrong[i].encoded = {0xf6};
    EXPECT_EQ(code_of(wrong), Code::malformed) << "null in field " << i + 1;
  }
  auto more = good;
  more.push_back({8, {0}});
  EXPECT_EQ(code_of(more), Code::malformed) << "version 1 has no field 8";
  auto newer = more;
  newer[0].encoded = {2};
  EXPECT_EQ(code_of(newer), Code::too_new);
  newer[0].encoded = {0};
  EXPECT_EQ(code_of(newer), Code::malformed);
  auto kind = good;
  kind[1].encoded = {2};
  EXPECT_EQ(code_of(kind), Code::malformed);
  kind[1].encoded = {3};
  EXPECT_EQ(code_of(kind), Code::malformed);
  auto short_key = good;
  short_key[2].encoded = id(Bytes(31, 1));
  EXPECT_EQ(code_of(short_key), Code::malformed);
  auto backwards = good;
  backwards[6].encoded = {8};  // expires when it is issued
  EXPECT_EQ(code_of(backwards), Code::malformed);
  EXPECT_EQ(verify_device_certificate(Bytes(kCertificateSizeMax + 1, 0), std::nullopt).code(), Code::too_large);
  EXPECT_EQ(verify_device_certificate(Bytes(), std::nullopt).code(), Code::malformed);
}

// Verified over the received bytes: a body that means the same but is encoded otherwise does not even parse.
TEST_F(Certificates, NonCanonicalBodyIsRefusedAlthoughSigned) {
  const Bytes wire = device_certificate();
  CborReader outer(wire);
  uint64_t count = 0;
  ByteView canonical;
  ASSERT_TRUE(outer.get_array(count) && outer.get_bytes(canonical));
  Bytes loose = to_bytes(canonical);
  ASSERT_EQ(loose[2], 0x01);
  loose[2] = 0x18;  // version 1 in two bytes
  loose.insert(loose.begin() + 3, 0x01);
  EXPECT_EQ(verify_device_certificate(signed_as(party, kDeviceCertificateContext, loose), std::nullopt).code(),
            Code::malformed);
}

TEST_F(Certificates, IssuerMustBeWhoItSays) {
  EXPECT_DEATH((void)issue_certificate(mallory, device_fields()), "invariant broken");
  EXPECT_DEATH((void)issue_certificate(mallory, author_fields()), "invariant broken");
}

}  // namespace
}  // namespace sereus::crypto
