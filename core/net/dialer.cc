#include "core/net/dialer.h"

#include <algorithm>

#include "core/net/transport_policy.h"

namespace sereus::net {
namespace {

constexpr size_t kDescribedMax = 16;  // addresses in one line of text

Bytes backoff_key(const PeerId& peer, const Multiaddr& address) {
  Bytes key = to_bytes(peer.multihash());
  append(key, address.to_bytes());
  return key;
}

// Failures that say nothing about the address.
bool is_local(Code code) {
  return code == Code::again || code == Code::cancelled || code == Code::closed || code == Code::no_memory ||
         code == Code::unsupported || code == Code::invalid || code == Code::too_large;
}

// `address` with the name replaced. A TLS name that the address leaves to its host is kept as sni, since the certificate
// is for it: /dns4/h/tcp/443/wss becomes /ip4/.../tcp/443/tls/sni/h/ws (libp2p specs, addressing).
Result<Multiaddr> resolved_address(const Multiaddr& address, const AddressShape& shape, const IpEndpoint& ip) {
  std::string text = (ip.is_v6 ? "/ip6/" : "/ip4/") + ip_to_string(ip);
  if (shape.transport != TransportKind::wss) {
    const std::string whole = address.without_peer_id().to_string();
    const size_t name_end = whole.find('/', whole.find('/', 1) + 1);
    return Multiaddr::parse(text + whole.substr(name_end));
  }
  std::string sni = shape.name;
  for (const Multiaddr::Part& part : address.parts()) {
    if (part.code == AddrCode::sni) sni = to_string(ByteView(part.value));
  }
  return Multiaddr::parse(text + "/tcp/" + std::to_string(shape.port) + "/tls/sni/" + sni + "/ws");
}

}  // namespace

Dialer::Dialer(Host& host, Resolver* resolver, Random& random, const DialSettings& settings)
    : host_(host), resolver_(resolver), random_(random), settings_(settings), dnsaddr_(resolver) {}

// ---- Asking -----------------------------------------------------------------------------------------------------------

Status Dialer::dial(uint64_t dial, const PeerId& peer, std::vector<Multiaddr> addresses, bool force) {
  auto found = attempts_.find(peer);
  if (found == attempts_.end()) {
    if (attempts_.size() >= kDialPeersMax) return fail(Code::again, "too many peers are being dialed");
    found = attempts_.try_emplace(peer).first;
    found->second.peer = peer;
    found->second.order = ++last_order_;
    order_.emplace(last_order_, peer);
  }
  Attempt& attempt = found->second;
  attempt.dials.push_back(dial);
  attempt.force = attempt.force || force;
  for (Multiaddr& address : addresses) attempt.fresh.push_back(std::move(address));
  changed_ = true;
  return {};
}

void Dialer::cancel(uint64_t dial) {
  for (auto& [peer, attempt] : attempts_) {
    if (std::erase(attempt.dials, dial) == 0) continue;
    if (attempt.dials.empty()) {
      const PeerId gone = peer;
      finish(gone, 0, fail(Code::cancelled, "the dial was cancelled"));
    }
    return;
  }
}

void Dialer::hurry(const PeerId& peer, uint64_t deadline_us) {
  const auto found = attempts_.find(peer);
  if (found == attempts_.end()) return;
  // One that has not begun gets its deadline there; this one is sooner.
  found->second.deadline_us = std::min(found->second.deadline_us, deadline_us);
  changed_ = true;
}

void Dialer::forget_failures() {
  address_backoff_.clear();
  peer_backoff_.clear();
}

void Dialer::close() {
  while (!attempts_.empty()) {
    const PeerId peer = attempts_.begin()->first;
    finish(peer, 0, fail(Code::closed, "the host is closed"));
  }
}

std::optional<Dialer::Outcome> Dialer::next_outcome() {
  if (outcomes_.empty()) return std::nullopt;
  Outcome outcome = std::move(outcomes_.front());
  outcomes_.pop_front();
  return outcome;
}

// ---- The host's answers -----------------------------------------------------------------------------------------------

Dialer::Taken Dialer::on_connected(const Connected& event) {
  if (surplus_.erase(event.dial) > 0) return {true, true, 0};
  const auto found = by_host_dial_.find(event.dial);
  if (found == by_host_dial_.end()) return {};
  const PeerId peer = found->second;
  by_host_dial_.erase(found);
  Attempt& attempt = attempts_.at(peer);
  for (Candidate& candidate : attempt.candidates) {
    if (candidate.host_dial != event.dial) continue;
    candidate.host_dial = 0;  // not one of the losers
    address_backoff_.erase(backoff_key(peer, candidate.ranked.address));
  }
  const Taken taken{true, false, attempt.dials.front()};
  finish(peer, event.connection, std::nullopt);
  outcomes_.back().made = true;
  return taken;
}

bool Dialer::on_dial_failed(const DialFailed& event, const Times& now) {
  if (surplus_.erase(event.dial) > 0) return true;
  const auto found = by_host_dial_.find(event.dial);
  if (found == by_host_dial_.end()) return false;
  Attempt& attempt = attempts_.at(found->second);
  by_host_dial_.erase(found);
  changed_ = true;
  --attempt.dialing;
  for (Candidate& candidate : attempt.candidates) {
    if (candidate.host_dial != event.dial) continue;
    candidate.host_dial = 0;
    candidate.state = State::failed;
    if (!is_local(event.error.code)) {
      back_off(address_backoff_, backoff_key(attempt.peer, candidate.ranked.address), now);
    }
    add_tried(attempt, candidate.ranked.address.to_string(), event.error);
  }
  return true;
}

// ---- Addresses and names ----------------------------------------------------------------------------------------------

void Dialer::add_failure(Attempt& attempt, std::string address, Error error) {
  attempt.failures.push_back({std::move(address), std::move(error)});
}

void Dialer::add_tried(Attempt& attempt, std::string address, Error error) {
  attempt.tried = attempt.tried || !is_local(error.code);
  add_failure(attempt, std::move(address), std::move(error));
}

void Dialer::take_fresh(Attempt& attempt, const Times& now) {
  std::vector<Multiaddr> direct;
  for (const Multiaddr& given : std::exchange(attempt.fresh, {})) {
    const Multiaddr address = given.without_peer_id();
    if (attempt.known.size() >= kDialAddressesMax || !attempt.known.insert(address).second) continue;
    if (const auto named = given.peer_id(); named && *named != attempt.peer) {
      add_failure(attempt, given.to_string(), fail(Code::invalid, "the address names another peer"));
    } else if (is_dnsaddr(address)) {
      look_up(attempt, given, now);
    } else if (const Status allowed = policy_.check(address); !allowed.ok()) {
      add_failure(attempt, address.to_string(), allowed.error());
    } else if (shape_of(address)->ip) {
      direct.push_back(address);
    } else {
      resolve(attempt, address, now);
    }
  }
  add_candidates(attempt, direct, now);
}

void Dialer::resolve(Attempt& attempt, const Multiaddr& address, const Times& now) {
  const auto refuse = [&](Error error) { add_failure(attempt, address.to_string(), std::move(error)); };
  if (resolver_ == nullptr) return refuse(fail(Code::unsupported, "names cannot be looked up here"));
  if (attempt.names == kDialNamesMax) return refuse(fail(Code::too_large, "too many names to look up"));
  const AddressShape shape = *shape_of(address);
  NameFamily family = NameFamily::any;
  if (shape.name_kind == AddrCode::dns4 || !policy_.ipv6) family = NameFamily::v4;
  if (shape.name_kind == AddrCode::dns6 || !policy_.ipv4) family = NameFamily::v6;
  const Result<Resolver::QueryId> query = resolver_->resolve(shape.name, family);
  if (!query.ok()) return refuse(query.error());
  ++attempt.names;
  attempt.queries[*query] = {address, now.mono_us + settings_.name_timeout_us};
  by_query_[*query] = attempt.peer;
}

// What a dnsaddr of the peer stands for; what it says of others is left out later.
void Dialer::look_up(Attempt& attempt, const Multiaddr& address, const Times& now) {
  const auto refuse = [&](Error error) { add_failure(attempt, address.to_string(), std::move(error)); };
  if (attempt.names == kDialNamesMax) return refuse(fail(Code::too_large, "too many names to look up"));
  const Result<uint64_t> lookup = resolve(address, now);
  if (!lookup.ok()) return refuse(lookup.error());
  ++attempt.names;
  attempt.lookups.emplace(*lookup, address);
  by_lookup_[*lookup] = attempt.peer;
}

void Dialer::take_answers(const Times& now) {
  if (resolver_ == nullptr) return;
  while (const auto answer = resolver_->next_answer()) {
    if (!dnsaddr_.take(*answer)) take_answer(*answer, now);
  }
}

void Dialer::take_answer(const Resolver::Answer& answer, const Times& now) {
  const auto found = by_query_.find(answer.query);
  if (found == by_query_.end()) return;
  Attempt& attempt = attempts_.at(found->second);
  by_query_.erase(found);
  const Query query = std::move(attempt.queries.extract(answer.query).mapped());
  changed_ = true;
  if (!answer.addresses.ok()) return add_tried(attempt, query.address.to_string(), answer.addresses.error());
  const AddressShape shape = *shape_of(query.address);
  std::vector<Multiaddr> addresses;
  for (const IpEndpoint& ip : *answer.addresses) {
    auto address = resolved_address(query.address, shape, ip);
    if (!address.ok() || attempt.known.size() >= kDialAddressesMax) continue;
    if (!policy_.check(*address).ok() || !attempt.known.insert(*address).second) continue;
    addresses.push_back(std::move(*address));
  }
  if (addresses.empty()) {
    add_failure(attempt, query.address.to_string(), fail(Code::not_found, "the name has no address to be dialed"));
  }
  add_candidates(attempt, addresses, now);
}

void Dialer::take_lookups() {
  while (auto outcome = dnsaddr_.next_outcome()) {
    const auto found = by_lookup_.find(outcome->lookup);
    if (found == by_lookup_.end()) {
      resolved_.push_back(std::move(*outcome));
      continue;
    }
    Attempt& attempt = attempts_.at(found->second);
    by_lookup_.erase(found);
    const std::string name = attempt.lookups.extract(outcome->lookup).mapped().to_string();
    changed_ = true;
    if (!outcome->addresses.ok()) {
      add_tried(attempt, name, outcome->addresses.error());
      continue;
    }
    const size_t before = attempt.fresh.size();
    for (Multiaddr& address : *outcome->addresses) {
      if (address.peer_id().value_or(attempt.peer) == attempt.peer) attempt.fresh.push_back(std::move(address));
    }
    if (attempt.fresh.size() == before) {
      add_failure(attempt, name, fail(Code::not_found, "the DNS has no address of the peer under the name"));
    }
  }
}

std::optional<Dnsaddr::Outcome> Dialer::next_resolved() {
  if (resolved_.empty()) return std::nullopt;
  Dnsaddr::Outcome outcome = std::move(resolved_.front());
  resolved_.pop_front();
  return outcome;
}

void Dialer::expire_queries(Attempt& attempt, const Times& now) {
  std::erase_if(attempt.queries, [&](const auto& item) {
    if (item.second.deadline_us > now.mono_us) return false;
    resolver_->cancel(item.first);
    by_query_.erase(item.first);
    add_tried(attempt, item.second.address.to_string(), fail(Code::timeout, "the name was not resolved in time"));
    return true;
  });
}

// ---- The race ---------------------------------------------------------------------------------------------------------

void Dialer::add_candidates(Attempt& attempt, const std::vector<Multiaddr>& addresses, const Times& now) {
  std::vector<Multiaddr> usable;
  for (const Multiaddr& address : addresses) {
    const auto until_us = backed_off(address_backoff_, backoff_key(attempt.peer, address), now);
    if (!until_us || attempt.force) {
      usable.push_back(address);
      continue;
    }
    const uint64_t wait_ms = (*until_us - now.mono_us) / kMicrosPerMilli + 1;
    add_failure(attempt, address.to_string(),
                fail(Code::again, "failed a moment ago; not tried for " + std::to_string(wait_ms) + " ms"));
  }
  for (RankedAddress& ranked : rank_addresses(usable, policy_)) {
    const uint64_t start_us = now.mono_us + ranked.delay_us;
    attempt.candidates.push_back({std::move(ranked), start_us, State::waiting, 0});
  }
  std::stable_sort(attempt.candidates.begin(), attempt.candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.start_us < b.start_us; });
}

