// All that a host does about NATs, as one SwarmService: it finds out whether and where it is reached (autonat_client.h), does the same
// for others (autonat_server.h), announces what it found, and turns relayed connections into direct ones (dcutr.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/net/autonat_client.h"
#include "core/net/autonat_server.h"
#include "core/net/dcutr.h"
#include "core/net/swarm_service.h"

namespace sereus::net {

// Whether others are dialed back.
enum class AutoNatServing : uint8_t {
  when_reachable,  // by families that are not known to be unreachable: the first node of a network has nobody to ask
  always,
  never,
};

struct NatSettings {
  // For all parts: networks that are not the Internet allow local addresses.
  AddressFilter filter;
  AutoNatServing serving = AutoNatServing::when_reachable;
  // Their filters are replaced by the one above.
  AutoNatClientSettings client;
  AutoNatServerSettings server;
  DcutrSettings dcutr;
};

using NatEvent = std::variant<ReachabilityChanged, HolePunched>;

class NatServices final : public SwarmService {
 public:
  // `dialer`: the host that others are dialed back with, see autonat_server.h; null: it does not serve. All outlive it.
  NatServices(Swarm& swarm, Host* dialer, Random& random, const NatSettings& settings = {});

  std::vector<std::string> protocols() const override;
  bool on_event(const HostEvent& event, const Times& now) override;
  void on_notice(const SwarmNotice& notice, const Times& now) override;
  uint64_t step(const Times& now) override;
  std::optional<NatEvent> next_event();

  const AutoNatClient& client() const { return client_; }
  const AutoNatServer* server() const { return server_ ? &*server_ : nullptr; }
  const Dcutr& dcutr() const { return dcutr_; }
  // It listens for datagrams, has connections or had them since the network changed, and none of them by QUIC.
  bool udp_blocked() const;

 private:
  void tell_parts();
  bool serves(bool is_v6) const;

  Swarm& swarm_;
  const NatSettings settings_;
  AutoNatClient client_;
  std::optional<AutoNatServer> server_;
  Dcutr dcutr_;
  bool quic_seen_ = false;
  bool tcp_seen_ = false;
  std::vector<std::string> external_;
};

}  // namespace sereus::net
