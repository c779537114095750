// Entries: parsing never faults, and what parses is what its content encodes to, within the limits.
#include "core/store/entry.h"
#include "tests/support/draft_of.h"

using namespace sereus;
using namespace sereus::store;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView body(data, size);
  const auto view = parse_body(body);
  if (!view.ok()) return 0;
  const EntryDraft draft = draft_of(*view);
  SEREUS_ASSERT(check_draft(draft).ok());
  SEREUS_ASSERT(equal(encode_body(draft), body));
  SEREUS_ASSERT(equal(entry_prefix(draft.store, draft.author, draft.prev), body.first(kEntryPrefixSize)));
  return 0;
}
