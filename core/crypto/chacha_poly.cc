#include "core/crypto/chacha_poly.h"

#include <sodium.h>

#include "core/base/assert.h"

namespace sereus::crypto {

static_assert(kChaChaPolyKeySize == crypto_aead_chacha20poly1305_ietf_KEYBYTES);
static_assert(kChaChaPolyNonceSize == crypto_aead_chacha20poly1305_ietf_NPUBBYTES);
static_assert(kChaChaPolyTagSize == crypto_aead_chacha20poly1305_ietf_ABYTES);

void chacha_poly_seal(const ChaChaPolyKey& key, const ChaChaPolyNonce& nonce, ByteView associated, ByteView plaintext,
                      ByteSpan out) {
  SEREUS_ASSERT(out.size() == plaintext.size() + kChaChaPolyTagSize);
  crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, plaintext.data(), plaintext.size(), associated.data(),
                                            associated.size(), nullptr, nonce.data(), key.data());
}

bool chacha_poly_open(const ChaChaPolyKey& key, const ChaChaPolyNonce& nonce, ByteView associated, ByteView sealed,
                      ByteSpan out) {
  if (sealed.size() < kChaChaPolyTagSize) return false;
  SEREUS_ASSERT(out.size() == sealed.size() - kChaChaPolyTagSize);
  uint8_t none = 0;  // libsodium takes a null output for "check the tag only"
  uint8_t* const to = out.empty() ? &none : out.data();
  return crypto_aead_chacha20poly1305_ietf_decrypt(to, nullptr, nullptr, sealed.data(), sealed.size(),
                                                   associated.data(), associated.size(), nonce.data(), key.data()) == 0;
}

}  // namespace sereus::crypto
