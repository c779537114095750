#include "core/net/metered_heap.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/base/allocation_gate.h"

namespace sereus::net {
namespace {

// Before each block, so that release() knows its size; what follows stays aligned for anything.
struct alignas(std::max_align_t) Head {
  size_t size;
};

Head* head_of(void* memory) { return static_cast<Head*>(memory) - 1; }

}  // namespace

MeteredHeap::MeteredHeap() : mem_{this, allocate, release, allocate_zeroed, resize} {}

void* MeteredHeap::allocate(size_t size, void* user) {
  if (size > SIZE_MAX - sizeof(Head) || !may_allocate(size)) return nullptr;
  auto* head = static_cast<Head*>(std::malloc(sizeof(Head) + size));
  if (head == nullptr) return nullptr;
  head->size = size;
  static_cast<MeteredHeap*>(user)->bytes_ += size;
  return head + 1;
}

void* MeteredHeap::allocate_zeroed(size_t count, size_t size, void* user) {
  if (size != 0 && count > SIZE_MAX / size) return nullptr;
  void* memory = allocate(count * size, user);
  if (memory != nullptr) std::memset(memory, 0, count * size);
  return memory;
}

void* MeteredHeap::resize(void* memory, size_t size, void* user) {
  if (memory == nullptr) return allocate(size, user);
  if (size > SIZE_MAX - sizeof(Head) || !may_allocate(size)) return nullptr;
  const size_t before = head_of(memory)->size;
  auto* head = static_cast<Head*>(std::realloc(head_of(memory), sizeof(Head) + size));
  if (head == nullptr) return nullptr;
  head->size = size;
  auto& heap = *static_cast<MeteredHeap*>(user);
  heap.bytes_ = heap.bytes_ - before + size;
  return head + 1;
}

void MeteredHeap::release(void* memory, void* user) {
  if (memory == nullptr) return;
  static_cast<MeteredHeap*>(user)->bytes_ -= head_of(memory)->size;
  std::free(head_of(memory));
}

}  // namespace sereus::net
