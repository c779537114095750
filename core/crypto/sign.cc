#include "core/crypto/sign.h"

#include <sodium.h>

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

Signature KeyPair::sign(ByteView message) const {
  Signature signature;
  crypto_sign_detached(signature.bytes.data(), nullptr, message.data(), message.size(), secret_.data());
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
