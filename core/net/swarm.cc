#include "core/net/swarm.h"

#include <algorithm>
#include <utility>

#include "core/net/address_filter.h"

namespace sereus::net {
namespace {

constexpr size_t kRoundsPerStep = 4;  // of the host and what it told; more wait for the next step

template <typename T>
std::unique_ptr<T> or_default(std::unique_ptr<T> given) {
  return given ? std::move(given) : std::make_unique<T>();
}

}  // namespace

SwarmSettings SwarmSettings::metered() {
  SwarmSettings out;
  out.dial.parallel_peer = 1;
  out.dial.parallel = 8;
  out.connections.low_water = 24;
  out.connections.high_water = 32;
  return out;
}

Swarm::Swarm(SwarmParts parts, const crypto::KeyPair& device, Random& random, const SwarmSettings& settings)
    : limits_(or_default(std::move(parts.limits))),
      bandwidth_(or_default(std::move(parts.bandwidth))),
      host_(std::move(parts.host)),
      own_(host_->peer_id()),
      settings_(settings),
      services_(*host_, device, random, settings.services),
      dialer_(*host_, parts.resolver, random, settings.dial),
      manager_(settings.connections) {
  dialer_.set_policy(settings.policy);
}

Swarm::~Swarm() = default;

// ---- What the application asks for ------------------------------------------------------------------------------------

void Swarm::set_policy(TransportPolicy policy) {
  dialer_.set_policy(policy);
  settings_.policy = std::move(policy);
}

Status Swarm::listen(std::string_view multiaddr) {
  SEREUS_ASSIGN(const Multiaddr address, Multiaddr::parse(multiaddr));
  SEREUS_TRY(settings_.policy.check(address));
  SEREUS_TRY(host_->listen(multiaddr));
  addresses_at_us_ = 0;  // whoever is connected hears of it at the next step
  return {};
}

void Swarm::set_protocols(std::vector<std::string> protocols) {
  services_.set_protocols(std::move(protocols));
  announce_to_all();
}

Result<uint64_t> Swarm::dial(std::string_view multiaddr, const PeerId& peer) {
  SEREUS_ASSIGN(const Multiaddr address, Multiaddr::parse(multiaddr));
  const bool explained = !is_dnsaddr(address);
  if (explained) SEREUS_TRY(settings_.policy.check(address));
  if (closed_) return fail(Code::closed, "the host is closed");
  if (const auto named = address.peer_id(); named && *named != peer) {
    return fail(Code::invalid, "the address names another peer");
  }
  if (explained && !shape_of(address)->needs_lookup()) {
    SEREUS_ASSIGN(const uint64_t inner, host_->dial(multiaddr, peer));
    single_.emplace(inner, ++last_dial_);
    return last_dial_;
  }
  if (peer.empty()) return fail(Code::invalid, "no peer to dial");
  SEREUS_TRY(dialer_.dial(++last_dial_, peer, {address}, true));
  plain_.insert(last_dial_);
  return last_dial_;
}

Result<uint64_t> Swarm::dial(const PeerId& peer, const std::vector<std::string>& addresses) {
  if (closed_) return fail(Code::closed, "the host is closed");
  if (peer.empty()) return fail(Code::invalid, "no peer to dial");
  if (peer == own_) return fail(Code::invalid, "that is this host itself");
  const uint64_t dial = ++last_dial_;
  if (const auto connection = connection_with(peer)) {
    notices_.emplace_back(Reached{dial, *connection, peer, true});
    return dial;
  }
  std::vector<Multiaddr> parsed;
  for (const std::string& text : addresses) {
    if (parsed.size() == kDialAddressesMax) break;
    SEREUS_ASSIGN(Multiaddr address, Multiaddr::parse(text));
    parsed.push_back(std::move(address));
  }
  if (parsed.empty() && !dialer_.dialing(peer)) return fail(Code::invalid, "there is no address to dial");
  SEREUS_TRY(dialer_.dial(dial, peer, std::move(parsed), false));
  return dial;
}

Result<uint64_t> Swarm::resolve(std::string_view multiaddr) {
  if (closed_) return fail(Code::closed, "the host is closed");
  SEREUS_ASSIGN(const Multiaddr address, Multiaddr::parse(multiaddr));
  return dialer_.resolve(address, now_);
}

Result<uint64_t> Swarm::dial_punching(std::string_view multiaddr, const PeerId& peer, PunchRole role) {
  SEREUS_ASSIGN(const Multiaddr address, Multiaddr::parse(multiaddr));
  SEREUS_TRY(settings_.policy.check(address));
  if (closed_) return fail(Code::closed, "the host is closed");
  SEREUS_ASSIGN(const uint64_t inner, host_->dial_punching(multiaddr, peer, role));
  single_.emplace(inner, ++last_dial_);
  return last_dial_;
}

Status Swarm::send_probe(std::string_view multiaddr) {
  SEREUS_ASSIGN(const Multiaddr address, Multiaddr::parse(multiaddr));
  SEREUS_TRY(settings_.policy.check(address));
  return host_->send_probe(multiaddr);
}

void Swarm::set_external_addresses(std::string_view source, const std::vector<std::string>& addresses) {
  std::vector<std::string>& its = external_[std::string(source)];
  its.clear();
  for (const std::string& text : addresses) {
    const auto address = Multiaddr::parse(text);
    if (address.ok() && its.size() < kExternalAddressesMax) its.push_back(address->to_string());
  }
  std::vector<std::string> all;
  for (const auto& [name, of_source] : external_) {
    for (const std::string& each : of_source) {
      if (std::find(all.begin(), all.end(), each) == all.end()) all.push_back(each);
    }
  }
  services_.set_external_addresses(std::move(all));
  addresses_at_us_ = 0;  // whoever is connected hears of it at the next step
}

void Swarm::cancel_dial(uint64_t dial) {
  for (const auto& [inner, ours] : single_) {
    if (ours == dial) return host_->cancel_dial(inner);
  }
  dialer_.cancel(dial);
}

void Swarm::disconnect(ConnectionId connection, Code reason) { host_->disconnect(connection, reason); }

Result<StreamId> Swarm::open_stream(ConnectionId connection, std::string_view protocol) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return fail(Code::closed, "the connection is closed");
  const PeerId peer = found->second.peer;
  if (const auto reason = limits_->add_stream(peer, protocol, false, now_)) {
    return fail(Code::again, "a limit of streams is reached: " + std::string(refusal_name(*reason)));
  }
  Result<StreamId> stream = host_->open_stream(connection, protocol);
  if (stream.ok()) {
    add_stream(*stream, {connection, std::string(protocol), false, false, false}, now_);
  } else {
    limits_->remove_stream(peer, protocol, false);
  }
  return stream;
}

