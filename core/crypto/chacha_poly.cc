#include "core/crypto/chacha_poly.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/chacha20_poly1305.h>

#include "core/base/assert.h"

// wolfCrypt's, since its Poly1305 uses AVX2 where libsodium's stays with SSE2: on frames of 64 KiB it is up to half as fast again.
namespace sereus::crypto {

static_assert(kChaChaPolyKeySize == CHACHA20_POLY1305_AEAD_KEYSIZE);
static_assert(kChaChaPolyNonceSize == CHACHA20_POLY1305_AEAD_IV_SIZE);
static_assert(kChaChaPolyTagSize == CHACHA20_POLY1305_AEAD_AUTHTAG_SIZE);

void chacha_poly_seal(const ChaChaPolyKey& key, const ChaChaPolyNonce& nonce, ByteView associated, ByteView plaintext,
                      ByteSpan out) {
  SEREUS_ASSERT(out.size() == plaintext.size() + kChaChaPolyTagSize);
  const uint8_t none = 0;  // it wants a place even for an empty plaintext
  const uint8_t* const from = plaintext.empty() ? &none : plaintext.data();
  // It fails for bad arguments and nothing else.
  const int sealed = wc_ChaCha20Poly1305_Encrypt(
      key.data(), nonce.data(), associated.data(), static_cast<word32>(associated.size()), from,
      static_cast<word32>(plaintext.size()), out.data(), out.data() + plaintext.size());
  SEREUS_ASSERT(sealed == 0);
}

bool chacha_poly_open(const ChaChaPolyKey& key, const ChaChaPolyNonce& nonce, ByteView associated, ByteView sealed,
                      ByteSpan out) {
  if (sealed.size() < kChaChaPolyTagSize) return false;
  SEREUS_ASSERT(out.size() == sealed.size() - kChaChaPolyTagSize);
  uint8_t none = 0;  // as above
  uint8_t* const to = out.empty() ? &none : out.data();
  return wc_ChaCha20Poly1305_Decrypt(key.data(), nonce.data(), associated.data(),
                                     static_cast<word32>(associated.size()), sealed.data(),
                                     static_cast<word32>(out.size()), sealed.data() + out.size(), to) == 0;
}

}  // namespace sereus::crypto
