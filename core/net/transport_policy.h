// Which transports and address families may be used, and what an address asks for. The same rule holds for dialing and for
// listening.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_id.h"

namespace sereus::net {

// relay: over another connection of ours (Circuit Relay v2). Its bytes are those of that connection, for limits of bandwidth, too.
enum class TransportKind : uint8_t { quic, tcp, ws, wss, relay };
inline constexpr size_t kTransportKinds = 5;
// "quic", "tcp", "ws", "wss", "relay", as in configurations.
std::string_view transport_name(TransportKind kind);
std::optional<TransportKind> parse_transport(std::string_view name);

// What an address asks for, by its shape alone: `ip|dns`, then udp/quic-v1, tcp, tcp[/tls[/sni/..]]/ws or tcp/wss, and perhaps
// p2p. Or, relayed: such an address of the relay, or none, then p2p/RELAY/p2p-circuit, and perhaps p2p; or p2p-circuit alone, any
// relay, which can be listened on. Nothing for others (relayed twice, webtransport, webrtc-direct).
struct AddressShape {
  TransportKind transport = TransportKind::tcp;
  // Exactly one of the two; of a relayed address those of the relay, or neither.
  std::optional<IpEndpoint> ip;
  std::string name;                    // of dns, dns4 or dns6
  AddrCode name_kind = AddrCode::dns;  // only with a name
  uint16_t port = 0;

  // It is to be looked up before it can be dialed. The relay's name is the matter of who dials the relay.
  bool needs_lookup() const { return transport != TransportKind::relay && !ip; }
};
std::optional<AddressShape> shape_of(const Multiaddr& address);

// A relayed address taken apart.
struct CircuitAddress {
  PeerId relay;                  // empty: any
  Multiaddr via;                 // of the relay, without its peer id; may be empty
  std::optional<PeerId> target;  // the peer id behind p2p-circuit
};
std::optional<CircuitAddress> circuit_address_of(const Multiaddr& address);

struct TransportPolicy {
  // Allowed ones, the preferred first: dialing tries them in this order, each a little after the one before it. What is not
  // named is forbidden.
  std::vector<TransportKind> order{TransportKind::quic, TransportKind::tcp, TransportKind::wss, TransportKind::ws,
                                   TransportKind::relay};
  bool ipv4 = true;
  bool ipv6 = true;

  bool allows(TransportKind kind) const;
  // Code::unsupported: no transport of ours has such addresses. Code::denied: the policy forbids it; the text names what.
  // An address by name passes while any family is allowed: what it resolves to is looked at again. A relayed one passes when
  // the relay's address does, too.
  Status check(const Multiaddr& address) const;
};

}  // namespace sereus::net
