#include "core/net/transport_address.h"

namespace sereus::net {
namespace {

Result<Multiaddr> parse_naming(std::string_view multiaddr, const PeerId& peer) {
  SEREUS_ASSIGN(Multiaddr address, Multiaddr::parse(multiaddr));
  if (const auto named = address.peer_id(); named && *named != peer) {
    return fail(Code::invalid, "the address names another peer");
  }
  return address;
}

}  // namespace

Result<Multiaddr> parse_dial_address(std::string_view multiaddr, const PeerId& peer) {
  if (peer.empty()) return fail(Code::invalid, "no peer to dial");
  return parse_naming(multiaddr, peer);
}

Result<Multiaddr> parse_listen_address(std::string_view multiaddr, const PeerId& self) {
  return parse_naming(multiaddr, self);
}

Result<IpEndpoint> dial_endpoint(const std::optional<IpEndpoint>& endpoint, std::string_view form) {
  if (!endpoint) return fail(Code::unsupported, "only " + std::string(form) + " can be dialed");
  if (endpoint->port == 0) return fail(Code::invalid, "the address has no port");
  return *endpoint;
}

Result<IpEndpoint> listen_endpoint(const std::optional<IpEndpoint>& endpoint, std::string_view form) {
  if (!endpoint) return fail(Code::unsupported, "only " + std::string(form) + " can be listened on");
  return *endpoint;
}

}  // namespace sereus::net
