// A node of the Kad-DHT, client and server, without its network: it says whom to ask what, takes answers, and answers others. The Swarm
// binding is kad.h; the simulation of 10,000 nodes and the tests drive this directly.
//
//   find_peer(), get_closest(), provide(), ...   operations; each is answered by one KadDone, unless cancelled
//   next_request()                               until there is none: to be sent
//   on_answer(), on_failed()                     once for each request, unless next_cancelled() gave it back
//   serve()                                      a request that came
//   on_peer()                                    a connected peer said who it is
//   step(now)                                    timers: queries, upkeep; returns the next deadline
//   next_event()                                 after any of these, until there is none
//
// Sans-I/O; thread rule: the node's thread. Bounds: limits.h.
//
// A node publishes itself by looking itself up: the requests of that lookup carry its signed record, which those who are asked keep
// for a while. So the record is at the closest peers, where everybody's FIND_NODE for it ends, and costs no message of its own.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "core/base/time.h"
#include "core/discovery/address_book.h"
#include "core/discovery/kad_message.h"
#include "core/discovery/kad_query.h"
#include "core/discovery/kad_records.h"
#include "core/discovery/kad_store.h"
#include "core/discovery/routing_table.h"
#include "core/discovery/rtt_estimate.h"
#include "core/ports/random.h"

namespace sereus::discovery {

struct KadSettings {
  bool server = true;
  // On the public network private addresses are not told to those who come from public ones, nor believed from them. On a private
  // network there are only such.
  bool public_network = false;
  bool limit_private_subnets = false;  // count private and loopback addresses, too, against the limits of subnets
  bool publish = true;                 // our signed record, while we have addresses
  bool trace = false;                  // a KadTrace for each request and answer
  size_t k = kKadK;
  size_t alpha = 4;  // with peers that are slow not counted, more would only be more messages (docs/discovery.md)
  size_t paths = 1;
  // The record's refresh, well inside the time that others keep it and most sessions last.
  uint64_t publish_interval_us = 5 * kMicrosPerMinute;
  uint64_t refresh_interval_us = 10 * kMicrosPerMinute;  // of buckets
  uint64_t republish_interval_us = kKadRepublishUs;      // of values and provider records
  uint64_t record_life_us = 2 * 5 * kMicrosPerMinute;  // older ones may be replayed: the lookup goes on for a newer one
  TableSettings table;
  StoreSettings stores;
};

enum class KadOp : uint8_t {
  find_peer,
  get_closest,
  provide,
  find_providers,
  put_value,
  get_value,
  publish,
  refresh,
  check
};

struct KadStats {
  size_t requests = 0;
  size_t answers = 0;
  size_t failures = 0;
  uint32_t hops = 0;  // to the peer that had what was looked for; 0: it was here
  uint64_t duration_us = 0;
};

// Answers an operation.
struct KadDone {
  uint64_t op = 0;
  KadOp kind = KadOp::find_peer;
  Error error{Code::ok, {}};   // not_found, unreachable (nobody to ask, or nobody answered), timeout
  std::vector<KadPeer> peers;  // find_peer: the one; get_closest: in order of distance; find_providers
  bool certified = false;      // find_peer: the addresses are signed by the peer
  bool confirmed = false;      // find_peer: it was reached
  Bytes value;                 // get_value
  size_t copies = 0;           // get_value: how many had it; provide, put_value: how many took it
  KadStats stats;
};

struct KadTrace {
  // What an operation of ours asked, and how that ended; what others asked of us, and whether they got an answer.
  enum class What : uint8_t { asked, answered, failed, served, refused };
  What what = What::asked;
  uint64_t op = 0;  // 0: a request of others
  KadOp kind = KadOp::find_peer;
  net::PeerId peer;
  KadType type = KadType::find_node;
  Bytes key;
  size_t closer = 0;  // peers in the answer
  size_t providers = 0;
  bool record = false;
  size_t shared_bits = 0;  // of the peer and the target
  uint64_t after_us = 0;
  Error error{Code::ok, {}};
};

using KadEvent = std::variant<KadDone, KadTrace>;

struct KadRequest {
  uint64_t id = 0;
  net::PeerId peer;
  std::vector<Bytes> addresses;  // to dial when there is no connection
  KadMessage message;
  bool one_way = false;     // ADD_PROVIDER has no answer: on_answer() with an empty message once it is sent
  uint64_t give_up_us = 0;  // monotonic
};

// What a connected peer is known to be.
struct KadPeerFacts {
  net::PeerId peer;
  bool server = false;           // it accepts our protocol
  Bytes remote;                  // the address it has on the connection
  bool incoming = false;         // it came to us: `remote` is no address to dial
  std::vector<Bytes> addresses;  // where it says it listens
  Bytes record;                  // its signed record, if it sent one
};

// What a node says about itself.
class KadSelf {
 public:
  virtual ~KadSelf() = default;
  // Where it may be dialed, relayed addresses included; without /p2p of its own.
  virtual std::vector<Bytes> addresses() const = 0;
  // Its signed record, sealed now: the seq is the wall time in milliseconds and kRecordLeadMs more. Empty when there are no addresses.
  virtual Bytes signed_record(const Times& now) = 0;
};

class KadNode {
 public:
  // What is referred to outlives it.
  KadNode(const net::PeerId& own, const KadSettings& settings, KadSelf& self, AddressBook& book, Random& random,
          const KadValidators& validators);

