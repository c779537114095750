// One stream of a QUIC connection: its buffers and where it stands. QuicConnection moves it along.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include "core/net/chunk_buffer.h"
#include "core/net/host.h"
#include "core/net/limits.h"
#include "core/net/multistream.h"

namespace sereus::net {

class QuicConnection;

struct QuicStream {
  QuicStream(QuicConnection& owner, StreamId stream_id, int64_t quic, bool from_peer)
      : connection(owner), id(stream_id), quic_id(quic), incoming(from_peer) {}

  QuicConnection& connection;
  const StreamId id;
  const int64_t quic_id;
  const bool incoming;

  // Receiving.
  ChunkBuffer received;
  bool fin_received = false;
  bool end_read = false;       // the application has read the end
  bool readable_armed = true;  // the next bytes are worth a StreamReadable

  // Sending. `unacked` holds what was written and not acknowledged; its first `sent` bytes are with ngtcp2.
  ChunkBuffer unacked;
  size_t sent = 0;
  bool fin_wanted = false;
  bool fin_sent = false;
  bool write_stopped = false;  // the peer does not read any more
  bool queued = false;         // in the connection's send queue

  // Agreeing on the protocol.
  Multistream negotiation;
  uint64_t negotiation_deadline_us = 0;

  bool known = false;        // the application has its id
  bool dead = false;         // reset or refused: nothing is told of it any more
  bool quic_closed = false;  // ngtcp2 has forgotten it

  size_t unsent() const { return unacked.size() - sent; }
  bool wants_to_send() const { return !write_stopped && !quic_closed && (unsent() > 0 || (fin_wanted && !fin_sent)); }
  bool negotiating() const { return negotiation.state() == Multistream::State::negotiating; }
};

}  // namespace sereus::net
