// Reservations on relays, for a host that cannot be dialed: kept on some, renewed early, made again after any loss, on the best of
// the relays that are known. The relay client's part (relay_client.h), which has the circuits.
//
// Which relay: each candidate has a health (health()), of the connection, failures, refusals, round-trip time and age. The best
// ones that may be asked now are; a relay that failed or refused waits, longer each time; and now and then a better one takes the
// place of the worst, make before break.
//
// Bounds: limits.h. At most kRelayCandidatesMax candidates.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/net/circuit_message.h"
#include "core/net/message_streams.h"
#include "core/net/swarm.h"

namespace sereus::net {

struct RelayClientSettings {
  size_t reservations = kRelayReservationsWanted;  // kept at once; 0: none are made
  bool learn = true;                               // peers that speak the hop protocol are candidates
  uint64_t rotation_us = kRelayRotationUs;         // how often a better relay is looked for; kNever: never
};

// A relay serves us, until it is told otherwise.
struct ReservationMade {
  PeerId relay;
  bool renewed = false;
  std::vector<std::string> addresses;  // ours over it, without our peer id
  CircuitLimit limit;                  // of circuits over it
  uint64_t life_us = 0;
};
// Stable numbers, append only.
enum class ReservationLoss : uint8_t {
  disconnected = 1,  // the connection with the relay ended
  expired = 2,       // it could not be renewed in time
  rotated = 3,       // another relay is better, or fewer are wanted
  removed = 4,       // by remove()
};
std::string_view loss_name(ReservationLoss loss);
struct ReservationLost {
  PeerId relay;
  ReservationLoss reason{};
  Error error{Code::ok, {}};  // what is known of it
};
// A relay was asked in vain: `status` says why it refused, or is unused when there was no answer to be taken, and `error` says what.
struct ReservationRefused {
  PeerId relay;
  CircuitStatus status = CircuitStatus::unused;
  Error error;
  uint64_t retry_us = 0;  // from now until it may be asked again
};
using ReservationEvent = std::variant<ReservationMade, ReservationLost, ReservationRefused>;

class RelayReservations {
 public:
  // Both outlive it.
  RelayReservations(Swarm& swarm, Random& random, const RelayClientSettings& settings);
  ~RelayReservations();

  void set_settings(const RelayClientSettings& settings) { settings_ = settings; }
  const RelayClientSettings& settings() const { return settings_; }
  // A candidate; it stays one until remove(). `via`: how it is reached, without its peer id; may be empty for one that is connected.
  void add(const PeerId& relay, const std::vector<Multiaddr>& via);
  void remove(const PeerId& relay);

  // There is a reservation, which has not expired.
  bool reserved(const PeerId& relay) const;
  // Addresses of ours over all of them, without our peer id.
  std::vector<std::string> addresses() const;
  // The newest direct connection with a peer; 0 without one.
  ConnectionId direct(const PeerId& peer) const;
  // Of a relay, for tests and reports. Nothing for a peer that is no candidate.
  std::optional<int64_t> health(const PeerId& relay, const Times& now) const;

  bool on_event(const HostEvent& event, const Times& now);
  void on_notice(const SwarmNotice& notice, const Times& now);
  uint64_t step(const Times& now);
  std::optional<ReservationEvent> next_event();
  // True once after the addresses changed.
  bool take_change() { return std::exchange(changed_, false); }
  // Nothing is asked from now on.
  void close();

 private:
  enum class State : uint8_t { idle, dialing, asking };
  struct Relay {
    std::vector<std::string> via;
    bool given = false;   // by add()
    bool speaks = false;  // the hop protocol, as identify said
    State state = State::idle;
    uint64_t dial = 0;
    StreamId stream = 0;
    uint64_t asked_us = 0;
    // Health.
    uint64_t failures = 0;  // in a row
    uint64_t refusals = 0;  // likewise
    std::optional<uint64_t> rtt_us;
    int64_t luck = 0;  // drawn once: of relays that are alike, not everybody takes the same
    uint64_t retry_at_us = 0;
    // The reservation.
    bool reserved = false;
    bool leaving = false;  // kept until it expires, and told no more
    bool failing = false;  // could not be renewed: another one is looked for
    uint64_t since_us = 0;
    uint64_t renew_at_us = 0;
    uint64_t expires_us = 0;
    std::vector<std::string> addresses;
    // Counts among those that are wanted.
    bool counts() const { return reserved && !leaving && !failing; }
  };
  using Relays = std::map<PeerId, Relay>;

  Relay& candidate(const PeerId& peer);
  void make_room(const Times& now);
  int64_t health_of(const PeerId& peer, const Relay& relay, const Times& now) const;
  void learn(const Identified& notice);
  size_t held() const;
  size_t under_way() const;
  Relays::iterator best(const Times& now);
  Relays::iterator worst(const Times& now);
  void fill(const Times& now);
  void rotate(const Times& now);
  void begin(const PeerId& peer, Relay& relay, const Times& now);
  void ask(const PeerId& peer, Relay& relay, ConnectionId connection, const Times& now);
  void take_answers(const Times& now);
  void on_answer(StreamId stream, ByteView message, const Times& now);
  Status granted(const PeerId& peer, Relay& relay, const HopMessage& answer, ConnectionId connection, const Times& now);
  std::vector<std::string> told_addresses(const PeerId& peer, const Reservation& reservation,
                                          ConnectionId connection) const;
  void failed(const PeerId& peer, Relay& relay, const Error& error, const Times& now);
  void refused(const PeerId& peer, Relay& relay, CircuitStatus status, const Times& now);
  void wait(Relay& relay, uint64_t first_us, uint64_t times, const Times& now);
  void lose(const PeerId& peer, Relay& relay, ReservationLoss reason, const Error& error);
  void tell(ReservationEvent event);
  uint64_t half_drawn(uint64_t us);
  Relays::iterator of_stream(StreamId stream);

  Swarm& swarm_;
  Random& random_;
  RelayClientSettings settings_;
  MessageStreams streams_;
  Relays relays_;
  struct Connection {
    PeerId peer;
    std::string address;
  };
  std::map<ConnectionId, Connection> direct_;
  std::map<PeerId, std::set<ConnectionId>> by_peer_;
  uint64_t rotate_at_us_ = 0;
  bool changed_ = false;
  bool closed_ = false;
  std::deque<ReservationEvent> events_;
};

}  // namespace sereus::net
