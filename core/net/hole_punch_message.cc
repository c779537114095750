#include "core/net/hole_punch_message.h"

#include <optional>
#include <string>

#include "core/codec/protobuf.h"
#include "core/net/limits.h"

namespace sereus::net {
namespace {

using codec::ProtobufField;

constexpr uint32_t kTypeField = 1;
constexpr uint32_t kAddressField = 2;

Error malformed(const char* what) { return fail(Code::malformed, std::string("dcutr: ") + what); }

}  // namespace

Result<Bytes> encode_hole_punch(const HolePunchMessage& message) {
  codec::ProtobufWriter out;
  out.number(kTypeField, static_cast<uint64_t>(message.type));
  for (const Multiaddr& address : message.addresses) out.bytes(kAddressField, address.to_bytes());
  if (out.view().size() > kHolePunchBytesMax) return fail(Code::too_large, "dcutr: too large");
  return out.take();
}

Result<HolePunchMessage> decode_hole_punch(ByteView message) {
  if (message.size() > kHolePunchBytesMax) return fail(Code::too_large, "dcutr: too large");
  HolePunchMessage out;
  std::optional<uint64_t> type;
  codec::ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number > kAddressField) continue;
    const bool number = field->number == kTypeField;
    if (field->type != (number ? ProtobufField::Type::varint : ProtobufField::Type::bytes)) {
      return malformed("a field of the wrong type");
    }
    if (number) {
      type = field->value;
      continue;
    }
    if (out.addresses.size() + out.skipped == kHolePunchAddressesMax) {
      return fail(Code::too_large, "dcutr: too many addresses");
    }
    auto address = Multiaddr::from_bytes(field->bytes);
    if (address.ok()) {
      out.addresses.push_back(std::move(*address));
    } else {
      ++out.skipped;
    }
  }
  if (reader.bad()) return malformed("not a protobuf message");
  if (type == static_cast<uint64_t>(HolePunchType::connect)) {
    out.type = HolePunchType::connect;
  } else if (type == static_cast<uint64_t>(HolePunchType::sync)) {
    out.type = HolePunchType::sync;
  } else {
    return malformed("neither CONNECT nor SYNC");
  }
  return out;
}

}  // namespace sereus::net
