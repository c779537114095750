#include "core/net/relay_reservations.h"

#include <algorithm>
#include <utility>

#include "core/net/dial_ranking.h"

namespace sereus::net {
namespace {

constexpr std::string_view kProtectTag = "relay-reservation";  // the connection to a relay is not trimmed
constexpr size_t kUnsentMax = 2 * kCircuitMessageMax;

// Health, in points. What weighs more than the rest together is that it works.
constexpr int64_t kConnectedPoints = 30;
constexpr int64_t kGivenPoints = 40;  // the user's choice before what was learnt
constexpr int64_t kFailurePoints = -25;
constexpr int64_t kRefusalPoints = -15;
constexpr uint64_t kCountedMax = 8;                     // of failures and refusals
constexpr uint64_t kRttPointUs = 10 * kMicrosPerMilli;  // one less for each
constexpr int64_t kRttPointsMax = 30;
constexpr uint64_t kRttUnknownUs = 100 * kMicrosPerMilli;
constexpr uint64_t kAgePointUs = 120 * kMicrosPerSecond;  // one more for each
constexpr int64_t kAgePointsMax = 10;
constexpr uint64_t kLuckPoints = 10;
constexpr int64_t kRotationPoints = 10;  // a relay has to be better by this to take a place

AddressScope scope_of_address(const Multiaddr& address) {
  const auto shape = shape_of(address);
  return shape && shape->ip ? scope_of(*shape->ip) : AddressScope::global;
}

}  // namespace

std::string_view loss_name(ReservationLoss loss) {
  switch (loss) {
    case ReservationLoss::disconnected:
      return "disconnected";
    case ReservationLoss::expired:
      return "expired";
    case ReservationLoss::rotated:
      return "rotated";
    case ReservationLoss::removed:
      return "removed";
  }
  return "unknown";
}

RelayReservations::RelayReservations(Swarm& swarm, Random& random, const RelayClientSettings& settings)
    : swarm_(swarm), random_(random), settings_(settings), streams_(swarm, {kCircuitMessageMax, kUnsentMax}) {}

RelayReservations::~RelayReservations() = default;

// ---- Candidates -------------------------------------------------------------------------------------------------------

RelayReservations::Relay& RelayReservations::candidate(const PeerId& peer) {
  const auto [at, fresh] = relays_.try_emplace(peer);
  if (fresh) at->second.luck = static_cast<int64_t>(random_.below(kLuckPoints));
  return at->second;
}

void RelayReservations::add(const PeerId& relay, const std::vector<Multiaddr>& via) {
  if (closed_ || relay == swarm_.peer_id()) return;
  Relay& entry = candidate(relay);
  entry.given = true;
  for (const Multiaddr& address : via) {
    const std::string text = address.to_string();
    const bool known = std::find(entry.via.begin(), entry.via.end(), text) != entry.via.end();
    if (!known && entry.via.size() < kRelayAddressesMax) entry.via.push_back(text);
  }
}

void RelayReservations::remove(const PeerId& relay) {
  const auto found = relays_.find(relay);
  if (found == relays_.end()) return;
  if (found->second.dial != 0) swarm_.cancel_dial(found->second.dial);
  if (found->second.stream != 0) streams_.reset(found->second.stream);
  lose(found->first, found->second, ReservationLoss::removed, Error{Code::ok, {}});
  relays_.erase(found);
}

// Whoever speaks hop to us directly may be a relay.
void RelayReservations::learn(const Identified& notice) {
  const auto connection = direct_.find(notice.connection);
  if (connection == direct_.end()) return;
  const PeerId& peer = connection->second.peer;
  const auto& protocols = notice.peer.said.protocols;
  const bool speaks = std::find(protocols.begin(), protocols.end(), kHopProtocol) != protocols.end();
  const auto found = relays_.find(peer);
  if (found == relays_.end() && (!speaks || !settings_.learn)) return;
  Relay& relay = candidate(peer);
  relay.speaks = speaks;
  if (relay.given) return;
  relay.via.clear();
  for (const Multiaddr& address : notice.peer.addresses()) {
    const auto shape = shape_of(address);
    if (!shape || shape->transport == TransportKind::relay || relay.via.size() == kRelayAddressesMax) continue;
    relay.via.push_back(address.without_peer_id().to_string());
  }
}

void RelayReservations::make_room(const Times& now) {
  while (relays_.size() > kRelayCandidatesMax) {
    auto out = relays_.end();
    for (auto at = relays_.begin(); at != relays_.end(); ++at) {
      const Relay& relay = at->second;
      if (relay.given || relay.reserved || relay.state != State::idle) continue;
      if (out == relays_.end() || health_of(at->first, relay, now) < health_of(out->first, out->second, now)) out = at;
    }
    if (out == relays_.end()) return;
    relays_.erase(out);
  }
}

int64_t RelayReservations::health_of(const PeerId& peer, const Relay& relay, const Times& now) const {
  int64_t out = relay.luck;
  if (by_peer_.contains(peer)) out += kConnectedPoints;
  if (relay.given) out += kGivenPoints;
  out += kFailurePoints * static_cast<int64_t>(std::min(relay.failures, kCountedMax));
  out += kRefusalPoints * static_cast<int64_t>(std::min(relay.refusals, kCountedMax));
  const auto rtt = static_cast<int64_t>(
      std::min<uint64_t>(relay.rtt_us.value_or(kRttUnknownUs) / kRttPointUs, static_cast<uint64_t>(kRttPointsMax)));
  out -= rtt;
  if (relay.reserved) {
    const uint64_t age = (now.mono_us - std::min(now.mono_us, relay.since_us)) / kAgePointUs;
    out += static_cast<int64_t>(std::min<uint64_t>(age, static_cast<uint64_t>(kAgePointsMax)));
  }
  return out;
}

std::optional<int64_t> RelayReservations::health(const PeerId& relay, const Times& now) const {
  const auto found = relays_.find(relay);
  if (found == relays_.end()) return std::nullopt;
  return health_of(found->first, found->second, now);
}

bool RelayReservations::reserved(const PeerId& relay) const {
  const auto found = relays_.find(relay);
  return found != relays_.end() && found->second.reserved;
}

std::vector<std::string> RelayReservations::addresses() const {
  std::vector<std::string> out;
  for (const auto& [peer, relay] : relays_) {
    if (!relay.reserved || relay.leaving) continue;
    out.insert(out.end(), relay.addresses.begin(), relay.addresses.end());
  }
  return out;
}

ConnectionId RelayReservations::direct(const PeerId& peer) const {
  const auto found = by_peer_.find(peer);
  return found == by_peer_.end() ? 0 : *found->second.rbegin();
}

// ---- What happens on the swarm ----------------------------------------------------------------------------------------

bool RelayReservations::on_event(const HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<Connected>(&event)) {
    if (connected->relayed) return false;
    direct_[connected->connection] = {connected->peer, connected->address};
    by_peer_[connected->peer].insert(connected->connection);
    return false;
  }
  if (const auto* disconnected = std::get_if<Disconnected>(&event)) {
    const auto found = direct_.find(disconnected->connection);
    if (found == direct_.end()) return false;
    const PeerId peer = found->second.peer;
    direct_.erase(found);
    const auto its = by_peer_.find(peer);
    its->second.erase(disconnected->connection);
    const bool last = its->second.empty();
    if (last) by_peer_.erase(its);
    const auto relay = relays_.find(peer);
    if (relay == relays_.end() || !relay->second.reserved) return false;
    if (last) {
      lose(peer, relay->second, ReservationLoss::disconnected, disconnected->reason);
      ++relay->second.failures;
      wait(relay->second, kRelayRetryUs, relay->second.failures, now);
    } else {
      relay->second.renew_at_us = now.mono_us;  // the relay may have kept it with the one that is gone
    }
    return false;
  }
  if (!streams_.on_event(event, now)) return false;
  take_answers(now);
  return true;
}

