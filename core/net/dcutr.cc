#include "core/net/dcutr.h"

#include <algorithm>
#include <utility>

#include "core/net/limits.h"
#include "core/net/transport_policy.h"

namespace sereus::net {
namespace {

constexpr uint64_t kMinuteUs = 60 * kMicrosPerSecond;
constexpr MessageStreams::Bounds kBounds{kHolePunchBytesMax, 2 * kHolePunchBytesMax};

bool is_quic(const Multiaddr& address) { return address.quic_endpoint().has_value(); }

}  // namespace

std::string_view direct_path_name(DirectPath path) {
  switch (path) {
    case DirectPath::none:
      return "none";
    case DirectPath::dialed:
      return "dialed";
    case DirectPath::punched_quic:
      return "punched_quic";
    case DirectPath::punched_tcp:
      return "punched_tcp";
  }
  return "";
}

Dcutr::Dcutr(Swarm& swarm, Random& random, const DcutrSettings& settings)
    : swarm_(swarm),
      random_(random),
      settings_(settings),
      streams_(swarm, kBounds),
      rate_(kHolePunchesPeerPerMinute, kMinuteUs, kAutoNatSourcesMax) {}

// ---- What the swarm tells -------------------------------------------------------------------------------------------

bool Dcutr::on_event(const HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<Connected>(&event)) {
    on_connected(*connected, now);
    return false;
  }
  if (const auto* disconnected = std::get_if<Disconnected>(&event)) {
    on_disconnected(disconnected->connection, now);
    return false;
  }
  if (const auto* failed = std::get_if<DialFailed>(&event)) return on_dial_failed(*failed, now);
  const auto* opened = std::get_if<StreamOpened>(&event);
  bool ours = opened != nullptr && opened->incoming && accept(*opened, now);
  if (!ours) ours = streams_.on_event(event, now);
  if (ours) pump(now);
  return ours;
}

void Dcutr::on_connected(const Connected& connected, const Times& now) {
  const bool relayed = is_relayed(connected.address);
  connections_[connected.connection] = {connected.peer, connected.address, connected.incoming,
                                        relayed,        std::nullopt,      false};
  by_dial_.erase(connected.dial);
  if (relayed) return;
  // Whoever made it: the peer is reached directly.
  const auto tell = [&](HolePunched told, bool by_dial, uint64_t begun_us) {
    const auto address = Multiaddr::parse(connected.address);
    const bool quic = address.ok() && is_quic(*address);
    told.peer = connected.peer;
    told.ok = true;
    told.path = by_dial ? DirectPath::dialed : quic ? DirectPath::punched_quic : DirectPath::punched_tcp;
    told.direct = connected.connection;
    told.address = connected.address;
    told.took_us = now.mono_us - begun_us;
    events_.push_back(std::move(told));
  };
  for (auto at = upgrades_.begin(); at != upgrades_.end();) {
    Upgrade& upgrade = at->second;
    if (upgrade.peer != connected.peer) {
      ++at;
      continue;
    }
    const bool dialed = upgrade.direct.erase(connected.dial) > 0 || upgrade.stage != Stage::punching;
    upgrade.dials.erase(connected.dial);
    cancel(upgrade.direct);
    cancel(upgrade.dials);
    HolePunched told;
    told.relayed = at->first;
    told.attempts = upgrade.attempts;
    told.initiated = true;
    tell(std::move(told), dialed, upgrade.begun_us);
    streams_.finish(upgrade.stream);
    at = upgrades_.erase(at);
  }
  for (auto at = answers_.begin(); at != answers_.end();) {
    Answer& answer = at->second;
    if (answer.peer != connected.peer) {
      ++at;
      continue;
    }
    answer.dials.erase(connected.dial);
    const bool punching = answer.deadline_us != kNever;
    cancel(answer.dials);
    HolePunched told;
    told.relayed = answer.relayed;
    told.attempts = 1;
    tell(std::move(told), !punching, answer.begun_us);
    streams_.finish(at->first);
    at = answers_.erase(at);
  }
}

