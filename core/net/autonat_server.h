// AutoNAT, the side that dials back (libp2p specs, autonat-v1 and autonat-v2): a SwarmService. For whoever asks, it tries one of the
// addresses that they name, and says what came of it.
//
// It dials with a host of its own, which must not listen and must not have the swarm's key: its sockets are others than those that the
// asking peer has spoken to, so that a NAT which lets answers in does not let this in; and the connection is a stranger's to the
// peer, which neither takes for the one that it asked over.
//
// What strangers can make it do is bounded: addresses by IP that the filter allows; version 1 only the IP address that the peer
// comes from; version 2 another one for kAutoNatDataMin to kAutoNatDataMax bytes; rates for all, for a subnet and for a peer
// (limits.h); nothing over relayed connections, where nobody's address is known.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/net/address_filter.h"
#include "core/net/autonat_message.h"
#include "core/net/autonat_v2_message.h"
#include "core/net/message_streams.h"
#include "core/net/rate_table.h"
#include "core/net/swarm_service.h"
#include "core/ports/random.h"

namespace sereus::net {

struct AutoNatServerSettings {
  AddressFilter filter;
  uint64_t per_minute = kAutoNatServePerMinute;
  uint64_t peer_per_minute = kAutoNatServePeerPerMinute;
  uint64_t subnet_per_minute = kAutoNatServeSubnetPerMinute;
};

struct AutoNatServerStats {
  uint64_t served = 0;      // a dial was made for them
  uint64_t refused = 0;     // nothing among their addresses was to be dialed
  uint64_t rejected = 0;    // by a rate or a limit
  uint64_t broken = 0;      // their messages were none, or they did not send what was asked for
  uint64_t data_bytes = 0;  // received against amplification
};

class AutoNatServer final : public SwarmService {
 public:
  // All outlive it. `dialer` is stepped and its events are taken by this alone.
  AutoNatServer(Swarm& swarm, Host& dialer, Random& random, const AutoNatServerSettings& settings = {});

  // Which families it dials. Who cannot be reached by a family, or cannot send by it, does not know what others can: give what is
  // known to work. None at first: then it offers no protocol.
  void set_serving(bool v4, bool v6);

  std::vector<std::string> protocols() const override;
  bool on_event(const HostEvent& event, const Times& now) override;
  uint64_t step(const Times& now) override;

  const AutoNatServerStats& stats() const { return stats_; }
  size_t jobs() const { return jobs_.size(); }

 private:
  enum class Stage : uint8_t { reading, data, dialing, telling };
  struct Job {
    ConnectionId connection = 0;
    PeerId peer;
    IpEndpoint remote;
    bool v2 = true;
    Stage stage = Stage::reading;
    uint64_t nonce = 0;
    uint32_t index = 0;
    Multiaddr address;  // version 2: to be dialed
    uint64_t data_left = 0;
    uint64_t messages_left = 0;
    std::map<uint64_t, Multiaddr> dials;  // under way, by the dialer's id
    ConnectionId back = 0;                // the dialer's connection with them
    uint64_t deadline_us = kNever;        // of the dial-back
  };
  using Jobs = std::map<StreamId, Job>;  // by the stream that asked

  bool accept(const StreamOpened& opened, const Times& now);
  void on_message(StreamId stream, ByteView message, const Times& now);
  void on_dial_message(Jobs::iterator job, ByteView message, const Times& now);
  void on_request_message(Jobs::iterator job, ByteView message, const Times& now);
  void on_request(Jobs::iterator job, const AutoNatRequest& request, const Times& now);
  void on_data(Jobs::iterator job, const AutoNatData& data, const Times& now);
  bool dialable(const Multiaddr& address) const;
  bool admit(const Job& job, const Times& now);
  bool dial(Jobs::iterator job, const Multiaddr& address, const Times& now);
  void on_dialer_event(const HostEvent& event, const Times& now);
  void on_dialed(const Connected& connected);
  void on_dial_failed(uint64_t dial);
  void on_back_message(const MessageEvent& event);
  void answer_v1(Jobs::iterator job, AutoNatStatus status, const Multiaddr* address);
  void answer_v2(Jobs::iterator job, const AutoNatResponse& response);
  void answer_dial(Jobs::iterator job, AutoNatDialStatus status, const Multiaddr* address);
  void reject(Jobs::iterator job);
  void refuse(Jobs::iterator job);
  void forget(Jobs::iterator job);
  void pump(const Times& now);

  Swarm& swarm_;
  Host& dialer_;
  Random& random_;
  const AutoNatServerSettings settings_;
  bool v4_ = false;
  bool v6_ = false;
  MessageStreams asked_;  // on the swarm
  MessageStreams back_;   // on the dialer
  struct Peer {
    PeerId peer;
    std::string address;
  };
  std::map<ConnectionId, Peer> connections_;
  Jobs jobs_;
  std::map<uint64_t, StreamId> by_dial_;
  std::map<StreamId, StreamId> by_back_stream_;
  std::map<ConnectionId, StreamId> by_back_;
  RateTable<uint8_t> all_rate_;
  RateTable<PeerId> peer_rate_;
  RateTable<Subnet> subnet_rate_;
  AutoNatServerStats stats_;
};

}  // namespace sereus::net
