// What becomes of answers, and how operations end (kad_node.h).
#include <algorithm>
#include <utility>

#include "core/discovery/kad_node.h"

namespace sereus::discovery {
namespace {

constexpr size_t kTargetTriesMax = 4;  // dials of the peer that is looked for, with what different peers say of it

void merge(std::vector<Bytes>& into, const std::vector<Bytes>& more, size_t most) {
  for (const Bytes& address : more) {
    if (into.size() >= most) return;
    const bool there = std::any_of(into.begin(), into.end(), [&address](const Bytes& a) { return equal(a, address); });
    if (!there) into.push_back(address);
  }
}

}  // namespace

// ---- Answers -----------------------------------------------------------------------------------------------------------

void KadNode::on_answer(uint64_t id, KadMessage answer, ByteView remote, bool dialed, const Times& now) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  if (!found->second.one_way && answer.type != found->second.type) {
    on_failed(id, fail(Code::protocol, "dht: an answer to another question"), now);
    return;
  }
  const Request request = std::move(found->second);
  requests_.erase(found);
  checking_.erase(request.peer);
  const uint64_t took_us = now.mono_us - request.asked_us;
  if (!request.one_way) {
    (request.reused ? reused_rtt_ : dialed_rtt_).add(took_us);
    table_.proven(request.peer, subnet_of(remote), request.reused ? took_us : 0, now.mono_us);
  }
  if (dialed && !request.reused && !remote.empty()) book_.dial_succeeded(request.peer, remote, now.mono_us);
  const auto op = ops_.find(request.op);
  if (op == ops_.end()) return;
  if (settings_.trace) {
    trace({KadTrace::What::answered,
           request.op,
           op->second.kind,
           request.peer,
           request.type,
           op->second.key,
           answer.closer.size(),
           answer.providers.size(),
           answer.record.has_value(),
           KadId::of(request.peer).shared_bits(op->second.query->target()),
           took_us,
           {Code::ok, {}}});
  }
  take_answer(op->second, request, answer, remote, now);
  pump_op(op->second, now);
  sweep_finished();
}

void KadNode::take_answer(Op& op, const Request& request, KadMessage& answer, ByteView remote, const Times& now) {
  if (op.finished) return;
  if (request.storing) {
    const bool stored = request.one_way || (answer.record && equal(answer.record->value, op.done.value));
    op.done.copies += stored ? 1 : 0;
    return;  // step() sees when all are there
  }
  op.query->answered(request.place);
  if (op.kind == KadOp::find_peer && request.peer == op.peer) {
    op.done.confirmed = true;
    op.done.stats.hops = hops_of(op, request.place);
    finish(op, now);
    return;
  }
  if (op.kind == KadOp::get_value) take_value(op, request, answer, now);
  if (op.kind == KadOp::find_providers) take_providers(op, request, answer, remote, now);
  if (!op.finished) take_closer(op, request, answer, remote, now);
}

uint32_t KadNode::hops_of(const Op& op, const KadId& place) const {
  const KadQuery::Candidate* candidate = op.query->find(place);
  return candidate == nullptr ? 0 : candidate->hops;
}

void KadNode::take_closer(Op& op, const Request& request, KadMessage& answer, ByteView remote, const Times& now) {
  const size_t count = std::min(answer.closer.size(), settings_.k);
  for (size_t i = 0; i < count; ++i) {
    KadPeer& peer = answer.closer[i];
    if (peer.id == own_ || peer.id == request.peer) continue;
    peer.addresses = usable(peer.addresses, remote, kKadAddressesTold);
    bool certified = false;
    if (op.kind == KadOp::find_peer && peer.id == op.peer) {
      take_target(op, request, peer, now);
      if (op.finished) return;
      certified = op.done.certified;
    }
    if (peer.addresses.empty()) continue;
    const KadId id = KadId::of(peer.id);
    op.query->named(request.place, peer, id, certified);
    if (table_.named(peer.id, id, subnet_of(peer.addresses), request.peer, now.mono_us)) {
      book_.add(peer.id, peer.addresses, AddressSource::heard, request.peer, now.mono_us);
    }
  }
}

// Verified once for each envelope: the book knows it again.
bool KadNode::certify(KadPeer& peer, const Times& now) {
  if (peer.signed_record.empty()) return false;
  const Status added = book_.add_record(peer.id, peer.signed_record, now.mono_us);
  if (!added.ok() && added.code() != Code::exists) return false;
  peer.addresses = book_.addresses(peer.id, now.mono_us);
  return true;
}

