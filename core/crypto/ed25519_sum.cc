#include "core/crypto/ed25519_sum.h"

#include <algorithm>
#include <array>
#include <vector>

namespace sereus::crypto::ed25519 {
namespace {

// One digit more than a scalar has bits: a signed form can carry once.
constexpr size_t kLongDigits = 254;
constexpr size_t kShortDigits = 129;
constexpr SumPoint kIdentitySum{kZero, kOne, kOne, kOne};  // X = EF = 0, Y = GH = Z = FG = 1

using LongDigits = std::array<int8_t, kLongDigits>;
using ShortDigits = std::array<int8_t, kShortDigits>;

LongDigits long_digits(const Scalar& scalar, unsigned width) {
  LongDigits out;
  non_adjacent_form(out, scalar.limb, width);
  return out;
}

ShortDigits short_digits(Uint128 scalar, unsigned width) {
  ShortDigits out;
  const std::array<uint64_t, 2> limbs{static_cast<uint64_t>(scalar), static_cast<uint64_t>(scalar >> 64)};
  non_adjacent_form(out, limbs, width);
  return out;
}

// A point's table with the digits of its scalar.
struct TableTerm {
  PointTable table;
  LongDigits digits;
  size_t digits_count;
};

// The sum of [digit]point for one window of digits: points with the same digit are gathered in a bucket, and the running
// sum of the buckets, from the highest down, counts each as often as its digit says.
class Buckets {
 public:
  explicit Buckets(size_t count) : points_(count), used_(count) {}

  // digit != 0, and at most the number of buckets in magnitude.
  void put(const AffineAddend& point, int64_t digit) {
    const size_t index = static_cast<size_t>(digit < 0 ? -digit : digit) - 1;
    ExtendedPoint& bucket = points_[index];
    if (used_[index] == 0) {
      used_[index] = 1;
      bucket = to_extended(point);
      if (digit < 0) {
        bucket.x = multiply(subtract(kZero, bucket.x), kOne);
        bucket.t = multiply(subtract(kZero, bucket.t), kOne);
      }
    } else {
      bucket = to_extended(digit > 0 ? add_point(bucket, point) : subtract_point(bucket, point));
    }
  }

  // The weighted sum; leaves the buckets empty.
  ExtendedPoint take() {
    ExtendedPoint running = kIdentity, total = kIdentity;
    bool any = false, any_total = false;
    for (size_t i = points_.size(); i-- > 0;) {
      if (used_[i] != 0) {
        running = any ? add_points(running, points_[i]) : points_[i];
        any = true;
        used_[i] = 0;
      }
      if (!any) continue;
      total = any_total ? add_points(total, running) : running;
      any_total = true;
    }
    return total;
  }

