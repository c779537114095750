#include "core/codec/utf8.h"

namespace sereus::codec {
namespace {

// Length of the well-formed sequence at the front of `s` (RFC 3629 section 4), 0 when there is none.
size_t sequence_length(ByteView s) {
  const auto tail = [&](size_t i, uint8_t low = 0x80, uint8_t high = 0xbf) {
    return i < s.size() && s[i] >= low && s[i] <= high;
  };
  const uint8_t lead = s[0];
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const uint8_t low = lead == 0xe0 ? 0xa0 : 0x80;   // overlong
    const uint8_t high = lead == 0xed ? 0x9f : 0xbf;  // surrogates
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const uint8_t low = lead == 0xf0 ? 0x90 : 0x80;   // overlong
    const uint8_t high = lead == 0xf4 ? 0x8f : 0xbf;  // above U+10FFFF
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool valid_utf8(ByteView text) {
  size_t at = 0;
  while (at < text.size()) {
    if (text.size() - at >= 8) {
      uint64_t block = 0;
      std::memcpy(&block, text.data() + at, sizeof block);
      if ((block & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    const size_t length = sequence_length(text.subspan(at));
    if (length == 0) return false;
    at += length;
  }
  return true;
}

}  // namespace sereus::codec
