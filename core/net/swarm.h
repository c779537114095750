// The libp2p host as applications use it: connections with peers, over any transports, with everything that libp2p expects of a
// host around them. It is a Host itself, so whoever has used a Host (or a HostGroup of transports) uses a Swarm the same way, and
// adds:
//
//   dial(peer, addresses)  several addresses, ranked and raced; a live connection is used again, and dials to one peer are one
//   identify               asked of each new connection by itself; what changes here is pushed to all
//   ping()                 round-trip times
//   protect()              keeps the connections of a peer when there are too many
//   limits                 of connections, handshakes, streams, memory and bandwidth
//   network_changed()      after the machine woke or its addresses changed
//
//   swarm.step(now) whenever the driver steps hosts; then next_event() until there is none, then next_notice() likewise.
//
// Two queues: next_event() gives what a Host tells, in its order, without the streams of identify and ping, which stay inside.
// next_notice() gives the rest. A notice about a connection is there no earlier than its Connected, but may be there after its
// Disconnected.
//
// Ids of connections and streams are those of the host beneath; ids of dials are the swarm's. Sans-I/O; thread rule: everything on
// the node's thread. Bounds: limits.h, "the swarm", and resource_limits.h; docs/network.md has the table.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/crypto/sign.h"
#include "core/net/bandwidth.h"
#include "core/net/connection_manager.h"
#include "core/net/dialer.h"
#include "core/net/host.h"
#include "core/net/host_services.h"
#include "core/net/resource_limits.h"
#include "core/net/transport_policy.h"
#include "core/ports/random.h"
#include "core/ports/resolver.h"

namespace sereus::net {

class CircuitHost;

struct SwarmSettings {
  TransportPolicy policy;
  DialSettings dial;
  ConnectionManagerSettings connections;
  ServicesSettings services{"sereus/1.0.0", "sereus"};
  bool identify = true;  // ask each new connection by itself

  // For connections that cost their user money or battery: fewer handshakes at once, so a race tries one address after the
  // other, and fewer connections kept. Transports stay as they are.
  static SwarmSettings metered();
};

// What a swarm is made of. `limits` and `bandwidth` are given to the transports, too (QuicSettings and TcpSettings: gate,
// bandwidth), so they are made before those; either may be null: then the swarm has default limits that its transports do not ask
// before the handshake, and no limit of bandwidth.
struct SwarmParts {
  std::unique_ptr<ResourceLimits> limits;
  std::unique_ptr<Bandwidth> bandwidth;
  std::unique_ptr<Host> host;
  Resolver* resolver = nullptr;     // may be null; outlives the swarm
  CircuitHost* circuits = nullptr;  // the member of `host` for relayed connections (circuit_host.h), if it has one
};

// Answers dial(peer, addresses): there is a connection. When it was made for this, Connected came before, with the same id. Of a
// simultaneous open that was seen by then it is the connection that stays; Superseded tells of one that is seen later.
struct Reached {
  uint64_t dial = 0;
  ConnectionId connection = 0;
  PeerId peer;
  bool reused = false;  // it was not made by the dial: it was there before, or the peer came to us meanwhile
};
// Answers dial(peer, addresses): there is none.
struct Unreached {
  uint64_t dial = 0;
  PeerId peer;
  Error error;                           // one line: every address and why
  std::vector<AddressFailure> failures;  // the same, taken apart
};
// Both sides dialed at once, or a relayed connection became a direct one, and `by` is the connection that stays. `connection` is
// closed when its streams have ended; what would be opened on it belongs on the other.
struct Superseded {
  ConnectionId connection = 0;
  ConnectionId by = 0;
  PeerId peer;
};
// Answers resolve(): the addresses that a /dnsaddr stands for, or why there are none.
struct Resolved {
  uint64_t lookup = 0;
  Result<std::vector<Multiaddr>> addresses = std::vector<Multiaddr>();
};
// network_changed() was called, or the host saw that the machine's addresses changed or it slept. What failed before may work now.
struct NetworkChanged {};
// The addresses to be dialed at are others now.
struct ListenChanged {
  std::vector<std::string> addresses;
};

using SwarmNotice = std::variant<Reached, Unreached, Identified, IdentifyFailed, Pinged, PingFailed, Refused, Trimmed,
                                 ListenChanged, Superseded, NetworkChanged, Resolved>;

struct ConnectionInfo {
  ConnectionId connection = 0;
  PeerId peer;
  std::string address;
  bool incoming = false;
  bool duplicate = false;  // the loser of a simultaneous open: closed when its streams have ended
  size_t streams = 0;      // of the application
  uint64_t since_us = 0;   // Times::mono_us
  std::optional<Relayed> relayed = std::nullopt;  // by whom, and within which limits
};

class Swarm final : public Host {
 public:
  // `device` (the key of the host) and `random` outlive the swarm.
  Swarm(SwarmParts parts, const crypto::KeyPair& device, Random& random, const SwarmSettings& settings = {});
  ~Swarm() override;

