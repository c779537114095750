// X25519 (RFC 7748 section 5): key agreement for handshakes.
#pragma once

#include <array>
#include <optional>

#include "core/base/bytes.h"
#include "core/crypto/secret.h"
#include "core/ports/random.h"

namespace sereus::crypto {

inline constexpr size_t kX25519Size = 32;
using X25519PublicKey = std::array<uint8_t, kX25519Size>;
using X25519Secret = SecretBytes<kX25519Size>;

// A key pair. Move-only; the secret half is wiped with it.
class X25519Pair {
 public:
  static X25519Pair generate(Random& random);
  // Any 32 bytes; clamping happens at use (RFC 7748 section 5).
  static X25519Pair from_secret(X25519Secret secret);

  const X25519PublicKey& public_key() const { return public_; }
  // What both sides know afterwards. Nothing when it is all zero, which a remote key of small order makes it: then it
  // would be no secret (RFC 7748 section 6.1).
  std::optional<X25519Secret> agree(const X25519PublicKey& remote) const;

 private:
  X25519Pair(X25519Secret secret, const X25519PublicKey& public_key)
      : secret_(std::move(secret)), public_(public_key) {}

  X25519Secret secret_;
  X25519PublicKey public_{};
};

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