 private:
  std::vector<ExtendedPoint> points_;
  std::vector<uint8_t> used_;
};

// A scalar read in windows of `width` bits from the bottom, as digits from -2^(width-1) + 1 to 2^(width-1).
int64_t next_digit(std::span<const uint64_t> limbs, size_t from, unsigned width, uint8_t& carry) {
  const size_t index = from / 64;
  const unsigned shift = static_cast<unsigned>(from % 64);
  uint64_t bits = index < limbs.size() ? limbs[index] >> shift : 0;
  if (shift != 0 && index + 1 < limbs.size()) bits |= limbs[index + 1] << (64 - shift);
  const int64_t size = int64_t{1} << width;
  int64_t digit = static_cast<int64_t>(bits & static_cast<uint64_t>(size - 1)) + carry;
  carry = digit > size / 2 ? 1 : 0;
  if (carry != 0) digit -= size;
  return digit;
}

// Every window's bucket sum, lowest window first.
std::vector<Addend> window_sums(std::span<const LongTerm> long_terms, std::span<const ShortTerm> short_terms,
                                unsigned width) {
  const size_t bits = long_terms.empty() ? kShortDigits : kLongDigits;
  const size_t windows = (bits + width - 1) / width;
  std::vector<uint8_t> long_carry(long_terms.size()), short_carry(short_terms.size());
  std::vector<Addend> sums(windows);
  Buckets buckets(size_t{1} << (width - 1));
  for (size_t window = 0; window < windows; ++window) {
    const size_t from = window * width;
    for (size_t i = 0; i < long_terms.size(); ++i) {
      const int64_t digit = next_digit(long_terms[i].scalar.limb, from, width, long_carry[i]);
      if (digit != 0) buckets.put(long_terms[i].point, digit);
    }
    for (size_t i = 0; i < short_terms.size() && from < kShortDigits; ++i) {
      const std::array<uint64_t, 2> limbs{static_cast<uint64_t>(short_terms[i].scalar),
                                          static_cast<uint64_t>(short_terms[i].scalar >> 64)};
      const int64_t digit = next_digit(limbs, from, width, short_carry[i]);
      if (digit != 0) buckets.put(short_terms[i].point, digit);
    }
    sums[window] = to_addend(buckets.take());
  }
  return sums;
}

// Bits in a window: the one with the least additions for so many points. A window costs one addition for each point and
// two for each bucket, and wider windows are fewer.
unsigned window_width(size_t long_count, size_t short_count) {
  unsigned best = 4;
  uint64_t best_cost = UINT64_MAX;
  for (unsigned width = 4; width <= 12; ++width) {
    const uint64_t buckets = uint64_t{1} << (width - 1);
    const uint64_t low = (kShortDigits + width - 1) / width;
    const uint64_t all = long_count == 0 ? low : (kLongDigits + width - 1) / width;
    // In field multiplications: 7 for adding to a bucket, 18 for one step of the running sum.
    const uint64_t cost = 7 * (low * short_count + all * long_count) + 18 * all * buckets;
    if (cost < best_cost) {
      best_cost = cost;
      best = width;
    }
  }
  return best;
}

}  // namespace

ExtendedPoint sum_of_three(const Scalar& base, const AffineAddend& a, Uint128 c, bool c_negative, const AffineAddend& r,
                           Uint128 d) {
  constexpr size_t half = 128;
  const BaseTable& base_rows = base_table();
  const PointTable a_table = odd_multiples(a), r_table = odd_multiples(r);
  const LongDigits base_digits = long_digits(base, kBaseWidth);
  ShortDigits a_digits = short_digits(c, kPointWidth);
  const ShortDigits r_digits = short_digits(d, kPointWidth);
  if (c_negative) {
    for (int8_t& digit : a_digits) digit = static_cast<int8_t>(-digit);
  }
  SumPoint sum = kIdentitySum;
  bool started = false;
  for (size_t i = half; i-- > 0;) {
    const int8_t low = base_digits[i], high = i + half < kLongDigits ? base_digits[i + half] : int8_t{0};
    if (!started && (low | high | a_digits[i] | r_digits[i]) == 0) continue;
    if (started) sum = double_point(to_projective(sum));
    started = true;
    if (a_digits[i] != 0) sum = add_multiple<Addend>(sum, a_table, a_digits[i]);
    if (r_digits[i] != 0) sum = add_multiple<Addend>(sum, r_table, r_digits[i]);
    if (low != 0) sum = add_multiple<AffineAddend>(sum, base_rows[0], low);
    if (high != 0) sum = add_multiple<AffineAddend>(sum, base_rows[half / kRowBits], high);
  }
  return to_extended(sum);
}

ExtendedPoint sum_of_tables(const Scalar& base, const KeyTable& a, const Scalar& k) {
  const BaseTable& base_rows = base_table();
  const LongDigits base_digits = long_digits(base, kBaseWidth), a_digits = long_digits(k, kPointWidth);
  SumPoint sum = kIdentitySum;
  for (size_t i = kRowBits; i-- > 0;) {
    if (i != kRowBits - 1) sum = double_point(to_projective(sum));
    for (size_t row = 0; row < kRows; ++row) {
      const size_t position = row * kRowBits + i;
      if (position >= kLongDigits) break;
      if (base_digits[position] != 0) sum = add_multiple<AffineAddend>(sum, base_rows[row], base_digits[position]);
      if (a_digits[position] != 0) sum = add_multiple<AffineAddend>(sum, a[row], a_digits[position]);
    }
  }
  return to_extended(sum);
}

ExtendedPoint sum_of_many(const Scalar& base, std::span<const LongTerm> long_terms,
                          std::span<const ShortTerm> short_terms) {
  std::vector<TableTerm> tables;
  const bool long_in_buckets = long_terms.size() >= kLongBucketTermsMin;
  const bool short_in_buckets = short_terms.size() >= kShortBucketTermsMin;
  tables.reserve((long_in_buckets ? 0 : long_terms.size()) + (short_in_buckets ? 0 : short_terms.size()));
  if (!long_in_buckets) {
    for (const LongTerm& term : long_terms) {
      tables.push_back({odd_multiples(term.point), long_digits(term.scalar, kPointWidth), kLongDigits});
    }
  }
  if (!short_in_buckets) {
    for (const ShortTerm& term : short_terms) {
      TableTerm& table = tables.emplace_back(TableTerm{odd_multiples(term.point), {}, kShortDigits});
      const ShortDigits digits = short_digits(term.scalar, kPointWidth);
      std::copy(digits.begin(), digits.end(), table.digits.begin());
    }
  }
  std::vector<Addend> windows;
  unsigned width = 1;
  if (long_in_buckets || short_in_buckets) {
    const auto bucket_long = long_in_buckets ? long_terms : std::span<const LongTerm>();
    const auto bucket_short = short_in_buckets ? short_terms : std::span<const ShortTerm>();
    width = window_width(bucket_long.size(), bucket_short.size());
    windows = window_sums(bucket_long, bucket_short, width);
  }
  const BaseTable& base_rows = base_table();
  const LongDigits base_digits = long_digits(base, kBaseWidth);
  SumPoint sum = kIdentitySum;
  for (size_t i = kLongDigits + width; i-- > 0;) {
    sum = double_point(to_projective(sum));
    if (i % width == 0 && i / width < windows.size()) sum = add_point(to_extended(sum), windows[i / width]);
    if (i >= kLongDigits) continue;
    for (const TableTerm& term : tables) {
      if (i < term.digits_count && term.digits[i] != 0) sum = add_multiple<Addend>(sum, term.table, term.digits[i]);
    }
    if (base_digits[i] != 0) sum = add_multiple<AffineAddend>(sum, base_rows[0], base_digits[i]);
  }
  return to_extended(sum);
}

}  // namespace sereus::crypto::ed25519
