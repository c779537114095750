// Hashes, secrets, signing, AEAD and key derivation against published vectors.
#include <gtest/gtest.h>
#include <sodium.h>

#include <thread>
#include <vector>

#include "core/crypto/aead.h"
#include "core/crypto/hash.h"
#include "core/crypto/init.h"
#include "core/crypto/kdf.h"
#include "core/crypto/secret.h"
#include "core/crypto/sign.h"
#include "tests/support/test_random.h"

namespace sereus::crypto {
namespace {

Bytes hex(std::string_view text) { return from_hex(text).value(); }

TEST(Init, FromManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      init();
      for (int n = 0; n < 200; ++n) {
        SecretBytes<32> secret;
        secret.span()[0] = static_cast<uint8_t>(n);
        SecretBytes<32> moved = std::move(secret);
        EXPECT_EQ(moved.view()[0], static_cast<uint8_t>(n));
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

// RFC 7693 appendix A has the 64-byte form; these are Python's hashlib.blake2b(digest_size=32), another implementation.
TEST(Hash, Blake2b) {
  EXPECT_EQ(blake2b_256(as_bytes("")).hex(), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  EXPECT_EQ(blake2b_256(as_bytes("abc")).hex(), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_EQ(digest_128(as_bytes("abc")).hex(), "bddd813c634239723171ef3fee98579b");
  Bytes key(64);
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(keyed_hash(key, as_bytes("abc")).hex(), Blake2b(key).update(as_bytes("abc")).finish().hex());
  EXPECT_NE(keyed_hash(key, as_bytes("abc")), blake2b_256(as_bytes("abc")));
  EXPECT_NE(keyed_hash(ByteView(key).first(16), as_bytes("abc")), keyed_hash(key, as_bytes("abc")));
}

TEST(Hash, PartsMakeTheWhole) {
  Bytes data(1000);
  test::TestRandom(5).fill(data);
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{127}, size_t{128}, size_t{129}, size_t{1000}}) {
    Blake2b hasher;
    hasher.update(ByteView(data).first(cut)).update(ByteView(data).subspan(cut));
    Blake2b copy = hasher;
    EXPECT_EQ(hasher.finish(), blake2b_256(data));
    EXPECT_EQ(copy.finish(), blake2b_256(data));
  }
  Bytes prefixed = to_bytes("a context");
  prefixed.push_back(0);
  append(prefixed, data);
  EXPECT_EQ(hash_in_context("a context", data), blake2b_256(prefixed));
}

// FIPS 180-4 example.
TEST(Hash, Sha256) {
  EXPECT_EQ(sha256(as_bytes("abc")).hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(Bytes()).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

// The pool keeps its pages, so what a released secret left there can be looked at.
TEST(Secret, WipedWhenDestroyedMovedOrReplaced) {
  const uint8_t* where = nullptr;
  const auto all_zero = [&] {
    for (size_t i = 0; i < 32; ++i) {
      if (where[i] != 0) return false;
    }
    return true;
  };
  {
    SecretBytes<32> secret(Bytes(32, 0xaa));
    where = secret.data();
    EXPECT_FALSE(all_zero());
  }
  EXPECT_TRUE(all_zero()) << "destroyed";
  {
    SecretBytes<32> secret(Bytes(32, 0xaa));
    where = secret.data();
    secret = SecretBytes<32>(Bytes(32, 0xbb));
    EXPECT_TRUE(all_zero()) << "replaced";
  }
  {
    SecretBuffer buffer(Bytes(40, 0xcc));
    where = buffer.data();
    buffer.clear();
    EXPECT_TRUE(all_zero()) << "cleared";
    EXPECT_TRUE(buffer.empty());
  }
  {
    const KeyPair* inside = nullptr;
    auto pair = std::make_unique<KeyPair>(KeyPair::from_seed(SecretBytes<32>(Bytes(32, 1))));
    inside = pair.get();
    EXPECT_NE(inside, nullptr);
    // The pool gives slots lowest first: the next secret lies right behind or in a gap; all must be zero when made.
    for (int i = 0; i < 100; ++i) {
      SecretBytes<64> fresh;
      for (const uint8_t byte : fresh.view()) ASSERT_EQ(byte, 0);
      std::fill(fresh.span().begin(), fresh.span().end(), uint8_t{0xee});
    }
  }
}

TEST(Secret, MovesAndClones) {
  SecretBytes<32> a(Bytes(32, 1));
  SecretBytes<32> b = a.clone();
  EXPECT_TRUE(a == b);
  EXPECT_NE(a.data(), b.data());
  b.span()[31] = 2;
  EXPECT_FALSE(a == b);
  const uint8_t* const place = a.data();
  SecretBytes<32> c = std::move(a);
  EXPECT_EQ(c.data(), place) << "a move moves the memory, not the bytes";
  SecretBuffer large(Bytes(5000, 7));
  SecretBuffer other = large.clone();
  other = std::move(large);
  EXPECT_EQ(other.size(), 5000u);
  EXPECT_EQ(other.view()[4999], 7);
  EXPECT_TRUE(equal_constant_time(Bytes{1, 2}, Bytes{1, 2}));
  EXPECT_FALSE(equal_constant_time(Bytes{1, 2}, Bytes{1, 3}));
  EXPECT_FALSE(equal_constant_time(Bytes{1, 2}, Bytes{1}));
  EXPECT_TRUE(equal_constant_time(Bytes{}, Bytes{}));
}

TEST(Secret, ManyAtOnce) {
  std::vector<SecretBytes<32>> many;
  for (int i = 0; i < 10'000; ++i) {
    many.emplace_back();
    store_le<uint32_t>(many.back().data(), static_cast<uint32_t>(i));
  }
  for (int i = 0; i < 10'000; i += 2) many[static_cast<size_t>(i)] = SecretBytes<32>();
  for (int i = 1; i < 10'000; i += 2) {
    EXPECT_EQ(load_le<uint32_t>(many[static_cast<size_t>(i)].data()), static_cast<uint32_t>(i));
  }
}

TEST(SecretDeathTest, ReadingAMovedFromSecretIsAnAssertion) {
  SecretBytes<32> a;
  SecretBytes<32> b = std::move(a);
  EXPECT_DEATH((void)a.data(), "invariant broken");  // NOLINT(bugprone-use-after-move): the point of it
}

TEST(InitDeathTest, AmbientRandomnessCanBeForbidden) {
  EXPECT_DEATH(
      {
        forbid_ambient_randomness();
        // Everything here works without it...
        test::TestRandom random(1);
        SecretBytes<32> seed;
        random.fill(seed.span());
        const KeyPair pair = KeyPair::from_seed(seed);
        const Signature signature = pair.sign_in_context("test", Bytes{1});
        if (!verify_in_context(pair.public_key(), "test", Bytes{1}, signature.view())) return;
        const AeadKey key;
        if (aead_seal(key, random_nonce(random), {}, Bytes{1}).size() != 17) return;
        if (!argon2id(as_bytes("p"), Argon2Salt{}, Argon2Params::weak_for_tests(), Argon2Floor::tests).ok()) return;
        SEREUS_ASSERT(false && "all went well");
      },
      "all went well");
}

// RFC 8032 section 7.1, tests 1 to 3.
TEST(Sign, Rfc8032Vectors) {
  struct Vector {
    const char* seed;
    const char* public_key;
    const char* message;
    const char* signature;
  };
  const Vector vectors[] = {
      {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2"
       "4"
       "655141438e7a100b"},
      {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
       "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
       "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302ae"
       "e"
       "b00d291612bb0c00"},
      {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
       "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
       "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28"
       "d"
       "c027beceea1ec40a"},
  };
  for (const auto& vector : vectors) {
    const KeyPair pair = KeyPair::from_seed(SecretBytes<32>(hex(vector.seed)));
    EXPECT_EQ(pair.party_key().hex(), vector.public_key);
    EXPECT_EQ(pair.device_key().hex(), vector.public_key);
    EXPECT_EQ(pair.author_key().hex(), vector.public_key);
    EXPECT_EQ(pair.clone().sign(hex(vector.message)).hex(), vector.signature);
  }
}

// The signature is made by another library than the key: both must agree to the byte, at every length around a block.
TEST(Sign, AgreesWithLibsodium) {
  test::TestRandom random(41);
  for (size_t size = 0; size < 400; ++size) {
    SecretBytes<kSeedSize> seed;
    random.fill(seed.span());
    Bytes message(size);
    random.fill(message);
    uint8_t public_key[32];
    uint8_t secret[64];
    Signature expected;
    ASSERT_EQ(crypto_sign_seed_keypair(public_key, secret, seed.data()), 0);
    ASSERT_EQ(crypto_sign_detached(expected.bytes.data(), nullptr, message.data(), size, secret), 0);
    EXPECT_EQ(KeyPair::from_seed(seed).sign(message), expected) << size << " bytes";
  }
}

TEST(Sign, BelongsToItsContext) {
  const KeyPair pair = KeyPair::from_seed(SecretBytes<32>(Bytes(32, 9)));
  for (const size_t size : {size_t{0}, size_t{32}, size_t{1018}, size_t{1019}, size_t{1020}, size_t{100'000}}) {
    const Bytes message(size, 0x5a);
    const Signature signature = pair.sign_in_context("test", message);
    EXPECT_EQ(signature, pair.sign(context_message("test", message)));
    EXPECT_TRUE(verify_in_context(pair.public_key(), "test", message, signature.view()));
    EXPECT_FALSE(verify_in_context(pair.public_key(), "tess", message, signature.view()));
    EXPECT_FALSE(verify_in_context(pair.public_key(), "test2", message, signature.view()));
    Bytes other = message;
    other.push_back(0);
    EXPECT_FALSE(verify_in_context(pair.public_key(), "test", other, signature.view()));
  }
  const Signature signature = pair.sign_in_context("test", Bytes{1});
  EXPECT_FALSE(verify_in_context(Bytes(31, 1), "test", Bytes{1}, signature.view()));
  EXPECT_FALSE(verify_in_context(pair.public_key(), "test", Bytes{1}, signature.view().first(63)));
  EXPECT_EQ(to_hex(context_message("ab", Bytes{0xff})), "616200ff");
}

TEST(Sign, Fingerprint) {
  EXPECT_EQ(fingerprint(hex("0123456789ab")), "0123 4567 89ab");
  EXPECT_EQ(fingerprint(hex("012345")), "0123 45");
  EXPECT_EQ(fingerprint(Bytes()), "");
}

// draft-irtf-cfrg-xchacha-03 appendix A.3.1.
TEST(Aead, PublishedVector) {
  AeadKey key(hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
  AeadNonce nonce{};
  const Bytes nonce_bytes = hex("404142434445464748494a4b4c4d4e4f5051525354555657");
  std::copy(nonce_bytes.begin(), nonce_bytes.end(), nonce.begin());
  const Bytes associated = hex("50515253c0c1c2c3c4c5c6c7");
  const auto plaintext = as_bytes(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be "
      "it.");
  const Bytes sealed = aead_seal(key, nonce, associated, plaintext);
  EXPECT_EQ(
      to_hex(sealed),
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216"
      "cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13"
      "b52ec0875924c1c7987947deafd8780acf49");
  EXPECT_EQ(to_string(aead_open(key, nonce, associated, sealed)->view()), as_text(plaintext));
  Bytes page = to_bytes(plaintext);
  const AeadTag tag = aead_seal_in_place(key, nonce, associated, page);
  EXPECT_TRUE(equal(page, ByteView(sealed).first(page.size())));
  EXPECT_TRUE(equal(tag, ByteView(sealed).last(kAeadTagSize)));
  const Bytes before = page;
  AeadTag wrong = tag;
  wrong[3] ^= 1;
  EXPECT_FALSE(aead_open_in_place(key, nonce, associated, page, wrong));
  EXPECT_EQ(page, before) << "left as it was";
  EXPECT_TRUE(aead_open_in_place(key, nonce, associated, page, tag));
  EXPECT_EQ(as_text(page), as_text(plaintext));
}

TEST(Aead, AnyDifferenceIsRefused) {
  const AeadKey key(Bytes(32, 1));
  const AeadNonce nonce{2};
  const Bytes sealed = aead_seal(key, nonce, Bytes{3}, Bytes{4, 5});
  EXPECT_TRUE(aead_open(key, nonce, Bytes{3}, sealed).ok());
  EXPECT_EQ(aead_open(AeadKey(Bytes(32, 2)), nonce, Bytes{3}, sealed).code(), Code::corrupt);
  EXPECT_EQ(aead_open(key, AeadNonce{3}, Bytes{3}, sealed).code(), Code::corrupt);
  EXPECT_EQ(aead_open(key, nonce, Bytes{}, sealed).code(), Code::corrupt);
  for (size_t i = 0; i < sealed.size(); ++i) {
    Bytes changed = sealed;
    changed[i] ^= 1;
    EXPECT_EQ(aead_open(key, nonce, Bytes{3}, changed).code(), Code::corrupt);
    EXPECT_EQ(aead_open(key, nonce, Bytes{3}, ByteView(sealed).first(i)).code(), Code::corrupt);
  }
  const Bytes empty = aead_seal(key, nonce, {}, {});
  EXPECT_EQ(empty.size(), kAeadTagSize);
  EXPECT_TRUE(aead_open(key, nonce, {}, empty)->empty());
}

TEST(Kdf, Argon2Bounds) {
  EXPECT_TRUE(check_argon2(Argon2Params::moderate()).ok());
  EXPECT_TRUE(check_argon2(Argon2Params::interactive()).ok());
  EXPECT_EQ(check_argon2(Argon2Params::weak_for_tests()).code(), Code::corrupt);
  EXPECT_TRUE(check_argon2(Argon2Params::weak_for_tests(), Argon2Floor::tests).ok());
  for (const Argon2Params& bad :
       {Argon2Params{1, 64 * 1024}, Argon2Params{2, 64 * 1024 - 1}, Argon2Params{17, 64 * 1024},
        Argon2Params{2, 1024 * 1024 + 1}, Argon2Params{UINT64_MAX, UINT64_MAX}, Argon2Params{0, 0}}) {
    EXPECT_EQ(check_argon2(bad).code(), Code::corrupt);
    EXPECT_EQ(argon2id(as_bytes("x"), {}, bad).code(), Code::corrupt);
  }
  EXPECT_TRUE(check_argon2(Argon2Params{16, 1024 * 1024}).ok());
  EXPECT_EQ(check_argon2(Argon2Params{2, 64 * 1024, 0x10}).code(), Code::too_new);
}

TEST(Kdf, Argon2DependsOnEverything) {
  const auto derive = [](std::string_view passphrase, uint8_t salt, Argon2Params params) {
    return argon2id(as_bytes(passphrase), Argon2Salt{salt}, params, Argon2Floor::tests);
  };
  const Argon2Params weak = Argon2Params::weak_for_tests();
  const auto base = derive("correct horse", 1, weak);
  ASSERT_TRUE(base.ok());
  EXPECT_TRUE(*base == *derive("correct horse", 1, weak));
  EXPECT_FALSE(*base == *derive("correct horsf", 1, weak));
  EXPECT_FALSE(*base == *derive("correct horse", 2, weak));
  EXPECT_FALSE(*base == *derive("correct horse", 1, {2, 8, kArgon2Version}));
  EXPECT_FALSE(*base == *derive("correct horse", 1, {1, 16, kArgon2Version}));
  EXPECT_TRUE(derive("", 1, weak).ok());
}

TEST(Kdf, DerivedKeysDoNotMix) {
  const SecretBytes<32> root(Bytes(32, 7));
  const auto key = derive_key(root, "a", {Bytes{1, 2}, Bytes{3}});
  EXPECT_TRUE(key == derive_key(root, "a", {Bytes{1, 2}, Bytes{3}}));
  EXPECT_FALSE(key == derive_key(root, "a", {Bytes{1}, Bytes{2, 3}}));
  EXPECT_FALSE(key == derive_key(root, "a", {Bytes{1, 2, 3}}));
  EXPECT_FALSE(key == derive_key(root, "b", {Bytes{1, 2}, Bytes{3}}));
  EXPECT_FALSE(key == derive_key(SecretBytes<32>(Bytes(32, 8)), "a", {Bytes{1, 2}, Bytes{3}}));
  EXPECT_FALSE(derive_key(root, "a") == derive_key(root, "a", {Bytes{}}));
}

}  // namespace
}  // namespace sereus::crypto
