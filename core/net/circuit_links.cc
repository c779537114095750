#include "core/net/circuit_links.h"

#include <algorithm>
#include <utility>

namespace sereus::net {
namespace {

constexpr size_t kNumberAt = 8;       // behind the prefix
constexpr uint16_t kCircuitPort = 1;  // an address without one cannot be dialed
constexpr size_t kLimitedMax = 64;    // not taken yet; more are not told

}  // namespace

IpEndpoint circuit_endpoint(uint64_t number) {
  IpEndpoint out;
  out.is_v6 = true;
  out.address[0] = 0x01;  // 100::/64
  store_be(out.address.data() + kNumberAt, number);
  out.port = kCircuitPort;
  return out;
}

std::optional<uint64_t> circuit_number(const IpEndpoint& endpoint) {
  const auto number = load_be<uint64_t>(endpoint.address.data() + kNumberAt);
  if (endpoint != circuit_endpoint(number)) return std::nullopt;
  return number;
}

CircuitLinks::CircuitLinks(Swarm& swarm, LinkEvents& events)
    : swarm_(swarm), events_(events), drain_(swarm, kCircuitsLingeringMax, kCircuitLingerUs) {}

// ---- Links ------------------------------------------------------------------------------------------------------------

Result<Links::Listening> CircuitLinks::listen(const IpEndpoint& /*local*/) {
  return fail(Code::unsupported, "circuits come from relays");
}

Result<LinkId> CircuitLinks::connect(const IpEndpoint& remote) {
  const auto number = circuit_number(remote);
  if (!number) return fail(Code::unsupported, "not a circuit");
  const LinkId id = ++last_;
  links_[id].number = *number;
  wanted_.push_back({id, *number});
  return id;
}

bool CircuitLinks::flush(Link& link) {
  if (link.unsent.empty()) return true;
  const auto taken = swarm_.write(link.stream, link.unsent);
  if (!taken.ok()) return false;  // StreamClosed tells
  link.unsent.erase(link.unsent.begin(), link.unsent.begin() + static_cast<ptrdiff_t>(*taken));
  return link.unsent.empty();
}

size_t CircuitLinks::write(LinkId id, ByteView data) {
  const auto found = links_.find(id);
  if (found == links_.end() || found->second.stream == 0) return 0;
  Link& link = found->second;
  size_t taken = 0;
  if (flush(link)) {
    const auto written = swarm_.write(link.stream, data);
    if (!written.ok()) return 0;  // StreamClosed tells
    taken = *written;
  }
  link.sent += taken;
  if (taken < data.size()) link.wants_writable = true;
  return taken;
}

Links::ReadResult CircuitLinks::read(LinkId id, ByteSpan out) {
  ReadResult result;
  const auto found = links_.find(id);
  if (found == links_.end() || found->second.stream == 0) return result;
  Link& link = found->second;
  result.size = std::min(out.size(), link.received.size());
  std::copy_n(link.received.begin(), result.size, out.begin());
  link.received.erase(link.received.begin(), link.received.begin() + static_cast<ptrdiff_t>(result.size));
  if (link.ended) {
    result.ended = link.received.empty();
  } else if (result.size < out.size()) {
    const auto more = swarm_.read(link.stream, out.subspan(result.size));
    if (more.ok()) {  // otherwise StreamClosed tells
      result.size += more->size;
      result.ended = link.ended = more->finished;
    }
  }
  link.got += result.size;
  return result;
}

void CircuitLinks::finish(LinkId id) {
  const auto found = links_.find(id);
  if (found == links_.end() || found->second.stream == 0) return;
  Link& link = found->second;
  if (std::exchange(link.finished, true)) return;
  (void)flush(link);
  swarm_.finish(link.stream);
}

void CircuitLinks::close(LinkId id) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  const Link link = std::move(found->second);
  links_.erase(found);
  ended_.push_back(link.number);
  if (link.stream == 0) return;
  by_stream_.erase(link.stream);
  // As TCP does: behind our end what was written still arrives, where a reset would overtake it.
  if (link.finished && !link.ended) {
    drain_.add(link.stream, now_);
  } else if (!link.finished) {
    swarm_.reset(link.stream);
  }
}

// ---- The relay client -------------------------------------------------------------------------------------------------

std::optional<CircuitLinks::Wanted> CircuitLinks::next_wanted() {
  while (!wanted_.empty()) {
    const Wanted wanted = wanted_.front();
    wanted_.pop_front();
    if (waits(wanted.link)) return wanted;
  }
  return std::nullopt;
}

