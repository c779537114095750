#include "core/crypto/sealed_file.h"

#include <string>

#include "core/base/ids.h"
#include "core/codec/cbor.h"
#include "core/crypto/hash.h"

namespace sereus::crypto {
namespace {

using codec::CborReader;
using codec::CborUintMap;
using codec::CborWriter;

constexpr std::string_view kChecksumContext = "sereus sealed file checksum 1";
constexpr std::string_view kWrapContext = "sereus sealed file key 1";
constexpr std::string_view kRecordContext = "sereus sealed file record 1";

constexpr uint64_t kOpen = 0;
constexpr uint64_t kArgon2 = 1;
constexpr size_t kWrappedSize = kAeadKeySize + kAeadTagSize;
constexpr size_t kFramingSizeMax = 512;       // all but the records, generously
constexpr size_t kRecordFramingSizeMax = 64;  // id, nonce, tag and heads of one record

// How the key lies in the header, parsed.
struct Protection {
  uint64_t kind = kOpen;
  std::array<uint8_t, kAeadKeySize> open_key{};
  Argon2Params kdf;
  Argon2Salt salt{};
  AeadNonce nonce{};
  std::array<uint8_t, kWrappedSize> wrapped{};

  Protection() = default;
  Protection(const Protection&) = default;
  Protection& operator=(const Protection&) = default;
  ~Protection() { wipe(open_key); }
};

struct RecordView {
  uint64_t id = 0;
  AeadNonce nonce{};
  ByteView sealed;
};

struct FileView {
  ByteView header;
  uint64_t generation = 0;
  ByteView protection_bytes;
  Protection protection;
  std::vector<RecordView> records;
};

Hash checksum_of(ByteView file) { return hash_in_context(kChecksumContext, file); }

// context 0x00 magic 0x00 [ops, KiB, version, salt]
Bytes wrap_associated(std::string_view magic, const Argon2Params& kdf, const Argon2Salt& salt) {
  Bytes out = to_bytes(kWrapContext);
  out.push_back(0);
  append(out, as_bytes(magic));
  out.push_back(0);
  CborWriter writer(out);
  writer.array(4);
  writer.uint(kdf.ops);
  writer.uint(kdf.mem_kib);
  writer.uint(kdf.version);
  writer.bytes(salt);
  return out;
}

// context 0x00 magic 0x00 [version, id, H(header)]
Bytes record_associated(std::string_view magic, uint64_t id, const Hash& header_hash) {
  Bytes out = to_bytes(kRecordContext);
  out.push_back(0);
  append(out, as_bytes(magic));
  out.push_back(0);
  CborWriter writer(out);
  writer.array(3);
  writer.uint(kSealedFileVersion);
  writer.uint(id);
  writer.bytes(header_hash.view());
  return out;
}

void read_protection(CborReader& reader, Protection& protection) {
  uint64_t count = 0;
  reader.get_array(count);
  reader.get_uint(protection.kind);
  if (protection.kind == kOpen && count == 2) {
    reader.get_fixed(protection.open_key);
  } else if (protection.kind == kArgon2 && count == 7) {
    reader.get_uint(protection.kdf.ops);
    reader.get_uint(protection.kdf.mem_kib);
    reader.get_uint(protection.kdf.version);
    reader.get_fixed(protection.salt);
    reader.get_fixed(protection.nonce);
    reader.get_fixed(protection.wrapped);
  } else {
    reader.refuse("an unknown protection");
  }
}

Status read_header(FileView& view) {
  CborReader reader(view.header);
  CborUintMap map(reader);
  uint64_t key = 0;
  if (!map.next(key) || key != 1) reader.refuse("no generation");
  reader.get_uint(view.generation);
  if (!map.next(key) || key != 2) reader.refuse("no protection");
  const size_t from = reader.position();
  read_protection(reader, view.protection);
  view.protection_bytes = reader.since(from);
  SEREUS_TRY(map.finish());
  return reader.expect_end();
}

Status read_records(CborReader& reader, FileView& view) {
  uint64_t count = 0;
  reader.get_array(count);
  if (count > kSealedRecordsMax) reader.refuse("too many records");
  for (uint64_t i = 0; i < count && !reader.failed(); ++i) {
    RecordView record;
    uint64_t parts = 0;
    reader.get_array(parts);
    if (parts != 3) reader.refuse("a record has three parts");
    reader.get_uint(record.id);
    if (i > 0 && record.id <= view.records.back().id) reader.refuse("records are not in order");
    reader.get_fixed(record.nonce);
    reader.get_bytes(record.sealed);
    view.records.push_back(record);
  }
  return reader.expect_end();
}

// What does not parse although its checksum holds was made wrong, or by somebody else: still damage to whoever reads.
Error as_corrupt(const Error& error) { return fail(Code::corrupt, "the content does not parse: " + error.detail); }

Result<FileView> parse(std::string_view magic, ByteView file) {
  if (file.size() < Hash::kSize) return fail(Code::corrupt, "the file is truncated");
  const ByteView content = file.first(file.size() - Hash::kSize);
  if (!equal(checksum_of(content).view(), file.last(Hash::kSize))) {
    return fail(Code::corrupt, "the file is damaged or truncated");
  }
  CborReader reader(content);
  uint64_t count = 0;
  std::string_view found;
  uint64_t version = 0;
  reader.get_array(count);
  reader.get_text(found);
  if (reader.failed() || found != magic) {
    return fail(Code::malformed, "not a \"" + std::string(magic) + "\" file");
  }
  reader.get_uint(version);
  if (!reader.failed() && version > kSealedFileVersion) {
    return fail(Code::too_new, "the file has version " + std::to_string(version) + "; this Sereus knows " +
                                   std::to_string(kSealedFileVersion));
  }
  if (version != kSealedFileVersion || count != 4) reader.refuse("a wrong version or number of parts");
  FileView view;
  reader.get_bytes(view.header);
  if (const Status status = read_records(reader, view); !status.ok()) return as_corrupt(status.error());
  if (const Status status = read_header(view); !status.ok()) return as_corrupt(status.error());
  return view;
}

Result<AeadKey> unlock(std::string_view magic, const Protection& protection, ByteView passphrase, Argon2Floor floor) {
  if (protection.kind == kOpen) return AeadKey(ByteView(protection.open_key));
  SEREUS_TRY(check_argon2(protection.kdf, floor));
  if (passphrase.empty()) return fail(Code::passphrase, "a passphrase is needed");
  if (passphrase.size() > kPassphraseSizeMax) return fail(Code::passphrase, "the passphrase is wrong");
  SEREUS_ASSIGN(const AeadKey wrapping, argon2id(passphrase, protection.salt, protection.kdf, floor));
  auto key = aead_open(wrapping, protection.nonce, wrap_associated(magic, protection.kdf, protection.salt),
                       protection.wrapped);
  if (!key.ok()) return fail(Code::passphrase, "the passphrase is wrong");
  return AeadKey(key->view());
}

}  // namespace

Result<FileKey> make_file_key(std::string_view magic, Random& random, ByteView passphrase, const Argon2Params& kdf,
                              Argon2Floor floor) {
  if (passphrase.size() > kPassphraseSizeMax) return fail(Code::too_large, "a passphrase has at most 1024 bytes");
  FileKey made;
  made.has_passphrase = !passphrase.empty();
  random.fill(made.key.span());
  WipedBytes encoded(256);
  CborWriter writer(encoded.bytes);
  if (passphrase.empty()) {
    writer.array(2);
    writer.uint(kOpen);
    writer.bytes(made.key.view());
  } else {
    Argon2Salt salt{};
    random.fill(salt);
    const AeadNonce nonce = random_nonce(random);
    SEREUS_ASSIGN(const AeadKey wrapping, argon2id(passphrase, salt, kdf, floor));
    writer.array(7);
    writer.uint(kArgon2);
    writer.uint(kdf.ops);
    writer.uint(kdf.mem_kib);
    writer.uint(kdf.version);
    writer.bytes(salt);
    writer.bytes(nonce);
    writer.bytes(aead_seal(wrapping, nonce, wrap_associated(magic, kdf, salt), made.key.view()));
  }
  made.protection = SecretBuffer(ByteView(encoded.bytes));
  return made;
}

WipedBytes seal_file(std::string_view magic, uint64_t generation, const FileKey& key,
                     std::span<const SealedRecord> records, Random& random) {
  SEREUS_ASSERT(records.size() <= kSealedRecordsMax);
  WipedBytes header(kFramingSizeMax);
  CborWriter header_writer(header.bytes);
  header_writer.map(2);
  header_writer.uint(1);
  header_writer.uint(generation);
  header_writer.uint(2);
  header_writer.encoded_item(key.protection.view());
  header_writer.finish();
  const Hash header_hash = blake2b_256(header.bytes);

  size_t size = kFramingSizeMax;
  for (const auto& record : records) size += kRecordFramingSizeMax + record.content.size();
  WipedBytes file(size);
  CborWriter writer(file.bytes);
  writer.array(4);
  writer.text(magic);
  writer.uint(kSealedFileVersion);
  writer.bytes(header.bytes);
  writer.array(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    const SealedRecord& record = records[i];
    SEREUS_ASSERT(i == 0 || records[i - 1].id < record.id);
    const AeadNonce nonce = random_nonce(random);
    writer.array(3);
    writer.uint(record.id);
    writer.bytes(nonce);
    writer.bytes(aead_seal(key.key, nonce, record_associated(magic, record.id, header_hash), record.content.view()));
  }
  writer.finish();
  append(file.bytes, checksum_of(file.bytes).view());
  SEREUS_ASSERT(file.bytes.size() <= size);
  return file;
}

Result<SealedFileInfo> describe_sealed_file(std::string_view magic, ByteView file) {
  SEREUS_ASSIGN(const FileView view, parse(magic, file));
  return SealedFileInfo{view.generation, view.protection.kind == kArgon2, view.protection.kdf};
}

Result<OpenedFile> open_sealed_file(std::string_view magic, ByteView file, ByteView passphrase, Argon2Floor floor) {
  SEREUS_ASSIGN(const FileView view, parse(magic, file));
  SEREUS_ASSIGN(AeadKey key, unlock(magic, view.protection, passphrase, floor));
  OpenedFile opened;
  opened.generation = view.generation;
  opened.key.key = std::move(key);
  opened.key.protection = SecretBuffer(view.protection_bytes);
  opened.key.has_passphrase = view.protection.kind == kArgon2;
  const Hash header_hash = blake2b_256(view.header);
  for (const RecordView& record : view.records) {
    SEREUS_ASSIGN(SecretBuffer content, aead_open(opened.key.key, record.nonce,
                                                  record_associated(magic, record.id, header_hash), record.sealed));
    opened.records.push_back(SealedRecord{record.id, std::move(content)});
  }
  return opened;
}

}  // namespace sereus::crypto
