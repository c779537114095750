// The messages of Circuit Relay v2 (libp2p specs, relay/circuit-v2): HopMessage between a client and a relay, StopMessage between the
// relay and the target, and the voucher that a relay signs for a reservation. Codec only. docs/formats/circuit.md.
//
// Strict: a field that stands twice, of another type than its own or beyond its bound is Code::malformed, and so is a message without
// its type. Unknown fields are passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/crypto/sign.h"
#include "core/net/host.h"
#include "core/net/limits.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_id.h"

namespace sereus::net {

inline constexpr std::string_view kHopProtocol = "/libp2p/circuit/relay/0.2.0/hop";
inline constexpr std::string_view kStopProtocol = "/libp2p/circuit/relay/0.2.0/stop";

// The specification's numbers. One that is not among them is kept as it came.
enum class CircuitStatus : uint32_t {
  unused = 0,
  ok = 100,
  reservation_refused = 200,
  resource_limit_exceeded = 201,
  permission_denied = 202,
  connection_failed = 203,
  no_reservation = 204,
  malformed_message = 400,
  unexpected_message = 401,
};
// "reservation_refused", ... as the enumerators; "unknown".
std::string_view status_name(CircuitStatus status);

// What a relay tells of a reservation.
struct Reservation {
  uint64_t expire_s = 0;  // seconds since 1970-01-01 UTC
  std::vector<Multiaddr>
      addresses;       // of the relay, with its peer id, without p2p-circuit; at most kCircuitAddressesMax
  size_t skipped = 0;  // addresses that are none we can read
  Bytes voucher;       // an envelope, not looked into; empty when there is none
};

struct HopMessage {
  enum class Type : uint8_t { reserve = 0, connect = 1, status = 2 };
  Type type = Type::reserve;
  std::optional<PeerId> peer;  // its addresses are not kept: nothing is dialed for whoever asks
  std::optional<Reservation> reservation;
  std::optional<CircuitLimit> limit;
  std::optional<CircuitStatus> status;
};

struct StopMessage {
  enum class Type : uint8_t { connect = 0, status = 1 };
  Type type = Type::connect;
  std::optional<PeerId> peer;
  std::optional<CircuitLimit> limit;
  std::optional<CircuitStatus> status;
};

// Without the length before it. Code::too_large over kCircuitMessageMax: too many addresses.
Result<Bytes> encode_hop(const HopMessage& message);
Result<Bytes> encode_stop(const StopMessage& message);
// Errors: malformed, too_large.
Result<HopMessage> decode_hop(ByteView message);
Result<StopMessage> decode_stop(ByteView message);

// Says that `relay` (the key) serves `peer` until `expire_s`.
Result<Bytes> seal_voucher(const crypto::KeyPair& relay, const PeerId& peer, uint64_t expire_s);

struct Voucher {
  PeerId relay;
  PeerId peer;
  uint64_t expire_s = 0;
};
// Verifies the signature. Errors: those of open_envelope(); malformed; denied (signed by another peer than the relay it names).
Result<Voucher> open_voucher(ByteView envelope);
// Likewise, and that it is `relay`'s for `peer` (Code::denied) and valid at `now_s` (Code::expired).
Status check_voucher(ByteView envelope, const PeerId& relay, const PeerId& peer, uint64_t now_s);

}  // namespace sereus::net
