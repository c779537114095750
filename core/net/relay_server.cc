#include "core/net/relay_server.h"

#include <algorithm>
#include <utility>

#include "core/net/dial_ranking.h"

namespace sereus::net {
namespace {

constexpr std::string_view kProtectTag = "relay";  // peers with a reservation are not trimmed
constexpr size_t kUnsentMax = 2 * kCircuitMessageMax;

std::optional<IpEndpoint> endpoint_of(const std::string& address) {
  const auto parsed = Multiaddr::parse(address);
  const auto shape = parsed.ok() ? shape_of(*parsed) : std::nullopt;
  return shape ? shape->ip : std::nullopt;
}

CircuitStatus status_of(RelayRefusal reason) {
  switch (reason) {
    case RelayRefusal::relayed:
    case RelayRefusal::blocked:
    case RelayRefusal::acl:
    case RelayRefusal::own:
      return CircuitStatus::permission_denied;
    case RelayRefusal::reservations_total:
    case RelayRefusal::reservations_source:
    case RelayRefusal::reservations_subnet:
    case RelayRefusal::reservations_rate:
      return CircuitStatus::reservation_refused;
    case RelayRefusal::no_reservation:
      return CircuitStatus::no_reservation;
    case RelayRefusal::circuits_total:
    case RelayRefusal::circuits_source:
    case RelayRefusal::circuits_target:
    case RelayRefusal::quota_peer:
    case RelayRefusal::quota_subnet:
    case RelayRefusal::requests:
      return CircuitStatus::resource_limit_exceeded;
    case RelayRefusal::target_refused:
    case RelayRefusal::target_silent:
      return CircuitStatus::connection_failed;
    case RelayRefusal::malformed:
      return CircuitStatus::malformed_message;
    case RelayRefusal::unexpected:
      return CircuitStatus::unexpected_message;
  }
  return CircuitStatus::permission_denied;
}

HopMessage status_message(CircuitStatus status) {
  HopMessage out;
  out.type = HopMessage::Type::status;
  out.status = status;
  return out;
}

}  // namespace

std::string_view refusal_name(RelayRefusal reason) {
  static constexpr std::array<std::string_view, kRelayRefusals> kNames{"unknown",
                                                                       "relayed",
                                                                       "blocked",
                                                                       "acl",
                                                                       "reservations_total",
                                                                       "reservations_source",
                                                                       "reservations_subnet",
                                                                       "reservations_rate",
                                                                       "no_reservation",
                                                                       "circuits_total",
                                                                       "circuits_source",
                                                                       "circuits_target",
                                                                       "quota_peer",
                                                                       "quota_subnet",
                                                                       "target_refused",
                                                                       "target_silent",
                                                                       "malformed",
                                                                       "unexpected",
                                                                       "own",
                                                                       "requests"};
  const auto at = static_cast<size_t>(reason);
  return at < kNames.size() ? kNames[at] : kNames[0];
}

std::string_view end_name(CircuitEnd end) {
  static constexpr std::array<std::string_view, kCircuitEnds> kNames{
      "unknown", "finished", "data_limit", "duration_limit", "quota", "source_gone", "target_gone", "closed"};
  const auto at = static_cast<size_t>(end);
  return at < kNames.size() ? kNames[at] : kNames[0];
}

RelayServer::RelayServer(Swarm& swarm, const crypto::KeyPair& relay, RelayServerSettings settings)
    : swarm_(swarm),
      key_(relay),
      own_(PeerId::from_device_key(relay.device_key())),
      settings_(std::move(settings)),
      hops_(swarm, {kCircuitMessageMax, kUnsentMax}),
      stops_(swarm, {kCircuitMessageMax, kUnsentMax}),
      drain_(swarm, kRelayRequestsMax, kRelayHopTimeoutUs) {}

RelayServer::~RelayServer() = default;

// ---- Trust ------------------------------------------------------------------------------------------------------------

RelayTrust RelayServer::trust_of(const PeerId& peer) const {
  const auto found = trust_.find(peer);
  return found == trust_.end() ? settings_.trust : found->second;
}

const RelayTier& RelayServer::tier_of(RelayTrust trust) const {
  return trust == RelayTrust::content && settings_.content ? settings_.content_tier : settings_.control_tier;
}

void RelayServer::set_trust(const PeerId& peer, std::optional<RelayTrust> trust) {
  if (trust) {
    trust_[peer] = *trust;
  } else if (const auto found = trust_.find(peer); found != trust_.end()) {
    trust_.erase(found);
  }
  if (trust_of(peer) != RelayTrust::blocked) return;
  end_reservation(peer, false);
  std::vector<uint64_t> its;
  for (const auto& [id, circuit] : circuits_) {
    if (circuit.source == peer || circuit.target == peer) its.push_back(id);
  }
  for (const uint64_t id : its) end_circuit(id, CircuitEnd::closed);
}

// ---- What happens on the swarm ----------------------------------------------------------------------------------------

bool RelayServer::on_event(const HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<Connected>(&event)) {
    on_connected(*connected);
    return false;
  }
  if (const auto* disconnected = std::get_if<Disconnected>(&event)) {
    on_disconnected(*disconnected);
    return false;
  }
  if (const auto* opened = std::get_if<StreamOpened>(&event); opened != nullptr && opened->incoming) {
    return on_opened(*opened, now);
  }
  if (drain_.on_event(event)) return true;
  if (hops_.on_event(event, now)) {
    take_hop_events(now);
    return true;
  }
  if (stops_.on_event(event, now)) {
    take_stop_events(now);
    return true;
  }
  return on_circuit_event(event, now);
}

