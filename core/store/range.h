// A range: consecutive entries of one author, as sent between peers and verified in one go.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/store/entry.h"

namespace sereus::store {

enum class VerifyPolicy : uint8_t {
  every_signature,  // each entry's own signature (one-key batches)
  chain,            // hash chain, and the signature of the last entry, which commits to all before it
};

// What travels: for each entry  varint size of the rest of the body, the body without its 87-byte prefix, signature.
struct RangeHeader {
  StoreId store;
  AuthorKey author;
  uint64_t first_seq = 1;
  Hash prev;  // hash of the entry before the first; zeros when first_seq is 1
  uint32_t entries = 0;
};

struct VerifiedEntry {
  size_t offset = 0;       // of the whole body in VerifiedRange::bytes
  uint32_t body_size = 0;  // the 64 signature bytes follow the body
  Hash hash;
  EntryView view;  // points into VerifiedRange::bytes
};

// Entries whose shape, chain and signatures (by policy) hold. Move-only: views point into `bytes`.
struct VerifiedRange {
  RangeHeader header;
  Bytes bytes;  // whole bodies, each followed by its signature
  std::vector<VerifiedEntry> entries;
  bool every_signature_checked = false;

  VerifiedRange() = default;
  VerifiedRange(VerifiedRange&&) = default;
  VerifiedRange& operator=(VerifiedRange&&) = default;
  VerifiedRange(const VerifiedRange&) = delete;
  VerifiedRange& operator=(const VerifiedRange&) = delete;
};

// Pure and stateless, fit for a worker thread. Refuses the whole range at the first defect: malformed, wrong_store,
// gap (sequence or prev does not follow), bad_signature. `batch_seed` feeds the batch verification's coefficients.
Result<VerifiedRange> verify_range(const RangeHeader& header, ByteView payload, VerifyPolicy policy,
                                   const std::array<uint8_t, 32>& batch_seed);

}  // namespace sereus::store
