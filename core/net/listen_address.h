// Which endpoints others can dial when a socket is bound to `local`: itself, or with the unspecified address those of the
// interfaces of its family.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "core/ports/datagram.h"

namespace sereus::net {

inline bool is_unspecified(const IpEndpoint& endpoint) {
  return std::all_of(endpoint.address.begin(), endpoint.address.end(), [](uint8_t b) { return b == 0; });
}

inline std::vector<IpEndpoint> reachable_endpoints(const IpEndpoint& local, std::span<const IpEndpoint> interfaces) {
  if (!is_unspecified(local)) return {local};
  std::vector<IpEndpoint> out;
  for (IpEndpoint interface : interfaces) {
    if (interface.is_v6 != local.is_v6) continue;
    interface.port = local.port;
    out.push_back(interface);
  }
  return out;
}

}  // namespace sereus::net
