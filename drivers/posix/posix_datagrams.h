// The Datagrams port over UDP sockets: batches both ways where the kernel can (UDP_SEGMENT, UDP_GRO, recvmmsg), ECN, and
// the local address of what arrived.
//
// Thread rule: the loop's thread; bind() also before the loop runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/base/time.h"
#include "core/ports/datagram.h"
#include "drivers/posix/posix_loop.h"
#include "drivers/posix/posix_times.h"

namespace sereus::posix {

// Where datagrams go. `data` is valid during the call.
struct DatagramEvents {
  std::function<void(SocketId, const IpEndpoint& local, const IpEndpoint& remote, Ecn, ByteView data, const Times& now)>
      received;
  std::function<void(SocketId)> writable;                               // after send() returned false
  std::function<void(SocketId, const IpEndpoint& remote)> unreachable;  // ICMP: nobody listens there; may be forged
};

class PosixDatagrams : public Datagrams {
 public:
  // `loop` outlives it. `clock` tells when a datagram arrived.
  PosixDatagrams(PosixLoop& loop, DatagramEvents events, std::function<Times()> clock = now);
  ~PosixDatagrams() override;  // closes all sockets

  Result<Bound> bind(const IpEndpoint& local) override;
  void close(SocketId socket) override;
  bool send(SocketId socket, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size) override;

  // Tests: as on a kernel without it.
  void disable_segmentation() { allow_segmentation_ = false; }

 private:
  struct Socket {
    int fd = -1;
    IpEndpoint local;
    bool segmentation = false;  // UDP_SEGMENT works here
    bool wants_write = false;
  };
  struct Inbox;  // buffers of one recvmmsg

  enum class Sent : uint8_t { yes, full, no_segmentation };
  void receive(SocketId id, const Times& now);
  void read_errors(SocketId id);
  bool deliver(SocketId id, const Socket& socket, Inbox& inbox, int index, const Times& now);
  Sent send_batch(Socket& socket, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size);
  Sent send_singly(Socket& socket, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size);
  bool full(SocketId id, Socket& socket);

  PosixLoop& loop_;
  const DatagramEvents events_;
  const std::function<Times()> clock_;
  bool allow_segmentation_ = true;
  SocketId last_ = 0;
  std::map<SocketId, Socket> sockets_;
  std::unique_ptr<Inbox> inbox_;
};

// The addresses of this machine's interfaces that are up, loopback last, without IPv6 link-local ones; port 0.
std::vector<IpEndpoint> interface_addresses();

}  // namespace sereus::posix
