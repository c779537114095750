// Ed25519 signing (RFC 8032), and signatures that belong to one context. Verification follows the one rule of
// ed25519_verify.h (ZIP 215), never libsodium's own.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/crypto/secret.h"

namespace sereus::crypto {

inline constexpr size_t kSeedSize = 32;
using PublicKey = std::array<uint8_t, 32>;

// An Ed25519 key pair. Move-only; the secret half is wiped with it. Signing is deterministic and thread-safe.
class KeyPair {
 public:
  // RFC 8032 section 5.1.5: the same seed gives the same pair.
  static KeyPair from_seed(const SecretBytes<kSeedSize>& seed);
  KeyPair clone() const { return KeyPair(secret_.clone(), public_); }

  const PublicKey& public_key() const { return public_; }
  // The public key under the name of its role.
  PartyKey party_key() const { return PartyKey{public_}; }
  DeviceKey device_key() const { return DeviceKey{public_}; }
  AuthorKey author_key() const { return AuthorKey{public_}; }

  // The plain Ed25519 signature over `message`. For protocols that fix what is signed; ours use sign_in_context.
  Signature sign(ByteView message) const;
  // Over context || 0x00 || message. A context is one of our own constants and contains no NUL.
  Signature sign_in_context(std::string_view context, ByteView message) const;

 private:
  KeyPair(SecretBytes<64> secret, const PublicKey& public_key) : secret_(std::move(secret)), public_(public_key) {}

  SecretBytes<64> secret_;  // seed || public key
  PublicKey public_{};
};

// True when `signature` over context || 0x00 || message is valid by ZIP 215. False for sizes other than 32 and 64.
bool verify_in_context(ByteView public_key, std::string_view context, ByteView message, ByteView signature);

// context || 0x00 || message, what sign_in_context signs: for batch verification.
Bytes context_message(std::string_view context, ByteView message);

// For people: the hexadecimal of a key in groups of four, "89ab cdef ...".
std::string fingerprint(ByteView key);

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