void Dcutr::on_disconnected(ConnectionId id, const Times& now) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  const Connection gone = at->second;
  connections_.erase(at);
  if (gone.relayed) {
    if (const auto upgrade = upgrades_.find(id); upgrade != upgrades_.end()) end(upgrade, PathReason::relay_lost, now);
    return;
  }
  // A relayed connection that was of no interest while there was a direct one.
  std::vector<ConnectionId> again;
  for (const auto& [other, connection] : connections_) {
    if (connection.peer == gone.peer && connection.said) again.push_back(other);
  }
  for (const ConnectionId other : again) begin(other, now);
}

bool Dcutr::on_dial_failed(const DialFailed& failed, const Times& now) {
  const auto by = by_dial_.find(failed.dial);
  if (by == by_dial_.end()) return false;
  const auto [initiated, owner] = by->second;
  by_dial_.erase(by);
  if (initiated) {
    const auto upgrade = upgrades_.find(owner);
    if (upgrade == upgrades_.end()) return true;
    upgrade->second.dials.erase(failed.dial);
    upgrade->second.direct.erase(failed.dial);
    if (upgrade->second.stage == Stage::dialing && upgrade->second.direct.empty()) attempt(upgrade, now);
    return true;
  }
  const auto answer = answers_.find(owner);
  if (answer == answers_.end()) return true;
  // One that found somebody else, or was refused: the others go on, and so do we until the time is over.
  answer->second.dials.erase(failed.dial);
  return true;
}

void Dcutr::on_notice(const SwarmNotice& notice, const Times& now) {
  if (const auto* identified = std::get_if<Identified>(&notice)) {
    const auto at = connections_.find(identified->connection);
    if (at == connections_.end() || !at->second.relayed || !at->second.incoming) return;
    const std::vector<std::string>& protocols = identified->peer.said.protocols;
    const bool first = !at->second.said;
    Connection::Said said;
    said.speaks = std::find(protocols.begin(), protocols.end(), kDcutrProtocol) != protocols.end();
    said.addresses = identified->peer.addresses();
    at->second.said = std::move(said);
    if (first) begin(identified->connection, now);
    return;
  }
  if (!std::holds_alternative<NetworkChanged>(notice)) return;
  std::vector<ConnectionId> again;
  for (const auto& [id, connection] : connections_) {
    if (connection.said) again.push_back(id);
  }
  for (const ConnectionId id : again) begin(id, now);
}

// ---- Addresses and dials --------------------------------------------------------------------------------------------

bool Dcutr::direct_with(const PeerId& peer) const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [&](const auto& item) { return item.second.peer == peer && !item.second.relayed; });
}

std::vector<Multiaddr> Dcutr::allowed(const std::vector<Multiaddr>& addresses) const {
  std::vector<Multiaddr> out;
  for (const Multiaddr& given : addresses) {
    Multiaddr address = given.without_peer_id();
    const auto shape = shape_of(address);
    const bool fits = shape && shape->ip && settings_.filter.allows(*shape->ip) &&
                      (shape->transport == TransportKind::quic || shape->transport == TransportKind::tcp);
    if (!fits || out.size() == kHolePunchTargetsMax) continue;
    if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(std::move(address));
  }
  return out;
}

bool Dcutr::dial(const Multiaddr& address, const PeerId& peer, PunchRole role, std::set<uint64_t>& dials) {
  auto dial = swarm_.dial_punching(address.to_string(), peer, role);
  // Where a transport cannot connect from the port that it listens on, the peer may still let everybody in.
  const bool plain = !dial.ok() && dial.code() == Code::unsupported && role == PunchRole::client;
  if (plain) dial = swarm_.dial(address.to_string(), peer);
  if (dial.ok()) dials.insert(*dial);
  return dial.ok();
}

void Dcutr::cancel(std::set<uint64_t>& dials) {
  // Their ends are told, and are nobody's any more but still ours.
  for (const uint64_t dial : dials) swarm_.cancel_dial(dial);
  dials.clear();
}

PathReason Dcutr::silence(bool peer_has_targets) const {
  if (facts_.addresses.empty()) return PathReason::no_addresses;
  if (!peer_has_targets) return PathReason::peer_no_addresses;
  if (facts_.udp_blocked) return PathReason::udp_blocked;
  return facts_.symmetric ? PathReason::symmetric_nat : PathReason::timeout_direct;
}

