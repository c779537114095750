#include "sim/nat.h"

#include <utility>

namespace sereus::sim {
namespace {

constexpr uint16_t kPortFirst = 20'000;
constexpr uint64_t kPorts = 40'000;
constexpr uint64_t kMinuteUs = 60'000'000;

NatKind home_kind(NatKind kind) { return kind == NatKind::carrier ? NatKind::port_restricted : kind; }

}  // namespace

std::string_view name_of(NatKind kind) {
  switch (kind) {
    case NatKind::full_cone:
      return "full_cone";
    case NatKind::address_restricted:
      return "address_restricted";
    case NatKind::port_restricted:
      return "port_restricted";
    case NatKind::symmetric:
      return "symmetric";
    case NatKind::carrier:
      return "carrier";
  }
  return "";
}

NatSettings NatSettings::draw(SimRandom& random, NatKind kind) {
  NatSettings out;
  out.kind = kind;
  if (random.chance(50)) out.udp_expiry_us = random.between(15'000'000, 5 * kMinuteUs);
  if (random.chance(30)) out.tcp_expiry_us = random.between(2 * kMinuteUs, 60 * kMinuteUs);
  out.hairpin = random.chance(40);
  out.forwards = random.chance(20);
  out.resets_tcp = random.chance(40);
  return out;
}

// ---- A table --------------------------------------------------------------------------------------------------------

// What of a remote address decides whether its packets are let in.
IpEndpoint NatTable::filter_of(const IpEndpoint& remote) const {
  if (kind_ == NatKind::full_cone) return {};
  IpEndpoint out = remote;
  if (kind_ == NatKind::address_restricted) out.port = 0;
  return out;
}

// Bounded as a box's memory is: who is silent goes first, and then all.
void NatTable::make_room(uint64_t now_us) {
  if (mappings_.size() < kMappingsMax && filters_.size() < kFiltersMax) return;
  std::erase_if(filters_, [&](const auto& item) { return !alive(item.second, now_us); });
  std::erase_if(mappings_, [&](const auto& item) { return !alive(item.second.used_us, now_us); });
  if (mappings_.size() >= kMappingsMax || filters_.size() >= kFiltersMax) {
    filters_.clear();
    mappings_.clear();
  }
  std::erase_if(ports_, [&](const auto& item) { return !mappings_.contains({item.first.first.is_v6, item.second}); });
}

uint16_t NatTable::leave(const IpEndpoint& inside, const IpEndpoint& remote, uint64_t now_us) {
  if (const auto open = forwarded_.find(port_of(inside)); open != forwarded_.end() && open->second == inside) {
    return inside.port;
  }
  make_room(now_us);
  const bool by_remote = kind_ == NatKind::symmetric;
  const auto [at, added] = ports_.try_emplace({inside, by_remote ? remote : IpEndpoint{}});
  auto mapping = mappings_.find({inside.is_v6, at->second});
  if (added || mapping == mappings_.end() || !alive(mapping->second.used_us, now_us)) {
    if (!added && mapping != mappings_.end()) mappings_.erase(mapping);
    Port port;
    do {
      port = {inside.is_v6, static_cast<uint16_t>(kPortFirst + random_.below(kPorts))};
    } while (mappings_.contains(port) || forwarded_.contains(port));
    // What an earlier mapping of the port let in.
    auto old = filters_.lower_bound({port, IpEndpoint{}});
    while (old != filters_.end() && old->first.first == port) old = filters_.erase(old);
    at->second = port.second;
    mapping = mappings_.emplace(port, Mapping{inside, at->first.second, now_us}).first;
  }
  mapping->second.used_us = now_us;
  filters_[{mapping->first, filter_of(remote)}] = now_us;
  return at->second;
}

std::optional<IpEndpoint> NatTable::enter(uint16_t port, bool is_v6, const IpEndpoint& remote, uint64_t now_us) const {
  if (const auto open = forwarded_.find({is_v6, port}); open != forwarded_.end()) return open->second;
  const auto mapping = mappings_.find({is_v6, port});
  if (mapping == mappings_.end() || !alive(mapping->second.used_us, now_us)) return std::nullopt;
  const auto filter = filters_.find({mapping->first, filter_of(remote)});
  if (filter == filters_.end() || !alive(filter->second, now_us)) return std::nullopt;
  return mapping->second.inside;
}

std::optional<IpEndpoint> NatTable::owner(uint16_t port, bool is_v6) const {
  if (const auto open = forwarded_.find({is_v6, port}); open != forwarded_.end()) return open->second;
  const auto mapping = mappings_.find({is_v6, port});
  return mapping == mappings_.end() ? std::nullopt : std::optional(mapping->second.inside);
}

void NatTable::forget() {
  ports_.clear();
  mappings_.clear();
  filters_.clear();
}

// ---- A box ----------------------------------------------------------------------------------------------------------

NatBox::NatBox(size_t number, const NatSettings& settings, SimRandom random)
    : number_(number),
      settings_(settings),
      home_(home_kind(settings.kind), settings.udp_expiry_us, random.fork("home")) {
  if (settings.kind != NatKind::carrier) return;
  // Carriers have little room for each customer, and forget sooner or later than the box at home.
  SimRandom outer = random.fork("carrier");
  const uint64_t expiry_us = outer.between(settings.udp_expiry_us / 2, settings.udp_expiry_us * 2);
  carrier_.emplace(NatKind::symmetric, expiry_us, std::move(outer));
}

IpEndpoint NatBox::outside(bool is_v6, uint16_t port) const {
  const auto number = static_cast<uint8_t>(number_ + 1);
  const auto n = static_cast<uint8_t>(moves_ + 1);
  if (!is_v6) return {false, {10, 2, number, n}, port};
  IpEndpoint out{true, {0xfd, 2}, port};
  out.address[13] = number;
  out.address[15] = n;
  return out;
}

// The address that the carrier gave the box at home (RFC 6598).
IpEndpoint NatBox::between(bool is_v6, uint16_t port) const {
  const auto number = static_cast<uint8_t>(number_ + 1);
  if (!is_v6) return {false, {100, 64, number, 1}, port};
  IpEndpoint out{true, {0xfd, 100}, port};
  out.address[15] = number;
  return out;
}

IpEndpoint NatBox::leave(const IpEndpoint& inside, const IpEndpoint& remote, uint64_t now_us) {
  uint16_t port = home_.leave(inside, remote, now_us);
  if (carrier_) port = carrier_->leave(between(inside.is_v6, port), remote, now_us);
  return outside(inside.is_v6, port);
}

std::optional<IpEndpoint> NatBox::enter(const IpEndpoint& outside, const IpEndpoint& remote, uint64_t now_us) const {
  if (!is_outside(outside)) return std::nullopt;
  uint16_t port = outside.port;
  if (carrier_) {
    const auto middle = carrier_->enter(port, outside.is_v6, remote, now_us);
    if (!middle) return std::nullopt;
    port = middle->port;
  }
  return home_.enter(port, outside.is_v6, remote, now_us);
}

std::optional<IpEndpoint> NatBox::owner(const IpEndpoint& outside) const {
  if (!is_outside(outside)) return std::nullopt;
  uint16_t port = outside.port;
  if (carrier_) {
    const auto middle = carrier_->owner(port, outside.is_v6);
    if (!middle) return std::nullopt;
    port = middle->port;
  }
  return home_.owner(port, outside.is_v6);
}

void NatBox::rebind(bool moved) {
  home_.forget();
  if (carrier_) carrier_->forget();
  if (moved) moves_ = static_cast<uint8_t>((moves_ + 1) % 250);
  ++generation_;
}

}  // namespace sereus::sim
