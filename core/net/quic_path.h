// Between our endpoints and ngtcp2's socket addresses.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <cstring>

#include "core/ports/datagram.h"

namespace sereus::net {

// A path in ngtcp2's form. Stays where it was made: the path points into it.
class QuicPath {
 public:
  QuicPath(const IpEndpoint& local, const IpEndpoint& remote) {
    path_.local = {&local_.sa, store(local, local_)};
    path_.remote = {&remote_.sa, store(remote, remote_)};
  }
  QuicPath(const QuicPath&) = delete;
  QuicPath& operator=(const QuicPath&) = delete;
  const ngtcp2_path& get() const { return path_; }

  // The endpoint of a socket address that ngtcp2 filled in.
  static IpEndpoint endpoint(const ngtcp2_addr& address) {
    IpEndpoint out;
    ngtcp2_sockaddr_union from{};
    if (address.addrlen > sizeof from) return out;
    std::memcpy(&from, address.addr, address.addrlen);
    out.is_v6 = from.sa.sa_family == NGTCP2_AF_INET6;
    if (out.is_v6) {
      std::memcpy(out.address.data(), &from.in6.sin6_addr, 16);
      out.port = load_be<uint16_t>(reinterpret_cast<const uint8_t*>(&from.in6.sin6_port));
    } else {
      std::memcpy(out.address.data(), &from.in.sin_addr, 4);
      out.port = load_be<uint16_t>(reinterpret_cast<const uint8_t*>(&from.in.sin_port));
    }
    return out;
  }

 private:
  static ngtcp2_socklen store(const IpEndpoint& from, ngtcp2_sockaddr_union& to) {
    std::memset(&to, 0, sizeof to);
    if (from.is_v6) {
      to.in6.sin6_family = NGTCP2_AF_INET6;
      std::memcpy(&to.in6.sin6_addr, from.address.data(), 16);
      store_be<uint16_t>(reinterpret_cast<uint8_t*>(&to.in6.sin6_port), from.port);
      return sizeof to.in6;
    }
    to.in.sin_family = NGTCP2_AF_INET;
    std::memcpy(&to.in.sin_addr, from.address.data(), 4);
    store_be<uint16_t>(reinterpret_cast<uint8_t*>(&to.in.sin_port), from.port);
    return sizeof to.in;
  }

  ngtcp2_sockaddr_union local_;
  ngtcp2_sockaddr_union remote_;
  ngtcp2_path path_{};
};

}  // namespace sereus::net