void KadNode::take_target(Op& op, const Request& request, KadPeer& peer, const Times& now) {
  const uint32_t hops = hops_of(op, request.place);
  if (certify(peer, now)) {
    op.done.certified = true;
    op.done.stats.hops = hops;
    // An old record is valid for ever, and may be replayed: then the lookup goes on for a newer one.
    const uint64_t now_ms = static_cast<uint64_t>(std::max<int64_t>(now.wall_us, 0)) / kMicrosPerMilli;
    const uint64_t life_ms = settings_.record_life_us / kMicrosPerMilli;
    if (book_.record_seq(peer.id, now.mono_us) + life_ms >= now_ms) finish(op, now);
    return;
  }
  KadPeer& known = op.found[op.peer];
  if (known.id.empty()) op.done.stats.hops = hops;
  known.id = op.peer;
  merge(known.addresses, peer.addresses, kBookAddressesMax);
  try_target_again(op, now);
}

// Strangers may have said wrong addresses first. What others say is tried, too, beside the first attempt while that is under way.
void KadNode::try_target_again(Op& op, const Times& now) {
  const auto found = op.found.find(op.peer);
  if (found == op.found.end() || op.tried.size() > kTargetTriesMax * kKadAddressesTold) return;
  std::vector<Bytes> fresh;
  for (const Bytes& address : found->second.addresses) {
    if (!op.tried.contains(address)) fresh.push_back(address);
  }
  if (fresh.empty()) return;
  const KadQuery::Candidate* target = op.query->find(KadId());
  if (target == nullptr) return;  // it comes with these addresses
  if (target->state == KadQuery::State::asked || target->state == KadQuery::State::slow) {
    op.tried.insert(fresh.begin(), fresh.end());
    (void)send(&op, {KadId(), op.peer, std::move(fresh), false}, lookup_message(op), false, now);
  } else {
    op.query->retry(KadId(), std::move(fresh));
  }
}

void KadNode::take_providers(Op& op, const Request& request, KadMessage& answer, ByteView remote, const Times& now) {
  for (KadPeer& peer : answer.providers) {
    if (op.found.size() >= kKadProvidersFoundMax || peer.id == own_) continue;
    peer.addresses = usable(peer.addresses, remote, kBookAddressesMax);
    const bool certified = certify(peer, now);
    if (op.found.empty()) op.done.stats.hops = hops_of(op, request.place);
    KadPeer& known = op.found[peer.id];
    known.id = peer.id;
    if (certified) {
      known.addresses = peer.addresses;
      known.signed_record = std::move(peer.signed_record);
    } else if (known.signed_record.empty()) {
      merge(known.addresses, peer.addresses, kBookAddressesMax);
    }
  }
  if (op.found.size() >= op.quorum) finish(op, now);
}

void KadNode::take_value(Op& op, const Request& request, const KadMessage& answer, const Times& now) {
  const bool valid = answer.record && equal(answer.record->key, op.key) &&
                     validators_.validate(op.key, answer.record->value, now.wall_us).ok();
  if (!valid) {
    op.holders.emplace_back(request.peer, false);
    return;
  }
  const Bytes& value = answer.record->value;
  const bool first = op.done.copies == 0;
  if (first) op.done.stats.hops = hops_of(op, request.place);
  const bool better = first || validators_.supersedes(op.key, value, op.done.value);
  if (better) {
    for (auto& [peer, best] : op.holders) best = false;
    op.done.value = value;
  }
  op.holders.emplace_back(request.peer, better || equal(value, op.done.value));
  if (++op.done.copies >= op.quorum) lookup_over(op, now);
}

void KadNode::on_failed(uint64_t id, const Error& error, const Times& now) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  const Request request = std::move(found->second);
  requests_.erase(found);
  checking_.erase(request.peer);
  const bool no_server = error.code == Code::unsupported;
  if (no_server) {
    table_.remove(request.peer);
  } else {
    const bool gone = error.code == Code::unreachable || error.code == Code::denied || error.code == Code::timeout;
    table_.failed(request.peer, gone && !request.reused);
    if (gone && !request.reused) book_.dial_failed(request.peer, now.mono_us);
  }
  const auto at = ops_.find(request.op);
  if (at == ops_.end()) return;
  Op& op = at->second;
  if (settings_.trace) {
    trace({KadTrace::What::failed, op.id, op.kind, request.peer, request.type, op.key, 0, 0, false,
           KadId::of(request.peer).shared_bits(op.query->target()), now.mono_us - request.asked_us, error});
  }
  if (op.finished || request.storing) {
    op.done.stats.failures += request.storing ? 1 : 0;
    return;
  }
  op.query->failed(request.place);
  if (op.kind == KadOp::find_peer && request.peer == op.peer) {
    if (no_server) {
      op.done.confirmed = true;
      op.done.stats.hops = hops_of(op, request.place);
      finish(op, now);
    } else {
      try_target_again(op, now);
    }
  }
  pump_op(op, now);
  sweep_finished();
}

