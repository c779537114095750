// What a yamux session knows of one stream.
#pragma once

#include <cstdint>

#include "core/net/chunk_buffer.h"
#include "core/net/limits.h"

namespace sereus::net {

struct YamuxStream {
  uint32_t id = 0;
  bool incoming = false;
  bool accepted = false;      // incoming: taken by the application
  bool acknowledged = false;  // ours: the peer said ACK

  // Frames to come.
  bool syn_due = false;
  bool ack_due = false;
  bool update_due = false;
  bool fin_due = false;  // once `unsent` is empty
  bool fin_sent = false;
  bool control_queued = false;  // in the session's list of streams with flags or window to send
  bool data_queued = false;     // in its list of streams with data and window

  // Sending.
  ChunkBuffer unsent;
  uint64_t send_window = kYamuxWindowInitial;  // what the peer lets us send
  bool wants_writable = false;

  // Receiving.
  ChunkBuffer received;
  uint64_t window = kYamuxWindowInitial;       // the peer may still send this much
  uint64_t window_size = kYamuxWindowInitial;  // window + received + what is read and not yet given back
  uint64_t updated_us = 0;                     // the last time window was given back, for tuning its size
  bool fin_received = false;
  bool fin_told = false;
  bool readable_told = false;

  // Read by the application and not yet given back to the peer.
  uint64_t credit() const { return window_size - window - received.size(); }
  bool finished() const { return fin_sent && fin_told; }
};

}  // namespace sereus::net
