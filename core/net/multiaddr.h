// Multiaddr: a self-describing network address, "/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3Koo...", and its binary form
// (multiformats/multiaddr, and libp2p specs, addressing). Strict both ways: one text and one byte string per address. Two values have
// further texts, which are read and never printed: peer ids as CIDs, and certificate hashes in other bases than base64url.
#pragma once

#include <compare>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/peer_id.h"
#include "core/ports/datagram.h"

namespace sereus::net {

// Codes of the multicodec table.
enum class AddrCode : uint32_t {
  ip4 = 4,
  tcp = 6,
  ip6 = 41,
  ip6zone = 42,
  dns = 53,
  dns4 = 54,
  dns6 = 55,
  dnsaddr = 56,
  udp = 273,
  webrtc_direct = 280,
  p2p_circuit = 290,
  p2p = 421,
  tls = 448,
  sni = 449,
  quic_v1 = 461,
  webtransport = 465,
  certhash = 466,
  ws = 477,
  wss = 478,
};

class Multiaddr {
 public:
  struct Part {
    AddrCode code{};
    Bytes value;  // as in the binary form, without a length prefix
    friend std::strong_ordering operator<=>(const Part&, const Part&) = default;
  };

  Multiaddr() = default;
  // Code::malformed for text that is no multiaddr, Code::unsupported for a protocol outside the table.
  static Result<Multiaddr> parse(std::string_view text);
  static Result<Multiaddr> from_bytes(ByteView bytes);
  // /ip4|ip6/<ip>/udp/<port>/quic-v1
  static Multiaddr quic(const IpEndpoint& endpoint);
  // /ip4|ip6/<ip>/tcp/<port>
  static Multiaddr tcp(const IpEndpoint& endpoint);

  std::string to_string() const;
  Bytes to_bytes() const;
  const std::vector<Part>& parts() const { return parts_; }
  bool empty() const { return parts_.empty(); }

  // The endpoint when the address is exactly ip4|ip6, udp, quic-v1, with or without a trailing p2p.
  std::optional<IpEndpoint> quic_endpoint() const;
  // The endpoint when the address is exactly ip4|ip6, tcp, with or without a trailing p2p.
  std::optional<IpEndpoint> tcp_endpoint() const;
  // An address that a transport of ours dials (see also tcp_address.h).
  bool dialable() const;
  // The UDP or TCP port, if there is one.
  std::optional<uint16_t> port() const;
  Multiaddr with_port(uint16_t port) const;
  // The last part's peer id.
  std::optional<PeerId> peer_id() const;
  Multiaddr with_peer_id(const PeerId& peer) const;
  Multiaddr without_peer_id() const;
  // The first `count` parts; all when there are fewer.
  Multiaddr first_parts(size_t count) const;
  // With a further part. Precondition: its value is one of that protocol, and there is room.
  Multiaddr with(Part part) const;

  friend std::strong_ordering operator<=>(const Multiaddr&, const Multiaddr&) = default;

 private:
  static Multiaddr of_endpoint(const IpEndpoint& endpoint, AddrCode transport);
  std::optional<IpEndpoint> endpoint_before(std::initializer_list<AddrCode> rest) const;

  std::vector<Part> parts_;
};

}  // namespace sereus::net
