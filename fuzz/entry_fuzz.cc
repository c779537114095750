// Entries: parsing never faults, and what parses is what its content encodes to, within the limits.
#include <algorithm>

#include "core/store/entry.h"

using namespace sereus;
using namespace sereus::store;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView body(data, size);
  const auto view = parse_body(body);
  if (!view.ok()) return 0;
  EntryDraft draft;
  draft.store = view->store;
  draft.author = view->author;
  draft.prev = view->prev;
  draft.seq = view->seq;
  draft.hlc = view->hlc;
  draft.key_epoch = view->key_epoch;
  draft.authority = view->authority;
  for (const OpView& from : view->ops) {
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
  SEREUS_ASSERT(check_draft(draft).ok());
  SEREUS_ASSERT(equal(encode_body(draft), body));
  SEREUS_ASSERT(equal(entry_prefix(draft.store, draft.author, draft.prev), body.first(kEntryPrefixSize)));
  return 0;
}
