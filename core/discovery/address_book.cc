#include "core/discovery/address_book.h"

#include <algorithm>
#include <tuple>

#include "core/discovery/address_facts.h"
#include "core/net/peer_record.h"

namespace sereus::discovery {
namespace {

uint64_t later(uint64_t now_us, uint64_t life_us) { return life_us == kNever ? kNever : now_us + life_us; }

}  // namespace

uint64_t AddressBook::life_of(AddressSource source) const {
  switch (source) {
    case AddressSource::heard:
      return settings_.heard_life_us;
    case AddressSource::told:
      return settings_.told_life_us;
    case AddressSource::certified:
      return settings_.certified_life_us;
    case AddressSource::connected:
      return settings_.connected_life_us;
    case AddressSource::configured:
      return kNever;
  }
  return 0;
}

AddressSource AddressBook::trust(const Entry& entry) {
  auto most = AddressSource::heard;
  for (const KnownAddress& known : entry.addresses) most = std::max(most, known.source);
  if (!entry.record.empty()) most = std::max(most, AddressSource::certified);
  return most;
}

std::map<net::PeerId, AddressBook::Entry>::iterator AddressBook::erase(
    std::map<net::PeerId, Entry, PeerLess>::iterator at) {
  no_longer_hearsay(at->second);
  return entries_.erase(at);
}

void AddressBook::no_longer_hearsay(Entry& entry) {
  if (entry.heard_from.empty()) return;
  const auto counted = heard_.find(entry.heard_from);
  if (counted != heard_.end() && --counted->second == 0) heard_.erase(counted);
  entry.heard_from = {};
}

// Evicts a sixteenth at once, so that looking through all is paid for by many additions.
void AddressBook::make_room(AddressSource source, uint64_t now_us) {
  step(now_us);
  if (entries_.size() < settings_.peers_max) return;
  std::vector<std::tuple<AddressSource, uint64_t, net::PeerId>> order;
  order.reserve(entries_.size());
  for (const auto& [peer, entry] : entries_) {
    const AddressSource own = trust(entry);
    if (own > source || own == AddressSource::configured) continue;
    uint64_t seen_us = 0;
    for (const KnownAddress& known : entry.addresses) seen_us = std::max(seen_us, known.last_seen_us);
    order.emplace_back(own, seen_us, peer);
  }
  const size_t count = std::min(order.size(), settings_.peers_max / 16 + 1);
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end());
  for (size_t i = 0; i < count; ++i) erase(entries_.find(std::get<2>(order[i])));
}

AddressBook::Entry* AddressBook::entry_for(const net::PeerId& peer, AddressSource source, const net::PeerId& from,
                                           uint64_t now_us) {
  if (const auto found = entries_.find(peer); found != entries_.end()) {
    if (source > AddressSource::heard) no_longer_hearsay(found->second);
    return &found->second;
  }
  const bool hearsay = source == AddressSource::heard;
  if (hearsay) {
    const auto counted = heard_.find(from);
    if (counted != heard_.end() && counted->second >= kBookHeardSourceMax) return nullptr;
  }
  if (entries_.size() >= settings_.peers_max) make_room(source, now_us);
  if (entries_.size() >= settings_.peers_max) return nullptr;
  Entry& entry = entries_[peer];
  if (hearsay && !from.empty()) {
    entry.heard_from = from;
    ++heard_[from];
  }
  return &entry;
}

void AddressBook::put(Entry& entry, const Bytes& address, AddressSource source, uint64_t now_us) const {
  const uint64_t expires_us = later(now_us, life_of(source));
  for (KnownAddress& known : entry.addresses) {
    if (known.address != address) continue;
    known.last_seen_us = now_us;
    if (source >= known.source || known.expires_us <= now_us) known.source = source;
    known.expires_us = std::max(known.expires_us, expires_us);
    return;
  }
  if (entry.addresses.size() >= kBookAddressesMax) {
    const auto least =
        std::min_element(entry.addresses.begin(), entry.addresses.end(), [](const auto& a, const auto& b) {
          return std::tie(a.source, a.last_seen_us) < std::tie(b.source, b.last_seen_us);
        });
    if (least->source > source) return;
    entry.addresses.erase(least);
  }
  KnownAddress known;
  known.address = address;
  known.source = source;
  known.last_seen_us = now_us;
  known.expires_us = expires_us;
  entry.addresses.push_back(std::move(known));
}