void RelayReservations::on_notice(const SwarmNotice& notice, const Times& now) {
  if (const auto* identified = std::get_if<Identified>(&notice)) return learn(*identified);
  if (std::holds_alternative<NetworkChanged>(notice)) {
    for (auto& [peer, relay] : relays_) relay.retry_at_us = now.mono_us;  // what failed before may work now
    return;
  }
  const auto* reached = std::get_if<Reached>(&notice);
  const auto* unreached = std::get_if<Unreached>(&notice);
  if (reached == nullptr && unreached == nullptr) return;
  const auto found = relays_.find(reached != nullptr ? reached->peer : unreached->peer);
  const uint64_t dial = reached != nullptr ? reached->dial : unreached->dial;
  if (found == relays_.end() || found->second.dial != dial || dial == 0) return;
  Relay& relay = found->second;
  relay.dial = 0;
  relay.state = State::idle;
  if (unreached != nullptr) return failed(found->first, relay, unreached->error, now);
  const ConnectionId connection = direct(found->first);
  if (connection == 0) {
    return failed(found->first, relay, fail(Code::unreachable, "it is reached over another relay only"), now);
  }
  ask(found->first, relay, connection, now);
}

// ---- Asking -----------------------------------------------------------------------------------------------------------

void RelayReservations::begin(const PeerId& peer, Relay& relay, const Times& now) {
  if (const ConnectionId connection = direct(peer); connection != 0) return ask(peer, relay, connection, now);
  const auto dial = swarm_.dial(peer, relay.via);
  if (!dial.ok()) return failed(peer, relay, dial.error(), now);
  relay.dial = *dial;
  relay.state = State::dialing;
}

