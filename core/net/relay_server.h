// The relay of Circuit Relay v2 (libp2p specs, relay/circuit-v2; docs/formats/circuit.md): peers reserve a place, and others reach
// them through it, within limits. A service of a swarm (swarm_service.h).
//
// By default it is for control only: what two peers need to find a direct way, or to say a few words. More is opt-in
// (RelayServerSettings::content) and for peers that the application trusts with it (set_trust()).
//
// What it never does: dial for anybody (the target has a reservation and a connection, or there is no circuit, so that it leads to no
// loopback or private address); serve over connections that are relayed themselves, so that circuits make no loops.
//
// Bounds: limits.h. A circuit holds at most kRelayBufferBytes in each direction: who does not read stops who writes.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/crypto/sign.h"
#include "core/net/allowance.h"
#include "core/net/circuit_message.h"
#include "core/net/message_streams.h"
#include "core/net/relay_quota.h"
#include "core/net/stream_drain.h"
#include "core/net/swarm_service.h"

namespace sereus::net {

// What a peer may use the relay for. Of a circuit's two ends the lower one counts.
enum class RelayTrust : uint8_t { blocked = 0, control = 1, content = 2 };

// What a circuit may carry; 0 is none, not "no limit".
struct RelayTier {
  uint64_t circuit_bytes = 0;  // each direction
  uint64_t circuit_duration_us = 0;
  uint64_t day_bytes = 0;  // of a peer, both directions of all its circuits
};

// Defaults and their reasons are in limits.h.
struct RelayServerSettings {
  size_t reservations = kRelayReservationsMax;
  size_t reservations_source = kRelayReservationsIpMax;  // of an IPv4 address or an IPv6 /64
  size_t reservations_subnet = kRelayReservationsSubnetMax;
  uint64_t reservation_life_us = kRelayReservationLifeUs;
  size_t circuits = kRelayCircuitsMax;
  size_t circuits_peer = kRelayCircuitsPeerMax;  // from one peer, and to one peer
  bool content = false;                          // false: trust in content counts as control
  RelayTrust trust = RelayTrust::control;        // of peers that set_trust() did not name
  RelayTier control_tier{kRelayControlBytes, kRelayControlDurationUs, kRelayControlDayBytes};
  RelayTier content_tier{kRelayContentBytes, kRelayContentDurationUs, kRelayContentDayBytes};
  uint64_t subnet_day_bytes = kRelaySubnetDayBytes;  // of an IPv4 /24 or an IPv6 /48, both directions of all circuits
  // Tells loopback and private addresses of ours in reservations, too.
  bool private_addresses = false;
  // Asked before anything is granted; empty: everybody. Called on the node's thread, within on_event() and step().
  std::function<bool(const PeerId& peer, std::string_view address)> may_reserve;
  std::function<bool(const PeerId& source, const PeerId& target)> may_connect;
};

// Stable numbers, append only. Why nothing was granted.
enum class RelayRefusal : uint8_t {
  relayed = 1,  // the connection is itself relayed
  blocked = 2,  // by trust
  acl = 3,      // by may_reserve or may_connect
  reservations_total = 4,
  reservations_source = 5,
  reservations_subnet = 6,
  reservations_rate = 7,  // asks too often
  no_reservation = 8,
  circuits_total = 9,
  circuits_source = 10,
  circuits_target = 11,
  quota_peer = 12,  // a day's bytes, of either end
  quota_subnet = 13,
  target_refused = 14,
  target_silent = 15,  // no stop stream, or no answer on it
  malformed = 16,
  unexpected = 17,
  own = 18,       // to itself, or to the relay
  requests = 19,  // too many streams that say nothing
};
inline constexpr size_t kRelayRefusals = 20;  // with the unused 0
std::string_view refusal_name(RelayRefusal reason);

// Stable numbers, append only. Why a circuit ended.
enum class CircuitEnd : uint8_t {
  finished = 1,  // both sides ended their direction
  data_limit = 2,
  duration_limit = 3,
  quota = 4,
  source_gone = 5,
  target_gone = 6,
  closed = 7,  // the relay stops, or the peer was blocked
};
inline constexpr size_t kCircuitEnds = 8;
std::string_view end_name(CircuitEnd end);

class RelayServer final : public SwarmService {
 public:
  struct ReservationGranted {
    PeerId peer;
    bool renewed = false;
    uint64_t expire_s = 0;
  };
  struct ReservationEnded {
    PeerId peer;
    bool expired = false;  // false: it is not connected any more, or was blocked
  };
  struct ReservationRefused {
    PeerId peer;
    RelayRefusal reason{};
  };
  struct CircuitRefused {
    PeerId source;
    PeerId target;  // empty when it was not said
    RelayRefusal reason{};
  };
  struct CircuitOpened {
    uint64_t circuit = 0;
    PeerId source;
    PeerId target;
    CircuitLimit limit;
  };
  struct CircuitClosed {
    uint64_t circuit = 0;
    PeerId source;
    PeerId target;
    CircuitEnd end{};
    uint64_t bytes_to_target = 0;
    uint64_t bytes_to_source = 0;
  };
  using Event = std::variant<ReservationGranted, ReservationEnded, ReservationRefused, CircuitRefused, CircuitOpened,
                             CircuitClosed>;