// ---- B: who was dialed through the relay, and begins ----------------------------------------------------------------

void Dcutr::begin(ConnectionId id, const Times& now) {
  const Connection& connection = connections_.at(id);
  if (!settings_.initiate || upgrades_.contains(id) || direct_with(connection.peer)) return;
  Upgrade upgrade;
  upgrade.peer = connection.peer;
  upgrade.speaks = connection.said->speaks;
  upgrade.begun_us = now.mono_us;
  const auto at = upgrades_.emplace(id, std::move(upgrade)).first;
  if (upgrades_.size() > kHolePunchesMax || !rate_.take(connection.peer, now.mono_us)) {
    return end(at, PathReason::limit_reached, now);
  }
  at->second.deadline_us = now.mono_us + settings_.direct_lead_us;
  for (const Multiaddr& address : allowed(connection.said->addresses)) {
    const auto dial = swarm_.dial(address.to_string(), connection.peer);
    if (!dial.ok()) continue;
    at->second.direct.insert(*dial);
    by_dial_.emplace(*dial, std::pair(true, id));
  }
  if (at->second.direct.empty()) attempt(at, now);
}

void Dcutr::attempt(Upgrades::iterator at, const Times& now) {
  Upgrade& upgrade = at->second;
  if (!upgrade.speaks) return end(at, PathReason::peer_no_dcutr, now);
  HolePunchMessage connect;
  connect.addresses = facts_.addresses;
  if (connect.addresses.size() > kHolePunchTargetsMax) connect.addresses.resize(kHolePunchTargetsMax);
  const auto message = encode_hole_punch(connect);
  const auto stream = streams_.open(at->first, kDcutrProtocol, now.mono_us + kHolePunchMessageTimeoutUs);
  if (!stream.ok() || !message.ok()) return end(at, PathReason::limit_reached, now);
  (void)streams_.send(*stream, *message);  // a stream that ends says so
  ++upgrade.attempts;
  upgrade.stream = *stream;
  upgrade.stage = Stage::connecting;
  upgrade.sent_us = now.mono_us;
  upgrade.deadline_us = kNever;
  upgrade.reverse_us = kNever;
  upgrade.targets.clear();
}

void Dcutr::on_connect(Upgrades::iterator at, const HolePunchMessage& message, const Times& now) {
  Upgrade& upgrade = at->second;
  if (message.type != HolePunchType::connect || upgrade.stage != Stage::connecting) {
    streams_.reset(upgrade.stream);
    return attempt_failed(at, PathReason::peer_broke_protocol, now);
  }
  for (Multiaddr& address : allowed(message.addresses)) upgrade.targets.push_back({std::move(address), kNever});
  HolePunchMessage sync;
  sync.type = HolePunchType::sync;
  if (const auto bytes = encode_hole_punch(sync); bytes.ok()) (void)streams_.send(upgrade.stream, *bytes);
  streams_.finish(upgrade.stream);
  const uint64_t rtt_us = std::min(now.mono_us - upgrade.sent_us, kHolePunchRttMaxUs);
  upgrade.stage = Stage::syncing;
  upgrade.deadline_us = now.mono_us + rtt_us / 2;
}

void Dcutr::punch(Upgrades::iterator at, const Times& now) {
  Upgrade& upgrade = at->second;
  upgrade.stage = Stage::punching;
  upgrade.deadline_us = now.mono_us + settings_.dial_timeout_us;
  upgrade.reverse_us = now.mono_us + settings_.reverse_us;
  for (Target& target : upgrade.targets) {
    if (is_quic(target.address)) {
      target.probe_us = now.mono_us;
    } else if (dial(target.address, upgrade.peer, PunchRole::server, upgrade.dials)) {
      by_dial_.emplace(*upgrade.dials.rbegin(), std::pair(true, at->first));
    }
  }
}

