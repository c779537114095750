// A libp2p host over TCP with a secure channel and yamux (tcp_connection.h). See host.h for what applications use; the driver calls
// LinkEvents, and step() after them, after calls that have something to send, and at the time it returned.
//
// Bounds: limits.h. A connection holds at most kYamuxReceivedMax bytes received and not read, what yamux takes to be sent, and
// kTcpProduceBytes sealed. The sum over connections is bounded by connections_max.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/crypto/sign.h"
#include "core/net/host.h"
#include "core/net/tcp_connection.h"
#include "core/net/tcp_core.h"

namespace sereus::net {

class TcpHost final : public Host, public LinkEvents {
 public:
  // `device` proves the host's PeerID. `random` and the logger (which may be null) must outlive the host.
  // `identity` replaces the fresh certificate (tests present wrong ones). Code::invalid without any security, Code::internal
  // when the certificate or wolfSSL fails.
  static Result<std::unique_ptr<TcpHost>> create(const crypto::KeyPair& device, Random& random, Logger* logger,
                                                 const TcpSettings& settings = {},
                                                 const TlsIdentity* identity = nullptr);
  ~TcpHost() override;

  // --- for the driver

  // Once, before anything else. `links` must outlive the host, and tells it what happens.
  void set_links(Links& links) { core_.links = &links; }
  // The addresses of this machine's interfaces, for listen_addresses(); ports are ignored.
  void set_interface_addresses(std::vector<IpEndpoint> addresses) { interfaces_ = std::move(addresses); }

  void on_accepted(ListenerId listener, LinkId link, const IpEndpoint& local, const IpEndpoint& remote) override;
  void on_connected(LinkId link, const IpEndpoint& local) override;
  void on_readable(LinkId link) override;
  void on_writable(LinkId link) override;
  void on_closed(LinkId link, const Error& reason) override;

  // --- Host

  PeerId peer_id() const override { return peer_id_; }
  Status listen(std::string_view multiaddr) override;
  std::vector<std::string> listen_addresses() const override;
  void set_clock_suspect(bool suspect) override { core_.settings.clock_suspect = suspect; }
  void set_protocols(std::vector<std::string> protocols) override { core_.protocols = std::move(protocols); }
  Result<uint64_t> dial(std::string_view multiaddr, const PeerId& peer) override;
  void cancel_dial(uint64_t dial) override;
  void disconnect(ConnectionId connection, Code reason) override;
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
  TcpHost(const crypto::KeyPair& device, Random& random, Logger* logger, const TcpSettings& settings);

  struct Listener {
    ListenerId id = 0;
    TcpAddress local;
  };
  struct PendingDial {
    uint64_t id = 0;
    TcpAddress remote;
    PeerId peer;
  };

  void advance(const Times& now);
  void start_dials();
  void begin_negotiations();
  void serve_turns();
  uint64_t next_turn();
  TcpConnection* of_link(LinkId link);
  TcpConnection* find(ConnectionId id);
  TcpStream* find_stream(StreamId id);
  void dial_failed(uint64_t dial, Error error) { core_.events.emplace_back(DialFailed{dial, std::move(error)}); }
  Result<std::vector<std::unique_ptr<Channel>>> stages_for_listening(TcpWrap wrap);
  Result<std::vector<std::unique_ptr<Channel>>> stages_for_dialing(const TcpAddress& remote);
  TcpConnection& add(LinkId link, TcpAddress remote, TcpConnection::Dial dial,
                     std::vector<std::unique_ptr<Channel>> outer);

  TcpCore core_;
  PeerId peer_id_;
  std::vector<IpEndpoint> interfaces_;
  std::vector<Listener> listeners_;
  std::vector<PendingDial> pending_dials_;
  std::map<ConnectionId, std::unique_ptr<TcpConnection>> connections_;
  std::map<LinkId, ConnectionId> by_link_;
  size_t first_kind_ = 0;  // of those that wait for a limit of bandwidth
  uint64_t last_dial_ = 0;
  uint64_t last_connection_ = 0;
  bool closed_ = false;
};

}  // namespace sereus::net
