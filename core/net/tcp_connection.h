// One TCP connection (libp2p specs, connections): after what wraps all its bytes, if anything does (WebSocket),
// multistream-select agrees on a secure channel, which proves the peer and may name the muxer, else multistream-select does,
// and yamux carries the streams, on each of which multistream-select agrees on its protocol. TcpHost moves it along.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/net/channel_stack.h"
#include "core/net/multistream.h"
#include "core/net/tcp_address.h"
#include "core/net/tcp_core.h"
#include "core/net/yamux.h"

namespace sereus::net {

struct TcpStream {
  TcpConnection& connection;
  const StreamId id;
  const YamuxStreamId yamux_id;
  const bool incoming;

  Multistream negotiation;
  uint64_t deadline_us = 0;  // of the negotiation
  Bytes own;                 // of the negotiation, to be written before anything of the application's
  Bytes rest;                // read behind the negotiation: the application's
  bool known = false;        // the application has its id
  bool wants_writable = false;
  bool finished = false;  // by the application
  bool end_seen = false;  // the negotiation read up to the peer's end
  bool end_read = false;  // the application did

  bool negotiating() const { return negotiation.state() == Multistream::State::negotiating; }
};

class TcpConnection {
 public:
  struct Dial {
    uint64_t id = 0;  // 0: the connection came in
    PeerId peer;
  };
  // `outer`: stages that every byte goes through, the one next to the link first; established in this order before
  // anything else is said.
  TcpConnection(TcpCore& core, ConnectionId id, LinkId link, TcpAddress remote, Dial dial,
                std::vector<std::unique_ptr<Channel>> outer);
  TcpConnection(const TcpConnection&) = delete;
  TcpConnection& operator=(const TcpConnection&) = delete;
  ~TcpConnection();

  ConnectionId id() const { return id_; }
  LinkId link() const { return link_; }
  bool ended() const { return stage_ == Stage::ended; }

  // --- from the link
  void on_connected();
  void on_readable() {
    readable_ = true;
    mark_dirty();
  }
  void on_writable() {
    blocked_ = false;
    mark_dirty();
  }
  void on_link_closed(const Error& reason);

  // --- from the application
  Result<StreamId> open_stream(std::string_view protocol);
  // From now on the peer has kNegotiationTimeoutUs to agree.
  void begin_negotiation(TcpStream& stream);
  Result<size_t> write(TcpStream& stream, ByteView data);
  Result<Host::ReadResult> read(TcpStream& stream, ByteSpan out);
  void finish(TcpStream& stream);
  void reset(TcpStream& stream);
  void disconnect(Code reason);
  // Asks for a sign of life, for kProbeTimeoutUs.
  void probe();
  uint64_t dial() const { return dial_.id; }  // 0: it came in
  // Ends a dial whose connection is not made yet.
  void cancel() {
    if (stage_ < Stage::open) end(Error{Code::cancelled, "the dial was cancelled"});
  }

  // Reads, runs timers and writes its share, and sets its timer. True when it has more to do.
  bool step();
  // Likewise, when its turn under a limit of bandwidth has come.
  bool take_turn(Direction direction);
  // To be stepped soon.
  void mark_dirty();
  // See Host.
  uint64_t buffered() const;
  Host::StreamBuffer largest_buffer() const;

 private:
  enum class Stage : uint8_t { connecting, outer, security, handshake, muxer, open, closing, ended };

  // How much may be read or written now. 0: `wait_turn()`, if there is something.
  size_t budget(Direction direction) const;
  void wait_turn(Direction direction);
  bool read_link();
  Status start_outer();
  Status start_security();
  Status feed(ByteView in);
  Status feed_inner(ByteView in);
  Status feed_security(ByteView& in);
  Status start_handshake();
  Status feed_plain(ByteView plain);
  Status on_secured();
  Status start_yamux();
  Status seal(ByteView plain);
  bool goodbye_heard() const;
  // Where what the secure channel and its negotiation say goes; flush_inner() takes it through the outer stages.
  Bytes& inner_out() { return outer_.empty() ? out_ : inner_out_; }
  Status flush_inner();
  bool write_link();
  void release_buffers();
  void say_goodbye();
  void proved();
  void end(const Error& reason);

  TcpStream& add_stream(YamuxStreamId yamux_id, bool incoming);
  void drain_yamux();
  void on_stream_event(const YamuxEvent& event);
  void negotiate(TcpStream& stream);
  void agreed(TcpStream& stream, bool more);
  void push_own(TcpStream& stream);
  void kill(TcpStream& stream, const Error& reason);
  void erase(TcpStream& stream);
  void erase_if_over(TcpStream& stream);
  void expire_negotiations();

  TcpCore& core_;
  const ConnectionId id_;
  const LinkId link_;
  const TcpAddress remote_;
  const TransportKind kind_;
  const Dial dial_;
  Stage stage_ = Stage::connecting;
  bool half_open_ = true;
  bool dirty_ = false;
  TimerEntry timer_;
  uint64_t deadline_us_ = kNever;  // of the handshakes, from the first step on
  uint64_t probe_us_ = kNever;     // until then something has to arrive,
  uint64_t probe_from_us_ = 0;     // that is not what was on its way before

  bool readable_ = false;
  bool blocked_ = false;  // the link takes nothing until on_writable()
  struct Turn {
    bool waits = false;  // it is in TcpCore::turns
    bool has = false;
  };
  std::array<Turn, 2> turns_;  // by Direction
  Bytes out_;                  // through all stages, for the link
  size_t out_taken_ = 0;
  Bytes inner_out_;
  Bytes plain_;

  ChannelStack outer_;
  Multistream select_;  // of the security protocol, then of the muxer
  std::unique_ptr<SecureChannel> secure_;
  std::optional<YamuxSession> yamux_;

  std::map<YamuxStreamId, std::unique_ptr<TcpStream>> streams_;
  std::set<std::pair<uint64_t, YamuxStreamId>> negotiations_;  // by deadline
};

}  // namespace sereus::net
