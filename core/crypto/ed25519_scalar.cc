#include "core/crypto/ed25519_scalar.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace sereus::crypto::ed25519 {
namespace {

// Montgomery constants for R = 2^256: R mod L, R^2 mod L, -1/L mod 2^64.
constexpr Scalar kMontgomeryR{{0xd6ec31748d98951d, 0xc6ef5bf4737dcf70, 0xfffffffffffffffe, 0x0fffffffffffffff}};
constexpr Scalar kMontgomeryR2{{0xa40611e3449c0f01, 0xd00e1ba768859347, 0xceec73d217f5be65, 0x0399411b7c309a3d}};
constexpr uint64_t kMontgomeryInverse = 0xd2b51da312547e1b;

uint64_t low64(Uint128 a) { return static_cast<uint64_t>(a); }
uint64_t high64(Uint128 a) { return static_cast<uint64_t>(a >> 64); }

bool less(const Scalar& a, const Scalar& b) {
  for (size_t i = 4; i-- > 0;) {
    if (a.limb[i] != b.limb[i]) return a.limb[i] < b.limb[i];
  }
  return false;
}

// a - b modulo 2^256.
Scalar subtract_limbs(const Scalar& a, const Scalar& b) {
  Scalar out;
  uint64_t borrow = 0;
  for (size_t i = 0; i < 4; ++i) {
    const Uint128 t = static_cast<Uint128>(a.limb[i]) - b.limb[i] - borrow;
    out.limb[i] = low64(t);
    borrow = high64(t) & 1;
  }
  return out;
}

Scalar subtract_order_once(const Scalar& a) { return less(a, kOrder) ? a : subtract_limbs(a, kOrder); }

// a b / 2^256 mod L, for any a < 2^256 and b < L.
Scalar montgomery_multiply(const Scalar& a, const Scalar& b) {
  std::array<uint64_t, 6> t{};
  for (size_t i = 0; i < 4; ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < 4; ++j) {
      const Uint128 v = wide(a.limb[i], b.limb[j]) + t[j] + carry;
      t[j] = low64(v);
      carry = high64(v);
    }
    Uint128 top = static_cast<Uint128>(t[4]) + carry;
    t[4] = low64(top);
    t[5] = high64(top);
    const uint64_t m = t[0] * kMontgomeryInverse;
    carry = high64(wide(m, kOrder.limb[0]) + t[0]);
    for (size_t j = 1; j < 4; ++j) {
      const Uint128 v = wide(m, kOrder.limb[j]) + t[j] + carry;
      t[j - 1] = low64(v);
      carry = high64(v);
    }
    top = static_cast<Uint128>(t[4]) + carry;
    t[3] = low64(top);
    t[4] = t[5] + high64(top);
  }
  return subtract_order_once({{t[0], t[1], t[2], t[3]}});  // t < 2L: a b < 2^256 L
}

unsigned bit_length(const Scalar& a) {
  for (size_t i = 4; i-- > 0;) {
    if (a.limb[i] != 0) return static_cast<unsigned>(64 * i) + 64 - static_cast<unsigned>(std::countl_zero(a.limb[i]));
  }
  return 0;
}

// Bits [from, from + 64) of a.
uint64_t bits64(const Scalar& a, unsigned from) {
  const size_t index = from / 64;
  const unsigned shift = from % 64;
  const uint64_t low = index < 4 ? a.limb[index] >> shift : 0;
  const uint64_t high = (shift != 0 && index + 1 < 4) ? a.limb[index + 1] << (64 - shift) : 0;
  return low | high;
}

Scalar shift_left(const Scalar& a, unsigned by) {
  Scalar out{};
  const size_t words = by / 64;
  const unsigned shift = by % 64;
  for (size_t i = words; i < 4; ++i) {
    out.limb[i] = a.limb[i - words] << shift;
    if (shift != 0 && i > words) out.limb[i] |= a.limb[i - words - 1] >> (64 - shift);
  }
  return out;
}

// a -= factor * b, where the result is known not to be negative.
void subtract_multiple(Scalar& a, const Scalar& b, uint64_t factor) {
  uint64_t carry = 0;
  for (size_t i = 0; i < 4; ++i) {
    const Uint128 product = wide(factor, b.limb[i]) + carry;
    const uint64_t part = low64(product);
    carry = high64(product) + (a.limb[i] < part ? 1 : 0);
    a.limb[i] -= part;
  }
}

// Bits [from, from + 64) of a little-endian number of any length.
uint64_t window64(std::span<const uint64_t> limbs, size_t from) {
  const size_t index = from / 64;
  const unsigned shift = static_cast<unsigned>(from % 64);
  const uint64_t low = index < limbs.size() ? limbs[index] >> shift : 0;
  const uint64_t high = (shift != 0 && index + 1 < limbs.size()) ? limbs[index + 1] << (64 - shift) : 0;
  return low | high;
}

}  // namespace