  struct Stats {
    size_t reservations = 0;  // now
    size_t circuits = 0;      // now
    uint64_t granted = 0;     // reservations
    uint64_t renewed = 0;
    uint64_t opened = 0;                             // circuits
    std::array<uint64_t, kRelayRefusals> refused{};  // by RelayRefusal
    std::array<uint64_t, kCircuitEnds> ended{};      // by CircuitEnd
    uint64_t bytes = 0;                              // carried, both directions
    uint64_t events_dropped = 0;
  };

  // `swarm` and `relay` (the key of its host) outlive it.
  RelayServer(Swarm& swarm, const crypto::KeyPair& relay, RelayServerSettings settings = {});
  ~RelayServer() override;

  // Hold for what comes.
  void set_settings(RelayServerSettings settings) { settings_ = std::move(settings); }
  const RelayServerSettings& settings() const { return settings_; }
  // Nothing: as settings().trust has it. Blocking ends what the peer has.
  void set_trust(const PeerId& peer, std::optional<RelayTrust> trust);
  // What circuits of the peer may carry now.
  const RelayTier& tier(const PeerId& peer) const { return tier_of(trust_of(peer)); }
  bool reserved(const PeerId& peer) const { return reservations_.contains(peer); }
  Stats stats() const;

  std::vector<std::string> protocols() const override { return {std::string(kHopProtocol)}; }
  bool on_event(const HostEvent& event, const Times& now) override;
  uint64_t step(const Times& now) override;
  std::optional<Event> next_event();
  // Ends everything, and grants nothing from now on.
  void close();

 private:
  struct Connection {
    PeerId peer;
    std::string address;
    std::optional<IpEndpoint> endpoint;
    bool relayed = false;
  };
  struct Peer {
    std::set<ConnectionId> direct;
    Allowance reserves{kRelayReservesBurst, kRelayReservesPerSecond, 0};
    size_t requests = 0;  // hop streams that have not said what they want
  };
  struct PeerReservation {
    uint64_t deadline_us = 0;
    uint64_t number = 0;  // of the peer's first one: decides between equal deadlines
    Bytes source;
    Bytes subnet;
  };
  // One direction of a circuit.
  struct Pipe {
    StreamId from = 0;
    StreamId to = 0;
    Bytes early;  // read from `from` before the circuit was open
    bool early_ended = false;
    Bytes buffer;  // for `to`
    uint64_t left = 0;
    uint64_t bytes = 0;
    bool ended = false;     // `from` has ended
    bool finished = false;  // and `to` was told
  };
  enum class State : uint8_t { calling, open, ending };
  struct Circuit {
    State state = State::calling;
    PeerId source;
    PeerId target;
    Bytes source_subnet;
    Bytes target_subnet;
    RelayTier tier;
    StreamId stop = 0;
    Pipe to_target;
    Pipe to_source;
    CircuitEnd end{};
    uint64_t deadline_us = kNever;
  };
  using Circuits = std::map<uint64_t, Circuit>;

