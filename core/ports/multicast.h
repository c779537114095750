// Small datagrams to everybody on the own links, as multicast DNS has them (RFC 6762 section 3): to 224.0.0.251 and ff02::fb, port
// 5353, on each interface. The POSIX driver shares the port with whoever else uses it; a browser has none.
#pragma once

#include <cstddef>
#include <optional>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/ports/datagram.h"

namespace sereus {

inline constexpr size_t kMulticastPacketMax = 9000;  // RFC 6762 section 17

// Thread rule: its owner's thread; when something has come in, the driver steps the owner. Closing is destroying.
class Multicast {
 public:
  virtual ~Multicast() = default;

  // To all links. What cannot be sent is lost, as on the way. Also comes back to other sockets of this machine, and to this one.
  virtual void send(ByteView packet) = 0;

  struct Packet {
    IpEndpoint from;
    Bytes data;  // at most kMulticastPacketMax
  };
  virtual std::optional<Packet> next_packet() = 0;
};

}  // namespace sereus
