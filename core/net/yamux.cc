// The session as its owner sees it: streams, timers, its end. Received frames are in yamux_receive.cc, sent ones in
// yamux_send.cc.
#include "core/net/yamux.h"

#include <algorithm>
#include <utility>

namespace sereus::net {
namespace {

Error no_stream() { return fail(Code::closed, "yamux: no such stream, or it is closed"); }

}  // namespace

YamuxSession::YamuxSession(YamuxRole role, const YamuxOptions& options, uint64_t now_us)
    : role_(role),
      options_(options),
      next_id_(options.first_id != 0 ? options.first_id : (role == YamuxRole::client ? 1 : 2)),
      pings_allowed_(kYamuxPingsBurst, kYamuxPingsPerSecond, now_us),
      resets_allowed_(kYamuxResetsBurst, kYamuxResetsPerSecond, now_us),
      refusals_allowed_(kYamuxRefusalsBurst, kYamuxRefusalsPerSecond, now_us),
      idle_allowed_(kYamuxIdleBurst, kYamuxIdlePerSecond, now_us),
      last_received_us_(now_us),
      last_ping_us_(now_us) {
  SEREUS_ASSERT(next_id_ % 2 == (role == YamuxRole::client ? 1 : 0));
  // The round trip is wanted early: windows grow by it.
  if (options_.keep_alive_us != kNever) queue_ping(false, now_us);
}

// --- streams --------------------------------------------------------------------------------------------------------

YamuxStream* YamuxSession::find(YamuxStreamId id) {
  const auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : &it->second;
}

YamuxStream& YamuxSession::add(YamuxStreamId id, bool incoming, uint64_t now_us) {
  YamuxStream& stream = streams_[id];
  stream.id = id;
  stream.incoming = incoming;
  stream.updated_us = now_us;
  ++(incoming ? incoming_ : unacknowledged_);
  return stream;
}

// Takes a stream out of everything. `stream` is gone afterwards.
void YamuxSession::forget(YamuxStream& stream) {
  const YamuxStreamId id = stream.id;
  received_ -= stream.received.size();
  unsent_ -= stream.unsent.size();
  growth_left_ += stream.window_size - kYamuxWindowInitial;
  if (stream.incoming) --incoming_;
  if (!stream.incoming && !stream.acknowledged) --unacknowledged_;
  if (stream.incoming && !stream.accepted) std::erase(to_accept_, id);
  if (stream.control_queued) std::erase(control_, id);
  if (stream.data_queued) std::erase(data_, id);
  if (stream.wants_writable) std::erase(blocked_, id);
  if (payload_stream_ == id) payload_stream_ = 0;
  streams_.erase(id);
  if (peer_leaves_ && streams_.empty()) end(Error{Code::ok, {}}, YamuxGoAway::normal);
}

void YamuxSession::forget_if_finished(YamuxStream& stream) {
  if (stream.finished()) forget(stream);
}

// Resets a stream of which the peer has not been told, and tells the application when it knows of it.
void YamuxSession::drop(YamuxStream& stream, const Error& reason) {
  const YamuxStreamId id = stream.id;
  if (stream.accepted) events_.emplace_back(YamuxClosed{id, reason});
  reset(id);
}

Result<YamuxStreamId> YamuxSession::open(uint64_t now_us) {
  if (ended_) return error_.code == Code::ok ? fail(Code::closed, "yamux: the session has ended") : error_;
  if (peer_leaves_) return fail(Code::closed, "yamux: the peer takes no more streams");
  if (next_id_ > UINT32_MAX) return fail(Code::closed, "yamux: the stream ids of this connection are used up");
  if (unacknowledged_ >= kYamuxUnacknowledgedMax || streams_.size() - incoming_ >= kYamuxOutgoingMax) {
    return fail(Code::again, "yamux: too many streams are open");
  }
  const auto id = static_cast<YamuxStreamId>(next_id_);
  next_id_ += 2;
  YamuxStream& stream = add(id, false, now_us);
  stream.accepted = true;
  stream.syn_due = true;
  queue_control(stream);
  return id;
}

std::optional<YamuxStreamId> YamuxSession::accept() {
  if (to_accept_.empty() || events_.size() >= kYamuxEventsMax) return std::nullopt;
  const YamuxStreamId id = to_accept_.front();
  to_accept_.pop_front();
  YamuxStream& stream = *find(id);
  stream.accepted = true;
  stream.ack_due = true;
  queue_control(stream);
  if (!stream.received.empty() || stream.fin_received) tell_readable(stream);
  return id;
}

size_t YamuxSession::write_room(const YamuxStream& stream) const {
  const size_t held = stream.unsent.size();
  const size_t total_left = kYamuxUnsentTotalMax - std::min(kYamuxUnsentTotalMax, unsent_);
  const size_t reserve_left = kYamuxUnsentReserve - std::min(kYamuxUnsentReserve, held);
  return std::min(kYamuxUnsentMax - std::min(kYamuxUnsentMax, held), std::max(total_left, reserve_left));
}

Result<size_t> YamuxSession::write(YamuxStreamId id, ByteView data) {
  YamuxStream* const stream = find(id);
  if (stream == nullptr || stream->fin_due || stream->fin_sent) return no_stream();
  const size_t count = std::min(data.size(), write_room(*stream));
  stream->unsent.append(data.first(count));
  unsent_ += count;
  if (count < data.size() && !stream->wants_writable) {
    stream->wants_writable = true;
    blocked_.push_back(id);
  }
  queue_data(*stream);
  return count;
}

Result<YamuxSession::ReadResult> YamuxSession::read(YamuxStreamId id, ByteSpan out, uint64_t now_us) {
  YamuxStream* const stream = find(id);
  if (stream == nullptr || !stream->accepted) return no_stream();
  ReadResult result;
  result.size = stream->received.read(out);
  received_ -= result.size;
  if (result.size < out.size()) stream->readable_told = false;
  if (stream->fin_received && stream->received.empty()) {
    result.finished = true;
    stream->fin_told = true;
    forget_if_finished(*stream);
    return result;
  }
  // Half a window at a time: the peer goes on with the other half meanwhile, and updates stay few.
  if (!stream->fin_received && !stream->update_due && stream->credit() >= stream->window_size / 2) {
    tune_window(*stream, now_us);
    stream->update_due = true;
    queue_control(*stream);
  }
  return result;
}

// A window that is used up by half within four round trips is what limits the stream; so it is doubled.
void YamuxSession::tune_window(YamuxStream& stream, uint64_t now_us) {
  const uint64_t elapsed = now_us - std::min(now_us, stream.updated_us);
  stream.updated_us = now_us;
  if (rtt_us_ == 0 || elapsed >= 4 * std::max(rtt_us_, kYamuxRttFloorUs)) return;
  const uint64_t more = std::min({stream.window_size, kYamuxWindowMax - stream.window_size, growth_left_});
  stream.window_size += more;
  growth_left_ -= more;
}

void YamuxSession::finish(YamuxStreamId id) {
  YamuxStream* const stream = find(id);
  if (stream == nullptr || stream->fin_due || stream->fin_sent) return;
  stream->fin_due = true;
  if (stream->unsent.empty()) queue_control(*stream);
}

void YamuxSession::reset(YamuxStreamId id) {
  YamuxStream* const stream = find(id);
  if (stream == nullptr) return;
  // What the peer sent before it learns of the reset is not its fault; more than its window would be.
  if (!stream->fin_received) stray_left_ += stream->window;
  const bool never_sent = stream->syn_due;
  forget(*stream);
  if (!never_sent) queue_reset(id);
}

void YamuxSession::queue_reset(YamuxStreamId id) {
  if (ended_) return;
  if (resets_.size() >= kYamuxResetsMax) {
    return end(fail(Code::protocol, "yamux: the peer does not take what it causes"), YamuxGoAway::protocol_error);
  }
  resets_.push_back(id);
}

void YamuxSession::queue_control(YamuxStream& stream) {
  if (std::exchange(stream.control_queued, true)) return;
  control_.push_back(stream.id);
}

void YamuxSession::queue_data(YamuxStream& stream) {
  if (stream.unsent.empty() || stream.send_window == 0 || std::exchange(stream.data_queued, true)) return;
  data_.push_back(stream.id);
}

void YamuxSession::tell_readable(YamuxStream& stream) {
  if (!stream.accepted || std::exchange(stream.readable_told, true)) return;
  events_.emplace_back(YamuxReadable{stream.id});
}

// --- session --------------------------------------------------------------------------------------------------------

Result<uint32_t> YamuxSession::ping(uint64_t now_us) {
  if (ended_) return fail(Code::closed, "yamux: the session has ended");
  if (pings_.size() >= kYamuxPingsMax) return fail(Code::again, "yamux: too many pings are under way");
  queue_ping(true, now_us);
  return pings_.back().value;
}

void YamuxSession::queue_ping(bool asked, uint64_t now_us) {
  pings_.push_back(Ping{next_ping_++, asked, false, now_us});
  last_ping_us_ = now_us;
}

void YamuxSession::close(YamuxGoAway code) {
  const bool normal = code == YamuxGoAway::normal;
  end(normal ? Error{Code::ok, {}} : fail(Code::closed, "yamux: the session was closed"), code);
}

void YamuxSession::transport_ended(const Error& reason) { end(reason, std::nullopt); }

void YamuxSession::end(const Error& reason, std::optional<YamuxGoAway> code) {
  if (ended_) return;
  ended_ = true;
  error_ = reason;
  const Error of_streams = reason.code == Code::ok ? fail(Code::closed, "yamux: the session has ended") : reason;
  for (const auto& [id, stream] : streams_) {
    if (stream.accepted) events_.emplace_back(YamuxClosed{id, of_streams});
  }
  events_.emplace_back(YamuxEnded{reason});
  streams_.clear();
  skipped_.clear();
  to_accept_.clear();
  incoming_ = unacknowledged_ = received_ = unsent_ = 0;
  payload_left_ = 0;
  pongs_.clear();
  resets_.clear();
  pings_.clear();
  control_.clear();
  data_.clear();
  blocked_.clear();
  go_away_ = code;
}

uint64_t YamuxSession::step(uint64_t now_us) {
  if (ended_) return kNever;
  if (!wants_to_send()) {
    stalled_us_ = kNever;
  } else if (stalled_us_ == kNever) {
    stalled_us_ = now_us;
  }
  if (options_.keep_alive_us != kNever && pings_.empty() && now_us >= last_ping_us_ + options_.keep_alive_us) {
    queue_ping(false, now_us);
  }
  uint64_t deadline = stalled_us_ == kNever ? kNever : stalled_us_ + kYamuxStalledTimeoutUs;
  if (now_us >= deadline) {
    end(fail(Code::timeout, "yamux: the peer takes nothing"), YamuxGoAway::protocol_error);
    return kNever;
  }
  if (!pings_.empty()) {
    const uint64_t silent_since = std::max(pings_.front().since_us, last_received_us_);
    if (now_us >= silent_since + kYamuxPingTimeoutUs) {
      end(fail(Code::timeout, "yamux: the peer does not answer"), YamuxGoAway::protocol_error);
      return kNever;
    }
    deadline = std::min(deadline, silent_since + kYamuxPingTimeoutUs);
  } else if (options_.keep_alive_us != kNever) {
    deadline = std::min(deadline, last_ping_us_ + options_.keep_alive_us);
  }
  return deadline;
}

std::optional<YamuxEvent> YamuxSession::next_event() {
  if (events_.empty()) return std::nullopt;
  YamuxEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

size_t YamuxSession::buffered(YamuxStreamId stream) const {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? 0 : found->second.received.size() + found->second.unsent.size();
}

}  // namespace sereus::net