  // --- Host. What differs from a transport's:

  PeerId peer_id() const override { return own_; }
  // Code::denied for what the policy forbids.
  Status listen(std::string_view multiaddr) override;
  void set_clock_suspect(bool suspect) override { host_->set_clock_suspect(suspect); }
  std::vector<std::string> listen_addresses() const override { return host_->listen_addresses(); }
  // Those of identify and ping are added. A change is pushed to all connections.
  void set_protocols(std::vector<std::string> protocols) override;
  // One address, which may have a name, and always a new connection: no connection is used again, and no back-off waited
  // for. Answered by Connected or DialFailed. Code::denied for what the policy forbids.
  Result<uint64_t> dial(std::string_view multiaddr, const PeerId& peer) override;
  void disconnect(ConnectionId connection, Code reason) override;
  // As dial() of one address. Code::denied for what the policy forbids.
  Result<uint64_t> dial_punching(std::string_view multiaddr, const PeerId& peer, PunchRole role) override;
  Status send_probe(std::string_view multiaddr) override;
  // Code::again when a limit of streams is reached. The host's own protocols (identify, ping) are not for this.
  Result<StreamId> open_stream(ConnectionId connection, std::string_view protocol) override;
  Result<size_t> write(StreamId stream, ByteView data) override;
  Result<ReadResult> read(StreamId stream, ByteSpan out) override;
  void finish(StreamId stream) override;
  void reset(StreamId stream) override;
  uint64_t step(const Times& now) override;
  std::optional<HostEvent> next_event() override;
  HostStats stats() const override { return host_->stats(); }
  uint64_t buffered(ConnectionId connection) const override { return host_->buffered(connection); }
  StreamBuffer largest_buffer(ConnectionId connection) const override { return host_->largest_buffer(connection); }
  void close(const Times& now) override;
  // The machine woke, or its network is another: back-offs are void, what we listen on is told again to whoever is connected, QUIC
  // connections move to fresh paths, and those that are dead are found by a probe (host.h).
  // A driver's host that notices by itself has it done in step(). Told by NetworkChanged.
  void network_changed(const Times& now) override;

  // --- Peers

  // A connection with `peer`, by the best of `addresses` (multiaddrs, perhaps with names; a trailing /p2p must match; at most
  // kDialAddressesMax are looked at). Answered by Reached or Unreached, also when there is a connection already. Asked again
  // while one runs, both share the attempt. Code::invalid without a peer, for the own, or without addresses and connection;
  // Code::again when too many attempts run.
  Result<uint64_t> dial(const PeerId& peer, const std::vector<std::string>& addresses);
  // What a /dnsaddr stands for, which may be addresses of several peers. Dials explain theirs by themselves. Answered by
  // Resolved. Errors: those of Dnsaddr::resolve() (dnsaddr.h).
  Result<uint64_t> resolve(std::string_view multiaddr);
  // No answer follows. The attempt ends when nobody else asked for it.
  void cancel_dial(uint64_t dial) override;

  // The connection that dial() would use: that which stays when both dialed at once; a relayed one only when there is no other.
  std::optional<ConnectionId> connection_with(const PeerId& peer) const;
  std::vector<ConnectionInfo> connections() const;

  // The host's own signed peer record (peer_record.h), as identify tells it: the addresses that it listens on.
  Result<Bytes> signed_record(const Times& now) { return services_.signed_record(now); }
  // Addresses that this host was found to be reached at, beside those it listens on: outside of a NAT, through a relay. Each
  // `source` has a list of its own, which it replaces. Identify and the signed record tell them all, before the listening ones,
  // and a change is pushed to all connections. Those that are no multiaddr are left out; at most kExternalAddressesMax of a
  // source are taken.
  void set_external_addresses(std::string_view source, const std::vector<std::string>& addresses);
  // What others are told: external ones, then those listened on.
  std::vector<std::string> announced_addresses() const { return services_.addresses(); }

