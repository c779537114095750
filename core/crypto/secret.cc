#include "core/crypto/secret.h"

#include <sodium.h>

#include <mutex>
#include <vector>

#include "core/crypto/init.h"

namespace sereus::crypto {
namespace {

constexpr size_t kSlotSize = 64;  // an expanded Ed25519 key; everything smaller too
constexpr size_t kSlots = 64;     // so that a chunk is one page, and one word tells which slots are taken
constexpr size_t kChunkSize = kSlotSize * kSlots;

// Hands out slots of guarded, locked pages. Pages are kept until the process ends: the number of secrets alive at once
// is small and stable.
class SlotPool {
 public:
  uint8_t* take() {
    const std::lock_guard<std::mutex> guard(mutex_);
    for (auto& chunk : chunks_) {
      if (chunk.taken != UINT64_MAX) return take_from(chunk);
    }
    auto* memory = static_cast<uint8_t*>(sodium_malloc(kChunkSize));
    SEREUS_ASSERT(memory != nullptr);
    sodium_memzero(memory, kChunkSize);
    chunks_.push_back(Chunk{memory, 0});
    return take_from(chunks_.back());
  }

  void give_back(uint8_t* slot) {
    sodium_memzero(slot, kSlotSize);
    const std::lock_guard<std::mutex> guard(mutex_);
    for (auto& chunk : chunks_) {
      if (slot < chunk.memory || slot >= chunk.memory + kChunkSize) continue;
      const uint64_t bit = uint64_t{1} << (static_cast<size_t>(slot - chunk.memory) / kSlotSize);
      SEREUS_ASSERT((chunk.taken & bit) != 0);
      chunk.taken &= ~bit;
      return;
    }
    SEREUS_ASSERT(false && "a secret that is not ours was released");
  }

 private:
  struct Chunk {
    uint8_t* memory = nullptr;
    uint64_t taken = 0;  // one bit for each slot
  };
  static uint8_t* take_from(Chunk& chunk) {
    size_t slot = 0;
    while (((chunk.taken >> slot) & 1) != 0) ++slot;
    chunk.taken |= uint64_t{1} << slot;
    return chunk.memory + slot * kSlotSize;
  }

  std::mutex mutex_;
  std::vector<Chunk> chunks_;
};

SlotPool& pool() {
  static SlotPool* const the_pool = new SlotPool;  // never destroyed: secrets may outlive static destruction
  return *the_pool;
}

}  // namespace

uint8_t* secret_allocate(size_t size) {
  init();
  if (size <= kSlotSize) return pool().take();
  auto* memory = static_cast<uint8_t*>(sodium_malloc(size));
  SEREUS_ASSERT(memory != nullptr);
  sodium_memzero(memory, size);
  return memory;
}

void secret_release(uint8_t* memory, size_t size) {
  if (memory == nullptr) return;
  if (size <= kSlotSize) {
    pool().give_back(memory);
  } else {
    sodium_free(memory);  // wipes
  }
}

void wipe(ByteSpan memory) { sodium_memzero(memory.data(), memory.size()); }

bool equal_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace sereus::crypto
