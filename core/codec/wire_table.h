// Reading FlatBuffers that came from a peer: verified before a field is touched.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include "core/base/bytes.h"

namespace sereus::codec {

inline constexpr uint32_t kWireDepthMax = 8;    // ours nest two deep
inline constexpr uint32_t kWireTablesMax = 64;  // ours have up to 33

// The payload as a table; null when it is not one. Points into the payload.
template <typename Table>
const Table* verified_table(ByteView payload) {
  flatbuffers::Verifier verifier(payload.data(), payload.size(), kWireDepthMax, kWireTablesMax);
  if (!verifier.VerifyBuffer<Table>(nullptr)) return nullptr;
  return flatbuffers::GetRoot<Table>(payload.data());
}

}  // namespace sereus::codec

namespace sereus {
using namespace codec;  // the rooms above write these names with or without "codec::"
}
