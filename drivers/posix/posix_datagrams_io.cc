// Sending and receiving: ancillary data and batches.
#include <errno.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "drivers/posix/posix_datagrams.h"
#include "drivers/posix/socket_address.h"

#if defined(__linux__)
#include <linux/errqueue.h>
#include <netinet/udp.h>
#endif

#if !defined(UDP_SEGMENT)
#define UDP_SEGMENT 103
#endif

namespace sereus::posix {
namespace {

constexpr size_t kBatchMessages = 16;         // one recvmmsg or sendmmsg
constexpr size_t kReceiveBytes = 65536;       // the largest datagram, or run of coalesced ones
constexpr int kReceiveRoundsMax = 8;          // then timers and the other sockets have their turn
constexpr size_t kSegmentsMax = 64;           // UDP_MAX_SEGMENTS
constexpr size_t kSegmentedBytesMax = 65000;  // an IP packet with room for the headers
constexpr int kRepeatsMax = 4;
constexpr int kErrorsPerTurnMax = 16;
constexpr uint8_t kEcnMask = 3;

union ControlBuffer {
  struct cmsghdr align;
  // Traffic class, packet info and segment size, either way.
  uint8_t bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

class ControlWriter {
 public:
  ControlWriter(struct msghdr& message, ControlBuffer& buffer) : message_(message) {
    memset(&buffer, 0, sizeof buffer);
    message_.msg_control = buffer.bytes;
    message_.msg_controllen = sizeof buffer.bytes;
    next_ = CMSG_FIRSTHDR(&message_);
  }
  template <typename T>
  void add(int level, int type, const T& value) {
    next_->cmsg_level = level;
    next_->cmsg_type = type;
    next_->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(next_), &value, sizeof value);
    used_ += CMSG_SPACE(sizeof value);
    next_ = CMSG_NXTHDR(&message_, next_);
  }
  void finish() {
    message_.msg_controllen = used_;
    if (used_ == 0) message_.msg_control = nullptr;
  }

 private:
  struct msghdr& message_;
  struct cmsghdr* next_ = nullptr;
  size_t used_ = 0;
};

void add_ecn(ControlWriter& control, bool is_v6, Ecn ecn) {
  if (ecn == Ecn::not_ect) return;
  const int value = static_cast<int>(ecn);
  if (is_v6) {
    control.add(IPPROTO_IPV6, IPV6_TCLASS, value);
  } else {
    control.add(IPPROTO_IP, IP_TOS, value);
  }
}

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS; }
// The socket tells with the next call what ICMP said of an earlier datagram; that call sent nothing and can be repeated.
bool of_an_earlier_one(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EPROTO || error == EINTR;
}

}  // namespace

#if defined(__linux__)
struct PosixDatagrams::Inbox {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(kBatchMessages * kReceiveBytes);
  std::array<struct mmsghdr, kBatchMessages> messages{};
  std::array<struct iovec, kBatchMessages> parts{};
  std::array<struct sockaddr_storage, kBatchMessages> from{};
  std::array<ControlBuffer, kBatchMessages> control{};

  void prepare() {
    for (size_t i = 0; i < kBatchMessages; ++i) {
      parts[i] = {bytes.data() + i * kReceiveBytes, kReceiveBytes};
      struct msghdr& head = messages[i].msg_hdr;
      head = {};
      head.msg_name = &from[i];
      head.msg_namelen = sizeof from[i];
      head.msg_iov = &parts[i];
      head.msg_iovlen = 1;
      head.msg_control = control[i].bytes;
      head.msg_controllen = sizeof control[i].bytes;
    }
  }
};
#endif

PosixDatagrams::PosixDatagrams(PosixLoop& loop, DatagramEvents events, std::function<Times()> clock)
    : loop_(loop), events_(std::move(events)), clock_(std::move(clock)) {}

PosixDatagrams::~PosixDatagrams() {
  while (!sockets_.empty()) close(sockets_.begin()->first);
}

PosixDatagrams::Sent PosixDatagrams::send_batch(Socket& socket, const IpEndpoint& to, Ecn ecn, ByteView data,
                                                size_t segment_size) {
  SocketAddress address = to_socket_address(to);
  const size_t segments = std::max<size_t>(1, std::min(kSegmentsMax, kSegmentedBytesMax / segment_size));
  const size_t chunk_max = segments * segment_size;
  int repeats = kRepeatsMax;
  while (!data.empty()) {
    const ByteView chunk = data.first(std::min(chunk_max, data.size()));
    struct iovec part {
      const_cast<uint8_t*>(chunk.data()), chunk.size()
    };
    struct msghdr message {};
    message.msg_name = address.any();
    message.msg_namelen = address.size;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    ControlBuffer buffer;
    ControlWriter control(message, buffer);
    add_ecn(control, to.is_v6, ecn);
    if (chunk.size() > segment_size) control.add(IPPROTO_UDP, UDP_SEGMENT, static_cast<uint16_t>(segment_size));
    control.finish();
    if (sendmsg(socket.fd, &message, 0) < 0) {
      if (of_an_earlier_one(errno) && repeats-- > 0) continue;
      if (would_block(errno)) return Sent::full;
      // EIO: the device cannot checksum segments; EINVAL: segments larger than the path's MTU.
      if (errno == EIO || errno == EINVAL || errno == EOPNOTSUPP) return Sent::no_segmentation;
      // Any other failure is a loss like one on the way: the peer's silence tells.
    }
    data = data.subspan(chunk.size());
  }
  return Sent::yes;
}

