#include "core/discovery/kad_store.h"

#include <algorithm>

#include "core/discovery/kad_records.h"

namespace sereus::discovery {
namespace {

template <typename Map, typename Key>
size_t count_of(const Map& map, const Key& key) {
  const auto found = map.find(key);
  return found == map.end() ? 0 : found->second;
}

template <typename Map, typename Key>
void count_down(Map& map, const Key& key) {
  const auto found = map.find(key);
  if (found != map.end() && --found->second == 0) map.erase(found);
}

}  // namespace

bool BringerCounts::has_room(const Bringer& by, size_t peer_max, size_t subnet_max) const {
  if (!by.peer.empty() && count_of(peers_, by.peer) >= peer_max) return false;
  return by.subnet == 0 || count_of(subnets_, by.subnet) < subnet_max;
}

void BringerCounts::add(const Bringer& by) {
  if (!by.peer.empty()) ++peers_[by.peer];
  if (by.subnet != 0) ++subnets_[by.subnet];
}

void BringerCounts::remove(const Bringer& by) {
  if (!by.peer.empty()) count_down(peers_, by.peer);
  if (by.subnet != 0) count_down(subnets_, by.subnet);
}

size_t BringerCounts::of(const net::PeerId& peer) const { return count_of(peers_, peer); }

ValueStore::Values::iterator ValueStore::erase(Values::iterator at) {
  counts_.remove(at->second.by);
  bytes_ -= at->second.key.size() + at->second.value.size();
  return values_.erase(at);
}

Status ValueStore::put(Value value) {
  const KadId distance = place_of_key(value.key).distance(own_);
  const size_t size = value.key.size() + value.value.size();
  if (size > settings_.value_bytes_max) return fail(Code::no_space, "dht: the store is smaller than the value");
  if (const auto known = values_.find(distance); known != values_.end()) {
    // Whoever refreshes it, it stays on the account of who brought it first: an account cannot be emptied by others.
    if (known->second.value == value.value) {
      known->second.expires_us = std::max(known->second.expires_us, value.expires_us);
      known->second.received_wall_us = value.received_wall_us;
      return {};
    }
    value.by = known->second.by;
    erase(known);
  } else if (!counts_.has_room(value.by, settings_.values_peer_max, settings_.values_subnet_max)) {
    return fail(Code::no_space, "dht: this peer or its subnet has put enough here");
  }
  while (!values_.empty() && (values_.size() >= settings_.values_max || bytes_ + size > settings_.value_bytes_max)) {
    const auto farthest = std::prev(values_.end());
    if (farthest->first < distance) return fail(Code::no_space, "dht: the store is full");
    erase(farthest);
  }
  if (values_.size() >= settings_.values_max) return fail(Code::no_space, "dht: nothing is stored here");
  counts_.add(value.by);
  bytes_ += size;
  values_.emplace(distance, std::move(value));
  return {};
}

const ValueStore::Value* ValueStore::get(ByteView key, uint64_t now_us) const {
  const auto found = values_.find(place_of_key(key).distance(own_));
  if (found == values_.end() || found->second.expires_us <= now_us || !equal(found->second.key, key)) return nullptr;
  return &found->second;
}

void ValueStore::sweep(uint64_t now_us) {
  for (auto at = values_.begin(); at != values_.end();) {
    at = at->second.expires_us <= now_us ? erase(at) : std::next(at);
  }
}

void ProviderStore::erase(std::vector<Provider>& from, std::vector<Provider>::iterator at) {
  counts_.remove({at->peer, at->subnet});
  from.erase(at);
  --size_;
}

// False when all that is there lies nearer.
bool ProviderStore::make_room(const KadId& distance) {
  while (size_ >= settings_.providers_max) {
    if (keys_.empty()) return false;
    const auto farthest = std::prev(keys_.end());
    if (farthest->first <= distance) return false;
    while (!farthest->second.providers.empty()) erase(farthest->second.providers, farthest->second.providers.begin());
    keys_.erase(farthest);
  }
  return true;
}

Status ProviderStore::add(ByteView key, const Bringer& provider, uint64_t now_us) {
  const KadId distance = KadId::of(key).distance(own_);
  const uint64_t expires_us = now_us + settings_.provider_life_us;
  const auto found = keys_.find(distance);
  if (found != keys_.end()) {
    auto& list = found->second.providers;
    const auto known =
        std::find_if(list.begin(), list.end(), [&](const Provider& p) { return p.peer == provider.peer; });
    if (known != list.end()) {
      known->expires_us = expires_us;
      std::rotate(known, known + 1, list.end());
      return {};
    }
    const auto same =
        std::count_if(list.begin(), list.end(), [&](const Provider& p) { return p.subnet == provider.subnet; });
    if (provider.subnet != 0 && static_cast<size_t>(same) >= kKadProvidersKeySubnetMax) {
      return fail(Code::no_space, "dht: this key has enough providers of this subnet");
    }
  }
  if (!counts_.has_room(provider, settings_.providers_peer_max, settings_.providers_subnet_max)) {
    return fail(Code::no_space, "dht: this peer or its subnet has enough provider records here");
  }
  if (found != keys_.end() && found->second.providers.size() >= settings_.providers_key_max) {
    erase(found->second.providers, found->second.providers.begin());
  }
  if (!make_room(distance)) return fail(Code::no_space, "dht: the store is full");
  Key& entry = keys_[distance];
  if (entry.key.empty()) entry.key = to_bytes(key);
  entry.providers.push_back({provider.peer, provider.subnet, expires_us, now_us});
  counts_.add(provider);
  ++size_;
  return {};
}

std::vector<net::PeerId> ProviderStore::get(ByteView key, size_t most, uint64_t now_us) const {
  std::vector<net::PeerId> out;
  const auto found = keys_.find(KadId::of(key).distance(own_));
  if (found == keys_.end()) return out;
  const auto& list = found->second.providers;
  for (auto at = list.rbegin(); at != list.rend() && out.size() < most; ++at) {
    if (at->expires_us > now_us) out.push_back(at->peer);
  }
  return out;
}

void ProviderStore::sweep(uint64_t now_us) {
  for (auto at = keys_.begin(); at != keys_.end();) {
    auto& list = at->second.providers;
    for (size_t i = list.size(); i > 0; --i) {
      const auto provider = list.begin() + static_cast<ptrdiff_t>(i - 1);
      if (provider->expires_us <= now_us) erase(list, provider);
    }
    at = list.empty() ? keys_.erase(at) : std::next(at);
  }
}

}  // namespace sereus::discovery
