// Reading FlatBuffers that came from a peer: verified before a field is touched.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include "core/base/bytes.h"

namespace sereus::store {

inline constexpr uint32_t kWireDepthMax = 8;    // ours nest two deep
inline constexpr uint32_t kWireTablesMax = 64;  // ours have one

// The payload as a table; null when it is not one. Points into the payload.
template <typename Table>
const Table* verified_table(ByteView payload) {
  flatbuffers::Verifier verifier(payload.data(), payload.size(), kWireDepthMax, kWireTablesMax);
  if (!verifier.VerifyBuffer<Table>(nullptr)) return nullptr;
  return flatbuffers::GetRoot<Table>(payload.data());
}

}  // namespace sereus::store