void Dialer::start(Attempt& attempt, Candidate& candidate, const Times& now) {
  const std::string address = candidate.ranked.address.to_string();
  const Result<uint64_t> dial = host_.dial(address, attempt.peer);
  if (!dial.ok()) {
    candidate.state = State::failed;
    if (!is_local(dial.code())) {
      back_off(address_backoff_, backoff_key(attempt.peer, candidate.ranked.address), now);
    }
    return add_tried(attempt, address, dial.error());
  }
  candidate.state = State::dialing;
  candidate.host_dial = *dial;
  ++attempt.dialing;
  by_host_dial_.emplace(*dial, attempt.peer);
}

void Dialer::start_candidates(Attempt& attempt, const Times& now) {
  for (Candidate& candidate : attempt.candidates) {
    if (candidate.state != State::waiting) continue;
    if (attempt.dialing >= settings_.parallel_peer || by_host_dial_.size() >= settings_.parallel) return;
    // RFC 8305 section 5: when nothing is under way, there is nothing to wait for. What follows keeps its distance.
    if (candidate.start_us > now.mono_us && attempt.dialing == 0) {
      const uint64_t early_us = candidate.start_us - now.mono_us;
      for (Candidate& later : attempt.candidates) {
        if (later.state == State::waiting) later.start_us -= early_us;
      }
    }
    if (candidate.start_us > now.mono_us) return;
    start(attempt, candidate, now);
  }
}

