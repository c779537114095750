// What a node of the DHT does by itself (kad_node.h): it keeps its table filled, publishes its record, repeats what it has stored
// with others, and forgets in time.
#include <algorithm>

#include "core/discovery/address_facts.h"
#include "core/discovery/kad_node.h"

namespace sereus::discovery {
namespace {

constexpr uint64_t kRetryMinUs = kMicrosPerSecond;
constexpr uint64_t kRetryMaxUs = kMicrosPerMinute;
constexpr uint64_t kSettleUs = 500 * kMicrosPerMilli;  // changes come together: addresses of several interfaces
constexpr size_t kFillRequestsMax = 3;                 // of one bucket: an answer has k peers
constexpr size_t kChecksMax = 4;
constexpr size_t kRepublishMax = 4;  // operations at once

}  // namespace

uint64_t KadNode::jittered(uint64_t interval_us) {
  const uint64_t tenth = interval_us / 10;
  return interval_us - tenth + (tenth > 0 ? random_.below(2 * tenth) : 0);
}

void KadNode::add_bootstrap(const net::PeerId& peer, const std::vector<Bytes>& addresses, const Times& now) {
  if (peer == own_ || peer.empty()) return;
  bootstrap_.insert(peer);
  book_.add(peer, addresses, AddressSource::configured, {}, now.mono_us);
  publish_at_us_ = std::min(publish_at_us_, now.mono_us);
}

void KadNode::addresses_changed(const Times& now) {
  publish_at_us_ = std::min(publish_at_us_, now.mono_us + kSettleUs);
}

void KadNode::network_changed(const Times& now) {
  retry_us_ = 0;
  publish_at_us_ = std::min(publish_at_us_, now.mono_us + kSettleUs);
  refresh_at_us_ = std::min(refresh_at_us_, now.mono_us + kSettleUs);
}

void KadNode::on_peer(const KadPeerFacts& facts, const Times& now) {
  if (facts.peer == own_ || facts.peer.empty()) return;
  connected_.insert(facts.peer);
  if (!facts.record.empty()) (void)book_.add_record(facts.peer, facts.record, now.mono_us).ok();
  book_.add(facts.peer, usable(facts.addresses, facts.remote, kBookAddressesMax), AddressSource::told, {}, now.mono_us);
  if (!facts.incoming && !facts.remote.empty()) book_.dial_succeeded(facts.peer, facts.remote, now.mono_us);
  if (!facts.server) {
    table_.remove(facts.peer);
    return;
  }
  const bool was_empty = table_.size() == 0;
  const auto proven = table_.proven(facts.peer, subnet_of(facts.remote), 0, now.mono_us);
  if (was_empty && publish_op_ == 0) publish_at_us_ = std::min(publish_at_us_, now.mono_us + kSettleUs);
  if (proven != RoutingTable::Proven::candidate) return;
  if (const auto doubtful = table_.doubtful(facts.peer, now.mono_us)) check(*doubtful, now);
}

void KadNode::on_disconnected(const net::PeerId& peer) { connected_.erase(peer); }

// Whether one that has not been heard of for long still lives.
void KadNode::check(const net::PeerId& peer, const Times& now) {
  if (checking_.size() >= kChecksMax || checking_.contains(peer)) return;
  KadMessage message;
  message.type = KadType::find_node;
  message.key = sereus::to_bytes(own_.multihash());
  KadQuery::Ask ask;
  ask.peer = peer;
  ask.known = true;
  if (send(nullptr, ask, std::move(message), false, now)) {
    checking_.insert(peer);
  } else {
    table_.failed(peer, true);
  }
}

void KadNode::begin_publish(const Times& now) {
  if (publish_op_ != 0) return;
  if (table_.size() == 0 && bootstrap_.empty()) {
    publish_at_us_ = kNever;  // until somebody is known
    return;
  }
  own_record_ = settings_.publish ? self_.signed_record(now) : Bytes();
  publish_at_us_ = now.mono_us + kRetryMaxUs;  // upkeep_over() says better
  Op op;
  op.kind = KadOp::publish;
  op.quiet = true;
  op.key = sereus::to_bytes(own_.multihash());
  // It may be over before begin() returns.
  publish_op_ = last_op_ + 1;
  if (!begin(std::move(op), own_id_, now, query_settings(false)).ok()) publish_op_ = 0;
}

void KadNode::begin_fill(const Times& now) {
  while (fill_op_ == 0 && !fill_.empty()) {
    const size_t bucket = fill_.front();
    fill_.pop_front();
    Op op;
    op.kind = KadOp::refresh;
    op.quiet = true;
    op.key = key_in_bucket(own_id_, bucket, random_);
    QuerySettings settings = query_settings(false);
    settings.alpha = kFillRequestsMax;
    settings.requests_max = kFillRequestsMax;
    fill_op_ = last_op_ + 1;
    const KadId target = KadId::of(op.key);
    if (!begin(std::move(op), target, now, settings).ok()) fill_op_ = 0;
  }
}

void KadNode::upkeep_over(const Op& op, const Times& now) {
  if (op.id == fill_op_) {
    fill_op_ = 0;
    return;
  }
  publish_op_ = 0;
  if (op.query->answers() == 0) {
    retry_us_ = std::clamp(2 * retry_us_, kRetryMinUs, kRetryMaxUs);
    publish_at_us_ = now.mono_us + jittered(retry_us_);
    return;
  }
  if (retry_us_ > 0 || refresh_at_us_ == kNever) refresh_at_us_ = now.mono_us;
  retry_us_ = 0;
  publish_at_us_ = now.mono_us + jittered(settings_.publish_interval_us);
}

void KadNode::begin_republish(const Times& now) {
  size_t begun = 0;
  republish_at_us_ = kNever;
  for (auto& [key, at_us] : own_provided_) {
    if (at_us <= now.mono_us && begun < kRepublishMax) {
      Op op;
      op.kind = KadOp::provide;
      op.quiet = true;
      op.key = key;
      if (begin(std::move(op), KadId::of(key), now, query_settings(false)).ok()) {
        at_us = now.mono_us + jittered(settings_.republish_interval_us);
        ++begun;
      }
    }
    republish_at_us_ = std::min(republish_at_us_, at_us);
  }
  for (auto& [key, own] : own_values_) {
    if (own.republish_us <= now.mono_us && begun < kRepublishMax) {
      Op op;
      op.kind = KadOp::put_value;
      op.quiet = true;
      op.key = key;
      op.done.value = own.value;
      if (begin(std::move(op), place_of_key(key), now, query_settings(false)).ok()) {
        own.republish_us = now.mono_us + jittered(settings_.republish_interval_us);
        ++begun;
      }
    }
    republish_at_us_ = std::min(republish_at_us_, own.republish_us);
  }
  // What is due and did not get its turn: after those that run.
  if (republish_at_us_ <= now.mono_us) republish_at_us_ = now.mono_us + kMicrosPerSecond;
}

uint64_t KadNode::upkeep(const Times& now) {
  if (sweep_at_us_ <= now.mono_us) {
    values_.sweep(now.mono_us);
    providers_.sweep(now.mono_us);
    sweep_at_us_ = now.mono_us + kBookSweepUs;
  }
  book_.step(now.mono_us);
  if (publish_at_us_ <= now.mono_us) begin_publish(now);
  if (refresh_at_us_ <= now.mono_us) {
    refresh_at_us_ = now.mono_us + jittered(settings_.refresh_interval_us);
    fill_.clear();
    std::map<size_t, size_t> usable_peers;
    for (const auto& bucket : table_.buckets(now.mono_us))
      usable_peers[bucket.shared_bits] = bucket.fresh + bucket.candidates;
    for (size_t i = 0; i < table_.depth(); ++i) {
      if (usable_peers[i] < settings_.k / 2) fill_.push_back(i);
    }
  }
  begin_fill(now);
  if (republish_at_us_ <= now.mono_us) begin_republish(now);
  return std::min({publish_op_ == 0 ? publish_at_us_ : kNever, refresh_at_us_, republish_at_us_, sweep_at_us_});
}

uint64_t KadNode::step(const Times& now) {
  // Requests that nobody answers. on_failed() changes the list.
  std::vector<uint64_t> late;
  uint64_t next_us = kNever;
  for (const auto& [id, request] : requests_) {
    if (request.give_up_us <= now.mono_us) late.push_back(id);
  }
  for (const uint64_t id : late) {
    cancelled_.push_back(id);
    on_failed(id, fail(Code::timeout, "dht: no answer in time"), now);
  }
  for (auto& [id, op] : ops_) {
    if (op.finished) continue;
    if (op.started_us + kKadQueryMaxUs <= now.mono_us) {
      op.storing ? finish(op, now) : lookup_over(op, now);
    } else if (!op.storing) {
      op.query->step(now.mono_us);
    }
  }
  pump(now);
  std::set<uint64_t> storing;  // operations that still wait
  for (const auto& [id, request] : requests_) {
    next_us = std::min(next_us, request.give_up_us);
    if (!request.storing || request.op == 0 || request.slow_at_us <= now.mono_us) continue;
    storing.insert(request.op);
    next_us = std::min(next_us, request.slow_at_us);
  }
  for (auto& [id, op] : ops_) {
    if (op.storing && !storing.contains(id)) finish(op, now);
  }
  sweep_finished();
  next_us = std::min(next_us, upkeep(now));
  for (auto& [id, op] : ops_) {
    if (!op.storing) next_us = std::min(next_us, op.query->step(now.mono_us));
    next_us = std::min(next_us, op.started_us + kKadQueryMaxUs);
  }
  return next_us;
}

}  // namespace sereus::discovery
