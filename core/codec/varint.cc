#include "core/codec/varint.h"

namespace sereus::codec {

void varint_append(Bytes& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<uint8_t>(value));
}

size_t varint_size(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

VarintState varint_parse(ByteView in, uint64_t& value, size_t& used) {
  uint64_t result = 0;
  for (size_t i = 0; i < kVarintSizeMax; ++i) {
    if (i == in.size()) return VarintState::need_more;
    const uint8_t byte = in[i];
    // The tenth byte holds the last single bit of 64.
    if (i == kVarintSizeMax - 1 && byte > 1) return VarintState::bad;
    result |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    if (byte == 0 && i > 0) return VarintState::bad;
    value = result;
    used = i + 1;
    return VarintState::ok;
  }
  return VarintState::bad;
}

std::optional<uint64_t> varint_read(ByteView& in) {
  uint64_t value = 0;
  size_t used = 0;
  if (varint_parse(in, value, used) != VarintState::ok) return std::nullopt;
  in = in.subspan(used);
  return value;
}

}  // namespace sereus::codec
