// The little of DER (X.690) that libp2p certificates need: strict reading, and writing by nesting byte strings.
#pragma once

#include <initializer_list>
#include <optional>

#include "core/base/bytes.h"

namespace sereus::net::der {

inline constexpr uint8_t kBoolean = 0x01;
inline constexpr uint8_t kInteger = 0x02;
inline constexpr uint8_t kBitString = 0x03;
inline constexpr uint8_t kOctetString = 0x04;
inline constexpr uint8_t kOid = 0x06;
inline constexpr uint8_t kUtcTime = 0x17;
inline constexpr uint8_t kGeneralizedTime = 0x18;
inline constexpr uint8_t kSequence = 0x30;
inline constexpr uint8_t kContext0 = 0xa0;  // [0] EXPLICIT
inline constexpr uint8_t kContext3 = 0xa3;  // [3] EXPLICIT

struct Element {
  uint8_t tag = 0;
  ByteView content;
  ByteView whole;  // with tag and length
};

// Takes elements off the front of a byte string. Definite and shortest lengths only, single-byte tags only.
class Reader {
 public:
  explicit Reader(ByteView bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  bool next_is(uint8_t tag) const { return !rest_.empty() && rest_[0] == tag; }
  // Nothing, and no progress, on anything but a well-formed element.
  std::optional<Element> next();
  // The same, and the tag must be `tag`.
  std::optional<Element> next(uint8_t tag);

 private:
  ByteView rest_;
};

// The next element as an INTEGER that is positive and in its shortest form (X.690 8.3.2): its bytes, big-endian, without
// the zero that only says that it is not negative.
std::optional<ByteView> next_positive(Reader& reader);

// A BIT STRING's bytes; nothing unless it holds whole bytes.
std::optional<ByteView> bit_string_bytes(ByteView content);

// Tag, length and the concatenated parts.
Bytes wrap(uint8_t tag, std::initializer_list<ByteView> parts);

}  // namespace sereus::net::der
