#include "core/net/resource_limits.h"

#include <algorithm>
#include <utility>

#include "core/net/tcp_address.h"

namespace sereus::net {
namespace {

using Streams = ResourceSettings::Streams;
using StreamsByProtocol = std::map<std::string, Streams, std::less<>>;

size_t& of(Streams& streams, bool incoming) { return incoming ? streams.in : streams.out; }
size_t of(const Streams& streams, bool incoming) { return incoming ? streams.in : streams.out; }

size_t limit_of(const StreamsByProtocol& special, const Streams& common, std::string_view protocol, bool incoming) {
  const auto found = special.find(protocol);
  return of(found == special.end() ? common : found->second, incoming);
}

size_t count_of(const StreamsByProtocol& counts, std::string_view protocol, bool incoming) {
  const auto found = counts.find(protocol);
  return found == counts.end() ? 0 : of(found->second, incoming);
}

void add_to(StreamsByProtocol& counts, std::string_view protocol, bool incoming) {
  ++of(counts[std::string(protocol)], incoming);
}

void remove_from(StreamsByProtocol& counts, std::string_view protocol, bool incoming) {
  const auto found = counts.find(protocol);
  if (found == counts.end()) return;
  --of(found->second, incoming);
  if (found->second.in == 0 && found->second.out == 0) counts.erase(found);
}

std::string address_of(TransportKind transport, const IpEndpoint& remote) {
  switch (transport) {
    case TransportKind::quic:
      return Multiaddr::quic(remote).to_string();
    case TransportKind::tcp:
    case TransportKind::relay:
      break;
    case TransportKind::ws:
      return TcpAddress{remote, TcpWrap::ws, {}}.multiaddr().to_string();
    case TransportKind::wss:
      return TcpAddress{remote, TcpWrap::wss, {}}.multiaddr().to_string();
  }
  return Multiaddr::tcp(remote).to_string();
}

}  // namespace

std::string_view refusal_name(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::connections_total:
      return "connections_total";
    case RefusalReason::connections_peer:
      return "connections_peer";
    case RefusalReason::half_open:
      return "half_open";
    case RefusalReason::handshake_rate:
      return "handshake_rate";
    case RefusalReason::handshake_address:
      return "handshake_address";
    case RefusalReason::streams_total:
      return "streams_total";
    case RefusalReason::streams_peer:
      return "streams_peer";
    case RefusalReason::streams_protocol:
      return "streams_protocol";
    case RefusalReason::streams_protocol_peer:
      return "streams_protocol_peer";
    case RefusalReason::memory_total:
      return "memory_total";
    case RefusalReason::memory_peer:
      return "memory_peer";
  }
  return "unknown";
}

void ResourceLimits::set_settings(ResourceSettings settings) {
  settings_ = std::move(settings);
  // The buckets of the rates are made anew when they are next asked.
  handshakes_.reset();
  sources_.clear();
  source_order_.clear();
}

// ---- Handshakes -------------------------------------------------------------------------------------------------------

bool ResourceLimits::take_source(const IpEndpoint& endpoint, const Times& now) {
  // Many clients of one machine are ordinary, and who is on it has other means to harm it.
  if (is_loopback(endpoint)) return true;
  const IpEndpoint remote = unmapped(endpoint);
  // Whoever has one IPv6 address has its whole /64.
  Source source{};
  source[0] = remote.is_v6 ? 6 : 4;
  std::copy_n(remote.address.begin(), remote.is_v6 ? 8 : 4, source.begin() + 1);
  auto found = sources_.find(source);
  if (found == sources_.end()) {
    if (sources_.size() >= kHandshakeSourcesMax) {
      sources_.erase(source_order_.front());
      source_order_.pop_front();
    }
    const Allowance full(settings_.handshakes_address_burst, settings_.handshakes_address_per_second, now.mono_us);
    found = sources_.emplace(source, full).first;
    source_order_.push_back(source);
  }
  return found->second.take(now.mono_us);
}