Result<size_t> Swarm::write(StreamId stream, ByteView data) {
  may_hold_ = true;
  return host_->write(stream, data);
}

Result<Host::ReadResult> Swarm::read(StreamId stream, ByteSpan out) {
  Result<ReadResult> result = host_->read(stream, out);
  if (!result.ok() || !result->finished) return result;
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return result;
  found->second.end_read = true;
  if (found->second.finished) forget_stream(stream, now_);
  return result;
}

void Swarm::finish(StreamId stream) {
  host_->finish(stream);
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  found->second.finished = true;
  if (found->second.end_read) forget_stream(stream, now_);
}

void Swarm::reset(StreamId stream) {
  host_->reset(stream);
  forget_stream(stream, now_);
}

std::optional<ConnectionId> Swarm::connection_with(const PeerId& peer) const {
  const auto found = by_peer_.find(peer);
  if (found == by_peer_.end()) return std::nullopt;
  // A direct one before those over relays; of them the newest: an older one may be of a process that is gone.
  const auto rank = [this](ConnectionId id) {
    const Connection& connection = connections_.at(id);
    return std::make_pair(!connection.relayed, connection.since_us);
  };
  std::optional<ConnectionId> best;
  for (const ConnectionId id : found->second) {
    if (duplicates_.contains(id)) continue;
    if (!best || rank(id) >= rank(*best)) best = id;
  }
  return best;
}

std::vector<ConnectionInfo> Swarm::connections() const {
  std::vector<ConnectionInfo> out;
  out.reserve(connections_.size());
  for (const auto& [id, c] : connections_) {
    out.push_back({id, c.peer, c.address, c.incoming, duplicates_.contains(id), c.streams, c.since_us, c.relayed});
  }
  return out;
}

// ---- What the host tells ----------------------------------------------------------------------------------------------

