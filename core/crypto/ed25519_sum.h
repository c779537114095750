// Sums of multiples of points, the whole cost of a verification. PUBLIC DATA ONLY: variable time. Internal to core/crypto.
#pragma once

#include <span>

#include "core/crypto/ed25519_group.h"
#include "core/crypto/ed25519_scalar.h"

namespace sereus::crypto::ed25519 {

// [base]B + [c]A + [d]R, with c negated when c_negative; c, d < 2^127.
ExtendedPoint sum_of_three(const Scalar& base, const AffineAddend& a, Uint128 c, bool c_negative, const AffineAddend& r,
                           Uint128 d);

// [base]B + [k]A, with A's table made beforehand.
ExtendedPoint sum_of_tables(const Scalar& base, const KeyTable& a, const Scalar& k);

struct ShortTerm {
  AffineAddend point;
  Uint128 scalar;
};
struct LongTerm {
  AffineAddend point;
  Scalar scalar;
};

// How a sum of many terms is done: below these numbers of terms each point gets its own table (Straus), from there on
// they share buckets (Pippenger). Measured: at 48 terms tables are ahead by 2%, at 64 buckets by 2 to 3%.
inline constexpr size_t kShortBucketTermsMin = 56;
inline constexpr size_t kLongBucketTermsMin = 56;

// [base]B + sum of [scalar]point over all terms. Memory: about 1.5 KiB for each term below the limits above, 200 bytes
// for each term from there on.
ExtendedPoint sum_of_many(const Scalar& base, std::span<const LongTerm> long_terms,
                          std::span<const ShortTerm> short_terms);

}  // namespace sereus::crypto::ed25519
