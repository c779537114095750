#include "core/net/circuit_message.h"

#include <algorithm>
#include <array>

#include "core/codec/protobuf.h"
#include "core/net/peer_record.h"
#include "core/net/signed_envelope.h"

namespace sereus::net {
namespace {

using codec::ProtobufField;
using codec::ProtobufReader;
using codec::ProtobufWriter;

// Fields of the messages. Type and peer have the same numbers in both.
constexpr uint32_t kTypeField = 1;
constexpr uint32_t kPeerField = 2;
constexpr uint32_t kHopReservationField = 3;
constexpr uint32_t kHopLimitField = 4;
constexpr uint32_t kHopStatusField = 5;
constexpr uint32_t kStopLimitField = 3;
constexpr uint32_t kStopStatusField = 4;
// Of the messages in them.
constexpr uint32_t kPeerIdField = 1;
constexpr uint32_t kPeerAddressField = 2;
constexpr uint32_t kExpireField = 1;
constexpr uint32_t kAddressField = 2;
constexpr uint32_t kVoucherField = 3;
constexpr uint32_t kDurationField = 1;
constexpr uint32_t kDataField = 2;
constexpr uint32_t kVoucherRelayField = 1;
constexpr uint32_t kVoucherPeerField = 2;
constexpr uint32_t kVoucherExpirationField = 3;

// The specification names the multicodec code; like other records' it is signed as two bytes, big-endian.
constexpr std::array<uint8_t, 2> kVoucherType = {0x03, 0x02};
constexpr EnvelopePurpose kVoucherPurpose = {"libp2p-relay-rsvp", kVoucherType};

Error malformed(const char* what) { return fail(Code::malformed, std::string("circuit message: ") + what); }

// Notes that a field was there, which may be once.
Status once(uint32_t& seen, const ProtobufField& field, ProtobufField::Type type) {
  if (field.type != type) return malformed("a field of the wrong type");
  const uint32_t bit = uint32_t{1} << field.number;
  if ((seen & bit) != 0) return malformed("a field that stands twice");
  seen |= bit;
  return {};
}

// Takes the fields 1 to `last` of a message, one after the other; whatever else there is is passed over.
template <typename Take>
Status each_field(ByteView message, uint32_t last, Take take) {
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number <= last) SEREUS_TRY(take(*field));
  }
  return reader.bad() ? Status(malformed("not a protobuf message")) : Status();
}

Result<PeerId> read_peer(ByteView message) {
  PeerId out;
  uint32_t seen = 0;
  size_t addresses = 0;
  SEREUS_TRY(each_field(message, kPeerAddressField, [&](const ProtobufField& field) -> Status {
    if (field.number == kPeerAddressField) {
      if (field.type != ProtobufField::Type::bytes) return malformed("a field of the wrong type");
      return ++addresses > kCircuitAddressesMax ? Status(malformed("too many addresses")) : Status();
    }
    SEREUS_TRY(once(seen, field, ProtobufField::Type::bytes));
    const auto peer = PeerId::from_multihash(field.bytes);
    if (!peer) return malformed("a bad peer id");
    out = *peer;
    return {};
  }));
  if (out.empty()) return malformed("a peer without its id");
  return out;
}

Result<Reservation> read_reservation(ByteView message) {
  Reservation out;
  uint32_t seen = 0;
  SEREUS_TRY(each_field(message, kVoucherField, [&](const ProtobufField& field) -> Status {
    if (field.number == kAddressField) {
      if (field.type != ProtobufField::Type::bytes) return malformed("a field of the wrong type");
      SEREUS_TRY(add_peer_address(field.bytes, out.addresses, out.skipped));
      const bool many = out.addresses.size() + out.skipped > kCircuitAddressesMax;
      return many ? Status(malformed("too many addresses")) : Status();
    }
    const bool number = field.number == kExpireField;
    SEREUS_TRY(once(seen, field, number ? ProtobufField::Type::varint : ProtobufField::Type::bytes));
    if (number) {
      out.expire_s = field.value;
    } else if (field.bytes.size() > kVoucherBytesMax) {
      return malformed("a voucher that is too long");
    } else {
      out.voucher = to_bytes(field.bytes);
    }
    return {};
  }));
  return out;
}

