// IpEndpoint to and from sockaddr.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "core/ports/datagram.h"

namespace sereus::posix {

struct SocketAddress {
  struct sockaddr_storage storage {};
  socklen_t size = 0;
  struct sockaddr* any() {
    return reinterpret_cast<struct sockaddr*>(&storage);
  }
};

inline SocketAddress to_socket_address(const IpEndpoint& endpoint) {
  SocketAddress out;
  if (endpoint.is_v6) {
    struct sockaddr_in6 v6 {};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&v6.sin6_addr, endpoint.address.data(), 16);
    std::memcpy(&out.storage, &v6, sizeof v6);
    out.size = sizeof v6;
  } else {
    struct sockaddr_in v4 {};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.address.data(), 4);
    std::memcpy(&out.storage, &v4, sizeof v4);
    out.size = sizeof v4;
  }
  return out;
}

// All zero for a family that is not IP.
inline IpEndpoint to_endpoint(const void* address) {
  IpEndpoint out;
  struct sockaddr head {};
  std::memcpy(&head, address, sizeof head);
  if (head.sa_family == AF_INET6) {
    struct sockaddr_in6 v6 {};
    std::memcpy(&v6, address, sizeof v6);
    out.is_v6 = true;
    out.port = ntohs(v6.sin6_port);
    std::memcpy(out.address.data(), &v6.sin6_addr, 16);
  } else if (head.sa_family == AF_INET) {
    struct sockaddr_in v4 {};
    std::memcpy(&v4, address, sizeof v4);
    out.port = ntohs(v4.sin_port);
    std::memcpy(out.address.data(), &v4.sin_addr, 4);
  }
  return out;
}

}  // namespace sereus::posix
