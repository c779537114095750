// ChaCha20-Poly1305 (RFC 8439) for channels, where the nonce is a counter. For stored records with random nonces there is
// XChaCha20-Poly1305 in aead.h.
#pragma once

#include <array>

#include "core/base/bytes.h"
#include "core/crypto/secret.h"

namespace sereus::crypto {

inline constexpr size_t kChaChaPolyKeySize = 32;
inline constexpr size_t kChaChaPolyNonceSize = 12;
inline constexpr size_t kChaChaPolyTagSize = 16;

using ChaChaPolyKey = SecretBytes<kChaChaPolyKeySize>;
using ChaChaPolyNonce = std::array<uint8_t, kChaChaPolyNonceSize>;

// Writes ciphertext || tag to `out`, kChaChaPolyTagSize longer than `plaintext`. A nonce is used once with a key.
void chacha_poly_seal(const ChaChaPolyKey& key, const ChaChaPolyNonce& nonce, ByteView associated, ByteView plaintext,
                      ByteSpan out);
// The reverse: `out` is kChaChaPolyTagSize shorter than `sealed`. False when it does not authenticate; `out` is then
// undefined and no secret.
[[nodiscard]] bool chacha_poly_open(const ChaChaPolyKey& key, const ChaChaPolyNonce& nonce, ByteView associated,
                                    ByteView sealed, ByteSpan out);

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
