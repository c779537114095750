// Ed25519 under ZIP 215: published and reconstructed vectors, libsodium as the signer, and batches against single checks.
#include "core/crypto/ed25519_verify.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/crypto/ed25519_equation.h"
#include "tests/unit/crypto/ed25519_test_stream.h"

namespace sereus::crypto {
namespace {

using Stream = Ed25519TestStream;

struct Signed {
  Bytes32 public_key;
  Bytes message;
  Bytes64 signature;
};

struct KeyPair {
  Bytes32 public_key;
  Bytes64 secret;
};

KeyPair make_key(Stream& stream) {
  KeyPair out;
  const Bytes32 seed = stream.bytes32();
  crypto_sign_seed_keypair(out.public_key.data(), out.secret.data(), seed.data());
  return out;
}

Signed sign(const KeyPair& key, Bytes message) {
  Signed out{key.public_key, std::move(message), {}};
  crypto_sign_detached(out.signature.data(), nullptr, out.message.data(), out.message.size(), key.secret.data());
  return out;
}

std::vector<Signed> sign_many(const std::string& label, size_t count, size_t keys) {
  Stream stream(label);
  std::vector<KeyPair> pairs;
  for (size_t i = 0; i < keys; ++i) pairs.push_back(make_key(stream));
  std::vector<Signed> out;
  for (size_t i = 0; i < count; ++i) out.push_back(sign(pairs[i % keys], stream.bytes(i % 97)));
  return out;
}

std::vector<Ed25519BatchItem> items_of(const std::vector<Signed>& all) {
  std::vector<Ed25519BatchItem> out;
  for (const Signed& one : all) out.push_back({one.public_key, one.message, one.signature});
  return out;
}

const Bytes32 kSeed{};  // the worst seed there is: known to everyone

bool verify_single(const Signed& s) { return ed25519_verify(s.public_key, s.message, s.signature); }
bool verify_key(const Signed& s) {
  const auto key = Ed25519Key::prepare(s.public_key);
  return key && key->verify(s.message, s.signature);
}
bool verify_batch(const std::vector<Signed>& all) { return ed25519_verify_batch(items_of(all), kSeed); }
std::vector<size_t> find_invalid(const std::vector<Signed>& all) { return ed25519_find_invalid(items_of(all), kSeed); }

std::vector<size_t> invalid_by_single(const std::vector<Signed>& all) {
  std::vector<size_t> out;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!verify_single(all[i])) out.push_back(i);
  }
  return out;
}

// ---- vectors/ed25519_zip215.json: one object on each line, strings and booleans only.

struct Vector {
  std::string group, name;
  Signed data;
  bool valid, cofactorless;
};

std::string json_field(const std::string& line, const std::string& key) {
  const std::string start = "\"" + key + "\": ";
  size_t from = line.find(start);
  if (from == std::string::npos) return {};
  from += start.size();
  if (line[from] == '"') return line.substr(from + 1, line.find('"', from + 1) - from - 1);
  return line.substr(from, line.find_first_of(",}", from) - from);
}

Bytes from_hex(const std::string& hex) {
  Bytes out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<uint8_t>(std::strtoul(hex.substr(i, 2).c_str(), nullptr, 16)));
  }
  return out;
}

const std::vector<Vector>& vectors() {
  static const std::vector<Vector> all = [] {
    std::vector<Vector> out;
    std::ifstream file(SEREUS_SOURCE_DIR "/vectors/ed25519_zip215.json");
    for (std::string line; std::getline(file, line);) {
      if (line.find("\"group\"") == std::string::npos) continue;
      Vector v{json_field(line, "group"),
               json_field(line, "name"),
               {},
               json_field(line, "valid") == "true",
               json_field(line, "cofactorless") == "true"};
      const Bytes key = from_hex(json_field(line, "public_key")), sig = from_hex(json_field(line, "signature"));
      if (key.size() != 32 || sig.size() != 64) {
        ADD_FAILURE() << line;
        continue;
      }
      std::copy(key.begin(), key.end(), v.data.public_key.begin());
      std::copy(sig.begin(), sig.end(), v.data.signature.begin());
      v.data.message = from_hex(json_field(line, "message"));
      out.push_back(v);
    }
    return out;
  }();
  return all;
}

