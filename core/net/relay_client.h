// The client of Circuit Relay v2 (libp2p specs, relay/circuit-v2; docs/formats/circuit.md), a service of a swarm: reservations on
// relays (relay_reservations.h), so that others reach this host through them; and circuits, dialed and accepted, which a CircuitHost
// beneath the swarm makes connections of.
//
//   swarm made of a group with a CircuitHost -> RelayClient::create() -> run as any service (service_set.h)
//
// From then on swarm.dial() takes relayed addresses; swarm.listen_addresses(), identify and the signed peer record have those of
// live reservations; and a relayed connection says so (Connected::relayed, ConnectionInfo::relayed).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/log.h"
#include "core/net/circuit_host.h"
#include "core/net/relay_reservations.h"
#include "core/net/swarm_service.h"

namespace sereus::net {

// A relay carried no circuit to `target`. `status`: what it said; unused when it could not be asked, and `error` says why.
struct CircuitRefused {
  PeerId relay;
  PeerId target;
  CircuitStatus status = CircuitStatus::unused;
  Error error;
};
// A circuit ended at a limit of its relay.
struct CircuitLimited {
  PeerId relay;
  PeerId peer;
  CircuitLimitKind limit{};
};
using RelayClientEvent =
    std::variant<ReservationMade, ReservationLost, ReservationRefused, CircuitRefused, CircuitLimited>;

class RelayClient final : public SwarmService {
 public:
  // All outlive it; `host` is beneath `swarm`, and `device` is its key. The logger may be null. Of `tcp` the security counts. Errors:
  // those of CircuitHost::attach().
  static Result<std::unique_ptr<RelayClient>> create(Swarm& swarm, CircuitHost& host, const crypto::KeyPair& device,
                                                     Random& random, Logger* logger,
                                                     const RelayClientSettings& settings = {},
                                                     const TcpSettings& tcp = {});
  ~RelayClient() override;

  void set_settings(const RelayClientSettings& settings) { reservations_.set_settings(settings); }
  const RelayClientSettings& settings() const { return reservations_.settings(); }
  // A relay to have a reservation on: .../p2p/RELAY, also with /p2p-circuit behind it. A live connection is used, whatever the
  // address. Code::invalid without the relay's peer id.
  Status add_relay(std::string_view multiaddr);
  void remove_relay(const PeerId& relay) { reservations_.remove(relay); }
  bool reserved(const PeerId& relay) const { return reservations_.reserved(relay); }
  std::optional<int64_t> health(const PeerId& relay, const Times& now) const {
    return reservations_.health(relay, now);
  }

  std::vector<std::string> protocols() const override { return {std::string(kStopProtocol)}; }
  bool on_event(const HostEvent& event, const Times& now) override;
  void on_notice(const SwarmNotice& notice, const Times& now) override;
  uint64_t step(const Times& now) override;
  std::optional<RelayClientEvent> next_event();
  // Gives up all reservations, and makes none from now on. Circuits stay.
  void close();

 private:
  RelayClient(Swarm& swarm, CircuitHost& host, Random& random, const RelayClientSettings& settings);

  // A circuit that is dialed: until the relay is reached, and then until it has answered.
  struct Dial {
    LinkId link = 0;
    uint64_t number = 0;
    PeerId relay;
    PeerId target;
  };

  void take_listens();
  void take_wanted(const Times& now);
  void reach_relay(const Dial& dial, const Multiaddr& via, const Times& now);
  void connect(const Dial& dial, ConnectionId relay, const Times& now);
  void take_answers(const Times& now);
  void on_answer(StreamId stream, ByteView message, const Times& now);
  void refuse(const Dial& dial, CircuitStatus status, const Error& error);
  void accept(const StreamOpened& opened, const Times& now);
  void take_calls(const Times& now);
  void on_call(StreamId stream, ByteView message, const Times& now);
  void answer_call(StreamId stream, CircuitStatus status);
  void collect(const Times& now);
  void tell(RelayClientEvent event);

  Swarm& swarm_;
  CircuitHost& host_;
  CircuitLinks* links_ = nullptr;
  RelayReservations reservations_;
  MessageStreams hops_;
  MessageStreams stops_;
  Times now_;
  std::map<uint64_t, Dial> reaching_;  // by the swarm's dial to the relay
  std::map<StreamId, Dial> asking_;
  std::map<uint64_t, Dial> named_;  // circuits with peers, by number, for what is told of them
  struct Direct {
    PeerId peer;
    std::string address;
  };
  std::map<ConnectionId, Direct> direct_;
  std::deque<RelayClientEvent> events_;
};

}  // namespace sereus::net
