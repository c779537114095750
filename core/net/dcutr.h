// DCUtR, direct connection upgrade through relay (libp2p specs, relay/DCUtR): a SwarmService. Two hosts that are connected through a
// relay get a direct connection, if their NATs allow one.
//
// Who was dialed (B) begins, as soon as identify has told what the peer speaks: it dials the peer's own addresses; if none of them
// answers soon, it opens a stream, both tell where they are seen (CONNECT), and half a round trip after B's SYNC both send at once: A dials, as the
// client; B lets A's packets in by sending its own, probes for QUIC, a connection from the listening port for TCP. Up to
// kHolePunchAttemptsMax times. The swarm does the rest: the direct connection takes the relayed one's place (Superseded), which
// ends when its streams have.
//
// Beyond the specification, B dials as well when nothing has come for a while: that succeeds where A's NAT lets everybody in and B's
// gives every peer another port.
//
// What a peer can make it do is bounded: addresses by IP that the filter allows, kHolePunchTargetsMax of them, dialed or probed for
// kHolePunchDialTimeoutUs; kHolePunchesPeerPerMinute of a peer; only over relayed connections.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/net/address_filter.h"
#include "core/net/hole_punch_message.h"
#include "core/net/message_streams.h"
#include "core/net/path_reason.h"
#include "core/net/rate_table.h"
#include "core/net/swarm_service.h"
#include "core/ports/random.h"

namespace sereus::net {

// How a direct connection came about. Stable numbers.
enum class DirectPath : uint8_t {
  none = 0,
  dialed = 1,        // an address of the peer answered by itself
  punched_quic = 2,  // both sent at once
  punched_tcp = 3,
};
// "none", "dialed", ...
std::string_view direct_path_name(DirectPath path);

// A relayed connection has become a direct one, or will not.
struct HolePunched {
  PeerId peer;
  bool ok = false;
  DirectPath path = DirectPath::none;
  PathReason reason = PathReason::none;  // when not ok
  ConnectionId relayed = 0;
  ConnectionId direct = 0;  // 0 when not ok
  std::string address;      // of the direct one
  size_t attempts = 0;      // at punching; 0: none was needed, or none was made
  bool initiated = false;   // by us
  uint64_t took_us = 0;
};

struct DcutrSettings {
  AddressFilter filter;
  size_t attempts = kHolePunchAttemptsMax;
  uint64_t dial_timeout_us = kHolePunchDialTimeoutUs;
  uint64_t direct_lead_us = kHolePunchDirectLeadUs;
  uint64_t reverse_us = 500 * kMicrosPerMilli;  // from the first probe to B's own dial
  bool initiate = true;
};

class Dcutr final : public SwarmService {
 public:
  // Both outlive it.
  Dcutr(Swarm& swarm, Random& random, const DcutrSettings& settings = {});

  // What is known of this host: where it is seen, and what stands in the way. Given again whenever it changes.
  struct Facts {
    std::vector<Multiaddr> addresses;  // the likeliest first
    bool symmetric = false;
    bool udp_blocked = false;
  };
  void set_facts(Facts facts) { facts_ = std::move(facts); }

  std::vector<std::string> protocols() const override { return {std::string(kDcutrProtocol)}; }
  bool on_event(const HostEvent& event, const Times& now) override;
  void on_notice(const SwarmNotice& notice, const Times& now) override;
  uint64_t step(const Times& now) override;
  std::optional<HolePunched> next_event();

  size_t under_way() const { return upgrades_.size() + answers_.size(); }

 private:
  struct Connection {
    PeerId peer;
    std::string address;
    bool incoming = false;
    bool relayed = false;
    // What the peer of a relayed one said, once it did.
    struct Said {
      bool speaks = false;  // DCUtR
      std::vector<Multiaddr> addresses;
    };
    std::optional<Said> said;
    bool told = false;  // that it did not become a direct one, as its peer tried
  };
  struct Target {
    Multiaddr address;
    uint64_t probe_us = kNever;  // the next one is due
  };
  // B's part.
  enum class Stage : uint8_t { dialing, connecting, syncing, punching };
  struct Upgrade {
    PeerId peer;
    Stage stage = Stage::dialing;
    bool speaks = false;  // DCUtR
    uint64_t begun_us = 0;
    uint64_t deadline_us = kNever;
    uint64_t reverse_us = kNever;
    uint64_t sent_us = 0;  // CONNECT
    size_t attempts = 0;
    StreamId stream = 0;
    std::vector<Target> targets;
    std::set<uint64_t> direct;  // dials of the peer's own addresses
    std::set<uint64_t> dials;   // of the attempt
  };
  // A's part, of one attempt.
  struct Answer {
    ConnectionId relayed = 0;
    PeerId peer;
    bool connected = false;  // CONNECT came
    uint64_t begun_us = 0;
    uint64_t deadline_us = kNever;  // of the dials
    std::vector<Multiaddr> targets;
    std::set<uint64_t> dials;
  };
  using Upgrades = std::map<ConnectionId, Upgrade>;  // by the relayed connection
  using Answers = std::map<StreamId, Answer>;

  void on_connected(const Connected& connected, const Times& now);
  void on_disconnected(ConnectionId id, const Times& now);
  bool on_dial_failed(const DialFailed& failed, const Times& now);
  bool direct_with(const PeerId& peer) const;
  std::vector<Multiaddr> allowed(const std::vector<Multiaddr>& addresses) const;
  bool dial(const Multiaddr& address, const PeerId& peer, PunchRole role, std::set<uint64_t>& dials);
  void cancel(std::set<uint64_t>& dials);

  void begin(ConnectionId id, const Times& now);
  void attempt(Upgrades::iterator upgrade, const Times& now);
  void on_connect(Upgrades::iterator upgrade, const HolePunchMessage& message, const Times& now);
  void punch(Upgrades::iterator upgrade, const Times& now);
  uint64_t probe(Upgrade& upgrade, const Times& now);
  void attempt_failed(Upgrades::iterator upgrade, PathReason reason, const Times& now);
  void end(Upgrades::iterator upgrade, PathReason reason, const Times& now);
  uint64_t advance(Upgrades::iterator upgrade, const Times& now);

  bool accept(const StreamOpened& opened, const Times& now);
  void on_answer_message(Answers::iterator answer, const HolePunchMessage& message, const Times& now);
  void end(Answers::iterator answer, PathReason reason, const Times& now);
  // Why nothing came through.
  PathReason silence(bool peer_has_targets) const;

  void on_message_event(const MessageEvent& event, const Times& now);
  void pump(const Times& now);

  Swarm& swarm_;
  Random& random_;
  const DcutrSettings settings_;
  Facts facts_;
  MessageStreams streams_;
  std::map<ConnectionId, Connection> connections_;
  Upgrades upgrades_;
  Answers answers_;
  std::map<uint64_t, std::pair<bool, uint64_t>> by_dial_;  // an upgrade's (true) or an answer's, and whose
  RateTable<PeerId> rate_;
  std::deque<HolePunched> events_;
};

}  // namespace sereus::net
