#include "drivers/posix/posix_datagrams.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "drivers/posix/posix_times.h"
#include "drivers/posix/socket_address.h"

#if defined(__linux__)
#include <netinet/udp.h>
#endif

namespace sereus::posix {
namespace {

constexpr int kSocketBufferBytes = 4 << 20;  // a burst of 3000 packets; the kernel caps it at net.core.[rw]mem_max

bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

void set_options(int fd, bool is_v6) {
  set_option(fd, SOL_SOCKET, SO_RCVBUF, kSocketBufferBytes);
  set_option(fd, SOL_SOCKET, SO_SNDBUF, kSocketBufferBytes);
  // QUIC finds the path's MTU itself (RFC 9000, 14): the kernel sets "don't fragment" and does not answer for routers.
  if (is_v6) {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
#if defined(IPV6_MTU_DISCOVER)
    set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
#endif
  } else {
    set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
    set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
#if defined(IP_MTU_DISCOVER)
    set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
#endif
  }
#if defined(UDP_GRO)
  set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
#endif
}

}  // namespace

Result<Datagrams::Bound> PosixDatagrams::bind(const IpEndpoint& local) {
  const int fd = ::socket(local.is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(Code::io, std::string("cannot make a UDP socket: ") + std::strerror(errno));
  set_options(fd, local.is_v6);
  SocketAddress address = to_socket_address(local);
  if (::bind(fd, address.any(), address.size) != 0) {
    const int error = errno;
    ::close(fd);
    const Code code = error == EADDRINUSE ? Code::busy : error == EACCES ? Code::denied : Code::io;
    return fail(code, "cannot bind UDP " + to_string(local) + ": " + std::strerror(error));
  }
  address.size = sizeof address.storage;
  getsockname(fd, address.any(), &address.size);

  const SocketId id = ++last_;
  Socket socket;
  socket.fd = fd;
  socket.local = to_endpoint(&address.storage);
#if defined(__linux__)
  socket.segmentation = allow_segmentation_ && set_option(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
#endif
  const Status watched = loop_.watch(fd, true, false, [this, id](PosixLoop::Ready ready) {
    const auto at = sockets_.find(id);
    if (at == sockets_.end()) return;
    if (ready.writable && at->second.wants_write) {
      at->second.wants_write = false;
      loop_.change(at->second.fd, true, false);
      events_.writable(id);
    }
    if (ready.failed) read_errors(id);
    if (ready.readable) receive(id, clock_());
  });
  if (!watched.ok()) {
    ::close(fd);
    return watched.error();
  }
  const Bound bound{id, socket.local};
  sockets_.emplace(id, socket);
  return bound;
}

void PosixDatagrams::close(SocketId socket) {
  const auto at = sockets_.find(socket);
  if (at == sockets_.end()) return;
  loop_.forget(at->second.fd);
  ::close(at->second.fd);
  sockets_.erase(at);
}

bool PosixDatagrams::send(SocketId id, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size) {
  const auto at = sockets_.find(id);
  if (at == sockets_.end() || data.empty()) return true;  // closed: as lost on the way
  Socket& socket = at->second;
  if (socket.local.is_v6 != to.is_v6) return true;
  if (segment_size == 0 || segment_size > data.size()) segment_size = data.size();
  if (socket.segmentation && segment_size < data.size()) {
    const Sent sent = send_batch(socket, to, ecn, data, segment_size);
    if (sent != Sent::no_segmentation) return sent == Sent::yes || full(id, socket);
    socket.segmentation = false;
  }
  return send_singly(socket, to, ecn, data, segment_size) == Sent::yes || full(id, socket);
}

bool PosixDatagrams::full(SocketId, Socket& socket) {
  if (!socket.wants_write) {
    socket.wants_write = true;
    loop_.change(socket.fd, true, true);
  }
  return false;
}

}  // namespace sereus::posix
