// What a multiaddr says to a TCP host: an endpoint, and what wraps the bytes of a connection there.
//
//   /ip4|ip6/ADDRESS/tcp/PORT                     nothing
//   /ip4|ip6/ADDRESS/tcp/PORT/ws                  WebSocket
//   /ip4|ip6/ADDRESS/tcp/PORT/tls/ws, .../wss     WebSocket in TLS
//   /ip4|ip6/ADDRESS/tcp/PORT/tls/sni/HOST/ws     likewise, and the server goes by this name
//
// each with or without a trailing /p2p/ID.
#pragma once

#include <compare>
#include <optional>
#include <string>

#include "core/net/multiaddr.h"
#include "core/net/transport_policy.h"
#include "core/ports/datagram.h"

namespace sereus::net {

enum class TcpWrap : uint8_t { none, ws, wss };
// As what its connections count.
TransportKind transport_of(TcpWrap wrap);

struct TcpAddress {
  IpEndpoint endpoint;
  TcpWrap wrap = TcpWrap::none;
  std::string name;  // of the server, for TLS; empty: its IP address

  // Nothing for an address of another form.
  static std::optional<TcpAddress> of(const Multiaddr& address);
  // Without /p2p; secure WebSocket as /tls/ws.
  Multiaddr multiaddr() const;
  // The value of HTTP's Host field.
  std::string host_field() const;

  friend std::strong_ordering operator<=>(const TcpAddress&, const TcpAddress&) = default;
};

}  // namespace sereus::net
