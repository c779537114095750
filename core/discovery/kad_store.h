// What a DHT server keeps for others: values and provider records. Both are bounded in all, by who brought them and by the subnet
// they came from, and end by themselves. When one is full, what lies farthest from this node's own place gives way to what is nearer:
// that is what others would look for here, and not what somebody fills the store with.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/discovery/kad_id.h"
#include "core/discovery/limits.h"
#include "core/net/peer_id.h"

namespace sereus::discovery {

struct StoreSettings {
  size_t values_max = kKadValuesMax;
  size_t value_bytes_max = kKadValueBytesMax;
  size_t values_peer_max = kKadValuesPeerMax;
  size_t values_subnet_max = kKadValuesSubnetMax;
  size_t providers_max = kKadProvidersMax;
  size_t providers_key_max = kKadProvidersKeyMax;
  size_t providers_peer_max = kKadProvidersPeerMax;
  size_t providers_subnet_max = kKadProvidersSubnetMax;
  uint64_t value_life_us = kKadValueLifeUs;
  uint64_t provider_life_us = kKadProviderLifeUs;
};

// Who brought something. `subnet` 0 is not counted, nor is an empty peer (ourselves).
struct Bringer {
  net::PeerId peer;
  uint64_t subnet = 0;
};

// Counts by peer and by subnet, for quotas.
class BringerCounts {
 public:
  bool has_room(const Bringer& by, size_t peer_max, size_t subnet_max) const;
  void add(const Bringer& by);
  void remove(const Bringer& by);
  size_t of(const net::PeerId& peer) const;

 private:
  std::map<net::PeerId, size_t, PeerLess> peers_;
  std::map<uint64_t, size_t> subnets_;
};

class ValueStore {
 public:
  struct Value {
    Bytes key;
    Bytes value;
    int64_t received_wall_us = 0;
    uint64_t expires_us = 0;
    Bringer by;
  };

  ValueStore(const KadId& own, const StoreSettings& settings) : own_(own), settings_(settings) {}

  // The caller has validated it and compared it with what is there. Code::no_space for a quota.
  Status put(Value value);
  const Value* get(ByteView key, uint64_t now_us) const;
  void sweep(uint64_t now_us);
  size_t size() const { return values_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  using Values = std::map<KadId, Value>;  // by distance to the own place
  Values::iterator erase(Values::iterator at);
  const KadId own_;
  const StoreSettings settings_;
  Values values_;
  BringerCounts counts_;
  size_t bytes_ = 0;
};

class ProviderStore {
 public:
  struct Provider {
    net::PeerId peer;
    uint64_t subnet = 0;
    uint64_t expires_us = 0;
    uint64_t added_us = 0;
  };

  ProviderStore(const KadId& own, const StoreSettings& settings) : own_(own), settings_(settings) {}

  // Code::no_space for a quota. A key with too many providers loses the one that was there longest without coming again.
  Status add(ByteView key, const Bringer& provider, uint64_t now_us);
  // The latest first.
  std::vector<net::PeerId> get(ByteView key, size_t most, uint64_t now_us) const;
  // Whether it provides anything.
  bool knows(const net::PeerId& peer) const { return counts_.of(peer) > 0; }
  void sweep(uint64_t now_us);
  size_t size() const { return size_; }

 private:
  struct Key {
    Bytes key;
    std::vector<Provider> providers;  // the latest last
  };
  void erase(std::vector<Provider>& from, std::vector<Provider>::iterator at);
  bool make_room(const KadId& distance);

  const KadId own_;
  const StoreSettings settings_;
  std::map<KadId, Key> keys_;  // by distance to the own place
  BringerCounts counts_;
  size_t size_ = 0;
};

}  // namespace sereus::discovery