bool Dialer::over(const Attempt& attempt) {
  return attempt.dialing == 0 && attempt.queries.empty() && attempt.lookups.empty() && attempt.fresh.empty() &&
         std::none_of(attempt.candidates.begin(), attempt.candidates.end(),
                      [](const Candidate& c) { return c.state == State::waiting; });
}

std::optional<uint64_t> Dialer::advance(Attempt& attempt, const Times& now) {
  if (!attempt.begun) {
    attempt.begun = true;
    attempt.deadline_us = std::min(attempt.deadline_us, now.mono_us + settings_.timeout_us);
    const auto until_us = backed_off(peer_backoff_, to_bytes(attempt.peer.multihash()), now);
    if (until_us && !attempt.force) {
      const uint64_t wait_ms = (*until_us - now.mono_us) / kMicrosPerMilli + 1;
      finish(
          attempt.peer, 0,
          fail(Code::again, "peer " + attempt.peer.to_string() + " could not be reached a moment ago; not tried for " +
                                std::to_string(wait_ms) + " ms"));
      return std::nullopt;
    }
  }
  if (!attempt.fresh.empty()) take_fresh(attempt, now);
  expire_queries(attempt, now);
  start_candidates(attempt, now);
  if (over(attempt) || now.mono_us >= attempt.deadline_us) {
    for (const Candidate& candidate : attempt.candidates) {
      if (candidate.state == State::failed) continue;
      add_tried(attempt, candidate.ranked.address.to_string(),
                candidate.state == State::dialing ? fail(Code::timeout, "no answer in time")
                                                  : fail(Code::timeout, "its turn did not come in time"));
    }
    const auto unresolved = [&attempt](const Multiaddr& address) {
      add_failure(attempt, address.to_string(), fail(Code::timeout, "the name was not resolved in time"));
    };
    for (const auto& [query, asked] : attempt.queries) unresolved(asked.address);
    for (const auto& [lookup, address] : attempt.lookups) unresolved(address);
    if (attempt.tried) back_off(peer_backoff_, to_bytes(attempt.peer.multihash()), now);
    finish(attempt.peer, 0, describe(attempt));
    return std::nullopt;
  }
  uint64_t next = attempt.deadline_us;
  for (const auto& [query, asked] : attempt.queries) next = std::min(next, asked.deadline_us);
  // One that is due and was not started waits for a place, which comes with an answer of the host.
  for (const Candidate& candidate : attempt.candidates) {
    if (candidate.state == State::waiting && candidate.start_us > now.mono_us)
      next = std::min(next, candidate.start_us);
  }
  return next;
}

