#include "core/discovery/routing_table.h"

#include <algorithm>

namespace sereus::discovery {
namespace {

template <typename Peers>
auto find_in(Peers& peers, const net::PeerId& peer) {
  return std::find_if(peers.begin(), peers.end(), [&peer](const TablePeer& p) { return p.peer == peer; });
}

}  // namespace

bool RoutingTable::subnet_has_room(const Bucket& bucket, uint64_t subnet) const {
  if (subnet == 0) return true;
  const auto in_table = subnets_.find(subnet);
  if (in_table != subnets_.end() && in_table->second >= settings_.subnet_table_max) return false;
  const auto in_bucket = std::count_if(bucket.peers.begin(), bucket.peers.end(),
                                       [subnet](const TablePeer& p) { return p.subnet == subnet; });
  return static_cast<size_t>(in_bucket) < settings_.subnet_bucket_max;
}

void RoutingTable::insert(Bucket& bucket, TablePeer peer) {
  if (peer.subnet != 0) ++subnets_[peer.subnet];
  ++size_;
  bucket.peers.push_back(std::move(peer));
}

void RoutingTable::erase(Bucket& bucket, std::vector<TablePeer>::iterator at) {
  if (at->subnet != 0) {
    const auto counted = subnets_.find(at->subnet);
    if (counted != subnets_.end() && --counted->second == 0) subnets_.erase(counted);
  }
  --size_;
  bucket.peers.erase(at);
}

RoutingTable::Proven RoutingTable::proven(const net::PeerId& peer, uint64_t subnet, uint64_t rtt_us, uint64_t now_us) {
  const KadId id = KadId::of(peer);
  if (id == own_) return Proven::known;
  Bucket& bucket = buckets_[index_of(id)];
  const auto at = find_in(bucket.peers, peer);
  if (at != bucket.peers.end()) {
    at->seen_us = now_us;
    at->failures = 0;
    if (rtt_us > 0) at->rtt_us = rtt_us;
    std::rotate(at, at + 1, bucket.peers.end());
    return Proven::known;
  }
  TablePeer fresh{peer, id, now_us, now_us, subnet, 0, rtt_us, {}};
  const auto candidate = find_in(bucket.candidates, peer);
  if (candidate != bucket.candidates.end()) bucket.candidates.erase(candidate);
  if (subnet_has_room(bucket, subnet)) {
    if (bucket.peers.size() >= settings_.k) {
      // Who failed and has not been heard of since makes room.
      const auto failing =
          std::find_if(bucket.peers.begin(), bucket.peers.end(), [](const TablePeer& p) { return p.failures > 0; });
      if (failing != bucket.peers.end()) erase(bucket, failing);
    }
    if (bucket.peers.size() < settings_.k) {
      insert(bucket, std::move(fresh));
      return Proven::added;
    }
  }
  if (bucket.candidates.size() >= settings_.k) bucket.candidates.erase(bucket.candidates.begin());
  bucket.candidates.push_back(std::move(fresh));
  return Proven::candidate;
}

bool RoutingTable::named(const net::PeerId& peer, const KadId& id, uint64_t subnet, const net::PeerId& by,
                         uint64_t now_us) {
  if (id == own_) return false;
  Bucket& bucket = buckets_[index_of(id)];
  if (bucket.peers.size() + bucket.candidates.size() >= settings_.k) return false;
  if (find_in(bucket.peers, peer) != bucket.peers.end()) return false;
  if (find_in(bucket.candidates, peer) != bucket.candidates.end()) return false;
  if (!subnet_has_room(bucket, subnet)) return false;
  size_t by_same = 0;
  size_t in_subnet = 0;
  for (const TablePeer& candidate : bucket.candidates) {
    by_same += candidate.named_by == by ? 1 : 0;
    in_subnet += subnet != 0 && candidate.subnet == subnet ? 1 : 0;
  }
  if (by_same >= kKadCandidatesSourceMax || in_subnet >= settings_.subnet_bucket_max) return false;
  bucket.candidates.push_back({peer, id, 0, now_us, subnet, 0, 0, by});
  return true;
}

void RoutingTable::failed(const net::PeerId& peer, bool certain) {
  const auto found = buckets_.find(index_of(KadId::of(peer)));
  if (found == buckets_.end()) return;
  Bucket& bucket = found->second;
  const auto candidate = find_in(bucket.candidates, peer);
  if (candidate != bucket.candidates.end()) bucket.candidates.erase(candidate);
  const auto at = find_in(bucket.peers, peer);
  if (at == bucket.peers.end()) return;
  ++at->failures;
  const bool waits =
      std::any_of(bucket.candidates.begin(), bucket.candidates.end(), [](const TablePeer& p) { return p.seen_us > 0; });
  if (!certain && !waits && at->failures < 2) return;
  erase(bucket, at);
  if (!waits) return;
  // The latest proven candidate moves up.
  for (auto next = bucket.candidates.end(); next != bucket.candidates.begin();) {
    --next;
    if (next->seen_us == 0 || !subnet_has_room(bucket, next->subnet)) continue;
    TablePeer moved = std::move(*next);
    bucket.candidates.erase(next);
    insert(bucket, std::move(moved));
    return;
  }
}

void RoutingTable::remove(const net::PeerId& peer) {
  const auto found = buckets_.find(index_of(KadId::of(peer)));
  if (found == buckets_.end()) return;
  Bucket& bucket = found->second;
  std::erase_if(bucket.candidates, [&peer](const TablePeer& p) { return p.peer == peer; });
  const auto at = find_in(bucket.peers, peer);
  if (at != bucket.peers.end()) erase(bucket, at);
}

const TablePeer* RoutingTable::find(const net::PeerId& peer) const {
  const auto found = buckets_.find(index_of(KadId::of(peer)));
  if (found == buckets_.end()) return nullptr;
  const auto at = find_in(found->second.peers, peer);
  return at == found->second.peers.end() ? nullptr : &*at;
}

std::vector<TablePeer> RoutingTable::closest(const KadId& target, size_t count, bool with_candidates) const {
  std::vector<std::pair<KadId, const TablePeer*>> order;
  order.reserve(size_ + (with_candidates ? settings_.k : 0));
  for (const auto& [index, bucket] : buckets_) {
    for (const TablePeer& peer : bucket.peers) order.emplace_back(peer.id.distance(target), &peer);
    if (!with_candidates) continue;
    size_t room = settings_.k - std::min(settings_.k, bucket.peers.size());
    for (auto at = bucket.candidates.rbegin(); at != bucket.candidates.rend() && room > 0; ++at, --room) {
      order.emplace_back(at->id.distance(target), &*at);
    }
  }
  count = std::min(count, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                    [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<TablePeer> out;
  out.reserve(count);
  for (size_t i = 0; i < count; ++i) out.push_back(*order[i].second);
  return out;
}

std::optional<net::PeerId> RoutingTable::doubtful(const net::PeerId& peer, uint64_t now_us) const {
  const auto found = buckets_.find(index_of(KadId::of(peer)));
  if (found == buckets_.end() || found->second.peers.size() < settings_.k) return std::nullopt;
  const TablePeer& oldest = found->second.peers.front();
  if (oldest.seen_us + settings_.stale_us > now_us) return std::nullopt;
  return oldest.peer;
}

std::vector<RoutingTable::BucketInfo> RoutingTable::buckets(uint64_t now_us) const {
  std::vector<BucketInfo> out;
  for (const auto& [index, bucket] : buckets_) {
    if (bucket.peers.empty() && bucket.candidates.empty()) continue;
    BucketInfo info{index, bucket.peers.size(), 0, bucket.candidates.size()};
    for (const TablePeer& peer : bucket.peers) info.fresh += peer.seen_us + settings_.stale_us > now_us ? 1 : 0;
    out.push_back(info);
  }
  return out;
}

size_t RoutingTable::depth() const {
  size_t counted = 0;
  for (auto at = buckets_.rbegin(); at != buckets_.rend(); ++at) {
    counted += at->second.peers.size();
    if (counted >= settings_.k) return at->first;
  }
  return 0;
}

size_t RoutingTable::candidates() const {
  size_t out = 0;
  for (const auto& [index, bucket] : buckets_) out += bucket.candidates.size();
  return out;
}

}  // namespace sereus::discovery
