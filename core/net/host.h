// A libp2p host as the rooms above see it: connections proved to belong to a PeerID, and streams named by a
// protocol. QuicHost implements it over datagrams (ngtcp2 + wolfSSL); the simulator also has one over stream-level
// links. A node may own several hosts, each with its own key and sockets.
//
// Sans-I/O: nothing here blocks, reads a clock or starts a thread. Input comes through the implementation's own
// entry points (datagrams) and step(); output leaves through ports; what happened is taken with next_event().
// Thread rule: everything on the node's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/net/peer_id.h"

namespace sereus::net {

using ConnectionId = uint64_t;  // unique within a host for its life; 0 is none
using StreamId = uint64_t;      // unique within a host for its life; 0 is none

struct DialFailed {  // answers dial(): no connection was made
  uint64_t dial = 0;
  Error error;  // unreachable, timeout, denied (wrong peer id), protocol
};
// How much a relay carries: 0 is no limit. Told by the relay, which ends the connection (a reset) when one is reached.
struct CircuitLimit {
  uint64_t duration_us = 0;
  uint64_t data_bytes = 0;  // in each direction
  bool limited() const { return duration_us != 0 || data_bytes != 0; }
  friend bool operator==(const CircuitLimit&, const CircuitLimit&) = default;
};
// Of a connection that a relay carries (Circuit Relay v2).
struct Relayed {
  PeerId relay;
  CircuitLimit limit;
};
struct Connected {
  ConnectionId connection = 0;
  uint64_t dial = 0;    // the dial it answers; 0 for an incoming connection
  PeerId peer;          // proved by the handshake
  std::string address;  // remote multiaddr, without /p2p
  bool incoming = false;
  std::optional<Relayed> relayed = std::nullopt;  // nothing: it is direct
};
struct Disconnected {  // all its streams have been reported closed before
  ConnectionId connection = 0;
  Error reason;  // Code::ok: closed in order
};
struct StreamOpened {  // an incoming stream whose protocol was agreed, or ours whose negotiation finished
  StreamId stream = 0;
  ConnectionId connection = 0;
  std::string protocol;
  bool incoming = false;
};
struct StreamReadable {  // bytes or the end are there; told once until read() returned less than asked
  StreamId stream = 0;
};
struct StreamWritable {  // write() took less than given before; there is room again
  StreamId stream = 0;
};
struct
    StreamClosed {  // reset, refused protocol (unsupported), or its connection ended; not told after both ends finished
  StreamId stream = 0;
  Error reason;
};

using HostEvent =
    std::variant<DialFailed, Connected, Disconnected, StreamOpened, StreamReadable, StreamWritable, StreamClosed>;

struct HostStats {
  uint64_t bytes_sent = 0;  // datagram payload bytes
  uint64_t bytes_received = 0;
  uint64_t connections = 0;
  uint64_t streams = 0;
};

// What a side is in the handshakes of a connection that both begin at once, through their NATs (libp2p specs, DCUtR).
enum class PunchRole : uint8_t { client, server };

class Host {
 public:
  virtual ~Host() = default;

  virtual PeerId peer_id() const = 0;

  // Listens on a multiaddr ("/ip4/0.0.0.0/udp/4001/quic-v1"); udp port 0 draws one.
  virtual Status listen(std::string_view multiaddr) = 0;
  // While the wall clock is known to be wrong, dates in certificates are not checked.
  virtual void set_clock_suspect(bool /*suspect*/) {}
  // Multiaddrs others can dial, with real ports, without /p2p. An unspecified IP is replaced by the interface
  // addresses the host was told of.
  virtual std::vector<std::string> listen_addresses() const = 0;

  // Protocols accepted on incoming streams, e.g. "/sereus/sync/1.0.0".
  virtual void set_protocols(std::vector<std::string> protocols) = 0;

  // Starts a connection to `peer` at `multiaddr` (a trailing /p2p/<id> must match). Answered by Connected with this
  // dial's id, or DialFailed. An existing connection to the peer is not reused here; the caller decides.
  virtual Result<uint64_t> dial(std::string_view multiaddr, const PeerId& peer) = 0;
  // The dial is not wanted any more. Answered as any: DialFailed (cancelled), or Connected when that came first. A transport
  // that cannot cancel goes on.
  virtual void cancel_dial(uint64_t /*dial*/) {}
  virtual void disconnect(ConnectionId connection, Code reason) = 0;

  // Hole punching (libp2p specs, DCUtR): as dial(), but from the port that the host listens on, while the peer does the same. Over
  // TCP both ends connect, and `role` says who acts as the client; over QUIC the client dials and the server only sends probes.
  // Code::unsupported: the transport has no such way.
  virtual Result<uint64_t> dial_punching(std::string_view /*multiaddr*/, const PeerId& /*peer*/, PunchRole /*role*/) {
    return fail(Code::unsupported, "no transport here punches holes to such an address");
  }
  // One datagram that means nothing, from the socket that listens: whatever NAT is in between lets answers in from then on.
  // Lost ones are not told. Code::unsupported: the address is not one of datagrams; Code::not_found: nothing listens here that
  // reaches it; Code::again: the socket is full.
  virtual Status send_probe(std::string_view /*multiaddr*/) {
    return fail(Code::unsupported, "no transport here sends datagrams to such an address");
  }

  // Opens a stream and negotiates `protocol` (multistream-select). The id is valid for write() at once (lazy
  // negotiation); StreamOpened or StreamClosed follows.
  virtual Result<StreamId> open_stream(ConnectionId connection, std::string_view protocol) = 0;
  // Takes as many bytes as there is room for and returns how many; 0 until StreamWritable. Bounded per stream.
  virtual Result<size_t> write(StreamId stream, ByteView data) = 0;
  // Copies up to out.size() bytes. `finished` turns true once the peer's end has been read. Reading opens the peer's
  // flow-control window: who does not read stops the sender.
  struct ReadResult {
    size_t size = 0;
    bool finished = false;
  };
  virtual Result<ReadResult> read(StreamId stream, ByteSpan out) = 0;
  virtual void finish(StreamId stream) = 0;  // no more writes; the other direction stays open
  virtual void reset(StreamId stream) = 0;   // both directions, at once; no event follows

  // The machine's addresses changed, or it slept: paths that worked may not. Connections move to fresh ones where the transport
  // can (QUIC), and all are probed at once, so that dead ones end after a short time instead of the idle timeout.
  virtual void network_changed(const Times& /*now*/) {}
  // A driver's host watches the machine itself: true once after it saw that its addresses changed or it slept. Whoever asks
  // calls network_changed().
  virtual bool take_network_change() { return false; }

  // Runs timers and sends what can be sent. Returns the monotonic time it wants to be called at next, or kNever.
  virtual uint64_t step(const Times& now) = 0;
  virtual std::optional<HostEvent> next_event() = 0;

  virtual HostStats stats() const = 0;

  // Bytes that a connection has in buffers now: received and not read (also what waits for a gap to be filled), written and not
  // sent or not acknowledged, and what its stages hold. Cheap, since it is asked of every connection again and again. 0 without
  // such a connection, and from a host that cannot tell.
  virtual uint64_t buffered(ConnectionId /*connection*/) const { return 0; }
  // The connection's stream that has most of that in buffers of its own, and how much. Stream 0: none has any.
  struct StreamBuffer {
    StreamId stream = 0;
    uint64_t bytes = 0;
  };
  virtual StreamBuffer largest_buffer(ConnectionId /*connection*/) const { return {}; }

  // Closes every connection politely; nothing is accepted or dialed from now on.
  virtual void close(const Times& now) = 0;
};

}  // namespace sereus::net
