// A binary heap of deadlines whose elements know their place, so that moving or removing one costs O(log n) and a heap
// never holds stale entries. Ties go by the element's order, so that the same run gives the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/time.h"

namespace sereus::net {

struct TimerEntry {
  static constexpr size_t kOutside = SIZE_MAX;
  uint64_t deadline_us = kNever;
  uint64_t order = 0;  // unique; decides between equal deadlines
  size_t place = kOutside;
};

class TimerHeap {
 public:
  bool empty() const { return heap_.empty(); }
  uint64_t next_us() const { return heap_.empty() ? kNever : heap_.front()->deadline_us; }
  TimerEntry* front() const { return heap_.front(); }

  // Inserts, moves, or removes (deadline kNever). `entry` must stay where it is until it is removed.
  void set(TimerEntry& entry, uint64_t deadline_us) {
    if (deadline_us == kNever) {
      remove(entry);
      return;
    }
    entry.deadline_us = deadline_us;
    if (entry.place == TimerEntry::kOutside) {
      entry.place = heap_.size();
      heap_.push_back(&entry);
    }
    down(up(entry.place));
  }
  void remove(TimerEntry& entry) {
    entry.deadline_us = kNever;
    if (entry.place == TimerEntry::kOutside) return;
    const size_t hole = std::exchange(entry.place, TimerEntry::kOutside);
    TimerEntry* last = heap_.back();
    heap_.pop_back();
    if (last == &entry) return;
    heap_[hole] = last;
    last->place = hole;
    down(up(hole));
  }

 private:
  static bool before(const TimerEntry* a, const TimerEntry* b) {
    return a->deadline_us != b->deadline_us ? a->deadline_us < b->deadline_us : a->order < b->order;
  }
  void swap(size_t a, size_t b) {
    std::swap(heap_[a], heap_[b]);
    heap_[a]->place = a;
    heap_[b]->place = b;
  }
  // Each returns where the element ended up.
  size_t up(size_t at) {
    while (at > 0 && before(heap_[at], heap_[(at - 1) / 2])) {
      swap(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
    return at;
  }
  void down(size_t at) {
    for (;;) {
      size_t least = at;
      for (const size_t child : {2 * at + 1, 2 * at + 2}) {
        if (child < heap_.size() && before(heap_[child], heap_[least])) least = child;
      }
      if (least == at) return;
      swap(at, least);
      at = least;
    }
  }

  std::vector<TimerEntry*> heap_;
};

}  // namespace sereus::net
