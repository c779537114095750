// In which order, and how far apart, the addresses of a peer are tried (RFC 8305, "Happy Eyeballs", as go-libp2p's swarm does it).
#pragma once

#include <span>
#include <vector>

#include "core/net/limits.h"
#include "core/net/multiaddr.h"
#include "core/net/transport_policy.h"

namespace sereus::net {

// Loopback reaches this machine only, local ones (RFC 1918, RFC 4193, link-local) the own network, global the rest.
enum class AddressScope : uint8_t { loopback, local, global };
AddressScope scope_of(const IpEndpoint& endpoint);

struct RankedAddress {
  Multiaddr address;  // no names: they have been resolved; those of relays may have one
  TransportKind transport{};
  uint64_t delay_us = 0;  // from the begin of the race
};

// Loopback and local addresses run a race of their own, beside the global ones, with kDialDelayLocalUs instead of
// kDialDelayUs. Within a race: the policy's first transport begins with one IPv6 address; one of IPv4 follows after the delay,
// and the further ones after another. The next transport begins a delay after that. Addresses that `policy` does not
// allow, and doubles, are left out. Relayed ones come last, kDialDelayRelayUs behind the first direct one, if there is any, and
// kDialDelayUs apart: each takes of a relay's quota. Stable: alike addresses stay in the order given.
std::vector<RankedAddress> rank_addresses(std::span<const Multiaddr> addresses, const TransportPolicy& policy);

}  // namespace sereus::net