void RelayServer::on_connected(const Connected& event) {
  Connection& connection = connections_[event.connection];
  connection = {event.peer, event.address, endpoint_of(event.address), event.relayed.has_value()};
  Peer& peer = peers_[event.peer];
  if (!connection.relayed) peer.direct.insert(event.connection);
}

void RelayServer::on_disconnected(const Disconnected& event) {
  const auto found = connections_.find(event.connection);
  if (found == connections_.end()) return;
  const PeerId peer = found->second.peer;
  connections_.erase(found);
  const auto its = peers_.find(peer);
  its->second.direct.erase(event.connection);
  // The specification: "if the peer disconnects, the reservation is no longer valid".
  if (its->second.direct.empty()) end_reservation(peer, false);
  const bool left = std::any_of(connections_.begin(), connections_.end(),
                                [&peer](const auto& item) { return item.second.peer == peer; });
  if (!left) peers_.erase(its);
}

bool RelayServer::on_opened(const StreamOpened& event, const Times& now) {
  if (event.protocol != kHopProtocol) return false;
  const auto connection = connections_.find(event.connection);
  if (closed_ || connection == connections_.end()) {
    swarm_.reset(event.stream);
    return true;
  }
  const PeerId& peer = connection->second.peer;
  size_t& requests = peers_.at(peer).requests;
  if (requests_.size() >= kRelayRequestsMax || requests >= kRelayRequestsPeerMax) {
    swarm_.reset(event.stream);
    ++stats_.refused[static_cast<size_t>(RelayRefusal::requests)];
    tell(CircuitRefused{peer, {}, RelayRefusal::requests});
    return true;
  }
  ++requests;
  requests_.emplace(event.stream, peer);
  hops_.accept(event, now.mono_us + kRelayHopTimeoutUs);
  take_hop_events(now);
  return true;
}

// It has said what it wants, or is gone.
void RelayServer::request_over(StreamId stream) {
  const auto found = requests_.find(stream);
  if (found == requests_.end()) return;
  if (const auto peer = peers_.find(found->second); peer != peers_.end() && peer->second.requests > 0) {
    --peer->second.requests;
  }
  requests_.erase(found);
}

void RelayServer::take_hop_events(const Times& now) {
  while (const auto event = hops_.next_event()) {
    if (const auto* received = std::get_if<MessageReceived>(&*event)) {
      on_hop(received->stream, received->message, now);
    } else if (const auto* ended = std::get_if<MessagesEnded>(&*event)) {
      // Whoever says nothing gets no answer.
      if (requests_.contains(ended->stream)) hops_.reset(ended->stream);
      request_over(ended->stream);
    } else if (const auto* closed = std::get_if<MessagesClosed>(&*event)) {
      request_over(closed->stream);
    }
  }
}