size_t count_group(const std::string& group) {
  size_t count = 0;
  for (const Vector& v : vectors()) count += v.group == group ? 1 : 0;
  return count;
}

TEST(Ed25519Vectors, AllGroupsArePresent) {
  EXPECT_EQ(count_group("rfc8032"), 4u);
  EXPECT_EQ(count_group("small-order"), 196u);
  EXPECT_EQ(count_group("chalkias"), 12u);
  EXPECT_EQ(count_group("torsion"), 72u);
  EXPECT_GT(count_group("range-of-s"), 20u);
  EXPECT_EQ(count_group("not-points"), 28u);
}

TEST(Ed25519Vectors, EveryPathGivesTheListedOutcome) {
  for (const Vector& v : vectors()) {
    SCOPED_TRACE(v.group + ": " + v.name);
    EXPECT_EQ(verify_single(v.data), v.valid);
    EXPECT_EQ(verify_key(v.data), v.valid);
    EXPECT_EQ(verify_batch({v.data}), v.valid);
    EXPECT_EQ(find_invalid({v.data}).empty(), v.valid);
  }
}

TEST(Ed25519Vectors, TheSmallOrderMatrixIsValidThroughout) {
  for (const Vector& v : vectors()) {
    if (v.group != "small-order") continue;
    EXPECT_TRUE(verify_single(v.data)) << v.name;
  }
}

TEST(Ed25519Vectors, FourteenKeysHaveSmallOrder) {
  std::set<Bytes32> small;
  for (const Vector& v : vectors()) {
    if (v.group == "small-order") small.insert(v.data.public_key);
    if (v.group == "torsion" || v.group == "not-points" || v.group == "rfc8032") {
      EXPECT_EQ(ed25519_key_has_small_order(v.data.public_key), small.count(v.data.public_key) == 1) << v.name;
    }
  }
  EXPECT_EQ(small.size(), 14u);
  for (const Bytes32& key : small) EXPECT_TRUE(ed25519_key_has_small_order(key));
}

TEST(Ed25519Vectors, AllTogetherInOneBatch) {
  std::vector<Signed> all, valid;
  std::vector<size_t> expected;
  for (const Vector& v : vectors()) {
    if (!v.valid) expected.push_back(all.size());
    all.push_back(v.data);
    if (v.valid) valid.push_back(v.data);
  }
  EXPECT_TRUE(verify_batch(valid));
  EXPECT_FALSE(verify_batch(all));
  EXPECT_EQ(find_invalid(all), expected);
}

TEST(Ed25519Vectors, WhatLibsodiumAcceptsIsValidHere) {
  size_t stricter = 0;
  for (const Vector& v : vectors()) {
    const Signed& s = v.data;
    const bool sodium =
        crypto_sign_verify_detached(s.signature.data(), s.message.data(), s.message.size(), s.public_key.data()) == 0;
    EXPECT_TRUE(v.valid || !sodium) << v.name;
    stricter += v.valid && !sodium ? 1 : 0;
  }
  EXPECT_GT(stricter, 200u);  // why libsodium's verification must not decide what a replica keeps
}

// ---- against libsodium as the signer

TEST(Ed25519Verify, TenThousandSignaturesOfLibsodium) {
  Stream stream("ten thousand");
  for (int i = 0; i < 10000; ++i) {
    const Signed s = sign(make_key(stream), stream.bytes(stream.below(300)));
    ASSERT_TRUE(verify_single(s)) << i;
    if (i % 10 != 0) continue;
    ASSERT_TRUE(verify_key(s)) << i;
  }
}

