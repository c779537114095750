// Relayed connections as a transport: a member of the host beneath a swarm, beside QUIC and TCP, whose connections run over streams
// of that very swarm (Circuit Relay v2). End to end it is what a TCP connection is: TLS or Noise, which proves the peer, and yamux;
// the relay carries bytes that it cannot read.
//
//   1. a driver makes it with the other members of the group (SwarmParts::circuits points to it),
//   2. the swarm is made of the group,
//   3. RelayClient::create() joins the two: until then relayed addresses are dialed in vain.
//
// Addresses: [/ip4/.../tcp/...]/p2p/RELAY/p2p-circuit[/p2p/TARGET]. listen() on such a one, or on /p2p-circuit alone, asks the relay
// client for a reservation there, or on any relay that it learns of.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/crypto/sign.h"
#include "core/net/circuit_links.h"
#include "core/net/host.h"
#include "core/net/tcp_host.h"
#include "core/net/transport_policy.h"

namespace sereus::net {

class CircuitHost final : public Host {
 public:
  explicit CircuitHost(PeerId own) : own_(std::move(own)) {}
  // Precondition: detached, if it ever was attached. The relay client goes before the swarm, and the swarm before this.
  ~CircuitHost() override;

  // --- the relay client

  // `swarm` has this host beneath it. All outlive detach(). Of `settings` security and clock_suspect count;
  // Noise is proposed before TLS.
  Status attach(Swarm& swarm, const crypto::KeyPair& device, Random& random, Logger* logger,
                const TcpSettings& settings);
  // Connections end.
  void detach(const Times& now);
  CircuitLinks* links() { return links_.get(); }

  // What a dial wants.
  struct Wanted {
    CircuitAddress address;
    PeerId peer;
  };
  const Wanted* wanted(uint64_t number) const;
  // The limits that a relay told of a circuit.
  void set_limit(uint64_t number, const CircuitLimit& limit);
  // A circuit comes in over `relay`, which is reached at `via`; it says that `peer` is at the other end. Its number.
  uint64_t add_incoming(const PeerId& relay, const Multiaddr& via, const PeerId& peer, const CircuitLimit& limit);
  // It ended before its peer was proved.
  void forget_incoming(uint64_t number);
  // What it can be reached at: addresses of relays with p2p-circuit.
  void set_listen_addresses(std::vector<std::string> addresses) { addresses_ = std::move(addresses); }
  // What listen() was asked for, once each.
  std::vector<CircuitAddress> take_listens() { return std::exchange(listens_, {}); }

  // --- Host

  PeerId peer_id() const override { return own_; }
  Status listen(std::string_view multiaddr) override;
  void set_clock_suspect(bool suspect) override;
  std::vector<std::string> listen_addresses() const override { return addresses_; }
  void set_protocols(std::vector<std::string> protocols) override;
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
  // Without bytes: those are counted by the connections that carry these.
  HostStats stats() const override;
  uint64_t buffered(ConnectionId connection) const override;
  StreamBuffer largest_buffer(ConnectionId connection) const override;
  void close(const Times& now) override;

 private:
  struct Circuit {
    Wanted wanted;      // or what the relay announced
    uint64_t dial = 0;  // that is not answered yet
    CircuitLimit limit;
  };
  // False: nobody is to hear of it.
  bool translate(HostEvent& event);
  bool on_connected(Connected& event);
  void forget_dial(uint64_t dial);

  const PeerId own_;
  std::vector<std::string> protocols_;
  bool clock_suspect_ = false;
  bool closed_ = false;
  std::unique_ptr<CircuitLinks> links_;
  std::unique_ptr<TcpHost> inner_;        // null: not attached
  std::map<uint64_t, Circuit> circuits_;  // by number
  std::map<ConnectionId, uint64_t> numbers_;
  std::set<ConnectionId> impostors_;  // whose peer was announced as another one; ended without a word
  uint64_t last_number_ = 0;
  std::vector<std::string> addresses_;
  std::vector<CircuitAddress> listens_;
  std::deque<HostEvent> events_;  // of connections that detach() ended
};

}  // namespace sereus::net
