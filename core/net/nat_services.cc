#include "core/net/nat_services.h"

#include <algorithm>

#include "core/net/transport_policy.h"

namespace sereus::net {
namespace {

constexpr std::string_view kSource = "autonat";

template <typename Part>
Part with_filter(Part part, const AddressFilter& filter) {
  part.filter = filter;
  return part;
}

}  // namespace

NatServices::NatServices(Swarm& swarm, Host* dialer, Random& random, const NatSettings& settings)
    : swarm_(swarm),
      settings_(settings),
      client_(swarm, random, with_filter(settings.client, settings.filter)),
      dcutr_(swarm, random, with_filter(settings.dcutr, settings.filter)) {
  if (dialer != nullptr && settings.serving != AutoNatServing::never) {
    server_.emplace(swarm, *dialer, random, with_filter(settings.server, settings.filter));
    server_->set_serving(serves(false), serves(true));
  }
}

std::vector<std::string> NatServices::protocols() const {
  std::vector<std::string> out = client_.protocols();
  for (std::string& protocol : dcutr_.protocols()) out.push_back(std::move(protocol));
  if (!server_) return out;
  for (std::string& protocol : server_->protocols()) out.push_back(std::move(protocol));
  return out;
}

bool NatServices::on_event(const HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<Connected>(&event); connected != nullptr && !is_relayed(connected->address)) {
    const auto address = Multiaddr::parse(connected->address);
    const auto shape = address.ok() ? shape_of(*address) : std::nullopt;
    if (shape && shape->ip && !is_loopback(*shape->ip)) {
      (shape->transport == TransportKind::quic ? quic_seen_ : tcp_seen_) = true;
    }
  }
  // Connected and Disconnected are everybody's; all else is at most one's.
  return client_.on_event(event, now) || (server_ && server_->on_event(event, now)) || dcutr_.on_event(event, now);
}

void NatServices::on_notice(const SwarmNotice& notice, const Times& now) {
  if (std::holds_alternative<NetworkChanged>(notice)) quic_seen_ = tcp_seen_ = false;
  client_.on_notice(notice, now);
  if (server_) server_->on_notice(notice, now);
  // Before it begins with a peer that has just said who it is.
  tell_parts();
  dcutr_.on_notice(notice, now);
}

bool NatServices::serves(bool is_v6) const {
  if (settings_.serving == AutoNatServing::always) return true;
  const ReachabilityChanged& state = client_.state();
  return (is_v6 ? state.v6 : state.v4) != Reachability::unreachable;
}

bool NatServices::udp_blocked() const {
  if (quic_seen_ || !tcp_seen_) return false;
  const std::vector<std::string> listening = swarm_.listen_addresses();
  return std::any_of(listening.begin(), listening.end(),
                     [](const std::string& address) { return address.ends_with("/quic-v1"); });
}

void NatServices::tell_parts() {
  std::vector<std::string> external = client_.external_addresses();
  if (external != external_) {
    external_ = std::move(external);
    swarm_.set_external_addresses(kSource, external_);
  }
  if (server_) server_->set_serving(serves(false), serves(true));
  Dcutr::Facts facts;
  facts.addresses = client_.candidates();
  facts.symmetric = client_.mapping(false) == NatMapping::endpoint_dependent ||
                    client_.mapping(true) == NatMapping::endpoint_dependent;
  facts.udp_blocked = udp_blocked();
  dcutr_.set_facts(std::move(facts));
}

uint64_t NatServices::step(const Times& now) {
  uint64_t next = client_.step(now);
  tell_parts();
  if (server_) next = std::min(next, server_->step(now));
  return std::min(next, dcutr_.step(now));
}

std::optional<NatEvent> NatServices::next_event() {
  if (auto event = client_.next_event()) return NatEvent(std::move(*event));
  if (auto event = dcutr_.next_event()) return NatEvent(std::move(*event));
  return std::nullopt;
}

}  // namespace sereus::net
