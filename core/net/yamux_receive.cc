// Received frames. Everything here is written for a peer that means harm: what an honest one would not send ends the
// session, and what it might send too much of is counted.
#include <algorithm>
#include <utility>

#include "core/net/yamux.h"

namespace sereus::net {
namespace {

Error broken(const char* what) { return fail(Code::protocol, std::string("yamux: ") + what); }

}  // namespace

Status YamuxSession::feed(ByteView in, uint64_t now_us) {
  if (!in.empty()) last_received_us_ = now_us;
  while (!ended_ && !in.empty()) {
    if (payload_left_ > 0) {
      const size_t count = std::min<size_t>(payload_left_, in.size());
      on_payload(in.first(count));
      in = in.subspan(count);
      if (ended_) break;
      payload_left_ -= static_cast<uint32_t>(count);
      if (payload_left_ == 0) on_payload_end();
      continue;
    }
    const size_t count = std::min(kYamuxHeaderSize - header_size_, in.size());
    std::copy_n(in.begin(), count, header_.begin() + static_cast<ptrdiff_t>(header_size_));
    header_size_ += count;
    in = in.subspan(count);
    if (header_size_ < kYamuxHeaderSize) break;
    header_size_ = 0;
    const auto header = parse_yamux_header(header_);
    Status handled = header.ok() ? on_header(*header, now_us) : Status(header.error());
    if (!handled.ok()) {
      end(handled.error(), YamuxGoAway::protocol_error);
      return handled;
    }
  }
  return ended_ && error_.code != Code::ok ? Status(error_) : Status();
}

Status YamuxSession::on_header(const YamuxHeader& header, uint64_t now_us) {
  if (header.type == YamuxType::ping) return on_ping(header, now_us);
  if (header.type == YamuxType::go_away) return on_go_away(header);
  if (header.type == YamuxType::data && header.length > kYamuxFrameReceiveMax) return broken("a frame is too large");
  // Who sends nothing and says nothing has no reason to.
  if (header.length == 0 && header.flags == 0 && !idle_allowed_.take(now_us)) return broken("a flood of empty frames");
  payload_stream_ = 0;
  payload_fin_ = false;
  SEREUS_TRY(on_stream_frame(header, now_us));
  if (ended_ || header.type != YamuxType::data) return {};
  payload_left_ = header.length;
  return {};
}

Status YamuxSession::on_stream_frame(const YamuxHeader& header, uint64_t now_us) {
  if (header.has(YamuxHeader::kSyn)) return on_syn(header, now_us);
  if (YamuxStream* const stream = find(header.stream)) return on_known(*stream, header, now_us);
  if (!existed(header.stream)) return broken("a frame for a stream that was never opened");
  return on_gone(header, now_us);
}

bool YamuxSession::existed(YamuxStreamId id) const {
  if (is_ours(id)) return id < next_id_ && (options_.first_id == 0 || id >= options_.first_id);
  return id <= highest_ && skipped_.count(id) == 0;
}

// Several threads of one implementation may write their SYN in another order than they took their ids, so ids that were
// passed over may still come; the oldest of too many are taken for used.
void YamuxSession::note_id(YamuxStreamId id) {
  if (id < highest_) {
    skipped_.erase(id);
    return;
  }
  const uint64_t first = highest_ == 0 ? (role_ == YamuxRole::client ? 2 : 1) : uint64_t{highest_} + 2;
  const uint64_t reach = 2 * uint64_t{kYamuxSkippedMax};
  for (uint64_t passed = std::max(first, id - std::min<uint64_t>(reach, id)); passed < id; ++passed) {
    if (passed % 2 == id % 2) skipped_.insert(static_cast<YamuxStreamId>(passed));
  }
  while (skipped_.size() > kYamuxSkippedMax) skipped_.erase(skipped_.begin());
  highest_ = id;
}

Status YamuxSession::on_syn(const YamuxHeader& header, uint64_t now_us) {
  const YamuxStreamId id = header.stream;
  if (is_ours(id)) return broken("the peer opened a stream with an id of ours");
  if (existed(id)) return broken("a stream id is used twice");
  const bool data = header.type == YamuxType::data;
  if (data && header.length > kYamuxWindowInitial) return broken("more than the window allows");
  note_id(id);
  if (incoming_ >= options_.incoming_max) {
    if (!refusals_allowed_.take(now_us)) return broken("a flood of streams");
    stray_left_ += kYamuxWindowInitial - (data ? header.length : 0);
    if (!header.has(YamuxHeader::kRst)) queue_reset(id);
    return {};
  }
  YamuxStream& stream = add(id, true, now_us);
  to_accept_.push_back(id);
  return on_known(stream, header, now_us);
}

// A stream that was, and is no more. Frames may still have been on their way when we reset it, or when both had finished.
Status YamuxSession::on_gone(const YamuxHeader& header, uint64_t now_us) {
  if (header.type == YamuxType::data && header.length > 0) {
    if (header.length > stray_left_) return broken("data for a closed stream");
    stray_left_ -= header.length;
    return {};
  }
  return idle_allowed_.take(now_us) ? Status() : Status(broken("a flood of frames for closed streams"));
}

Status YamuxSession::on_known(YamuxStream& stream, const YamuxHeader& header, uint64_t now_us) {
  if (header.type == YamuxType::data) {
    if (header.length > 0 && stream.fin_received) return broken("data after the end of a stream");
    if (header.length > stream.window) return broken("more than the window allows");
    stream.window -= header.length;
  } else {
    stream.send_window += header.length;
    if (stream.send_window > kYamuxSendWindowMax) return broken("a window beyond every measure");
    queue_data(stream);
  }
  if (header.has(YamuxHeader::kAck) && !stream.incoming && !std::exchange(stream.acknowledged, true)) {
    --unacknowledged_;
  }
  if (header.has(YamuxHeader::kRst)) return on_reset(stream, now_us);
  if (header.type == YamuxType::data && header.length > 0) {
    payload_stream_ = stream.id;
    payload_fin_ = header.has(YamuxHeader::kFin);
    return {};
  }
  if (!header.has(YamuxHeader::kFin)) return {};
  if (std::exchange(stream.fin_received, true)) {
    return idle_allowed_.take(now_us) ? Status() : Status(broken("a flood of ends"));
  }
  tell_readable(stream);
  return {};
}

Status YamuxSession::on_reset(YamuxStream& stream, uint64_t now_us) {
  // Opening and resetting costs a peer 24 bytes and us a stream and its negotiation.
  if (!resets_allowed_.take(now_us)) return broken("a flood of resets");
  if (stream.accepted) {
    events_.emplace_back(YamuxClosed{stream.id, fail(Code::closed, "yamux: the peer reset the stream")});
  }
  forget(stream);
  return {};
}

void YamuxSession::on_payload(ByteView data) {
  YamuxStream* const stream = payload_stream_ == 0 ? nullptr : find(payload_stream_);
  if (stream == nullptr) return;
  stream->received.append(data);
  received_ += data.size();
  tell_readable(*stream);
  if (received_ > kYamuxReceivedMax) shed_received();
}

void YamuxSession::on_payload_end() {
  YamuxStream* const stream = payload_stream_ == 0 ? nullptr : find(payload_stream_);
  if (stream == nullptr || !payload_fin_) return;
  stream->fin_received = true;
  tell_readable(*stream);
}

// Each time frees at least kYamuxReceivedMax divided by the number of streams, so the search is paid for by data.
void YamuxSession::shed_received() {
  auto most = streams_.begin();
  for (auto it = streams_.begin(); it != streams_.end(); ++it) {
    if (it->second.received.size() > most->second.received.size()) most = it;
  }
  drop(most->second,
       fail(Code::too_large, "yamux: too much of this connection was not read; the stream with most went"));
}

Status YamuxSession::on_ping(const YamuxHeader& header, uint64_t now_us) {
  if (header.has(YamuxHeader::kSyn)) {
    if (!pings_allowed_.take(now_us) || pongs_.size() >= kYamuxPongsMax) return broken("a flood of pings");
    pongs_.push_back(header.length);
    return {};
  }
  const auto it = std::find_if(pings_.begin(), pings_.end(),
                               [&header](const Ping& ping) { return ping.sent && ping.value == header.length; });
  if (it == pings_.end()) {
    return idle_allowed_.take(now_us) ? Status() : Status(broken("a flood of answers nobody asked for"));
  }
  const uint64_t sample = std::max<uint64_t>(1, now_us - std::min(now_us, it->since_us));
  // The first one often waits for a handshake to be finished over there, so a smaller one counts at once.
  rtt_us_ = rtt_us_ == 0 || sample < rtt_us_ ? sample : (7 * rtt_us_ + sample) / 8;
  if (it->asked) events_.emplace_back(YamuxPong{it->value, sample});
  pings_.erase(it);
  return {};
}

Status YamuxSession::on_go_away(const YamuxHeader& header) {
  if (header.length != static_cast<uint32_t>(YamuxGoAway::normal)) {
    // Our own GO_AWAY in answer says nothing new, so none is sent.
    end(fail(Code::closed, "yamux: the peer ended the session with code " + std::to_string(header.length)),
        std::nullopt);
    return {};
  }
  peer_leaves_ = true;
  if (streams_.empty()) end(Error{Code::ok, {}}, YamuxGoAway::normal);
  return {};
}

}  // namespace sereus::net
