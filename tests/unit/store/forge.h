// Chains that an honest store does not write.
#pragma once

#include <algorithm>

#include "tests/unit/store/store_test_base.h"

namespace sereus::store {

// Builds an author's chain by hand, entry by entry, and the range that carries it.
struct Forge {
  const Writer& writer;
  StoreId store = test_store_id();
  Hash prev;
  uint64_t seq = 0;
  uint64_t wall_ms = kStartMs;
  RangeHeader header;
  Bytes payload;

  explicit Forge(const Writer& by) : writer(by) {
    header.store = store;
    header.author = by.key();
  }
  Hash add(std::vector<Op> ops, bool with_certificates, uint64_t step_ms = 1, bool good_signature = true,
           std::optional<std::vector<Hash>> authority = {}) {
    EntryDraft draft;
    draft.store = store;
    draft.author = writer.key();
    draft.prev = prev;
    draft.seq = ++seq;
    wall_ms += step_ms;
    draft.hlc = {wall_ms, 0};
    draft.authority = std::move(authority);
    if (with_certificates) {
      Op op;
      op.kind = OpKind::author;
      op.certificates = writer.certificates(store);
      draft.ops.push_back(op);
    }
    for (Op& op : ops) draft.ops.push_back(std::move(op));
    const Bytes body = encode_body(draft);
    const Hash hash = entry_hash(body);
    Signature signature = sign_entry(writer.author, hash);
    if (!good_signature) signature.bytes[5] ^= 1;
    if (header.entries == 0) {
      header.first_seq = draft.seq;
      header.prev = prev;
    }
    size_t rest = body.size() - kEntryPrefixSize;
    for (; rest >= 0x80; rest >>= 7) payload.push_back(static_cast<uint8_t>(rest | 0x80));
    payload.push_back(static_cast<uint8_t>(rest));
    append(payload, ByteView(body).subspan(kEntryPrefixSize));
    append(payload, signature.view());
    ++header.entries;
    prev = hash;
    return hash;
  }
  Op put(std::string_view key, std::string_view value, std::vector<Hash> parents = {}) {
    Op op;
    op.key = to_bytes(key);
    op.value = to_bytes(value);
    op.parents = std::move(parents);
    std::sort(op.parents.begin(), op.parents.end());
    return op;
  }
  // The range so far; the next begins after it.
  VerifiedRange take(VerifyPolicy policy = VerifyPolicy::chain) {
    auto range = verify_range(header, payload, policy, {});
    header.entries = 0;
    payload.clear();
    return must(std::move(range));
  }
};

}  // namespace sereus::store
