// One QUIC connection: ngtcp2's, its TLS session, its streams. Reads datagrams, writes batches of packets, and puts what
// happened into the host's event queue. Not thread-safe; nothing here calls back into the application.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/net/metered_heap.h"
#include "core/net/quic_core.h"
#include "core/net/quic_stream.h"

namespace sereus::net {

// What remains of a closed connection for three probe timeouts (RFC 9000 section 10.2): its ids are known, and packets
// for it are answered with its CONNECTION_CLOSE, or not at all when the peer closed it.
struct QuicLingering {
  std::vector<Cid> cids;
  QuicSocket* socket = nullptr;
  IpEndpoint remote;
  Bytes close_packet;
  uint64_t until_us = 0;
  uint64_t packets = 0;
};

class QuicConnection {
 public:
  struct ClientStart {
    uint64_t dial = 0;
    PeerId peer;
    IpEndpoint remote;
    QuicSocket* socket = nullptr;
  };
  static Result<std::unique_ptr<QuicConnection>> client(QuicCore& core, ConnectionId id, const ClientStart& start);
  struct ServerStart {
    IpEndpoint remote;
    QuicSocket* socket = nullptr;
    const ngtcp2_pkt_hd* header = nullptr;   // of the client's first Initial
    std::optional<ngtcp2_cid> retried_from;  // the original destination id when a Retry token was accepted
  };
  static Result<std::unique_ptr<QuicConnection>> server(QuicCore& core, ConnectionId id, const ServerStart& start);
  ~QuicConnection();
  QuicConnection(const QuicConnection&) = delete;
  QuicConnection& operator=(const QuicConnection&) = delete;

  ConnectionId id() const { return id_; }
  const PeerId& peer() const { return peer_; }
  bool is_client() const { return !server_; }
  uint64_t dial() const { return dial_; }  // 0: it came in
  bool connected() const { return connected_ && !ended_; }
  bool ended() const { return ended_; }
  QuicSocket& socket() { return *socket_; }
  const IpEndpoint& remote() const { return remote_; }
  // Puts it on the host's list of connections that may have something to send.
  void mark_dirty();

  enum class ReadResult : uint8_t { ok, retry };  // retry: answer with a Retry packet and forget the connection
  ReadResult read(QuicSocket& socket, const IpEndpoint& remote, Ecn ecn, ByteView datagram);
  void on_timer();
  // Writes up to its share of packets, and at most about `budget` bytes. True when there is more and the socket takes it.
  bool write(size_t budget = SIZE_MAX);
  // Opens the peer's window by up to `budget` bytes that a limit of bandwidth had kept back. True when there is more.
  bool open_window(size_t budget);
  // It waits for its turn to write: nothing but that is due.
  void park() {
    dirty_ = false;
    core_.timers.remove(timer_);
  }
  bool waits_up = false;    // it is in QuicCore::waiting_up
  bool waits_down = false;  // and in waiting_down
  // Ends it for the application at once; the peer is told at the next write.
  void disconnect(Code reason);
  // After the network changed. Both ask for a sign of life, for kProbeTimeoutUs. move_to(): a client's, to a fresh socket;
  // where the peer forbids it, it stays.
  void probe();
  void move_to(QuicSocket& socket);
  // Ends a dial whose connection is not made yet.
  void cancel();
  // A hint from the network that nobody listens there; counts only before the peer was heard.
  void unreachable();
  // Tells the peer (if it is to be told), and hands over what must remain. Call once, when ended().
  QuicLingering linger();

  // Streams. The stream is one of this connection's.
  Result<StreamId> open_stream(std::string_view protocol);
  // From now on the peer has kNegotiationTimeoutUs to agree.
  void begin_negotiation(QuicStream& stream);
  Result<size_t> write(QuicStream& stream, ByteView data);
  Host::ReadResult read(QuicStream& stream, ByteSpan out);
  void finish(QuicStream& stream);
  void reset(QuicStream& stream);

  size_t stream_count() const { return streams_.size(); }
  size_t unacked_bytes() const { return unacked_total_; }
  // See Host.
  uint64_t buffered() const { return ended_ ? 0 : heap_.bytes() + received_total_ + unacked_total_; }
  Host::StreamBuffer largest_buffer() const;

 private:
  friend struct QuicCallbacks;