bool Swarm::pump(const Times& now) {
  bool happened = false;
  // Full queues leave the events with the transports, which stop reading then.
  while (events_.size() < kSwarmEventsMax && notices_.size() < kSwarmEventsMax) {
    std::optional<HostEvent> event = host_->next_event();
    if (!event) break;
    happened = true;
    may_hold_ = true;
    take(std::move(*event), now);
    while (auto told = services_.next_event()) {
      std::visit([this](auto& notice) { notices_.emplace_back(std::move(notice)); }, *told);
    }
  }
  return happened;
}

void Swarm::take(HostEvent event, const Times& now) {
  if (auto* connected = std::get_if<Connected>(&event)) return on_connected(std::move(*connected), now);
  if (auto* disconnected = std::get_if<Disconnected>(&event)) return on_disconnected(std::move(*disconnected), now);
  if (auto* failed = std::get_if<DialFailed>(&event)) return on_dial_failed(std::move(*failed), now);
  if (const auto* opened = std::get_if<StreamOpened>(&event);
      opened != nullptr && silent_.contains(opened->connection)) {
    return;  // ends with its connection
  }
  if (services_.on_event(event, now)) return;
  if (const auto* opened = std::get_if<StreamOpened>(&event)) {
    if (on_stream_opened(*opened, now)) events_.push_back(std::move(event));
    return;
  }
  StreamId id = 0;
  if (const auto* readable = std::get_if<StreamReadable>(&event)) id = readable->stream;
  if (const auto* writable = std::get_if<StreamWritable>(&event)) id = writable->stream;
  const auto* closed = std::get_if<StreamClosed>(&event);
  if (closed != nullptr) id = closed->stream;
  // Those of streams that the limits refused are for nobody.
  if (!streams_.contains(id)) return;
  if (closed != nullptr) forget_stream(id, now);
  events_.push_back(std::move(event));
}

void Swarm::on_connected(Connected event, const Times& now) {
  bool surplus = false;
  uint64_t dial = 0;
  const auto refused = limits_->add_connection(event.peer, event.address, event.incoming, now);
  const Error refusal =
      fail(Code::again, refused ? "a limit of connections is reached: " + std::string(refusal_name(*refused)) : "");
  if (const auto single = single_.find(event.dial); event.dial != 0 && single != single_.end()) {
    dial = single->second;
    single_.erase(single);
    if (refused) events_.emplace_back(DialFailed{dial, refusal});
  } else if (event.dial != 0 && refused) {
    dialer_.on_dial_failed({event.dial, refusal}, now);
  } else if (event.dial != 0) {
    const Dialer::Taken taken = dialer_.on_connected(event);
    surplus = taken.surplus;
    dial = taken.dial;
  }
  if (refused || surplus) {
    if (surplus) limits_->remove_connection(event.peer);
    silent_.insert(event.connection);
    host_->disconnect(event.connection, surplus ? Code::exists : Code::again);
    return;
  }
  event.dial = dial;
  const ConnectionId id = event.connection;
  const PeerId peer = event.peer;
  services_.on_event(event, now);
  connections_[id] = {peer, event.address, event.incoming, now.mono_us, 0, kNever, event.relayed};
  by_peer_[peer].insert(id);
  manager_.add(id, peer, event.incoming, now);
  const bool incoming = event.incoming;
  const bool relayed = event.relayed.has_value();
  events_.emplace_back(std::move(event));
  settle_duplicates(id, now);
  // A relayed one is no reason to stop looking for a direct way.
  if (incoming && !relayed && dialer_.dialing(peer)) {
    // Both dial at once. Theirs stays when they have the smaller name; ours gets a little time otherwise.
    if (peer < own_) {
      dialer_.on_reached(peer, id);
    } else {
      dialer_.hurry(peer, now.mono_us + kSimultaneousHurryUs);
    }
  }
  if (settings_.identify && !duplicates_.contains(id)) (void)services_.identify(id, now);  // its failure is told
}

