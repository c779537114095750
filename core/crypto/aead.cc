#include "core/crypto/aead.h"

#include <sodium.h>

#include "core/crypto/init.h"

namespace sereus::crypto {

static_assert(kAeadKeySize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(kAeadNonceSize == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kAeadTagSize == crypto_aead_xchacha20poly1305_ietf_ABYTES);

AeadNonce random_nonce(Random& random) {
  AeadNonce nonce{};
  random.fill(nonce);
  return nonce;
}

Bytes aead_seal(const AeadKey& key, const AeadNonce& nonce, ByteView associated, ByteView plaintext) {
  Bytes sealed(plaintext.size() + kAeadTagSize);
  crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data(), nullptr, plaintext.data(), plaintext.size(),
                                             associated.data(), associated.size(), nullptr, nonce.data(), key.data());
  return sealed;
}

Result<SecretBuffer> aead_open(const AeadKey& key, const AeadNonce& nonce, ByteView associated, ByteView sealed) {
  if (sealed.size() < kAeadTagSize) return fail(Code::corrupt, "a sealed record is shorter than its tag");
  SecretBuffer plaintext(sealed.size() - kAeadTagSize);
  uint8_t none = 0;  // libsodium wants a place even for an empty plaintext
  uint8_t* const out = plaintext.empty() ? &none : plaintext.data();
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, nullptr, nullptr, sealed.data(), sealed.size(), associated.data(),
                                                 associated.size(), nonce.data(), key.data()) != 0) {
    return fail(Code::corrupt, "a sealed record does not open");
  }
  return plaintext;
}

AeadTag aead_seal_in_place(const AeadKey& key, const AeadNonce& nonce, ByteView associated, ByteSpan data) {
  AeadTag tag{};
  crypto_aead_xchacha20poly1305_ietf_encrypt_detached(data.data(), tag.data(), nullptr, data.data(), data.size(),
                                                      associated.data(), associated.size(), nullptr, nonce.data(),
                                                      key.data());
  return tag;
}

bool aead_open_in_place(const AeadKey& key, const AeadNonce& nonce, ByteView associated, ByteSpan data,
                        const AeadTag& tag) {
  // libsodium checks the tag before it decrypts, and zeroes the output when the tag is wrong, which in place would
  // destroy the input; so the tag is checked alone first (a null output).
  if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(nullptr, nullptr, data.data(), data.size(), tag.data(),
                                                          associated.data(), associated.size(), nonce.data(),
                                                          key.data()) != 0) {
    return false;
  }
  return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(data.data(), nullptr, data.data(), data.size(), tag.data(),
                                                             associated.data(), associated.size(), nonce.data(),
                                                             key.data()) == 0;
}

}  // namespace sereus::crypto
