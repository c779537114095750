#include <ifaddrs.h>
#include <net/if.h>

#include <vector>

#include "drivers/posix/posix_datagrams.h"
#include "drivers/posix/socket_address.h"

namespace sereus::posix {

std::vector<IpEndpoint> interface_addresses() {
  std::vector<IpEndpoint> out;
  std::vector<IpEndpoint> loopback;
  struct ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const struct ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0) continue;
    const int family = at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    IpEndpoint endpoint = to_endpoint(at->ifa_addr);
    endpoint.port = 0;
    const bool link_local = endpoint.is_v6 && endpoint.address[0] == 0xfe && (endpoint.address[1] & 0xc0) == 0x80;
    if (link_local) continue;  // means nothing without the interface's name
    ((at->ifa_flags & IFF_LOOPBACK) != 0 ? loopback : out).push_back(endpoint);
  }
  freeifaddrs(list);
  out.insert(out.end(), loopback.begin(), loopback.end());
  return out;
}

}  // namespace sereus::posix
