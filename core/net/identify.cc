#include "core/net/identify.h"

#include <algorithm>

#include "core/codec/protobuf.h"
#include "core/codec/utf8.h"
#include "core/net/multistream.h"

namespace sereus::net {
namespace {

using codec::ProtobufField;

constexpr uint32_t kPublicKeyField = 1;
constexpr uint32_t kListenAddressField = 2;
constexpr uint32_t kProtocolField = 3;
constexpr uint32_t kObservedField = 4;
constexpr uint32_t kProtocolVersionField = 5;
constexpr uint32_t kAgentVersionField = 6;
constexpr uint32_t kSignedPeerRecordField = 8;

Error malformed(const char* what) { return fail(Code::malformed, std::string("identify: ") + what); }

// Fit for a log and a terminal: short, UTF-8, no control characters.
bool fit_text(ByteView text) {
  return text.size() <= kIdentifyTextMax && codec::valid_utf8(text) &&
         std::none_of(text.begin(), text.end(), [](uint8_t c) { return c < 0x20 || c == 0x7f; });
}

bool fit_protocol(ByteView name) { return valid_protocol_name(as_text(name)) && codec::valid_utf8(name); }

void read_text(ByteView bytes, std::optional<std::string>& text, size_t& skipped) {
  if (fit_text(bytes)) {
    text = to_string(bytes);
  } else {
    ++skipped;
  }
}

Status read_protocol(ByteView name, Identify& message) {
  if (!fit_protocol(name)) {
    ++message.skipped;
    return {};
  }
  if (message.protocols.size() == kIdentifyProtocolsMax) return fail(Code::too_large, "identify: too many protocols");
  message.protocols.push_back(to_string(name));
  return {};
}

Status read_public_key(ByteView bytes, Identify& message) {
  SEREUS_ASSIGN(message.public_key, PublicKey::parse(bytes));
  return {};
}

void read_observed(ByteView bytes, Identify& message) {
  auto address = Multiaddr::from_bytes(bytes);
  if (address.ok()) {
    message.observed = std::move(*address);
  } else {
    ++message.skipped;
  }
}

Status read_field(const ProtobufField& field, Identify& message) {
  const bool known = field.number >= kPublicKeyField && field.number <= kAgentVersionField;
  if (!known && field.number != kSignedPeerRecordField) return {};
  if (field.type != ProtobufField::Type::bytes) return malformed("a field of the wrong type");
  switch (field.number) {
    case kPublicKeyField:
      return read_public_key(field.bytes, message);
    case kListenAddressField:
      return add_peer_address(field.bytes, message.listen_addresses, message.skipped);
    case kProtocolField:
      return read_protocol(field.bytes, message);
    case kObservedField:
      read_observed(field.bytes, message);
      return {};
    case kProtocolVersionField:
      read_text(field.bytes, message.protocol_version, message.skipped);
      return {};
    case kAgentVersionField:
      read_text(field.bytes, message.agent_version, message.skipped);
      return {};
    default:
      message.signed_peer_record = to_bytes(field.bytes);
      return {};
  }
}

}  // namespace

Result<Bytes> encode_identify(const Identify& message) {
  codec::ProtobufWriter writer;
  if (message.public_key) writer.bytes(kPublicKeyField, message.public_key->protobuf());
  for (const auto& address : message.listen_addresses) writer.bytes(kListenAddressField, address.to_bytes());
  for (const auto& protocol : message.protocols) writer.bytes(kProtocolField, as_bytes(protocol));
  if (message.observed) writer.bytes(kObservedField, message.observed->to_bytes());
  if (message.protocol_version) writer.bytes(kProtocolVersionField, as_bytes(*message.protocol_version));
  if (message.agent_version) writer.bytes(kAgentVersionField, as_bytes(*message.agent_version));
  if (!message.signed_peer_record.empty()) writer.bytes(kSignedPeerRecordField, message.signed_peer_record);
  if (writer.view().size() > kIdentifyBytesMax) return fail(Code::too_large, "identify: too large");
  return writer.take();
}

Result<Identify> decode_identify(ByteView message) {
  if (message.size() > kIdentifyTotalMax) return fail(Code::too_large, "identify: too large");
  Identify out;
  codec::ProtobufReader reader(message);
  while (const auto field = reader.next()) SEREUS_TRY(read_field(*field, out));
  if (reader.bad()) return malformed("not a protobuf message");
  return out;
}

void apply_push(Identify& known, Identify update) {
  if (update.public_key) known.public_key = std::move(update.public_key);
  if (!update.listen_addresses.empty()) known.listen_addresses = std::move(update.listen_addresses);
  if (!update.protocols.empty()) known.protocols = std::move(update.protocols);
  if (update.observed) known.observed = std::move(update.observed);
  if (update.protocol_version) known.protocol_version = std::move(update.protocol_version);
  if (update.agent_version) known.agent_version = std::move(update.agent_version);
  if (!update.signed_peer_record.empty()) known.signed_peer_record = std::move(update.signed_peer_record);
  known.skipped = update.skipped;
}

Result<IdentifiedPeer> verify_identify(Identify message, const PeerId& peer) {
  if (message.public_key && message.public_key->peer_id() != peer) {
    return fail(Code::denied, "identify: the key of another peer");
  }
  IdentifiedPeer out{std::move(message), std::nullopt};
  if (out.said.signed_peer_record.empty()) return out;
  auto record = open_peer_record(out.said.signed_peer_record);
  if (!record.ok()) {
    out.record_error = record.error();
  } else if (record->peer != peer) {
    out.record_error = fail(Code::denied, "identify: the record of another peer");
  } else {
    out.record = std::move(*record);
  }
  return out;
}

Status IdentifyReader::feed(ByteView in) {
  while (!in.empty()) {
    SEREUS_ASSIGN(const size_t used, reader_.feed(in));
    in = in.subspan(used);
    if (!reader_.complete()) continue;
    const Bytes message = reader_.take();
    if (++messages_ > kIdentifyMessagesMax || all_.size() + message.size() > kIdentifyTotalMax) {
      return fail(Code::too_large, "identify: too large");
    }
    append(all_, message);
  }
  return {};
}

Result<Identify> IdentifyReader::finish() const {
  if (messages_ == 0 || !reader_.between_messages()) return malformed("the stream ended inside a message");
  return decode_identify(all_);
}

}  // namespace sereus::net
