#include "core/crypto/ed25519_verify.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/crypto/ed25519_equation.h"
#include "core/crypto/ed25519_group.h"
#include "core/crypto/ed25519_sum.h"

namespace sereus::crypto {
namespace ed25519 {

Scalar challenge(const uint8_t* r, const uint8_t* public_key, std::span<const uint8_t> message) {
  crypto_hash_sha512_state state;
  std::array<uint8_t, 64> digest;
  crypto_hash_sha512_init(&state);
  crypto_hash_sha512_update(&state, r, 32);
  crypto_hash_sha512_update(&state, public_key, 32);
  crypto_hash_sha512_update(&state, message.data(), message.size());
  crypto_hash_sha512_final(&state, digest.data());
  return reduce(wide_from_bytes(digest.data()));
}

// [8]([S]B - [k]A - R) = 0, multiplied by the d that halves k; |d| carries the sign to c.
bool equation_holds(const AffineAddend& a, const AffineAddend& r, const Scalar& s, const Scalar& k) {
  const HalvedScalar halved = halve(k);
  WideScalar ds{};
  multiply_accumulate(ds, halved.d, s);
  const Scalar base = negate(reduce(ds));
  return is_small_order(sum_of_three(base, a, halved.c, halved.d_negative, r, halved.d));
}

}  // namespace ed25519

using ed25519::AffineAddend;
using ed25519::Scalar;

struct Ed25519Key::Table {
  std::array<uint8_t, 32> public_key;
  ed25519::KeyTable rows;
};

bool ed25519_verify(std::span<const uint8_t, 32> public_key, std::span<const uint8_t> message,
                    std::span<const uint8_t, 64> signature) {
  const Scalar s = ed25519::scalar_from_bytes(signature.data() + 32);
  if (!ed25519::scalar_is_canonical(s)) return false;
  const std::optional<AffineAddend> a = ed25519::decode_point(public_key.data());
  const std::optional<AffineAddend> r = ed25519::decode_point(signature.data());
  if (!a || !r) return false;
  const Scalar k = ed25519::challenge(signature.data(), public_key.data(), message);
  return ed25519::equation_holds(*a, *r, s, k);
}

bool ed25519_key_has_small_order(std::span<const uint8_t, 32> public_key) {
  const std::optional<AffineAddend> a = ed25519::decode_point(public_key.data());
  return a && ed25519::is_small_order(ed25519::to_extended(*a));
}

Ed25519Key::Ed25519Key(std::shared_ptr<const Table> table) : table_(std::move(table)) {}

std::optional<Ed25519Key> Ed25519Key::prepare(std::span<const uint8_t, 32> public_key) {
  const std::optional<AffineAddend> a = ed25519::decode_point(public_key.data());
  if (!a) return std::nullopt;
  auto table = std::make_shared<Table>();
  std::copy(public_key.begin(), public_key.end(), table->public_key.begin());
  ed25519::fill_key_table(table->rows, *a);
  return Ed25519Key(std::move(table));
}

bool Ed25519Key::verify(std::span<const uint8_t> message, std::span<const uint8_t, 64> signature) const {
  const Scalar s = ed25519::scalar_from_bytes(signature.data() + 32);
  if (!ed25519::scalar_is_canonical(s)) return false;
  const std::optional<AffineAddend> r = ed25519::decode_point(signature.data());
  if (!r) return false;
  const Scalar k = ed25519::challenge(signature.data(), table_->public_key.data(), message);
  const ed25519::ExtendedPoint sum = ed25519::sum_of_tables(ed25519::negate(s), table_->rows, k);
  return ed25519::is_small_order(ed25519::to_extended(ed25519::add_point(sum, *r)));
}

std::span<const uint8_t, 32> Ed25519Key::public_key() const { return table_->public_key; }

}  // namespace sereus::crypto
