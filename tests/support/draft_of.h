// A parsed entry as a draft again: what parses must encode to the same bytes.
#pragma once

#include <algorithm>
#include <utility>

#include "core/store/entry.h"

namespace sereus::store {

inline EntryDraft draft_of(const EntryView& view) {
  EntryDraft draft;
  draft.store = view.store;
  draft.author = view.author;
  draft.prev = view.prev;
  draft.seq = view.seq;
  draft.hlc = view.hlc;
  draft.key_epoch = view.key_epoch;
  draft.authority = view.authority;
  for (const OpView& from : view.ops) {
    Op op;
    op.kind = from.kind;
    op.key = to_bytes(from.key);
    op.value = to_bytes(from.value);
    op.parents = from.parents;
    for (const ByteView certificate : from.certificates) op.certificates.push_back(to_bytes(certificate));
    op.party = from.party;
    std::copy(from.nonce.begin(), from.nonce.end(), op.nonce.begin());
    draft.ops.push_back(std::move(op));
  }
  return draft;
}

}  // namespace sereus::store
