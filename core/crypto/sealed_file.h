// The container that keystores and backups are (docs/formats/keystore.md): a random key, itself protected by a
// passphrase or lying open, and records sealed with it. Knows nothing about what the records mean.
//
//   file    = CBOR [magic, version, header bytes, records] || BLAKE2b-256 of all that precedes, in a context
//   header  = CBOR {1: generation, 2: protection}
//   protection = [0, key(32)] or [1, argon2 ops, KiB, version, salt(16), nonce(24), wrapped key(48)]
//   records = [[id, nonce(24), sealed], ...], ids ascending
//
// The checksum tells damage from a wrong passphrase. The seal of each record covers its id and the header, whose
// generation grows with every write, so no record can be put into another file or another state of this one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/crypto/aead.h"
#include "core/crypto/kdf.h"
#include "core/crypto/secret.h"
#include "core/ports/random.h"

namespace sereus::crypto {

inline constexpr uint64_t kSealedFileVersion = 1;
inline constexpr size_t kSealedRecordsMax = 16;
inline constexpr size_t kPassphraseSizeMax = 1024;  // longer is a mistake, such as a file's content

// Bytes that are wiped when they go: for encodings of secrets. Reserve before writing, so that growing leaves no
// copies.
class WipedBytes {
 public:
  explicit WipedBytes(size_t reserve = 0) { bytes.reserve(reserve); }
  explicit WipedBytes(Bytes taken) : bytes(std::move(taken)) {}
  WipedBytes(WipedBytes&&) noexcept = default;
  WipedBytes& operator=(WipedBytes&&) = delete;
  WipedBytes(const WipedBytes&) = delete;
  WipedBytes& operator=(const WipedBytes&) = delete;
  ~WipedBytes() { wipe(bytes); }
  Bytes bytes;
};

struct SealedRecord {
  uint64_t id = 0;
  SecretBuffer content;
};

// The key of a file, and how it is written down.
struct FileKey {
  AeadKey key;
  SecretBuffer protection;  // the CBOR of `protection`; holds the key itself when there is no passphrase
  bool has_passphrase = false;
};

// Draws a new key. An empty passphrase leaves it open. Errors of argon2id; Code::too_large for a passphrase over the
// limit.
Result<FileKey> make_file_key(std::string_view magic, Random& random, ByteView passphrase, const Argon2Params& kdf,
                              Argon2Floor floor);

// Precondition: ids ascend, at most kSealedRecordsMax.
WipedBytes seal_file(std::string_view magic, uint64_t generation, const FileKey& key,
                     std::span<const SealedRecord> records, Random& random);

// What can be known without the passphrase.
struct SealedFileInfo {
  uint64_t generation = 0;
  bool has_passphrase = false;
  Argon2Params kdf;  // meaningful with a passphrase
};

// Checks the outside. Code::corrupt for damage, Code::malformed for a file that is something else, Code::too_new.
Result<SealedFileInfo> describe_sealed_file(std::string_view magic, ByteView file);

struct OpenedFile {
  uint64_t generation = 0;
  FileKey key;
  std::vector<SealedRecord> records;  // ids ascend
};

// Also Code::passphrase when it is wrong or missing (a passphrase that is not needed is ignored), and Code::corrupt for
// Argon2 parameters out of bounds, before anything of their size is allocated.
Result<OpenedFile> open_sealed_file(std::string_view magic, ByteView file, ByteView passphrase, Argon2Floor floor);

}  // namespace sereus::crypto
