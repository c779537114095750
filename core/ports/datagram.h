// Datagrams as a port: addresses and an outlet. Incoming datagrams are handed to the host by the driver.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace sereus {

// An IP address and a UDP or TCP port. IPv4 uses the first four bytes.
struct IpEndpoint {
  bool is_v6 = false;
  std::array<uint8_t, 16> address{};
  uint16_t port = 0;
  friend std::strong_ordering operator<=>(const IpEndpoint&, const IpEndpoint&) = default;

  static IpEndpoint loopback_v4(uint16_t port) { return {false, {127, 0, 0, 1}, port}; }
};

// "127.0.0.1:4001", "[::1]:4001".
std::string to_string(const IpEndpoint& endpoint);
std::optional<IpEndpoint> parse_ip_endpoint(std::string_view text);
// Address without port: "127.0.0.1", "::1".
std::string ip_to_string(const IpEndpoint& endpoint);
std::optional<IpEndpoint> parse_ip(std::string_view text, uint16_t port);
// An IPv4 address mapped into IPv6 (RFC 4291 section 2.5.5.2: ::ffff:a.b.c.d) as the IPv4 address that it is; others as they are.
IpEndpoint unmapped(const IpEndpoint& endpoint);
// 127.0.0.0/8 (also mapped into IPv6) and ::1.
bool is_loopback(const IpEndpoint& endpoint);

using SocketId = uint32_t;  // 0 is none

// Explicit congestion notification, the two bits of the IP header (RFC 3168).
enum class Ecn : uint8_t { not_ect = 0, ect_1 = 1, ect_0 = 2, ce = 3 };

class Datagrams {
 public:
  virtual ~Datagrams() = default;
  // Binds a UDP socket; port 0 draws one. Returns its id and the bound endpoint.
  struct Bound {
    SocketId socket = 0;
    IpEndpoint local;
  };
  virtual Result<Bound> bind(const IpEndpoint& local) = 0;
  virtual void close(SocketId socket) = 0;
  // Sends `data` as datagrams of `segment_size` bytes each (the last may be shorter): one call for a GSO batch.
  // Returns false when the socket is not writable now: keep it and retry after writable() was signalled.
  virtual bool send(SocketId socket, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size) = 0;
};

}  // namespace sereus