TEST(Ed25519Verify, EveryFlippedBitIsRefused) {
  for (const Signed& good : sign_many("flipped", 3, 3)) {
    const auto key = Ed25519Key::prepare(good.public_key);
    ASSERT_TRUE(key.has_value());
    for (size_t bit = 0; bit < 512; ++bit) {
      Signed bad = good;
      bad.signature[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
      EXPECT_FALSE(verify_single(bad)) << bit;
      EXPECT_FALSE(key->verify(bad.message, bad.signature)) << bit;
    }
    for (size_t bit = 0; bit < 256; ++bit) {
      Signed bad = good;
      bad.public_key[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
      EXPECT_FALSE(verify_single(bad)) << bit;
      EXPECT_FALSE(verify_key(bad)) << bit;
    }
    Signed longer = good;
    longer.message.push_back(0);
    EXPECT_FALSE(verify_single(longer));
  }
}

TEST(Ed25519Verify, ThePreparedKeyKeepsItsBytes) {
  const Signed s = sign_many("bytes", 1, 1)[0];
  const auto key = Ed25519Key::prepare(s.public_key);
  ASSERT_TRUE(key.has_value());
  const Ed25519Key copy = *key;
  EXPECT_TRUE(std::equal(s.public_key.begin(), s.public_key.end(), copy.public_key().begin()));
  Bytes32 not_a_point{};
  not_a_point[0] = 2;
  EXPECT_FALSE(Ed25519Key::prepare(not_a_point).has_value());
}

// ---- batches

TEST(Ed25519Batch, NoItemsAreValid) {
  EXPECT_TRUE(ed25519_verify_batch({}, kSeed));
  EXPECT_TRUE(ed25519_find_invalid({}, kSeed).empty());
}

TEST(Ed25519Batch, ValidAndOneBadAtEverySizeAroundTheLimits) {
  Stream stream("sizes");
  for (const size_t size : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{8}, size_t{9}, size_t{55}, size_t{56},
                            size_t{57}, size_t{64}, size_t{127}, size_t{256}}) {
    for (const size_t keys : {size_t{1}, size_t{2}, size}) {
      std::vector<Signed> all = sign_many("sizes" + std::to_string(size), size, keys);
      EXPECT_TRUE(verify_batch(all)) << size << " " << keys;
      EXPECT_TRUE(find_invalid(all).empty());
      const size_t bad = stream.below(static_cast<uint32_t>(size));
      all[bad].message.push_back(1);
      EXPECT_FALSE(verify_batch(all)) << size << " " << keys;
      EXPECT_EQ(find_invalid(all), std::vector<size_t>{bad});
    }
  }
}

TEST(Ed25519Batch, OneBadAmongAThousandIsFound) {
  Stream stream("thousand");
  for (const size_t keys : {size_t{1}, size_t{1000}}) {
    const std::vector<Signed> good = sign_many("thousand", 1000, keys);
    ASSERT_TRUE(verify_batch(good));
    for (int round = 0; round < 3; ++round) {
      std::vector<Signed> all = good;
      const size_t bad = stream.below(1000);
      all[bad].signature[40] ^= 4;
      EXPECT_FALSE(verify_batch(all));
      EXPECT_EQ(find_invalid(all), std::vector<size_t>{bad});
    }
  }
}

TEST(Ed25519Batch, BeyondOneChunk) {
  std::vector<Signed> all = sign_many("chunks", 2 * kEd25519BatchChunkItems + 5, 7);
  EXPECT_TRUE(verify_batch(all));
  const std::vector<size_t> bad{0, kEd25519BatchChunkItems - 1, kEd25519BatchChunkItems, all.size() - 1};
  for (const size_t i : bad) all[i].signature[33] ^= 1;
  EXPECT_FALSE(verify_batch(all));
  EXPECT_EQ(find_invalid(all), bad);
}

TEST(Ed25519Batch, AllBadAreFound) {
  std::vector<Signed> all = sign_many("all bad", 150, 3);
  std::vector<size_t> everything(all.size());
  std::iota(everything.begin(), everything.end(), size_t{0});
  for (Signed& s : all) s.message.push_back(9);
  EXPECT_EQ(find_invalid(all), everything);
}

// Random mixtures of signatures with small-order parts in A and R, and of every way to be wrong.
TEST(Ed25519Batch, MixturesGiveWhatSingleChecksGive) {
  Stream stream("mixtures");
  const std::vector<Signed> plain = sign_many("mixtures", 200, 20);
  for (int round = 0; round < 40; ++round) {
    std::vector<Signed> all;
    const size_t size = 1 + stream.below(200);
    const bool mostly_valid = round % 2 == 0;
    while (all.size() < size) {
      Signed s = stream.below(2) == 0 ? plain[stream.below(200)]
                                      : vectors()[stream.below(static_cast<uint32_t>(vectors().size()))].data;
      if (stream.below(mostly_valid ? 60 : 4) == 0) s.signature[stream.below(64)] ^= 1;
      if (mostly_valid && !verify_single(s) && stream.below(20) != 0) continue;
      all.push_back(s);
    }
    const std::vector<size_t> expected = invalid_by_single(all);
    EXPECT_EQ(verify_batch(all), expected.empty()) << round;
    EXPECT_EQ(find_invalid(all), expected) << round;
  }
}

// Small-order errors T and -T in two items: gone with the cofactor, one by one as well as together, whatever stands
// between them. A batch without the cofactor would depend on the coefficients modulo 8.
TEST(Ed25519Batch, SmallOrderErrorsNeverDependOnTheCoefficients) {
  std::vector<Signed> torsion;
  for (const Vector& v : vectors()) {
    if (v.group == "torsion" && v.valid) torsion.push_back(v.data);
  }
  ASSERT_EQ(torsion.size(), 64u);
  Stream stream("cofactor");
  for (size_t i = 0; i < torsion.size(); ++i) {
    EXPECT_TRUE(ed25519_verify_batch(items_of({torsion[i], torsion[(64 - i) % 64]}), stream.bytes32()));
  }
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(ed25519_verify_batch(items_of(torsion), stream.bytes32()));
}

Bytes64 with_s_plus(const Bytes64& signature, int64_t delta) {
  Bytes32 add{}, s;
  const uint64_t size = static_cast<uint64_t>(delta < 0 ? -delta : delta);
  for (size_t i = 0; i < 8; ++i) add[i] = static_cast<uint8_t>(size >> (8 * i));
  std::copy_n(signature.begin() + 32, 32, s.begin());
  if (delta < 0) {
    crypto_core_ed25519_scalar_sub(s.data(), s.data(), add.data());
  } else {
    crypto_core_ed25519_scalar_add(s.data(), s.data(), add.data());
  }
  Bytes64 out = signature;
  std::copy(s.begin(), s.end(), out.begin() + 32);
  return out;
}

// Errors that cancel under equal or simply related coefficients: [1]B in one item and [-1]B in another, and so on.
TEST(Ed25519Batch, ErrorsThatSumToNothingAreRefused) {
  const std::vector<std::vector<int64_t>> errors{{1, -1}, {1, 1, -2}, {3, -1, -1, -1}, {2, -1}, {1, -2, 1}, {-8, 8}};
  for (const size_t keys : {size_t{1}, size_t{4}}) {
    const std::vector<Signed> good = sign_many("cancel", 10, keys);
    for (const auto& error : errors) {
      std::vector<Signed> all = good;
      std::vector<size_t> expected;
      for (size_t i = 0; i < error.size(); ++i) {
        all[2 * i].signature = with_s_plus(all[2 * i].signature, error[i]);
        expected.push_back(2 * i);
      }
      Stream stream("cancel seeds");
      for (int round = 0; round < 20; ++round) {
        EXPECT_FALSE(ed25519_verify_batch(items_of(all), stream.bytes32()));
      }
      EXPECT_FALSE(verify_batch(all));
      EXPECT_EQ(find_invalid(all), expected);
    }
  }
}

// The same item twice, and the same wrong item with the opposite error.
TEST(Ed25519Batch, RepeatedItems) {
  const Signed good = sign_many("repeated", 1, 1)[0];
  std::vector<Signed> all(100, good);
  EXPECT_TRUE(verify_batch(all));
  for (size_t i = 0; i < 100; ++i) all[i].signature = with_s_plus(good.signature, i % 2 == 0 ? 5 : -5);
  EXPECT_FALSE(verify_batch(all));
  EXPECT_EQ(find_invalid(all).size(), 100u);
}

TEST(Ed25519Batch, CoefficientsDependOnSeedItemsAndOrder) {
  const auto draw = [](const Bytes32& seed, const std::vector<ed25519::BatchLine>& lines) {
    return ed25519::batch_coefficients(seed, lines);
  };
  std::vector<ed25519::BatchLine> lines(64);  // all the same: only the position tells them apart
  const auto base = draw(kSeed, lines);
  EXPECT_EQ(std::set<ed25519::Uint128>(base.begin(), base.end()).size(), lines.size());
  EXPECT_EQ(draw(kSeed, lines), base);
  const auto expect_unrelated = [&](const std::vector<ed25519::Uint128>& other) {
    std::set<ed25519::Uint128> all(base.begin(), base.end());
    const size_t before = all.size();
    all.insert(other.begin(), other.end());
    EXPECT_EQ(all.size(), before + other.size());
  };
  Bytes32 seed = kSeed;
  seed[31] = 1;
  expect_unrelated(draw(seed, lines));
  for (size_t byte = 0; byte < 128; ++byte) {
    auto changed = lines;
    changed[byte % 64][byte] ^= 1;
    expect_unrelated(draw(kSeed, changed));
  }
  expect_unrelated(draw(kSeed, std::vector<ed25519::BatchLine>(63)));
  auto forward = lines, backward = lines;
  forward[0][0] = backward[63][0] = 1;
  EXPECT_NE(draw(kSeed, forward), draw(kSeed, backward));
  unsigned ones = 0;  // the top bits are used: 64 * 128 bits, about half of them ones
  for (const ed25519::Uint128 z : base) {
    for (unsigned bit = 0; bit < 128; ++bit) ones += static_cast<unsigned>(z >> bit & 1);
  }
  EXPECT_NEAR(ones, 4096, 300);
}

// ---- figures: --gtest_also_run_disabled_tests --gtest_filter='Ed25519Speed.*'

// In processor time, so that a busy machine does not blur the ratios.
template <typename Function>
double per_second(size_t items, Function function) {
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    size_t done = 0;
    const std::clock_t start = std::clock();
    std::clock_t elapsed = 0;
    do {
      function();
      done += items;
      elapsed = std::clock() - start;
    } while (elapsed < CLOCKS_PER_SEC / 10);
    best = std::max(best, static_cast<double>(done) * CLOCKS_PER_SEC / static_cast<double>(elapsed));
  }
  return best;
}

