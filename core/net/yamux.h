// yamux (libp2p specs, yamux): many streams over one ordered, secured byte stream. docs/formats/transport.md.
//
// Sans-I/O: feed() takes what arrived, produce() gives what is to be sent, step() runs the timers, next_event() tells what
// happened. Not reading a stream closes its window and so stops its writer; not calling produce() makes write() take
// nothing. Whatever a peer does, memory stays within kYamuxReceivedMax and the bounds of write(); what an honest peer would
// not do ends the session with GO_AWAY.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/net/allowance.h"
#include "core/net/limits.h"
#include "core/net/yamux_frame.h"
#include "core/net/yamux_stream.h"

namespace sereus::net {

inline constexpr std::string_view kYamuxProtocol = "/yamux/1.0.0";

using YamuxStreamId = uint32_t;  // odd: opened by the client; even: by the server

enum class YamuxRole : uint8_t { client, server };  // the dialing side is the client

struct YamuxOptions {
  size_t incoming_max = kYamuxIncomingMax;     // streams of the peer open at once; more are reset
  uint64_t keep_alive_us = kYamuxKeepAliveUs;  // kNever: no pings of our own
  uint32_t first_id = 0;                       // 0: 1 or 2 by role. Tests begin near the end of the ids.
};

struct YamuxReadable {  // bytes or the end are there; told once until read() gave less than asked
  YamuxStreamId stream = 0;
};
struct YamuxWritable {  // write() took less than given before; there is room again
  YamuxStreamId stream = 0;
};
struct
    YamuxClosed {  // reset by the peer, or by us for a limit, or its session ended; not told after both ends finished
  YamuxStreamId stream = 0;
  Error reason;
};
struct YamuxPong {  // answers ping()
  uint32_t ping = 0;
  uint64_t rtt_us = 0;
};
struct YamuxEnded {  // the last event; Code::ok: in order. What produce() still gives (GO_AWAY) is worth sending.
  Error reason;
};
using YamuxEvent = std::variant<YamuxReadable, YamuxWritable, YamuxClosed, YamuxPong, YamuxEnded>;

class YamuxSession {
 public:
  YamuxSession(YamuxRole role, const YamuxOptions& options, uint64_t now_us);

  // --- streams. Code::closed for a stream that is gone.

  // A stream of ours; what is written may be sent before the peer has answered. Code::again while 256 streams are not
  // acknowledged or kYamuxOutgoingMax are open; Code::closed when the session ends or the ids are used up: dial anew.
  Result<YamuxStreamId> open(uint64_t now_us);
  // The next stream that the peer opened. Taking it acknowledges it: who does not take any stops the peer at 256.
  std::optional<YamuxStreamId> accept();
  // Takes as many bytes as there is room for; 0 until YamuxWritable.
  Result<size_t> write(YamuxStreamId stream, ByteView data);
  struct ReadResult {
    size_t size = 0;
    bool finished = false;  // the peer's end has been read
  };
  Result<ReadResult> read(YamuxStreamId stream, ByteSpan out, uint64_t now_us);
  void finish(YamuxStreamId stream);  // no more writes; the other direction stays open
  void reset(YamuxStreamId stream);   // both directions; no event follows

  // --- session

  // Measures a round trip; YamuxPong answers with the same number. Code::again while kYamuxPingsMax are under way.
  Result<uint32_t> ping(uint64_t now_us);
  // The round trip, rising slowly and falling at once; 0 before the first is measured.
  uint64_t rtt_us() const { return rtt_us_; }
  // Ends the session: streams are gone, GO_AWAY is the last frame.
  void close(YamuxGoAway code);
  // The byte stream below ended or failed: nothing can be sent any more.
  void transport_ended(const Error& reason);

  // Takes received bytes, all of them. An error ends the session, with GO_AWAY in the output; it is the one that
  // YamuxEnded tells. Codes: protocol, too_new (version), closed (the peer's GO_AWAY).
  Status feed(ByteView in, uint64_t now_us);
  // Appends frames until they are at least `size_wanted` bytes or there are no more: at most one frame beyond it.
  void produce(Bytes& out, size_t size_wanted, uint64_t now_us);
  bool wants_to_send() const;
  // Runs timers; the time it wants to be called at next, or kNever.
  uint64_t step(uint64_t now_us);
  std::optional<YamuxEvent> next_event();

