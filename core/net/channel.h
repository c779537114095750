// One stage between a link's bytes and what runs over them: WebSocket framing, Noise, TLS. Stages are stacked; each turns
// received bytes into plain ones and plain ones into bytes to send.
//
// Sans-I/O, on the node's thread. How long a stage may take to become established is its owner's to say.
#pragma once

#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/peer_id.h"

namespace sereus::net {

class Channel {
 public:
  enum class State : uint8_t {
    handshaking,
    established,
    ended,  // the peer said goodbye (close_notify, a close frame): what it sends now is dropped, ours goes on
    failed,
  };
  virtual ~Channel() = default;

  // Appends what the stage says of its own (an initiator's first message). Once, before anything else.
  virtual Status start(Bytes& out) = 0;
  // Takes received bytes, all of them. Answers of the stage itself are appended to `out`, what it carried to `plain`. After
  // an error the stage is over; the same error comes back from then on.
  virtual Status feed(ByteView in, Bytes& out, Bytes& plain) = 0;
  // Appends `plain`, wrapped, to `out`. Code::again before the stage is established.
  virtual Status seal(ByteView plain, Bytes& out) = 0;
  // Says goodbye (close_notify, a close frame); nothing is sealed afterwards.
  virtual void finish(Bytes& /*out*/) {}

  virtual State state() const = 0;
  // Bytes that it holds between calls, of what was received.
  virtual size_t buffered() const { return 0; }
};

// A stage that proves who the peer is. Precondition of its getters: established.
class SecureChannel : public Channel {
 public:
  virtual const PeerId& peer() const = 0;
  virtual const std::string& muxer() const = 0;  // agreed inside the handshake; empty: left to multistream-select
};

}  // namespace sereus::net
