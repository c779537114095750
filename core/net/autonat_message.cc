#include "core/net/autonat_message.h"

#include <array>

#include "core/codec/protobuf.h"
#include "core/net/limits.h"
#include "core/net/peer_record.h"

namespace sereus::net {
namespace {

using codec::ProtobufField;
using codec::ProtobufReader;
using codec::ProtobufWriter;

// Message
constexpr uint32_t kTypeField = 1;
constexpr uint32_t kDialField = 2;
constexpr uint32_t kAnswerField = 3;
constexpr uint64_t kDialType = 0;
constexpr uint64_t kAnswerType = 1;
// Dial
constexpr uint32_t kPeerField = 1;
// PeerInfo
constexpr uint32_t kIdField = 1;
constexpr uint32_t kAddressField = 2;
// DialResponse
constexpr uint32_t kStatusField = 1;
constexpr uint32_t kTextField = 2;
constexpr uint32_t kAnsweredField = 3;

constexpr std::array kStatuses{AutoNatStatus::ok, AutoNatStatus::dial_error, AutoNatStatus::dial_refused,
                               AutoNatStatus::bad_request, AutoNatStatus::internal_error};

Error malformed(const char* what) { return fail(Code::malformed, std::string("autonat: ") + what); }

// The part of a message of `type` that stands in `part_field`.
Result<ByteView> part_of(ByteView message, uint64_t type, uint32_t part_field) {
  ProtobufReader reader(message);
  std::optional<uint64_t> said;
  std::optional<ByteView> part;
  while (const auto field = reader.next()) {
    if (field->number == kTypeField) {
      if (field->type != ProtobufField::Type::varint) return malformed("a field of the wrong type");
      said = field->value;
    } else if (field->number == part_field) {
      if (field->type != ProtobufField::Type::bytes) return malformed("a field of the wrong type");
      part = field->bytes;
    }
  }
  if (reader.bad()) return malformed("not a protobuf message");
  if (said != type || !part) return malformed("not the message that belongs here");
  return *part;
}

Status read_address(ByteView bytes, AutoNatDial& out) {
  if (out.addresses.size() + out.skipped == kAutoNatAddressesMax) {
    return fail(Code::too_large, "autonat: too many addresses");
  }
  auto address = Multiaddr::from_bytes(bytes);
  if (address.ok()) {
    out.addresses.push_back(std::move(*address));
  } else {
    ++out.skipped;
  }
  return {};
}

Status read_peer(ByteView info, AutoNatDial& out) {
  ProtobufReader reader(info);
  while (const auto field = reader.next()) {
    if (field->number != kIdField && field->number != kAddressField) continue;
    if (field->type != ProtobufField::Type::bytes) return malformed("a field of the wrong type");
    if (field->number == kAddressField) {
      SEREUS_TRY(read_address(field->bytes, out));
      continue;
    }
    const auto peer = PeerId::from_multihash(field->bytes);
    if (!peer) return malformed("bad peer id");
    out.peer = *peer;
  }
  if (reader.bad()) return malformed("not a protobuf message");
  return {};
}

Result<AutoNatStatus> status_of(uint64_t number) {
  for (const AutoNatStatus status : kStatuses) {
    if (static_cast<uint64_t>(status) == number) return status;
  }
  return fail(Code::unsupported, "autonat: an unknown status");
}

}  // namespace

Bytes encode_autonat_dial(const AutoNatDial& message) {
  ProtobufWriter info;
  info.bytes(kIdField, message.peer.multihash());
  for (const Multiaddr& address : message.addresses) info.bytes(kAddressField, address.to_bytes());
  ProtobufWriter dial;
  dial.bytes(kPeerField, info.view());
  ProtobufWriter out;
  out.number(kTypeField, kDialType);
  out.bytes(kDialField, dial.view());
  return out.take();
}

Result<AutoNatDial> decode_autonat_dial(ByteView message) {
  SEREUS_ASSIGN(const ByteView dial, part_of(message, kDialType, kDialField));
  AutoNatDial out;
  ProtobufReader reader(dial);
  while (const auto field = reader.next()) {
    if (field->number != kPeerField) continue;
    if (field->type != ProtobufField::Type::bytes) return malformed("a field of the wrong type");
    SEREUS_TRY(read_peer(field->bytes, out));
  }
  if (reader.bad()) return malformed("not a protobuf message");
  if (out.peer.empty()) return malformed("no peer id");
  return out;
}

Bytes encode_autonat_answer(const AutoNatAnswer& message) {
  ProtobufWriter answer;
  answer.number(kStatusField, static_cast<uint64_t>(message.status));
  if (!message.text.empty()) answer.bytes(kTextField, as_bytes(message.text));
  if (message.address) answer.bytes(kAnsweredField, message.address->to_bytes());
  ProtobufWriter out;
  out.number(kTypeField, kAnswerType);
  out.bytes(kAnswerField, answer.view());
  return out.take();
}

Result<AutoNatAnswer> decode_autonat_answer(ByteView message) {
  SEREUS_ASSIGN(const ByteView answer, part_of(message, kAnswerType, kAnswerField));
  AutoNatAnswer out;
  std::optional<AutoNatStatus> status;
  ProtobufReader reader(answer);
  while (const auto field = reader.next()) {
    if (field->number > kAnsweredField) continue;
    const auto wanted = field->number == kStatusField ? ProtobufField::Type::varint : ProtobufField::Type::bytes;
    if (field->type != wanted) return malformed("a field of the wrong type");
    if (field->number == kStatusField) {
      SEREUS_ASSIGN(status, status_of(field->value));
    } else if (field->number == kAnsweredField) {
      auto address = Multiaddr::from_bytes(field->bytes);
      if (address.ok()) out.address = std::move(*address);
    } else if (field->bytes.size() <= kAutoNatTextMax) {
      out.text = to_string(field->bytes);
    }
  }
  if (reader.bad()) return malformed("not a protobuf message");
  if (!status) return malformed("no status");
  out.status = *status;
  return out;
}

}  // namespace sereus::net