void RelayReservations::ask(const PeerId& peer, Relay& relay, ConnectionId connection, const Times& now) {
  HopMessage message;
  message.type = HopMessage::Type::reserve;
  const auto stream = streams_.open(connection, kHopProtocol, now.mono_us + kCircuitAnswerTimeoutUs);
  if (!stream.ok()) return failed(peer, relay, stream.error(), now);
  relay.state = State::asking;
  relay.stream = *stream;
  relay.asked_us = now.mono_us;
  (void)streams_.send(*stream, encode_hop(message).value());  // its end is told
}

RelayReservations::Relays::iterator RelayReservations::of_stream(StreamId stream) {
  return std::find_if(relays_.begin(), relays_.end(),
                      [stream](const auto& item) { return item.second.stream == stream; });
}

void RelayReservations::take_answers(const Times& now) {
  while (const auto event = streams_.next_event()) {
    if (const auto* received = std::get_if<MessageReceived>(&*event)) {
      on_answer(received->stream, received->message, now);
      continue;
    }
    const auto* ended = std::get_if<MessagesEnded>(&*event);
    const auto* closed = std::get_if<MessagesClosed>(&*event);
    const StreamId stream = ended != nullptr ? ended->stream : closed->stream;
    const auto found = of_stream(stream);
    if (found == relays_.end()) continue;  // it was answered before
    found->second.stream = 0;
    found->second.state = State::idle;
    if (ended != nullptr) streams_.reset(stream);
    failed(found->first, found->second,
           closed != nullptr ? closed->reason : fail(Code::protocol, "the relay gave no answer"), now);
  }
}

void RelayReservations::on_answer(StreamId stream, ByteView message, const Times& now) {
  const auto found = of_stream(stream);
  if (found == relays_.end()) return streams_.reset(stream);
  const PeerId& peer = found->first;
  Relay& relay = found->second;
  const ConnectionId connection = streams_.connection_of(stream);
  streams_.finish(stream);
  relay.stream = 0;
  relay.state = State::idle;
  relay.rtt_us = now.mono_us - relay.asked_us;
  const auto answer = decode_hop(message);
  if (!answer.ok()) return failed(peer, relay, answer.error(), now);
  if (answer->type != HopMessage::Type::status || !answer->status) {
    return failed(peer, relay, fail(Code::protocol, "the relay's answer is no status"), now);
  }
  if (*answer->status != CircuitStatus::ok) return refused(peer, relay, *answer->status, now);
  if (const Status taken = granted(peer, relay, *answer, connection, now); !taken.ok()) {
    failed(peer, relay, taken.error(), now);
  }
}

Status RelayReservations::granted(const PeerId& peer, Relay& relay, const HopMessage& answer, ConnectionId connection,
                                  const Times& now) {
  if (!answer.reservation) return fail(Code::protocol, "the relay granted a reservation that it does not describe");
  const Reservation& reservation = *answer.reservation;
  const auto now_s = static_cast<uint64_t>(std::max<int64_t>(now.wall_us, 0)) / kMicrosPerSecond;
  if (reservation.expire_s <= now_s) return fail(Code::expired, "the reservation is past its date");
  if (!reservation.voucher.empty()) {
    SEREUS_TRY(check_voucher(reservation.voucher, peer, swarm_.peer_id(), now_s));
  }
  const uint64_t life_s = std::min(reservation.expire_s - now_s, kRelayLifeMaxUs / kMicrosPerSecond);
  const uint64_t life_us = life_s * kMicrosPerSecond;
  const bool renewed = relay.reserved;
  if (!renewed) relay.since_us = now.mono_us;
  relay.reserved = true;
  relay.leaving = relay.failing = false;
  relay.failures = relay.refusals = 0;
  // Between a half and three quarters of its life, so that not everybody comes back at once after a relay's restart.
  relay.renew_at_us = now.mono_us + life_us / 2 + random_.below(life_us / 4 + 1);
  relay.expires_us = now.mono_us + life_us;
  std::vector<std::string> addresses = told_addresses(peer, reservation, connection);
  changed_ = changed_ || !renewed || addresses != relay.addresses;
  relay.addresses = std::move(addresses);
  swarm_.protect(peer, kProtectTag);
  tell(ReservationMade{peer, renewed, relay.addresses, answer.limit.value_or(CircuitLimit()), life_us});
  return {};
}