void Swarm::on_disconnected(Disconnected event, const Times& now) {
  const ConnectionId id = event.connection;
  if (silent_.erase(id) > 0) return;
  services_.on_event(event, now);
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const PeerId peer = found->second.peer;
  std::vector<StreamId> left;  // those whose end is not told, since both sides had finished
  if (found->second.streams > 0) {
    for (const auto& [stream, of] : streams_) {
      if (of.connection == id) left.push_back(stream);
    }
  }
  for (const StreamId stream : left) forget_stream(stream, now);
  connections_.erase(found);
  duplicates_.erase(id);
  given_back_.erase(id);
  pushes_.erase(id);
  manager_.remove(id);
  limits_->remove_connection(peer);
  const auto its = by_peer_.find(peer);
  its->second.erase(id);
  if (its->second.empty()) by_peer_.erase(its);
  events_.emplace_back(std::move(event));
}

void Swarm::on_dial_failed(DialFailed event, const Times& now) {
  if (const auto single = single_.find(event.dial); single != single_.end()) {
    event.dial = single->second;
    single_.erase(single);
    events_.emplace_back(std::move(event));
    return;
  }
  dialer_.on_dial_failed(event, now);
}

bool Swarm::on_stream_opened(const StreamOpened& event, const Times& now) {
  if (!event.incoming) return streams_.contains(event.stream);
  const auto connection = connections_.find(event.connection);
  if (connection == connections_.end() || limits_->add_stream(connection->second.peer, event.protocol, true, now)) {
    host_->reset(event.stream);
    return false;
  }
  add_stream(event.stream, {event.connection, event.protocol, true, false, false}, now);
  return true;
}

void Swarm::add_stream(StreamId id, Stream stream, const Times& now) {
  ++connections_.at(stream.connection).streams;
  manager_.count_stream(stream.connection, 1, now);
  streams_.emplace(id, std::move(stream));
}

void Swarm::forget_stream(StreamId id, const Times& now) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const Stream& stream = found->second;
  Connection& connection = connections_.at(stream.connection);
  --connection.streams;
  manager_.count_stream(stream.connection, -1, now);
  limits_->remove_stream(connection.peer, stream.protocol, stream.incoming);
  streams_.erase(found);
}

// ---- Simultaneous opens -----------------------------------------------------------------------------------------------

// Two hosts that dial each other at once get two connections. Both keep the one dialed by the smaller name, and use the other
// no more; it goes when what was begun on it is over. A direct connection takes a relayed one's place likewise, whoever dialed; but
// not that of one which comes later: the peer would not have taken the long way if it still had the short one.
void Swarm::settle_duplicates(ConnectionId fresh, const Times& now) {
  const Connection& connection = connections_.at(fresh);
  const bool we_are_smaller = own_ < connection.peer;
  for (const ConnectionId id : by_peer_.at(connection.peer)) {
    const Connection& other = connections_.at(id);
    if (id == fresh || duplicates_.contains(id)) continue;
    const bool relayed = connection.relayed.has_value();
    const bool upgrade = !relayed && other.relayed.has_value();
    const bool crossed = other.incoming != connection.incoming || relayed != other.relayed.has_value();
    if (!upgrade && (!crossed || now.mono_us > other.since_us + kSimultaneousOpenUs)) continue;
    ConnectionId loser = connection.incoming == we_are_smaller ? fresh : id;
    if (relayed != other.relayed.has_value()) loser = relayed ? fresh : id;
    notices_.emplace_back(Superseded{loser, loser == fresh ? id : fresh, connection.peer});
    connections_.at(loser).duplicate_us = now.mono_us;
    duplicates_.insert(loser);
    if (loser == fresh) return;
  }
}

uint64_t Swarm::close_duplicates(const Times& now) {
  uint64_t next = kNever;
  std::vector<ConnectionId> due;
  for (const ConnectionId id : duplicates_) {
    const Connection& connection = connections_.at(id);
    if (connection.streams > 0) continue;  // what was begun on it comes to its end
    const uint64_t due_us = connection.duplicate_us + kDuplicateGraceUs;
    if (now.mono_us >= due_us) {
      due.push_back(id);
    } else {
      next = std::min(next, due_us);
    }
  }
  for (const ConnectionId id : due) {
    notices_.emplace_back(Trimmed{id, connections_.at(id).peer, TrimReason::duplicate});
    duplicates_.erase(id);  // closed once
    connections_.at(id).duplicate_us = kNever;
    host_->disconnect(id, Code::exists);
  }
  return next;
}

// ---- What is done by itself -------------------------------------------------------------------------------------------