  // --- Operations. `now` is the time of the call. Code::again when too many run.

  // Where `peer` may be dialed. What is known by the peer's own word is given at once, unless `fresh`.
  Result<uint64_t> find_peer(const net::PeerId& peer, bool fresh, const Times& now);
  Result<uint64_t> get_closest(ByteView key, const Times& now);
  // `key`: the multihash of the content's CID. Ours to republish until stop_providing().
  Result<uint64_t> provide(ByteView key, const Times& now);
  void stop_providing(ByteView key);
  // Done when `count` were found, or nobody knows more.
  Result<uint64_t> find_providers(ByteView key, size_t count, const Times& now);
  // Code::unsupported and the validator's errors at once. Ours to republish until it is put no more: stop_putting().
  Result<uint64_t> put_value(ByteView key, ByteView value, const Times& now);
  void stop_putting(ByteView key);
  // The best of the first `quorum` that have one; those who had a worse one or none get it.
  Result<uint64_t> get_value(ByteView key, size_t quorum, const Times& now);
  // Fills the table and publishes, now.
  Result<uint64_t> refresh(const Times& now);
  void cancel(uint64_t op);

  // --- What it is told

  // Whom to begin with, as often as there is nobody else.
  void add_bootstrap(const net::PeerId& peer, const std::vector<Bytes>& addresses, const Times& now);
  // KadSelf gives others now: they are published soon.
  void addresses_changed(const Times& now);
  void set_server(bool server) { settings_.server = server; }
  bool is_server() const { return settings_.server; }
  void set_trace(bool trace) { settings_.trace = trace; }
  void on_peer(const KadPeerFacts& facts, const Times& now);
  // The last connection with it ended. `lost`: it was not closed, but nothing came any more.
  void on_disconnected(const net::PeerId& peer, bool lost);
  void network_changed(const Times& now);

  // --- Requests of ours

  std::optional<KadRequest> next_request();
  std::optional<uint64_t> next_cancelled();
  // `remote`: the address of the peer that answered; empty when unknown. `dialed`: it can be dialed there, since we did.
  void on_answer(uint64_t request, KadMessage answer, ByteView remote, bool dialed, const Times& now);
  // Code::unsupported: it was reached, and is no server.
  void on_failed(uint64_t request, const Error& error, const Times& now);

  // --- Requests of others

  // The answer; nothing when there is none to be given. Error: the request is refused, and its stream to be reset.
  Result<std::optional<KadMessage>> serve(const net::PeerId& from, ByteView remote, const KadMessage& request,
                                          const Times& now);

  uint64_t step(const Times& now);
  std::optional<KadEvent> next_event();

  const RoutingTable& table() const { return table_; }
  const ValueStore& values() const { return values_; }
  const ProviderStore& providers() const { return providers_; }
  size_t requests_under_way() const { return requests_.size(); }
  size_t operations() const { return ops_.size(); }

 private:
  Result<std::optional<KadMessage>> answer_request(const net::PeerId& from, ByteView remote, const KadMessage& request,
                                                   const Times& now);
  struct Op {
    uint64_t id = 0;
    KadOp kind = KadOp::find_peer;
    bool quiet = false;  // our own upkeep: no KadDone
    Bytes key;
    net::PeerId peer;
    std::unique_ptr<KadQuery> query;
    size_t widened = 0;
    bool bootstrapped = false;  // the bootstrap peers are among those asked
    bool storing = false;       // the lookup is over, and what was to be stored is on its way
    size_t quorum = 0;
    uint64_t started_us = 0;
    KadDone done;
    bool finished = false;
    std::map<net::PeerId, KadPeer, PeerLess> found;     // find_peer: what others say of it; find_providers
    std::set<Bytes, BytesLess> tried;                   // find_peer: addresses at which the peer was dialed
    std::vector<std::pair<net::PeerId, bool>> holders;  // get_value: who answered, and whether with the best
  };
  struct Request {
    uint64_t op = 0;
    net::PeerId peer;
    KadId place;
    bool storing = false;
    bool one_way = false;
    bool reused = false;
    KadType type = KadType::find_node;
    uint64_t asked_us = 0;
    uint64_t slow_at_us = 0;  // of what is stored; a lookup keeps its own
    uint64_t give_up_us = 0;
  };
  struct OwnRecord {
    Bytes value;
    uint64_t republish_us = 0;
  };

