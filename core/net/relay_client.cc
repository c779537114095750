#include "core/net/relay_client.h"

#include <algorithm>
#include <utility>

namespace sereus::net {
namespace {

constexpr size_t kUnsentMax = 2 * kCircuitMessageMax;

// What a dial fails with. Whoever is refused for the relay's own reasons may try again, so does one whose peer is not there.
Error error_of(CircuitStatus status) {
  const std::string said = "the relay refused: " + std::string(status_name(status));
  switch (status) {
    case CircuitStatus::permission_denied:
      return fail(Code::denied, said);
    case CircuitStatus::malformed_message:
    case CircuitStatus::unexpected_message:
      return fail(Code::protocol, said);
    default:
      return fail(Code::unreachable, said);
  }
}

}  // namespace

RelayClient::RelayClient(Swarm& swarm, CircuitHost& host, Random& random, const RelayClientSettings& settings)
    : swarm_(swarm),
      host_(host),
      links_(host.links()),
      reservations_(swarm, random, settings),
      hops_(swarm, {kCircuitMessageMax, kUnsentMax}),
      stops_(swarm, {kCircuitMessageMax, kUnsentMax}) {}

Result<std::unique_ptr<RelayClient>> RelayClient::create(Swarm& swarm, CircuitHost& host, const crypto::KeyPair& device,
                                                         Random& random, Logger* logger,
                                                         const RelayClientSettings& settings, const TcpSettings& tcp) {
  SEREUS_TRY(host.attach(swarm, device, random, logger, tcp));
  return std::unique_ptr<RelayClient>(new RelayClient(swarm, host, random, settings));
}

RelayClient::~RelayClient() { host_.detach(now_); }

Status RelayClient::add_relay(std::string_view multiaddr) {
  SEREUS_ASSIGN(Multiaddr address, Multiaddr::parse(multiaddr));
  if (const auto circuit = circuit_address_of(address)) {
    if (circuit->relay.empty()) return fail(Code::invalid, "the address names no relay");
    reservations_.add(circuit->relay, circuit->via.empty() ? std::vector<Multiaddr>() : std::vector{circuit->via});
    return {};
  }
  const auto peer = address.peer_id();
  if (!peer) return fail(Code::invalid, "the relay's address needs its peer id (/p2p/...)");
  const Multiaddr via = address.without_peer_id();
  if (!via.empty() && !shape_of(via)) return fail(Code::unsupported, "no transport here is for such an address");
  reservations_.add(*peer, via.empty() ? std::vector<Multiaddr>() : std::vector{via});
  return {};
}

// ---- Dialing ----------------------------------------------------------------------------------------------------------

// What was asked of the host by listen().
void RelayClient::take_listens() {
  for (const CircuitAddress& address : host_.take_listens()) {
    if (address.relay.empty()) {
      RelayClientSettings settings = reservations_.settings();
      settings.learn = true;
      settings.reservations = std::max<size_t>(settings.reservations, 1);
      reservations_.set_settings(settings);
    } else {
      reservations_.add(address.relay, address.via.empty() ? std::vector<Multiaddr>() : std::vector{address.via});
    }
  }
}

void RelayClient::take_wanted(const Times& now) {
  while (const auto wanted = links_->next_wanted()) {
    const CircuitHost::Wanted* what = host_.wanted(wanted->number);
    if (what == nullptr) {
      links_->refused(wanted->link, fail(Code::cancelled, "the dial was cancelled"));
      continue;
    }
    const Dial dial{wanted->link, wanted->number, what->address.relay, what->peer};
    named_[dial.number] = dial;
    if (const ConnectionId relay = reservations_.direct(dial.relay); relay != 0) {
      connect(dial, relay, now);
    } else {
      reach_relay(dial, what->address.via, now);
    }
  }
}

void RelayClient::reach_relay(const Dial& dial, const Multiaddr& via, const Times& /*now*/) {
  if (via.empty()) return refuse(dial, CircuitStatus::unused, fail(Code::unreachable, "the relay is not connected"));
  const auto reaching = swarm_.dial(dial.relay, {via.to_string()});
  if (!reaching.ok()) return refuse(dial, CircuitStatus::unused, reaching.error());
  reaching_[*reaching] = dial;
}

void RelayClient::connect(const Dial& dial, ConnectionId relay, const Times& now) {
  HopMessage message;
  message.type = HopMessage::Type::connect;
  message.peer = dial.target;
  const auto stream = hops_.open(relay, kHopProtocol, now.mono_us + kCircuitHandshakeTimeoutUs);
  if (!stream.ok()) return refuse(dial, CircuitStatus::unused, stream.error());
  asking_[*stream] = dial;
  (void)hops_.send(*stream, encode_hop(message).value());  // its end is told
}

void RelayClient::refuse(const Dial& dial, CircuitStatus status, const Error& error) {
  tell(CircuitRefused{dial.relay, dial.target, status, error});
  links_->refused(dial.link, error);
}

void RelayClient::take_answers(const Times& now) {
  while (const auto event = hops_.next_event()) {
    if (const auto* received = std::get_if<MessageReceived>(&*event)) {
      on_answer(received->stream, received->message, now);
      continue;
    }
    const auto* ended = std::get_if<MessagesEnded>(&*event);
    const auto* closed = std::get_if<MessagesClosed>(&*event);
    const auto found = asking_.find(ended != nullptr ? ended->stream : closed->stream);
    if (found == asking_.end()) continue;  // it was answered before
    const Dial dial = found->second;
    asking_.erase(found);
    if (ended != nullptr) hops_.reset(ended->stream);
    refuse(dial, CircuitStatus::unused,
           closed != nullptr ? closed->reason : fail(Code::protocol, "the relay gave no answer"));
  }
}

void RelayClient::on_answer(StreamId stream, ByteView message, const Times& now) {
  const auto found = asking_.find(stream);
  if (found == asking_.end()) return hops_.reset(stream);
  const Dial dial = found->second;
  asking_.erase(found);
  const auto answer = decode_hop(message);
  const bool status = answer.ok() && answer->type == HopMessage::Type::status && answer->status;
  if (!status || *answer->status != CircuitStatus::ok) {
    hops_.finish(stream);
    if (status) return refuse(dial, *answer->status, error_of(*answer->status));
    return refuse(dial, CircuitStatus::unused, fail(Code::protocol, "the relay's answer is no status"));
  }
  if (!links_->waits(dial.link)) return hops_.reset(stream);  // nobody wants it any more
  const CircuitLimit limit = answer->limit.value_or(CircuitLimit());
  host_.set_limit(dial.number, limit);
  links_->opened(dial.link, stream, hops_.release(stream), limit, now);
}

// ---- Being called -----------------------------------------------------------------------------------------------------

void RelayClient::accept(const StreamOpened& opened, const Times& now) {
  if (stops_.size() >= kCircuitsInboundMax) return swarm_.reset(opened.stream);
  stops_.accept(opened, now.mono_us + kCircuitAnswerTimeoutUs);
  take_calls(now);
}

void RelayClient::take_calls(const Times& now) {
  while (const auto event = stops_.next_event()) {
    if (const auto* received = std::get_if<MessageReceived>(&*event)) {
      on_call(received->stream, received->message, now);
    } else if (const auto* ended = std::get_if<MessagesEnded>(&*event)) {
      stops_.finish(ended->stream);
    }
  }
}

void RelayClient::answer_call(StreamId stream, CircuitStatus status) {
  StopMessage message;
  message.type = StopMessage::Type::status;
  message.status = status;
  (void)stops_.send(stream, encode_stop(message).value());
  if (status != CircuitStatus::ok) stops_.finish(stream);
}

void RelayClient::on_call(StreamId stream, ByteView message, const Times& now) {
  const auto connection = direct_.find(stops_.connection_of(stream));
  const auto call = decode_stop(message);
  if (!call.ok()) return answer_call(stream, CircuitStatus::malformed_message);
  if (call->type != StopMessage::Type::connect) return answer_call(stream, CircuitStatus::unexpected_message);
  if (!call->peer) return answer_call(stream, CircuitStatus::malformed_message);
  // Only from relays that we asked to, over a direct connection: nobody else makes us anybody's target.
  const bool asked = connection != direct_.end() && reservations_.reserved(connection->second.peer);
  if (!asked || *call->peer == swarm_.peer_id() || *call->peer == connection->second.peer) {
    return answer_call(stream, CircuitStatus::permission_denied);
  }
  answer_call(stream, CircuitStatus::ok);
  const auto via = Multiaddr::parse(connection->second.address);
  const PeerId& relay = connection->second.peer;
  const CircuitLimit limit = call->limit.value_or(CircuitLimit());
  const uint64_t number = host_.add_incoming(relay, via.ok() ? *via : Multiaddr(), *call->peer, limit);
  named_[number] = {0, number, relay, *call->peer};
  links_->accepted(number, stream, stops_.release(stream), limit, now);
}

// ---- What happens on the swarm ----------------------------------------------------------------------------------------

bool RelayClient::on_event(const HostEvent& event, const Times& now) {
  now_ = now;
  if (const auto* connected = std::get_if<Connected>(&event); connected != nullptr && !connected->relayed) {
    direct_[connected->connection] = {connected->peer, connected->address};
  }
  if (const auto* disconnected = std::get_if<Disconnected>(&event)) direct_.erase(disconnected->connection);
  if (const auto* opened = std::get_if<StreamOpened>(&event); opened != nullptr && opened->incoming) {
    if (opened->protocol != kStopProtocol) return false;
    accept(*opened, now);
    return true;
  }
  if (links_->on_event(event, now)) return true;
  if (hops_.on_event(event, now)) {
    take_answers(now);
    return true;
  }
  if (stops_.on_event(event, now)) {
    take_calls(now);
    return true;
  }
  return reservations_.on_event(event, now);
}

void RelayClient::on_notice(const SwarmNotice& notice, const Times& now) {
  now_ = now;
  reservations_.on_notice(notice, now);
  const auto* reached = std::get_if<Reached>(&notice);
  const auto* unreached = std::get_if<Unreached>(&notice);
  if (reached == nullptr && unreached == nullptr) return;
  const auto found = reaching_.find(reached != nullptr ? reached->dial : unreached->dial);
  if (found == reaching_.end()) return;
  const Dial dial = found->second;
  reaching_.erase(found);
  if (!links_->waits(dial.link)) return;
  if (unreached != nullptr) return refuse(dial, CircuitStatus::unused, unreached->error);
  const ConnectionId relay = reservations_.direct(dial.relay);
  if (relay == 0) {
    return refuse(dial, CircuitStatus::unused, fail(Code::unreachable, "the relay is reached over a relay only"));
  }
  connect(dial, relay, now);
}

// What the links and the reservations have to say.
void RelayClient::collect(const Times& /*now*/) {
  while (const auto limited = links_->next_limited()) {
    const auto found = named_.find(limited->number);
    if (found != named_.end()) tell(CircuitLimited{found->second.relay, found->second.target, limited->limit});
  }
  while (const auto ended = links_->next_ended()) {
    named_.erase(*ended);
    host_.forget_incoming(*ended);
  }
  while (auto event = reservations_.next_event()) {
    std::visit([this](auto& one) { tell(std::move(one)); }, *event);
  }
  if (!reservations_.take_change()) return;
  host_.set_listen_addresses(reservations_.addresses());
  swarm_.listen_addresses_changed();
}

uint64_t RelayClient::step(const Times& now) {
  now_ = now;
  take_listens();
  take_wanted(now);
  const uint64_t next = std::min({links_->step(now), hops_.step(now), stops_.step(now), reservations_.step(now)});
  take_answers(now);
  take_calls(now);
  collect(now);
  return next;
}

void RelayClient::tell(RelayClientEvent event) {
  if (events_.size() >= kRelayEventsMax) events_.pop_front();
  events_.push_back(std::move(event));
}

std::optional<RelayClientEvent> RelayClient::next_event() {
  if (events_.empty()) return std::nullopt;
  RelayClientEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void RelayClient::close() {
  reservations_.close();
  collect(now_);
}

}  // namespace sereus::net
