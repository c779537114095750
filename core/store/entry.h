// Entry, format version 1: the signed unit of a log (docs/formats/entry.md).
//
//   body = CBOR array(10) [ 1, store_id(16), author(32), prev(32), seq, hlc_wall_ms, hlc_counter, key_epoch,
//                           authority, ops ]
//   entry = body || Ed25519 signature(64) by the author over  "sereus entry 1" 0x00 H(body),   H = BLAKE2b-256
//
// prev is H(body) of the author's preceding entry, zeros for seq 1. The first 87 bytes of a body are fixed by
// (store, author, prev): a range of one author's chain is sent without them and the receiver puts the same bytes
// back, so what is verified is what was signed. authority is null ("as in my preceding entry") or the sorted array of
// root-store head hashes the entry was written under. ops is an array of
//   [1, key, value, parents]  put        [2, key, parents]  delete
//   [3, [certificate...]]     author     who this author is: the author certificate, then the device certificate
//   [4, party(32), nonce(16)] genesis    first entry of a root store; the store id is derived from both
// 64 and above: operations under a key epoch (keyed-hash key tag, ciphertext), reserved for blind replicas.
// A key stands at most once in an entry, so (key, entry hash) names a head. parents are the entry hashes of the heads
// of that key which this write replaces, sorted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/crypto/sign.h"
#include "core/store/hlc.h"
#include "core/store/limits.h"

namespace sereus::store {

inline constexpr size_t kEntryPrefixSize = 87;
inline constexpr size_t kSignatureSize = 64;

enum class OpKind : uint16_t { put = 1, remove = 2, author = 3, genesis = 4 };

// An operation to be written.
struct Op {
  OpKind kind = OpKind::put;
  Bytes key;
  Bytes value;                      // put only
  std::vector<Hash> parents;        // sorted, at most kParentsPerOpMax
  std::vector<Bytes> certificates;  // author only
  PartyKey party;                   // genesis only
  std::array<uint8_t, 16> nonce{};  // genesis only
};

// An operation inside a parsed body; views point into the body's bytes.
struct OpView {
  OpKind kind = OpKind::put;
  ByteView key;
  ByteView value;
  std::vector<Hash> parents;
  std::vector<ByteView> certificates;
  PartyKey party;
  ByteView nonce;
};

// A parsed body; views point into the bytes it was parsed from, which must outlive it.
struct EntryView {
  StoreId store;
  AuthorKey author;
  Hash prev;
  uint64_t seq = 0;
  Hlc hlc;
  uint64_t key_epoch = 0;
  std::optional<std::vector<Hash>> authority;  // nothing: as in the author's preceding entry
  std::vector<OpView> ops;
  ByteView body;
};

struct EntryDraft {
  StoreId store;
  AuthorKey author;
  Hash prev;
  uint64_t seq = 1;
  Hlc hlc;
  uint64_t key_epoch = 0;
  std::optional<std::vector<Hash>> authority;
  std::vector<Op> ops;
};

// Deterministic encoding of a draft. Precondition: within the limits (check_draft).
Bytes encode_body(const EntryDraft& draft);
Status check_draft(const EntryDraft& draft);

// Strict: anything but the one valid encoding is Code::malformed; over a limit Code::too_large; newer version
// Code::too_new; operations this version does not know Code::unsupported.
Result<EntryView> parse_body(ByteView body);

Hash entry_hash(ByteView body);
Signature sign_entry(const KeyPair& author, const Hash& body_hash);
bool verify_entry(const AuthorKey& author, const Hash& body_hash, const Signature& signature);

// What a signature is over, for batch verification: "sereus entry 1" 0x00 H(body).
inline constexpr size_t kSignedMessageSize = 47;
std::array<uint8_t, kSignedMessageSize> signed_message(const Hash& body_hash);

// The 87 bytes every body of this (store, author, prev) begins with.
std::array<uint8_t, kEntryPrefixSize> entry_prefix(const StoreId& store, const AuthorKey& author, const Hash& prev);

// A root store's id commits to its founder: first 16 bytes of H("sereus root 1" 0x00 party nonce).
StoreId root_store_id(const PartyKey& party, ByteView nonce);

}  // namespace sereus::store
