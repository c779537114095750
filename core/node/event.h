// What a node tells. One flat struct for all kinds (numbers equal SEREUS_EVENT_*); core/capi lays it out as C structs.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/base/bytes.h"
#include "core/base/error.h"

namespace sereus::node {

enum class EventKind : uint32_t {
  done = 1,
  closed = 2,
  dropped = 3,         // made by the queue, not by the node
  listening = 4,       // address
  peer = 5,            // what, peer, name, address, store
  store = 6,           // what, store, peer = uuid, name
  store_change = 7,    // op = watch, store, epoch, sequence, key, data = value, deleted, winner, hlc, author
  watch_reset = 8,     // op = watch, store, epoch, sequence
  sync_progress = 9,   // op, store, peer, count = received, count_sent, count_missing
  clock_suspect = 10,  // wall_us, detail = reason
  fork = 11,           // store, author, sequence = seq
  connection = 12,     // what, host, connection, peer, address, incoming, status, detail
  stream = 13,         // host, connection, stream, name = protocol, peer
  stream_closed = 14,  // host, connection, stream, status, detail
  refused = 15,        // what = reason, detail = its name, host, peer, address, name = protocol, incoming, count
};

inline constexpr uint32_t kAllOrigins = UINT32_MAX;

struct Event {
  EventKind kind = EventKind::done;
  uint32_t origin = kAllOrigins;  // who gets it
  uint64_t op = 0;
  Code status = Code::ok;
  std::string detail;
  uint64_t store = 0;
  uint32_t what = 0;
  std::string peer;
  std::string name;
  std::string address;
  Bytes key;
  Bytes data;
  Bytes author;
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  uint64_t count = 0;
  uint64_t count_sent = 0;
  uint64_t count_missing = 0;
  uint64_t hlc_wall_ms = 0;
  uint32_t hlc_counter = 0;
  bool deleted = false;
  bool winner = false;
  int64_t wall_us = 0;
  uint64_t host = 0;
  uint64_t connection = 0;
  uint64_t stream = 0;
  bool incoming = false;
  bool finished = false;  // of a read: the peer's end
};

// Where a node's events go: the bounded queues of the embedder and of the control clients.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // How many more events the queue of `origin` takes now. A watch reads only as many changes as fit, and goes on in a
  // step() after the queue was drained.
  virtual size_t room(uint32_t origin) = 0;
  // A DONE is always taken (its room was reserved when the request was accepted); other events are dropped and counted
  // when the queue is full.
  virtual void emit(Event event) = 0;
};

}  // namespace sereus::node
