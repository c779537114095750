#include "core/store/entry.h"

#include <algorithm>

#include "core/codec/cbor.h"
#include "core/crypto/certificate.h"
#include "core/crypto/hash.h"
#include "core/store/body_writer.h"

namespace sereus::store {
namespace {

constexpr std::string_view kSignContext = "sereus entry 1";
constexpr std::string_view kRootContext = "sereus root 1";
constexpr size_t kNonceSize = 16;
constexpr size_t kFewOps = 16;  // up to here, comparing every key with every other beats sorting

bool strictly_ascending(const std::vector<Hash>& hashes) {
  return std::adjacent_find(hashes.begin(), hashes.end(), [](const Hash& a, const Hash& b) { return !(a < b); }) ==
         hashes.end();
}

template <typename OpType>
bool writes_key(const OpType& op) {
  return op.kind == OpKind::put || op.kind == OpKind::remove;
}

// True when two operations write one key.
template <typename OpType>
bool duplicate_key(const std::vector<OpType>& ops) {
  if (ops.size() <= kFewOps) {
    for (size_t i = 0; i < ops.size(); ++i) {
      for (size_t j = i + 1; j < ops.size(); ++j) {
        if (writes_key(ops[i]) && writes_key(ops[j]) && equal(ops[i].key, ops[j].key)) return true;
      }
    }
    return false;
  }
  std::vector<ByteView> keys;
  keys.reserve(ops.size());
  for (const OpType& op : ops) {
    if (writes_key(op)) keys.emplace_back(op.key);
  }
  std::sort(keys.begin(), keys.end(), [](ByteView a, ByteView b) { return compare(a, b) < 0; });
  return std::adjacent_find(keys.begin(), keys.end(), [](ByteView a, ByteView b) { return equal(a, b); }) != keys.end();
}

Error malformed(std::string detail) { return fail(Code::malformed, "entry: " + std::move(detail)); }

// Where the operations of an entry may stand: author first, genesis right after it and only in the first entry.
template <typename OpType>
Status check_places(const std::vector<OpType>& ops, uint64_t seq) {
  for (size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].kind == OpKind::author && i != 0) return malformed("certificates that are not its first operation");
    if (ops[i].kind == OpKind::genesis && (seq != 1 || i != 1 || ops[0].kind != OpKind::author)) {
      return malformed("a genesis that is not right after the certificates of a first entry");
    }
  }
  if (duplicate_key(ops)) return malformed("a key twice");
  return {};
}

// `count` hashes in ascending order.
bool get_hashes(CborReader& in, size_t max, std::vector<Hash>& hashes, bool* too_many) {
  uint64_t count = 0;
  if (!in.get_array(count)) return false;
  if (count > max) {
    *too_many = true;
    return in.refuse("too many hashes");
  }
  hashes.resize(static_cast<size_t>(count));
  for (Hash& hash : hashes) {
    if (!in.get_fixed(hash.bytes)) return false;
  }
  return strictly_ascending(hashes) || in.refuse("hashes are not in ascending order");
}

class BodyParser {
 public:
  explicit BodyParser(ByteView body) : in_(body) { entry_.body = body; }

  Result<EntryView> parse() {
    if (entry_.body.size() + kSignatureSize > kEntrySizeMax) return fail(Code::too_large, "entry: over 2 MiB");
    if (!parse_head() || !parse_ops()) return error();
    SEREUS_TRY(in_.expect_end());
    SEREUS_TRY(check_places(entry_.ops, entry_.seq));
    return std::move(entry_);
  }

 private:
  Error error() const {
    if (limit_ != nullptr) return fail(Code::too_large, std::string("entry: ") + limit_);
    if (refusal_.code != Code::ok) return refusal_;
    return in_.error();
  }
  bool over(const char* limit) {
    limit_ = limit;
    return false;
  }
  bool refuse(Code code, const char* why) {
    refusal_ = fail(code, std::string("entry: ") + why);
    return false;
  }