void RelayServer::on_hop(StreamId stream, ByteView message, const Times& now) {
  const auto found = connections_.find(hops_.connection_of(stream));
  if (found == connections_.end() || !requests_.contains(stream)) return hops_.reset(stream);  // was answered before
  request_over(stream);
  const Connection& connection = found->second;
  const auto parsed = decode_hop(message);
  if (!parsed.ok()) return refuse_circuit(stream, connection.peer, {}, RelayRefusal::malformed);
  switch (parsed->type) {
    case HopMessage::Type::reserve:
      return reserve(stream, connection, now);
    case HopMessage::Type::connect:
      if (!parsed->peer) return refuse_circuit(stream, connection.peer, {}, RelayRefusal::malformed);
      return connect(stream, connection, *parsed->peer, now);
    case HopMessage::Type::status:
      return refuse_circuit(stream, connection.peer, {}, RelayRefusal::unexpected);
  }
}

void RelayServer::answer(StreamId stream, const HopMessage& message) {
  const auto bytes = encode_hop(message);
  if (!bytes.ok() || !hops_.send(stream, *bytes).ok()) return hops_.reset(stream);
  hops_.finish(stream);
}

void RelayServer::refuse_reservation(StreamId stream, const PeerId& peer, RelayRefusal reason) {
  ++stats_.refused[static_cast<size_t>(reason)];
  tell(ReservationRefused{peer, reason});
  answer(stream, status_message(status_of(reason)));
}

void RelayServer::refuse_circuit(StreamId stream, const PeerId& source, const PeerId& target, RelayRefusal reason) {
  ++stats_.refused[static_cast<size_t>(reason)];
  tell(CircuitRefused{source, target, reason});
  answer(stream, status_message(status_of(reason)));
}

// ---- Reservations -----------------------------------------------------------------------------------------------------

std::optional<RelayRefusal> RelayServer::reserve_refusal(const Connection& connection, const Times& now) {
  if (connection.relayed) return RelayRefusal::relayed;
  if (!peers_.at(connection.peer).reserves.take(now.mono_us)) return RelayRefusal::reservations_rate;
  if (trust_of(connection.peer) == RelayTrust::blocked) return RelayRefusal::blocked;
  if (settings_.may_reserve && !settings_.may_reserve(connection.peer, connection.address)) return RelayRefusal::acl;
  size_t total = 0;
  size_t of_source = 0;
  size_t of_subnet = 0;
  const Bytes source = connection.endpoint ? source_key(*connection.endpoint) : Bytes();
  const Bytes subnet = connection.endpoint ? subnet_key(*connection.endpoint) : Bytes();
  for (const auto& [peer, reservation] : reservations_) {
    if (peer == connection.peer) continue;  // renewed in its place
    ++total;
    if (!source.empty() && reservation.source == source) ++of_source;
    if (!subnet.empty() && reservation.subnet == subnet) ++of_subnet;
  }
  if (total >= settings_.reservations) return RelayRefusal::reservations_total;
  if (!source.empty() && of_source >= settings_.reservations_source) return RelayRefusal::reservations_source;
  if (!subnet.empty() && of_subnet >= settings_.reservations_subnet) return RelayRefusal::reservations_subnet;
  return std::nullopt;
}

// Ours, those that strangers can dial.
std::vector<Multiaddr> RelayServer::own_addresses() const {
  std::vector<Multiaddr> out;
  for (const std::string& text : swarm_.listen_addresses()) {
    const auto address = Multiaddr::parse(text);
    const auto shape = address.ok() ? shape_of(*address) : std::nullopt;
    if (!shape || shape->transport == TransportKind::relay) continue;
    if (shape->ip && scope_of(*shape->ip) != AddressScope::global && !settings_.private_addresses) continue;
    if (out.size() < kRelayAddressesMax) out.push_back(address->with_peer_id(own_));
  }
  return out;
}

