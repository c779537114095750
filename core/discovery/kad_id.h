// Places in the key space of the DHT: sha256 of a key, and the distance between two (libp2p specs, kad-dht, "Distance").
#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "core/base/bytes.h"
#include "core/net/peer_id.h"
#include "core/ports/random.h"

namespace sereus::discovery {

// 256 bits, the most significant word first, so that comparing is comparing numbers.
struct KadId {
  std::array<uint64_t, 4> words{};

  // sha256(key).
  static KadId of(ByteView key);
  static KadId of(const net::PeerId& peer) { return of(peer.multihash()); }

  KadId distance(const KadId& other) const {
    KadId out;
    for (size_t i = 0; i < words.size(); ++i) out.words[i] = words[i] ^ other.words[i];
    return out;
  }
  // How many leading bits both have in common, 0 to 256.
  size_t shared_bits(const KadId& other) const;

  friend std::strong_ordering operator<=>(const KadId&, const KadId&) = default;
};

// The order of byte strings, for maps.
struct BytesLess {
  bool operator()(const Bytes& a, const Bytes& b) const { return compare(a, b) < 0; }
};

struct PeerLess {
  bool operator()(const net::PeerId& a, const net::PeerId& b) const {
    return compare(a.multihash(), b.multihash()) < 0;
  }
};

// A key in the form of a PeerID whose place shares exactly `shared` leading bits with `own`: what to ask for, so that a bucket fills.
// A preimage can only be searched for, so beyond about 11 bits it is the nearest that was found.
Bytes key_in_bucket(const KadId& own, size_t shared, Random& random);

}  // namespace sereus::discovery
