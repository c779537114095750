#include "apps/sereus/udp.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cli {

bool udp_works(int family) {
  const int fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  // All zero but for the family: any address, any port.
  sockaddr_storage any{};
  any.ss_family = static_cast<sa_family_t>(family);
  const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&any), size) == 0;
  ::close(fd);
  return bound;
}

}  // namespace cli
