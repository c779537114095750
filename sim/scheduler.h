// Virtual time: a heap of (time, order of arrival) and what to do then. Nothing happens between two entries.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace sereus::sim {

class Scheduler {
 public:
  uint64_t now_us() const { return now_us_; }
  void at(uint64_t time_us, std::function<void()> action) {
    heap_.push_back(Entry{time_us < now_us_ ? now_us_ : time_us, ++order_, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end());
  }
  void after(uint64_t delay_us, std::function<void()> action) { at(now_us_ + delay_us, std::move(action)); }
  // Does the next thing; false when there is none before `until_us`, and then the time is `until_us`.
  bool step(uint64_t until_us) {
    if (heap_.empty() || heap_.front().time_us > until_us) {
      now_us_ = until_us;
      return false;
    }
    std::pop_heap(heap_.begin(), heap_.end());
    const Entry entry = std::move(heap_.back());
    heap_.pop_back();
    now_us_ = entry.time_us;
    entry.action();
    return true;
  }
  uint64_t steps() const { return order_; }

 private:
  struct Entry {
    uint64_t time_us = 0;
    uint64_t order = 0;
    std::function<void()> action;
    bool operator<(const Entry& other) const {
      return time_us != other.time_us ? time_us > other.time_us : order > other.order;
    }
  };
  std::vector<Entry> heap_;
  uint64_t now_us_ = 1'000'000;
  uint64_t order_ = 0;
};

}  // namespace sereus::sim
