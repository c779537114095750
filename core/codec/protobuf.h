// Protocol Buffers' wire format (protobuf.dev, "Encoding"), for the messages of libp2p: a flat reader that takes one field
// at a time off the front of a message, and a writer.
//
// Nothing here recurses: a message inside a message is a byte string, which its caller reads with a reader of its own, to
// the depth that its format has and no deeper. Fields that the caller does not know are simply not looked at. Groups, which
// are deprecated, nest without a length and occur in no libp2p message, are refused. How large a message may be is for the
// caller to say, before it gives it here.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "core/base/bytes.h"

namespace sereus::codec {

inline constexpr uint32_t kProtobufFieldMax = (uint32_t{1} << 29) - 1;  // the format's own limit of field numbers

struct ProtobufField {
  enum class Type : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  uint32_t number = 0;  // 1 to kProtobufFieldMax
  Type type = Type::varint;
  uint64_t value = 0;  // of the three number types
  ByteView bytes;      // of Type::bytes; a view into the message
};

// Fields come in the order of the message, repeated ones as often as they stand there. Where a field may stand once, the
// format lets the last one win.
//
//   ProtobufReader reader(message);
//   while (const auto field = reader.next()) { ... }
//   if (reader.bad()) return malformed;
class ProtobufReader {
 public:
  explicit ProtobufReader(ByteView message) : rest_(message) {}

  // Nothing at the end of the message, and from the first byte on that is no field: then bad() tells.
  std::optional<ProtobufField> next();
  bool bad() const { return bad_; }

 private:
  std::optional<uint64_t> take_varint();
  std::optional<ByteView> take(uint64_t size);
  bool read(ProtobufField& field);

  ByteView rest_;
  bool bad_ = false;
};

// Appends fields in the order of the calls, with shortest varints: in ascending order of their numbers they are what every
// implementation writes, which matters where bytes are hashed or signed.
class ProtobufWriter {
 public:
  void number(uint32_t field, uint64_t value);
  void fixed64(uint32_t field, uint64_t value);
  void bytes(uint32_t field, ByteView value);  // strings and messages too

  ByteView view() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  void tag(uint32_t field, ProtobufField::Type type);

  Bytes out_;
};

}  // namespace sereus::codec

namespace sereus {
using namespace codec;  // the rooms above write these names with or without "codec::"
}
