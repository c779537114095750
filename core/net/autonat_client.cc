#include "core/net/autonat_client.h"

#include <algorithm>

#include "core/net/limits.h"
#include "core/net/transport_policy.h"

namespace sereus::net {
namespace {

constexpr MessageStreams::Bounds kAskedBounds{kAutoNatMessageMax, kAutoNatUnsentMax};
constexpr MessageStreams::Bounds kDialBackBounds{kAutoNatTextMax, kAutoNatTextMax};
constexpr size_t kAskingServerMax = 3;  // requests at one server at once: a dial that nobody answers takes its time

std::vector<Multiaddr> parse_all(const std::vector<std::string>& texts) {
  std::vector<Multiaddr> out;
  for (const std::string& text : texts) {
    auto address = Multiaddr::parse(text);
    if (address.ok()) out.push_back(std::move(*address));
  }
  return out;
}

bool is_v6_address(const Multiaddr& address) {
  const auto endpoint = endpoint_of(address);
  return endpoint && endpoint->is_v6;
}

bool contains(const std::vector<Multiaddr>& addresses, const Multiaddr& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

bool speaks(const Identify& said, std::string_view protocol) {
  return std::find(said.protocols.begin(), said.protocols.end(), protocol) != said.protocols.end();
}

}  // namespace

std::string_view reachability_name(Reachability reachability) {
  switch (reachability) {
    case Reachability::unknown:
      return "unknown";
    case Reachability::reachable:
      return "public";
    case Reachability::unreachable:
      return "private";
  }
  return "";
}

std::string_view reachability_reason_name(ReachabilityReason reason) {
  switch (reason) {
    case ReachabilityReason::dialed_back:
      return "dialed_back";
    case ReachabilityReason::not_dialed_back:
      return "not_dialed_back";
    case ReachabilityReason::no_addresses:
      return "no_addresses";
    case ReachabilityReason::network_changed:
      return "network_changed";
    case ReachabilityReason::addresses_gone:
      return "addresses_gone";
  }
  return "";
}

AutoNatClient::AutoNatClient(Swarm& swarm, Random& random, const AutoNatClientSettings& settings)
    : swarm_(swarm),
      random_(random),
      settings_(settings),
      observed_(settings.filter),
      asked_(swarm, kAskedBounds),
      dial_back_(swarm, kDialBackBounds) {}

// ---- What the swarm tells -------------------------------------------------------------------------------------------

bool AutoNatClient::on_event(const HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<Connected>(&event)) {
    connections_[connected->connection] = {connected->peer, connected->address, connected->incoming, std::nullopt};
    return false;
  }
  if (const auto* disconnected = std::get_if<Disconnected>(&event)) {
    connections_.erase(disconnected->connection);
    servers_.erase(disconnected->connection);
    if (observed_.remove(disconnected->connection))
      changed_us_ = std::min(changed_us_, now.mono_us + settings_.settle_us);
    return false;
  }
  const auto* opened = std::get_if<StreamOpened>(&event);
  bool ours = opened != nullptr && opened->incoming && accept(*opened, now);
  if (!ours) ours = asked_.on_event(event, now) || dial_back_.on_event(event, now);
  if (ours) pump(now);
  return ours;
}

void AutoNatClient::on_notice(const SwarmNotice& notice, const Times& now) {
  if (const auto* identified = std::get_if<Identified>(&notice)) return on_identified(*identified, now);
  if (std::holds_alternative<ListenChanged>(notice)) {
    // Also told of the addresses that this found itself: refresh_candidates() sees whether anything is new.
    changed_us_ = std::min(changed_us_, now.mono_us + settings_.settle_us);
  } else if (std::holds_alternative<NetworkChanged>(notice)) {
    observed_.clear();
    candidates_.clear();
    order_.clear();
    for (auto& [id, server] : servers_) server.not_before_us = server.failures = 0;
    // Connections that live on say nothing new by themselves: what they see now is asked for.
    for (auto& [id, connection] : connections_) {
      connection.observed.reset();
      (void)swarm_.identify(id);  // its failure is told to whoever wants to know
    }
    reason_ = ReachabilityReason::network_changed;
    changed_us_ = now.mono_us;
  }
}

void AutoNatClient::on_identified(const Identified& identified, const Times& now) {
  const auto at = connections_.find(identified.connection);
  if (at == connections_.end() || is_relayed(at->second.address)) return;
  const auto remote = endpoint_of(std::string_view(at->second.address));
  if (!remote) return;
  const Identify& said = identified.peer.said;
  if (said.observed && observed_.add(identified.connection, *remote, at->second.incoming, *said.observed)) {
    changed_us_ = std::min(changed_us_, now.mono_us + settings_.settle_us);
  }
  if (said.observed) at->second.observed = said.observed->without_peer_id();
  const bool v2 = speaks(said, kAutoNatRequestProtocol);
  const bool v1 = speaks(said, kAutoNatProtocol);
  // Who is on our side of the NAT reaches what others do not.
  if ((!v1 && !v2) || !settings_.filter.allows(*remote)) {
    servers_.erase(identified.connection);
    return;
  }
  const auto [server_at, fresh] = servers_.try_emplace(identified.connection);
  Server& server = server_at->second;
  server.peer = at->second.peer;
  server.remote = *remote;
  server.subnet = subnet_of(*remote);
  server.v1 = v1;
  server.v2 = v2;
  if (!fresh) return;
  // One more to ask where there were fewer than are wanted.
  for (auto& [address, candidate] : candidates_) {
    if (candidate.votes.size() < settings_.votes) candidate.settled = false;
  }
}

// ---- Whom to ask about what -----------------------------------------------------------------------------------------

std::vector<Multiaddr> AutoNatClient::candidates() const { return order_; }

void AutoNatClient::refresh_candidates(const Times& now) {
  if (now.mono_us < changed_us_) return;
  changed_us_ = kNever;
  // An address that was announced because of what was found is no reason to hold it for one that is listened on.
  listening_.clear();
  for (Multiaddr& address : parse_all(swarm_.listen_addresses())) {
    if (endpoint_of(address)) listening_.push_back(std::move(address));
  }
  std::vector<Multiaddr> wanted;
  const auto add = [&](const Multiaddr& address) {
    if (wanted.size() < kAutoNatCandidatesMax && settings_.filter.allows(address) && !contains(wanted, address)) {
      wanted.push_back(address);
    }
  };
  for (const Multiaddr& address : listening_) add(address);
  for (const auto& candidate : observed_.candidates(listening_)) add(candidate.address);
  // What was found to be reached stays until it is looked at again, also while nobody is there who sees it.
  for (const auto& item : candidates_) {
    const Multiaddr& address = item.first;
    const Candidate& candidate = item.second;
    const bool same_kind = std::any_of(listening_.begin(), listening_.end(), [&](const Multiaddr& listening) {
      return shape_of(listening)->transport == shape_of(address)->transport &&
             is_v6_address(listening) == is_v6_address(address);
    });
    if (candidate.state == Reachability::reachable && now.mono_us < candidate.next_us && same_kind) add(address);
  }
  const size_t before = candidates_.size();
  std::erase_if(candidates_, [&](const auto& item) { return !contains(wanted, item.first); });
  if (candidates_.size() != before) reason_ = ReachabilityReason::addresses_gone;
  for (const Multiaddr& address : wanted) {
    const auto [at, added] = candidates_.try_emplace(address);
    if (added) at->second.round_us = now.mono_us;
  }
  if (listening_.empty()) reason_ = ReachabilityReason::no_addresses;
  order_ = std::move(wanted);
}

size_t AutoNatClient::enough() const {
  std::set<Subnet> subnets;
  for (const auto& [id, server] : servers_) subnets.insert(server.subnet);
  return std::clamp<size_t>(subnets.size(), 1, std::max<size_t>(settings_.votes, 1));
}

bool AutoNatClient::wanted(const Candidate& candidate, const Server& server, ConnectionId id) const {
  if (candidate.settled || candidate.refused.contains(id)) return false;
  const auto vote = candidate.votes.find(server.subnet);
  return vote == candidate.votes.end() || vote->second.at_us < candidate.round_us;
}

void AutoNatClient::plan(const Times& now) {
  for (auto& [address, candidate] : candidates_) {
    if (!candidate.settled || now.mono_us < candidate.next_us) continue;
    candidate.settled = false;
    candidate.round_us = now.mono_us;
    candidate.refused.clear();
  }
  for (auto& entry : servers_) {
    const ConnectionId id = entry.first;
    Server& server = entry.second;
    if (now.mono_us < server.not_before_us) continue;
    if (!server.v2) {
      if (server.asked == 0) (void)ask_v1(id, server, now);
      continue;
    }
    for (const Multiaddr& address : order_) {
      if (requests_.size() >= 2 * kAutoNatAskingMax || server.asked >= kAskingServerMax) break;
      Candidate& candidate = candidates_.at(address);
      // Not more at once than are needed: a vote may settle it.
      if (!wanted(candidate, server, id) || candidate.asked >= kAutoNatAskingMax) continue;
      const bool asked_here = std::any_of(requests_.begin(), requests_.end(), [&](const auto& item) {
        return item.second.connection == id && contains(item.second.addresses, address);
      });
      if (!asked_here && !ask_v2(id, server, address, now)) break;
    }
  }
}

bool AutoNatClient::ask_v2(ConnectionId id, Server& server, const Multiaddr& address, const Times& now) {
  const auto stream = asked_.open(id, kAutoNatRequestProtocol, now.mono_us + kAutoNatRequestTimeoutUs);
  if (!stream.ok()) return false;
  Request request{id, true, {address}, random_.next_u64(), false, false};
  (void)asked_.send(*stream, encode_autonat_v2(AutoNatRequest{request.addresses, request.nonce}));
  requests_.emplace(*stream, std::move(request));
  ++server.asked;
  ++candidates_.at(address).asked;
  return true;
}

// All addresses that have the IP address which the server sees: it must not dial others.
bool AutoNatClient::ask_v1(ConnectionId id, Server& server, const Times& now) {
  const auto& observed = connections_.at(id).observed;
  const auto seen = observed ? endpoint_of(*observed) : std::nullopt;
  if (!seen) return false;
  Request request{id, false, {}, 0, false, false};
  bool any = false;
  for (const Multiaddr& address : order_) {
    if (!same_ip(*endpoint_of(address), *seen) || request.addresses.size() == kAutoNatV1DialsMax) continue;
    any = any || wanted(candidates_.at(address), server, id);
    request.addresses.push_back(address);
  }
  if (!any || requests_.size() >= 2 * kAutoNatAskingMax) return false;
  const auto stream = asked_.open(id, kAutoNatProtocol, now.mono_us + kAutoNatRequestTimeoutUs);
  if (!stream.ok()) return false;
  (void)asked_.send(*stream, encode_autonat_dial({swarm_.peer_id(), request.addresses, 0}));
  asked_.finish(*stream);
  ++server.asked;
  for (const Multiaddr& address : request.addresses) ++candidates_.at(address).asked;
  requests_.emplace(*stream, std::move(request));
  return true;
}

// ---- Answers --------------------------------------------------------------------------------------------------------

void AutoNatClient::pump(const Times& now) {
  while (const auto event = dial_back_.next_event()) on_dial_back(*event);
  while (const auto event = asked_.next_event()) on_asked_event(*event, now);
  while (const auto event = dial_back_.next_event()) on_dial_back(*event);
}

void AutoNatClient::on_asked_event(const MessageEvent& event, const Times& now) {
  const StreamId stream = std::visit([](const auto& one) { return one.stream; }, event);
  const auto request = requests_.find(stream);
  if (request == requests_.end()) return;
  if (const auto* received = std::get_if<MessageReceived>(&event)) {
    if (request->second.v2) {
      on_v2_message(request, received->message, now);
    } else {
      on_v1_message(request, received->message, now);
    }
    return;
  }
  const auto* closed = std::get_if<MessagesClosed>(&event);
  if (closed == nullptr) asked_.reset(stream);  // ended without an answer
  if (const auto server = servers_.find(request->second.connection);
      closed != nullptr && closed->reason.code == Code::unsupported && server != servers_.end()) {
    (request->second.v2 ? server->second.v2 : server->second.v1) = false;
  }
  failed(request->second, now);
  forget(request);
}

void AutoNatClient::on_v2_message(Requests::iterator at, ByteView message, const Times& now) {
  const auto decoded = decode_autonat_v2(message);
  if (decoded.ok()) {
    if (const auto* wants = std::get_if<AutoNatDataRequest>(&*decoded)) return on_data_request(at, *wants, now);
  }
  const auto* response = decoded.ok() ? std::get_if<AutoNatResponse>(&*decoded) : nullptr;
  const Request request = at->second;
  if (response != nullptr) asked_.finish(at->first);
  if (response == nullptr) asked_.reset(at->first);
  forget(at);
  if (response == nullptr || response->outcome == AutoNatOutcome::internal_error ||
      response->outcome == AutoNatOutcome::request_rejected) {
    return failed(request, now);
  }
  if (response->outcome == AutoNatOutcome::dial_refused) return refused(request);
  if (response->index >= request.addresses.size()) return failed(request, now);
  // The nonce is the proof, whatever the server says became of its own stream. A yes without it proves nothing, and neither
  // does a no of one who got through and could not say it.
  if (request.nonce_came) return vote(request, request.addresses.front(), true, now);
  if (response->dial == AutoNatDialStatus::dial_error) return vote(request, request.addresses.front(), false, now);
  failed(request, now);
}

void AutoNatClient::on_data_request(Requests::iterator at, const AutoNatDataRequest& message, const Times& now) {
  Request& request = at->second;
  const bool fair = !request.paid && message.index < request.addresses.size() && message.bytes <= kAutoNatDataMax;
  if (!fair) {
    asked_.reset(at->first);
    const Request gone = request;
    forget(at);
    return failed(gone, now);
  }
  request.paid = true;
  for (uint64_t left = message.bytes; left > 0;) {
    const auto chunk = static_cast<size_t>(std::min<uint64_t>(left, kAutoNatDataChunkMax));
    if (!asked_.send(at->first, encode_autonat_v2(AutoNatData{chunk})).ok()) return;  // its end is told
    left -= chunk;
  }
}

void AutoNatClient::on_v1_message(Requests::iterator at, ByteView message, const Times& now) {
  const auto answer = decode_autonat_answer(message);
  const Request request = at->second;
  if (!answer.ok()) asked_.reset(at->first);
  forget(at);
  if (!answer.ok()) return failed(request, now);
  switch (answer->status) {
    case AutoNatStatus::ok: {
      const Multiaddr address = answer->address ? answer->address->without_peer_id() : Multiaddr();
      if (request.addresses.size() == 1 && !answer->address) return vote(request, request.addresses.front(), true, now);
      // Of the others nothing is known.
      if (contains(request.addresses, address)) return vote(request, address, true, now);
      return failed(request, now);
    }
    case AutoNatStatus::dial_error:
      for (const Multiaddr& address : request.addresses) vote(request, address, false, now);
      return;
    case AutoNatStatus::dial_refused:
      return refused(request);
    case AutoNatStatus::bad_request:
    case AutoNatStatus::internal_error:
      return failed(request, now);
  }
}

void AutoNatClient::forget(Requests::iterator request) {
  if (const auto server = servers_.find(request->second.connection); server != servers_.end()) --server->second.asked;
  for (const Multiaddr& address : request->second.addresses) {
    const auto candidate = candidates_.find(address);
    if (candidate != candidates_.end() && candidate->second.asked > 0) --candidate->second.asked;
  }
  requests_.erase(request);
}

void AutoNatClient::vote(const Request& request, const Multiaddr& address, bool reached, const Times& now) {
  const auto server = servers_.find(request.connection);
  const auto at = candidates_.find(address);
  if (server == servers_.end() || at == candidates_.end()) return;
  server->second.failures = 0;
  Candidate& candidate = at->second;
  // Of a version 1 server that reached one address, the others remain to be asked about elsewhere.
  if (!request.v2) {
    for (const Multiaddr& other : request.addresses) {
      const auto its = candidates_.find(other);
      if (its != candidates_.end() && reached && other != address) its->second.refused.insert(request.connection);
    }
  }
  if (candidate.votes.size() >= kAutoNatVotesMax && !candidate.votes.contains(server->second.subnet)) {
    const auto oldest = std::min_element(candidate.votes.begin(), candidate.votes.end(),
                                         [](const auto& a, const auto& b) { return a.second.at_us < b.second.at_us; });
    candidate.votes.erase(oldest);
  }
  candidate.votes[server->second.subnet] = {reached, now.mono_us};
}

void AutoNatClient::refused(const Request& request) {
  for (const Multiaddr& address : request.addresses) {
    const auto candidate = candidates_.find(address);
    if (candidate != candidates_.end()) candidate->second.refused.insert(request.connection);
  }
}

void AutoNatClient::failed(const Request& request, const Times& now) {
  const auto server = servers_.find(request.connection);
  if (server == servers_.end()) return;
  const uint64_t wait_us = settings_.retry_us << std::min<size_t>(server->second.failures, 10);
  ++server->second.failures;
  server->second.not_before_us = now.mono_us + std::min(wait_us, settings_.retry_max_us);
}

// ---- Dial-backs -----------------------------------------------------------------------------------------------------

bool AutoNatClient::accept(const StreamOpened& opened, const Times& now) {
  if (opened.protocol != kAutoNatDialBackProtocol) return false;
  if (dial_back_.size() >= kAutoNatReceivingMax) {
    swarm_.reset(opened.stream);
    return true;
  }
  dial_back_.accept(opened, now.mono_us + kAutoNatReceiveTimeoutUs);
  return true;
}

void AutoNatClient::on_dial_back(const MessageEvent& event) {
  if (const auto* ended = std::get_if<MessagesEnded>(&event)) return dial_back_.finish(ended->stream);
  const auto* received = std::get_if<MessageReceived>(&event);
  if (received == nullptr) return;
  const auto nonce = decode_autonat_dial_back(received->message);
  const auto connection = connections_.find(dial_back_.connection_of(received->stream));
  if (!nonce.ok() || connection == connections_.end()) return dial_back_.reset(received->stream);
  const auto from = Multiaddr::parse(connection->second.address);
  const auto shape = from.ok() ? shape_of(*from) : std::nullopt;
  for (auto& [stream, request] : requests_) {
    if (!request.v2 || request.nonce != *nonce || !shape) continue;
    // Somebody else came to us, by the transport and the family of the address.
    const auto asked = shape_of(request.addresses.front());
    const bool fits = connection->second.incoming && asked->transport == shape->transport && shape->ip &&
                      asked->ip->is_v6 == shape->ip->is_v6;
    if (!fits || stream == 0) continue;
    request.nonce_came = true;
    (void)dial_back_.send(received->stream, encode_autonat_dial_back_answer());
    return dial_back_.finish(received->stream);
  }
  dial_back_.reset(received->stream);  // nobody asked for it
}

// ---- What follows ---------------------------------------------------------------------------------------------------

void AutoNatClient::settle(const Times& now) {
  const size_t needed = enough();
  for (auto& entry : candidates_) {
    Candidate& candidate = entry.second;
    if (candidate.settled) continue;
    size_t yes = 0;
    size_t no = 0;
    for (const auto& [subnet, vote] : candidate.votes) {
      if (vote.at_us < candidate.round_us) continue;
      ++(vote.reached ? yes : no);
    }
    if (yes == no || std::max(yes, no) < needed) {
      // Whoever there is has been asked: again later.
      const bool asked = !servers_.empty() && candidate.asked == 0 &&
                         std::none_of(servers_.begin(), servers_.end(),
                                      [&](const auto& item) { return wanted(candidate, item.second, item.first); });
      candidate.settled = asked;
      candidate.next_us = now.mono_us + settings_.retry_max_us;
      continue;
    }
    const Reachability state = yes > no ? Reachability::reachable : Reachability::unreachable;
    const bool same = state == candidate.state;
    candidate.state = state;
    candidate.settled = true;
    candidate.recheck_us = same ? std::min(candidate.recheck_us * 2, settings_.recheck_max_us) : settings_.recheck_us;
    candidate.next_us = now.mono_us + candidate.recheck_us;
    reason_ = yes > no ? ReachabilityReason::dialed_back : ReachabilityReason::not_dialed_back;
  }
}

Reachability AutoNatClient::of_family(bool is_v6) const {
  bool listens = false;
  for (const Multiaddr& address : listening_) listens = listens || is_v6_address(address) == is_v6;
  if (!listens) return Reachability::unreachable;
  bool any = false;
  bool pending = false;
  for (const auto& [address, candidate] : candidates_) {
    if (is_v6_address(address) != is_v6) continue;
    if (candidate.state == Reachability::reachable) return Reachability::reachable;
    any = any || candidate.state == Reachability::unreachable;
    // One that no server dials does not keep the others' verdict back.
    pending = pending || (candidate.state == Reachability::unknown && !candidate.settled);
  }
  return any && !pending ? Reachability::unreachable : Reachability::unknown;
}

void AutoNatClient::tell() {
  ReachabilityChanged state;
  state.v4 = of_family(false);
  state.v6 = of_family(true);
  if (state.v4 == Reachability::reachable || state.v6 == Reachability::reachable) {
    state.overall = Reachability::reachable;
  } else if (state.v4 == Reachability::unreachable && state.v6 == Reachability::unreachable) {
    state.overall = Reachability::unreachable;
  }
  for (const Multiaddr& address : order_) {
    if (candidates_.at(address).state == Reachability::reachable) state.addresses.push_back(address.to_string());
  }
  state.reason = reason_;
  const bool same = told_.overall == state.overall && told_.v4 == state.v4 && told_.v6 == state.v6 &&
                    told_.addresses == state.addresses;
  if (same && told_once_) return;
  // Nothing is known at the beginning, and that is no news.
  const bool news = told_once_ || state.overall != Reachability::unknown || !state.addresses.empty();
  told_ = state;
  if (!news) return;
  told_once_ = true;
  events_.push_back(std::move(state));
}

std::vector<AutoNatClient::AddressState> AutoNatClient::addresses() const {
  std::vector<AddressState> out;
  out.reserve(order_.size());
  for (const Multiaddr& address : order_) {
    const Candidate& candidate = candidates_.at(address);
    AddressState state{address, candidate.state, 0, 0};
    for (const auto& [subnet, vote] : candidate.votes) ++(vote.reached ? state.yes : state.no);
    out.push_back(std::move(state));
  }
  return out;
}

std::vector<std::string> AutoNatClient::external_addresses() const {
  std::vector<std::string> out;
  for (const Multiaddr& address : order_) {
    const bool reached = candidates_.at(address).state == Reachability::reachable;
    if (reached && !contains(listening_, address)) out.push_back(address.to_string());
  }
  return out;
}

uint64_t AutoNatClient::step(const Times& now) {
  uint64_t next = std::min(asked_.step(now), dial_back_.step(now));
  pump(now);
  refresh_candidates(now);
  settle(now);
  plan(now);
  tell();
  next = std::min(next, changed_us_);
  if (servers_.empty()) return next;
  for (const auto& [address, candidate] : candidates_) {
    if (candidate.settled) next = std::min(next, candidate.next_us);
  }
  for (const auto& [id, server] : servers_) {
    if (server.not_before_us > now.mono_us) next = std::min(next, server.not_before_us);
  }
  return std::max(next, now.mono_us + 1);
}

std::optional<ReachabilityChanged> AutoNatClient::next_event() {
  if (events_.empty()) return std::nullopt;
  ReachabilityChanged event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace sereus::net