// What the relay says of itself, as far as it leads at least as far as the way that we came: a relay across the internet is not
// announced with addresses of its own network. Otherwise the way that we came.
std::vector<std::string> RelayReservations::told_addresses(const PeerId& peer, const Reservation& reservation,
                                                           ConnectionId connection) const {
  const auto known = direct_.find(connection);
  const auto came = known == direct_.end() ? Result<Multiaddr>(Multiaddr()) : Multiaddr::parse(known->second.address);
  const AddressScope least = came.ok() ? scope_of_address(*came) : AddressScope::global;
  std::vector<Multiaddr> usable;
  for (const Multiaddr& address : reservation.addresses) {
    const auto named = address.peer_id();
    const auto shape = shape_of(address);
    if ((named && *named != peer) || !shape || shape->transport == TransportKind::relay) continue;
    if (scope_of_address(address) < least) continue;
    usable.push_back(address.without_peer_id());
  }
  std::stable_sort(usable.begin(), usable.end(),
                   [](const Multiaddr& a, const Multiaddr& b) { return scope_of_address(a) > scope_of_address(b); });
  if (usable.empty() && came.ok()) usable.push_back(*came);
  if (usable.size() > kRelayAddressesToldMax) usable.resize(kRelayAddressesToldMax);
  std::vector<std::string> out;
  out.reserve(usable.size());
  for (const Multiaddr& address : usable) {
    out.push_back(address.with_peer_id(peer).with({AddrCode::p2p_circuit, {}}).to_string());
  }
  return out;
}

// ---- Failures ---------------------------------------------------------------------------------------------------------

uint64_t RelayReservations::half_drawn(uint64_t us) { return us - us / 2 + random_.below(us / 2 + 1); }

// Doubled each time; half of it is drawn.
void RelayReservations::wait(Relay& relay, uint64_t first_us, uint64_t times, const Times& now) {
  uint64_t delay_us = first_us;
  for (uint64_t i = 1; i < times && delay_us < kRelayRetryMaxUs; ++i) delay_us *= 2;
  relay.retry_at_us = now.mono_us + half_drawn(std::min(delay_us, kRelayRetryMaxUs));
}

void RelayReservations::failed(const PeerId& peer, Relay& relay, const Error& error, const Times& now) {
  ++relay.failures;
  relay.failing = relay.reserved;
  if (error.code == Code::unsupported) relay.speaks = false;
  wait(relay, kRelayRetryUs, relay.failures, now);
  relay.renew_at_us = relay.retry_at_us;
  tell(ReservationRefused{peer, CircuitStatus::unused, error, relay.retry_at_us - now.mono_us});
}

void RelayReservations::refused(const PeerId& peer, Relay& relay, CircuitStatus status, const Times& now) {
  ++relay.refusals;
  relay.failing = relay.reserved;
  wait(relay, kRelayRefusedUs, relay.refusals, now);
  relay.renew_at_us = relay.retry_at_us;
  const Error error = fail(Code::denied, "the relay refused: " + std::string(status_name(status)));
  tell(ReservationRefused{peer, status, error, relay.retry_at_us - now.mono_us});
}

void RelayReservations::lose(const PeerId& peer, Relay& relay, ReservationLoss reason, const Error& error) {
  if (!relay.reserved) return;
  relay.reserved = relay.leaving = relay.failing = false;
  relay.addresses.clear();
  changed_ = true;
  (void)swarm_.unprotect(peer, kProtectTag);
  tell(ReservationLost{peer, reason, error});
}

// ---- Keeping as many as are wanted ------------------------------------------------------------------------------------

size_t RelayReservations::held() const {
  return static_cast<size_t>(
      std::count_if(relays_.begin(), relays_.end(), [](const auto& item) { return item.second.counts(); }));
}

