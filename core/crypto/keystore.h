// A data folder's secrets: who it is (party and device keys), the root its author keys come from, the root of its
// database keys, and named secrets of later rooms. One file over the Files port, encrypted with a passphrase or,
// without one, protected by its file mode alone (docs/formats/keystore.md).
//
// Every change writes the whole file aside, makes it durable and renames it over the old one: after a crash the file is
// the old one or the new one. A change that fails leaves the object as it was; when the failure came after the rename
// (Code::io), the file may already be the new one, which is as good.
//
// Thread rule: one thread at a time; what derives keys from a passphrase (create, open, change_passphrase, backups)
// takes long and much memory and belongs on the worker queue. Whoever uses a keystore holds the lock of the data
// folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/crypto/kdf.h"
#include "core/crypto/sealed_file.h"
#include "core/crypto/secret.h"
#include "core/crypto/sign.h"
#include "core/ports/files.h"
#include "core/ports/random.h"

namespace sereus::crypto {

inline constexpr size_t kKeystoreSizeMax = 512 * 1024;       // of the file; read into memory whole
inline constexpr size_t kBackupSizeMax = 2 * 1024 * 1024;    // of an exported backup
inline constexpr size_t kBackupAttachmentMax = 1024 * 1024;  // where the stores are: a few hundred bytes each
inline constexpr size_t kExtrasMax = 64;                     // named secrets
inline constexpr size_t kExtraNameMax = 64;                  // bytes of UTF-8
inline constexpr size_t kExtraSizeMax = 4096;

struct KeystoreOptions {
  std::string path = "keystore";                // in the data folder; "<path>.new" is used while writing
  Argon2Params kdf = Argon2Params::moderate();  // for what is written; what is read says its own
  Argon2Floor floor = Argon2Floor::production;
};

class Keystore {
 public:
  // Makes a new identity: party, device, incarnation, and the device's certificate (serial 1, no expiry, issued at
  // `now_s`, seconds since 1970). An empty passphrase leaves the file unprotected. Code::exists when there is a file.
  static Result<Keystore> create(Files& files, Random& random, ByteView passphrase, uint64_t now_s,
                                 const KeystoreOptions& options = {});

  // Code::no_identity when there is no file, Code::passphrase, Code::corrupt, Code::malformed, Code::too_new. A
  // passphrase given for an unprotected file is ignored. Removes what a crash left of an unfinished write. What it finds
  // is durable when it returns.
  static Result<Keystore> open(Files& files, ByteView passphrase, const KeystoreOptions& options = {});

  // What is known without the passphrase. Errors as open().
  static Result<SealedFileInfo> describe(Files& files, const KeystoreOptions& options = {});

  // Overwrites and removes the file and its leftovers; ok when there is none. Journals and flash translation may keep
  // old sectors: only a passphrase protects against somebody who reads those.
  static Status erase(Files& files, const KeystoreOptions& options = {});

  // Writes a keystore from a backup: the same party, device and author root, a NEW incarnation (so the author keys are
  // others and the logs of the original are never continued), a new storage root, and `passphrase` for the new file.
  // `attachment`, when not null, gets what export_backup was given. Code::exists when there is a keystore;
  // Code::passphrase for a wrong backup passphrase; Code::too_large; else as open().
  static Result<Keystore> import_backup(Files& files, Random& random, ByteView backup, ByteView backup_passphrase,
                                        ByteView passphrase, SecretBuffer* attachment = nullptr,
                                        const KeystoreOptions& options = {});

  Keystore(Keystore&&) noexcept = default;
  Keystore& operator=(Keystore&&) noexcept = default;

  // Nothing when the party's seed is not on this device; its certificate still names the party.
  const KeyPair* party() const { return party_ ? &*party_ : nullptr; }
  const PartyKey& party_key() const { return party_key_; }
  const KeyPair& device() const { return *device_; }
  const SecretBytes<kSeedSize>& device_seed() const { return device_seed_; }
  // The party's certificate for this device, on the wire form.
  const Bytes& device_certificate() const { return state_.device_certificate; }
  uint64_t device_serial() const { return device_serial_; }
  uint64_t created_at_s() const { return state_.created_at_s; }
  bool has_passphrase() const { return key_.has_passphrase; }

  // One life of this data folder. Author keys belong to it.
  const Incarnation& incarnation() const { return state_.incarnation; }
  // Files::fingerprint of the folder the incarnation is bound to, 0 when not bound. Another one now means that the
  // folder was copied or restored: take a new incarnation before writing.
  uint64_t folder_fingerprint() const { return state_.folder_fingerprint; }
  Status new_incarnation(Random& random, uint64_t folder_fingerprint);
  // Binds the present incarnation.
  Status bind_folder(Random& random, uint64_t folder_fingerprint);

  // The key that signs entries of `store` in this incarnation: always the same, derived from the author root.
  KeyPair author(const StoreId& store) const;
  // The device's certificate for it (serial 1: the incarnation tells author keys apart; no expiry).
  Bytes author_certificate(const StoreId& store, uint64_t issued_at_s) const;

  // A key for encrypting local files of one purpose ("database", ...). Not in backups: other files, other keys.
  SecretBytes<32> storage_key(std::string_view purpose) const;

  // Proves `from` (Code::passphrase when it is wrong; ignored while unprotected), then protects with `to` under a new
  // file key; empty: no protection. What `from` opened before, old copies of the file included, it still opens.
  Status change_passphrase(Random& random, ByteView from, ByteView to);

  // Named secrets for other rooms. Code::too_large over the bounds, Code::invalid for a name that is empty or not
  // UTF-8.
  Status set_extra(Random& random, std::string_view name, ByteView value);
  Status remove_extra(Random& random, std::string_view name);  // ok when there is none
  // A view until the next change; nothing when there is none.
  std::optional<ByteView> extra(std::string_view name) const;
  std::vector<std::string> extra_names() const;

  // All of it, except the storage root, under a passphrase of its own (not empty: Code::invalid). `attachment` is the
  // caller's and comes back from import_backup.
  Result<Bytes> export_backup(Random& random, ByteView passphrase, ByteView attachment = {}) const;

 private:
  struct State {
    Incarnation incarnation;
    Bytes device_certificate;
    uint64_t created_at_s = 0;
    uint64_t folder_fingerprint = 0;
  };
  struct Extra {
    std::string name;
    SecretBuffer value;
  };
  using Extras = std::vector<Extra>;  // in the order of their CBOR keys: length, then bytes

  Keystore(Files& files, KeystoreOptions options) : files_(&files), options_(std::move(options)) {}
  Status adopt(std::vector<SealedRecord> records);
  Status adopt_keys();
  Status adopt_state(ByteView encoded);
  Status adopt_extras(ByteView encoded);
  static Extras copy_extras(const Extras& extras);
  std::vector<SealedRecord> records(const State& state, const Extras& extras) const;
  Status save(Random& random, const FileKey& key, const State& state, const Extras& extras);
  Extras::iterator find_extra(Extras& extras, std::string_view name) const;

  Files* files_;
  KeystoreOptions options_;
  FileKey key_;
  uint64_t generation_ = 0;
  std::optional<SecretBytes<kSeedSize>> party_seed_;
  SecretBytes<kSeedSize> device_seed_;
  SecretBytes<32> author_root_;
  SecretBytes<32> storage_root_;
  State state_;
  Extras extras_;
  // From the above:
  std::optional<KeyPair> party_;
  std::optional<KeyPair> device_;
  PartyKey party_key_;
  uint64_t device_serial_ = 0;
};

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
