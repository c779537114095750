// Keys from passphrases (Argon2id, RFC 9106) and keys from keys (keyed BLAKE2b).
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/crypto/secret.h"

namespace sereus::crypto {

inline constexpr size_t kArgon2SaltSize = 16;
inline constexpr uint64_t kArgon2Version = 0x13;  // RFC 9106 section 3.2; the only one

// Parameters come from files, so both ends are bounded before anything is allocated. Below the floor somebody made the
// passphrase cheap to guess; above the ceiling somebody makes us run out of memory or time.
inline constexpr uint64_t kArgon2OpsMin = 2;
inline constexpr uint64_t kArgon2OpsMax = 16;
inline constexpr uint64_t kArgon2MemKibMin = 64 * 1024;
inline constexpr uint64_t kArgon2MemKibMax = 1024 * 1024;

using Argon2Salt = std::array<uint8_t, kArgon2SaltSize>;

// One lane, as libsodium's crypto_pwhash.
struct Argon2Params {
  uint64_t ops = 0;  // passes
  uint64_t mem_kib = 0;
  uint64_t version = kArgon2Version;

  static Argon2Params moderate() { return {3, 256 * 1024, kArgon2Version}; }    // desktops: about 0.7 s
  static Argon2Params interactive() { return {2, 64 * 1024, kArgon2Version}; }  // phones, browsers: about 0.06 s
  // Below the floor: refused by everything that was not told ArgonFloor::tests.
  static Argon2Params weak_for_tests() { return {1, 8, kArgon2Version}; }

  friend bool operator==(const Argon2Params&, const Argon2Params&) = default;
};

enum class Argon2Floor : uint8_t { production, tests };

// Code::corrupt when a parameter is under the floor or over the ceiling, Code::too_new for another version.
Status check_argon2(const Argon2Params& params, Argon2Floor floor = Argon2Floor::production);

// 32 bytes from a passphrase. Takes params.mem_kib of memory and long: a worker job. Code::no_memory when it is not to
// be had, otherwise the errors of check_argon2.
Result<SecretBytes<32>> argon2id(ByteView passphrase, const Argon2Salt& salt, const Argon2Params& params,
                                 Argon2Floor floor = Argon2Floor::production);

// A key for one purpose from a key: BLAKE2b-256 keyed with `key` over context || 0x00 || for each part its length as
// 8 bytes little-endian, then its bytes. A context is one of our own constants and contains no NUL.
SecretBytes<32> derive_key(const SecretBytes<32>& key, std::string_view context,
                           std::initializer_list<ByteView> parts = {});

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
