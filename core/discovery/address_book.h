// Where peers may be reached: addresses with their sources and ages, and the signed records of peers that have some. The DHT,
// peer exchange and local discovery write into it, the dialer reads.
//
// A peer's own signature is worth more than anybody's word: where there is a live signed record, its addresses come first, and what
// strangers say is last. Everything ends by itself, is bounded for each peer, for each source and in all, and is evicted from the
// least trusted on. Sans-I/O, on the node's thread.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/codec/cbor.h"
#include "core/discovery/kad_id.h"
#include "core/discovery/limits.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_id.h"
#include "core/net/peer_record.h"

namespace sereus::discovery {

// In ascending order of trust.
enum class AddressSource : uint8_t {
  heard = 0,       // somebody else said so
  told = 1,        // the peer itself, over a connection that proved its id, without a signature
  certified = 2,   // in a record that the peer signed
  connected = 3,   // we dialed it, and the peer was there
  configured = 4,  // by our user: bootstrap addresses
};

struct BookSettings {
  size_t peers_max = kBookPeersMax;
  uint64_t heard_life_us = kBookHeardLifeUs;
  uint64_t told_life_us = kBookToldLifeUs;
  uint64_t certified_life_us = kBookCertifiedLifeUs;
  uint64_t connected_life_us = kBookConnectedLifeUs;
};

struct KnownAddress {
  Bytes address;  // the binary form of a multiaddr, without /p2p of the peer
  AddressSource source = AddressSource::heard;
  uint64_t last_seen_us = 0;     // when somebody last said so
  uint64_t last_success_us = 0;  // when a dial last succeeded; 0: never
  uint64_t expires_us = 0;       // kNever for configured ones
};

class AddressBook {
 public:
  explicit AddressBook(const BookSettings& settings = {}) : settings_(settings) {}

  // `from`: who said it, for AddressSource::heard; else empty. Addresses beyond the bounds are dropped.
  void add(const net::PeerId& peer, const std::vector<Bytes>& addresses, AddressSource source, const net::PeerId& from,
           uint64_t now_us);
  // Verifies `envelope`. Its addresses replace those of an older record; an older one than is known changes nothing. Errors: those
  // of net::open_peer_record(); denied when it is another peer's; exists when one as new is known (its life is prolonged).
  Status add_record(const net::PeerId& peer, ByteView envelope, uint64_t now_us);
  // Likewise, of a record that was opened already, and was last believed at `seen_us`.
  Status add_record(const net::PeerRecord& record, ByteView envelope, uint64_t seen_us, uint64_t now_us);
  void dial_succeeded(const net::PeerId& peer, ByteView address, uint64_t now_us);
  // The peer could not be reached: what only strangers said of it is forgotten.
  void dial_failed(const net::PeerId& peer, uint64_t now_us);
  void forget(const net::PeerId& peer);

  // Live addresses, the most trusted first, then the latest. At most `most`.
  std::vector<Bytes> addresses(const net::PeerId& peer, uint64_t now_us, size_t most = kBookAddressesMax) const;
  // The same for a dial.
  std::vector<std::string> best_addresses(const net::PeerId& peer, uint64_t now_us) const;
  // The live signed record; empty when there is none.
  ByteView record(const net::PeerId& peer, uint64_t now_us) const;
  // Its seq; 0 without one.
  uint64_t record_seq(const net::PeerId& peer, uint64_t now_us) const;
  // Since it was last heard of; kNever without one.
  uint64_t record_age_us(const net::PeerId& peer, uint64_t now_us) const;
  bool knows(const net::PeerId& peer, uint64_t now_us) const;
  // The most trusted live source.
  std::optional<AddressSource> source(const net::PeerId& peer, uint64_t now_us) const;
  // Peers with live addresses of this trust or more, in the order of their ids.
  std::vector<net::PeerId> peers(uint64_t now_us, AddressSource least = AddressSource::heard) const;
  size_t size() const { return entries_.size(); }

  // Drops what has ended. Returns when it wants to be called again.
  uint64_t step(uint64_t now_us);

  // For a file that the node keeps: deterministic CBOR (docs/formats/kad.md). Ages are kept by the wall clock. What strangers said
  // is not saved. load() adds to what there is; Code::malformed, Code::too_large, Code::too_new. Records are verified again.
  Bytes save(const Times& now) const;
  Status load(ByteView bytes, const Times& now);

 private:
  struct Entry {
    std::vector<KnownAddress> addresses;
    Bytes record;
    uint64_t record_seq = 0;
    uint64_t record_expires_us = 0;
    net::PeerId heard_from;  // who named the peer first, while all is hearsay
  };

  uint64_t life_of(AddressSource source) const;
  Status renew(Entry& entry, uint64_t seen_us) const;
  // Null when there is no room for another peer of that trust.
  Entry* entry_for(const net::PeerId& peer, AddressSource source, const net::PeerId& from, uint64_t now_us);
  void make_room(AddressSource source, uint64_t now_us);
  void put(Entry& entry, const Bytes& address, AddressSource source, uint64_t now_us) const;
  void no_longer_hearsay(Entry& entry);
  std::map<net::PeerId, Entry, PeerLess>::iterator erase(std::map<net::PeerId, Entry, PeerLess>::iterator at);
  static AddressSource trust(const Entry& entry);
  Status load_peer(CborReader& reader, int64_t away_us, const Times& now);

  BookSettings settings_;
  std::map<net::PeerId, Entry, PeerLess> entries_;
  std::map<net::PeerId, size_t, PeerLess> heard_;  // by who named them
  uint64_t sweep_at_us_ = 0;
};

}  // namespace sereus::discovery