Scalar scalar_from_bytes(const uint8_t* bytes) {
  Scalar out{};
  for (size_t i = 0; i < 32; ++i) out.limb[i / 8] |= static_cast<uint64_t>(bytes[i]) << (8 * (i % 8));
  return out;
}

void scalar_to_bytes(uint8_t* out, const Scalar& a) {
  for (size_t i = 0; i < 32; ++i) out[i] = static_cast<uint8_t>(a.limb[i / 8] >> (8 * (i % 8)));
}

bool scalar_is_canonical(const Scalar& a) { return less(a, kOrder); }

WideScalar wide_from_bytes(const uint8_t* bytes) {
  const Scalar low = scalar_from_bytes(bytes), high = scalar_from_bytes(bytes + 32);
  return {{low.limb[0], low.limb[1], low.limb[2], low.limb[3], high.limb[0], high.limb[1], high.limb[2], high.limb[3]}};
}

Scalar reduce(const WideScalar& a) {
  const Scalar low = montgomery_multiply({{a.limb[0], a.limb[1], a.limb[2], a.limb[3]}}, kMontgomeryR);
  const Scalar high = montgomery_multiply({{a.limb[4], a.limb[5], a.limb[6], a.limb[7]}}, kMontgomeryR2);
  Scalar sum;
  uint64_t carry = 0;
  for (size_t i = 0; i < 4; ++i) {
    const Uint128 v = static_cast<Uint128>(low.limb[i]) + high.limb[i] + carry;
    sum.limb[i] = low64(v);
    carry = high64(v);
  }
  return subtract_order_once(sum);  // both below L, so no carry out
}

Scalar negate(const Scalar& a) { return subtract_order_once(subtract_limbs(kOrder, a)); }

void multiply_accumulate(WideScalar& sum, Uint128 factor, const Scalar& a) {
  const std::array<uint64_t, 2> f{low64(factor), high64(factor)};
  for (size_t i = 0; i < 2; ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < 4; ++j) {
      const Uint128 v = wide(f[i], a.limb[j]) + sum.limb[i + j] + carry;
      sum.limb[i + j] = low64(v);
      carry = high64(v);
    }
    for (size_t j = i + 4; j < 8 && carry != 0; ++j) {
      sum.limb[j] += carry;
      carry = sum.limb[j] < carry ? 1 : 0;
    }
  }
}

void non_adjacent_form(std::span<int8_t> out, std::span<const uint64_t> limbs, unsigned width) {
  std::fill(out.begin(), out.end(), int8_t{0});
  const uint64_t mask = (uint64_t{1} << width) - 1;
  const uint64_t half = uint64_t{1} << (width - 1);
  uint64_t carry = 0;
  size_t position = 0;
  while (position < out.size()) {
    const uint64_t window = window64(limbs, position);
    // With a carry pending, a run of ones stays a run of zero digits; without one, a run of zeros does.
    const unsigned run = static_cast<unsigned>(std::countr_zero(carry != 0 ? ~window : window));
    if (run != 0) {
      position += run;
      continue;
    }
    const uint64_t digit = (window & mask) + carry;  // odd
    carry = digit >= half ? 1 : 0;
    out[position] =
        static_cast<int8_t>(static_cast<int64_t>(digit) - (carry != 0 ? static_cast<int64_t>(mask) + 1 : 0));
    position += width;
  }
}

// Euclid's algorithm on (L, k), stopped at the first remainder below 2^127. The cofactors alternate in sign, and
// |cofactor| * (previous remainder) <= L keeps them below 2^126. A quotient may be taken too small: the same pair is
// then simply reduced again.
HalvedScalar halve(const Scalar& k) {
  Scalar u = kOrder, v = k;
  Uint128 u_cofactor = 0, v_cofactor = 1;
  bool v_negative = false;
  unsigned u_bits = 253, v_bits = bit_length(v);
  while (v_bits > 127) {
    while (!less(u, v)) {
      const unsigned gap = u_bits - v_bits;
      if (gap > 31) {  // far apart: one power of two that certainly fits
        u = subtract_limbs(u, shift_left(v, gap - 1));
        u_cofactor += v_cofactor << (gap - 1);
      } else {
        const unsigned shift = u_bits - 63;  // 63 bits, so that the + 1 cannot wrap
        const uint64_t quotient = std::max<uint64_t>(1, bits64(u, shift) / (bits64(v, shift) + 1));
        subtract_multiple(u, v, quotient);
        u_cofactor += v_cofactor * quotient;
      }
      u_bits = bit_length(u);
    }
    std::swap(u, v);
    std::swap(u_cofactor, v_cofactor);
    std::swap(u_bits, v_bits);
    v_negative = !v_negative;
  }
  return {static_cast<Uint128>(v.limb[1]) << 64 | v.limb[0], v_cofactor, v_negative};
}

}  // namespace sereus::crypto::ed25519
