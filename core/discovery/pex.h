// Peer exchange: connected peers tell each other some of whom they know, as records that those peers have signed. A node that
// knows one peer finds others by it without a DHT, and address books stay fresh. docs/discovery.md, docs/formats/pex.md.
//
// Freshness: told is only who was heard of within kPexFreshUs; what is told has its age, which counts on with the one who takes it, so
// nothing is kept alive by going round. Sampling: of whom a node knows it draws some anew for each answer, so nobody sees the whole
// book, and nobody decides whom others see. A peer may fill at most kPexPeersSourceMax places of the book; what is beyond takes the
// place of what it said first.
//
// Thread rule: the node's thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/discovery/address_book.h"
#include "core/net/message_streams.h"
#include "core/net/swarm_service.h"
#include "core/ports/random.h"

namespace sereus::discovery {

// "/sereus/NETWORK/pex/1.0.0": who belongs to another network does not speak it.
std::string pex_protocol_of(std::string_view network);

struct PexSettings {
  std::string protocol;
  uint64_t interval_us = kPexIntervalUs;  // between two questions to one peer; 0: never asks, answers only
  size_t peers_max = kPexPeersMax;        // asked for, and told
};

// A peer has answered.
struct PexLearned {
  net::PeerId from;
  std::vector<net::PeerId> peers;  // those whose records were new or newer than ours
  size_t refused = 0;              // records that were not their peers', or could not be read
};

class Pex final : public net::SwarmService {
 public:
  // All outlive it.
  Pex(net::Swarm& swarm, Random& random, AddressBook& book, PexSettings settings);

  std::vector<std::string> protocols() const override { return {settings_.protocol}; }
  bool on_event(const net::HostEvent& event, const Times& now) override;
  void on_notice(const net::SwarmNotice& notice, const Times& now) override;
  uint64_t step(const Times& now) override;
  std::optional<PexLearned> next_event();

  // Asks every connected peer that speaks it, now.
  void ask_all() { ask_all_ = true; }

 private:
  struct Connection {
    net::PeerId peer;
    net::AddressScope scope = net::AddressScope::global;  // where it is, as seen from here
    bool speaks = false;                                  // it said so in identify
    uint64_t ask_at_us = 0;
    net::StreamId asking = 0;
  };

  void ask(net::ConnectionId id, Connection& connection, const Times& now);
  void accept(const net::StreamOpened& opened, const Times& now);
  void on_message(const net::MessageReceived& event, const Times& now);
  void on_request(net::StreamId stream, ByteView message, const Times& now);
  void finish_asking(net::StreamId stream);
  void on_answer(const Connection& connection, ByteView message, const Times& now);
  void take_peer(const net::PeerId& source, ByteView envelope, uint64_t age_s, PexLearned& learned, const Times& now);
  void pump(const Times& now);
  bool take_turn(const net::PeerId& peer, const Times& now);
  struct Told {
    ByteView record;
    uint64_t age_s = 0;
  };
  std::vector<Told> sample(const Connection& asker, size_t most, const Times& now);
  void remember_source(const net::PeerId& source, const net::PeerId& learned, const Times& now);
  bool connected(const net::PeerId& peer) const;

  net::Swarm& swarm_;
  Random& random_;
  AddressBook& book_;
  const PexSettings settings_;
  net::MessageStreams streams_;
  std::map<net::ConnectionId, Connection> connections_;
  std::map<net::StreamId, net::ConnectionId> asking_;
  std::map<net::PeerId, uint64_t, PeerLess> answered_;                   // not again before; connections come and go
  std::map<net::PeerId, std::deque<net::PeerId>, PeerLess> introduced_;  // by whom, the oldest first
  bool ask_all_ = false;
  std::deque<PexLearned> events_;
};

}  // namespace sereus::discovery
