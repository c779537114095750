// Reaches a peer by its addresses: resolves names, ranks (dial_ranking.h), races, and remembers what failed. The swarm's part;
// it dials on a Host and is told of the host's answers.
//
// A dial to a peer is one attempt, shared by all who ask while it runs. Bounds: kDialAddressesMax addresses an attempt,
// `parallel_peer` handshakes at once for a peer and `parallel` in all (what is above waits for its turn), kDialPeersMax attempts,
// kBackoffEntriesMax remembered failures.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/time.h"
#include "core/net/dial_ranking.h"
#include "core/net/dnsaddr.h"
#include "core/net/host.h"
#include "core/net/limits.h"
#include "core/ports/random.h"
#include "core/ports/resolver.h"

namespace sereus::net {

struct DialSettings {
  size_t parallel_peer = 8;                         // handshakes at once for one peer
  size_t parallel = 128;                            // and in all; below the transports' kDialsMax
  uint64_t timeout_us = 15 * kMicrosPerSecond;      // of an attempt, all addresses and names together
  uint64_t name_timeout_us = 5 * kMicrosPerSecond;  // of one look-up
  // After a failure an address is not dialed again for this long, doubled by each further one; half of it is drawn. A
  // peer whose addresses all failed waits likewise.
  uint64_t backoff_us = kMicrosPerSecond;
  uint64_t backoff_max_us = 5 * 60 * kMicrosPerSecond;
};

// Why an address did not lead to the peer.
struct AddressFailure {
  std::string address;  // as given, or what a name resolved to
  Error error;
};

class Dialer {
 public:
  // How an attempt ended: with a connection that the host told of, or not.
  struct Outcome {
    PeerId peer;
    std::vector<uint64_t> dials;  // who asked
    ConnectionId connection = 0;  // 0: failed
    bool made = false;            // by this attempt; its Connected has the first asker's dial
    std::vector<AddressFailure> failures;
    Error error{Code::ok, {}};  // of a failed one: one line with every address and its reason
  };

  // All outlive the dialer. `resolver` may be null: then addresses by name fail with Code::unsupported.
  Dialer(Host& host, Resolver* resolver, Random& random, const DialSettings& settings);

  void set_policy(TransportPolicy policy) { policy_ = std::move(policy); }
  void set_settings(const DialSettings& settings) { settings_ = settings; }

  // Joins the attempt under way with the peer, to which new addresses are added, or begins one in the next step(). `force`: the
  // back-off is not waited for. Code::again when too many attempts are under way.
  Status dial(uint64_t dial, const PeerId& peer, std::vector<Multiaddr> addresses, bool force);
  // Whoever asked does not want it any more; the attempt ends with its last asker.
  void cancel(uint64_t dial);

  // The host's answers to dials of ours; false for those that are not.
  struct Taken {
    bool ours = false;
    bool surplus = false;  // its attempt is over (a loser of the race that came too late): to be closed without a word
    uint64_t dial = 0;     // the first asker
  };
  Taken on_connected(const Connected& event);
  bool on_dial_failed(const DialFailed& event, const Times& now);
  // A connection with the peer was made by other means: an attempt ends with it.
  void on_reached(const PeerId& peer, ConnectionId connection) { finish(peer, connection, std::nullopt); }
  // Likewise, but ours would be preferred: the attempt has until `deadline_us`.
  void hurry(const PeerId& peer, uint64_t deadline_us);
  bool dialing(const PeerId& peer) const { return attempts_.contains(peer); }

  // A dnsaddr, which may be of several peers, looked up for itself. Answered by next_resolved(). Errors: those of Dnsaddr.
  Result<uint64_t> resolve(const Multiaddr& address, const Times& now) {
    return dnsaddr_.resolve(address, now.mono_us + settings_.name_timeout_us);
  }
  std::optional<Dnsaddr::Outcome> next_resolved();

  // All back-offs are void: the network is another.
  void forget_failures();

  uint64_t step(const Times& now);
  std::optional<Outcome> next_outcome();
  void close();  // every attempt fails with Code::closed

 private:
  enum class State : uint8_t { waiting, dialing, failed };
  struct Candidate {
    RankedAddress ranked;
    uint64_t start_us = 0;
    State state = State::waiting;
    uint64_t host_dial = 0;
  };
  struct Query {
    Multiaddr address;  // with the name
    uint64_t deadline_us = 0;
  };
  struct Attempt {
    PeerId peer;
    uint64_t order = 0;  // who began first has the first turn
    std::vector<uint64_t> dials;
    std::vector<Multiaddr> fresh;  // not looked at yet
    std::set<Multiaddr> known;     // all that was looked at, to leave doubles out
    std::vector<Candidate> candidates;
    std::map<Resolver::QueryId, Query> queries;
    std::map<uint64_t, Multiaddr> lookups;  // of dnsaddr
    std::vector<AddressFailure> failures;
    size_t names = 0;
    size_t dialing = 0;
    uint64_t deadline_us = kNever;
    bool force = false;
    bool begun = false;
    bool tried = false;  // something failed that says that the peer is not to be reached
  };
  struct Backoff {
    uint64_t until_us = 0;
    uint64_t delay_us = 0;
  };
  using BackoffTable = std::map<Bytes, Backoff>;

  // Each of these looks after one attempt; it is finished by advance() alone.
  void take_fresh(Attempt& attempt, const Times& now);
  void resolve(Attempt& attempt, const Multiaddr& address, const Times& now);
  void look_up(Attempt& attempt, const Multiaddr& address, const Times& now);
  void take_answers(const Times& now);
  void take_answer(const Resolver::Answer& answer, const Times& now);
  void take_lookups();
  void expire_queries(Attempt& attempt, const Times& now);
  void add_candidates(Attempt& attempt, const std::vector<Multiaddr>& addresses, const Times& now);
  void start_candidates(Attempt& attempt, const Times& now);
  void start(Attempt& attempt, Candidate& candidate, const Times& now);
  static void add_failure(Attempt& attempt, std::string address, Error error);
  // Likewise, of an address or a name that was tried.
  static void add_tried(Attempt& attempt, std::string address, Error error);
  // The time it wants to go on at; nothing when it is finished.
  std::optional<uint64_t> advance(Attempt& attempt, const Times& now);
  static bool over(const Attempt& attempt);

  void finish(const PeerId& peer, ConnectionId connection, std::optional<Error> error);
  std::optional<uint64_t> backed_off(const BackoffTable& table, const Bytes& key, const Times& now) const;
  void back_off(BackoffTable& table, const Bytes& key, const Times& now);
  static Error describe(const Attempt& attempt);

  Host& host_;
  Resolver* const resolver_;
  Random& random_;
  DialSettings settings_;
  TransportPolicy policy_;
  std::map<PeerId, Attempt> attempts_;
  std::map<uint64_t, PeerId> order_;
  uint64_t last_order_ = 0;
  std::map<uint64_t, PeerId> by_host_dial_;  // handshakes under way
  std::set<uint64_t> surplus_;               // host dials whose attempt is over
  std::map<Resolver::QueryId, PeerId> by_query_;
  Dnsaddr dnsaddr_;
  std::map<uint64_t, PeerId> by_lookup_;
  std::deque<Dnsaddr::Outcome> resolved_;
  BackoffTable address_backoff_;  // by peer and address: another peer may answer there
  BackoffTable peer_backoff_;
  std::deque<Outcome> outcomes_;
  bool changed_ = false;  // since the last walk through the attempts
  uint64_t next_us_ = kNever;
};

}  // namespace sereus::net
