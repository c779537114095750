#include "core/crypto/keystore.h"

#include <algorithm>

#include "core/codec/cbor.h"
#include "core/codec/utf8.h"
#include "core/crypto/certificate.h"
#include "core/crypto/keystore_file.h"

namespace sereus::crypto {
namespace {

using codec::CborReader;
using codec::CborUintMap;
using codec::CborWriter;

constexpr std::string_view kKeystoreMagic = "sereus keystore";
constexpr std::string_view kBackupMagic = "sereus backup";
constexpr std::string_view kAuthorKeyContext = "sereus author key";
constexpr std::string_view kStorageKeyContext = "sereus storage key";

// Record ids. 4 is in keystores only, 7 in backups only.
constexpr uint64_t kPartySeed = 1;
constexpr uint64_t kDeviceSeed = 2;
constexpr uint64_t kAuthorRoot = 3;
constexpr uint64_t kStorageRoot = 4;
constexpr uint64_t kState = 5;
constexpr uint64_t kExtras = 6;
constexpr uint64_t kAttachment = 7;

constexpr uint64_t kKeystoreRecords[] = {kPartySeed, kDeviceSeed, kAuthorRoot, kStorageRoot, kState, kExtras};
constexpr uint64_t kBackupRecords[] = {kPartySeed, kDeviceSeed, kAuthorRoot, kState, kExtras, kAttachment};

Error damaged(const char* what) { return fail(Code::corrupt, std::string("the keystore's ") + what + " is damaged"); }

Status expect_records(const std::vector<SealedRecord>& records, std::span<const uint64_t> ids) {
  const bool same = std::equal(records.begin(), records.end(), ids.begin(), ids.end(),
                               [](const SealedRecord& record, uint64_t id) { return record.id == id; });
  return same ? Status() : Status(fail(Code::corrupt, "the keystore's records are not those of this version"));
}

SecretBuffer& content_of(std::vector<SealedRecord>& records, uint64_t id) {
  const auto found = std::find_if(records.begin(), records.end(), [&](const auto& record) { return record.id == id; });
  SEREUS_ASSERT(found != records.end());
  return found->content;
}

// The order of CBOR text keys: the head tells the length, so shorter comes first.
bool key_less(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : compare(as_bytes(a), as_bytes(b)) < 0;
}

bool extra_fits(std::string_view name, ByteView value) {
  return !name.empty() && name.size() <= kExtraNameMax && value.size() <= kExtraSizeMax;
}

}  // namespace

// ---- Opening ------------------------------------------------------------------------------------------------------

Status Keystore::adopt(std::vector<SealedRecord> records) {
  const auto take = [&](uint64_t id, SecretBytes<32>& into) {
    SecretBuffer& content = content_of(records, id);
    if (content.size() != into.kSize) return false;
    into = SecretBytes<32>(content.view());
    return true;
  };
  if (!take(kDeviceSeed, device_seed_)) return damaged("device key");
  if (!take(kAuthorRoot, author_root_)) return damaged("author root");
  if (!take(kStorageRoot, storage_root_)) return damaged("storage root");
  party_seed_.reset();
  if (!content_of(records, kPartySeed).empty()) {
    party_seed_.emplace();
    if (!take(kPartySeed, *party_seed_)) return damaged("party key");
  }
  SEREUS_TRY(adopt_state(content_of(records, kState).view()));
  SEREUS_TRY(adopt_extras(content_of(records, kExtras).view()));
  return adopt_keys();
}

// Key pairs from the seeds, and that the certificate is about them.
Status Keystore::adopt_keys() {
  device_ = KeyPair::from_seed(device_seed_);
  party_.reset();
  if (party_seed_) party_ = KeyPair::from_seed(*party_seed_);
  const auto certificate = verify_device_certificate(state_.device_certificate, std::nullopt);
  if (!certificate.ok()) return damaged("device certificate");
  if (certificate->device != device_->device_key()) return damaged("device certificate");
  if (party_ && certificate->party != party_->party_key()) return damaged("device certificate");
  party_key_ = certificate->party;
  device_serial_ = certificate->serial;
  return {};
}

Status Keystore::adopt_state(ByteView encoded) {
  CborReader reader(encoded);
  CborUintMap map(reader);
  State state;
  uint64_t key = 0;
  ByteView certificate;
  if (!map.next(key) || key != 1) reader.refuse("no incarnation");
  reader.get_fixed(state.incarnation.bytes);
  if (!map.next(key) || key != 2) reader.refuse("no certificate");
  reader.get_bytes(certificate);
  if (!map.next(key) || key != 3) reader.refuse("no date");
  reader.get_uint(state.created_at_s);
  if (!map.next(key) || key != 4) reader.refuse("no folder");
  reader.get_uint(state.folder_fingerprint);
  if (!map.finish().ok() || !reader.expect_end().ok()) return damaged("state");
  state.device_certificate = to_bytes(certificate);
  state_ = std::move(state);
  return {};
}

Status Keystore::adopt_extras(ByteView encoded) {
  CborReader reader(encoded);
  Extras extras;
  uint64_t count = 0;
  reader.get_map(count);
  if (count > kExtrasMax) reader.refuse("too many");
  for (uint64_t i = 0; i < count && !reader.failed(); ++i) {
    std::string_view name;
    ByteView value;
    reader.get_text(name);
    reader.get_bytes(value);
    if (!extra_fits(name, value)) reader.refuse("out of bounds");
    if (!extras.empty() && !key_less(extras.back().name, name)) reader.refuse("not in order");
    if (!reader.failed()) extras.push_back(Extra{std::string(name), SecretBuffer(value)});
  }
  if (!reader.expect_end().ok()) return damaged("map of named secrets");
  extras_ = std::move(extras);
  return {};
}

Result<Keystore> Keystore::open(Files& files, ByteView passphrase, const KeystoreOptions& options) {
  SEREUS_ASSIGN(const WipedBytes file, read_keystore_file(files, options.path));
  SEREUS_ASSIGN(OpenedFile opened, open_sealed_file(kKeystoreMagic, file.bytes, passphrase, options.floor));
  SEREUS_TRY(expect_records(opened.records, kKeystoreRecords));
  Keystore keystore(files, options);
  keystore.generation_ = opened.generation;
  keystore.key_ = std::move(opened.key);
  SEREUS_TRY(keystore.adopt(std::move(opened.records)));
  SEREUS_TRY(settle_keystore_file(files, options.path));
  remove_unfinished(files, options.path);
  return keystore;
}

Result<SealedFileInfo> Keystore::describe(Files& files, const KeystoreOptions& options) {
  SEREUS_ASSIGN(const WipedBytes file, read_keystore_file(files, options.path));
  return describe_sealed_file(kKeystoreMagic, file.bytes);
}

Status Keystore::erase(Files& files, const KeystoreOptions& options) {
  return erase_keystore_file(files, options.path);
}

// ---- Making -------------------------------------------------------------------------------------------------------

Result<Keystore> Keystore::create(Files& files, Random& random, ByteView passphrase, uint64_t now_s,
                                  const KeystoreOptions& options) {
  if (files.exists(options.path)) return fail(Code::exists, "there is an identity already");
  Keystore keystore(files, options);
  random.fill(keystore.party_seed_.emplace().span());
  random.fill(keystore.device_seed_.span());
  random.fill(keystore.author_root_.span());
  random.fill(keystore.storage_root_.span());
  State state;
  random.fill(state.incarnation.bytes);
  state.created_at_s = now_s;
  const KeyPair party = KeyPair::from_seed(*keystore.party_seed_);
  DeviceCertificate certificate;
  certificate.party = party.party_key();
  certificate.device = KeyPair::from_seed(keystore.device_seed_).device_key();
  certificate.serial = 1;
  certificate.issued_at_s = now_s;
  state.device_certificate = issue_certificate(party, certificate);
  SEREUS_ASSIGN(const FileKey key, make_file_key(kKeystoreMagic, random, passphrase, options.kdf, options.floor));
  SEREUS_TRY(keystore.save(random, key, state, {}));
  SEREUS_TRY(keystore.adopt_keys());
  return keystore;
}

Result<Keystore> Keystore::import_backup(Files& files, Random& random, ByteView backup, ByteView backup_passphrase,
                                         ByteView passphrase, SecretBuffer* attachment,
                                         const KeystoreOptions& options) {
  if (files.exists(options.path)) return fail(Code::exists, "there is an identity already");
  if (backup.size() > kBackupSizeMax) return fail(Code::too_large, "a backup is over 2 MiB");
  SEREUS_ASSIGN(const SealedFileInfo info, describe_sealed_file(kBackupMagic, backup));
  if (!info.has_passphrase) return fail(Code::corrupt, "a backup without protection is not one of ours");
  SEREUS_ASSIGN(OpenedFile opened, open_sealed_file(kBackupMagic, backup, backup_passphrase, options.floor));
  SEREUS_TRY(expect_records(opened.records, kBackupRecords));
  SecretBuffer attached = std::move(content_of(opened.records, kAttachment));
  opened.records.pop_back();

  Keystore keystore(files, options);
  SecretBuffer storage_root(keystore.storage_root_.kSize);
  random.fill(storage_root.span());
  opened.records.push_back(SealedRecord{kStorageRoot, std::move(storage_root)});
  SEREUS_TRY(keystore.adopt(std::move(opened.records)));
  State state = keystore.state_;
  random.fill(state.incarnation.bytes);
  state.folder_fingerprint = 0;
  SEREUS_ASSIGN(const FileKey key, make_file_key(kKeystoreMagic, random, passphrase, options.kdf, options.floor));
  SEREUS_TRY(keystore.save(random, key, state, keystore.extras_));
  if (attachment != nullptr) *attachment = std::move(attached);
  return keystore;
}

Result<Bytes> Keystore::export_backup(Random& random, ByteView passphrase, ByteView attachment) const {
  if (passphrase.empty()) return fail(Code::invalid, "a backup needs a passphrase");
  if (attachment.size() > kBackupAttachmentMax)
    return fail(Code::too_large, "the attachment of a backup is over 1 MiB");
  SEREUS_ASSIGN(const FileKey key, make_file_key(kBackupMagic, random, passphrase, options_.kdf, options_.floor));
  std::vector<SealedRecord> contents = records(state_, extras_);
  contents.erase(contents.begin() + (kStorageRoot - kPartySeed));
  contents.push_back(SealedRecord{kAttachment, SecretBuffer(attachment)});
  const WipedBytes sealed = seal_file(kBackupMagic, generation_, key, contents, random);
  return sealed.bytes;
}

// ---- Writing ------------------------------------------------------------------------------------------------------

std::vector<SealedRecord> Keystore::records(const State& state, const Extras& extras) const {
  WipedBytes encoded_state(kCertificateSizeMax + 128);
  CborWriter state_writer(encoded_state.bytes);
  state_writer.map(4);
  state_writer.uint(1);
  state_writer.bytes(state.incarnation.view());
  state_writer.uint(2);
  state_writer.bytes(state.device_certificate);
  state_writer.uint(3);
  state_writer.uint(state.created_at_s);
  state_writer.uint(4);
  state_writer.uint(state.folder_fingerprint);
  state_writer.finish();

  size_t extras_size = 16;
  for (const Extra& extra : extras) extras_size += 16 + extra.name.size() + extra.value.size();
  WipedBytes encoded_extras(extras_size);
  CborWriter extras_writer(encoded_extras.bytes);
  extras_writer.map(extras.size());
  for (const Extra& extra : extras) {
    extras_writer.text(extra.name);
    extras_writer.bytes(extra.value.view());
  }
  extras_writer.finish();

  std::vector<SealedRecord> all;
  const auto add = [&](uint64_t id, ByteView content) { all.push_back(SealedRecord{id, SecretBuffer(content)}); };
  add(kPartySeed, party_seed_ ? party_seed_->view() : ByteView());
  add(kDeviceSeed, device_seed_.view());
  add(kAuthorRoot, author_root_.view());
  add(kStorageRoot, storage_root_.view());
  add(kState, encoded_state.bytes);
  add(kExtras, encoded_extras.bytes);
  return all;
}

// Writes the file as it shall be, and only then becomes it.
Status Keystore::save(Random& random, const FileKey& key, const State& state, const Extras& extras) {
  const uint64_t generation = generation_ + 1;
  const WipedBytes file = seal_file(kKeystoreMagic, generation, key, records(state, extras), random);
  SEREUS_ASSERT(file.bytes.size() <= kKeystoreSizeMax);
  SEREUS_TRY(write_keystore_file(*files_, options_.path, file.bytes));
  FileKey copied;
  copied.key = key.key.clone();
  copied.protection = key.protection.clone();
  copied.has_passphrase = key.has_passphrase;
  Extras kept = copy_extras(extras);
  State next = state;
  generation_ = generation;
  key_ = std::move(copied);
  state_ = std::move(next);
  extras_ = std::move(kept);
  return {};
}

Status Keystore::new_incarnation(Random& random, uint64_t folder_fingerprint) {
  State state = state_;
  random.fill(state.incarnation.bytes);
  state.folder_fingerprint = folder_fingerprint;
  return save(random, key_, state, extras_);
}

Status Keystore::bind_folder(Random& random, uint64_t folder_fingerprint) {
  State state = state_;
  state.folder_fingerprint = folder_fingerprint;
  return save(random, key_, state, extras_);
}

Status Keystore::change_passphrase(Random& random, ByteView from, ByteView to) {
  // The file, not the object, says what the passphrase is.
  SEREUS_ASSIGN(const WipedBytes file, read_keystore_file(*files_, options_.path));
  SEREUS_ASSIGN(const OpenedFile opened, open_sealed_file(kKeystoreMagic, file.bytes, from, options_.floor));
  SEREUS_ASSIGN(const FileKey key, make_file_key(kKeystoreMagic, random, to, options_.kdf, options_.floor));
  return save(random, key, state_, extras_);
}

// ---- Derived keys -------------------------------------------------------------------------------------------------

KeyPair Keystore::author(const StoreId& store) const {
  return KeyPair::from_seed(derive_key(author_root_, kAuthorKeyContext, {store.view(), state_.incarnation.view()}));
}

Bytes Keystore::author_certificate(const StoreId& store, uint64_t issued_at_s) const {
  AuthorCertificate certificate;
  certificate.device = device_->device_key();
  certificate.author = author(store).author_key();
  certificate.store = store;
  certificate.incarnation = state_.incarnation;
  certificate.serial = 1;
  certificate.issued_at_s = issued_at_s;
  return issue_certificate(*device_, certificate);
}

SecretBytes<32> Keystore::storage_key(std::string_view purpose) const {
  return derive_key(storage_root_, kStorageKeyContext, {as_bytes(purpose)});
}

// ---- Named secrets ------------------------------------------------------------------------------------------------

Keystore::Extras Keystore::copy_extras(const Extras& extras) {
  Extras copy;
  copy.reserve(extras.size());
  for (const Extra& extra : extras) copy.push_back(Extra{extra.name, extra.value.clone()});
  return copy;
}

Keystore::Extras::iterator Keystore::find_extra(Extras& extras, std::string_view name) const {
  return std::lower_bound(extras.begin(), extras.end(), name,
                          [](const Extra& extra, std::string_view wanted) { return key_less(extra.name, wanted); });
}

Status Keystore::set_extra(Random& random, std::string_view name, ByteView value) {
  if (name.empty() || !valid_utf8(as_bytes(name))) return fail(Code::invalid, "a secret needs a name in UTF-8");
  if (!extra_fits(name, value)) return fail(Code::too_large, "a named secret is over its bounds");
  Extras extras = copy_extras(extras_);
  const auto at = find_extra(extras, name);
  if (at != extras.end() && at->name == name) {
    at->value = SecretBuffer(value);
  } else {
    if (extras.size() >= kExtrasMax) return fail(Code::too_large, "a keystore holds at most 64 named secrets");
    extras.insert(at, Extra{std::string(name), SecretBuffer(value)});
  }
  return save(random, key_, state_, extras);
}

Status Keystore::remove_extra(Random& random, std::string_view name) {
  Extras extras = copy_extras(extras_);
  const auto at = find_extra(extras, name);
  if (at == extras.end() || at->name != name) return {};
  extras.erase(at);
  return save(random, key_, state_, extras);
}

std::optional<ByteView> Keystore::extra(std::string_view name) const {
  for (const Extra& extra : extras_) {
    if (extra.name == name) return extra.value.view();
  }
  return std::nullopt;
}

std::vector<std::string> Keystore::extra_names() const {
  std::vector<std::string> names;
  names.reserve(extras_.size());
  for (const Extra& extra : extras_) names.push_back(extra.name);
  return names;
}

}  // namespace sereus::crypto