bool CircuitLinks::waits(LinkId link) const {
  const auto found = links_.find(link);
  return found != links_.end() && found->second.stream == 0;
}

CircuitLinks::Link& CircuitLinks::adopt(LinkId id, uint64_t number, StreamId stream, MessageStreams::Released released,
                                        const CircuitLimit& limit, const Times& now) {
  Link& link = links_[id];
  link.number = number;
  link.stream = stream;
  link.received = std::move(released.received);
  link.ended = released.ended;
  link.unsent = std::move(released.unsent);
  link.limit = limit;
  link.since_us = now.mono_us;
  by_stream_[stream] = id;
  return link;
}

void CircuitLinks::opened(LinkId id, StreamId stream, MessageStreams::Released released, const CircuitLimit& limit,
                          const Times& now) {
  const uint64_t number = links_.at(id).number;
  adopt(id, number, stream, std::move(released), limit, now);
  events_.on_connected(id, circuit_endpoint(number));
  events_.on_readable(id);  // what was read of it so far may have left something
}

void CircuitLinks::refused(LinkId id, const Error& reason) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  ended_.push_back(found->second.number);
  links_.erase(found);
  events_.on_closed(id, reason);
}

void CircuitLinks::accepted(uint64_t number, StreamId stream, MessageStreams::Released released,
                            const CircuitLimit& limit, const Times& now) {
  const LinkId id = ++last_;
  adopt(id, number, stream, std::move(released), limit, now);
  (void)flush(links_.at(id));
  events_.on_accepted(0, id, circuit_endpoint(number), circuit_endpoint(number));
  events_.on_readable(id);
}

bool CircuitLinks::on_event(const HostEvent& event, const Times& now) {
  now_ = now;
  if (drain_.on_event(event)) return true;
  StreamId stream = 0;
  const auto* closed = std::get_if<StreamClosed>(&event);
  if (closed != nullptr) stream = closed->stream;
  const auto* readable = std::get_if<StreamReadable>(&event);
  if (readable != nullptr) stream = readable->stream;
  if (const auto* writable = std::get_if<StreamWritable>(&event)) stream = writable->stream;
  const auto found = by_stream_.find(stream);
  if (found == by_stream_.end()) return false;
  const LinkId id = found->second;
  Link& link = links_.at(id);
  if (closed != nullptr) {
    const Error reason = reason_of(link, closed->reason, now);
    ended_.push_back(link.number);
    by_stream_.erase(found);
    links_.erase(id);
    events_.on_closed(id, reason);
  } else if (readable != nullptr) {
    events_.on_readable(id);
  } else if (flush(link) && std::exchange(link.wants_writable, false)) {
    events_.on_writable(id);
  }
  return true;
}

// The relay says nothing when it ends a circuit; what it has told before makes the reason.
Error CircuitLinks::reason_of(const Link& link, const Error& reason, const Times& now) {
  const CircuitLimit& limit = link.limit;
  const auto limited = [&](CircuitLimitKind kind, Code code, const std::string& what) {
    if (limited_.size() < kLimitedMax) limited_.push_back({link.number, kind});
    return fail(code, "the relay's limit of " + what + " was reached");
  };
  if (limit.data_bytes != 0 && std::max(link.sent, link.got) >= limit.data_bytes) {
    return limited(CircuitLimitKind::data, Code::no_space, std::to_string(limit.data_bytes) + " bytes");
  }
  if (limit.duration_us != 0 && now.mono_us - link.since_us >= limit.duration_us) {
    const std::string seconds = std::to_string(limit.duration_us / kMicrosPerSecond) + " s";
    return limited(CircuitLimitKind::duration, Code::timeout, seconds);
  }
  return fail(Code::io, "the relay ended the circuit" + (reason.detail.empty() ? "" : ": " + reason.detail));
}

std::optional<uint64_t> CircuitLinks::next_ended() {
  if (ended_.empty()) return std::nullopt;
  const uint64_t out = ended_.front();
  ended_.pop_front();
  return out;
}

uint64_t CircuitLinks::step(const Times& now) {
  now_ = now;
  return drain_.step(now);
}

std::optional<CircuitLinks::Limited> CircuitLinks::next_limited() {
  if (limited_.empty()) return std::nullopt;
  const Limited out = limited_.front();
  limited_.pop_front();
  return out;
}

}  // namespace sereus::net
