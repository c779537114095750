// Memory that connections have in buffers: measured, and given back by whoever has most of it when there is too much.
#include <algorithm>

#include "core/net/swarm.h"

namespace sereus::net {

// Of what a connection holds, that for which nothing was reserved.
uint64_t Swarm::beyond_reserve(ConnectionId id) const {
  if (given_back_.contains(id)) return 0;
  const uint64_t reserved = kConnectionMemory + connections_.at(id).streams * kStreamMemory;
  const uint64_t held = host_->buffered(id);
  return held > reserved ? held - reserved : 0;
}

uint64_t Swarm::measure_peer(const std::set<ConnectionId>& connections) const {
  uint64_t out = 0;
  for (const ConnectionId id : connections) out += beyond_reserve(id);
  return out;
}

// Returns when it wants to measure again. Where nothing is held and nothing happens, nothing grows.
uint64_t Swarm::measure(const Times& now) {
  if (now.mono_us < measure_at_us_) return may_hold_ ? measure_at_us_ : kNever;
  bool holds = false;
  for (const auto& [peer, connections] : by_peer_) {
    const uint64_t bytes = measure_peer(connections);
    holds = holds || bytes > 0;
    limits_->set_buffered(peer, bytes);
  }
  while (const auto excess = limits_->excess()) give_back(*excess, now);
  measure_at_us_ = now.mono_us + (limits_->memory_is_tight() ? kMemoryTightIntervalUs : kMemoryIntervalUs);
  may_hold_ = holds;
  return may_hold_ ? measure_at_us_ : kNever;
}

// Ends what has most: the stream, when one has it, otherwise the connection. The peer holds less afterwards.
void Swarm::give_back(const ResourceLimits::Excess& excess, const Times& now) {
  const auto found = by_peer_.find(excess.peer);
  if (found == by_peer_.end()) return limits_->set_buffered(excess.peer, 0);
  const std::set<ConnectionId>& connections = found->second;
  const ConnectionId most =
      *std::max_element(connections.begin(), connections.end(),
                        [this](ConnectionId a, ConnectionId b) { return beyond_reserve(a) < beyond_reserve(b); });
  if (!end_largest_stream(most, excess, now)) {
    const Connection& connection = connections_.at(most);
    limits_->on_ended_for(excess, connection.incoming, connection.address, {}, now);
    given_back_.insert(most);
    host_->disconnect(most, Code::again);
  }
  limits_->set_buffered(excess.peer, measure_peer(connections));
}

// False when that helps nothing: no stream has much of it, or it stays with the transport (QUIC keeps what the peer has not
// acknowledged).
bool Swarm::end_largest_stream(ConnectionId id, const ResourceLimits::Excess& excess, const Times& now) {
  const uint64_t before = host_->buffered(id);
  const StreamBuffer largest = host_->largest_buffer(id);
  const auto stream = streams_.find(largest.stream);
  if (stream == streams_.end() || largest.bytes < kStreamMemory) return false;
  const std::string protocol = stream->second.protocol;
  const bool incoming = stream->second.incoming;
  host_->reset(largest.stream);
  const std::string reason(refusal_name(excess.reason));
  events_.emplace_back(StreamClosed{largest.stream, fail(Code::again, "a limit of memory is reached: " + reason)});
  forget_stream(largest.stream, now);
  if (host_->buffered(id) >= before) return false;
  limits_->on_ended_for(excess, incoming, connections_.at(id).address, protocol, now);
  return true;
}

}  // namespace sereus::net