bool ResourceLimits::admit(TransportKind transport, const IpEndpoint& remote, const Times& now) {
  Refused refused;
  // The source first: one that asks too often takes nothing from the others.
  if (!take_source(remote, now)) {
    refused.reason = RefusalReason::handshake_address;
  } else if (total_.connections >= settings_.connections) {
    refused.reason = RefusalReason::connections_total;
  } else if (total_.memory + kConnectionMemory > settings_.memory) {
    refused.reason = RefusalReason::memory_total;
  } else {
    if (!handshakes_) {
      handshakes_.emplace(settings_.handshakes_burst, settings_.handshakes_per_second, now.mono_us);
    }
    if (handshakes_->take(now.mono_us)) return true;
    refused.reason = RefusalReason::handshake_rate;
  }
  refused.address = address_of(transport, remote);
  refuse(std::move(refused), now);
  return false;
}

void ResourceLimits::on_half_open_refused(TransportKind transport, const IpEndpoint& remote, const Times& now) {
  Refused refused;
  refused.reason = RefusalReason::half_open;
  refused.address = address_of(transport, remote);
  refuse(std::move(refused), now);
}

// ---- Connections and streams ------------------------------------------------------------------------------------------

std::optional<RefusalReason> ResourceLimits::add_connection(const PeerId& peer, std::string_view address, bool incoming,
                                                            const Times& now) {
  const Use of_peer = use(peer);
  std::optional<RefusalReason> reason;
  if (total_.connections >= settings_.connections) {
    reason = RefusalReason::connections_total;
  } else if (of_peer.connections >= settings_.connections_peer) {
    reason = RefusalReason::connections_peer;
  } else if (total_.memory + kConnectionMemory > settings_.memory) {
    reason = RefusalReason::memory_total;
  } else if (of_peer.memory + kConnectionMemory > settings_.memory_peer) {
    reason = RefusalReason::memory_peer;
  }
  if (reason) return refuse({*reason, incoming, peer, std::string(address), {}, 1}, now);
  for (Use* use : {&total_, &peers_[peer].use}) {
    ++use->connections;
    use->memory += kConnectionMemory;
  }
  return std::nullopt;
}

void ResourceLimits::remove_connection(const PeerId& peer) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  for (Use* use : {&total_, &found->second.use}) {
    --use->connections;
    use->memory -= kConnectionMemory;
  }
  forget_if_gone(found);
}

void ResourceLimits::forget_if_gone(Peers::iterator peer) {
  const Use& left = peer->second.use;
  if (left.connections > 0 || left.streams_in > 0 || left.streams_out > 0) return;
  total_.memory -= peer->second.buffered;
  peers_.erase(peer);
}

std::optional<RefusalReason> ResourceLimits::stream_refusal(const Peer* peer, std::string_view protocol,
                                                            bool incoming) const {
  const auto streams = [incoming](const Use& use) { return incoming ? use.streams_in : use.streams_out; };
  if (streams(total_) >= of(settings_.streams, incoming)) return RefusalReason::streams_total;
  if (count_of(protocols_, protocol, incoming) >=
      limit_of(settings_.protocol, settings_.streams_protocol, protocol, incoming)) {
    return RefusalReason::streams_protocol;
  }
  if (total_.memory + kStreamMemory > settings_.memory) return RefusalReason::memory_total;
  if (peer == nullptr) return std::nullopt;
  if (streams(peer->use) >= of(settings_.streams_peer, incoming)) return RefusalReason::streams_peer;
  if (count_of(peer->protocols, protocol, incoming) >=
      limit_of(settings_.protocol_peer, settings_.streams_protocol_peer, protocol, incoming)) {
    return RefusalReason::streams_protocol_peer;
  }
  if (peer->use.memory + kStreamMemory > settings_.memory_peer) return RefusalReason::memory_peer;
  return std::nullopt;
}