void RelayServer::reserve(StreamId stream, const Connection& connection, const Times& now) {
  const PeerId peer = connection.peer;
  if (const auto reason = reserve_refusal(connection, now)) return refuse_reservation(stream, peer, *reason);
  const auto wall_s = static_cast<uint64_t>(std::max<int64_t>(now.wall_us, 0)) / kMicrosPerSecond;
  const uint64_t expire_s = wall_s + settings_.reservation_life_us / kMicrosPerSecond;
  auto voucher = seal_voucher(key_, peer, expire_s);
  if (!voucher.ok()) return hops_.reset(stream);
  PeerReservation& reservation = reservations_[peer];
  const bool renewed = reservation.number != 0;
  if (!renewed) reservation.number = ++last_reservation_;
  expiries_.erase({reservation.deadline_us, reservation.number});
  reservation.deadline_us = now.mono_us + settings_.reservation_life_us;
  reservation.source = connection.endpoint ? source_key(*connection.endpoint) : Bytes();
  reservation.subnet = connection.endpoint ? subnet_key(*connection.endpoint) : Bytes();
  expiries_.emplace(std::pair(reservation.deadline_us, reservation.number), peer);
  swarm_.protect(peer, kProtectTag);
  ++(renewed ? stats_.renewed : stats_.granted);
  tell(ReservationGranted{peer, renewed, expire_s});
  HopMessage message = status_message(CircuitStatus::ok);
  message.reservation.emplace();
  message.reservation->expire_s = expire_s;
  message.reservation->addresses = own_addresses();
  message.reservation->voucher = std::move(*voucher);
  const RelayTier& tier = tier_of(trust_of(peer));
  message.limit = CircuitLimit{tier.circuit_duration_us, tier.circuit_bytes};
  answer(stream, message);
}

void RelayServer::end_reservation(PeerId peer, bool expired) {
  const auto found = reservations_.find(peer);
  if (found == reservations_.end()) return;
  expiries_.erase({found->second.deadline_us, found->second.number});
  reservations_.erase(found);
  (void)swarm_.unprotect(peer, kProtectTag);
  tell(ReservationEnded{std::move(peer), expired});
}

// ---- Time and telling -------------------------------------------------------------------------------------------------

uint64_t RelayServer::step(const Times& now) {
  uint64_t next = std::min({hops_.step(now), stops_.step(now), drain_.step(now)});
  take_hop_events(now);
  take_stop_events(now);
  while (!expiries_.empty() && expiries_.begin()->first.first <= now.mono_us) {
    const PeerId peer = expiries_.begin()->second;
    end_reservation(peer, true);
  }
  while (!deadlines_.empty() && deadlines_.begin()->first <= now.mono_us) {
    const uint64_t id = deadlines_.begin()->second;
    const Circuit& circuit = circuits_.at(id);
    end_circuit(id, circuit.state == State::ending ? circuit.end : CircuitEnd::duration_limit);
  }
  for (const uint64_t id : std::exchange(again_, {})) pump_circuit(id, now);
  if (!expiries_.empty()) next = std::min(next, expiries_.begin()->first.first);
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  return again_.empty() ? next : now.mono_us;
}

void RelayServer::close() {
  closed_ = true;
  hops_.reset_all();
  requests_.clear();
  drain_.reset_all();
  while (!circuits_.empty()) end_circuit(circuits_.begin()->first, CircuitEnd::closed);
  while (!reservations_.empty()) end_reservation(reservations_.begin()->first, false);
}

RelayServer::Stats RelayServer::stats() const {
  Stats out = stats_;
  out.reservations = reservations_.size();
  out.circuits = circuits_.size();
  return out;
}

void RelayServer::tell(Event event) {
  if (events_.size() >= kRelayEventsMax) {
    ++stats_.events_dropped;
    return;
  }
  events_.push_back(std::move(event));
}

std::optional<RelayServer::Event> RelayServer::next_event() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void RelayServer::set_timer(uint64_t& deadline_us, uint64_t id, uint64_t to_us) {
  deadlines_.erase({deadline_us, id});
  deadline_us = to_us;
  if (to_us != kNever) deadlines_.insert({to_us, id});
}

}  // namespace sereus::net
