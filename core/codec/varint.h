// Unsigned LEB128 integers, as multiformats' unsigned-varint and protobuf write them; minimal encodings only.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/bytes.h"

namespace sereus::codec {

inline constexpr size_t kVarintSizeMax = 10;  // bytes of UINT64_MAX; multiformats themselves stay within 9 (63 bits)

enum class VarintState : uint8_t {
  ok,
  need_more,  // the input ends inside a varint that may still become valid
  bad,        // longer than needed, or over 64 bits
};

// Appends 1 to 10 bytes.
void varint_append(Bytes& out, uint64_t value);

// How many bytes varint_append would add.
size_t varint_size(uint64_t value);

// Looks at the front of `in`; on VarintState::ok sets `value` and `used` (1..10), else leaves both. For streams, where
// "not all here yet" and "wrong" are different answers.
VarintState varint_parse(ByteView in, uint64_t& value, size_t& used);

// Takes one varint off the front of `in`; nothing (and `in` untouched) when it is truncated, not minimal or over 64
// bits.
std::optional<uint64_t> varint_read(ByteView& in);

}  // namespace sereus::codec

namespace sereus {
using namespace codec;  // the rooms above write these names with or without "codec::"
}
