// AutoNAT, the side that asks (libp2p specs, autonat-v1 and autonat-v2): a SwarmService. Finds out at which addresses others reach
// this host: those it listens on, and those that peers see it come from (observed_addresses.h).
//
// Every address is asked about at several servers, one address for one request, version 2 where a server speaks it. A server's
// verdict is a vote; servers of one subnet have one together. An address is reachable (or is not) when more say so than say
// otherwise, and at least `votes` of them, or as many as there are servers now: a network of one server works. Of version 2 only
// what is proved counts as a yes: the nonce came in, over a connection that somebody else made by that transport.
//
// What was found is asked again after recheck_us, doubled while it stays, and at once when the network or the addresses changed.
// Who dials back from the address that it was asked from passes a NAT that filters by address alone; so behind one of these an
// address is held reachable that strangers do not reach.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/net/address_filter.h"
#include "core/net/autonat_message.h"
#include "core/net/autonat_v2_message.h"
#include "core/net/message_streams.h"
#include "core/net/observed_addresses.h"
#include "core/net/swarm_service.h"
#include "core/ports/random.h"

namespace sereus::net {

// Stable numbers: the C ABI and logs have them.
enum class Reachability : uint8_t {
  unknown = 0,
  reachable = 1,    // "public": strangers reach it
  unreachable = 2,  // "private"
};
// "unknown", "public", "private": libp2p's words.
std::string_view reachability_name(Reachability reachability);

// Why it was said. Stable numbers; append only.
enum class ReachabilityReason : uint8_t {
  dialed_back = 1,
  not_dialed_back = 2,
  no_addresses = 3,     // nothing is listened on
  network_changed = 4,  // what was known is of another network
  addresses_gone = 5,   // what was reached is not listened on or not seen any more
};
// "dialed_back", ...
std::string_view reachability_reason_name(ReachabilityReason reason);

struct ReachabilityChanged {
  Reachability overall = Reachability::unknown;
  Reachability v4 = Reachability::unknown;
  Reachability v6 = Reachability::unknown;
  std::vector<std::string> addresses;  // that are reached, in a stable order
  ReachabilityReason reason{};
};

struct AutoNatClientSettings {
  AddressFilter filter;
  size_t votes = 3;                                  // libp2p specs: "more than 3" of servers that there may not be
  uint64_t recheck_us = 15 * 60 * kMicrosPerSecond;  // of what was found
  uint64_t recheck_max_us = 2 * 60 * 60 * kMicrosPerSecond;  // and stays
  uint64_t retry_us = 30 * kMicrosPerSecond;                 // of a server that failed, doubled each time
  uint64_t retry_max_us = 15 * 60 * kMicrosPerSecond;
  // After something changed, for more to come: a host's addresses and its peers' words come one by one.
  uint64_t settle_us = 500 * kMicrosPerMilli;
};

class AutoNatClient final : public SwarmService {
 public:
  AutoNatClient(Swarm& swarm, Random& random, const AutoNatClientSettings& settings = {});

  std::vector<std::string> protocols() const override { return {std::string(kAutoNatDialBackProtocol)}; }
  bool on_event(const HostEvent& event, const Times& now) override;
  void on_notice(const SwarmNotice& notice, const Times& now) override;
  uint64_t step(const Times& now) override;
  std::optional<ReachabilityChanged> next_event();

  // What was told last.
  const ReachabilityChanged& state() const { return told_; }
  struct AddressState {
    Multiaddr address;
    Reachability reachability = Reachability::unknown;
    size_t yes = 0;
    size_t no = 0;
  };
  std::vector<AddressState> addresses() const;
  // Reached addresses beside those that are listened on: what Swarm::set_external_addresses() is for.
  std::vector<std::string> external_addresses() const;
  // What peers say of where we come from.
  const ObservedAddresses& observed() const { return observed_; }
  NatMapping mapping(bool is_v6) const { return observed_.mapping(is_v6, listening_); }
  // What the host listens on, and what it may be reached at besides, the likeliest first: for those who punch holes.
  std::vector<Multiaddr> candidates() const;
  size_t servers() const { return servers_.size(); }

 private:
  struct Vote {
    bool reached = false;
    uint64_t at_us = 0;
  };
  struct Candidate {
    std::map<Subnet, Vote> votes;
    std::set<ConnectionId> refused;  // servers that do not dial it, this round
    size_t asked = 0;                // requests under way
    Reachability state = Reachability::unknown;
    uint64_t round_us = 0;  // votes from before it are asked for again
    uint64_t next_us = 0;   // the next round's begin
    uint64_t recheck_us = 0;
    bool settled = false;  // this round
  };
  struct Server {
    PeerId peer;
    IpEndpoint remote;
    Subnet subnet{};
    bool v1 = false;
    bool v2 = false;
    size_t asked = 0;
    size_t failures = 0;
    uint64_t not_before_us = 0;
  };
  struct Connection {
    PeerId peer;
    std::string address;
    bool incoming = false;
    std::optional<Multiaddr> observed;  // what the peer said last
  };
  struct Request {
    ConnectionId connection = 0;
    bool v2 = true;
    std::vector<Multiaddr> addresses;
    uint64_t nonce = 0;
    bool nonce_came = false;
    bool paid = false;  // for an address that is not the one the server sees
  };
  using Requests = std::map<StreamId, Request>;

  // --- asking
  void refresh_candidates(const Times& now);
  void plan(const Times& now);
  bool wanted(const Candidate& candidate, const Server& server, ConnectionId id) const;
  bool ask_v2(ConnectionId id, Server& server, const Multiaddr& address, const Times& now);
  bool ask_v1(ConnectionId id, Server& server, const Times& now);
  size_t enough() const;

  // --- answers
  void on_asked_event(const MessageEvent& event, const Times& now);
  void on_v2_message(Requests::iterator request, ByteView message, const Times& now);
  void on_data_request(Requests::iterator request, const AutoNatDataRequest& message, const Times& now);
  void on_v1_message(Requests::iterator request, ByteView message, const Times& now);
  void vote(const Request& request, const Multiaddr& address, bool reached, const Times& now);
  void refused(const Request& request);
  void failed(const Request& request, const Times& now);
  void forget(Requests::iterator request);
  bool accept(const StreamOpened& opened, const Times& now);
  void on_dial_back(const MessageEvent& event);

  // --- what follows
  void settle(const Times& now);
  Reachability of_family(bool is_v6) const;
  void tell();
  void on_identified(const Identified& identified, const Times& now);
  void pump(const Times& now);

  Swarm& swarm_;
  Random& random_;
  const AutoNatClientSettings settings_;
  ObservedAddresses observed_;
  MessageStreams asked_;      // requests
  MessageStreams dial_back_;  // dial-backs that come in
  std::map<ConnectionId, Connection> connections_;
  std::map<ConnectionId, Server> servers_;
  std::map<Multiaddr, Candidate> candidates_;
  std::vector<Multiaddr> order_;  // of the candidates, the likeliest first
  std::vector<Multiaddr> listening_;
  Requests requests_;
  uint64_t changed_us_ = 0;  // look at the candidates again then
  ReachabilityReason reason_ = ReachabilityReason::no_addresses;
  bool told_once_ = false;
  ReachabilityChanged told_;
  std::deque<ReachabilityChanged> events_;
};

}  // namespace sereus::net
