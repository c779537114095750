// Streams that carry messages behind their lengths (delimited.h), as most libp2p protocols do: what a protocol's machine needs
// to send and to receive whole messages on many streams, with time limits and bounds.
//
//   open() or accept()             a stream becomes one of these
//   send(), finish(), reset()      at any time after
//   on_event(event, now)           for everything that the host gives; true when it was a matter of these streams alone
//   step(now)                      whenever the host is stepped; its deadline joins the host's
//   next_event()                   after either, until there is none
//
// A stream's next message is read when its last one was taken with next_event(), so who does not look stops the sender. A stream
// is forgotten after Closed, after reset() or release(), and when both directions have ended. Sans-I/O, on the node's thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/time.h"
#include "core/net/delimited.h"
#include "core/net/host.h"

namespace sereus::net {

struct MessageReceived {
  StreamId stream = 0;
  Bytes message;
};
// The peer says nothing more on it. Our direction stays open.
struct MessagesEnded {
  StreamId stream = 0;
};
// It is gone: reset by the peer, refused (Code::unsupported: the peer does not speak the protocol), its connection ended, its time
// ran out (Code::timeout), or what came is no message (Code::malformed, Code::too_large). Not told after reset() and release().
struct MessagesClosed {
  StreamId stream = 0;
  Error reason;
};
using MessageEvent = std::variant<MessageReceived, MessagesEnded, MessagesClosed>;

class MessageStreams {
 public:
  // `message_max`: bytes of a message that comes. `unsent_max`: bytes that wait to be sent on one stream, lengths included.
  struct Bounds {
    size_t message_max = 0;
    size_t unsent_max = 0;
  };
  // `host` outlives it.
  MessageStreams(Host& host, const Bounds& bounds) : host_(host), bounds_(bounds) {}

  // `deadline_us` (monotonic; kNever for none) is for everything that follows, until set_deadline(). Errors: those of
  // Host::open_stream().
  Result<StreamId> open(ConnectionId connection, std::string_view protocol, uint64_t deadline_us);
  // An incoming stream, at its StreamOpened.
  void accept(const StreamOpened& opened, uint64_t deadline_us);
  void set_deadline(StreamId stream, uint64_t deadline_us);

  bool owns(StreamId stream) const { return streams_.contains(stream); }
  // 0 when it is none of these.
  ConnectionId connection_of(StreamId stream) const;
  size_t size() const { return streams_.size(); }

  // Code::not_found: it is none of these. Code::again: too much waits to be sent. Code::closed: after finish().
  Status send(StreamId stream, ByteView message);
  // Ends our direction behind what was sent.
  void finish(StreamId stream);
  // Both directions, at once. What it has told and was not taken yet is dropped.
  void reset(StreamId stream);
  void reset_all();

  // The stream carries something else from now on, and is the caller's. `received` came behind the last message that was taken;
  // `unsent` was sent and is not written yet. Precondition: owns().
  struct Released {
    Bytes received;
    bool ended = false;  // `received` is all there will be
    Bytes unsent;
  };
  Released release(StreamId stream);

  bool on_event(const HostEvent& event, const Times& now);
  uint64_t step(const Times& now);
  std::optional<MessageEvent> next_event();

 private:
  struct Stream {
    explicit Stream(size_t message_max) : reader(message_max) {}
    ConnectionId connection = 0;
    DelimitedReader reader;
    Bytes received;  // read, and not given to the reader
    Bytes unsent;
    uint64_t deadline_us = kNever;
    bool holds = false;      // a message of it waits to be taken
    bool finishing = false;  // finish() was asked for
    bool finished = false;   // and done
    bool end_read = false;
    bool end_told = false;
  };

  Stream& add(StreamId id, ConnectionId connection, uint64_t deadline_us);
  void change_deadline(StreamId id, Stream& stream, uint64_t deadline_us);
  void pump(StreamId id);
  // False: nothing more is to be done with the stream now.
  bool take_message(StreamId id, Stream& stream);
  bool fill(StreamId id, Stream& stream);
  void flush(StreamId id, Stream& stream);
  void close(StreamId id, const Error& reason, bool reset);
  void forget(StreamId id);
  void drop_events_of(StreamId id);

  Host& host_;
  const Bounds bounds_;
  std::map<StreamId, Stream> streams_;
  std::set<std::pair<uint64_t, StreamId>> deadlines_;
  std::vector<StreamId> resumable_;  // their messages were taken since
  std::deque<MessageEvent> events_;
};

}  // namespace sereus::net
