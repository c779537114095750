#include "core/net/dial_ranking.h"

#include <algorithm>

namespace sereus::net {
namespace {

struct Entry {
  RankedAddress ranked;
  bool v6 = false;
};

// One transport of one race, begun at `begin_us`; returns when its last address begins, or nothing when it has none.
std::optional<uint64_t> rank_transport(std::vector<Entry>& race, TransportKind transport, uint64_t begin_us,
                                       uint64_t delay_us) {
  Entry* first_v6 = nullptr;
  Entry* first_v4 = nullptr;
  for (Entry& entry : race) {
    if (entry.ranked.transport != transport) continue;
    Entry*& first = entry.v6 ? first_v6 : first_v4;
    if (first == nullptr) first = &entry;
  }
  if (first_v6 == nullptr && first_v4 == nullptr) return std::nullopt;
  uint64_t last_us = begin_us;
  if (first_v6 != nullptr && first_v4 != nullptr) last_us += delay_us;
  const uint64_t rest_us = last_us + delay_us;
  bool rest = false;
  for (Entry& entry : race) {
    if (entry.ranked.transport != transport) continue;
    if (&entry == first_v6) {
      entry.ranked.delay_us = begin_us;
    } else if (&entry == first_v4) {
      entry.ranked.delay_us = last_us;
    } else {
      entry.ranked.delay_us = rest_us;
      rest = true;
    }
  }
  return rest ? rest_us : last_us;
}

void rank_race(std::vector<Entry>& race, const TransportPolicy& policy, uint64_t delay_us) {
  uint64_t begin_us = 0;
  for (const TransportKind transport : policy.order) {
    if (const auto last_us = rank_transport(race, transport, begin_us, delay_us)) begin_us = *last_us + delay_us;
  }
}

}  // namespace

AddressScope scope_of(const IpEndpoint& endpoint) {
  const auto& a = endpoint.address;
  if (is_loopback(endpoint)) return AddressScope::loopback;
  if (endpoint.is_v6) {
    const bool unique_local = (a[0] & 0xfe) == 0xfc;
    const bool link_local = a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
    return unique_local || link_local ? AddressScope::local : AddressScope::global;
  }
  const bool rfc1918 = a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168);
  const bool link_local = a[0] == 169 && a[1] == 254;
  return rfc1918 || link_local ? AddressScope::local : AddressScope::global;
}

std::vector<RankedAddress> rank_addresses(std::span<const Multiaddr> addresses, const TransportPolicy& policy) {
  std::vector<Entry> near;
  std::vector<Entry> far;
  std::vector<Entry> relayed;
  for (const Multiaddr& address : addresses) {
    const auto shape = shape_of(address);
    if (!shape || shape->needs_lookup() || !policy.check(address).ok()) continue;
    const bool is_relayed = shape->transport == TransportKind::relay;
    const bool is_far = !is_relayed && scope_of(*shape->ip) == AddressScope::global;
    std::vector<Entry>& race = is_relayed ? relayed : is_far ? far : near;
    const bool again =
        std::any_of(race.begin(), race.end(), [&](const Entry& e) { return e.ranked.address == address; });
    if (!again) race.push_back({{address, shape->transport, 0}, shape->ip && shape->ip->is_v6});
  }
  rank_race(near, policy, kDialDelayLocalUs);
  rank_race(far, policy, kDialDelayUs);
  uint64_t turn_us = near.empty() && far.empty() ? 0 : kDialDelayRelayUs;
  for (Entry& entry : relayed) {
    entry.ranked.delay_us = turn_us;
    turn_us += kDialDelayUs;
  }
  std::vector<RankedAddress> out;
  for (const std::vector<Entry>* race : {&near, &far, &relayed}) {
    for (const Entry& entry : *race) out.push_back(entry.ranked);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const RankedAddress& a, const RankedAddress& b) { return a.delay_us < b.delay_us; });
  return out;
}

}  // namespace sereus::net