// Sends those that are due. The time of the next.
uint64_t Dcutr::probe(Upgrade& upgrade, const Times& now) {
  uint64_t next = kNever;
  for (Target& target : upgrade.targets) {
    if (target.probe_us <= now.mono_us) {
      const Status sent = swarm_.send_probe(target.address.to_string());
      const bool useless = !sent.ok() && sent.code() != Code::again;
      const uint64_t wait_us = kProbeIntervalMinUs + random_.below(kProbeIntervalMaxUs - kProbeIntervalMinUs + 1);
      target.probe_us = useless ? kNever : now.mono_us + wait_us;
    }
    next = std::min(next, target.probe_us);
  }
  return next;
}

void Dcutr::attempt_failed(Upgrades::iterator at, PathReason reason, const Times& now) {
  Upgrade& upgrade = at->second;
  cancel(upgrade.dials);
  if (upgrade.attempts >= settings_.attempts) return end(at, reason, now);
  attempt(at, now);
}

void Dcutr::end(Upgrades::iterator at, PathReason reason, const Times& now) {
  Upgrade upgrade = std::move(at->second);
  HolePunched told;
  told.peer = upgrade.peer;
  told.reason = reason;
  told.relayed = at->first;
  told.attempts = upgrade.attempts;
  told.initiated = true;
  told.took_us = now.mono_us - upgrade.begun_us;
  upgrades_.erase(at);
  cancel(upgrade.direct);
  cancel(upgrade.dials);
  streams_.reset(upgrade.stream);
  events_.push_back(std::move(told));
}

// What its time asks for. When it wants to go on.
uint64_t Dcutr::advance(Upgrades::iterator at, const Times& now) {
  Upgrade& upgrade = at->second;
  uint64_t next = upgrade.deadline_us;
  if (now.mono_us >= upgrade.deadline_us) {
    const bool has_targets = !upgrade.targets.empty();
    switch (upgrade.stage) {
      case Stage::dialing:
        attempt(at, now);
        break;
      case Stage::connecting:
        break;  // its stream has a time of its own
      case Stage::syncing:
        punch(at, now);
        break;
      case Stage::punching:
        attempt_failed(at, silence(has_targets), now);
        break;
    }
    return now.mono_us;
  }
  if (upgrade.stage != Stage::punching) return next;
  if (now.mono_us >= upgrade.reverse_us) {
    upgrade.reverse_us = kNever;
    for (const Target& target : upgrade.targets) {
      const bool begun =
          is_quic(target.address) && dial(target.address, upgrade.peer, PunchRole::client, upgrade.dials);
      if (begun) by_dial_.emplace(*upgrade.dials.rbegin(), std::pair(true, at->first));
    }
  }
  next = std::min(next, upgrade.reverse_us);
  return std::min(next, probe(upgrade, now));
}

// ---- A: who dialed through the relay, and answers -------------------------------------------------------------------

bool Dcutr::accept(const StreamOpened& opened, const Times& now) {
  if (opened.protocol != kDcutrProtocol) return false;
  const auto connection = connections_.find(opened.connection);
  const bool fits = connection != connections_.end() && connection->second.relayed && !connection->second.incoming;
  const bool again = std::any_of(answers_.begin(), answers_.end(), [&](const auto& item) {
    return item.second.relayed == opened.connection && item.second.deadline_us == kNever;
  });
  if (!fits || again || answers_.size() >= kHolePunchesMax || !rate_.take(connection->second.peer, now.mono_us)) {
    swarm_.reset(opened.stream);
    return true;
  }
  Answer answer;
  answer.relayed = opened.connection;
  answer.peer = connection->second.peer;
  answer.begun_us = now.mono_us;
  answers_.emplace(opened.stream, std::move(answer));
  streams_.accept(opened, now.mono_us + kHolePunchMessageTimeoutUs);
  return true;
}

