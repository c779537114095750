#include "core/net/observed_addresses.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "core/net/limits.h"
#include "core/net/transport_policy.h"

namespace sereus::net {
namespace {

constexpr std::array kKinds{TransportKind::quic, TransportKind::tcp};
constexpr size_t kSeenMax =
    3;  // candidates of one transport and family: behind a symmetric NAT there is one for each peer

bool listens(const std::vector<Multiaddr>& listening, TransportKind transport, bool is_v6) {
  return std::any_of(listening.begin(), listening.end(), [&](const Multiaddr& address) {
    const auto shape = shape_of(address);
    return shape && shape->ip && shape->transport == transport && shape->ip->is_v6 == is_v6;
  });
}

bool contains(const std::vector<Multiaddr>& addresses, const Multiaddr& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

// `listening` with the IP address of `outside`.
Multiaddr moved_to(const Multiaddr& listening, const Multiaddr& outside) {
  Multiaddr out = outside.first_parts(1);
  const auto& parts = listening.parts();
  for (size_t i = 1; i < parts.size(); ++i) out = out.with(parts[i]);
  return out;
}

}  // namespace

std::string_view nat_mapping_name(NatMapping mapping) {
  switch (mapping) {
    case NatMapping::unknown:
      return "unknown";
    case NatMapping::none:
      return "none";
    case NatMapping::endpoint_independent:
      return "endpoint_independent";
    case NatMapping::endpoint_dependent:
      return "endpoint_dependent";
  }
  return "";
}

bool ObservedAddresses::add(ConnectionId connection, const IpEndpoint& remote, bool incoming,
                            const Multiaddr& observed) {
  const Multiaddr address = observed.without_peer_id();
  const auto shape = shape_of(address);
  if (!shape || !shape->ip || !filter_.allows(*shape->ip)) return false;
  const auto known = words_.find(connection);
  if (known == words_.end() && words_.size() >= kObserversMax) return false;
  if (known != words_.end() && known->second.address == address) return false;
  words_[connection] = {address, *shape->ip, shape->transport, remote, incoming};
  return true;
}

std::map<Multiaddr, std::vector<Subnet>> ObservedAddresses::seen(TransportKind transport, bool is_v6) const {
  std::map<Multiaddr, std::vector<Subnet>> out;
  for (const auto& [connection, word] : words_) {
    if (word.transport != transport || word.endpoint.is_v6 != is_v6) continue;
    if (transport != TransportKind::quic && !word.incoming) continue;
    std::vector<Subnet>& subnets = out[word.address];
    const Subnet subnet = subnet_of(word.remote);
    if (std::find(subnets.begin(), subnets.end(), subnet) == subnets.end()) subnets.push_back(subnet);
  }
  return out;
}

std::vector<ObservedAddresses::Candidate> ObservedAddresses::candidates(const std::vector<Multiaddr>& listening) const {
  std::vector<Candidate> out;
  const auto add = [&](const Multiaddr& address, size_t observers) {
    const bool again = std::any_of(out.begin(), out.end(), [&](const Candidate& c) { return c.address == address; });
    if (!again && !contains(listening, address)) out.push_back({address, observers});
  };
  for (const TransportKind transport : kKinds) {
    for (const bool is_v6 : {false, true}) {
      if (!listens(listening, transport, is_v6)) continue;
      std::vector<Candidate> of_kind;
      for (const auto& [address, subnets] : seen(transport, is_v6)) of_kind.push_back({address, subnets.size()});
      std::stable_sort(of_kind.begin(), of_kind.end(),
                       [](const Candidate& a, const Candidate& b) { return a.observers > b.observers; });
      if (of_kind.size() > kSeenMax) of_kind.resize(kSeenMax);
      for (const Candidate& candidate : of_kind) add(candidate.address, candidate.observers);
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Candidate& a, const Candidate& b) { return a.observers > b.observers; });
  // Ports that the NAT keeps or forwards are the same outside.
  std::set<Multiaddr> hosts;
  for (const auto& [connection, word] : words_) hosts.insert(word.address.first_parts(1));
  for (const Multiaddr& host : hosts) {
    for (const Multiaddr& address : listening) {
      const auto ip = endpoint_of(address);
      const bool same_family =
          ip && !address.parts().empty() && address.parts().front().code == host.parts().front().code;
      if (same_family && !is_loopback(*ip)) add(moved_to(address, host), 0);
    }
  }
  return out;
}

NatMapping ObservedAddresses::mapping(bool is_v6, const std::vector<Multiaddr>& listening) const {
  if (!listens(listening, TransportKind::quic, is_v6)) return NatMapping::unknown;
  // A peer that came to us saw the address that it dialed, which says nothing about where we go out.
  std::map<Multiaddr, std::set<Subnet>> outgoing;
  std::set<Subnet> all;
  for (const auto& [connection, word] : words_) {
    if (word.transport != TransportKind::quic || word.endpoint.is_v6 != is_v6 || word.incoming) continue;
    outgoing[word.address].insert(subnet_of(word.remote));
    all.insert(subnet_of(word.remote));
  }
  size_t most = 0;
  for (const auto& [address, subnets] : outgoing) {
    if (contains(listening, address)) return NatMapping::none;
    most = std::max(most, subnets.size());
  }
  if (most >= 2) return NatMapping::endpoint_independent;
  return outgoing.size() >= 2 && all.size() >= 2 ? NatMapping::endpoint_dependent : NatMapping::unknown;
}

}  // namespace sereus::net
