// The group of edwards25519, -x^2 + y^2 = 1 + d x^2 y^2, and the tables multiplication uses. PUBLIC DATA ONLY: variable
// time. Internal to core/crypto. The addition and doubling formulas are those of RFC 8032 section 5.1.4 (Hisil, Wong,
// Carter, Dawson, "Twisted Edwards curves revisited", 2008); they are complete, so no case is special.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/crypto/ed25519_field.h"
#include "core/crypto/ed25519_scalar.h"

namespace sereus::crypto::ed25519 {

// x = X/Z, y = Y/Z. Tight.
struct ProjectivePoint {
  FieldElement x, y, z;
};

// And T = XY/Z. Tight.
struct ExtendedPoint {
  FieldElement x, y, z, t;
};

// The four factors a sum ends in: X = EF, Y = GH, Z = FG, T = EH. Loose. What follows decides which products are needed.
struct SumPoint {
  FieldElement e, f, g, h;
};

// An affine point prepared as the second operand: y + x, y - x, 2dxy.
struct AffineAddend {
  FieldElement y_plus_x, y_minus_x, xy2d;
};

// Any point prepared as the second operand: Y + X, Y - X, 2Z, 2dT.
struct Addend {
  FieldElement y_plus_x, y_minus_x, z2, t2d;
};

inline constexpr ExtendedPoint kIdentity{kZero, kOne, kOne, kZero};

SEREUS_ED25519_INLINE ProjectivePoint to_projective(const SumPoint& p) {
  return {multiply(p.e, p.f), multiply(p.g, p.h), multiply(p.f, p.g)};
}

SEREUS_ED25519_INLINE ExtendedPoint to_extended(const SumPoint& p) {
  return {multiply(p.e, p.f), multiply(p.g, p.h), multiply(p.f, p.g), multiply(p.e, p.h)};
}

// E and G have the opposite sign of the RFC's; then all four products do, and the point is the same.
SEREUS_ED25519_INLINE SumPoint double_point(const ProjectivePoint& p) {
  const FieldElement a = square(p.x), b = square(p.y), zz = square(p.z);
  const FieldElement h = add(a, b), g = subtract(b, a);
  return {subtract_sum(square(add(p.x, p.y)), h), subtract_sum(add(zz, zz), g), g, h};
}

SEREUS_ED25519_INLINE SumPoint add_parts(const FieldElement& a, const FieldElement& b, const FieldElement& c,
                                         const FieldElement& d) {
  return {subtract(b, a), subtract(d, c), add(d, c), add(b, a)};
}

SEREUS_ED25519_INLINE SumPoint add_point(const ExtendedPoint& p, const AffineAddend& q) {
  return add_parts(multiply(subtract(p.y, p.x), q.y_minus_x), multiply(add(p.y, p.x), q.y_plus_x),
                   multiply(p.t, q.xy2d), add(p.z, p.z));
}

// p + (-q): the negative of q has its first two parts exchanged and the third negated, which exchanges F and G.
SEREUS_ED25519_INLINE SumPoint subtract_point(const ExtendedPoint& p, const AffineAddend& q) {
  const FieldElement a = multiply(subtract(p.y, p.x), q.y_plus_x), b = multiply(add(p.y, p.x), q.y_minus_x);
  const FieldElement c = multiply(p.t, q.xy2d), d = add(p.z, p.z);
  return {subtract(b, a), add(d, c), subtract(d, c), add(b, a)};
}

SEREUS_ED25519_INLINE SumPoint add_point(const ExtendedPoint& p, const Addend& q) {
  return add_parts(multiply(subtract(p.y, p.x), q.y_minus_x), multiply(add(p.y, p.x), q.y_plus_x), multiply(p.t, q.t2d),
                   multiply(p.z, q.z2));
}

SEREUS_ED25519_INLINE SumPoint subtract_point(const ExtendedPoint& p, const Addend& q) {
  const FieldElement a = multiply(subtract(p.y, p.x), q.y_plus_x), b = multiply(add(p.y, p.x), q.y_minus_x);
  const FieldElement c = multiply(p.t, q.t2d), d = multiply(p.z, q.z2);
  return {subtract(b, a), add(d, c), subtract(d, c), add(b, a)};
}

SEREUS_ED25519_INLINE Addend to_addend(const ExtendedPoint& p) {
  return {add(p.y, p.x), subtract(p.y, p.x), add(p.z, p.z), multiply(p.t, kEdwards2D)};
}

// sum + digit * P, for a table of P, 3P, 5P, ... and an odd digit.
template <typename Entry>
SEREUS_ED25519_INLINE SumPoint add_multiple(const SumPoint& sum, std::span<const Entry> odd_multiples, int digit) {
  const ExtendedPoint p = to_extended(sum);
  if (digit > 0) return add_point(p, odd_multiples[static_cast<size_t>(digit) / 2]);
  return subtract_point(p, odd_multiples[static_cast<size_t>(-digit) / 2]);
}

// Decodes 32 bytes by the ZIP 215 rule: any 255-bit y, taken modulo p, for which x exists; and any sign bit, also where
// x = 0 leaves it without meaning. nullopt when no point of the curve has that y.
std::optional<AffineAddend> decode_point(const uint8_t* bytes);

// The same point with 4 as its Z.
ExtendedPoint to_extended(const AffineAddend& p);
ExtendedPoint add_points(const ExtendedPoint& p, const ExtendedPoint& q);
ExtendedPoint double_times(const ExtendedPoint& p, unsigned times);  // 2^times p
bool is_identity(const ExtendedPoint& p);
// [8]p is the identity: p is one of the eight points of small order.
bool is_small_order(const ExtendedPoint& p);

// P, 3P, 5P, ... 15P: for digits of width 5.
inline constexpr unsigned kPointWidth = 5;
using PointTable = std::array<Addend, 8>;
PointTable odd_multiples(const AffineAddend& p);

// Odd multiples of [2^(32 j)]P for j = 0..7, so that a digit at position i is the digit at i mod 32 of row i / 32: a sum
// over such tables alone needs 32 doublings and not 256.
inline constexpr unsigned kRowBits = 32;
inline constexpr size_t kRows = 8;
template <size_t Entries>
using RowTable = std::array<std::array<AffineAddend, Entries>, kRows>;
using KeyTable = RowTable<8>;  // width 5; 7.5 KiB
inline constexpr unsigned kBaseWidth = 8;
using BaseTable = RowTable<64>;  // width 8; 60 KiB

void fill_key_table(KeyTable& out, const AffineAddend& p);
// The base point's. Made at the first call (some 0.1 ms), immutable and shared by all threads from then on.
const BaseTable& base_table();

}  // namespace sereus::crypto::ed25519
