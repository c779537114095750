// The CBOR reader: no input makes it read outside of it or go on for ever, and what it accepts has one encoding.
#include <cstdint>

#include "core/codec/cbor.h"

namespace {

using namespace sereus;

// Reads a checked item and writes it again. Depth is bounded by the check.
void copy_item(CborReader& reader, CborWriter& writer) {
  switch (reader.peek_kind()) {
    case CborKind::uint:
      return writer.uint(reader.read_uint().value());
    case CborKind::negative:
      return writer.integer(reader.read_int().value());
    case CborKind::bytes:
      return writer.bytes(reader.read_bytes().value());
    case CborKind::text:
      return writer.text(reader.read_text().value());
    case CborKind::boolean:
      return writer.boolean(reader.read_bool().value());
    case CborKind::null:
      SEREUS_ASSERT(reader.read_null().ok());
      return writer.null();
    case CborKind::array: {
      const uint64_t count = reader.read_array().value();
      writer.array(count);
      for (uint64_t i = 0; i < count; ++i) copy_item(reader, writer);
      return;
    }
    case CborKind::map: {
      const uint64_t count = reader.read_map().value();
      writer.map(count);
      for (uint64_t i = 0; i < 2 * count; ++i) copy_item(reader, writer);
      return;
    }
    case CborKind::invalid:
    case CborKind::end:
      SEREUS_ASSERT(false && "a checked item does not read");
  }
}

// Calls whatever the input's first bytes say, on the rest, as a parser would.
void pull(ByteView input) {
  const ByteView calls = input.first(input.size() / 4);
  CborReader reader(input.subspan(calls.size()));
  uint64_t number = 0;
  int64_t integer = 0;
  bool boolean = false;
  ByteView bytes;
  std::string_view text;
  std::array<uint8_t, 16> fixed{};
  for (const uint8_t call : calls) {
    const size_t before = reader.position();
    switch (call % 11) {
      case 0:
        reader.get_uint(number);
        break;
      case 1:
        reader.get_integer(integer);
        break;
      case 2:
        reader.get_bytes(bytes);
        break;
      case 3:
        reader.get_text(text);
        break;
      case 4:
        reader.get_array(number);
        break;
      case 5:
        reader.get_map(number);
        break;
      case 6:
        reader.get_boolean(boolean);
        break;
      case 7:
        reader.get_null();
        break;
      case 8:
        reader.get_fixed(fixed);
        break;
      case 9:
        reader.get_item(bytes);
        break;
      default: {
        CborUintMap map(reader);
        for (uint64_t key = 0; map.next(key);) (void)reader.skip().ok();
        (void)map.finish().ok();
      }
    }
    SEREUS_ASSERT(reader.failed() || reader.position() > before);
    if (reader.failed()) break;
  }
  if (reader.failed()) SEREUS_ASSERT(reader.error().code == Code::malformed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  pull(input);
  if (!cbor_check(input).ok()) return 0;
  CborReader reader(input);
  Bytes again;
  CborWriter writer(again);
  copy_item(reader, writer);
  writer.finish();
  SEREUS_ASSERT(reader.at_end() && equal(again, input));
  return 0;
}