void AddressBook::add(const net::PeerId& peer, const std::vector<Bytes>& addresses, AddressSource source,
                      const net::PeerId& from, uint64_t now_us) {
  if (addresses.empty() || peer.empty()) return;
  Entry* entry = entry_for(peer, source, from, now_us);
  if (entry == nullptr) return;
  const size_t count = std::min(addresses.size(), kBookAddressesMax);
  for (size_t i = 0; i < count; ++i) {
    if (addresses[i].size() <= net::kMultiaddrBytesMax) put(*entry, addresses[i], source, now_us);
  }
}

Status AddressBook::add_record(const net::PeerId& peer, ByteView envelope, uint64_t now_us) {
  if (envelope.size() > kKadRecordBytesMax) return fail(Code::too_large, "a signed peer record is too large");
  const auto known = entries_.find(peer);
  // Verified when it came first.
  if (known != entries_.end() && equal(known->second.record, envelope)) return renew(known->second, now_us);
  SEREUS_ASSIGN(const net::PeerRecord record, net::open_peer_record(envelope));
  if (record.peer != peer) return fail(Code::denied, "a signed record of another peer");
  return add_record(record, envelope, now_us, now_us);
}

// The record that is known was heard of again.
Status AddressBook::renew(Entry& entry, uint64_t seen_us) const {
  entry.record_expires_us = std::max(entry.record_expires_us, seen_us + settings_.certified_life_us);
  for (KnownAddress& address : entry.addresses) {
    if (address.source != AddressSource::certified) continue;
    address.last_seen_us = std::max(address.last_seen_us, seen_us);
    address.expires_us = std::max(address.expires_us, entry.record_expires_us);
  }
  return fail(Code::exists);
}

Status AddressBook::add_record(const net::PeerRecord& record, ByteView envelope, uint64_t seen_us, uint64_t now_us) {
  if (envelope.size() > kKadRecordBytesMax) return fail(Code::too_large, "a signed peer record is too large");
  const auto known = entries_.find(record.peer);
  if (known != entries_.end() && !known->second.record.empty() && known->second.record_expires_us > now_us) {
    if (record.seq == known->second.record_seq && equal(known->second.record, envelope)) {
      return renew(known->second, seen_us);
    }
    if (record.seq <= known->second.record_seq) return fail(Code::exists);
  }
  Entry* entry = entry_for(record.peer, AddressSource::certified, {}, now_us);
  if (entry == nullptr) return fail(Code::no_space, "the address book is full");
  std::erase_if(entry->addresses, [](const KnownAddress& a) { return a.source <= AddressSource::certified; });
  entry->record = to_bytes(envelope);
  entry->record_seq = record.seq;
  entry->record_expires_us = seen_us + settings_.certified_life_us;
  const size_t count = std::min(record.addresses.size(), kBookAddressesMax);
  for (size_t i = 0; i < count; ++i) {
    const Bytes bytes = record.addresses[i].without_peer_id().to_bytes();
    if (!bytes.empty()) put(*entry, bytes, AddressSource::certified, seen_us);
  }
  return {};
}

void AddressBook::dial_succeeded(const net::PeerId& peer, ByteView address, uint64_t now_us) {
  Entry* entry = entry_for(peer, AddressSource::connected, {}, now_us);
  if (entry == nullptr) return;
  const Bytes bytes = to_bytes(address);
  put(*entry, bytes, AddressSource::connected, now_us);
  for (KnownAddress& known : entry->addresses) {
    if (known.address == bytes) known.last_success_us = now_us;
  }
}