void Swarm::take_outcomes() {
  while (auto outcome = dialer_.next_outcome()) {
    // An attempt that was hurried since the peer had come to us is answered with that.
    if (outcome->connection == 0) outcome->connection = connection_with(outcome->peer).value_or(0);
    const bool superseded = duplicates_.contains(outcome->connection);
    const ConnectionId stays =
        superseded ? connection_with(outcome->peer).value_or(outcome->connection) : outcome->connection;
    for (const uint64_t dial : outcome->dials) {
      const bool plain = plain_.erase(dial) > 0;
      const bool connected = outcome->made && dial == outcome->dials.front();  // which has been told
      if (plain && outcome->connection != 0) {
        if (!connected) events_.emplace_back(DialFailed{dial, fail(Code::exists, "another dial reached the peer")});
      } else if (plain) {
        events_.emplace_back(DialFailed{dial, outcome->error});
      } else if (outcome->connection != 0) {
        notices_.emplace_back(Reached{dial, stays, outcome->peer, !outcome->made || superseded});
      } else {
        notices_.emplace_back(Unreached{dial, outcome->peer, outcome->error, outcome->failures});
      }
    }
  }
}

uint64_t Swarm::trim(const Times& now) {
  for (Trimmed& trimmed : manager_.trim(now)) {
    host_->disconnect(trimmed.connection, Code::again);
    notices_.emplace_back(std::move(trimmed));
  }
  return manager_.next_us();
}

void Swarm::announce_to_all() {
  for (const auto& [id, connection] : connections_) pushes_.insert(id);
}

// Watches what we listen on, and tells whoever is connected what is new, some at a time.
uint64_t Swarm::announce(const Times& now) {
  if (now.mono_us >= addresses_at_us_) {
    addresses_at_us_ = now.mono_us + kAddressesIntervalUs;
    std::vector<std::string> addresses = services_.addresses();
    if (addresses != told_addresses_) {
      told_addresses_ = std::move(addresses);
      notices_.emplace_back(ListenChanged{told_addresses_});
      announce_to_all();
    }
  }
  for (size_t i = 0; i < kPushesPerStep && !pushes_.empty(); ++i) {
    const ConnectionId id = *pushes_.begin();
    pushes_.erase(pushes_.begin());
    if (!duplicates_.contains(id)) (void)services_.push(id, now);  // a peer that takes none refuses the stream
  }
  return pushes_.empty() ? kNever : now.mono_us;
}

uint64_t Swarm::maintain(const Times& now) {
  uint64_t next = std::min(services_.step(now), dialer_.step(now));
  while (auto told = services_.next_event()) {
    std::visit([this](auto& notice) { notices_.emplace_back(std::move(notice)); }, *told);
  }
  while (auto resolved = dialer_.next_resolved()) {
    notices_.emplace_back(Resolved{resolved->lookup, std::move(resolved->addresses)});
  }
  take_outcomes();
  next = std::min(next, close_duplicates(now));
  next = std::min(next, trim(now));
  if (!closed_) next = std::min(next, announce(now));
  next = std::min(next, measure(now));
  next = std::min(next, limits_->step(now));
  while (auto refused = limits_->next_refused()) notices_.emplace_back(std::move(*refused));
  return next;
}

uint64_t Swarm::step(const Times& now) {
  now_ = now;
  uint64_t next = kNever;
  for (size_t round = 0; round < kRoundsPerStep; ++round) {
    next = host_->step(now);
    if (host_->take_network_change() && !closed_) network_changed(now);
    const bool happened = pump(now);
    next = std::min(next, maintain(now));
    if (!happened && round > 0) return next;
  }
  return now.mono_us;
}

std::optional<HostEvent> Swarm::next_event() {
  if (events_.empty()) (void)pump(now_);
  if (events_.empty()) return std::nullopt;
  HostEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<SwarmNotice> Swarm::next_notice() {
  take_outcomes();
  if (notices_.empty()) return std::nullopt;
  SwarmNotice notice = std::move(notices_.front());
  notices_.pop_front();
  return notice;
}

void Swarm::network_changed(const Times& now) {
  now_ = now;
  dialer_.forget_failures();
  host_->network_changed(now);
  addresses_at_us_ = 0;
  announce_to_all();
  notices_.emplace_back(NetworkChanged{});
}

void Swarm::close(const Times& now) {
  now_ = now;
  closed_ = true;
  dialer_.close();
  take_outcomes();
  host_->close(now);
}

}  // namespace sereus::net
