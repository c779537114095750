#include "core/discovery/kad_message.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/codec/protobuf.h"
#include "core/discovery/limits.h"

namespace sereus::discovery {
namespace {

using codec::ProtobufField;
using codec::ProtobufReader;
using codec::ProtobufWriter;

// Of Message.
constexpr uint32_t kTypeField = 1;
constexpr uint32_t kKeyField = 2;
constexpr uint32_t kRecordField = 3;
constexpr uint32_t kCloserField = 8;
constexpr uint32_t kProviderField = 9;
constexpr uint32_t kClusterField = 10;  // not used by anyone; read for its type alone
// Of Record.
constexpr uint32_t kRecordKeyField = 1;
constexpr uint32_t kRecordValueField = 2;
constexpr uint32_t kRecordTimeField = 5;
// Of Peer.
constexpr uint32_t kPeerIdField = 1;
constexpr uint32_t kPeerAddressField = 2;
constexpr uint32_t kPeerLinkField = 3;
// Ours, of Message and of Peer.
constexpr uint32_t kSignedRecordField = 1001;

Error malformed(const char* what) { return fail(Code::malformed, std::string("kad: ") + what); }
Error too_large(const char* what) { return fail(Code::too_large, std::string("kad: ") + what); }

Status copy_bytes(const ProtobufField& field, size_t most, const char* what, Bytes& out) {
  if (field.bytes.size() > most) return too_large(what);
  out = sereus::to_bytes(field.bytes);
  return {};
}

Status read_peer_field(const ProtobufField& field, KadPeer& peer, std::vector<ByteView>& addresses) {
  const bool known =
      (field.number >= kPeerIdField && field.number <= kPeerLinkField) || field.number == kSignedRecordField;
  if (!known) return {};
  const auto expected = field.number == kPeerLinkField ? ProtobufField::Type::varint : ProtobufField::Type::bytes;
  if (field.type != expected) return malformed("a field of a peer has the wrong type");
  switch (field.number) {
    case kPeerIdField:
      // An id that is none leaves the peer empty: it is skipped, and the others are no worse for it.
      peer.id = net::PeerId::from_multihash(field.bytes).value_or(net::PeerId());
      return {};
    case kPeerAddressField:
      if (addresses.size() == kKadAddressesMax) return too_large("a peer with too many addresses");
      addresses.push_back(field.bytes);
      return {};
    case kPeerLinkField:
      peer.link = field.value <= 3 ? static_cast<KadLink>(field.value) : KadLink::not_connected;
      return {};
    default:
      return copy_bytes(field, kKadRecordBytesMax, "a signed record of a peer is too large", peer.signed_record);
  }
}

Status read_peer(ByteView bytes, std::vector<KadPeer>& out, size_t& skipped) {
  if (out.size() == kKadPeersMax) return too_large("too many peers");
  KadPeer peer;
  std::vector<ByteView> addresses;
  ProtobufReader reader(bytes);
  while (const auto field = reader.next()) SEREUS_TRY(read_peer_field(*field, peer, addresses));
  if (reader.bad()) return malformed("a peer is no protobuf message");
  if (peer.id.empty()) {
    ++skipped;
    return {};
  }
  peer.addresses.reserve(addresses.size());
  for (const ByteView address : addresses) {
    auto usable = address_of_peer(address, peer.id);
    if (usable) {
      peer.addresses.push_back(std::move(*usable));
    } else {
      ++skipped;
    }
  }
  out.push_back(std::move(peer));
  return {};
}

Status read_field(const ProtobufField& field, KadMessage& message) {
  const bool number = field.number == kTypeField || field.number == kClusterField;
  const bool bytes = field.number == kKeyField || field.number == kRecordField || field.number == kCloserField ||
                     field.number == kProviderField || field.number == kSignedRecordField;
  if (!number && !bytes) return {};  // unknown
  if (field.type != (number ? ProtobufField::Type::varint : ProtobufField::Type::bytes)) {
    return malformed("a field has the wrong type");
  }
  switch (field.number) {
    case kTypeField:
      if (field.value > static_cast<uint64_t>(KadType::ping)) {
        return fail(Code::unsupported, "kad: a message of an unknown type");
      }
      message.type = static_cast<KadType>(field.value);
      return {};
    case kKeyField:
      return copy_bytes(field, kKadKeyMax, "the key is too long", message.key);
    case kRecordField: {
      SEREUS_ASSIGN(message.record, decode_kad_record(field.bytes));
      return {};
    }
    case kCloserField:
      return read_peer(field.bytes, message.closer, message.skipped);
    case kProviderField:
      return read_peer(field.bytes, message.providers, message.skipped);
    case kSignedRecordField:
      return copy_bytes(field, kKadRecordBytesMax, "the sender's record is too large", message.sender_record);
    default:
      return {};
  }
}

void write_peers(uint32_t number, const std::vector<KadPeer>& peers, ProtobufWriter& out) {
  for (const KadPeer& peer : peers) {
    ProtobufWriter writer;
    writer.bytes(kPeerIdField, peer.id.multihash());
    for (const Bytes& address : peer.addresses) writer.bytes(kPeerAddressField, address);
    if (peer.link != KadLink::not_connected) writer.number(kPeerLinkField, static_cast<uint64_t>(peer.link));
    if (!peer.signed_record.empty()) writer.bytes(kSignedRecordField, peer.signed_record);
    out.bytes(number, writer.view());
  }
}

}  // namespace

std::optional<Bytes> address_of_peer(ByteView address, const net::PeerId& peer) {
  const auto parsed = net::Multiaddr::from_bytes(address);
  if (!parsed.ok() || parsed->empty()) return std::nullopt;
  const auto named = parsed->peer_id();
  if (!named) return to_bytes(address);
  if (*named != peer) return std::nullopt;
  const net::Multiaddr without = parsed->without_peer_id();
  if (without.empty()) return std::nullopt;
  return without.to_bytes();
}

Result<KadRecord> decode_kad_record(ByteView bytes) {
  KadRecord record;
  ProtobufReader reader(bytes);
  while (const auto field = reader.next()) {
    const bool known =
        field->number == kRecordKeyField || field->number == kRecordValueField || field->number == kRecordTimeField;
    if (!known) continue;
    if (field->type != ProtobufField::Type::bytes) return malformed("a field of a record has the wrong type");
    if (field->number == kRecordKeyField) {
      SEREUS_TRY(copy_bytes(*field, kKadKeyMax, "the key of a record is too long", record.key));
    } else if (field->number == kRecordValueField) {
      SEREUS_TRY(copy_bytes(*field, kKadValueMax, "a value is too large", record.value));
    } else {
      if (field->bytes.size() > kKadTimeMax) return too_large("the time of a record is too long");
      record.time_received = to_string(field->bytes);
    }
  }
  if (reader.bad()) return malformed("a record is no protobuf message");
  return record;
}

Bytes encode_kad_record(const KadRecord& record) {
  ProtobufWriter writer;
  if (!record.key.empty()) writer.bytes(kRecordKeyField, record.key);
  if (!record.value.empty()) writer.bytes(kRecordValueField, record.value);
  if (!record.time_received.empty()) writer.bytes(kRecordTimeField, as_bytes(record.time_received));
  return writer.take();
}

Result<KadMessage> decode_kad(ByteView bytes) {
  if (bytes.size() > kKadMessageMax) return too_large("the message is too large");
  KadMessage message;
  ProtobufReader reader(bytes);
  while (const auto field = reader.next()) SEREUS_TRY(read_field(*field, message));
  if (reader.bad()) return malformed("not a protobuf message");
  return message;
}

Result<Bytes> encode_kad(const KadMessage& message) {
  ProtobufWriter writer;
  // proto2 with a default: js-libp2p leaves 0 out, go-libp2p writes it. Writing it is understood by both.
  writer.number(kTypeField, static_cast<uint64_t>(message.type));
  if (!message.key.empty()) writer.bytes(kKeyField, message.key);
  if (message.record) writer.bytes(kRecordField, encode_kad_record(*message.record));
  write_peers(kCloserField, message.closer, writer);
  write_peers(kProviderField, message.providers, writer);
  if (!message.sender_record.empty()) writer.bytes(kSignedRecordField, message.sender_record);
  if (writer.view().size() > kKadMessageMax) return too_large("the message is too large");
  return writer.take();
}

std::string rfc3339(int64_t wall_us) {
  const int64_t millis = std::max<int64_t>(wall_us, 0) / static_cast<int64_t>(kMicrosPerMilli);
  const int64_t days = millis / 86'400'000;
  const int64_t in_day = millis % 86'400'000;
  // The civil calendar from days since 1970-01-01, in eras of 400 years that begin in March.
  const int64_t shifted = days + 719'468;
  const int64_t era = shifted / 146'097;
  const int64_t of_era = shifted % 146'097;
  const int64_t year_of_era = (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
  const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * of_year + 2) / 153;
  const int64_t day = of_year - (153 * shifted_month + 2) / 5 + 1;
  const int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld.%03lldZ",
                static_cast<long long>(std::min<int64_t>(year, 9999)), static_cast<long long>(month),
                static_cast<long long>(day), static_cast<long long>(in_day / 3'600'000),
                static_cast<long long>(in_day / 60'000 % 60), static_cast<long long>(in_day / 1'000 % 60),
                static_cast<long long>(in_day % 1'000));
  return text.data();
}

}  // namespace sereus::discovery