  RelayTrust trust_of(const PeerId& peer) const;
  const RelayTier& tier_of(RelayTrust trust) const;

  // relay_server.cc
  void on_connected(const Connected& event);
  void on_disconnected(const Disconnected& event);
  bool on_opened(const StreamOpened& event, const Times& now);
  void take_hop_events(const Times& now);
  void on_hop(StreamId stream, ByteView message, const Times& now);
  void reserve(StreamId stream, const Connection& connection, const Times& now);
  std::optional<RelayRefusal> reserve_refusal(const Connection& connection, const Times& now);
  std::vector<Multiaddr> own_addresses() const;
  void answer(StreamId stream, const HopMessage& message);
  void refuse_reservation(StreamId stream, const PeerId& peer, RelayRefusal reason);
  void refuse_circuit(StreamId stream, const PeerId& source, const PeerId& target, RelayRefusal reason);
  void request_over(StreamId stream);
  void end_reservation(PeerId peer, bool expired);
  void tell(Event event);
  void set_timer(uint64_t& deadline_us, uint64_t id, uint64_t to_us);

  // relay_circuits.cc
  void connect(StreamId stream, const Connection& connection, const PeerId& target, const Times& now);
  std::optional<RelayRefusal> connect_refusal(const PeerId& source, const PeerId& target, const Bytes& source_subnet,
                                              const Bytes& target_subnet, const Times& now);
  std::optional<ConnectionId> direct_connection(const PeerId& peer) const;
  Bytes subnet_of(ConnectionId connection) const;
  void take_stop_events(const Times& now);
  void on_stop_answer(StreamId stream, ByteView message, const Times& now);
  void call_failed(uint64_t id, RelayRefusal reason, const Times& now);
  void open_circuit(uint64_t id, const Times& now);
  bool on_circuit_event(const HostEvent& event, const Times& now);
  uint64_t quota_left(const Circuit& circuit, const Times& now);
  void charge(const Circuit& circuit, uint64_t bytes);
  Result<Host::ReadResult> read_pipe(Pipe& pipe, ByteSpan out);
  bool write_pipe(Pipe& pipe);
  void pump(uint64_t id, Circuit& circuit, Pipe& pipe, const Times& now);
  void pump_circuit(uint64_t id, const Times& now);
  void begin_end(uint64_t id, Circuit& circuit, CircuitEnd end, const Times& now);
  void end_circuit(uint64_t id, CircuitEnd end);
  void forget_circuit(Circuits::iterator at);

  Swarm& swarm_;
  const crypto::KeyPair& key_;
  const PeerId own_;
  RelayServerSettings settings_;
  std::map<PeerId, RelayTrust> trust_;
  bool closed_ = false;

  std::map<ConnectionId, Connection> connections_;
  std::map<PeerId, Peer> peers_;
  std::map<PeerId, PeerReservation> reservations_;
  std::map<std::pair<uint64_t, uint64_t>, PeerId> expiries_;  // by deadline and number
  uint64_t last_reservation_ = 0;
  DayBuckets peer_days_;
  DayBuckets subnet_days_;

  MessageStreams hops_;
  MessageStreams stops_;
  StreamDrain drain_;
  std::map<StreamId, PeerId> requests_;  // hop streams that have not said what they want
  Circuits circuits_;
  std::map<StreamId, uint64_t> by_stream_;  // of circuits: both sides, and stop streams that are not answered
  std::set<std::pair<uint64_t, uint64_t>> deadlines_;
  std::set<uint64_t> again_;  // circuits that had their turn and have more
  uint64_t last_circuit_ = 0;
  Bytes scratch_ = Bytes(kRelayBufferBytes);

  Stats stats_;
  std::deque<Event> events_;
};

}  // namespace sereus::net