std::optional<RefusalReason> ResourceLimits::add_stream(const PeerId& peer, std::string_view protocol, bool incoming,
                                                        const Times& now) {
  const auto found = peers_.find(peer);
  if (const auto reason = stream_refusal(found == peers_.end() ? nullptr : &found->second, protocol, incoming)) {
    return refuse({*reason, incoming, peer, {}, std::string(protocol), 1}, now);
  }
  Peer& entry = peers_[peer];
  for (Use* use : {&total_, &entry.use}) {
    ++(incoming ? use->streams_in : use->streams_out);
    use->memory += kStreamMemory;
  }
  add_to(entry.protocols, protocol, incoming);
  add_to(protocols_, protocol, incoming);
  return std::nullopt;
}

void ResourceLimits::remove_stream(const PeerId& peer, std::string_view protocol, bool incoming) {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || count_of(found->second.protocols, protocol, incoming) == 0) return;
  for (Use* use : {&total_, &found->second.use}) {
    --(incoming ? use->streams_in : use->streams_out);
    use->memory -= kStreamMemory;
  }
  remove_from(found->second.protocols, protocol, incoming);
  remove_from(protocols_, protocol, incoming);
  forget_if_gone(found);
}

ResourceLimits::Use ResourceLimits::use(const PeerId& peer) const {
  const auto found = peers_.find(peer);
  return found == peers_.end() ? Use() : found->second.use;
}

// ---- Memory in buffers ------------------------------------------------------------------------------------------------

void ResourceLimits::set_buffered(const PeerId& peer, uint64_t bytes) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  Peer& entry = found->second;
  for (Use* use : {&total_, &entry.use}) use->memory = use->memory - entry.buffered + bytes;
  entry.buffered = bytes;
}

std::optional<ResourceLimits::Excess> ResourceLimits::excess() const {
  const Peers::value_type* most = nullptr;
  for (const auto& item : peers_) {
    const Peer& peer = item.second;
    if (peer.buffered == 0) continue;
    if (peer.use.memory > settings_.memory_peer) return Excess{item.first, RefusalReason::memory_peer};
    if (most == nullptr || peer.buffered > most->second.buffered) most = &item;
  }
  if (most == nullptr || total_.memory <= settings_.memory) return std::nullopt;
  return Excess{most->first, RefusalReason::memory_total};
}

void ResourceLimits::on_ended_for(const Excess& excess, bool incoming, std::string_view address,
                                  std::string_view protocol, const Times& now) {
  refuse({excess.reason, incoming, excess.peer, std::string(address), std::string(protocol), 1}, now);
}

bool ResourceLimits::memory_is_tight() const {
  if (total_.memory > settings_.memory / 2) return true;
  return std::any_of(peers_.begin(), peers_.end(), [this](const Peers::value_type& item) {
    return item.second.buffered > 0 && item.second.use.memory > settings_.memory_peer / 2;
  });
}

// ---- Telling ----------------------------------------------------------------------------------------------------------

RefusalReason ResourceLimits::refuse(Refused refused, const Times& now) {
  const RefusalReason reason = refused.reason;
  const auto [at, first] = gathered_.try_emplace({reason, refused.incoming});
  Gathered& gathered = at->second;
  if (first) gathered.event.count = 0;
  if (gathered.event.count > 0) {  // those between two tellings are one
    ++gathered.event.count;
    return reason;
  }
  if (first || now.mono_us >= gathered.told_us + kRefusedIntervalUs) {
    gathered.told_us = now.mono_us;
    events_.push_back(std::move(refused));
  } else {
    gathered.event = std::move(refused);
  }
  return reason;
}

uint64_t ResourceLimits::step(const Times& now) {
  uint64_t next = kNever;
  for (auto& [key, gathered] : gathered_) {
    if (gathered.event.count == 0) continue;
    const uint64_t due_us = gathered.told_us + kRefusedIntervalUs;
    if (now.mono_us < due_us) {
      next = std::min(next, due_us);
      continue;
    }
    gathered.told_us = now.mono_us;
    events_.push_back(std::exchange(gathered.event, Refused{{}, true, {}, {}, {}, 0}));
  }
  return next;
}

std::optional<Refused> ResourceLimits::next_refused() {
  if (events_.empty()) return std::nullopt;
  Refused event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace sereus::net
