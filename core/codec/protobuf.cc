#include "core/codec/protobuf.h"

#include <array>

#include "core/base/assert.h"
#include "core/codec/varint.h"

namespace sereus::codec {

// Unlike varint_read, which is for formats with one encoding for one number: protobuf's readers take padded varints, and
// some writers reserve room for a length that they know only later.
std::optional<uint64_t> ProtobufReader::take_varint() {
  uint64_t value = 0;
  for (size_t i = 0; i < kVarintSizeMax && i < rest_.size(); ++i) {
    const uint8_t byte = rest_[i];
    if (i == kVarintSizeMax - 1 && byte > 1) return std::nullopt;  // over 64 bits
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    rest_ = rest_.subspan(i + 1);
    return value;
  }
  return std::nullopt;
}

std::optional<ByteView> ProtobufReader::take(uint64_t size) {
  if (size > rest_.size()) return std::nullopt;
  const ByteView taken = rest_.first(static_cast<size_t>(size));
  rest_ = rest_.subspan(taken.size());
  return taken;
}

bool ProtobufReader::read(ProtobufField& field) {
  const auto tag = take_varint();
  if (!tag || (*tag >> 3) == 0 || (*tag >> 3) > kProtobufFieldMax) return false;
  field.number = static_cast<uint32_t>(*tag >> 3);
  field.type = static_cast<ProtobufField::Type>(*tag & 7);
  switch (field.type) {
    case ProtobufField::Type::varint: {
      const auto value = take_varint();
      field.value = value.value_or(0);
      return value.has_value();
    }
    case ProtobufField::Type::fixed64: {
      const auto raw = take(8);
      if (raw) field.value = load_le<uint64_t>(raw->data());
      return raw.has_value();
    }
    case ProtobufField::Type::bytes: {
      const auto size = take_varint();
      const auto raw = size ? take(*size) : std::nullopt;
      field.bytes = raw.value_or(ByteView());
      return raw.has_value();
    }
    case ProtobufField::Type::fixed32: {
      const auto raw = take(4);
      if (raw) field.value = load_le<uint32_t>(raw->data());
      return raw.has_value();
    }
  }
  return false;  // groups (3 and 4), and the two types that do not exist
}

std::optional<ProtobufField> ProtobufReader::next() {
  if (bad_ || rest_.empty()) return std::nullopt;
  ProtobufField field;
  if (!read(field)) {
    bad_ = true;
    return std::nullopt;
  }
  return field;
}

void ProtobufWriter::tag(uint32_t field, ProtobufField::Type type) {
  SEREUS_ASSERT(field > 0 && field <= kProtobufFieldMax);
  varint_append(out_, (uint64_t{field} << 3) | static_cast<uint64_t>(type));
}

void ProtobufWriter::number(uint32_t field, uint64_t value) {
  tag(field, ProtobufField::Type::varint);
  varint_append(out_, value);
}

void ProtobufWriter::fixed64(uint32_t field, uint64_t value) {
  tag(field, ProtobufField::Type::fixed64);
  std::array<uint8_t, 8> raw{};
  store_le(raw.data(), value);
  append(out_, raw);
}

void ProtobufWriter::bytes(uint32_t field, ByteView value) {
  tag(field, ProtobufField::Type::bytes);
  varint_append(out_, value.size());
  append(out_, value);
}

}  // namespace sereus::codec
