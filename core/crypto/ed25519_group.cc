#include "core/crypto/ed25519_group.h"

#include <vector>

namespace sereus::crypto::ed25519 {
namespace {

// The base point, RFC 8032 section 5.1; y = 4/5 and x even.
constexpr FieldElement kBaseX{{0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe, 0x216936d3cd6e5}};
constexpr FieldElement kBaseY{{0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333, 0x6666666666666}};

AffineAddend to_affine_addend(const FieldElement& x, const FieldElement& y) {
  return {add(y, x), subtract(y, x), multiply(multiply(x, y), kEdwards2D)};
}

// The affine forms of many points with one inversion: invert the product of all Z and peel it off backwards.
void to_affine(std::span<const ExtendedPoint> points, std::span<AffineAddend> out) {
  std::vector<FieldElement> products(points.size());
  FieldElement product = kOne;
  for (size_t i = 0; i < points.size(); ++i) {
    products[i] = product;
    product = multiply(product, points[i].z);
  }
  FieldElement inverse = invert(product);
  for (size_t i = points.size(); i-- > 0;) {
    const FieldElement z_inverse = multiply(inverse, products[i]);
    inverse = multiply(inverse, points[i].z);
    out[i] = to_affine_addend(multiply(points[i].x, z_inverse), multiply(points[i].y, z_inverse));
  }
}

template <size_t Entries>
void fill_rows(RowTable<Entries>& out, ExtendedPoint p) {
  std::vector<ExtendedPoint> points(kRows * Entries);
  for (size_t row = 0; row < kRows; ++row) {
    if (row != 0) p = double_times(p, kRowBits);
    const Addend twice = to_addend(double_times(p, 1));
    points[row * Entries] = p;
    for (size_t i = 1; i < Entries; ++i) {
      points[row * Entries + i] = to_extended(add_point(points[row * Entries + i - 1], twice));
    }
  }
  std::vector<AffineAddend> affine(points.size());
  to_affine(points, affine);
  for (size_t i = 0; i < affine.size(); ++i) out[i / Entries][i % Entries] = affine[i];
}

}  // namespace

// x^2 = u/v is solved by x = u v^3 (u v^7)^((p-5)/8) or by x sqrt(-1), if at all: RFC 8032 section 5.1.3.
std::optional<AffineAddend> decode_point(const uint8_t* bytes) {
  const bool sign = (bytes[31] & 0x80) != 0;
  const FieldElement y = from_bytes(bytes);
  const FieldElement yy = square(y);
  const FieldElement u = multiply(subtract(yy, kOne), kOne);  // tight
  const FieldElement v = add(multiply(yy, kEdwardsD), kOne);
  const FieldElement v3 = multiply(square(v), v);
  const FieldElement uv3 = multiply(u, v3);
  FieldElement x = multiply(uv3, power_p58(multiply(multiply(uv3, v3), v)));
  const FieldElement vxx = multiply(v, square(x));
  if (!is_zero(subtract(vxx, u))) {
    if (!is_zero(add(vxx, u))) return std::nullopt;
    x = multiply(x, kSqrtMinusOne);
  }
  // For x = 0 the negation changes nothing: ZIP 215 takes "minus zero".
  if (is_odd(x) != sign) x = multiply(subtract(kZero, x), kOne);
  return to_affine_addend(x, y);
}

ExtendedPoint to_extended(const AffineAddend& p) {
  // With s = y + x and t = y - x: s - t = 2x and s + t = 2y. So X = 4x, Y = 4y, Z = 4, T = (2x)(2y).
  const FieldElement x2 = multiply(subtract_sum(p.y_plus_x, p.y_minus_x), kOne);
  const FieldElement y2 = multiply(add(p.y_plus_x, p.y_minus_x), kOne);
  return {multiply(add(x2, x2), kOne), multiply(add(y2, y2), kOne), {{4, 0, 0, 0, 0}}, multiply(x2, y2)};
}

ExtendedPoint add_points(const ExtendedPoint& p, const ExtendedPoint& q) {
  return to_extended(add_point(p, to_addend(q)));
}

ExtendedPoint double_times(const ExtendedPoint& p, unsigned times) {
  if (times == 0) return p;
  ProjectivePoint t{p.x, p.y, p.z};
  for (unsigned i = 1; i < times; ++i) t = to_projective(double_point(t));
  return to_extended(double_point(t));
}

bool is_identity(const ExtendedPoint& p) { return is_zero(p.x) && is_zero(subtract(p.y, p.z)); }

bool is_small_order(const ExtendedPoint& p) { return is_identity(double_times(p, 3)); }

PointTable odd_multiples(const AffineAddend& p) {
  PointTable out;
  ExtendedPoint multiple = to_extended(p);
  const Addend twice = to_addend(double_times(multiple, 1));
  out[0] = to_addend(multiple);
  for (size_t i = 1; i < out.size(); ++i) {
    multiple = to_extended(add_point(multiple, twice));
    out[i] = to_addend(multiple);
  }
  return out;
}

void fill_key_table(KeyTable& out, const AffineAddend& p) { fill_rows(out, to_extended(p)); }

const BaseTable& base_table() {
  static const BaseTable table = [] {
    BaseTable out;
    fill_rows(out, {kBaseX, kBaseY, kOne, multiply(kBaseX, kBaseY)});
    return out;
  }();
  return table;
}

}  // namespace sereus::crypto::ed25519
