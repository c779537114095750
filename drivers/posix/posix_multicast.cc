#include "drivers/posix/posix_multicast.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "drivers/posix/socket_address.h"

namespace sereus::posix {
namespace {

constexpr int kHopLimit = 255;  // RFC 6762 section 11
constexpr const char* kGroupV4 = "224.0.0.251";
constexpr const char* kGroupV6 = "ff02::fb";

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// Interfaces that are up and can do it, and the loopback one, over which the machine's own processes hear each other.
std::vector<unsigned> multicast_interfaces(bool is_v6) {
  std::set<unsigned> out;
  struct ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  for (const struct ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    const bool up = (at->ifa_flags & IFF_UP) != 0;
    const bool able = (at->ifa_flags & (IFF_MULTICAST | IFF_LOOPBACK)) != 0;
    const int family = is_v6 ? AF_INET6 : AF_INET;
    if (at->ifa_addr == nullptr || !up || !able || at->ifa_addr->sa_family != family) continue;
    if (const unsigned number = if_nametoindex(at->ifa_name); number != 0) out.insert(number);
  }
  freeifaddrs(list);
  std::vector<unsigned> numbers(out.begin(), out.end());
  if (numbers.size() > kMulticastInterfacesMax) numbers.resize(kMulticastInterfacesMax);
  return numbers;
}

bool join(int fd, bool is_v6, unsigned interface) {
  if (is_v6) {
    struct ipv6_mreq request {};
    inet_pton(AF_INET6, kGroupV6, &request.ipv6mr_multiaddr);
    request.ipv6mr_interface = interface;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request) == 0 || errno == EADDRINUSE;
  }
  struct ip_mreqn request {};
  inet_pton(AF_INET, kGroupV4, &request.imr_multiaddr);
  request.imr_ifindex = static_cast<int>(interface);
  return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request) == 0 || errno == EADDRINUSE;
}

void send_by(int fd, bool is_v6, unsigned interface, uint16_t port, ByteView packet) {
  SocketAddress to = to_socket_address(*parse_ip(is_v6 ? kGroupV6 : kGroupV4, port));
  if (is_v6) {
    set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(interface));
  } else {
    struct ip_mreqn request {};
    request.imr_ifindex = static_cast<int>(interface);
    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request);
  }
  (void)sendto(fd, packet.data(), packet.size(), MSG_DONTWAIT, to.any(), to.size);  // lost, as on the way
}

}  // namespace

Result<std::unique_ptr<PosixMulticast>> PosixMulticast::make(PosixLoop& loop, std::function<void()> wake,
                                                             uint16_t port) {
  std::unique_ptr<PosixMulticast> out(new PosixMulticast(loop, std::move(wake), port));
  Status last;
  for (const bool is_v6 : {false, true}) {
    if (Status opened = out->open(is_v6); !opened.ok()) last = opened;
  }
  if (out->sockets_.empty()) return last.error();
  out->join_interfaces();
  return out;
}

PosixMulticast::~PosixMulticast() {
  for (const auto& socket : sockets_) loop_.forget(socket->descriptor->get());
}

Status PosixMulticast::open(bool is_v6) {
  auto socket = std::make_unique<Socket>();
  socket->is_v6 = is_v6;
  const int fd = ::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(Code::io, std::string("cannot make a UDP socket: ") + std::strerror(errno));
  socket->descriptor = std::make_unique<Descriptor>(fd);
  // Both, so that responders of other kinds may share it, whichever they use.
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (is_v6) {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kHopLimit);
    set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1);
  } else {
    set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, kHopLimit);
    set_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
#if defined(IP_MULTICAST_ALL)
    set_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);  // only what we joined
#endif
  }
  IpEndpoint any;
  any.is_v6 = is_v6;
  any.port = port_;
  SocketAddress address = to_socket_address(any);
  if (::bind(fd, address.any(), address.size) != 0) {
    return fail(Code::io, "cannot bind UDP port " + std::to_string(port_) + ": " + std::strerror(errno));
  }
  SEREUS_TRY(loop_.watch(fd, true, false, [this, raw = socket.get()](PosixLoop::Ready) { receive(*raw); }));
  sockets_.push_back(std::move(socket));
  return {};
}

// Interfaces come and go: looked for before each packet, of which there are few.
void PosixMulticast::join_interfaces() {
  for (const auto& socket : sockets_) {
    std::vector<unsigned> now = multicast_interfaces(socket->is_v6);
    std::erase_if(now, [&](unsigned number) { return !join(socket->descriptor->get(), socket->is_v6, number); });
    socket->joined = std::move(now);
  }
}

void PosixMulticast::send(ByteView packet) {
  join_interfaces();
  for (const auto& socket : sockets_) {
    for (const unsigned interface : socket->joined) {
      send_by(socket->descriptor->get(), socket->is_v6, interface, port_, packet);
    }
  }
}

void PosixMulticast::receive(const Socket& socket) {
  Bytes buffer(kMulticastPacketMax);
  bool any = false;
  for (;;) {
    struct sockaddr_storage from {};
    socklen_t size = sizeof from;
    const ssize_t got = recvfrom(socket.descriptor->get(), buffer.data(), buffer.size(), 0,
                                 reinterpret_cast<struct sockaddr*>(&from), &size);
    if (got < 0) break;
    if (packets_.size() >= kMulticastWaitingMax) continue;
    packets_.push_back({to_endpoint(&from), to_bytes(ByteView(buffer).first(static_cast<size_t>(got)))});
    any = true;
  }
  if (any) wake_();
}

std::optional<Multicast::Packet> PosixMulticast::next_packet() {
  if (packets_.empty()) return std::nullopt;
  Packet packet = std::move(packets_.front());
  packets_.pop_front();
  return packet;
}

}  // namespace sereus::posix
