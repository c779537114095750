// The heap of a library that lets its allocator be chosen (ngtcp2), with what it holds counted: it keeps received data that waits
// for a gap to be filled, and nothing else tells how much.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <cstddef>

namespace sereus::net {

class MeteredHeap {
 public:
  MeteredHeap();
  MeteredHeap(const MeteredHeap&) = delete;
  MeteredHeap& operator=(const MeteredHeap&) = delete;

  // Lives as long as this, which outlives everything that was allocated.
  const ngtcp2_mem* mem() const { return &mem_; }
  // As asked for, without what malloc() adds.
  size_t bytes() const { return bytes_; }

 private:
  static void* allocate(size_t size, void* user);
  static void* allocate_zeroed(size_t count, size_t size, void* user);
  static void* resize(void* memory, size_t size, void* user);
  static void release(void* memory, void* user);

  ngtcp2_mem mem_{};
  size_t bytes_ = 0;
};

}  // namespace sereus::net
