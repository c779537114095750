// Hashes: BLAKE2b (RFC 7693), ours wherever we choose, and SHA-256 where a standard asks for it.
#pragma once

#include <string_view>

#include "core/base/bytes.h"
#include "core/base/ids.h"

namespace sereus::crypto {

inline constexpr size_t kHashKeyMax = 64;  // RFC 7693 section 2.9

// BLAKE2b with a 32-byte digest, no key.
Hash blake2b_256(ByteView data);

// BLAKE2b-256 of context || 0x00 || data: the same data means different things in different places. A context is one
// of our own constants and contains no NUL.
Hash hash_in_context(std::string_view context, ByteView data);

// Keyed BLAKE2b-256, a MAC and a PRF. `key` is 16 to 64 bytes.
Hash keyed_hash(ByteView key, ByteView data);

// The first 16 bytes of BLAKE2b-256.
Digest digest_128(ByteView data);
Digest truncate(const Hash& hash);

// FIPS 180-4.
Hash sha256(ByteView data);

// BLAKE2b-256 in parts. Wiped when destroyed.
class Blake2b {
 public:
  Blake2b();
  // Keyed; 16 to 64 bytes.
  explicit Blake2b(ByteView key);
  // Begins with context || 0x00, as hash_in_context.
  static Blake2b in_context(std::string_view context);
  Blake2b(const Blake2b&) = default;
  Blake2b& operator=(const Blake2b&) = default;
  ~Blake2b();

  Blake2b& update(ByteView data);
  // The digest of all parts. Once only; copy the object first to go on.
  Hash finish();

 private:
  alignas(64) uint8_t state_[384];  // crypto_generichash_state
};

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
