// Which IP addresses may be named to strangers, or dialed because a stranger named them; and who counts as somebody else.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/net/dial_ranking.h"
#include "core/net/multiaddr.h"
#include "core/ports/datagram.h"

namespace sereus::net {

// Unspecified, multicast, broadcast and reserved addresses are never allowed, and neither is port 0.
struct AddressFilter {
  // Also those of the own network: RFC 1918, RFC 4193, RFC 6598 (a carrier's), link-local. For networks that are not the Internet.
  bool local = false;
  bool loopback = false;

  bool allows(const IpEndpoint& endpoint) const;
  // Of an address by IP that a transport of ours dials; false for all others.
  bool allows(const Multiaddr& address) const;
};

// Who shares an address or a network with another is likely to be the same: /24 of IPv4, /48 of IPv6 (what a site gets). Addresses
// of a local network stand for themselves, as everybody in it shares more than that.
using Subnet = std::array<uint8_t, 17>;
Subnet subnet_of(const IpEndpoint& endpoint);

// The endpoint of an address of the form ip, then a transport of ours, also with /p2p behind it.
std::optional<IpEndpoint> endpoint_of(const Multiaddr& address);
std::optional<IpEndpoint> endpoint_of(std::string_view multiaddr);

bool same_ip(const IpEndpoint& a, const IpEndpoint& b);

// A connection or an address through a relay (libp2p specs, circuit-v2).
bool is_relayed(std::string_view multiaddr);

}  // namespace sereus::net
