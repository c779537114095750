// Whom this node knows in the key space of the DHT: buckets of k peers by how many leading bits they share with it (libp2p specs,
// kad-dht, "Kademlia routing table").
//
// A peer is in a bucket when it is proven: it answered a request, or it came over a connection that proved its id and said there
// that it is a server. Peers that others named are candidates: they wait beside the bucket, are asked when there are not enough
// proven ones, and are told to nobody. A full bucket keeps whom it has while they answer, so that who comes later in great numbers
// displaces no one; and peers of one subnet fill neither a bucket nor the table.
//
// No I/O and no clock; addresses are the address book's.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/discovery/kad_id.h"
#include "core/discovery/limits.h"
#include "core/net/peer_id.h"

namespace sereus::discovery {

struct TableSettings {
  size_t k = kKadK;
  size_t subnet_bucket_max = kKadSubnetBucketMax;
  size_t subnet_table_max = kKadSubnetTableMax;
  uint64_t stale_us = kKadStaleUs;
};

struct TablePeer {
  net::PeerId peer;
  KadId id;
  uint64_t seen_us = 0;  // last proof that it lives
  uint64_t added_us = 0;
  uint64_t subnet = 0;    // 0: does not count
  uint32_t failures = 0;  // since
  uint64_t rtt_us = 0;    // of its last answer; 0: not measured
  net::PeerId named_by;   // of candidates
};

class RoutingTable {
 public:
  RoutingTable(const net::PeerId& own, const TableSettings& settings) : own_(KadId::of(own)), settings_(settings) {}

  const KadId& own() const { return own_; }

  // The peer is proven to live now. `subnet` is that of the address by which it did; 0 for those that are exempt.
  // `rtt_us`: how long it took to answer; 0: not measured.
  enum class Proven : uint8_t {
    known,  // it was in its bucket
    added,
    candidate,  // its bucket is full of peers that live, or its subnet has enough in it
  };
  Proven proven(const net::PeerId& peer, uint64_t subnet, uint64_t rtt_us, uint64_t now_us);
  // Somebody named it. False when it is no candidate: it is there, there is no room, or `by` has named enough of that bucket.
  bool named(const net::PeerId& peer, const KadId& id, uint64_t subnet, const net::PeerId& by, uint64_t now_us);
  // A request to it failed. It leaves at the second failure in a row, or at once when a candidate waits or `certain`.
  void failed(const net::PeerId& peer, bool certain);
  void remove(const net::PeerId& peer);

  bool contains(const net::PeerId& peer) const { return find(peer) != nullptr; }
  // The proven peer; null when there is none. Until the next change.
  const TablePeer* find(const net::PeerId& peer) const;
  // The `count` closest, in order of distance. With candidates, which come after the proven ones of their own bucket only in
  // so far as it has fewer than k.
  std::vector<TablePeer> closest(const KadId& target, size_t count, bool with_candidates) const;
  // The least recently seen peer of the bucket that `peer` falls into, when it is stale and the bucket full: to be asked whether it
  // lives.
  std::optional<net::PeerId> doubtful(const net::PeerId& peer, uint64_t now_us) const;

  // Buckets in order of shared bits, without those that are empty.
  struct BucketInfo {
    size_t shared_bits = 0;
    size_t peers = 0;
    size_t fresh = 0;  // seen within stale_us
    size_t candidates = 0;
  };
  std::vector<BucketInfo> buckets(uint64_t now_us) const;
  // How many leading bits the closest k peers share with us at least: buckets beyond are complete, as far as we know.
  size_t depth() const;

  size_t size() const { return size_; }
  // Proven peers with candidates behind them.
  size_t candidates() const;

 private:
  struct Bucket {
    std::vector<TablePeer> peers;       // the least recently seen first
    std::vector<TablePeer> candidates;  // the latest named last
  };

  size_t index_of(const KadId& id) const { return own_.shared_bits(id); }
  bool subnet_has_room(const Bucket& bucket, uint64_t subnet) const;
  void insert(Bucket& bucket, TablePeer peer);
  void erase(Bucket& bucket, std::vector<TablePeer>::iterator at);

  const KadId own_;
  TableSettings settings_;
  std::map<size_t, Bucket> buckets_;
  std::map<uint64_t, size_t> subnets_;  // of proven peers
  size_t size_ = 0;
};

}  // namespace sereus::discovery