uint64_t Dialer::step(const Times& now) {
  take_answers(now);
  const uint64_t lookups_us = dnsaddr_.step(now);
  take_lookups();
  if (!changed_ && now.mono_us < next_us_) return std::min(next_us_, lookups_us);
  changed_ = false;
  next_us_ = kNever;
  std::vector<PeerId> turn;
  turn.reserve(order_.size());
  for (const auto& [order, peer] : order_) turn.push_back(peer);
  for (const PeerId& peer : turn) {
    const auto found = attempts_.find(peer);
    if (found == attempts_.end()) continue;
    if (const auto next = advance(found->second, now)) next_us_ = std::min(next_us_, *next);
  }
  if (changed_) next_us_ = now.mono_us;  // one that ended made place for others
  return std::min(next_us_, dnsaddr_.step(now));
}

// ---- Ends -------------------------------------------------------------------------------------------------------------

// The attempt's losers are cancelled; what the host still says about them is for nobody.
void Dialer::finish(const PeerId& peer, ConnectionId connection, std::optional<Error> error) {
  const auto found = attempts_.find(peer);
  if (found == attempts_.end()) return;
  Attempt attempt = std::move(found->second);
  attempts_.erase(found);
  order_.erase(attempt.order);
  for (const Candidate& candidate : attempt.candidates) {
    if (candidate.host_dial == 0) continue;
    by_host_dial_.erase(candidate.host_dial);
    surplus_.insert(candidate.host_dial);
    host_.cancel_dial(candidate.host_dial);
  }
  for (const auto& [query, asked] : attempt.queries) {
    by_query_.erase(query);
    resolver_->cancel(query);
  }
  for (const auto& [lookup, address] : attempt.lookups) {
    by_lookup_.erase(lookup);
    dnsaddr_.cancel(lookup);
  }
  if (connection != 0) peer_backoff_.erase(to_bytes(attempt.peer.multihash()));
  changed_ = true;
  Outcome outcome;
  outcome.peer = attempt.peer;
  outcome.dials = std::move(attempt.dials);
  outcome.connection = connection;
  outcome.failures = std::move(attempt.failures);
  if (error) outcome.error = std::move(*error);
  outcomes_.push_back(std::move(outcome));
}