  bool parse_head() {
    uint64_t items = 0;
    uint64_t version = 0;
    if (!in_.get_array(items) || !in_.get_uint(version)) return false;
    if (version > kEntryVersion) return refuse(Code::too_new, "written in a newer format");
    if (version != kEntryVersion || items != kBodyItems) return in_.refuse("not an entry of version 1");
    uint64_t counter = 0;
    if (!in_.get_fixed(entry_.store.bytes) || !in_.get_fixed(entry_.author.bytes) ||
        !in_.get_fixed(entry_.prev.bytes) || !in_.get_uint(entry_.seq) || !in_.get_uint(entry_.hlc.wall_ms) ||
        !in_.get_uint(counter) || !in_.get_uint(entry_.key_epoch)) {
      return false;
    }
    if (entry_.seq == 0 || entry_.seq > INT64_MAX) return in_.refuse("a sequence number out of range");
    if ((entry_.seq == 1) != entry_.prev.is_zero()) return in_.refuse("prev is zeros in a first entry and only there");
    if (entry_.hlc.wall_ms > kHlcWallMsMax || counter > UINT16_MAX) return in_.refuse("a timestamp out of range");
    entry_.hlc.counter = static_cast<uint16_t>(counter);
    if (entry_.key_epoch != 0) return refuse(Code::unsupported, "a key epoch, which this version does not know");
    if (in_.peek_kind() == CborKind::null) return in_.get_null();
    bool too_many = false;
    entry_.authority.emplace();
    if (!get_hashes(in_, kAuthorityHeadsMax, *entry_.authority, &too_many)) {
      return too_many ? over("cites too many authority heads") : false;
    }
    return !entry_.authority->empty() || in_.refuse("an empty authority");
  }

  bool parse_ops() {
    uint64_t count = 0;
    if (!in_.get_array(count)) return false;
    if (count == 0) return in_.refuse("no operations");
    if (count > kOpsPerEntryMax) return over("too many operations");
    entry_.ops.resize(static_cast<size_t>(count));
    for (OpView& op : entry_.ops) {
      if (!parse_op(op)) return false;
    }
    return true;
  }

  bool parse_op(OpView& op) {
    uint64_t items = 0;
    uint64_t kind = 0;
    if (!in_.get_array(items) || !in_.get_uint(kind)) return false;
    switch (kind) {
      case static_cast<uint64_t>(OpKind::put):
        op.kind = OpKind::put;
        if (items != 4) return in_.refuse("a put with another number of items");
        if (!parse_key(op) || !in_.get_bytes(op.value)) return false;
        if (op.value.size() > kValueSizeMax) return over("a value over 1 MiB");
        return parse_parents(op);
      case static_cast<uint64_t>(OpKind::remove):
        op.kind = OpKind::remove;
        if (items != 3) return in_.refuse("a delete with another number of items");
        return parse_key(op) && parse_parents(op);
      case static_cast<uint64_t>(OpKind::author):
        op.kind = OpKind::author;
        if (items != 2) return in_.refuse("an author operation with another number of items");
        return parse_certificates(op);
      case static_cast<uint64_t>(OpKind::genesis):
        op.kind = OpKind::genesis;
        if (items != 3) return in_.refuse("a genesis with another number of items");
        if (!in_.get_fixed(op.party.bytes) || !in_.get_bytes(op.nonce)) return false;
        return op.nonce.size() == kNonceSize || in_.refuse("a nonce of another length than 16");
      default:
        return refuse(Code::unsupported, "an operation this version does not know");
    }
  }

  bool parse_key(OpView& op) {
    if (!in_.get_bytes(op.key)) return false;
    if (op.key.empty()) return in_.refuse("an empty key");
    return op.key.size() <= kKeySizeMax || over("a key over 4 KiB");
  }

  bool parse_parents(OpView& op) {
    bool too_many = false;
    if (get_hashes(in_, kParentsPerOpMax, op.parents, &too_many)) return true;
    return too_many ? over("an operation with too many parents") : false;
  }

  bool parse_certificates(OpView& op) {
    uint64_t count = 0;
    if (!in_.get_array(count)) return false;
    if (count != kCertificatesPerOp) return in_.refuse("an author operation with other than two certificates");
    op.certificates.resize(static_cast<size_t>(count));
    for (ByteView& certificate : op.certificates) {
      if (!in_.get_bytes(certificate)) return false;
      if (certificate.size() > crypto::kCertificateSizeMax) return over("a certificate over 512 bytes");
    }
    return true;
  }

  CborReader in_;
  EntryView entry_;
  const char* limit_ = nullptr;
  Error refusal_{Code::ok, {}};
};

Status check_op(const Op& op) {
  switch (op.kind) {
    case OpKind::put:
    case OpKind::remove:
      if (op.key.empty()) return malformed("an empty key");
      if (op.key.size() > kKeySizeMax) return fail(Code::too_large, "entry: a key over 4 KiB");
      if (op.value.size() > kValueSizeMax) return fail(Code::too_large, "entry: a value over 1 MiB");
      if (op.parents.size() > kParentsPerOpMax) return fail(Code::too_large, "entry: too many parents");
      if (!strictly_ascending(op.parents)) return malformed("parents are not in ascending order");
      return {};
    case OpKind::author:
      if (op.certificates.size() != kCertificatesPerOp) return malformed("other than two certificates");
      for (const Bytes& certificate : op.certificates) {
        if (certificate.size() > crypto::kCertificateSizeMax) return fail(Code::too_large, "entry: a certificate");
      }
      return {};
    case OpKind::genesis:
      return {};
  }
  return malformed("an unknown operation");
}

