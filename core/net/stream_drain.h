// Streams that are over for us, and not yet for the peer: our direction was ended, and what still comes is dropped until the peer has
// ended its own, or its time is up. A reset instead would take back what we said last.
#pragma once

#include <array>
#include <map>

#include "core/base/time.h"
#include "core/net/host.h"

namespace sereus::net {

class StreamDrain {
 public:
  // At most `streams_max` at once; beyond, the oldest are reset.
  StreamDrain(Host& host, size_t streams_max, uint64_t timeout_us)
      : host_(host), streams_max_(streams_max), timeout_us_(timeout_us) {}

  // Ends our direction. The stream is this one's from now on.
  void add(StreamId stream, const Times& now) {
    host_.finish(stream);
    if (drained(stream)) return;
    if (streams_.size() >= streams_max_) give_up(order_.begin());
    const uint64_t order = ++last_order_;
    streams_.emplace(stream, order);
    order_.emplace(order, Entry{stream, now.mono_us + timeout_us_});
  }
  bool on_event(const HostEvent& event) {
    StreamId id = 0;
    const auto* closed = std::get_if<StreamClosed>(&event);
    if (closed != nullptr) id = closed->stream;
    if (const auto* readable = std::get_if<StreamReadable>(&event)) id = readable->stream;
    if (const auto* writable = std::get_if<StreamWritable>(&event)) id = writable->stream;
    const auto found = streams_.find(id);
    if (found == streams_.end()) return false;
    if (closed != nullptr || drained(id)) {
      order_.erase(found->second);
      streams_.erase(found);
    }
    return true;
  }
  uint64_t step(const Times& now) {
    while (!order_.empty() && order_.begin()->second.deadline_us <= now.mono_us) give_up(order_.begin());
    return order_.empty() ? kNever : order_.begin()->second.deadline_us;
  }
  void reset_all() {
    while (!order_.empty()) give_up(order_.begin());
  }

 private:
  struct Entry {
    StreamId stream = 0;
    uint64_t deadline_us = 0;
  };
  // True: the peer has ended, or the stream is gone.
  bool drained(StreamId stream) {
    std::array<uint8_t, 4096> dropped;
    for (;;) {
      const auto got = host_.read(stream, dropped);
      if (!got.ok() || got->finished) return true;
      if (got->size < dropped.size()) return false;
    }
  }
  void give_up(std::map<uint64_t, Entry>::iterator at) {
    host_.reset(at->second.stream);
    streams_.erase(at->second.stream);
    order_.erase(at);
  }

  Host& host_;
  const size_t streams_max_;
  const uint64_t timeout_us_;
  uint64_t last_order_ = 0;
  std::map<StreamId, uint64_t> streams_;
  std::map<uint64_t, Entry> order_;  // as they came, so by deadline
};

}  // namespace sereus::net