  QuicConnection(QuicCore& core, ConnectionId id, QuicSocket& socket, const IpEndpoint& remote, bool server);
  Status start_tls(std::optional<PeerId> expected);
  uint64_t connection_window() const;
  ngtcp2_settings settings() const;
  ngtcp2_transport_params transport_params() const;
  ngtcp2_cid draw_cid();
  void add_cid(const ngtcp2_cid& cid);
  void remove_cid(const ngtcp2_cid& cid);
  void reset_token(const ngtcp2_cid& cid, uint8_t* token) const;

  void update_timer();
  void end_probe();
  Status on_handshake_completed();
  void release_tls();
  void log_end(const Error& reason) const;

  // Ending. `fail_with` closes with what ngtcp2 says about `error`.
  enum class Farewell : uint8_t { silent, close_packet, draining };
  void end(Error reason, Farewell farewell);
  void fail_with(int error);
  Error read_error(int error) const;
  Error peer_close_reason() const;

  // Writing.
  ngtcp2_ssize write_packet(ngtcp2_path* path, ngtcp2_pkt_info* info, uint8_t* out, size_t size, ngtcp2_tstamp now);
  static ngtcp2_ssize write_packet_callback(ngtcp2_conn* conn, ngtcp2_path* path, ngtcp2_pkt_info* info, uint8_t* out,
                                            size_t size, ngtcp2_tstamp now, void* user_data);
  QuicStream* next_to_send();
  void on_sent(QuicStream& stream, size_t count, bool fin);
  void enqueue(QuicStream& stream);
  void dequeue(QuicStream& stream);

  // Streams: what ngtcp2 tells.
  void on_stream_open(int64_t quic_id);
  void on_stream_data(QuicStream& stream, ByteView data, bool fin);
  void on_stream_acked(QuicStream& stream, size_t count);
  void on_stream_reset(QuicStream& stream);
  void on_stop_sending(QuicStream& stream);
  void on_stream_closed(QuicStream& stream);

  QuicStream& add_stream(int64_t quic_id, bool incoming);
  size_t room(const QuicStream& stream) const;
  void send_own(QuicStream& stream, ByteView data);
  size_t negotiate(QuicStream& stream, ByteView data);
  void expire_negotiations();
  void tell_readable(QuicStream& stream);
  void tell_writable();
  void credit(QuicStream& stream, size_t count);
  void credit_connection(size_t count);
  void kill(QuicStream& stream, std::optional<Error> reason);
  void shut_down_killed();
  void erase(QuicStream& stream);

  QuicCore& core_;
  const ConnectionId id_;
  QuicSocket* socket_;
  IpEndpoint remote_;
  uint64_t dial_ = 0;
  const bool server_;

  MeteredHeap heap_;  // of conn_
  ngtcp2_conn* conn_ = nullptr;
  std::unique_ptr<TlsSession> tls_;  // until the handshake is over on both sides: it is half of a connection's memory
  PeerId peer_;
  std::vector<Cid> cids_;          // ours
  std::vector<Cid> reset_tokens_;  // the peer's, hidden
  TimerEntry timer_;

  bool connected_ = false;
  bool tls_finished_ = false;
  bool heard_ = false;  // a packet of the peer was processed
  bool ended_ = false;
  bool dirty_ = false;
  bool stateless_reset_ = false;
  uint64_t probe_us_ = kNever;  // until then something has to arrive,
  uint64_t probe_from_us_ = 0;  // that is not what was on its way before
  Farewell farewell_ = Farewell::silent;
  ngtcp2_ccerr close_error_{};
  Error callback_error_{Code::ok, {}};

  std::map<StreamId, std::unique_ptr<QuicStream>> streams_;
  std::deque<QuicStream*> send_queue_;
  std::set<StreamId> wanting_;                            // streams whose write() was cut short
  std::vector<StreamId> killed_;                          // to be shut down once ngtcp2 is not on the stack
  std::set<std::pair<uint64_t, StreamId>> negotiations_;  // under way, by deadline
  size_t received_total_ = 0;                             // not read
  size_t unacked_total_ = 0;
  // Limits of bandwidth down: what the peer may send is paid for when its window is opened. What is open unpaid (from the
  // beginning, or from a time without limit) is paid for when it arrives.
  uint64_t unpaid_window_ = 0;
  uint64_t withheld_window_ = 0;
};

// Application error codes on the wire. 0 is an orderly end in every libp2p implementation; ours are "SE" and the code.
inline constexpr uint64_t kCloseCodeBase = 0x53450000;
uint64_t close_code_of(Code reason);
Error reason_of_close_code(uint64_t close_code);

}  // namespace sereus::net