// The text says seconds, and so do we; limits.h has why some are milliseconds.
uint64_t duration_us(uint64_t duration) {
  const bool millis = duration >= kCircuitMillisecondsFrom;
  return duration * (millis ? kMicrosPerMilli : kMicrosPerSecond);
}

Result<CircuitLimit> read_limit(ByteView message) {
  CircuitLimit out;
  uint32_t seen = 0;
  SEREUS_TRY(each_field(message, kDataField, [&](const ProtobufField& field) -> Status {
    SEREUS_TRY(once(seen, field, ProtobufField::Type::varint));
    if (field.number == kDataField) {
      out.data_bytes = field.value;
    } else if (field.value > UINT32_MAX) {
      return malformed("a duration beyond 32 bits");
    } else {
      out.duration_us = duration_us(field.value);
    }
    return {};
  }));
  return out;
}

Result<CircuitStatus> read_status(const ProtobufField& field) {
  if (field.value > UINT32_MAX) return malformed("a status beyond 32 bits");
  return static_cast<CircuitStatus>(field.value);
}

Bytes peer_message(const PeerId& peer) {
  ProtobufWriter writer;
  writer.bytes(kPeerIdField, peer.multihash());
  return writer.take();
}

// Whole seconds: a started one counts, so that no limit becomes "none".
Bytes limit_message(const CircuitLimit& limit) {
  ProtobufWriter writer;
  const uint64_t seconds = limit.duration_us / kMicrosPerSecond + (limit.duration_us % kMicrosPerSecond != 0 ? 1 : 0);
  if (seconds != 0) writer.number(kDurationField, std::min<uint64_t>(seconds, UINT32_MAX));
  if (limit.data_bytes != 0) writer.number(kDataField, limit.data_bytes);
  return writer.take();
}

Result<Bytes> bounded(ProtobufWriter& writer) {
  if (writer.view().size() > kCircuitMessageMax) return fail(Code::too_large, "circuit message: too large");
  return writer.take();
}

// What both messages have in common: a type, a peer, limits and, with the highest number, a status. `other`: takes the rest.
template <typename Message, typename Other>
Status decode(ByteView message, uint32_t limit_field, uint32_t status_field, Message& out, const Other& other) {
  if (message.size() > kCircuitMessageMax) return fail(Code::too_large, "circuit message: too large");
  uint32_t seen = 0;
  SEREUS_TRY(each_field(message, status_field, [&](const ProtobufField& field) -> Status {
    const bool number = field.number == kTypeField || field.number == status_field;
    SEREUS_TRY(once(seen, field, number ? ProtobufField::Type::varint : ProtobufField::Type::bytes));
    if (field.number == kTypeField) {
      if (field.value > static_cast<uint64_t>(Message::Type::status)) return malformed("an unknown type");
      out.type = static_cast<typename Message::Type>(field.value);
    } else if (field.number == kPeerField) {
      SEREUS_ASSIGN(out.peer, read_peer(field.bytes));
    } else if (field.number == limit_field) {
      SEREUS_ASSIGN(out.limit, read_limit(field.bytes));
    } else if (field.number == status_field) {
      SEREUS_ASSIGN(out.status, read_status(field));
    } else {
      return other(field);
    }
    return {};
  }));
  return (seen & (uint32_t{1} << kTypeField)) == 0 ? Status(malformed("no type")) : Status();
}

}  // namespace

std::string_view status_name(CircuitStatus status) {
  switch (status) {
    case CircuitStatus::unused:
      return "unused";
    case CircuitStatus::ok:
      return "ok";
    case CircuitStatus::reservation_refused:
      return "reservation_refused";
    case CircuitStatus::resource_limit_exceeded:
      return "resource_limit_exceeded";
    case CircuitStatus::permission_denied:
      return "permission_denied";
    case CircuitStatus::connection_failed:
      return "connection_failed";
    case CircuitStatus::no_reservation:
      return "no_reservation";
    case CircuitStatus::malformed_message:
      return "malformed_message";
    case CircuitStatus::unexpected_message:
      return "unexpected_message";
  }
  return "unknown";
}