  bool ended() const { return ended_; }
  size_t streams() const { return streams_.size(); }
  size_t received_bytes() const { return received_; }  // held for the application, all streams
  size_t unsent_bytes() const { return unsent_; }      // taken from it, all streams
  size_t buffered(YamuxStreamId stream) const;         // both, of one stream

 private:
  struct Ping {
    uint32_t value = 0;
    bool asked = false;  // by the application
    bool sent = false;
    uint64_t since_us = 0;  // queued, then sent
  };

  // yamux.cc
  YamuxStream* find(YamuxStreamId id);
  YamuxStream& add(YamuxStreamId id, bool incoming, uint64_t now_us);
  void forget(YamuxStream& stream);
  void forget_if_finished(YamuxStream& stream);
  void drop(YamuxStream& stream, const Error& reason);
  void queue_reset(YamuxStreamId id);
  void queue_control(YamuxStream& stream);
  void queue_data(YamuxStream& stream);
  void tell_readable(YamuxStream& stream);
  void tune_window(YamuxStream& stream, uint64_t now_us);
  size_t write_room(const YamuxStream& stream) const;
  void queue_ping(bool asked, uint64_t now_us);
  void end(const Error& reason, std::optional<YamuxGoAway> code);

  // yamux_receive.cc
  Status on_header(const YamuxHeader& header, uint64_t now_us);
  Status on_stream_frame(const YamuxHeader& header, uint64_t now_us);
  Status on_syn(const YamuxHeader& header, uint64_t now_us);
  Status on_gone(const YamuxHeader& header, uint64_t now_us);
  Status on_known(YamuxStream& stream, const YamuxHeader& header, uint64_t now_us);
  Status on_reset(YamuxStream& stream, uint64_t now_us);
  Status on_ping(const YamuxHeader& header, uint64_t now_us);
  Status on_go_away(const YamuxHeader& header);
  void on_payload(ByteView data);
  void on_payload_end();
  void note_id(YamuxStreamId id);
  bool existed(YamuxStreamId id) const;
  bool is_ours(YamuxStreamId id) const { return id % 2 == (role_ == YamuxRole::client ? 1u : 0u); }
  void shed_received();

  // yamux_send.cc
  void send_session_frames(Bytes& out, uint64_t now_us);
  void send_control(Bytes& out, YamuxStream& stream);
  void send_data(Bytes& out, YamuxStream& stream);
  void tell_writable();

  YamuxRole role_;
  YamuxOptions options_;
  bool ended_ = false;
  bool peer_leaves_ = false;  // GO_AWAY with code 0: what is open goes on, nothing new
  Error error_;
  std::deque<YamuxEvent> events_;

  std::map<YamuxStreamId, YamuxStream> streams_;
  uint64_t next_id_;                 // ours; 64 bits so that their end can be seen
  YamuxStreamId highest_ = 0;        // of the peer's
  std::set<YamuxStreamId> skipped_;  // of the peer's below `highest_`: concurrent writers send their SYN out of order
  size_t incoming_ = 0;
  size_t unacknowledged_ = 0;  // ours
  std::deque<YamuxStreamId> to_accept_;
  size_t received_ = 0;
  size_t unsent_ = 0;
  uint64_t growth_left_ = kYamuxGrowthMax;

  // Receiving: a header under way, then the data of a frame.
  std::array<uint8_t, kYamuxHeaderSize> header_{};
  size_t header_size_ = 0;
  uint32_t payload_left_ = 0;
  YamuxStreamId payload_stream_ = 0;  // 0: nobody's, to be thrown away
  bool payload_fin_ = false;
  uint64_t stray_left_ = 0;  // what may still arrive for streams that we reset
  Allowance pings_allowed_;
  Allowance resets_allowed_;
  Allowance refusals_allowed_;
  Allowance idle_allowed_;

  // Sending, in this order.
  std::deque<uint32_t> pongs_;
  std::deque<YamuxStreamId> resets_;
  std::vector<Ping> pings_;
  uint32_t next_ping_ = 0;
  std::deque<YamuxStreamId> control_;
  std::deque<YamuxStreamId> data_;      // takes turns
  std::vector<YamuxStreamId> blocked_;  // want YamuxWritable
  std::optional<YamuxGoAway> go_away_;

  uint64_t rtt_us_ = 0;
  uint64_t last_received_us_;
  uint64_t last_ping_us_;
  uint64_t stalled_us_ = kNever;  // there is something to send since then and nobody took any of it
};

}  // namespace sereus::net
