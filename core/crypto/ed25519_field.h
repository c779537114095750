// Arithmetic in the field of 2^255 - 19 elements, in five limbs of 51 bits. PUBLIC DATA ONLY: callers branch and index on
// the values, so nothing secret may pass through. Internal to core/crypto's Ed25519 verifier; use ed25519_verify.h.
//
// Bounds. "Tight": every limb < 2^51 + 2^15; results of multiply, square and the constants are tight. "Loose": every
// limb < 2^54; multiply, square, to_bytes and is_zero take loose elements. One add of two tight elements gives limbs
// < 2^52.1; each difference states what it takes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#define SEREUS_ED25519_INLINE inline __attribute__((always_inline))

namespace sereus::crypto::ed25519 {

__extension__ typedef unsigned __int128 Uint128;

struct FieldElement {
  std::array<uint64_t, 5> limb;
};

inline constexpr uint64_t kLimbMask = (uint64_t{1} << 51) - 1;
inline constexpr FieldElement kZero{{0, 0, 0, 0, 0}};
inline constexpr FieldElement kOne{{1, 0, 0, 0, 0}};
// d = -121665/121666, 2d, and a square root of -1 (2^((p-1)/4)); RFC 8032 section 5.1.
inline constexpr FieldElement kEdwardsD{
    {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff}};
inline constexpr FieldElement kEdwards2D{
    {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff}};
inline constexpr FieldElement kSqrtMinusOne{
    {0x61b274a0ea0b0, 0x0d5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d}};

SEREUS_ED25519_INLINE Uint128 wide(uint64_t a, uint64_t b) { return static_cast<Uint128>(a) * b; }

// a + b, without carrying: the limb bounds add up.
SEREUS_ED25519_INLINE FieldElement add(const FieldElement& a, const FieldElement& b) {
  return {{a.limb[0] + b.limb[0], a.limb[1] + b.limb[1], a.limb[2] + b.limb[2], a.limb[3] + b.limb[3],
           a.limb[4] + b.limb[4]}};
}

// a - b + 2p. b is tight; the limbs grow by at most 2^52 over those of a.
SEREUS_ED25519_INLINE FieldElement subtract(const FieldElement& a, const FieldElement& b) {
  constexpr uint64_t low = 0xfffffffffffda, rest = 0xffffffffffffe;
  return {{a.limb[0] + low - b.limb[0], a.limb[1] + rest - b.limb[1], a.limb[2] + rest - b.limb[2],
           a.limb[3] + rest - b.limb[3], a.limb[4] + rest - b.limb[4]}};
}

// a - b + 4p. The limbs of b are < 2^53 - 76 (a sum or a difference of two tight elements); those of a grow by < 2^53.
SEREUS_ED25519_INLINE FieldElement subtract_sum(const FieldElement& a, const FieldElement& b) {
  constexpr uint64_t low = 0x1fffffffffffb4, rest = 0x1ffffffffffffc;
  return {{a.limb[0] + low - b.limb[0], a.limb[1] + rest - b.limb[1], a.limb[2] + rest - b.limb[2],
           a.limb[3] + rest - b.limb[3], a.limb[4] + rest - b.limb[4]}};
}

// Folds five column sums (each < 2^114.3, the last < 2^110.4: what loose factors give) into a tight element. Both passes
// carry from all columns at once, so that no carry waits for the one before it.
SEREUS_ED25519_INLINE FieldElement fold_columns(Uint128 r0, Uint128 r1, Uint128 r2, Uint128 r3, Uint128 r4) {
  const uint64_t s0 = (static_cast<uint64_t>(r0) & kLimbMask) + 19 * static_cast<uint64_t>(r4 >> 51);
  const uint64_t s1 = (static_cast<uint64_t>(r1) & kLimbMask) + static_cast<uint64_t>(r0 >> 51);
  const uint64_t s2 = (static_cast<uint64_t>(r2) & kLimbMask) + static_cast<uint64_t>(r1 >> 51);
  const uint64_t s3 = (static_cast<uint64_t>(r3) & kLimbMask) + static_cast<uint64_t>(r2 >> 51);
  const uint64_t s4 = (static_cast<uint64_t>(r4) & kLimbMask) + static_cast<uint64_t>(r3 >> 51);
  return {{(s0 & kLimbMask) + 19 * (s4 >> 51), (s1 & kLimbMask) + (s0 >> 51), (s2 & kLimbMask) + (s1 >> 51),
           (s3 & kLimbMask) + (s2 >> 51), (s4 & kLimbMask) + (s3 >> 51)}};
}

// a * b; both loose, the result tight.
SEREUS_ED25519_INLINE FieldElement multiply(const FieldElement& a, const FieldElement& b) {
  const uint64_t a0 = a.limb[0], a1 = a.limb[1], a2 = a.limb[2], a3 = a.limb[3], a4 = a.limb[4];
  const uint64_t b0 = b.limb[0], b1 = b.limb[1], b2 = b.limb[2], b3 = b.limb[3], b4 = b.limb[4];
  const uint64_t b1x = 19 * b1, b2x = 19 * b2, b3x = 19 * b3, b4x = 19 * b4;
  return fold_columns(wide(a0, b0) + wide(a1, b4x) + wide(a2, b3x) + wide(a3, b2x) + wide(a4, b1x),
                      wide(a0, b1) + wide(a1, b0) + wide(a2, b4x) + wide(a3, b3x) + wide(a4, b2x),
                      wide(a0, b2) + wide(a1, b1) + wide(a2, b0) + wide(a3, b4x) + wide(a4, b3x),
                      wide(a0, b3) + wide(a1, b2) + wide(a2, b1) + wide(a3, b0) + wide(a4, b4x),
                      wide(a0, b4) + wide(a1, b3) + wide(a2, b2) + wide(a3, b1) + wide(a4, b0));
}

// a * a; a loose, the result tight.
SEREUS_ED25519_INLINE FieldElement square(const FieldElement& a) {
  const uint64_t a0 = a.limb[0], a1 = a.limb[1], a2 = a.limb[2], a3 = a.limb[3], a4 = a.limb[4];
  const uint64_t d0 = 2 * a0, d1 = 2 * a1, d2 = 2 * a2;
  const uint64_t a3x = 19 * a3, a4x = 19 * a4;
  return fold_columns(wide(a0, a0) + wide(d1, a4x) + wide(d2, a3x), wide(d0, a1) + wide(d2, a4x) + wide(a3, a3x),
                      wide(d0, a2) + wide(a1, a1) + wide(2 * a3, a4x), wide(d0, a3) + wide(d1, a2) + wide(a4, a4x),
                      wide(d0, a4) + wide(d1, a3) + wide(a2, a2));
}

// The 255 low bits of 32 little-endian bytes, not required to be below p. Tight.
FieldElement from_bytes(const uint8_t* bytes);
// The canonical 32-byte encoding of a loose element.
void to_bytes(uint8_t* out, const FieldElement& a);
bool is_zero(const FieldElement& a);
// The least significant bit of the canonical encoding: the "sign" of RFC 8032.
bool is_odd(const FieldElement& a);
// 1/a, and 0 for a = 0.
FieldElement invert(const FieldElement& a);
// a^((p-5)/8), the exponent of the square root.
FieldElement power_p58(const FieldElement& a);

}  // namespace sereus::crypto::ed25519