void write_op(BodyWriter& writer, const Op& op) {
  switch (op.kind) {
    case OpKind::put:
      writer.put(op.key, op.value, op.parents);
      return;
    case OpKind::remove:
      writer.remove(op.key, op.parents);
      return;
    case OpKind::author:
      writer.author(op.certificates);
      return;
    case OpKind::genesis:
      writer.genesis(op.party, op.nonce);
      return;
  }
}

}  // namespace

Bytes encode_body(const EntryDraft& draft) {
  size_t size = kEntryPrefixSize + 64;
  for (const Op& op : draft.ops) size += op.key.size() + op.value.size() + 34 * op.parents.size() + 128;
  Bytes out;
  out.reserve(size);
  const BodyHead head{draft.store, draft.author, draft.prev, draft.seq, draft.hlc, draft.key_epoch};
  BodyWriter writer(out, head, draft.authority ? &*draft.authority : nullptr, draft.ops.size());
  for (const Op& op : draft.ops) write_op(writer, op);
  writer.finish();
  return out;
}

Status check_draft(const EntryDraft& draft) {
  if (draft.seq == 0 || draft.seq > INT64_MAX) return malformed("a sequence number out of range");
  if ((draft.seq == 1) != draft.prev.is_zero()) return malformed("prev is zeros in a first entry and only there");
  if (draft.hlc.wall_ms > kHlcWallMsMax) return malformed("a timestamp out of range");
  if (draft.key_epoch != 0) return fail(Code::unsupported, "entry: a key epoch");
  if (draft.authority) {
    if (draft.authority->empty()) return malformed("an empty authority");
    if (draft.authority->size() > kAuthorityHeadsMax) return fail(Code::too_large, "entry: too many authority heads");
    if (!strictly_ascending(*draft.authority)) return malformed("authority heads are not in ascending order");
  }
  if (draft.ops.empty()) return malformed("no operations");
  if (draft.ops.size() > kOpsPerEntryMax) return fail(Code::too_large, "entry: too many operations");
  size_t size = kEntryPrefixSize + kSignatureSize;
  for (const Op& op : draft.ops) {
    SEREUS_TRY(check_op(op));
    size += op.key.size() + op.value.size() + 34 * op.parents.size();
  }
  if (size > kEntrySizeMax) return fail(Code::too_large, "entry: over 2 MiB");
  return check_places(draft.ops, draft.seq);
}

Result<EntryView> parse_body(ByteView body) { return BodyParser(body).parse(); }

Hash entry_hash(ByteView body) { return blake2b_256(body); }

Signature sign_entry(const KeyPair& author, const Hash& body_hash) {
  return author.sign_in_context(kSignContext, body_hash.view());
}

bool verify_entry(const AuthorKey& author, const Hash& body_hash, const Signature& signature) {
  return verify_in_context(author.view(), kSignContext, body_hash.view(), signature.view());
}

std::array<uint8_t, kSignedMessageSize> signed_message(const Hash& body_hash) {
  std::array<uint8_t, kSignedMessageSize> message{};
  static_assert(kSignContext.size() + 1 + Hash::kSize == kSignedMessageSize);
  std::copy(kSignContext.begin(), kSignContext.end(), message.begin());
  std::copy(body_hash.bytes.begin(), body_hash.bytes.end(), message.begin() + kSignContext.size() + 1);
  return message;
}

std::array<uint8_t, kEntryPrefixSize> entry_prefix(const StoreId& store, const AuthorKey& author, const Hash& prev) {
  std::array<uint8_t, kEntryPrefixSize> prefix{};
  prefix[0] = 0x8a;  // array(10)
  prefix[1] = kEntryVersion;
  prefix[2] = 0x50;  // bytes(16)
  std::copy(store.bytes.begin(), store.bytes.end(), prefix.begin() + 3);
  prefix[19] = 0x58;  // bytes(32)
  prefix[20] = 32;
  std::copy(author.bytes.begin(), author.bytes.end(), prefix.begin() + 21);
  prefix[53] = 0x58;
  prefix[54] = 32;
  std::copy(prev.bytes.begin(), prev.bytes.end(), prefix.begin() + 55);
  return prefix;
}

StoreId root_store_id(const PartyKey& party, ByteView nonce) {
  const Hash hash = Blake2b::in_context(kRootContext).update(party.view()).update(nonce).finish();
  StoreId id;
  std::copy_n(hash.bytes.begin(), StoreId::kSize, id.bytes.begin());
  return id;
}

}  // namespace sereus::store
