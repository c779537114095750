// The arithmetic under Ed25519 verification: scalars against libsodium, points and sums against the plain method.
#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "core/crypto/ed25519_group.h"
#include "core/crypto/ed25519_scalar.h"
#include "core/crypto/ed25519_sum.h"
#include "tests/unit/crypto/ed25519_test_stream.h"

namespace sereus::crypto {
namespace {

using Stream = Ed25519TestStream;

ed25519::Scalar random_scalar(Stream& stream) {
  return ed25519::reduce(ed25519::wide_from_bytes(stream.bytes(64).data()));
}

TEST(Ed25519Scalar, ReductionAgreesWithLibsodium) {
  Stream stream("reduction");
  for (int i = 0; i < 2000; ++i) {
    Bytes wide = stream.bytes(64);
    if (i < 4) std::fill(wide.begin(), wide.end(), static_cast<uint8_t>(i == 0 ? 0 : 255));
    Bytes32 expected, got;
    crypto_core_ed25519_scalar_reduce(expected.data(), wide.data());
    ed25519::scalar_to_bytes(got.data(), ed25519::reduce(ed25519::wide_from_bytes(wide.data())));
    ASSERT_EQ(got, expected);
    Bytes32 negated;
    crypto_core_ed25519_scalar_negate(negated.data(), expected.data());
    ed25519::scalar_to_bytes(got.data(), ed25519::negate(ed25519::scalar_from_bytes(expected.data())));
    ASSERT_EQ(got, negated);
  }
}

// c = d k mod L, with both halves in range.
void expect_halved(const ed25519::Scalar& k) {
  const ed25519::HalvedScalar h = ed25519::halve(k);
  const ed25519::Uint128 bound = ed25519::Uint128{1} << 127;
  EXPECT_LT(h.c, bound);
  EXPECT_LT(h.d, bound);
  EXPECT_NE(h.d, ed25519::Uint128{0});
  ed25519::WideScalar product{};
  ed25519::multiply_accumulate(product, h.d, k);
  ed25519::Scalar got = ed25519::reduce(product);
  if (h.d_negative) got = ed25519::negate(got);
  const ed25519::Scalar want{{static_cast<uint64_t>(h.c), static_cast<uint64_t>(h.c >> 64), 0, 0}};
  EXPECT_EQ(got.limb, want.limb);
}

TEST(Ed25519Scalar, HalvingKeepsTheRatio) {
  Stream stream("halving");
  for (int i = 0; i < 5000; ++i) expect_halved(random_scalar(stream));
  for (unsigned bit = 0; bit < 253; ++bit) {  // powers of two and their neighbours: the longest quotients
    ed25519::Scalar power{};
    power.limb[bit / 64] = uint64_t{1} << (bit % 64);
    ed25519::Scalar below = power;
    for (size_t i = 0; i < 4; ++i) {
      if (below.limb[i]-- != 0) break;
    }
    for (const ed25519::Scalar& k : {power, below, ed25519::negate(power), ed25519::negate(below)}) expect_halved(k);
    ed25519::Scalar above = power;
    above.limb[0] |= 1;
    expect_halved(above);
  }
  expect_halved({});
}

TEST(Ed25519Scalar, SignedDigitsAddUp) {
  Stream stream("digits");
  for (unsigned width = 2; width <= 8; ++width) {
    for (int round = 0; round < 50; ++round) {
      ed25519::Scalar k = random_scalar(stream);
      if (round == 0) k = ed25519::negate({{1, 0, 0, 0}});
      if (round == 1) k = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, 0}};
      std::array<int8_t, 254> digits;
      ed25519::non_adjacent_form(digits, k.limb, width);
      ed25519::Scalar sum{};  // from the top: sum = 2 sum + digit, modulo 2^256
      size_t last = 1000;
      for (size_t i = digits.size(); i-- > 0;) {
        for (size_t j = 4; j-- > 1;) sum.limb[j] = sum.limb[j] << 1 | sum.limb[j - 1] >> 63;
        sum.limb[0] <<= 1;
        if (digits[i] == 0) continue;
        EXPECT_NE(digits[i] % 2, 0);
        EXPECT_LT(std::abs(digits[i]), 1 << (width - 1));
        EXPECT_GE(last - i, width);
        last = i;
        const uint64_t add = static_cast<uint64_t>(static_cast<int64_t>(digits[i]));
        uint64_t before = sum.limb[0];
        sum.limb[0] += add;
        const bool negative = digits[i] < 0;
        const bool wraps = negative ? sum.limb[0] > before : sum.limb[0] < before;
        for (size_t j = 1; j < 4 && wraps; ++j) {
          before = sum.limb[j];
          sum.limb[j] += negative ? UINT64_MAX : 1;
          if (negative ? before != 0 : sum.limb[j] != 0) break;
        }
      }
      EXPECT_EQ(sum.limb, k.limb) << width;
    }
  }
}

