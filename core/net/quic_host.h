// A libp2p host over QUIC version 1 (libp2p specs, quic): any number of UDP sockets, each used for dialing and for
// listening, and the connections on them. See host.h for what applications use; the rest is for the driver:
//
//   on_datagram()  for every datagram that arrived, then
//   step()         once after a batch of datagrams, after calls that have something to send, and at the time it returned.
//   on_writable()  when a socket that refused a datagram takes some again, then step().
//
// Bounds: limits.h. A connection holds at most connection_window bytes received and not read, and kConnectionUnackedMax
// bytes written and not acknowledged. The sum over connections is bounded by connections_max.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/crypto/sign.h"
#include "core/net/host.h"
#include "core/net/multiaddr.h"
#include "core/net/quic_connection.h"
#include "core/net/quic_core.h"
#include "core/net/tls_certificate.h"

namespace sereus::net {

class QuicHost final : public Host {
 public:
  // `device` proves the host's PeerID. The ports and the logger (which may be null) must outlive the host.
  // `identity`: what to present instead of a fresh certificate; for tests that present bad ones.
  static Result<std::unique_ptr<QuicHost>> create(const crypto::KeyPair& device, Datagrams& datagrams, Random& random,
                                                  Logger* logger, const QuicSettings& settings = {},
                                                  const TlsIdentity* identity = nullptr);
  ~QuicHost() override;

  // --- for the driver ---

  // A datagram that arrived on `socket`. It is processed at once; answers leave in step(). Dropped when the application
  // has let kEventsMax events pile up.
  void on_datagram(SocketId socket, const IpEndpoint& local, const IpEndpoint& remote, Ecn ecn, ByteView datagram,
                   const Times& now);
  void on_writable(SocketId socket);
  // The network says (ICMP) that nobody listens at `remote`. A hint that anyone can forge: it only ends dials that have
  // not heard a single valid packet.
  void on_unreachable(SocketId socket, const IpEndpoint& remote);
  // The addresses of this machine's interfaces, for listen_addresses(); ports are ignored.
  void set_interface_addresses(std::vector<IpEndpoint> addresses);

  // --- Host ---

  PeerId peer_id() const override { return peer_id_; }
  Status listen(std::string_view multiaddr) override;
  std::vector<std::string> listen_addresses() const override;
  void set_clock_suspect(bool suspect) override;
  void set_protocols(std::vector<std::string> protocols) override;
  Result<uint64_t> dial(std::string_view multiaddr, const PeerId& peer) override;
  void cancel_dial(uint64_t dial) override;
  void disconnect(ConnectionId connection, Code reason) override;
  Result<uint64_t> dial_punching(std::string_view multiaddr, const PeerId& peer, PunchRole role) override;
  Status send_probe(std::string_view multiaddr) override;
  Result<StreamId> open_stream(ConnectionId connection, std::string_view protocol) override;
  Result<size_t> write(StreamId stream, ByteView data) override;
  Result<ReadResult> read(StreamId stream, ByteSpan out) override;
  void finish(StreamId stream) override;
  void reset(StreamId stream) override;
  void network_changed(const Times& now) override;
  uint64_t step(const Times& now) override;
  std::optional<HostEvent> next_event() override;
  HostStats stats() const override;
  uint64_t buffered(ConnectionId connection) const override;
  StreamBuffer largest_buffer(ConnectionId connection) const override;
  void close(const Times& now) override;

 private:
  struct PendingDial {
    uint64_t id = 0;
    IpEndpoint remote;
    PeerId peer;
  };

  QuicHost(Datagrams& datagrams, Random& random, Logger* logger, const QuicSettings& settings);
  void advance(const Times& now);
  QuicSocket* find_socket(SocketId id);
  QuicConnection* find_connection(ConnectionId id);
  QuicStream* find_stream(StreamId id);
  Result<QuicSocket*> bind(const IpEndpoint& local, bool listening);
  Result<QuicSocket*> socket_for(const IpEndpoint& remote);

  void start_dials();
  void begin_negotiations();
  bool in_use(const QuicSocket& socket) const;
  void retire_sockets();
  void flush_sockets();
  bool write_connections();
  // Limits of bandwidth: whoever waits has a turn, as far as they allow.
  void serve_waiting();
  bool write(QuicConnection& connection);
  uint64_t next_turn() const;
  void remove(ConnectionId id);
  void forget_lingering(ConnectionId id);

  // quic_host_accept.cc: datagrams that belong to no connection.
  void on_lingering(QuicLingering& lingering);
  void on_stray(QuicSocket& socket, const IpEndpoint& remote, Ecn ecn, ByteView datagram,
                const ngtcp2_version_cid& header);
  void accept(QuicSocket& socket, const IpEndpoint& remote, Ecn ecn, ByteView datagram);
  void send_version_negotiation(QuicSocket& socket, const IpEndpoint& remote, const ngtcp2_version_cid& header);
  void send_retry(QuicSocket& socket, const IpEndpoint& remote, const ngtcp2_pkt_hd& header);
  void send_refusal(QuicSocket& socket, const IpEndpoint& remote, const ngtcp2_pkt_hd& header, uint64_t error);
  void send_stateless_reset(QuicSocket& socket, const IpEndpoint& remote, const ngtcp2_version_cid& header,
                            size_t datagram_size);
  bool may_answer_stateless(QuicSocket& socket);
  void send_now(QuicSocket& socket, const IpEndpoint& remote, ByteView packet);

  QuicCore core_;
  PeerId peer_id_;
  std::array<uint8_t, 32> retry_secret_{};
  std::vector<IpEndpoint> interfaces_;
  std::deque<PendingDial> pending_dials_;
  // Ordered, so that closing all and counting go the same way in every run.
  std::map<ConnectionId, std::unique_ptr<QuicConnection>> connections_;
  std::map<ConnectionId, QuicLingering> lingering_;
  std::set<std::pair<uint64_t, ConnectionId>> lingering_ends_;
  uint64_t last_connection_ = 0;
  uint64_t last_dial_ = 0;
  uint64_t stateless_tokens_ = kStatelessBurst;
  uint64_t stateless_refill_us_ = 0;
};

}  // namespace sereus::net
