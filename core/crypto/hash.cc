#include "core/crypto/hash.h"

#include <sodium.h>

#include "core/base/assert.h"
#include "core/crypto/init.h"

namespace sereus::crypto {
namespace {

static_assert(sizeof(crypto_generichash_state) <= 384 && alignof(crypto_generichash_state) <= 64);

constexpr size_t kHashKeyMin = crypto_generichash_KEYBYTES_MIN;
static_assert(crypto_generichash_KEYBYTES_MAX == kHashKeyMax);

crypto_generichash_state* state_of(uint8_t* raw) { return reinterpret_cast<crypto_generichash_state*>(raw); }

constexpr uint8_t kContextEnd[1] = {0};

}  // namespace

Hash blake2b_256(ByteView data) {
  init();
  Hash hash;
  crypto_generichash(hash.bytes.data(), Hash::kSize, data.data(), data.size(), nullptr, 0);
  return hash;
}

Hash hash_in_context(std::string_view context, ByteView data) {
  return Blake2b::in_context(context).update(data).finish();
}

Hash keyed_hash(ByteView key, ByteView data) {
  SEREUS_ASSERT(key.size() >= kHashKeyMin && key.size() <= kHashKeyMax);
  init();
  Hash hash;
  crypto_generichash(hash.bytes.data(), Hash::kSize, data.data(), data.size(), key.data(), key.size());
  return hash;
}

Digest truncate(const Hash& hash) {
  Digest digest;
  std::memcpy(digest.bytes.data(), hash.bytes.data(), Digest::kSize);
  return digest;
}

Digest digest_128(ByteView data) { return truncate(blake2b_256(data)); }

Hash sha256(ByteView data) {
  init();
  Hash hash;
  crypto_hash_sha256(hash.bytes.data(), data.data(), data.size());
  return hash;
}

Blake2b::Blake2b() {
  init();
  crypto_generichash_init(state_of(state_), nullptr, 0, Hash::kSize);
}

Blake2b::Blake2b(ByteView key) {
  SEREUS_ASSERT(key.size() >= kHashKeyMin && key.size() <= kHashKeyMax);
  init();
  crypto_generichash_init(state_of(state_), key.data(), key.size(), Hash::kSize);
}

Blake2b Blake2b::in_context(std::string_view context) {
  SEREUS_ASSERT(!context.empty() && context.find('\0') == std::string_view::npos);
  Blake2b hasher;
  hasher.update(as_bytes(context)).update(kContextEnd);
  return hasher;
}

Blake2b::~Blake2b() { sodium_memzero(state_, sizeof state_); }

Blake2b& Blake2b::update(ByteView data) {
  crypto_generichash_update(state_of(state_), data.data(), data.size());
  return *this;
}

Hash Blake2b::finish() {
  Hash hash;
  crypto_generichash_final(state_of(state_), hash.bytes.data(), Hash::kSize);
  return hash;
}

}  // namespace sereus::crypto
