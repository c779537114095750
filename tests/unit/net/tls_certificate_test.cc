// The libp2p certificate: ours verifies, and every rule of the specification refuses what breaks it.
#include "core/net/tls_certificate.h"

#include <gtest/gtest.h>

#include "core/net/certificate_oids.h"
#include "core/net/der.h"
#include "core/net/limits.h"
#include "tests/support/net_world.h"

namespace sereus::net {
namespace {

constexpr CertificateCheck kNow{1'767'225'600'000'000, false};  // 2026-01-01

class TlsCertificate : public ::testing::Test {
 protected:
  TlsCertificate()
      : random_(1), device_(test::NetWorld::key(1)), key_(std::move(CertificateKey::generate(random_)).value()) {
    fields_.extensions.push_back(libp2p_extension(device_, key_.public_key_info()));
  }
  Bytes make() { return key_.certificate(fields_, random_).value(); }
  static Result<PeerId> verify(const Bytes& der, const CertificateCheck& check = kNow) {
    const ByteView chain[] = {der};
    return verify_peer_certificate(chain, check);
  }

  test::SeededRandom random_;
  crypto::KeyPair device_;
  CertificateKey key_;
  CertificateFields fields_;
};

TEST_F(TlsCertificate, OursVerifies) {
  const auto identity = make_tls_identity(device_, random_);
  ASSERT_TRUE(identity.ok());
  const auto peer = verify(identity->chain.at(0));
  ASSERT_TRUE(peer.ok()) << peer.error().detail;
  EXPECT_EQ(*peer, PeerId::from_device_key(device_.device_key()));
  EXPECT_LT(identity->chain[0].size(), 400u);
}

TEST_F(TlsCertificate, ComesFromTheSeedAlone) {
  test::SeededRandom one(5);
  test::SeededRandom two(5);
  test::SeededRandom three(6);
  const Bytes first = make_tls_identity(device_, one)->chain.at(0);
  EXPECT_EQ(first, make_tls_identity(device_, two)->chain.at(0));
  EXPECT_NE(first, make_tls_identity(device_, three)->chain.at(0));
}

TEST_F(TlsCertificate, ExactlyOne) {
  const Bytes der = make();
  EXPECT_EQ(verify_peer_certificate({}, kNow).code(), Code::malformed);
  const ByteView two[] = {der, der};
  EXPECT_EQ(verify_peer_certificate(two, kNow).code(), Code::malformed);
}

TEST_F(TlsCertificate, Extensions) {
  const auto ours = fields_.extensions[0];
  fields_.extensions[0].critical = true;
  EXPECT_TRUE(verify(make()).ok());

  fields_.extensions = {};
  EXPECT_EQ(verify(make()).code(), Code::malformed);

  fields_.extensions = {ours, ours};
  EXPECT_EQ(verify(make()).code(), Code::malformed);

  CertificateFields::Extension other{{0x55, 0x1d, 0x13}, false, {0x30, 0x00}};
  fields_.extensions = {ours, other};
  EXPECT_TRUE(verify(make()).ok());
  fields_.extensions[1].critical = true;
  EXPECT_EQ(verify(make()).code(), Code::unsupported);

  fields_.extensions = {ours};
  for (uint8_t i = 0; i < kCertificateExtensionsMax; ++i) {
    fields_.extensions.push_back({{0x55, 0x1d, i}, false, {0x05, 0x00}});
  }
  EXPECT_EQ(verify(make()).code(), Code::too_large);
}

TEST_F(TlsCertificate, BadExtensionSignature) {
  const auto other_key = CertificateKey::generate(random_);
  fields_.extensions = {libp2p_extension(device_, other_key->public_key_info())};
  EXPECT_EQ(verify(make()).code(), Code::bad_signature);

  fields_.extensions = {libp2p_extension(device_, key_.public_key_info())};
  fields_.extensions[0].value.back() ^= 1;
  EXPECT_EQ(verify(make()).code(), Code::bad_signature);
}

TEST_F(TlsCertificate, BadSelfSignature) {
  Bytes der = make();
  der.back() ^= 1;
  EXPECT_EQ(verify(der).code(), Code::bad_signature);
  // A change inside the signed part.
  der = make();
  der[20] ^= 1;
  EXPECT_FALSE(verify(der).ok());
}

TEST_F(TlsCertificate, Dates) {
  fields_.not_before = "20200101000000Z";
  fields_.not_after = "20251231000000Z";
  Bytes der = make();
  EXPECT_EQ(verify(der).code(), Code::expired);
  EXPECT_TRUE(verify(der, {kNow.wall_us, true}).ok());  // the clock is known to be wrong
  EXPECT_TRUE(verify(der, {1'700'000'000'000'000, false}).ok());
  EXPECT_EQ(verify(der, {0, false}).code(), Code::expired);  // 1970: not valid yet
  fields_.not_before = "20260101003000Z";                    // half an hour ahead: clocks differ
  fields_.not_after = "20700101000000Z";
  EXPECT_TRUE(verify(make()).ok());
  fields_.not_before = "20260101013000Z";
  EXPECT_EQ(verify(make()).code(), Code::expired);
  for (const char* bad :
       {"20261301000000Z", "20260100000000Z", "2026010100000Z", "20260101000000+", "20260101240000Z"}) {
    fields_.not_before = bad;
    EXPECT_EQ(verify(make()).code(), Code::malformed) << bad;
  }
}

TEST_F(TlsCertificate, HostKeys) {
  const auto with_key = [&](const Bytes& protobuf) {
    const Bytes key = der::wrap(der::kOctetString, {protobuf});
    const Bytes proof = der::wrap(der::kOctetString, {Bytes(64)});
    fields_.extensions = {
        {Bytes(oid::kLibp2pKey.begin(), oid::kLibp2pKey.end()), true, der::wrap(der::kSequence, {key, proof})}};
    return verify(make()).code();
  };
  Bytes key = public_key_protobuf(device_.device_key());
  EXPECT_EQ(with_key(key), Code::bad_signature);
  for (const uint8_t type : {0, 2, 3}) {
    key[1] = type;
    EXPECT_EQ(with_key(key), Code::malformed);  // 32 bytes are none of these
  }
  key[1] = 4;
  EXPECT_EQ(with_key(key), Code::unsupported);
  EXPECT_EQ(with_key({}), Code::malformed);
  key[1] = 1;
  key.push_back(0);
  EXPECT_EQ(with_key(key), Code::malformed);
  EXPECT_EQ(with_key(Bytes{0x08, 0x01, 0x12, 0x02, 1, 2}), Code::malformed);
}

TEST_F(TlsCertificate, EveryTruncationAndBitFlipIsRefused) {
  const Bytes der = make();
  for (size_t size = 0; size < der.size(); ++size) {
    EXPECT_FALSE(verify(Bytes(der.begin(), der.begin() + static_cast<ptrdiff_t>(size))).ok()) << size;
  }
  for (size_t at = 0; at < der.size(); ++at) {
    Bytes changed = der;
    changed[at] ^= static_cast<uint8_t>(1 << (at % 8));
    EXPECT_FALSE(verify(changed).ok()) << at;
  }
  Bytes longer = der;
  longer.push_back(0);
  EXPECT_FALSE(verify(longer).ok());
  EXPECT_EQ(verify(Bytes(kCertificateBytesMax + 1, 0x30)).code(), Code::too_large);
}

TEST(Der, ReadsStrictly) {
  const auto bad = [](std::string_view hex) {
    const Bytes bytes = *from_hex(hex);
    return !der::Reader(bytes).next().has_value();
  };
  for (const std::string_view hex :
       {"", "30", "3001", "3080", "308100", "30817f", "3082000100", "1f0100", "30850000000001"}) {
    EXPECT_TRUE(bad(hex)) << hex;
  }
  const Bytes large = der::wrap(der::kOctetString, {Bytes(300)});
  EXPECT_EQ(to_hex(ByteView(large).first(4)), "0482012c");
  EXPECT_EQ(der::Reader(large).next(der::kOctetString)->content.size(), 300u);
  EXPECT_EQ(der::wrap(der::kOctetString, {Bytes(200)}).size(), 203u);
}

}  // namespace
}  // namespace sereus::net
