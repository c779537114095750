// One iterative lookup (libp2p specs, kad-dht, "Peer routing"): whom to ask next, what to believe of the answers, and when it is
// done. No I/O, no clock, no messages.
//
//   seed()                     the closest that are known
//   next(now)                  while it gives peers, ask them
//   answered(), failed()       as the network tells
//   step(now)                  its deadline: peers that take too long stop holding up the others
//   done()                     after each of these
//
// What it does beyond the specification's algorithm:
//
//   * A peer that does not answer within its time is slow: another one is asked in its place, and its answer still counts when it
//     comes. So timeouts can be short without losing peers on long paths.
//   * Peers that others named are worth as much as those who named them. When what a peer named fails again and again, the rest
//     of it is not asked, unless another peer named it, too.
//   * One subnet, and one endpoint, get few requests of a query: nobody can aim a query at a victim, or fill it from one place.
//   * With several paths, each grows only from its own answers and gets its share of the requests, so that one peer that lies
//     spoils one path (S/Kademlia, "disjoint paths").
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/discovery/kad_id.h"
#include "core/discovery/kad_message.h"
#include "core/discovery/limits.h"

namespace sereus::discovery {

struct QuerySettings {
  size_t k = kKadK;  // so many closest peers have to have answered
  size_t alpha = 3;  // peers asked at a time, without slow ones
  size_t paths = 1;
  size_t requests_max = kKadQueryRequestsMax;
  bool patient = false;  // wait for slow peers before giving up: what is looked for may be with them
};

class KadQuery {
 public:
  enum class State : uint8_t {
    waiting,
    asked,
    slow,  // asked, and its time is over
    answered,
    failed,
    skipped,  // its subnet or endpoint had its share
  };
  struct Candidate {
    net::PeerId peer;
    State state = State::waiting;
    bool certified = false;  // the addresses are signed by the peer
    bool known = false;      // we know it ourselves
    bool confirmed = false;  // a second peer named it
    bool has_introducer = false;
    uint32_t path = 0;
    uint32_t hops = 0;  // between us and it: 1 for a seed
    uint64_t slow_at_us = 0;
    KadId introducer;  // the place of who named it first
    std::vector<Bytes> addresses;
  };
  // By distance: the key is the distance to the target.
  using Candidates = std::map<KadId, Candidate>;

  KadQuery(const KadId& target, const net::PeerId& own, const QuerySettings& settings);

  // From the own table. Addresses may be empty when the caller knows them otherwise.
  // `known`: proven, so not limited like those who were only named.
  void seed(const net::PeerId& peer, std::vector<Bytes> addresses, bool known);
  // `by` answered, and named these; `certified` of those whose signed record was verified. Peers without addresses are left out.
  void named(const KadId& by, const KadPeer& peer, const KadId& id, bool certified);

  // The next peer to ask, if one may be asked now. `addresses` of the result are those that may be dialed. The caller says with
  // slow_at() how long it has.
  struct Ask {
    KadId place;  // its distance: the handle of what follows
    net::PeerId peer;
    std::vector<Bytes> addresses;
    bool known = false;
  };
  std::optional<Ask> next();
  void slow_at(const KadId& place, uint64_t at_us);
  void answered(const KadId& place);
  void failed(const KadId& place);
  // One that failed may be asked again, at these addresses.
  void retry(const KadId& place, std::vector<Bytes> addresses);
  // Peers whose time is over become slow. Returns when the next one does.
  uint64_t step(uint64_t now_us);

  bool done() const;
  const Candidate* find(const KadId& place) const;
  // The k closest that answered.
  std::vector<Ask> closest() const;
  const KadId& target() const { return target_; }
  size_t requests() const { return requests_; }
  size_t answers() const { return answers_; }
  size_t failures() const { return failures_; }
  const Candidates& candidates() const { return candidates_; }

 private:
  struct Introduced {
    size_t failed = 0;
    size_t good = 0;
  };
  bool discredited(const Candidate& candidate) const;
  // Whether it is among those that matter: fewer than k closer ones answered or may still.
  std::optional<Candidates::iterator> pick();
  bool admit(Candidate& candidate);
  void add(const KadId& id, Candidate candidate);
  void judge(const Candidate& candidate, bool good);

  const KadId target_;
  const net::PeerId own_;
  const QuerySettings settings_;
  Candidates candidates_;
  std::map<KadId, Introduced> introduced_;  // by the place of who did
  std::map<uint64_t, size_t> subnets_;
  std::map<Bytes, size_t, BytesLess> endpoints_;
  std::vector<size_t> started_;  // requests of each path
  uint32_t seeds_ = 0;
  size_t in_flight_ = 0;  // without slow ones
  size_t slow_ = 0;
  size_t requests_ = 0;
  size_t answers_ = 0;
  size_t failures_ = 0;
};

}  // namespace sereus::discovery
