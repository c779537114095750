#include "core/crypto/x25519.h"

#include <sodium.h>

#include "core/crypto/init.h"

namespace sereus::crypto {

static_assert(kX25519Size == crypto_scalarmult_curve25519_BYTES);
static_assert(kX25519Size == crypto_scalarmult_curve25519_SCALARBYTES);

X25519Pair X25519Pair::generate(Random& random) {
  X25519Secret secret;
  random.fill(secret.span());
  return from_secret(std::move(secret));
}

X25519Pair X25519Pair::from_secret(X25519Secret secret) {
  init();
  X25519PublicKey public_key{};
  crypto_scalarmult_curve25519_base(public_key.data(), secret.data());
  return X25519Pair(std::move(secret), public_key);
}

std::optional<X25519Secret> X25519Pair::agree(const X25519PublicKey& remote) const {
  X25519Secret shared;
  const int rc = crypto_scalarmult_curve25519(shared.data(), secret_.data(), remote.data());
  // libsodium refuses points of small order itself; looked at again because everything after depends on it.
  if (rc != 0 || sodium_is_zero(shared.data(), kX25519Size) != 0) return std::nullopt;
  return shared;
}

}  // namespace sereus::crypto