Result<Bytes> encode_hop(const HopMessage& message) {
  ProtobufWriter writer;
  writer.number(kTypeField, static_cast<uint64_t>(message.type));
  if (message.peer) writer.bytes(kPeerField, peer_message(*message.peer));
  if (message.reservation) {
    const Reservation& reservation = *message.reservation;
    if (reservation.addresses.size() > kCircuitAddressesMax) return fail(Code::too_large, "too many addresses");
    ProtobufWriter inner;
    inner.number(kExpireField, reservation.expire_s);
    for (const Multiaddr& address : reservation.addresses) inner.bytes(kAddressField, address.to_bytes());
    if (!reservation.voucher.empty()) inner.bytes(kVoucherField, reservation.voucher);
    writer.bytes(kHopReservationField, inner.view());
  }
  if (message.limit && message.limit->limited()) writer.bytes(kHopLimitField, limit_message(*message.limit));
  if (message.status) writer.number(kHopStatusField, static_cast<uint64_t>(*message.status));
  return bounded(writer);
}

Result<Bytes> encode_stop(const StopMessage& message) {
  ProtobufWriter writer;
  writer.number(kTypeField, static_cast<uint64_t>(message.type));
  if (message.peer) writer.bytes(kPeerField, peer_message(*message.peer));
  if (message.limit && message.limit->limited()) writer.bytes(kStopLimitField, limit_message(*message.limit));
  if (message.status) writer.number(kStopStatusField, static_cast<uint64_t>(*message.status));
  return bounded(writer);
}

Result<HopMessage> decode_hop(ByteView message) {
  HopMessage out;
  const auto reservation = [&](const ProtobufField& field) -> Status {
    SEREUS_ASSIGN(out.reservation, read_reservation(field.bytes));
    return {};
  };
  SEREUS_TRY(decode(message, kHopLimitField, kHopStatusField, out, reservation));
  return out;
}

Result<StopMessage> decode_stop(ByteView message) {
  StopMessage out;
  const auto nothing_else = [](const ProtobufField&) -> Status { return {}; };
  SEREUS_TRY(decode(message, kStopLimitField, kStopStatusField, out, nothing_else));
  return out;
}

Result<Bytes> seal_voucher(const crypto::KeyPair& relay, const PeerId& peer, uint64_t expire_s) {
  ProtobufWriter writer;
  writer.bytes(kVoucherRelayField, PeerId::from_device_key(relay.device_key()).multihash());
  writer.bytes(kVoucherPeerField, peer.multihash());
  writer.number(kVoucherExpirationField, expire_s);
  return seal_envelope(relay, kVoucherPurpose, writer.view());
}

Result<Voucher> open_voucher(ByteView envelope) {
  SEREUS_ASSIGN(const SignedEnvelope opened, open_envelope(envelope, kVoucherPurpose));
  Voucher out;
  uint32_t seen = 0;
  SEREUS_TRY(each_field(opened.payload, kVoucherExpirationField, [&](const ProtobufField& field) -> Status {
    const bool number = field.number == kVoucherExpirationField;
    SEREUS_TRY(once(seen, field, number ? ProtobufField::Type::varint : ProtobufField::Type::bytes));
    if (number) {
      out.expire_s = field.value;
      return {};
    }
    const auto peer = PeerId::from_multihash(field.bytes);
    if (!peer) return malformed("a bad peer id in a voucher");
    (field.number == kVoucherRelayField ? out.relay : out.peer) = *peer;
    return {};
  }));
  if (out.relay.empty() || out.peer.empty()) return malformed("a voucher without its peers");
  if (out.relay != opened.signer.peer_id()) return fail(Code::denied, "the voucher was signed by another peer");
  return out;
}

Status check_voucher(ByteView envelope, const PeerId& relay, const PeerId& peer, uint64_t now_s) {
  SEREUS_ASSIGN(const Voucher voucher, open_voucher(envelope));
  if (voucher.relay != relay) return fail(Code::denied, "the voucher is another relay's");
  if (voucher.peer != peer) return fail(Code::denied, "the voucher is for another peer");
  if (voucher.expire_s <= now_s) return fail(Code::expired, "the voucher is past its date");
  return {};
}

}  // namespace sereus::net
