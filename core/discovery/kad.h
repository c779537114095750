// The Kad-DHT on a Swarm: KadNode (kad_node.h) with its requests as streams of one protocol, dialed when there is no connection.
//
//   Kad kad(swarm, device, random, book, settings);
//   kad.add_bootstrap(...);             addresses with the peers' ids
//   kad.find_peer(peer, false, now)     an operation, answered by a KadDone of kad.next_event()
//
// and on_event(), on_notice(), step() as every SwarmService. One Kad speaks one protocol id, and so belongs to one network: what has
// another id never hears of it. docs/discovery.md.
//
// Thread rule: the node's thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/crypto/sign.h"
#include "core/discovery/kad_node.h"
#include "core/net/allowance.h"
#include "core/net/message_streams.h"
#include "core/net/swarm_service.h"

namespace sereus::discovery {

inline constexpr std::string_view kKadProtocol = "/ipfs/kad/1.0.0";  // the public network, and libp2p's default
// "/sereus/NETWORK/kad/1.0.0".
std::string kad_protocol_of(std::string_view network);

struct KadServiceSettings {
  std::string protocol = std::string(kKadProtocol);
  KadSettings node;
};

class Kad final : public net::SwarmService, private KadSelf {
 public:
  // `device` is the swarm's. All are used until the end.
  Kad(net::Swarm& swarm, const crypto::KeyPair& device, Random& random, AddressBook& book, KadServiceSettings settings);
  ~Kad() override = default;

  // --- SwarmService

  // None as a client: who is no server does not say that it speaks the protocol.
  std::vector<std::string> protocols() const override;
  bool on_event(const net::HostEvent& event, const Times& now) override;
  void on_notice(const net::SwarmNotice& notice, const Times& now) override;
  uint64_t step(const Times& now) override;

  // --- Operations: kad_node.h has what they do. Each but cancel() is answered by one KadDone.

  Result<uint64_t> find_peer(const net::PeerId& peer, bool fresh, const Times& now);
  Result<uint64_t> get_closest(ByteView key, const Times& now);
  Result<uint64_t> provide(ByteView key, const Times& now);
  void stop_providing(ByteView key) { node_.stop_providing(key); }
  Result<uint64_t> find_providers(ByteView key, size_t count, const Times& now);
  Result<uint64_t> put_value(ByteView key, ByteView value, const Times& now);
  void stop_putting(ByteView key) { node_.stop_putting(key); }
  Result<uint64_t> get_value(ByteView key, size_t quorum, const Times& now);
  Result<uint64_t> refresh(const Times& now);
  void cancel(uint64_t op);
  std::optional<KadEvent> next_event() { return node_.next_event(); }

  // --- Settings

  // Code::malformed for what is no multiaddr with a /p2p/<id> at its end.
  Status add_bootstrap(std::string_view multiaddr, const Times& now);
  // Addresses by which others reach us beside those the swarm listens on: relayed ones, and those found from outside. Replaces what
  // was given before, and publishes it soon.
  void set_more_addresses(const std::vector<net::Multiaddr>& addresses, const Times& now);
  // Only these, instead of those the swarm listens on: for hosts behind a known address. Empty: as the swarm listens.
  void set_announced(const std::vector<net::Multiaddr>& addresses, const Times& now);
  // Before the first request. `validator` outlives this.
  Status add_validator(std::string_view name, const KadValidator& validator) {
    return validators_.add(name, validator);
  }
  // The owner of the swarm looks at protocols() again afterwards.
  void set_server(bool server) { node_.set_server(server); }
  void set_trace(bool trace) { node_.set_trace(trace); }

  const std::string& protocol() const { return settings_.protocol; }
  const KadNode& node() const { return node_; }

 private:
  struct Connection {
    net::PeerId peer;
    Bytes remote;
    bool incoming = false;
    size_t inbound = 0;  // streams
    net::Allowance requests;
  };
  struct Outgoing {
    KadRequest request;
    uint64_t dial = 0;
    net::StreamId stream = 0;
    net::ConnectionId connection = 0;
  };

  // KadSelf
  std::vector<Bytes> addresses() const override;
  Bytes signed_record(const Times& now) override;

  void accept(const net::StreamOpened& opened, const Times& now);
  void on_connected(const net::Connected& event, const Times& now);
  void on_disconnected(const net::Disconnected& event);
  void on_identified(const net::Identified& event, const Times& now);
  // Sends what the node wants sent and takes what came, until there is nothing left.
  void pump(const Times& now);
  void begin(KadRequest request, const Times& now);
  void open(uint64_t request, net::ConnectionId connection, const Times& now);
  void fail_request(uint64_t request, const Error& error, const Times& now);
  void drop_request(uint64_t request);
  void on_message(net::MessageReceived& event, const Times& now);
  void on_ended(net::StreamId stream, const Times& now);
  void on_closed(const net::MessagesClosed& event, const Times& now);
  void on_request(net::StreamId stream, ByteView message, const Times& now);
  void forget_inbound(net::StreamId stream);

  net::Swarm& swarm_;
  const crypto::KeyPair& device_;
  const KadServiceSettings settings_;
  AddressBook& book_;
  KadValidators validators_;
  KadNode node_;
  net::MessageStreams streams_;
  std::map<net::ConnectionId, Connection> connections_;
  std::map<net::StreamId, net::ConnectionId> inbound_;
  std::map<uint64_t, Outgoing> outgoing_;  // by request
  std::map<net::StreamId, uint64_t> by_stream_;
  std::map<uint64_t, std::vector<uint64_t>> dials_;  // requests that wait for a dial
  std::vector<Bytes> more_addresses_;
  std::vector<Bytes> announced_;
  Bytes record_;
  std::vector<Bytes> record_addresses_;
  uint64_t record_seq_ = 0;
};

}  // namespace sereus::discovery
