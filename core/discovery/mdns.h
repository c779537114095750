// Local discovery as libp2p has it (libp2p specs, discovery/mdns): nodes on one link ask everybody for their service, and tell the
// addresses they have there. docs/discovery.md.
//
// Nothing here is signed: an address says where to try, the handshake proves who is there. Whoever is on the link sees who else is,
// so it is for its user to switch on. Thread rule: the node's thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/discovery/address_book.h"
#include "core/discovery/dns_message.h"
#include "core/net/swarm_service.h"
#include "core/ports/multicast.h"
#include "core/ports/random.h"

namespace sereus::discovery {

// "_p2p._udp.local", or of a network with a name "_p2p-1a2b3c4d._udp.local": networks do not see each other.
std::string mdns_service_of(std::string_view network);

struct MdnsSettings {
  std::string service = "_p2p._udp.local";
  uint64_t interval_us = kMdnsIntervalUs;  // between two questions, once there were some
  bool loopback = false;                   // tell addresses of the loopback interface, too: for tests on one machine
};

// A peer is on the own link; told once, and again when its addresses changed or it was silent for a while.
struct MdnsFound {
  net::PeerId peer;
  std::vector<net::Multiaddr> addresses;  // without /p2p
};

class Mdns final : public net::SwarmService {
 public:
  // All outlive it.
  Mdns(net::Swarm& swarm, Multicast& multicast, Random& random, AddressBook& book, MdnsSettings settings);

  std::vector<std::string> protocols() const override { return {}; }
  bool on_event(const net::HostEvent&, const Times&) override { return false; }
  // After a change of the network everything is asked and told anew.
  void on_notice(const net::SwarmNotice& notice, const Times& now) override;
  uint64_t step(const Times& now) override;
  std::optional<MdnsFound> next_event();

 private:
  struct Seen {
    uint64_t told_us = 0;
    std::vector<net::Multiaddr> addresses;
  };
  using Addresses = std::map<net::PeerId, std::vector<net::Multiaddr>, PeerLess>;

  void take(const Multicast::Packet& packet, const Times& now);
  void take_records(const std::vector<DnsRecord>& records, const Times& now);
  void add_found(std::string_view text, Addresses& found) const;
  void ask(const Times& now);
  void answer(const Times& now);
  std::vector<std::string> own_texts() const;

  net::Swarm& swarm_;
  Multicast& multicast_;
  Random& random_;
  AddressBook& book_;
  const MdnsSettings settings_;
  const std::string name_;  // drawn: what the spec calls the peer name, which says nothing about the peer
  uint64_t ask_at_us_ = 0;
  uint64_t ask_delay_us_ = kMdnsFirstUs;
  uint64_t answer_at_us_ = kNever;
  uint64_t answered_us_ = 0;
  bool answered_ = false;
  std::map<net::PeerId, Seen, PeerLess> seen_;
  std::deque<MdnsFound> events_;
};

}  // namespace sereus::discovery
