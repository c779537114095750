#include "core/net/autonat_v2_message.h"

#include <array>
#include <optional>

#include "core/codec/protobuf.h"
#include "core/net/limits.h"

namespace sereus::net {
namespace {

using codec::ProtobufField;
using codec::ProtobufReader;
using codec::ProtobufWriter;
using Type = ProtobufField::Type;

// Message
constexpr uint32_t kRequestField = 1;
constexpr uint32_t kResponseField = 2;
constexpr uint32_t kDataRequestField = 3;
constexpr uint32_t kDataField = 4;
// DialRequest
constexpr uint32_t kAddressField = 1;
constexpr uint32_t kNonceField = 2;
// DialResponse
constexpr uint32_t kOutcomeField = 1;
constexpr uint32_t kIndexField = 2;
constexpr uint32_t kDialField = 3;
// DialDataRequest
constexpr uint32_t kDataIndexField = 1;
constexpr uint32_t kBytesField = 2;
// DialDataResponse
constexpr uint32_t kContentField = 1;
// DialBack, DialBackResponse
constexpr uint32_t kDialBackNonceField = 1;
constexpr uint32_t kDialBackStatusField = 1;

constexpr std::array kOutcomes{AutoNatOutcome::internal_error, AutoNatOutcome::request_rejected,
                               AutoNatOutcome::dial_refused, AutoNatOutcome::ok};
constexpr std::array kDialStatuses{AutoNatDialStatus::unused, AutoNatDialStatus::dial_error,
                                   AutoNatDialStatus::dial_back_error, AutoNatDialStatus::ok};

Error malformed(const char* what) { return fail(Code::malformed, std::string("autonat v2: ") + what); }
Error wrong_type() { return malformed("a field of the wrong type"); }

// The enumerator with this number.
template <typename Enum, size_t kCount>
Result<Enum> find_number(const std::array<Enum, kCount>& all, uint64_t number) {
  for (const Enum each : all) {
    if (static_cast<uint64_t>(each) == number) return each;
  }
  return fail(Code::unsupported, "autonat v2: an unknown status");
}

Result<AutoNatV2Message> read_request(ByteView part) {
  AutoNatRequest out;
  ProtobufReader reader(part);
  while (const auto field = reader.next()) {
    if (field->number == kNonceField) {
      if (field->type != Type::fixed64) return wrong_type();
      out.nonce = field->value;
    } else if (field->number == kAddressField) {
      if (field->type != Type::bytes) return wrong_type();
      if (out.addresses.size() == kAutoNatAddressesMax) return fail(Code::too_large, "autonat v2: too many addresses");
      auto address = Multiaddr::from_bytes(field->bytes);
      out.addresses.push_back(address.ok() ? std::move(*address) : Multiaddr());
    }
  }
  if (reader.bad()) return malformed("not a protobuf message");
  return AutoNatV2Message(std::move(out));
}

// A message of numbers alone, the nth in `out[n - 1]`.
template <size_t kCount>
Status read_numbers(ByteView part, std::array<uint64_t, kCount>& out) {
  ProtobufReader reader(part);
  while (const auto field = reader.next()) {
    if (field->number > kCount) continue;
    if (field->type != Type::varint) return wrong_type();
    out[field->number - 1] = field->value;
  }
  return reader.bad() ? Status(malformed("not a protobuf message")) : Status();
}

Result<uint32_t> index_of(uint64_t number) {
  if (number >= kAutoNatAddressesMax) return malformed("an index beyond all addresses");
  return static_cast<uint32_t>(number);
}

Result<AutoNatV2Message> read_response(ByteView part) {
  std::array<uint64_t, 3> numbers{};
  SEREUS_TRY(read_numbers(part, numbers));
  AutoNatResponse out;
  SEREUS_ASSIGN(out.outcome, find_number(kOutcomes, numbers[kOutcomeField - 1]));
  SEREUS_ASSIGN(out.index, index_of(numbers[kIndexField - 1]));
  SEREUS_ASSIGN(out.dial, find_number(kDialStatuses, numbers[kDialField - 1]));
  return AutoNatV2Message(out);
}

Result<AutoNatV2Message> read_data_request(ByteView part) {
  std::array<uint64_t, 2> numbers{};
  SEREUS_TRY(read_numbers(part, numbers));
  AutoNatDataRequest out;
  SEREUS_ASSIGN(out.index, index_of(numbers[kDataIndexField - 1]));
  out.bytes = numbers[kBytesField - 1];
  return AutoNatV2Message(out);
}

Result<AutoNatV2Message> read_data(ByteView part) {
  AutoNatData out;
  ProtobufReader reader(part);
  while (const auto field = reader.next()) {
    if (field->number != kContentField) continue;
    if (field->type != Type::bytes) return wrong_type();
    out.bytes = field->bytes.size();
  }
  if (reader.bad()) return malformed("not a protobuf message");
  if (out.bytes > kAutoNatDataChunkMax) return fail(Code::too_large, "autonat v2: too much data in one message");
  return AutoNatV2Message(out);
}

void write(ProtobufWriter& out, const AutoNatRequest& message) {
  ProtobufWriter part;
  for (const Multiaddr& address : message.addresses) part.bytes(kAddressField, address.to_bytes());
  part.fixed64(kNonceField, message.nonce);
  out.bytes(kRequestField, part.view());
}

// proto3 leaves zeros out, and so do we.
void number_unless_zero(ProtobufWriter& out, uint32_t field, uint64_t value) {
  if (value != 0) out.number(field, value);
}

void write(ProtobufWriter& out, const AutoNatResponse& message) {
  ProtobufWriter part;
  number_unless_zero(part, kOutcomeField, static_cast<uint64_t>(message.outcome));
  number_unless_zero(part, kIndexField, message.index);
  number_unless_zero(part, kDialField, static_cast<uint64_t>(message.dial));
  out.bytes(kResponseField, part.view());
}

void write(ProtobufWriter& out, const AutoNatDataRequest& message) {
  ProtobufWriter part;
  number_unless_zero(part, kDataIndexField, message.index);
  number_unless_zero(part, kBytesField, message.bytes);
  out.bytes(kDataRequestField, part.view());
}

void write(ProtobufWriter& out, const AutoNatData& message) {
  ProtobufWriter part;
  part.bytes(kContentField, Bytes(message.bytes));
  out.bytes(kDataField, part.view());
}

}  // namespace

Bytes encode_autonat_v2(const AutoNatV2Message& message) {
  ProtobufWriter out;
  std::visit([&out](const auto& one) { write(out, one); }, message);
  return out.take();
}

Result<AutoNatV2Message> decode_autonat_v2(ByteView message) {
  std::optional<ProtobufField> found;
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number > kDataField) continue;
    if (field->type != Type::bytes) return wrong_type();
    if (found) return malformed("more than one message");  // protobuf merges them; nobody means that
    found = *field;
  }
  if (reader.bad()) return malformed("not a protobuf message");
  if (!found) return malformed("no message");
  switch (found->number) {
    case kRequestField:
      return read_request(found->bytes);
    case kResponseField:
      return read_response(found->bytes);
    case kDataRequestField:
      return read_data_request(found->bytes);
    default:
      return read_data(found->bytes);
  }
}

Bytes encode_autonat_dial_back(uint64_t nonce) {
  ProtobufWriter out;
  out.fixed64(kDialBackNonceField, nonce);
  return out.take();
}

Result<uint64_t> decode_autonat_dial_back(ByteView message) {
  std::optional<uint64_t> nonce;
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number != kDialBackNonceField) continue;
    if (field->type != Type::fixed64) return wrong_type();
    nonce = field->value;
  }
  if (reader.bad() || !nonce) return malformed("no nonce");
  return *nonce;
}

Bytes encode_autonat_dial_back_answer() { return {}; }  // OK is 0, which proto3 leaves out

Status decode_autonat_dial_back_answer(ByteView message) {
  std::array<uint64_t, kDialBackStatusField> numbers{};
  SEREUS_TRY(read_numbers(message, numbers));
  return numbers[0] == 0 ? Status() : Status(fail(Code::unsupported, "autonat v2: the dial back was not taken"));
}

}  // namespace sereus::net
