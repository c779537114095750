#include "core/discovery/kad_node.h"

#include <algorithm>
#include <utility>

#include "core/discovery/address_facts.h"

namespace sereus::discovery {
namespace {

// How long what a finished query still waits for may take: the answers tell who lives.
constexpr uint64_t kOrphanUs = 2 * kMicrosPerSecond;
constexpr size_t kWidenMax = 2;

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
  size_t seeds = 0;
  const auto take = [&](const TablePeer& peer) {
    std::vector<Bytes> addresses = book_.addresses(peer.peer, now.mono_us, kKadAddressesTold);
    if (addresses.empty() && !connected_.contains(peer.peer)) {
      table_.remove(peer.peer);  // its addresses are forgotten
      return;
    }
    op.query->seed(peer.peer, std::move(addresses), peer.seen_us > 0);
    ++seeds;
  };
  for (const TablePeer& peer : table_.closest(op.query->target(), settings_.k, false)) take(peer);
  // Those that were only named come beside them and never in their place: whoever names many would be alone in the lookup.
  const size_t most = seeds + std::max(settings_.k / 2, settings_.k - std::min(settings_.k, seeds));
  for (const TablePeer& peer : table_.closest(op.query->target(), 2 * settings_.k, true)) {
    if (seeds >= most) break;
    if (peer.seen_us == 0) take(peer);
  }
  if (seeds < settings_.alpha) seed_bootstrap(op);
}

void KadNode::seed_bootstrap(Op& op) {
  op.bootstrapped = true;
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

uint64_t KadNode::hedge_of(const net::PeerId& peer) const {
  const TablePeer* known = table_.find(peer);
  if (!connected_.contains(peer)) return dialed_rtt_.hedge_us();
  if (known != nullptr && known->rtt_us > 0) return std::max(2 * known->rtt_us, kKadHedgeMinUs);
  return reused_rtt_.measured() ? reused_rtt_.hedge_us() : dialed_rtt_.hedge_us();
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
    op->query->set_times(ask.place, now.mono_us + hedge_of(ask.peer), request.slow_at_us);
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

void KadNode::ask_more(Op& op, const Times& now) {
  while (!op.query->done() && requests_.size() < kKadInFlightMax) {
    const auto ask = op.query->next();
    if (!ask) return;
    if (op.kind == KadOp::find_peer && ask->peer == op.peer)
      op.tried.insert(ask->addresses.begin(), ask->addresses.end());
    if (send(&op, *ask, lookup_message(op), false, now)) continue;
    op.query->failed(ask->place);
    table_.remove(ask->peer);  // its addresses are forgotten
  }
}

void KadNode::pump_op(Op& op, const Times& now) {
  if (op.finished || op.storing) return;
  ask_more(op, now);
  // Somebody says where the peer is, and it is not there, as far as can be seen yet: somebody may be lying, so more are asked.
  while (op.kind == KadOp::find_peer && !op.done.certified && !op.found.empty() && op.widened < kWidenMax &&
         op.query->settled()) {
    op.query->widen(settings_.k);
    ++op.widened;
    ask_more(op, now);
  }
  if (!op.query->done()) return;
  if (op.query->answers() == 0 && !op.bootstrapped && !bootstrap_.empty()) {
    // All whom it knew are gone: as at the beginning.
    seed_bootstrap(op);
    pump_op(op, now);
    return;
  }
  lookup_over(op, now);
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

}  // namespace sereus::discovery
