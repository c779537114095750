// The messages of the Kad-DHT (libp2p specs, kad-dht, "RPC messages"), without their lengths. docs/formats/kad.md.
//
// Two fields are ours, in numbers that no one else uses; who does not know them skips them, as protobuf has it:
//   Peer 1001     the peer's signed record (an RFC 0003 envelope): its addresses are certified, whoever passes them on
//   Message 1001  the signed record of the message's sender
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_id.h"

namespace sereus::discovery {

enum class KadType : uint8_t {
  put_value = 0,
  get_value = 1,
  add_provider = 2,
  get_providers = 3,
  find_node = 4,
  ping = 5
};

enum class KadLink : uint8_t { not_connected = 0, connected = 1, can_connect = 2, cannot_connect = 3 };

struct KadPeer {
  net::PeerId id;
  // Each is the binary form of a multiaddr, without a trailing /p2p of the peer itself. Binary, because most are passed on or
  // dropped unread.
  std::vector<Bytes> addresses;
  KadLink link = KadLink::not_connected;
  Bytes signed_record;  // not verified; empty when there is none
};

struct KadRecord {
  Bytes key;
  Bytes value;
  std::string time_received;  // RFC 3339; of the receiver that stored it, and worth as much as it is
};

struct KadMessage {
  KadType type = KadType::put_value;
  Bytes key;
  std::optional<KadRecord> record;
  std::vector<KadPeer> closer;
  std::vector<KadPeer> providers;
  Bytes sender_record;  // not verified; empty when there is none
  size_t skipped = 0;   // peers and addresses that were there and are not fit for use
};

// Errors: malformed; too_large (over a limit of limits.h: lists, keys, values); unsupported (a type that there is not). Unknown
// fields are skipped.
Result<KadMessage> decode_kad(ByteView message);

// Fields in ascending order. Code::too_large over kKadMessageMax.
Result<Bytes> encode_kad(const KadMessage& message);

// The record as js-libp2p and go-libp2p keep it.
Bytes encode_kad_record(const KadRecord& record);
Result<KadRecord> decode_kad_record(ByteView bytes);

// "2026-01-01T00:00:00.000Z". Wall time in microseconds since 1970; negative ones give 1970.
std::string rfc3339(int64_t wall_us);

// The binary form of `address` without a trailing /p2p/<peer>. Nothing when it is no multiaddr or names another peer at its end.
std::optional<Bytes> address_of_peer(ByteView address, const net::PeerId& peer);

}  // namespace sereus::discovery