Bytes32 little_endian(uint64_t low, bool p_added, bool sign) {
  Bytes32 out{};
  if (p_added) {
    std::fill(out.begin(), out.end(), uint8_t{0xff});
    out[0] = 0xed;
    out[31] = 0x7f;
  }
  out[0] = static_cast<uint8_t>(out[0] + low);  // low <= 18, so no carry
  out[31] = static_cast<uint8_t>(out[31] | (sign ? 0x80 : 0));
  return out;
}

TEST(Ed25519Group, EncodingsAbovePAreReduced) {
  size_t points = 0;
  for (uint64_t y = 0; y <= 18; ++y) {
    for (const bool sign : {false, true}) {
      const auto canonical = ed25519::decode_point(little_endian(y, false, sign).data());
      const auto above = ed25519::decode_point(little_endian(y, true, sign).data());
      ASSERT_EQ(canonical.has_value(), above.has_value()) << y;
      if (!canonical) continue;
      ++points;
      std::array<Bytes32, 4> bytes;
      ed25519::to_bytes(bytes[0].data(), canonical->y_plus_x);
      ed25519::to_bytes(bytes[1].data(), above->y_plus_x);
      ed25519::to_bytes(bytes[2].data(), canonical->y_minus_x);
      ed25519::to_bytes(bytes[3].data(), above->y_minus_x);
      EXPECT_EQ(bytes[0], bytes[1]);
      EXPECT_EQ(bytes[2], bytes[3]);
    }
  }
  EXPECT_GT(points, 10u);
}

TEST(Ed25519Group, DecodesWhatLibsodiumCallsAPoint) {
  Stream stream("decode");
  size_t points = 0;
  for (int i = 0; i < 1000; ++i) {
    const Bytes32 bytes = stream.bytes32();
    const auto point = ed25519::decode_point(bytes.data());
    // libsodium asks for the prime-order subgroup as well, so only one direction is certain.
    EXPECT_TRUE(point.has_value() || crypto_core_ed25519_is_valid_point(bytes.data()) == 0);
    points += point ? 1 : 0;
  }
  EXPECT_GT(points, 400u);
  EXPECT_LT(points, 600u);
}

// All sizes around the changes of algorithm, against one multiplication at a time.
TEST(Ed25519Sum, ManyTermsEqualTheTermsOneByOne) {
  Stream stream("sums");
  const auto multiply = [](const ed25519::AffineAddend& point, const ed25519::Scalar& scalar) {
    ed25519::ExtendedPoint sum = ed25519::kIdentity;
    for (size_t bit = 256; bit-- > 0;) {
      sum = ed25519::double_times(sum, 1);
      if ((scalar.limb[bit / 64] >> (bit % 64) & 1) != 0) sum = ed25519::to_extended(ed25519::add_point(sum, point));
    }
    return sum;
  };
  const ed25519::AffineAddend base = ed25519::base_table()[0][0];
  for (const auto& [longs, shorts] :
       std::vector<std::pair<size_t, size_t>>{{0, 0},
                                              {1, 0},
                                              {0, 1},
                                              {1, 2},
                                              {3, ed25519::kShortBucketTermsMin - 1},
                                              {2, ed25519::kShortBucketTermsMin},
                                              {ed25519::kLongBucketTermsMin, 5},
                                              {ed25519::kLongBucketTermsMin, ed25519::kShortBucketTermsMin + 3}}) {
    std::vector<ed25519::LongTerm> long_terms;
    std::vector<ed25519::ShortTerm> short_terms;
    const ed25519::Scalar base_scalar = random_scalar(stream);
    ed25519::ExtendedPoint expected = multiply(base, base_scalar);
    for (size_t i = 0; i < longs + shorts; ++i) {
      std::optional<ed25519::AffineAddend> point;
      while (!point) point = ed25519::decode_point(stream.bytes32().data());
      ed25519::Scalar scalar = random_scalar(stream);
      if (i == 1) scalar = {};
      if (i == 2) scalar = ed25519::negate({{1, 0, 0, 0}});
      if (i >= longs) scalar = {{scalar.limb[0], i % 5 == 0 ? UINT64_MAX : scalar.limb[1], 0, 0}};
      expected = ed25519::add_points(expected, multiply(*point, scalar));
      if (i < longs) {
        long_terms.push_back({*point, scalar});
      } else {
        short_terms.push_back({*point, static_cast<ed25519::Uint128>(scalar.limb[1]) << 64 | scalar.limb[0]});
      }
    }
    const ed25519::ExtendedPoint got = ed25519::sum_of_many(base_scalar, long_terms, short_terms);
    // got - expected: the negative of a point has the opposite X and T.
    expected.x = ed25519::multiply(ed25519::subtract(ed25519::kZero, expected.x), ed25519::kOne);
    expected.t = ed25519::multiply(ed25519::subtract(ed25519::kZero, expected.t), ed25519::kOne);
    EXPECT_TRUE(ed25519::is_identity(ed25519::add_points(got, expected))) << longs << " " << shorts;
  }
}

}  // namespace
}  // namespace sereus::crypto