TEST(Ed25519Speed, DISABLED_AgainstLibsodium) {
  Stream stream("speed");
  std::vector<Signed> many, one;
  const KeyPair author = make_key(stream);
  for (size_t i = 0; i < kEd25519BatchChunkItems; ++i) {
    const Bytes message = stream.bytes(250);
    many.push_back(sign(make_key(stream), message));
    one.push_back(sign(author, message));
  }
  const auto key = Ed25519Key::prepare(author.public_key);
  bool ok = key.has_value();
  const double sodium = per_second(64, [&] {
    for (size_t i = 0; i < 64; ++i) {
      const Signed& s = many[i];
      ok &= crypto_sign_verify_detached(s.signature.data(), s.message.data(), 250, s.public_key.data()) == 0;
    }
  });
  const auto report = [&](const char* what, size_t items, double rate) {
    std::printf("%-28s %5zu %9.0f/s %5.2f x libsodium\n", what, items, rate, rate / sodium);
  };
  report("libsodium", 1, sodium);
  report("single", 1, per_second(64, [&] {
           for (size_t i = 0; i < 64; ++i) ok &= verify_single(many[i]);
         }));
  report("prepared key", 1, per_second(64, [&] {
           for (size_t i = 0; i < 64; ++i) ok &= key->verify(one[i].message, one[i].signature);
         }));
  report("preparing a key", 1, per_second(1, [&] { ok &= Ed25519Key::prepare(many[0].public_key).has_value(); }));
  for (const size_t size : std::vector<size_t>{4, 16, 64, 127, 256, 1024}) {
    auto one_items = items_of(one), many_items = items_of(many);
    one_items.erase(one_items.begin() + static_cast<ptrdiff_t>(size), one_items.end());
    many_items.erase(many_items.begin() + static_cast<ptrdiff_t>(size), many_items.end());
    report("batch, one key", size, per_second(size, [&] { ok &= ed25519_verify_batch(one_items, kSeed); }));
    report("batch, every key different", size,
           per_second(size, [&] { ok &= ed25519_verify_batch(many_items, kSeed); }));
  }
  EXPECT_TRUE(ok);
  many[500].signature[40] ^= 1;
  const auto one_bad = items_of(many);
  report("find 1 invalid", 1024, per_second(1024, [&] { ok &= ed25519_find_invalid(one_bad, kSeed).size() == 1; }));
  for (Signed& s : many) s.signature[40] ^= 2;
  const auto all_bad = items_of(many);
  report("find all invalid", 1024,
         per_second(1024, [&] { ok &= ed25519_find_invalid(all_bad, kSeed).size() == 1024; }));
  EXPECT_TRUE(ok);
}

}  // namespace
}  // namespace sereus::crypto
