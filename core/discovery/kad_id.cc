#include "core/discovery/kad_id.h"

#include <bit>

#include "core/crypto/hash.h"

namespace sereus::discovery {

KadId KadId::of(ByteView key) {
  const Hash hash = crypto::sha256(key);
  KadId out;
  for (size_t i = 0; i < out.words.size(); ++i) out.words[i] = load_be<uint64_t>(hash.bytes.data() + 8 * i);
  return out;
}

size_t KadId::shared_bits(const KadId& other) const {
  for (size_t i = 0; i < words.size(); ++i) {
    if (const uint64_t differs = words[i] ^ other.words[i]; differs != 0) {
      return 64 * i + static_cast<size_t>(std::countl_zero(differs));
    }
  }
  return 256;
}

Bytes key_in_bucket(const KadId& own, size_t shared, Random& random) {
  constexpr size_t kTriesMax = 4096;  // under a millisecond
  Bytes best;
  size_t best_shared = 0;
  Bytes key = {0x12, 0x20};  // sha2-256, 32 bytes
  key.resize(2 + 32);
  random.fill(ByteSpan(key).subspan(2));
  for (uint32_t tries = 0; tries < kTriesMax; ++tries) {
    store_be<uint32_t>(key.data() + 2, tries);
    const size_t has = KadId::of(key).shared_bits(own);
    if (has == shared) return key;
    if (best.empty() || (has < shared && has > best_shared)) {
      best = key;
      best_shared = has;
    }
  }
  return best;
}

}  // namespace sereus::discovery
