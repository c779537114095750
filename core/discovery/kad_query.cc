#include "core/discovery/kad_query.h"

#include <algorithm>

#include "core/base/assert.h"
#include "core/discovery/address_facts.h"

namespace sereus::discovery {
namespace {

// Slow ones may hold so many requests beside alpha.
constexpr size_t kSlowFactor = 4;

}  // namespace

KadQuery::KadQuery(const KadId& target, const net::PeerId& own, const QuerySettings& settings)
    : target_(target), own_(own), settings_(settings), started_(std::max<size_t>(settings.paths, 1)) {}

void KadQuery::add(const KadId& id, Candidate candidate) {
  if (candidate.peer == own_) return;
  candidates_.emplace(id.distance(target_), std::move(candidate));
}

void KadQuery::seed(const net::PeerId& peer, std::vector<Bytes> addresses, bool known) {
  Candidate candidate;
  candidate.peer = peer;
  candidate.known = known;
  candidate.hops = 1;
  candidate.path = seeds_++ % static_cast<uint32_t>(started_.size());
  candidate.addresses = std::move(addresses);
  add(KadId::of(peer), std::move(candidate));
}

void KadQuery::named(const KadId& by, const KadPeer& peer, const KadId& id, bool certified) {
  const auto introducer = candidates_.find(by);
  if (introducer == candidates_.end() || peer.addresses.empty()) return;
  const auto there = candidates_.find(id.distance(target_));
  if (there != candidates_.end()) {
    Candidate& known = there->second;
    if (known.has_introducer && known.introducer != by) known.confirmed = true;
    if (known.state != State::waiting || known.known || (known.certified && !certified)) return;
    if (certified && !known.certified) {
      known.certified = true;
      known.addresses = peer.addresses;
    }
    return;
  }
  Candidate candidate;
  candidate.peer = peer.id;
  candidate.certified = certified;
  candidate.has_introducer = true;
  candidate.introducer = by;
  candidate.path = introducer->second.path;
  candidate.hops = introducer->second.hops + 1;
  candidate.addresses = peer.addresses;
  if (candidate.addresses.size() > kKadAddressesTold) candidate.addresses.resize(kKadAddressesTold);
  add(id, std::move(candidate));
}

bool KadQuery::discredited(const Candidate& candidate) const {
  if (!candidate.has_introducer || candidate.known || candidate.confirmed) return false;
  const auto found = introduced_.find(candidate.introducer);
  if (found == introduced_.end()) return false;
  return found->second.failed >= kKadIntroducedBadMax && found->second.failed > 2 * found->second.good;
}

void KadQuery::judge(const Candidate& candidate, bool good) {
  if (!candidate.has_introducer) return;
  Introduced& introduced = introduced_[candidate.introducer];
  ++(good ? introduced.good : introduced.failed);
}

// Counts it against its subnets and endpoints, and takes away what may not be dialed. What we know ourselves is not limited: there is
// a table that limits it.
bool KadQuery::admit(Candidate& candidate) {
  if (candidate.known) return true;
  const size_t relay_max = candidate.certified ? kKadK : kKadDialsRelayMax;
  std::vector<Bytes> allowed;
  std::vector<uint64_t> subnets;
  for (Bytes& address : candidate.addresses) {
    const AddressFacts facts = facts_of(address);
    if (facts.scope == net::AddressScope::global && facts.subnet != 0 && !facts.relayed) {
      const auto counted = subnets_.find(facts.subnet);
      if (counted != subnets_.end() && counted->second >= kKadQuerySubnetMax) continue;
      if (std::find(subnets.begin(), subnets.end(), facts.subnet) == subnets.end()) subnets.push_back(facts.subnet);
    }
    size_t& dials = endpoints_[facts.endpoint];
    if (dials >= (facts.relayed ? relay_max : kKadDialsEndpointMax)) continue;
    ++dials;
    allowed.push_back(std::move(address));
  }
  for (const uint64_t subnet : subnets) ++subnets_[subnet];
  candidate.addresses = std::move(allowed);
  return !candidate.addresses.empty();
}

std::optional<KadQuery::Candidates::iterator> KadQuery::pick() {
  const size_t paths = started_.size();
  const size_t share = std::max<size_t>(3, settings_.k / paths);
  std::vector<size_t> seen(paths);
  std::optional<Candidates::iterator> best;
  size_t counted = 0;
  for (auto at = candidates_.begin(); at != candidates_.end(); ++at) {
    const Candidate& candidate = at->second;
    if (candidate.state == State::failed || candidate.state == State::skipped || candidate.state == State::slow)
      continue;
    if (candidate.state == State::waiting && discredited(candidate)) continue;
    const bool matters = counted < settings_.k || (paths > 1 && seen[candidate.path] < share);
    if (!matters && paths == 1) break;
    ++counted;
    ++seen[candidate.path];
    if (candidate.state != State::waiting || !matters) continue;
    if (paths == 1) return at;
    if (!best || started_[candidate.path] < started_[(*best)->second.path]) best = at;
  }
  return best;
}

std::optional<KadQuery::Ask> KadQuery::next() {
  while (in_flight_ < settings_.alpha && in_flight_ + slow_ < kSlowFactor * settings_.alpha &&
         requests_ < settings_.requests_max) {
    const auto picked = pick();
    if (!picked) return std::nullopt;
    Candidate& candidate = (*picked)->second;
    if (!admit(candidate)) {
      candidate.state = State::skipped;
      judge(candidate, false);
      continue;
    }
    candidate.state = State::asked;
    candidate.slow_at_us = kNever;
    ++in_flight_;
    ++requests_;
    ++started_[candidate.path];
    return Ask{(*picked)->first, candidate.peer, candidate.addresses, candidate.known};
  }
  return std::nullopt;
}

void KadQuery::answered(const KadId& place) {
  const auto at = candidates_.find(place);
  if (at == candidates_.end()) return;
  Candidate& candidate = at->second;
  if (candidate.state != State::asked && candidate.state != State::slow) return;
  --(candidate.state == State::asked ? in_flight_ : slow_);
  candidate.state = State::answered;
  ++answers_;
  judge(candidate, true);
}

void KadQuery::failed(const KadId& place) {
  const auto at = candidates_.find(place);
  if (at == candidates_.end()) return;
  Candidate& candidate = at->second;
  if (candidate.state != State::asked && candidate.state != State::slow) return;
  const bool was_slow = candidate.state == State::slow;
  --(was_slow ? slow_ : in_flight_);
  candidate.state = State::failed;
  ++failures_;
  if (!was_slow) judge(candidate, false);  // else it was counted then
}

void KadQuery::slow_at(const KadId& place, uint64_t at_us) {
  const auto at = candidates_.find(place);
  if (at != candidates_.end() && at->second.state == State::asked) at->second.slow_at_us = at_us;
}

void KadQuery::retry(const KadId& place, std::vector<Bytes> addresses) {
  const auto at = candidates_.find(place);
  if (at == candidates_.end()) return;
  if (at->second.state != State::failed && at->second.state != State::skipped) return;
  at->second.state = State::waiting;
  at->second.known = false;
  at->second.has_introducer = false;
  at->second.addresses = std::move(addresses);
}

uint64_t KadQuery::step(uint64_t now_us) {
  uint64_t next_us = kNever;
  if (in_flight_ == 0) return next_us;
  for (auto& [distance, candidate] : candidates_) {
    if (candidate.state != State::asked) continue;
    if (candidate.slow_at_us > now_us) {
      next_us = std::min(next_us, candidate.slow_at_us);
      continue;
    }
    candidate.state = State::slow;
    --in_flight_;
    ++slow_;
    judge(candidate, false);
  }
  return next_us;
}

bool KadQuery::done() const {
  if (in_flight_ + slow_ == 0 && requests_ >= settings_.requests_max) return true;
  const bool waits_for_slow = slow_ > 0 && (settings_.patient || answers_ == 0);
  size_t counted = 0;
  for (const auto& [distance, candidate] : candidates_) {
    if (counted == settings_.k) break;
    switch (candidate.state) {
      case State::answered:
        ++counted;
        break;
      case State::asked:
        return false;
      case State::slow:
        if (waits_for_slow) return false;
        break;
      case State::waiting:
        if (requests_ < settings_.requests_max && !discredited(candidate)) return false;
        break;
      case State::failed:
      case State::skipped:
        break;
    }
  }
  return true;
}

const KadQuery::Candidate* KadQuery::find(const KadId& place) const {
  const auto at = candidates_.find(place);
  return at == candidates_.end() ? nullptr : &at->second;
}

std::vector<KadQuery::Ask> KadQuery::closest() const {
  std::vector<Ask> out;
  for (const auto& [distance, candidate] : candidates_) {
    if (candidate.state != State::answered) continue;
    out.push_back({distance, candidate.peer, candidate.addresses, candidate.known});
    if (out.size() == settings_.k) break;
  }
  return out;
}

}  // namespace sereus::discovery
