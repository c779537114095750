// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha, libsodium's crypto_aead_xchacha20poly1305_ietf) with the nonce given by
// the caller: 24 bytes from sereus::Random never repeat in practice.
#pragma once

#include <array>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/crypto/secret.h"
#include "core/ports/random.h"

namespace sereus::crypto {

inline constexpr size_t kAeadKeySize = 32;
inline constexpr size_t kAeadNonceSize = 24;
inline constexpr size_t kAeadTagSize = 16;

using AeadKey = SecretBytes<kAeadKeySize>;
using AeadNonce = std::array<uint8_t, kAeadNonceSize>;
using AeadTag = std::array<uint8_t, kAeadTagSize>;

AeadNonce random_nonce(Random& random);

// Ciphertext || tag: kAeadTagSize longer than `plaintext`. `associated` is authenticated and not contained.
Bytes aead_seal(const AeadKey& key, const AeadNonce& nonce, ByteView associated, ByteView plaintext);

// The reverse; Code::corrupt when key, nonce, associated data or content differ by a bit.
Result<SecretBuffer> aead_open(const AeadKey& key, const AeadNonce& nonce, ByteView associated, ByteView sealed);

// In place, with the tag apart: for database pages.
AeadTag aead_seal_in_place(const AeadKey& key, const AeadNonce& nonce, ByteView associated, ByteSpan data);
// False, with `data` left as it was, when it does not authenticate.
[[nodiscard]] bool aead_open_in_place(const AeadKey& key, const AeadNonce& nonce, ByteView associated, ByteSpan data,
                                      const AeadTag& tag);

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
