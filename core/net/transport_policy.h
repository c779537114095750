// Which transports and address families may be used, and what an address asks for. The same rule holds for dialing and for
// listening.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/net/multiaddr.h"

namespace sereus::net {

enum class TransportKind : uint8_t { quic, tcp, ws, wss };
inline constexpr size_t kTransportKinds = 4;
// "quic", "tcp", "ws", "wss", as in configurations.
std::string_view transport_name(TransportKind kind);
std::optional<TransportKind> parse_transport(std::string_view name);

// What an address asks for, by its shape alone: `ip|dns`, then udp/quic-v1, tcp, tcp[/tls[/sni/..]]/ws or tcp/wss, and perhaps
// p2p. Nothing for others (relayed, webtransport, webrtc-direct).
struct AddressShape {
  TransportKind transport = TransportKind::tcp;
  // Exactly one of the two.
  std::optional<IpEndpoint> ip;
  std::string name;                    // of dns, dns4 or dns6
  AddrCode name_kind = AddrCode::dns;  // only with a name
  uint16_t port = 0;
};
std::optional<AddressShape> shape_of(const Multiaddr& address);

struct TransportPolicy {
  // Allowed ones, the preferred first: dialing tries them in this order, each a little after the one before it. What is not
  // named is forbidden.
  std::vector<TransportKind> order{TransportKind::quic, TransportKind::tcp, TransportKind::wss, TransportKind::ws};
  bool ipv4 = true;
  bool ipv6 = true;

  bool allows(TransportKind kind) const;
  // Code::unsupported: no transport of ours has such addresses. Code::denied: the policy forbids it; the text names what.
  // An address by name passes while any family is allowed: what it resolves to is looked at again.
  Status check(const Multiaddr& address) const;
};

}  // namespace sereus::net
