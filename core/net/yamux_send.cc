// Sent frames: the session's own first, then flags and windows of streams, then data, one frame of each stream in turn.
#include <algorithm>
#include <utility>

#include "core/net/yamux.h"

namespace sereus::net {

bool YamuxSession::wants_to_send() const {
  const auto unsent = [](const Ping& ping) { return !ping.sent; };
  return go_away_.has_value() || !pongs_.empty() || !resets_.empty() || !control_.empty() || !data_.empty() ||
         std::any_of(pings_.begin(), pings_.end(), unsent);
}

void YamuxSession::produce(Bytes& out, size_t size_wanted, uint64_t now_us) {
  const size_t start = out.size();
  send_session_frames(out, now_us);
  while (out.size() - start < size_wanted && (!control_.empty() || !data_.empty())) {
    const bool control = !control_.empty();
    std::deque<YamuxStreamId>& queue = control ? control_ : data_;
    YamuxStream& stream = *find(queue.front());
    queue.pop_front();
    (control ? stream.control_queued : stream.data_queued) = false;
    if (control) {
      send_control(out, stream);
    } else {
      send_data(out, stream);
    }
  }
  if (out.size() > start) stalled_us_ = kNever;
  if (!blocked_.empty()) tell_writable();
}

// All of them at once: their number is bounded and each is 12 bytes.
void YamuxSession::send_session_frames(Bytes& out, uint64_t now_us) {
  for (; !pongs_.empty(); pongs_.pop_front()) {
    append_yamux_header(out, {YamuxType::ping, YamuxHeader::kAck, 0, pongs_.front()});
  }
  for (; !resets_.empty(); resets_.pop_front()) {
    append_yamux_header(out, {YamuxType::window_update, YamuxHeader::kRst, resets_.front(), 0});
  }
  for (Ping& ping : pings_) {
    if (std::exchange(ping.sent, true)) continue;
    ping.since_us = now_us;
    append_yamux_header(out, {YamuxType::ping, YamuxHeader::kSyn, 0, ping.value});
  }
  if (!go_away_) return;
  append_yamux_header(out, {YamuxType::go_away, 0, 0, static_cast<uint32_t>(*go_away_)});
  go_away_.reset();
}

void YamuxSession::send_control(Bytes& out, YamuxStream& stream) {
  YamuxHeader header{YamuxType::window_update, 0, stream.id, 0};
  if (std::exchange(stream.syn_due, false)) header.flags |= YamuxHeader::kSyn;
  if (std::exchange(stream.ack_due, false)) header.flags |= YamuxHeader::kAck;
  if (std::exchange(stream.update_due, false) && !stream.fin_received) {
    header.length = static_cast<uint32_t>(stream.credit());
    stream.window += header.length;
  }
  if (stream.fin_due && !stream.fin_sent && stream.unsent.empty()) {
    header.flags |= YamuxHeader::kFin;
    stream.fin_sent = true;
  }
  if (header.flags == 0 && header.length == 0) return;
  append_yamux_header(out, header);
  forget_if_finished(stream);
}

void YamuxSession::send_data(Bytes& out, YamuxStream& stream) {
  const auto count =
      static_cast<size_t>(std::min<uint64_t>({stream.unsent.size(), stream.send_window, kYamuxFrameSendMax}));
  append_yamux_header(out, {YamuxType::data, 0, stream.id, static_cast<uint32_t>(count)});
  size_t left = count;
  while (left > 0) {
    ByteView part[1];
    stream.unsent.peek(0, part);
    const size_t taken = std::min(left, part[0].size());
    append(out, part[0].first(taken));
    stream.unsent.discard(taken);
    left -= taken;
  }
  unsent_ -= count;
  stream.send_window -= count;
  queue_data(stream);
  // FIN goes alone: js-libp2p ends a stream on the flags of a frame before it looks at its data, which is then lost.
  if (stream.fin_due && stream.unsent.empty()) queue_control(stream);
}

// In the order in which they asked. Room may have come from other streams, by the limit on all of them.
void YamuxSession::tell_writable() {
  std::vector<YamuxStreamId> still;
  for (const YamuxStreamId id : blocked_) {
    YamuxStream& stream = *find(id);
    if (write_room(stream) < kStreamWritableMin && !stream.unsent.empty()) {
      still.push_back(id);
      continue;
    }
    stream.wants_writable = false;
    events_.emplace_back(YamuxWritable{id});
  }
  blocked_ = std::move(still);
}

}  // namespace sereus::net