  // Each is answered by one notice of its name. Code::not_found without such a connection; Code::busy while a ping is out.
  Status ping(ConnectionId connection) { return services_.ping(connection, now_); }
  Status identify(ConnectionId connection) { return services_.identify(connection, now_); }

  // Never trimmed while it has a tag. unprotect(): false when the peer did not have it.
  void protect(const PeerId& peer, std::string_view tag) { manager_.protect(peer, tag); }
  bool unprotect(const PeerId& peer, std::string_view tag) { return manager_.unprotect(peer, tag); }

  // --- Settings, from now on. Connections that are there stay.

  void set_policy(TransportPolicy policy);
  void set_resource_settings(ResourceSettings settings) { limits_->set_settings(std::move(settings)); }
  void set_connection_settings(const ConnectionManagerSettings& settings) { manager_.set_settings(settings); }
  // What the host listens on is known to be other: identify and its push tell it with the next step.
  void listen_addresses_changed() { addresses_at_us_ = 0; }
  void set_bandwidth_limits(const BandwidthLimits& limits) { bandwidth_->set_limits(limits); }
  ResourceLimits::Use use() const { return limits_->use(); }
  ResourceLimits::Use use(const PeerId& peer) const { return limits_->use(peer); }

  std::optional<SwarmNotice> next_notice();

 private:
  struct Connection {
    PeerId peer;
    std::string address;
    bool incoming = false;
    uint64_t since_us = 0;
    size_t streams = 0;
    uint64_t duplicate_us = kNever;  // since when it is the loser of a simultaneous open
    std::optional<Relayed> relayed = std::nullopt;
  };
  struct Stream {
    ConnectionId connection = 0;
    std::string protocol;
    bool incoming = false;
    bool finished = false;  // by the application
    bool end_read = false;
  };

  // Takes what the host and the services tell, as long as there is room for it. False when there was nothing.
  bool pump(const Times& now);
  void take(HostEvent event, const Times& now);
  void on_connected(Connected event, const Times& now);
  void on_disconnected(Disconnected event, const Times& now);
  void on_dial_failed(DialFailed event, const Times& now);
  bool on_stream_opened(const StreamOpened& event, const Times& now);  // false: not for the application
  void add_stream(StreamId id, Stream stream, const Times& now);
  void forget_stream(StreamId id, const Times& now);
  void settle_duplicates(ConnectionId fresh, const Times& now);
  void take_outcomes();
  // Each of these returns when it wants to go on.
  uint64_t close_duplicates(const Times& now);
  uint64_t trim(const Times& now);
  uint64_t announce(const Times& now);
  void announce_to_all();
  uint64_t maintain(const Times& now);
  // swarm_memory.cc
  uint64_t beyond_reserve(ConnectionId id) const;
  uint64_t measure_peer(const std::set<ConnectionId>& connections) const;
  uint64_t measure(const Times& now);
  void give_back(const ResourceLimits::Excess& excess, const Times& now);
  bool end_largest_stream(ConnectionId id, const ResourceLimits::Excess& excess, const Times& now);

  // The order matters: what transports ask outlives them.
  std::unique_ptr<ResourceLimits> limits_;
  std::unique_ptr<Bandwidth> bandwidth_;
  std::unique_ptr<Host> host_;
  const PeerId own_;
  SwarmSettings settings_;
  HostServices services_;
  Dialer dialer_;
  ConnectionManager manager_;
  Times now_;
  bool closed_ = false;

  std::map<ConnectionId, Connection> connections_;
  std::map<PeerId, std::set<ConnectionId>> by_peer_;
  std::map<StreamId, Stream> streams_;
  std::set<ConnectionId> duplicates_;
  std::set<ConnectionId> silent_;        // closed before the application heard of them
  std::set<ConnectionId> given_back_;    // closed for their memory, and not gone yet
  std::map<uint64_t, uint64_t> single_;  // dials by one address: the host's id, ours
  uint64_t last_dial_ = 0;
  // The swarm's own dials by one name run in the dialer, like those of several addresses, and are answered by host events.
  std::set<uint64_t> plain_;
  std::map<std::string, std::vector<std::string>, std::less<>> external_;  // by source
  std::vector<std::string> told_addresses_;
  uint64_t addresses_at_us_ = 0;
  uint64_t measure_at_us_ = 0;
  bool may_hold_ = false;          // buffers may have grown since they were measured to be empty
  std::set<ConnectionId> pushes_;  // to be told what is new
  std::deque<HostEvent> events_;
  std::deque<SwarmNotice> notices_;
};

}  // namespace sereus::net