// ---- The end of operations ----------------------------------------------------------------------------------------------

void KadNode::lookup_over(Op& op, const Times& now) {
  if (op.finished || op.storing) return;
  switch (op.kind) {
    case KadOp::provide:
    case KadOp::put_value:
      store_at_closest(op, now);
      return;
    case KadOp::get_value:
      if (op.done.copies > 0) correct(op, now);
      break;
    default:
      break;
  }
  finish(op, now);
}

void KadNode::store_at_closest(Op& op, const Times& now) {
  let_go(op.id, false, now);
  op.storing = true;
  KadMessage message;
  message.key = op.key;
  if (op.kind == KadOp::provide) {
    message.type = KadType::add_provider;
    KadPeer self{own_, self_.addresses(), KadLink::connected, self_.signed_record(now)};
    if (self.addresses.size() > kKadAddressesTold) self.addresses.resize(kKadAddressesTold);
    message.providers.push_back(std::move(self));
  } else {
    message.type = KadType::put_value;
    message.record = KadRecord{op.key, op.done.value, rfc3339(now.wall_us)};
  }
  size_t sent = 0;
  for (const KadQuery::Ask& ask : op.query->closest()) sent += send(&op, ask, message, true, now) ? 1 : 0;
  if (sent == 0) finish(op, now);
}

// libp2p specs, kad-dht, "Entry correction".
void KadNode::correct(Op& op, const Times& now) {
  KadMessage message;
  message.type = KadType::put_value;
  message.key = op.key;
  message.record = KadRecord{op.key, op.done.value, rfc3339(now.wall_us)};
  for (const auto& [peer, best] : op.holders) {
    if (best) continue;
    KadQuery::Ask ask;
    ask.peer = peer;
    ask.known = true;
    (void)send(nullptr, ask, message, true, now);
  }
}

void KadNode::finish(Op& op, const Times& now) {
  if (op.finished) return;
  op.finished = true;
  let_go(op.id, false, now);
  KadDone& done = op.done;
  done.stats.requests = op.query->requests();
  done.stats.answers = op.query->answers();
  done.stats.failures += op.query->failures();
  done.stats.duration_us = now.mono_us - op.started_us;
  bool found = true;
  switch (op.kind) {
    case KadOp::find_peer: {
      const auto heard = op.found.find(op.peer);
      KadPeer peer{op.peer, book_.addresses(op.peer, now.mono_us), KadLink::not_connected, {}};
      if (heard != op.found.end() && !done.certified) merge(peer.addresses, heard->second.addresses, kBookAddressesMax);
      found = !peer.addresses.empty() && (done.certified || done.confirmed || heard != op.found.end());
      if (found) done.peers.push_back(std::move(peer));
      break;
    }
    case KadOp::find_providers:
      for (auto& [id, peer] : op.found) done.peers.push_back(std::move(peer));
      found = !done.peers.empty();
      break;
    case KadOp::get_value:
      found = done.copies > 0;
      break;
    case KadOp::provide:
    case KadOp::put_value:
      found = done.copies > 0;
      break;
    default:
      for (const KadQuery::Ask& ask : op.query->closest()) {
        done.peers.push_back({ask.peer, book_.addresses(ask.peer, now.mono_us), KadLink::not_connected, {}});
      }
      found = !done.peers.empty();
      break;
  }
  if (!found) {
    done.error = op.query->answers() == 0 ? fail(Code::unreachable, "dht: nobody answered")
                                          : fail(Code::not_found, "dht: nobody knows it");
  }
  if (op.id == publish_op_ || op.id == fill_op_) {
    upkeep_over(op, now);
  }
  if (!op.quiet) events_.emplace_back(std::move(done));
}

void KadNode::trace(KadTrace event) {
  if (settings_.trace && events_.size() < kKadEventsMax) events_.emplace_back(std::move(event));
}

std::optional<KadEvent> KadNode::next_event() {
  if (events_.empty()) return std::nullopt;
  KadEvent out = std::move(events_.front());
  events_.pop_front();
  return out;
}

}  // namespace sereus::discovery
