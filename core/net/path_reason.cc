#include "core/net/path_reason.h"

#include <algorithm>
#include <array>

namespace sereus::net {
namespace {

constexpr std::array kTable{
    PathReasonText{PathReason::none, "none", "There is a direct connection.", ""},
    PathReasonText{PathReason::no_relay, "no_relay", "No relay is known that would carry the connection.",
                   "Name a relay or a bootstrap node in the configuration, or run one on a machine that others reach."},
    PathReasonText{PathReason::refused_by_relay, "refused_by_relay",
                   "The relay refused the reservation or the connection.",
                   "Try another relay, or ask whoever runs this one for more room."},
    PathReasonText{
        PathReason::relay_limit, "relay_limit", "The relay ended the connection at its limit of bytes or time.",
        "Connect again; for more than messages use a relay whose limits are larger, or a direct connection."},
    PathReasonText{PathReason::relay_lost, "relay_lost", "The connection with or through the relay ended.",
                   "Wait a moment: a reservation is made again by itself."},
    PathReasonText{PathReason::peer_no_reservation, "peer_no_reservation", "The peer is not connected with this relay.",
                   "See that the other device is on and has a network; it may be at another relay."},
    PathReasonText{PathReason::peer_no_dcutr, "peer_no_dcutr", "The peer does not know how to punch holes (DCUtR).",
                   "Nothing here: the relayed connection goes on. A newer version on the other device may help."},
    PathReasonText{PathReason::peer_unresponsive, "peer_unresponsive",
                   "The peer did not answer in time when a direct connection was arranged.",
                   "Try again; the relay or the other device is slow or overloaded."},
    PathReasonText{PathReason::peer_broke_protocol, "peer_broke_protocol",
                   "The peer sent something else than an answer when a direct connection was arranged.",
                   "Report it with both versions; the relayed connection goes on."},
    PathReasonText{PathReason::no_addresses, "no_addresses",
                   "This device does not know yet where others see it, so it can tell the peer nothing.",
                   "Connect with a node outside of your network, for example a bootstrap node, and try again."},
    PathReasonText{PathReason::peer_no_addresses, "peer_no_addresses", "The peer told no address that may be dialed.",
                   "Try again when the other device has been online for a minute."},
    PathReasonText{
        PathReason::timeout_direct, "timeout_direct",
        "Both devices sent to each other, and nothing came through in time.",
        "A firewall or a NAT of the other side is in the way: open the port in one of the two routers, or stay "
        "with the relay."},
    PathReasonText{
        PathReason::symmetric_nat, "symmetric_nat",
        "The NAT in front of this device gives every peer another port, so no address can be told in advance.",
        "Open the port in the router (or allow UPnP), use another network, or stay with the relay."},
    PathReasonText{PathReason::udp_blocked, "udp_blocked",
                   "The network of this device lets no UDP through, and TCP did not get through either.",
                   "Allow UDP in the firewall, use another network, or stay with the relay."},
    PathReasonText{PathReason::wrong_peer, "wrong_peer", "Somebody else answers at the address of the peer.",
                   "The peer's address has changed: look it up again."},
    PathReasonText{PathReason::limit_reached, "limit_reached",
                   "Too many direct connections are being arranged, or this one too often.", "Try again in a minute."},
    PathReasonText{PathReason::no_direct_address, "no_direct_address", "The peer has no address but relayed ones.",
                   "Nothing: it is reached through its relay, and a direct connection is tried from there."},
};

constexpr PathReasonText kUnknown{PathReason::none, "unknown", "A reason that this version does not know.",
                                  "Use a newer version to have it explained."};

}  // namespace

std::span<const PathReasonText> path_reasons() { return kTable; }

const PathReasonText& explain(PathReason reason) {
  const auto found = std::find_if(kTable.begin(), kTable.end(),
                                  [reason](const PathReasonText& text) { return text.reason == reason; });
  return found == kTable.end() ? kUnknown : *found;
}

std::string_view path_reason_name(PathReason reason) { return explain(reason).name; }

}  // namespace sereus::net
