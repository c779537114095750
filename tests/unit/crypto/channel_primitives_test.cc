// X25519, ChaCha20-Poly1305 and HMAC-SHA-256. Their bytes are also checked by the Noise vectors (tests/unit/net).
#include <gtest/gtest.h>

#include "core/crypto/chacha_poly.h"
#include "core/crypto/hmac.h"
#include "core/crypto/x25519.h"
#include "tests/support/test_random.h"

namespace sereus::crypto {
namespace {

TEST(Hmac, Rfc4231Case2) {
  EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), {as_bytes("what do ya want "), as_bytes("for nothing?")}).view()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(X25519, BothSidesAgree) {
  test::TestRandom random(1);
  const X25519Pair one = X25519Pair::generate(random);
  const X25519Pair two = X25519Pair::generate(random);
  EXPECT_NE(one.public_key(), two.public_key());
  const auto here = one.agree(two.public_key());
  const auto there = two.agree(one.public_key());
  ASSERT_TRUE(here && there);
  EXPECT_TRUE(*here == *there);
  EXPECT_FALSE(one.agree(X25519PublicKey{}).has_value());
  EXPECT_FALSE(one.agree(X25519PublicKey{1}).has_value());
}

TEST(ChaChaPoly, OpensWhatWasSealedAndNothingElse) {
  const ChaChaPolyKey key(Bytes(kChaChaPolyKeySize, 7));
  const ChaChaPolyNonce nonce{1, 2, 3};
  for (const size_t size : {0, 1, 100}) {
    const Bytes plain(size, 'p');
    Bytes sealed(size + kChaChaPolyTagSize);
    chacha_poly_seal(key, nonce, as_bytes("associated"), plain, sealed);
    Bytes opened(size);
    ASSERT_TRUE(chacha_poly_open(key, nonce, as_bytes("associated"), sealed, opened));
    EXPECT_EQ(opened, plain);
    EXPECT_FALSE(chacha_poly_open(key, nonce, as_bytes("Associated"), sealed, opened));
    EXPECT_FALSE(chacha_poly_open(key, ChaChaPolyNonce{1, 2}, as_bytes("associated"), sealed, opened));
    for (size_t at = 0; at < sealed.size(); ++at) {
      Bytes changed = sealed;
      changed[at] ^= 1;
      EXPECT_FALSE(chacha_poly_open(key, nonce, as_bytes("associated"), changed, opened));
    }
  }
  Bytes none;
  EXPECT_FALSE(chacha_poly_open(key, nonce, {}, Bytes(15), none));
}

}  // namespace
}  // namespace sereus::crypto
