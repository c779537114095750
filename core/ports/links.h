// Byte-stream connections (TCP) as a port. A link carries bytes in order, both ways. The driver signals through
// LinkEvents; bytes are taken and given by calls, so who does not read stops the sender.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/ports/datagram.h"

namespace sereus {

using LinkId = uint64_t;      // never used again by the same Links; 0 is none
using ListenerId = uint64_t;  // likewise

class Links {
 public:
  virtual ~Links() = default;

  // Port 0 draws one; `local` of the answer is what was bound.
  struct Listening {
    ListenerId listener = 0;
    IpEndpoint local;
  };
  virtual Result<Listening> listen(const IpEndpoint& local) = 0;
  // Links accepted on it stay.
  virtual void stop_listening(ListenerId listener) = 0;

  // Starts to connect. Answered by on_connected(), or on_closed() when nobody answers there.
  virtual Result<LinkId> connect(const IpEndpoint& remote) = 0;

  // Takes as many bytes as there is room for and returns how many. Fewer than given: on_writable() follows. 0 for a link
  // that is not connected or gone.
  virtual size_t write(LinkId link, ByteView data) = 0;

  // Copies what has arrived, up to out.size() bytes. Fewer than asked: on_readable() follows when there is more.
  struct ReadResult {
    size_t size = 0;
    bool ended = false;  // the peer has sent its end, and everything before it has been read
  };
  virtual ReadResult read(LinkId link, ByteSpan out) = 0;

  // Sends the end of our direction behind what was written. The other direction stays open.
  virtual void finish(LinkId link) = 0;
  // Both directions, at once; what was not sent may be lost. No event follows.
  virtual void close(LinkId link) = 0;
};

// What the owner of links is told, on its thread, never from inside a call of Links.
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  virtual void on_accepted(ListenerId listener, LinkId link, const IpEndpoint& local, const IpEndpoint& remote) = 0;
  virtual void on_connected(LinkId link, const IpEndpoint& local) = 0;
  // Bytes or the end have arrived. Told once, until a read() returned fewer bytes than it could take.
  virtual void on_readable(LinkId link) = 0;
  // There is room again after a write() that took fewer bytes than given. Told once.
  virtual void on_writable(LinkId link) = 0;
  // The link is gone: Code::unreachable when it was never connected, Code::io when it broke. Not told after close().
  virtual void on_closed(LinkId link, const Error& reason) = 0;
};

}  // namespace sereus
