// Integers modulo the group order L = 2^252 + 27742317777372353535851937790883648493 (RFC 8032 section 5.1), signed-digit
// forms of them, and the halving of a verification equation. PUBLIC DATA ONLY: variable time. Internal to core/crypto.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/crypto/ed25519_field.h"

namespace sereus::crypto::ed25519 {

// 256 bits, least significant limb first; below L unless said otherwise.
struct Scalar {
  std::array<uint64_t, 4> limb;
};

// An unreduced sum of products, 512 bits.
struct WideScalar {
  std::array<uint64_t, 8> limb;
};

inline constexpr Scalar kOrder{{0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000}};

Scalar scalar_from_bytes(const uint8_t* bytes);  // 32 bytes, little-endian, not reduced
void scalar_to_bytes(uint8_t* out, const Scalar& a);
bool scalar_is_canonical(const Scalar& a);         // a < L
WideScalar wide_from_bytes(const uint8_t* bytes);  // 64 bytes, little-endian
Scalar reduce(const WideScalar& a);                // a mod L
Scalar negate(const Scalar& a);                    // (L - a) mod L, for a < L

// sum += factor * a. Each product is below 2^381, so 2^131 of them fit.
void multiply_accumulate(WideScalar& sum, Uint128 factor, const Scalar& a);

// Signed digits in "width-w non-adjacent form": value = sum digit[i] 2^i, each digit 0 or odd and below 2^(w-1) in
// magnitude, and any w digits in a row hold at most one that is not 0. `out` has room for one digit more than the value
// has bits; it is filled completely. 2 <= width <= 8.
void non_adjacent_form(std::span<int8_t> out, std::span<const uint64_t> limbs, unsigned width);

// For 0 <= k < L: numbers c, d with c = d k (mod L), 0 <= c < 2^127, 0 < |d| < 2^127.
//
// Multiplying a verification equation by d is harmless once its error lies in the subgroup of prime order L, which the
// cofactor 8 sees to; then a 253-bit k becomes two numbers of half the length, and half of the doublings go away
// (Antipa et al., "Accelerated verification of ECDSA signatures", SAC 2005).
struct HalvedScalar {
  Uint128 c;
  Uint128 d;  // magnitude
  bool d_negative;
};
HalvedScalar halve(const Scalar& k);

}  // namespace sereus::crypto::ed25519