#if defined(__linux__)

PosixDatagrams::Sent PosixDatagrams::send_singly(Socket& socket, const IpEndpoint& to, Ecn ecn, ByteView data,
                                                 size_t segment_size) {
  SocketAddress address = to_socket_address(to);
  std::array<struct mmsghdr, kBatchMessages> messages{};
  std::array<struct iovec, kBatchMessages> parts{};
  ControlBuffer buffer;
  int repeats = kRepeatsMax;
  while (!data.empty()) {
    unsigned count = 0;
    ByteView left = data;
    while (count < kBatchMessages && !left.empty()) {
      const ByteView one = left.first(std::min(segment_size, left.size()));
      parts[count] = {const_cast<uint8_t*>(one.data()), one.size()};
      struct msghdr& message = messages[count].msg_hdr;
      message = {};
      message.msg_name = address.any();
      message.msg_namelen = address.size;
      message.msg_iov = &parts[count];
      message.msg_iovlen = 1;
      ControlWriter control(message, buffer);  // the same for all
      add_ecn(control, to.is_v6, ecn);
      control.finish();
      left = left.subspan(one.size());
      ++count;
    }
    const int sent = sendmmsg(socket.fd, messages.data(), count, 0);
    if (sent < 0) {
      if (of_an_earlier_one(errno) && repeats-- > 0) continue;
      if (would_block(errno)) return Sent::full;
      data = data.subspan(std::min(segment_size, data.size()));  // the first is lost, like one on the way
      continue;
    }
    data = data.subspan(std::min(static_cast<size_t>(sent) * segment_size, data.size()));
  }
  return Sent::yes;
}

void PosixDatagrams::receive(SocketId id, const Times& now) {
  if (!inbox_) inbox_ = std::make_unique<Inbox>();
  for (int round = 0; round < kReceiveRoundsMax; ++round) {
    const auto at = sockets_.find(id);
    if (at == sockets_.end()) return;
    inbox_->prepare();
    const int count = recvmmsg(at->second.fd, inbox_->messages.data(), kBatchMessages, 0, nullptr);
    if (count < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      continue;  // an error that ICMP reported; the next call reads on
    }
    for (int i = 0; i < count; ++i) {
      const auto still = sockets_.find(id);
      if (still == sockets_.end() || !deliver(id, still->second, *inbox_, i, now)) return;
    }
    if (count < static_cast<int>(kBatchMessages)) return;
  }
}

// What ICMP said of datagrams of ours.
void PosixDatagrams::read_errors(SocketId id) {
  for (int i = 0; i < kErrorsPerTurnMax; ++i) {
    const auto at = sockets_.find(id);
    if (at == sockets_.end()) return;
    struct sockaddr_storage to {};
    uint8_t ignored[64];
    struct iovec part {
      ignored, sizeof ignored
    };
    alignas(struct cmsghdr) uint8_t control[512];
    struct msghdr message {};
    message.msg_name = &to;
    message.msg_namelen = sizeof to;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(at->second.fd, &message, MSG_ERRQUEUE) < 0) return;
    for (struct cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
      const bool ours = (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_RECVERR) ||
                        (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_RECVERR);
      if (!ours) continue;
      struct sock_extended_err error {};
      memcpy(&error, CMSG_DATA(item), sizeof error);
      if (error.ee_errno == ECONNREFUSED && events_.unreachable) events_.unreachable(id, to_endpoint(&to));
    }
  }
}

// False when the socket was closed meanwhile.
bool PosixDatagrams::deliver(SocketId id, const Socket& socket, Inbox& inbox, int index, const Times& now) {
  struct msghdr& message = inbox.messages[static_cast<size_t>(index)].msg_hdr;
  const size_t size = inbox.messages[static_cast<size_t>(index)].msg_len;
  IpEndpoint local = socket.local;
  Ecn ecn = Ecn::not_ect;
  size_t segment_size = size;
  for (struct cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
    const uint8_t* const data = CMSG_DATA(item);
    if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_TOS) {
      ecn = static_cast<Ecn>(data[0] & kEcnMask);
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_TCLASS) {
      int value = 0;
      memcpy(&value, data, sizeof value);
      ecn = static_cast<Ecn>(value & kEcnMask);
    } else if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info {};
      memcpy(&info, data, sizeof info);
      memcpy(local.address.data(), &info.ipi_addr, 4);
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info {};
      memcpy(&info, data, sizeof info);
      memcpy(local.address.data(), &info.ipi6_addr, 16);
#if defined(UDP_GRO)
    } else if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_GRO) {
      int value = 0;
      memcpy(&value, data, sizeof value);
      if (value > 0) segment_size = static_cast<size_t>(value);
#endif
    }
  }
  if ((message.msg_flags & MSG_TRUNC) != 0 || size == 0) return true;
  const IpEndpoint remote = to_endpoint(message.msg_name);
  ByteView left(static_cast<const uint8_t*>(message.msg_iov->iov_base), size);
  while (!left.empty()) {
    const ByteView one = left.first(std::min(segment_size, left.size()));
    events_.received(id, local, remote, ecn, one, now);
    if (sockets_.find(id) == sockets_.end()) return false;
    left = left.subspan(one.size());
  }
  return true;
}

#endif

}  // namespace sereus::posix