size_t RelayReservations::under_way() const {
  return static_cast<size_t>(std::count_if(relays_.begin(), relays_.end(), [](const auto& item) {
    return item.second.state != State::idle && !item.second.reserved;
  }));
}

// Of those that may be asked now.
RelayReservations::Relays::iterator RelayReservations::best(const Times& now) {
  auto out = relays_.end();
  for (auto at = relays_.begin(); at != relays_.end(); ++at) {
    const Relay& relay = at->second;
    if (relay.reserved || relay.state != State::idle || relay.retry_at_us > now.mono_us) continue;
    if (!relay.given && !(relay.speaks && settings_.learn)) continue;
    if (relay.via.empty() && !by_peer_.contains(at->first)) continue;
    if (out == relays_.end() || health_of(at->first, relay, now) > health_of(out->first, out->second, now)) out = at;
  }
  return out;
}

RelayReservations::Relays::iterator RelayReservations::worst(const Times& now) {
  auto out = relays_.end();
  for (auto at = relays_.begin(); at != relays_.end(); ++at) {
    if (!at->second.counts()) continue;
    if (out == relays_.end() || health_of(at->first, at->second, now) < health_of(out->first, out->second, now)) {
      out = at;
    }
  }
  return out;
}

void RelayReservations::fill(const Times& now) {
  for (size_t asked = held() + under_way(); asked < settings_.reservations; ++asked) {
    const auto next = best(now);
    if (next == relays_.end()) break;
    begin(next->first, next->second, now);
  }
  // More than wanted: after a rotation, or when one that had failed came back.
  for (size_t count = held(); count > settings_.reservations; --count) {
    const auto out = worst(now);
    out->second.leaving = true;
    changed_ = true;
    (void)swarm_.unprotect(out->first, kProtectTag);
  }
}

// A better one is asked beside those there are; when it grants, the worst leaves.
void RelayReservations::rotate(const Times& now) {
  if (settings_.rotation_us == kNever || now.mono_us < rotate_at_us_) return;
  const bool first = rotate_at_us_ == 0;
  rotate_at_us_ = now.mono_us + half_drawn(settings_.rotation_us);
  if (first || settings_.reservations == 0 || held() < settings_.reservations) return;
  const auto better = best(now);
  const auto out = worst(now);
  if (better == relays_.end() || out == relays_.end()) return;
  // It has no age yet, which the other one has.
  if (health_of(better->first, better->second, now) < health_of(out->first, out->second, now) + kRotationPoints) return;
  begin(better->first, better->second, now);
}

uint64_t RelayReservations::step(const Times& now) {
  uint64_t next = streams_.step(now);
  take_answers(now);
  if (closed_) return next;
  make_room(now);
  for (auto& [peer, relay] : relays_) {
    if (!relay.reserved) continue;
    if (now.mono_us >= relay.expires_us) {
      lose(peer, relay, relay.leaving ? ReservationLoss::rotated : ReservationLoss::expired, Error{Code::ok, {}});
    } else if (!relay.leaving && relay.state == State::idle && now.mono_us >= relay.renew_at_us) {
      begin(peer, relay, now);
    }
  }
  fill(now);
  rotate(now);
  for (const auto& [peer, relay] : relays_) {
    if (relay.reserved) {
      next = std::min(next, relay.expires_us);
      if (!relay.leaving && relay.state == State::idle) next = std::min(next, relay.renew_at_us);
    } else if (relay.state == State::idle && relay.retry_at_us > now.mono_us) {
      next = std::min(next, relay.retry_at_us);
    }
  }
  if (settings_.rotation_us != kNever && settings_.reservations > 0) next = std::min(next, rotate_at_us_);
  return next;
}

// Who does not look loses the oldest.
void RelayReservations::tell(ReservationEvent event) {
  if (events_.size() >= kRelayEventsMax) events_.pop_front();
  events_.push_back(std::move(event));
}

std::optional<ReservationEvent> RelayReservations::next_event() {
  if (events_.empty()) return std::nullopt;
  ReservationEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void RelayReservations::close() {
  closed_ = true;
  streams_.reset_all();
  for (auto& [peer, relay] : relays_) {
    if (relay.dial != 0) swarm_.cancel_dial(std::exchange(relay.dial, 0));
    relay.stream = 0;
    relay.state = State::idle;
    lose(peer, relay, ReservationLoss::removed, Error{Code::ok, {}});
  }
}

}  // namespace sereus::net
