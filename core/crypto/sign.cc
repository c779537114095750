#include "core/crypto/sign.h"

#include <sodium.h>
// options.h decides what the other headers declare.
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/ed25519.h>

#include "core/base/assert.h"
#include "core/crypto/ed25519_verify.h"
#include "core/crypto/init.h"

namespace sereus::crypto {
namespace {

// context || 0x00 || message in one place, on the stack when it is short: entries are.
class ContextMessage {
 public:
  ContextMessage(std::string_view context, ByteView message) : size_(context.size() + 1 + message.size()) {
    SEREUS_ASSERT(!context.empty() && context.find('\0') == std::string_view::npos);
    uint8_t* at = small_.data();
    if (size_ > small_.size()) {
      large_.resize(size_);
      at = large_.data();
    }
    data_ = at;
    std::memcpy(at, context.data(), context.size());
    at[context.size()] = 0;
    if (!message.empty()) std::memcpy(at + context.size() + 1, message.data(), message.size());
  }
  ContextMessage(const ContextMessage&) = delete;
  ContextMessage& operator=(const ContextMessage&) = delete;
  ByteView view() const { return {data_, size_}; }

 private:
  size_t size_;
  const uint8_t* data_ = nullptr;
  std::array<uint8_t, 1024> small_;
  Bytes large_;
};

}  // namespace

KeyPair KeyPair::from_seed(const SecretBytes<kSeedSize>& seed) {
  init();
  SecretBytes<64> secret;
  PublicKey public_key{};
  crypto_sign_seed_keypair(public_key.data(), secret.data(), seed.data());
  return KeyPair(std::move(secret), public_key);
}

// wolfCrypt's multiplication of the base point is in assembly, constant in time and twice as fast as libsodium's; RFC 8032
// signatures are deterministic, so the bytes are the same.
Signature KeyPair::sign(ByteView message) const {
  static constexpr uint8_t kNothing = 0;
  ed25519_key key;
  SEREUS_ASSERT(wc_ed25519_init(&key) == 0);
  const uint8_t* seed = secret_.data();
  // The two halves were made as a pair in from_seed; to check that again takes longer than to sign.
  constexpr int kTrusted = 1;
  SEREUS_ASSERT(wc_ed25519_import_private_key_ex(seed, kSeedSize, seed + kSeedSize, 32, &key, kTrusted) == 0);
  Signature signature;
  auto size = static_cast<word32>(signature.bytes.size());
  const uint8_t* data = message.empty() ? &kNothing : message.data();
  SEREUS_ASSERT(message.size() <= UINT32_MAX);
  const int outcome =
      wc_ed25519_sign_msg(data, static_cast<word32>(message.size()), signature.bytes.data(), &size, &key);
  wc_ed25519_free(&key);  // wipes it
  SEREUS_ASSERT(outcome == 0 && size == signature.bytes.size());
  return signature;
}

Signature KeyPair::sign_in_context(std::string_view context, ByteView message) const {
  return sign(ContextMessage(context, message).view());
}

bool verify_in_context(ByteView public_key, std::string_view context, ByteView message, ByteView signature) {
  if (public_key.size() != 32 || signature.size() != 64) return false;
  return ed25519_verify(public_key.first<32>(), ContextMessage(context, message).view(), signature.first<64>());
}

Bytes context_message(std::string_view context, ByteView message) {
  return to_bytes(ContextMessage(context, message).view());
}

std::string fingerprint(ByteView key) {
  const std::string hex = to_hex(key);
  std::string text;
  for (size_t i = 0; i < hex.size(); i += 4) {
    if (i > 0) text += ' ';
    text += hex.substr(i, 4);
  }
  return text;
}

}  // namespace sereus::crypto
