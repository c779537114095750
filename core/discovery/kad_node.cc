#include "core/discovery/kad_node.h"

#include <algorithm>
#include <utility>

#include "core/discovery/address_facts.h"

namespace sereus::discovery {
namespace {

// How long what a finished query still waits for may take: the answers tell who lives.
constexpr uint64_t kOrphanUs = 2 * kMicrosPerSecond;
constexpr size_t kTargetTriesMax = 4;  // dials of the peer that is looked for, with what different peers say of it

void merge(std::vector<Bytes>& into, const std::vector<Bytes>& more, size_t most) {
  for (const Bytes& address : more) {
    if (into.size() >= most) return;
    const bool there = std::any_of(into.begin(), into.end(), [&address](const Bytes& a) { return equal(a, address); });
    if (!there) into.push_back(address);
  }
}

}  // namespace

KadNode::KadNode(const net::PeerId& own, const KadSettings& settings, KadSelf& self, AddressBook& book, Random& random,
                 const KadValidators& validators)
    : own_(own),
      own_id_(KadId::of(own)),
      settings_(settings),
      self_(self),
      book_(book),
      random_(random),
      validators_(validators),
      table_(own, settings.table),
      values_(own_id_, settings.stores),
      providers_(own_id_, settings.stores) {}

// ---- Addresses ---------------------------------------------------------------------------------------------------------

std::vector<Bytes> KadNode::usable(const std::vector<Bytes>& addresses, ByteView told_by, size_t most) const {
  std::vector<Bytes> out;
  const bool from_afar =
      settings_.public_network && !told_by.empty() && facts_of(told_by).scope == net::AddressScope::global;
  for (const Bytes& address : addresses) {
    if (out.size() >= most) break;
    if (from_afar && facts_of(address).scope != net::AddressScope::global) continue;
    out.push_back(address);
  }
  return out;
}

uint64_t KadNode::subnet_of(ByteView address) const {
  if (address.empty()) return 0;
  const AddressFacts facts = facts_of(address);
  return facts.scope == net::AddressScope::global || settings_.limit_private_subnets ? facts.subnet : 0;
}

uint64_t KadNode::subnet_of(const std::vector<Bytes>& addresses) const {
  for (const Bytes& address : addresses) {
    if (const uint64_t subnet = subnet_of(address); subnet != 0) return subnet;
  }
  return 0;
}

// ---- Operations --------------------------------------------------------------------------------------------------------

QuerySettings KadNode::query_settings(bool patient) const {
  QuerySettings settings;
  settings.k = settings_.k;
  settings.alpha = settings_.alpha;
  settings.paths = settings_.paths;
  settings.patient = patient;
  return settings;
}

void KadNode::seed(Op& op, const Times& now) {
  const std::vector<TablePeer> seeds = table_.closest(op.query->target(), settings_.k, true);
  for (const TablePeer& peer : seeds) {
    const bool proven = peer.seen_us > 0;
    op.query->seed(peer.peer,
                   proven ? std::vector<Bytes>() : book_.addresses(peer.peer, now.mono_us, kKadAddressesTold), proven);
  }
  if (seeds.size() >= settings_.alpha) return;
  for (const net::PeerId& peer : bootstrap_) op.query->seed(peer, {}, true);
}

Result<uint64_t> KadNode::begin(Op op, const KadId& target, const Times& now, const QuerySettings& settings) {
  if (ops_.size() >= kKadQueriesMax) return fail(Code::again, "dht: too many operations");
  op.id = ++last_op_;
  op.started_us = now.mono_us;
  op.done.op = op.id;
  op.done.kind = op.kind;
  op.query = std::make_unique<KadQuery>(target, own_, settings);
  seed(op, now);
  const uint64_t id = op.id;
  Op& there = ops_.emplace(id, std::move(op)).first->second;
  pump_op(there, now);
  sweep_finished();
  return id;
}

Result<uint64_t> KadNode::find_peer(const net::PeerId& peer, bool fresh, const Times& now) {
  if (peer.empty() || peer == own_) return fail(Code::invalid, "dht: no peer to find");
  Op op;
  op.kind = KadOp::find_peer;
  op.peer = peer;
  op.key = to_bytes(peer.multihash());
  const auto source = book_.source(peer, now.mono_us);
  if (!fresh && source && *source > AddressSource::heard) {
    KadDone done;
    done.op = ++last_op_;
    done.peers.push_back({peer, book_.addresses(peer, now.mono_us), KadLink::not_connected, {}});
    done.certified = !book_.record(peer, now.mono_us).empty();
    done.confirmed = connected_.contains(peer);
    const uint64_t id = done.op;
    events_.emplace_back(std::move(done));
    return id;
  }
  return begin(std::move(op), KadId::of(peer), now, query_settings(true));
}

Result<uint64_t> KadNode::get_closest(ByteView key, const Times& now) {
  if (key.empty() || key.size() > kKadKeyMax) return fail(Code::invalid, "dht: a bad key");
  Op op;
  op.kind = KadOp::get_closest;
  op.key = to_bytes(key);
  return begin(std::move(op), KadId::of(key), now, query_settings(false));
}

Result<uint64_t> KadNode::provide(ByteView key, const Times& now) {
  if (key.empty() || key.size() > kKadKeyMax) return fail(Code::invalid, "dht: a bad key");
  if (own_provided_.size() >= kKadOwnRecordsMax) return fail(Code::no_space, "dht: too many provided keys");
  Op op;
  op.kind = KadOp::provide;
  op.key = to_bytes(key);
  SEREUS_ASSIGN(const uint64_t id, begin(std::move(op), KadId::of(key), now, query_settings(false)));
  own_provided_[to_bytes(key)] = now.mono_us + jittered(settings_.republish_interval_us);
  republish_at_us_ = std::min(republish_at_us_, own_provided_[to_bytes(key)]);
  (void)providers_.add(key, {own_, 0}, now.mono_us).ok();
  return id;
}

void KadNode::stop_providing(ByteView key) { own_provided_.erase(to_bytes(key)); }

Result<uint64_t> KadNode::find_providers(ByteView key, size_t count, const Times& now) {
  if (key.empty() || key.size() > kKadKeyMax || count == 0) return fail(Code::invalid, "dht: a bad key");
  Op op;
  op.kind = KadOp::find_providers;
  op.key = to_bytes(key);
  op.quorum = std::min(count, kKadProvidersFoundMax);
  for (const net::PeerId& peer : providers_.get(key, op.quorum, now.mono_us)) {
    if (peer != own_) op.found[peer] = {peer, book_.addresses(peer, now.mono_us), KadLink::not_connected, {}};
  }
  return begin(std::move(op), KadId::of(key), now, query_settings(true));
}

Result<uint64_t> KadNode::put_value(ByteView key, ByteView value, const Times& now) {
  SEREUS_TRY(validators_.validate(key, value, now.wall_us));
  if (own_values_.size() >= kKadOwnRecordsMax) return fail(Code::no_space, "dht: too many values");
  Op op;
  op.kind = KadOp::put_value;
  op.key = to_bytes(key);
  op.done.value = to_bytes(value);
  SEREUS_ASSIGN(const uint64_t id, begin(std::move(op), place_of_key(key), now, query_settings(false)));
  OwnRecord& own = own_values_[to_bytes(key)];
  own.value = to_bytes(value);
  own.republish_us = now.mono_us + jittered(settings_.republish_interval_us);
  republish_at_us_ = std::min(republish_at_us_, own.republish_us);
  (void)values_.put({to_bytes(key), own.value, now.wall_us, now.mono_us + settings_.stores.value_life_us, {}}).ok();
  return id;
}

void KadNode::stop_putting(ByteView key) { own_values_.erase(to_bytes(key)); }

Result<uint64_t> KadNode::get_value(ByteView key, size_t quorum, const Times& now) {
  if (key.empty() || key.size() > kKadKeyMax) return fail(Code::invalid, "dht: a bad key");
  Op op;
  op.kind = KadOp::get_value;
  op.key = to_bytes(key);
  op.quorum = std::max<size_t>(quorum, 1);
  if (const ValueStore::Value* own = values_.get(key, now.mono_us)) {
    op.done.value = own->value;
    op.done.copies = 1;
  }
  return begin(std::move(op), place_of_key(key), now, query_settings(true));
}

Result<uint64_t> KadNode::refresh(const Times& now) {
  publish_at_us_ = now.mono_us;
  refresh_at_us_ = now.mono_us;
  Op op;
  op.kind = KadOp::refresh;
  op.key = to_bytes(own_.multihash());
  return begin(std::move(op), own_id_, now, query_settings(false));
}

void KadNode::cancel(uint64_t id) {
  const auto found = ops_.find(id);
  if (found == ops_.end() || found->second.quiet) return;
  let_go(id, true, {});
  ops_.erase(found);
}

// ---- Requests ----------------------------------------------------------------------------------------------------------

uint64_t KadNode::timeout_of(const net::PeerId& peer) const {
  const TablePeer* known = table_.find(peer);
  if (connected_.contains(peer)) {
    if (known != nullptr && known->rtt_us > 0) {
      return std::clamp(3 * known->rtt_us, kKadTimeoutMinUs, kKadTimeoutMaxUs);
    }
    return reused_rtt_.measured() ? reused_rtt_.timeout_us() : dialed_rtt_.timeout_us();
  }
  return dialed_rtt_.timeout_us();
}

KadMessage KadNode::lookup_message(const Op& op) const {
  KadMessage message;
  message.key = op.key;
  switch (op.kind) {
    case KadOp::find_providers:
      message.type = KadType::get_providers;
      break;
    case KadOp::get_value:
      message.type = KadType::get_value;
      break;
    default:
      message.type = KadType::find_node;
      if (op.kind == KadOp::publish) message.sender_record = own_record_;
      // The place of a peer's record is that of its id.
      if (op.kind == KadOp::put_value) {
        if (const auto peer = peer_of_record_key(op.key)) message.key = to_bytes(peer->multihash());
      }
      break;
  }
  return message;
}

bool KadNode::send(const Op* op, const KadQuery::Ask& ask, KadMessage message, bool storing, const Times& now) {
  const bool reused = connected_.contains(ask.peer);
  KadRequest out;
  // What is known of a peer is better than what a stranger says, and known ones bring no addresses along.
  const auto source = book_.source(ask.peer, now.mono_us);
  if (ask.known || (source && *source >= AddressSource::certified)) {
    out.addresses = book_.addresses(ask.peer, now.mono_us, kKadAddressesTold);
  }
  if (out.addresses.empty()) out.addresses = ask.addresses;
  if (out.addresses.empty() && !reused) return false;
  Request request;
  request.op = op == nullptr ? 0 : op->id;
  request.peer = ask.peer;
  request.place = ask.place;
  request.storing = storing;
  request.one_way = message.type == KadType::add_provider;
  request.reused = reused;
  request.type = message.type;
  request.asked_us = now.mono_us;
  request.slow_at_us = now.mono_us + timeout_of(ask.peer);
  request.give_up_us = now.mono_us + kKadRequestMaxUs;
  out.id = ++last_request_;
  out.peer = ask.peer;
  out.message = std::move(message);
  out.one_way = request.one_way;
  out.give_up_us = request.give_up_us;
  if (op != nullptr) {
    op->query->slow_at(ask.place, request.slow_at_us);
    if (settings_.trace) {
      trace({KadTrace::What::asked,
             op->id,
             op->kind,
             ask.peer,
             out.message.type,
             out.message.key,
             0,
             0,
             false,
             KadId::of(ask.peer).shared_bits(op->query->target()),
             0,
             {Code::ok, {}}});
    }
  }
  requests_.emplace(out.id, std::move(request));
  outbox_.push_back(std::move(out));
  return true;
}

void KadNode::pump_op(Op& op, const Times& now) {
  if (op.finished || op.storing) return;
  while (!op.query->done() && requests_.size() < kKadInFlightMax) {
    const auto ask = op.query->next();
    if (!ask) break;
    if (op.kind == KadOp::find_peer && ask->peer == op.peer)
      op.tried.insert(ask->addresses.begin(), ask->addresses.end());
    if (!send(&op, *ask, lookup_message(op), false, now)) op.query->failed(ask->place);
  }
  if (op.query->done()) lookup_over(op, now);
}

void KadNode::pump(const Times& now) {
  for (auto& [id, op] : ops_) pump_op(op, now);
  sweep_finished();
}

void KadNode::sweep_finished() {
  std::erase_if(ops_, [](const auto& op) { return op.second.finished; });
}

// What is still under way for an operation that is over. `cancelled`: nobody wants it; else answers that come soon still tell who
// lives.
void KadNode::let_go(uint64_t op, bool cancelled, const Times& now) {
  for (auto at = requests_.begin(); at != requests_.end();) {
    Request& request = at->second;
    if (request.op != op) {
      ++at;
      continue;
    }
    if (cancelled) {
      cancelled_.push_back(at->first);
      at = requests_.erase(at);
      continue;
    }
    request.op = 0;
    request.give_up_us = std::min(request.give_up_us, now.mono_us + kOrphanUs);
    ++at;
  }
}

std::optional<KadRequest> KadNode::next_request() {
  if (outbox_.empty()) return std::nullopt;
  KadRequest out = std::move(outbox_.front());
  outbox_.pop_front();
  return out;
}

std::optional<uint64_t> KadNode::next_cancelled() {
  if (cancelled_.empty()) return std::nullopt;
  const uint64_t out = cancelled_.front();
  cancelled_.pop_front();
  return out;
}

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
  try_target_again(op);
}

// Strangers may have said wrong addresses first. What others say is tried, too.
void KadNode::try_target_again(Op& op) {
  const auto found = op.found.find(op.peer);
  if (found == op.found.end() || op.tried.size() > kTargetTriesMax * kKadAddressesTold) return;
  std::vector<Bytes> fresh;
  for (const Bytes& address : found->second.addresses) {
    if (!op.tried.contains(address)) fresh.push_back(address);
  }
  if (!fresh.empty()) op.query->retry(KadId(), std::move(fresh));
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
      try_target_again(op);
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
