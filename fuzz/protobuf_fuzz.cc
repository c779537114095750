// The protobuf reader: never outside of the message, always forward, and what it read writes to a message with the same
// fields.
#include <cstdint>
#include <vector>

#include "core/base/assert.h"
#include "core/codec/protobuf.h"

using namespace sereus;

namespace {

std::vector<ProtobufField> fields_of(ByteView message, bool& bad) {
  std::vector<ProtobufField> fields;
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    SEREUS_ASSERT(field->number > 0 && field->number <= kProtobufFieldMax);
    SEREUS_ASSERT(field->bytes.empty() ||
                  (field->bytes.data() >= message.data() &&
                   field->bytes.data() + field->bytes.size() <= message.data() + message.size()));
    fields.push_back(*field);
  }
  bad = reader.bad();
  return fields;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  bool bad = false;
  const auto fields = fields_of(input, bad);
  SEREUS_ASSERT(fields.size() <= size / 2);
  ProtobufWriter writer;
  for (const auto& field : fields) {
    if (field.type == ProtobufField::Type::bytes) {
      writer.bytes(field.number, field.bytes);
    } else {
      writer.number(field.number, field.value);
    }
  }
  const Bytes again = writer.take();
  const auto same = fields_of(again, bad);
  SEREUS_ASSERT(!bad && same.size() == fields.size());
  for (size_t i = 0; i < same.size(); ++i) {
    SEREUS_ASSERT(same[i].number == fields[i].number && same[i].value == fields[i].value);
    SEREUS_ASSERT(equal(same[i].bytes, fields[i].bytes));
  }
  return 0;
}
