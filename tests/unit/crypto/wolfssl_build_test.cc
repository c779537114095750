// The pinned wolfSSL has what the rooms above count on (tools/deps.py chooses its options), and takes its randomness and
// time from the hooks alone.
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/curve448.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed448.h>
#include <wolfssl/wolfcrypt/hpke.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/wc_port.h>

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <vector>

#include "core/crypto/wolfssl_hooks.h"

namespace sereus::crypto {
namespace {

// A reproducible byte stream; not for keys.
struct TestRandom {
  uint64_t state = 1;
  size_t served = 0;

  static void fill(void* user, ByteSpan out) {
    auto* self = static_cast<TestRandom*>(user);
    self->served += out.size();
    for (uint8_t& byte : out) {
      self->state = self->state * 6364136223846793005U + 1442695040888963407U;
      byte = static_cast<uint8_t>(self->state >> 56);
    }
  }
};

class WolfsslBuildTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(wc_InitRng(&rng_), 0); }
  void TearDown() override { wc_FreeRng(&rng_); }

  TestRandom random_;
  WolfsslHooks hooks_{.random = &TestRandom::fill, .random_user = &random_};
  WolfsslHooksScope scope_{hooks_};
  WC_RNG rng_;
};

TEST_F(WolfsslBuildTest, RandomComesFromTheHooks) {
  std::array<uint8_t, 48> block{};
  ASSERT_EQ(wc_RNG_GenerateBlock(&rng_, block.data(), block.size()), 0);
  EXPECT_EQ(random_.served, block.size());

  std::array<uint8_t, 48> again{};
  random_ = {};
  ASSERT_EQ(wc_RNG_GenerateBlock(&rng_, again.data(), again.size()), 0);
  EXPECT_EQ(block, again);
}

TEST(WolfsslHooksDeathTest, RandomWithoutHooksAborts) {
  EXPECT_DEATH(
      {
        WC_RNG rng;
        wc_InitRng(&rng);
        uint8_t byte = 0;
        wc_RNG_GenerateBlock(&rng, &byte, 1);
      },
      "hooks");
}

TEST(WolfsslHooksTest, TimeComesFromTheInnermostScope) {
  static const auto at_2050 = +[](void*) -> int64_t { return 2524608000123; };
  const WolfsslHooks outer{.unix_ms = at_2050};
  const WolfsslHooksScope outer_scope(outer);
  EXPECT_EQ(wc_Time(nullptr), 2524608000);
  {
    const WolfsslHooks inner{.unix_ms = +[](void*) -> int64_t { return 7000; }};
    const WolfsslHooksScope inner_scope(inner);
    EXPECT_EQ(wc_Time(nullptr), 7);
  }
  EXPECT_EQ(wc_Time(nullptr), 2524608000);
}

TEST_F(WolfsslBuildTest, CurvesOfLibp2pAndMls) {
  const std::array<uint8_t, 32> digest{1, 2, 3};
  for (const auto& [curve, size] : {std::pair{ECC_SECP256R1, 32}, std::pair{ECC_SECP384R1, 48},
                                    std::pair{ECC_SECP521R1, 66}, std::pair{ECC_SECP256K1, 32}}) {
    SCOPED_TRACE(size);
    ecc_key key;
    ASSERT_EQ(wc_ecc_init(&key), 0);
    ASSERT_EQ(wc_ecc_make_key_ex(&rng_, size, &key, curve), 0);
    std::array<uint8_t, 160> signature{};
    word32 length = signature.size();
    ASSERT_EQ(wc_ecc_sign_hash(digest.data(), digest.size(), signature.data(), &length, &rng_, &key), 0);
    int valid = 0;
    EXPECT_EQ(wc_ecc_verify_hash(signature.data(), length, digest.data(), digest.size(), &valid, &key), 0);
    EXPECT_EQ(valid, 1);
    wc_ecc_free(&key);
  }
}

TEST_F(WolfsslBuildTest, Curves448) {
  ed448_key sign_key;
  ASSERT_EQ(wc_ed448_init(&sign_key), 0);
  EXPECT_EQ(wc_ed448_make_key(&rng_, ED448_KEY_SIZE, &sign_key), 0);
  wc_ed448_free(&sign_key);
  curve448_key agree_key;
  ASSERT_EQ(wc_curve448_init(&agree_key), 0);
  EXPECT_EQ(wc_curve448_make_key(&rng_, CURVE448_KEY_SIZE, &agree_key), 0);
  wc_curve448_free(&agree_key);
}

TEST_F(WolfsslBuildTest, RsaOf8192Bits) {
  // The public operation on a modulus of full length: what a peer's certificate asks of us. The modulus need not be a
  // product of primes for that.
  std::vector<uint8_t> modulus(1024, 0xFF);
  std::vector<uint8_t> signature(1024, 0x5A);
  const std::array<uint8_t, 3> exponent{1, 0, 1};
  RsaKey key;
  ASSERT_EQ(wc_InitRsaKey(&key, nullptr), 0);
  ASSERT_EQ(wc_RsaPublicKeyDecodeRaw(modulus.data(), modulus.size(), exponent.data(), exponent.size(), &key), 0);
  std::vector<uint8_t> out(1024);
  word32 length = out.size();
  EXPECT_EQ(wc_RsaFunction(signature.data(), signature.size(), out.data(), &length, RSA_PUBLIC_DECRYPT, &key, &rng_), 0)
      << "RSA-8192 does not fit this build's integers";
  EXPECT_EQ(length, 1024U);
  wc_FreeRsaKey(&key);
}

// X448 is not among them: wolfSSL has the curve but refuses it as an HPKE KEM.
TEST_F(WolfsslBuildTest, HpkeSuites) {
  for (const int kem :
       {DHKEM_P256_HKDF_SHA256, DHKEM_P384_HKDF_SHA384, DHKEM_P521_HKDF_SHA512, DHKEM_X25519_HKDF_SHA256}) {
    Hpke hpke;
    EXPECT_EQ(wc_HpkeInit(&hpke, kem, HKDF_SHA256, HPKE_AES_128_GCM, nullptr), 0) << kem;
  }
}

TEST(WolfsslBuild, QuicMethodAndAssemblyAreIn) {
#ifndef WOLFSSL_QUIC
  FAIL() << "built without QUIC";
#endif
#if defined(__x86_64__) && !defined(USE_INTEL_SPEEDUP)
  FAIL() << "built without assembly: AES-GCM would be 20 times slower";
#endif
#ifdef HAVE_HASHDRBG
  FAIL() << "wolfSSL has a random generator of its own";
#endif
}

}  // namespace
}  // namespace sereus::crypto