Error Dialer::describe(const Attempt& attempt) {
  if (attempt.failures.empty()) return fail(Code::invalid, "there is no address to dial");
  Code code = attempt.failures.front().error.code;
  std::string text = "peer " + attempt.peer.to_string() + " cannot be reached: ";
  for (size_t i = 0; i < attempt.failures.size(); ++i) {
    const AddressFailure& failure = attempt.failures[i];
    if (failure.error.code != code) code = Code::unreachable;
    if (i >= kDescribedMax) continue;
    if (i > 0) text += "; ";
    text += failure.address + ": ";
    text += failure.error.detail.empty() ? std::string(code_meaning(failure.error.code)) : failure.error.detail;
  }
  if (attempt.failures.size() > kDescribedMax) {
    text += "; and " + std::to_string(attempt.failures.size() - kDescribedMax) + " more";
  }
  return fail(code, std::move(text));
}

std::optional<uint64_t> Dialer::backed_off(const BackoffTable& table, const Bytes& key, const Times& now) const {
  const auto found = table.find(key);
  if (found == table.end() || found->second.until_us <= now.mono_us) return std::nullopt;
  return found->second.until_us;
}

void Dialer::back_off(BackoffTable& table, const Bytes& key, const Times& now) {
  // One that has been quiet for as long again begins anew, and makes room.
  const auto stale = [&now](const Backoff& b) { return now.mono_us >= b.until_us + b.delay_us; };
  if (table.size() >= kBackoffEntriesMax && !table.contains(key)) {
    std::erase_if(table, [&](const auto& item) { return stale(item.second); });
    if (table.size() >= kBackoffEntriesMax) {
      table.erase(std::min_element(table.begin(), table.end(),
                                   [](const auto& a, const auto& b) { return a.second.until_us < b.second.until_us; }));
    }
  }
  Backoff& entry = table[key];
  const bool again = entry.delay_us != 0 && !stale(entry);
  entry.delay_us = again ? std::min(entry.delay_us * 2, settings_.backoff_max_us) : settings_.backoff_us;
  // Half of it is drawn, so that a network that comes back is not dialed in step.
  const uint64_t half = entry.delay_us / 2;
  entry.until_us = now.mono_us + half + random_.below(entry.delay_us - half + 1);
}

}  // namespace sereus::net