void Dcutr::on_answer_message(Answers::iterator at, const HolePunchMessage& message, const Times& now) {
  Answer& answer = at->second;
  if (message.type == HolePunchType::connect && !answer.connected) {
    answer.connected = true;
    answer.targets = allowed(message.addresses);
    HolePunchMessage connect;
    connect.addresses = facts_.addresses;
    if (connect.addresses.size() > kHolePunchTargetsMax) connect.addresses.resize(kHolePunchTargetsMax);
    if (const auto bytes = encode_hole_punch(connect); bytes.ok()) (void)streams_.send(at->first, *bytes);
    return;
  }
  if (message.type != HolePunchType::sync || !answer.connected || answer.deadline_us != kNever) {
    streams_.reset(at->first);
    return end(at, PathReason::peer_broke_protocol, now);
  }
  streams_.finish(at->first);
  answer.deadline_us = now.mono_us + settings_.dial_timeout_us;
  for (const Multiaddr& address : answer.targets) {
    if (!dial(address, answer.peer, PunchRole::client, answer.dials)) continue;
    by_dial_.emplace(*answer.dials.rbegin(), std::pair(false, at->first));
  }
}

void Dcutr::end(Answers::iterator at, PathReason reason, const Times& now) {
  Answer answer = std::move(at->second);
  HolePunched told;
  told.peer = answer.peer;
  told.reason = reason;
  told.relayed = answer.relayed;
  told.attempts = answer.deadline_us == kNever ? 0 : 1;
  told.took_us = now.mono_us - answer.begun_us;
  streams_.reset(at->first);
  answers_.erase(at);
  cancel(answer.dials);
  // Which attempt is the peer's last is not known here: the first that fails is told, and a success later.
  const auto relayed = connections_.find(answer.relayed);
  if (relayed != connections_.end() && std::exchange(relayed->second.told, true)) return;
  events_.push_back(std::move(told));
}

// ---- Streams and time -----------------------------------------------------------------------------------------------

void Dcutr::on_message_event(const MessageEvent& event, const Times& now) {
  const StreamId stream = std::visit([](const auto& one) { return one.stream; }, event);
  const auto answer = answers_.find(stream);
  const auto upgrade =
      std::find_if(upgrades_.begin(), upgrades_.end(), [&](const auto& item) { return item.second.stream == stream; });
  if (answer == answers_.end() && upgrade == upgrades_.end()) return;
  const bool arranged =
      answer != answers_.end() ? answer->second.deadline_us != kNever : upgrade->second.stage >= Stage::syncing;
  PathReason reason = PathReason::peer_broke_protocol;
  if (const auto* received = std::get_if<MessageReceived>(&event)) {
    const auto message = decode_hole_punch(received->message);
    if (message.ok()) {
      return answer != answers_.end() ? on_answer_message(answer, *message, now) : on_connect(upgrade, *message, now);
    }
  } else {
    if (arranged) return;  // all has been said on it
    const auto* closed = std::get_if<MessagesClosed>(&event);
    const Code code = closed == nullptr ? Code::protocol : closed->reason.code;
    if (code == Code::unsupported) reason = PathReason::peer_no_dcutr;
    if (code == Code::timeout || code == Code::closed || code == Code::io) reason = PathReason::peer_unresponsive;
  }
  if (answer != answers_.end()) return end(answer, reason, now);
  streams_.reset(stream);
  if (reason == PathReason::peer_no_dcutr) return end(upgrade, reason, now);
  attempt_failed(upgrade, reason, now);
}

void Dcutr::pump(const Times& now) {
  while (const auto event = streams_.next_event()) on_message_event(*event, now);
}

uint64_t Dcutr::step(const Times& now) {
  uint64_t next = streams_.step(now);
  pump(now);
  std::vector<ConnectionId> ids;
  ids.reserve(upgrades_.size());
  for (const auto& [id, upgrade] : upgrades_) ids.push_back(id);
  for (const ConnectionId id : ids) next = std::min(next, advance(upgrades_.find(id), now));
  std::vector<StreamId> late;
  for (const auto& [stream, answer] : answers_) {
    if (answer.deadline_us <= now.mono_us) {
      late.push_back(stream);
    } else {
      next = std::min(next, answer.deadline_us);
    }
  }
  for (const StreamId stream : late) {
    const auto answer = answers_.find(stream);
    end(answer, silence(!answer->second.targets.empty()), now);
  }
  return next;
}

std::optional<HolePunched> Dcutr::next_event() {
  if (events_.empty()) return std::nullopt;
  HolePunched event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace sereus::net
