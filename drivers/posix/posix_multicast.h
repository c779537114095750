// The Multicast port on UDP sockets, one of each family, bound to port 5353 beside whoever else uses it (RFC 6762 section 15.1).
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "core/ports/multicast.h"
#include "drivers/posix/descriptor.h"
#include "drivers/posix/posix_loop.h"

namespace sereus::posix {

inline constexpr size_t kMulticastWaitingMax = 256;  // packets not taken; more are dropped, as by a full socket
inline constexpr size_t kMulticastInterfacesMax = 32;

class PosixMulticast final : public Multicast {
 public:
  // `wake` is called on the loop's thread when something has come in. `port` is another one for tests. Code::io when neither family
  // can be bound.
  static Result<std::unique_ptr<PosixMulticast>> make(PosixLoop& loop, std::function<void()> wake,
                                                      uint16_t port = 5353);
  ~PosixMulticast() override;

  void send(ByteView packet) override;
  std::optional<Packet> next_packet() override;

 private:
  struct Socket {
    bool is_v6 = false;
    std::unique_ptr<Descriptor> descriptor;
    std::vector<unsigned> joined;  // interfaces by number
  };
  PosixMulticast(PosixLoop& loop, std::function<void()> wake, uint16_t port)
      : loop_(loop), wake_(std::move(wake)), port_(port) {}

  Status open(bool is_v6);
  void join_interfaces();
  void receive(const Socket& socket);

  PosixLoop& loop_;
  std::function<void()> wake_;
  const uint16_t port_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::deque<Packet> packets_;
};

}  // namespace sereus::posix
