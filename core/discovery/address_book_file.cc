// The address book's file (docs/formats/kad.md): an array of version, wall time in milliseconds, and the peers.
#include <algorithm>

#include "core/discovery/address_book.h"

namespace sereus::discovery {
namespace {

constexpr uint64_t kBookVersion = 1;
constexpr size_t kBookFields = 3;
constexpr size_t kPeerFields = 3;
constexpr size_t kAddressFields = 4;

uint64_t wall_ms_of(int64_t wall_us) { return static_cast<uint64_t>(std::max<int64_t>(wall_us, 0)) / kMicrosPerMilli; }

}  // namespace

Bytes AddressBook::save(const Times& now) const {
  std::vector<const std::pair<const net::PeerId, Entry>*> kept;
  for (const auto& entry : entries_) {
    if (trust(entry.second) > AddressSource::heard && knows(entry.first, now.mono_us)) kept.push_back(&entry);
  }
  Bytes out;
  CborWriter writer(out);
  writer.array(kBookFields);
  writer.uint(kBookVersion);
  writer.uint(wall_ms_of(now.wall_us));
  writer.array(kept.size());
  for (const auto* entry : kept) {
    writer.array(kPeerFields);
    writer.bytes(entry->first.multihash());
    writer.bytes(record(entry->first, now.mono_us));
    std::vector<const KnownAddress*> live;
    for (const KnownAddress& known : entry->second.addresses) {
      const bool told = known.source == AddressSource::told || known.source == AddressSource::connected;
      if (told && known.expires_us > now.mono_us) live.push_back(&known);
    }
    writer.array(live.size());
    for (const KnownAddress* known : live) {
      writer.array(kAddressFields);
      writer.bytes(known->address);
      writer.uint(static_cast<uint64_t>(known->source));
      writer.uint((now.mono_us - std::min(now.mono_us, known->last_seen_us)) / kMicrosPerSecond);
      writer.uint((known->expires_us - now.mono_us) / kMicrosPerSecond);
    }
  }
  writer.finish();
  return out;
}

Status AddressBook::load_peer(CborReader& reader, int64_t away_us, const Times& now) {
  uint64_t count = 0;
  ByteView multihash;
  ByteView envelope;
  const auto bad = [] { return fail(Code::malformed, "address book: a peer is not readable"); };
  if (!reader.get_array(count) || count != kPeerFields || !reader.get_bytes(multihash) || !reader.get_bytes(envelope) ||
      !reader.get_array(count) || count > kBookAddressesMax) {
    return bad();
  }
  const auto peer = net::PeerId::from_multihash(multihash);
  if (!peer) return bad();
  // One that has become invalid is no reason to lose the rest.
  if (!envelope.empty()) (void)add_record(*peer, envelope, now.mono_us).ok();
  for (; count > 0; --count) {
    uint64_t fields = 0;
    uint64_t source = 0;
    uint64_t age_s = 0;
    uint64_t left_s = 0;
    ByteView address;
    if (!reader.get_array(fields) || fields != kAddressFields || !reader.get_bytes(address) ||
        !reader.get_uint(source) || !reader.get_uint(age_s) || !reader.get_uint(left_s) ||
        !net::Multiaddr::from_bytes(address).ok()) {
      return bad();
    }
    const bool connected = source == static_cast<uint64_t>(AddressSource::connected);
    if (!connected && source != static_cast<uint64_t>(AddressSource::told)) return bad();
    // A day away is a day older. No file makes an address live longer than a fresh one.
    const auto away_s = static_cast<uint64_t>(away_us) / kMicrosPerSecond;
    if (left_s <= away_s) continue;
    const AddressSource as = connected ? AddressSource::connected : AddressSource::told;
    Entry* entry = entry_for(*peer, as, {}, now.mono_us);
    if (entry == nullptr) continue;
    put(*entry, sereus::to_bytes(address), as, now.mono_us);
    KnownAddress& known = entry->addresses.back();
    if (!equal(known.address, address)) continue;  // it was there, and fresher
    known.expires_us =
        std::min(known.expires_us, now.mono_us + std::min(left_s - away_s, uint64_t{1} << 31) * kMicrosPerSecond);
  }
  return {};
}

Status AddressBook::load(ByteView bytes, const Times& now) {
  if (bytes.size() > kBookFileMax) return fail(Code::too_large, "address book: the file is too large");
  CborReader reader(bytes);
  uint64_t count = 0;
  uint64_t version = 0;
  uint64_t saved_ms = 0;
  if (!reader.get_array(count) || !reader.get_uint(version)) return fail(Code::malformed, "address book: not one");
  if (version > kBookVersion) return fail(Code::too_new, "address book: written by a newer version");
  if (count != kBookFields || version != kBookVersion || !reader.get_uint(saved_ms) || !reader.get_array(count)) {
    return fail(Code::malformed, "address book: not one");
  }
  const uint64_t now_ms = wall_ms_of(now.wall_us);
  const auto away_us =
      static_cast<int64_t>(std::min(now_ms - std::min(now_ms, saved_ms), uint64_t{1} << 40) * kMicrosPerMilli);
  for (; count > 0; --count) SEREUS_TRY(load_peer(reader, away_us, now));
  return reader.expect_end();
}

}  // namespace sereus::discovery
