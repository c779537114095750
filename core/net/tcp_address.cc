#include "core/net/tcp_address.h"

#include <algorithm>
#include <array>
#include <span>

namespace sereus::net {
namespace {

constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kHttpsPort = 443;

constexpr std::array kWs{AddrCode::ws};
constexpr std::array kWss{AddrCode::wss};
constexpr std::array kTlsWs{AddrCode::tls, AddrCode::ws};
constexpr std::array kTlsSniWs{AddrCode::tls, AddrCode::sni, AddrCode::ws};

bool are(std::span<const Multiaddr::Part> parts, std::span<const AddrCode> codes) {
  return std::equal(parts.begin(), parts.end(), codes.begin(), codes.end(),
                    [](const Multiaddr::Part& part, AddrCode code) { return part.code == code; });
}

}  // namespace

TransportKind transport_of(TcpWrap wrap) {
  switch (wrap) {
    case TcpWrap::none:
      return TransportKind::tcp;
    case TcpWrap::ws:
      return TransportKind::ws;
    case TcpWrap::wss:
      return TransportKind::wss;
  }
  return TransportKind::tcp;
}

std::optional<TcpAddress> TcpAddress::of(const Multiaddr& address) {
  const Multiaddr bare = address.without_peer_id();
  std::span<const Multiaddr::Part> rest(bare.parts());
  if (rest.size() < 2) return std::nullopt;
  const auto endpoint = bare.first_parts(2).tcp_endpoint();
  if (!endpoint) return std::nullopt;
  rest = rest.subspan(2);
  TcpAddress out{*endpoint, TcpWrap::wss, {}};
  if (rest.empty()) {
    out.wrap = TcpWrap::none;
  } else if (are(rest, kWs)) {
    out.wrap = TcpWrap::ws;
  } else if (are(rest, kTlsSniWs)) {
    out.name = to_string(ByteView(rest[1].value));
  } else if (!are(rest, kWss) && !are(rest, kTlsWs)) {
    return std::nullopt;
  }
  return out;
}

Multiaddr TcpAddress::multiaddr() const {
  Multiaddr out = Multiaddr::tcp(endpoint);
  if (wrap == TcpWrap::wss) {
    out = out.with({AddrCode::tls, {}});
    if (!name.empty()) out = out.with({AddrCode::sni, to_bytes(name)});
  }
  if (wrap != TcpWrap::none) out = out.with({AddrCode::ws, {}});
  return out;
}

std::string TcpAddress::host_field() const {
  std::string ip = ip_to_string(endpoint);
  if (endpoint.is_v6) ip = "[" + ip + "]";
  std::string out = name.empty() ? ip : name;
  const uint16_t usual = wrap == TcpWrap::wss ? kHttpsPort : kHttpPort;
  if (endpoint.port != usual) out += ":" + std::to_string(endpoint.port);
  return out;
}

}  // namespace sereus::net