  // kad_node.cc: operations and queries
  Result<uint64_t> begin(Op op, const KadId& target, const Times& now, const QuerySettings& settings);
  QuerySettings query_settings(bool patient) const;
  void seed(Op& op, const Times& now);
  void seed_bootstrap(Op& op);
  void pump(const Times& now);
  void pump_op(Op& op, const Times& now);
  void ask_more(Op& op, const Times& now);
  // False when there is no way to it.
  bool send(const Op* op, const KadQuery::Ask& ask, KadMessage message, bool storing, const Times& now);
  KadMessage lookup_message(const Op& op) const;
  uint64_t timeout_of(const net::PeerId& peer) const;
  uint64_t hedge_of(const net::PeerId& peer) const;
  void take_answer(Op& op, const Request& request, KadMessage& answer, ByteView remote, const Times& now);
  void take_closer(Op& op, const Request& request, KadMessage& answer, ByteView remote, const Times& now);
  void take_target(Op& op, const Request& request, KadPeer& peer, const Times& now);
  void take_providers(Op& op, const Request& request, KadMessage& answer, ByteView remote, const Times& now);
  void take_value(Op& op, const Request& request, const KadMessage& answer, const Times& now);
  bool certify(KadPeer& peer, const Times& now);
  void lookup_over(Op& op, const Times& now);
  void store_at_closest(Op& op, const Times& now);
  void correct(Op& op, const Times& now);
  void finish(Op& op, const Times& now);
  void let_go(uint64_t op, bool cancelled, const Times& now);
  void sweep_finished();
  void try_target_again(Op& op, const Times& now);
  uint32_t hops_of(const Op& op, const KadId& place) const;
  void trace(KadTrace trace);
  // The addresses that may be believed from a peer at `told_by`, at most `most`.
  std::vector<Bytes> usable(const std::vector<Bytes>& addresses, ByteView told_by, size_t most) const;
  uint64_t subnet_of(ByteView address) const;
  uint64_t subnet_of(const std::vector<Bytes>& addresses) const;

  // kad_server.cc
  std::vector<KadPeer> closest_for(const net::PeerId& from, ByteView remote, ByteView key, const Times& now) const;
  std::optional<KadPeer> tell(const net::PeerId& peer, ByteView remote, bool with_record, const Times& now) const;
  Status take_put(const net::PeerId& from, ByteView remote, const KadMessage& request, const Times& now);
  Status take_provider(const net::PeerId& from, ByteView remote, const KadMessage& request, const Times& now);
  void answer_value(const KadMessage& request, KadMessage& answer, const Times& now) const;

  // kad_upkeep.cc
  void upkeep_over(const Op& op, const Times& now);
  uint64_t upkeep(const Times& now);
  void begin_publish(const Times& now);
  void begin_fill(const Times& now);
  void begin_republish(const Times& now);
  void check(const net::PeerId& peer, const Times& now);
  uint64_t jittered(uint64_t interval_us);

  const net::PeerId own_;
  const KadId own_id_;
  KadSettings settings_;
  KadSelf& self_;
  AddressBook& book_;
  Random& random_;
  const KadValidators& validators_;
  RoutingTable table_;
  ValueStore values_;
  ProviderStore providers_;
  RttEstimate reused_rtt_;  // over connections that are there
  RttEstimate dialed_rtt_;  // with a dial before
  std::set<net::PeerId, PeerLess> connected_;
  std::set<net::PeerId, PeerLess> bootstrap_;

  std::map<uint64_t, Op> ops_;
  std::map<uint64_t, Request> requests_;
  uint64_t last_op_ = 0;
  uint64_t last_request_ = 0;
  std::deque<KadRequest> outbox_;
  std::deque<uint64_t> cancelled_;
  std::deque<KadEvent> events_;

  Bytes own_record_;  // of the publish that runs
  uint64_t publish_at_us_ = 0;
  uint64_t refresh_at_us_ = kNever;
  uint64_t sweep_at_us_ = 0;
  uint64_t republish_at_us_ = kNever;
  uint64_t retry_us_ = 0;    // after a publish that reached nobody
  std::deque<size_t> fill_;  // buckets to be filled, one after the other
  uint64_t fill_op_ = 0;
  uint64_t publish_op_ = 0;
  std::set<net::PeerId, PeerLess> checking_;
  std::map<Bytes, OwnRecord, BytesLess> own_values_;
  std::map<Bytes, uint64_t, BytesLess> own_provided_;  // when to republish
};

}  // namespace sereus::discovery
