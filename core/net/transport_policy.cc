#include "core/net/transport_policy.h"

#include <algorithm>
#include <array>
#include <string>

namespace sereus::net {
namespace {

constexpr std::array<std::string_view, kTransportKinds> kNames{"quic", "tcp", "ws", "wss", "relay"};

using Parts = std::vector<Multiaddr::Part>;

// What stands behind the host: the transport, when it is one of ours.
std::optional<TransportKind> transport_of(const Parts& parts, size_t at) {
  size_t end = parts.size();
  if (end > at && parts[end - 1].code == AddrCode::p2p) --end;
  std::vector<AddrCode> codes;
  for (; at < end; ++at) codes.push_back(parts[at].code);
  const auto is = [&codes](std::initializer_list<AddrCode> want) {
    return std::equal(codes.begin(), codes.end(), want.begin(), want.end());
  };
  if (is({AddrCode::udp, AddrCode::quic_v1})) return TransportKind::quic;
  if (is({AddrCode::tcp})) return TransportKind::tcp;
  if (is({AddrCode::tcp, AddrCode::ws})) return TransportKind::ws;
  if (is({AddrCode::tcp, AddrCode::wss}) || is({AddrCode::tcp, AddrCode::tls, AddrCode::ws}) ||
      is({AddrCode::tcp, AddrCode::tls, AddrCode::sni, AddrCode::ws})) {
    return TransportKind::wss;
  }
  return std::nullopt;
}

}  // namespace

std::string_view transport_name(TransportKind kind) { return kNames[static_cast<size_t>(kind)]; }

std::optional<TransportKind> parse_transport(std::string_view name) {
  const auto at = std::find(kNames.begin(), kNames.end(), name);
  if (at == kNames.end()) return std::nullopt;
  return static_cast<TransportKind>(at - kNames.begin());
}

std::optional<AddressShape> shape_of(const Multiaddr& address) {
  const Parts& parts = address.parts();
  if (parts.empty()) return std::nullopt;
  if (const auto circuit = circuit_address_of(address)) {
    AddressShape relay;
    if (!circuit->via.empty()) relay = *shape_of(circuit->via);
    relay.transport = TransportKind::relay;
    return relay;
  }
  const auto transport = transport_of(parts, 1);
  const auto port = address.port();
  if (!transport || !port) return std::nullopt;
  AddressShape out;
  out.transport = *transport;
  out.port = *port;
  const Multiaddr::Part& host = parts.front();
  switch (host.code) {
    case AddrCode::ip4:
    case AddrCode::ip6: {
      IpEndpoint ip;
      ip.is_v6 = host.code == AddrCode::ip6;
      ip.port = *port;
      std::copy(host.value.begin(), host.value.end(), ip.address.begin());
      out.ip = ip;
      return out;
    }
    case AddrCode::dns:
    case AddrCode::dns4:
    case AddrCode::dns6:
      out.name = sereus::to_string(ByteView(host.value));
      out.name_kind = host.code;
      return out;
    default:
      return std::nullopt;
  }
}

std::optional<CircuitAddress> circuit_address_of(const Multiaddr& address) {
  const Parts& parts = address.parts();
  const auto is_circuit = [](const Multiaddr::Part& part) { return part.code == AddrCode::p2p_circuit; };
  const auto at = std::find_if(parts.begin(), parts.end(), is_circuit);
  if (at == parts.end()) return std::nullopt;
  CircuitAddress out;
  const auto behind = static_cast<size_t>(parts.end() - at) - 1;
  out.target = address.peer_id();
  if (behind > 1 || (behind == 1 && !out.target)) return std::nullopt;
  if (behind == 0) out.target.reset();
  if (at == parts.begin()) return out;
  const Multiaddr relay = address.first_parts(static_cast<size_t>(at - parts.begin()));
  const auto peer = relay.peer_id();
  if (!peer) return std::nullopt;
  out.relay = *peer;
  out.via = relay.without_peer_id();
  if (!out.via.empty() && !shape_of(out.via)) return std::nullopt;
  return out;
}

bool TransportPolicy::allows(TransportKind kind) const {
  return std::find(order.begin(), order.end(), kind) != order.end();
}

Status TransportPolicy::check(const Multiaddr& address) const {
  const auto shape = shape_of(address);
  if (!shape) return fail(Code::unsupported, "no transport here is for such an address");
  if (!allows(shape->transport)) {
    return fail(Code::denied, "the transport policy forbids " + std::string(transport_name(shape->transport)));
  }
  if (const auto circuit = circuit_address_of(address)) {
    return circuit->via.empty() ? Status() : check(circuit->via);
  }
  const bool v6_only = shape->ip ? shape->ip->is_v6 : shape->name_kind == AddrCode::dns6;
  const bool v4_only = shape->ip ? !shape->ip->is_v6 : shape->name_kind == AddrCode::dns4;
  if (!ipv4 && (v4_only || !ipv6)) return fail(Code::denied, "the transport policy forbids IPv4");
  if (!ipv6 && v6_only) return fail(Code::denied, "the transport policy forbids IPv6");
  return {};
}

}  // namespace sereus::net
