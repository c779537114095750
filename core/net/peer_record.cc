#include "core/net/peer_record.h"

#include "core/codec/protobuf.h"
#include "core/net/limits.h"
#include "core/net/signed_envelope.h"

namespace sereus::net {
namespace {

using codec::ProtobufField;
using codec::ProtobufReader;
using codec::ProtobufWriter;

// RFC 0003 says libp2p-routing-state and a path as type; what all implementations sign is this domain, and the multicodec
// libp2p-peer-record (0x0301) as two bytes, big-endian, not as a varint.
constexpr std::array<uint8_t, 2> kPayloadType = {0x03, 0x01};
constexpr EnvelopePurpose kPurpose = {"libp2p-peer-record", kPayloadType};

constexpr uint32_t kPeerField = 1;
constexpr uint32_t kSeqField = 2;
constexpr uint32_t kAddressField = 3;
constexpr uint32_t kMultiaddrField = 1;  // of AddressInfo

Error malformed(const char* what) { return fail(Code::malformed, std::string("peer record: ") + what); }

Status read_address_info(ByteView info, PeerRecord& record) {
  ProtobufReader reader(info);
  ByteView address;
  while (const auto field = reader.next()) {
    if (field->number != kMultiaddrField) continue;
    if (field->type != ProtobufField::Type::bytes) return malformed("a field of the wrong type");
    address = field->bytes;
  }
  if (reader.bad()) return malformed("not a protobuf message");
  return add_peer_address(address, record.addresses, record.skipped);
}

Status read_field(const ProtobufField& field, PeerRecord& record) {
  const auto expected = field.number == kSeqField ? ProtobufField::Type::varint : ProtobufField::Type::bytes;
  if (field.number > kAddressField) return {};  // from the future
  if (field.type != expected) return malformed("a field of the wrong type");
  if (field.number == kSeqField) {
    record.seq = field.value;
  } else if (field.number == kPeerField) {
    const auto peer = PeerId::from_multihash(field.bytes);
    if (!peer) return malformed("bad peer id");
    record.peer = *peer;
  } else {
    return read_address_info(field.bytes, record);
  }
  return {};
}

}  // namespace

Status add_peer_address(ByteView bytes, std::vector<Multiaddr>& addresses, size_t& skipped) {
  auto address = Multiaddr::from_bytes(bytes);
  if (!address.ok()) {
    ++skipped;
  } else {
    addresses.push_back(std::move(*address));
  }
  if (addresses.size() > kPeerAddressesMax || skipped > kPeerAddressesMax) {
    return fail(Code::too_large, "a peer with too many addresses");
  }
  return {};
}

bool supersedes(const PeerRecord& record, const PeerRecord& known) {
  return record.peer == known.peer && record.seq > known.seq;
}

Result<PeerRecord> open_peer_record(ByteView envelope) {
  SEREUS_ASSIGN(const SignedEnvelope opened, open_envelope(envelope, kPurpose));
  PeerRecord record;
  ProtobufReader reader(opened.payload);
  while (const auto field = reader.next()) SEREUS_TRY(read_field(*field, record));
  if (reader.bad()) return malformed("not a protobuf message");
  if (record.peer.empty()) return malformed("no peer id");
  if (record.peer != opened.signer.peer_id()) return fail(Code::denied, "peer record: signed by another peer");
  return record;
}

Result<Bytes> seal_peer_record(const crypto::KeyPair& device, uint64_t seq, const std::vector<Multiaddr>& addresses) {
  if (addresses.size() > kPeerAddressesMax) return fail(Code::too_large, "peer record: too many addresses");
  ProtobufWriter writer;
  writer.bytes(kPeerField, PeerId::from_device_key(device.device_key()).multihash());
  writer.number(kSeqField, seq);
  for (const Multiaddr& address : addresses) {
    ProtobufWriter info;
    info.bytes(kMultiaddrField, address.to_bytes());
    writer.bytes(kAddressField, info.view());
  }
  return seal_envelope(device, kPurpose, writer.view());
}

}  // namespace sereus::net