void AddressBook::dial_failed(const net::PeerId& peer, uint64_t now_us) {
  const auto found = entries_.find(peer);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  // One that worked before is no longer better than what the peer signed.
  for (KnownAddress& known : entry.addresses) {
    if (known.source == AddressSource::connected) {
      known.source = AddressSource::told;
      known.expires_us = std::min(known.expires_us, now_us + settings_.told_life_us);
    }
  }
  std::erase_if(entry.addresses, [](const KnownAddress& a) { return a.source == AddressSource::heard; });
  if (entry.addresses.empty() && entry.record.empty()) erase(found);
}

void AddressBook::forget(const net::PeerId& peer) {
  if (const auto found = entries_.find(peer); found != entries_.end()) erase(found);
}

std::vector<Bytes> AddressBook::addresses(const net::PeerId& peer, uint64_t now_us, size_t most) const {
  std::vector<Bytes> out;
  const auto found = entries_.find(peer);
  if (found == entries_.end()) return out;
  std::vector<const KnownAddress*> live;
  live.reserve(found->second.addresses.size());
  for (const KnownAddress& known : found->second.addresses) {
    if (known.expires_us > now_us) live.push_back(&known);
  }
  // The pointers, which are into one array, keep alike ones in their order.
  std::sort(live.begin(), live.end(), [](const KnownAddress* a, const KnownAddress* b) {
    return std::make_tuple(b->source, b->last_success_us, b->last_seen_us, a) <
           std::make_tuple(a->source, a->last_success_us, a->last_seen_us, b);
  });
  if (live.size() > most) live.resize(most);
  out.reserve(live.size());
  for (const KnownAddress* known : live) out.push_back(known->address);
  return out;
}

std::vector<std::string> AddressBook::best_addresses(const net::PeerId& peer, uint64_t now_us) const {
  std::vector<std::string> out;
  for (const Bytes& bytes : addresses(peer, now_us)) {
    if (const auto address = net::Multiaddr::from_bytes(bytes); address.ok()) out.push_back(address->to_string());
  }
  return out;
}

ByteView AddressBook::record(const net::PeerId& peer, uint64_t now_us) const {
  const auto found = entries_.find(peer);
  if (found == entries_.end() || found->second.record_expires_us <= now_us) return {};
  return found->second.record;
}

uint64_t AddressBook::record_age_us(const net::PeerId& peer, uint64_t now_us) const {
  const auto found = entries_.find(peer);
  if (found == entries_.end() || found->second.record_expires_us <= now_us) return kNever;
  return now_us + settings_.certified_life_us - found->second.record_expires_us;
}

uint64_t AddressBook::record_seq(const net::PeerId& peer, uint64_t now_us) const {
  return record(peer, now_us).empty() ? 0 : entries_.at(peer).record_seq;
}

std::optional<AddressSource> AddressBook::source(const net::PeerId& peer, uint64_t now_us) const {
  const auto found = entries_.find(peer);
  std::optional<AddressSource> most;
  if (found == entries_.end()) return most;
  for (const KnownAddress& known : found->second.addresses) {
    if (known.expires_us > now_us && (!most || known.source > *most)) most = known.source;
  }
  return most;
}

bool AddressBook::knows(const net::PeerId& peer, uint64_t now_us) const { return source(peer, now_us).has_value(); }

std::vector<net::PeerId> AddressBook::peers(uint64_t now_us, AddressSource least) const {
  std::vector<net::PeerId> out;
  for (const auto& [peer, entry] : entries_) {
    if (const auto most = source(peer, now_us); most && *most >= least) out.push_back(peer);
  }
  return out;
}

uint64_t AddressBook::step(uint64_t now_us) {
  if (now_us < sweep_at_us_) return sweep_at_us_;
  sweep_at_us_ = now_us + kBookSweepUs;
  for (auto at = entries_.begin(); at != entries_.end();) {
    Entry& entry = at->second;
    std::erase_if(entry.addresses, [now_us](const KnownAddress& a) { return a.expires_us <= now_us; });
    if (entry.record_expires_us <= now_us) entry.record.clear();
    at = entry.addresses.empty() && entry.record.empty() ? erase(at) : std::next(at);
  }
  return sweep_at_us_;
}

}  // namespace sereus::discovery
