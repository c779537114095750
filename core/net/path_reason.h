// Why there is no path to a peer, or none but a relayed one: one table of reasons with their words, for events, logs and whoever
// explains them to a person (`sereus doctor`).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sereus::net {

// Stable numbers: the C ABI and logs have them. Append only.
enum class PathReason : uint8_t {
  none = 0,
  // --- the way through a relay
  no_relay = 1,             // no relay is known
  refused_by_relay = 2,     // it gives no reservation, or does not connect
  relay_limit = 3,          // a limit of bytes or time of the relayed connection
  relay_lost = 4,           // the connection with it, or through it, ended
  peer_no_reservation = 5,  // the peer has none at this relay
  // --- from a relayed connection to a direct one
  peer_no_dcutr = 6,        // the peer does not speak DCUtR
  peer_unresponsive = 7,    // it speaks DCUtR, and did not answer in time
  peer_broke_protocol = 8,  // it answered what is no answer
  no_addresses = 9,         // we know no address of ours that could be told
  peer_no_addresses = 10,   // the peer told none that may be dialed
  timeout_direct = 11,      // both sides sent, and nothing came through
  symmetric_nat = 12,       // likewise, and our NAT gives every peer another port
  udp_blocked = 13,         // likewise, and no datagram of ours ever got anywhere
  wrong_peer = 14,          // somebody else answered
  limit_reached = 15,       // too many are tried at once, or too often
  no_direct_address = 16,   // the peer has no address but relayed ones
};

struct PathReasonText {
  PathReason reason{};
  std::string_view name;     // "no_relay", as the enumerator
  std::string_view meaning;  // one sentence
  std::string_view advice;   // what a person can do, one sentence; empty: nothing is wrong
};
// In the order of the numbers.
std::span<const PathReasonText> path_reasons();
// Of a number that is none of these: the text of PathReason::none with the name "unknown".
const PathReasonText& explain(PathReason reason);
std::string_view path_reason_name(PathReason reason);

}  // namespace sereus::net
