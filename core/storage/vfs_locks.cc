#include "core/storage/vfs_locks.h"

#include <sqlite3.h>

#include <algorithm>
#include <atomic>

#include "core/base/assert.h"

namespace sereus::storage {

int VfsLocks::lock(VfsHold& hold, int level) {
  if (hold.level >= level) return SQLITE_OK;
  const std::lock_guard guard(mutex_);
  if (level == SQLITE_LOCK_SHARED) {
    if (writer_ != nullptr && writer_->level >= SQLITE_LOCK_PENDING) return SQLITE_BUSY;
    ++readers_;
    hold.level = SQLITE_LOCK_SHARED;
    return SQLITE_OK;
  }
  SEREUS_ASSERT(hold.level >= SQLITE_LOCK_SHARED);  // SQLite asks for SHARED first
  if (writer_ != nullptr && writer_ != &hold) return SQLITE_BUSY;
  writer_ = &hold;
  if (level == SQLITE_LOCK_EXCLUSIVE && readers_ > 1) {
    hold.level = SQLITE_LOCK_PENDING;
    return SQLITE_BUSY;
  }
  hold.level = level;
  return SQLITE_OK;
}

int VfsLocks::unlock(VfsHold& hold, int level) {
  if (hold.level <= level) return SQLITE_OK;
  const std::lock_guard guard(mutex_);
  if (writer_ == &hold) writer_ = nullptr;
  if (level == SQLITE_LOCK_NONE) --readers_;
  hold.level = level;
  return SQLITE_OK;
}

bool VfsLocks::reserved() const {
  const std::lock_guard guard(mutex_);
  return writer_ != nullptr;
}

int VfsLocks::map_index(VfsHold& hold, int index, int size, bool extend, void volatile** region) {
  *region = nullptr;
  const std::lock_guard guard(mutex_);
  if (!hold.index_mapped) {
    hold.index_mapped = true;
    ++index_users_;
  }
  if (region_size_ == 0) region_size_ = size;
  if (size != region_size_ || size % 8 != 0 || index < 0) return SQLITE_IOERR_SHMSIZE;
  const auto wanted = static_cast<size_t>(index);
  if (wanted >= regions_.size()) {
    if (!extend) return SQLITE_OK;
    if (wanted >= kRegionsMax) return SQLITE_IOERR_SHMSIZE;
    while (regions_.size() <= wanted) regions_.push_back(std::make_unique<uint64_t[]>(static_cast<size_t>(size) / 8));
  }
  *region = regions_[wanted].get();
  return SQLITE_OK;
}

int VfsLocks::lock_index(VfsHold& hold, int slot, int count, int flags) {
  if (slot < 0 || count < 1 || slot + count > kSlots) return SQLITE_IOERR_SHMLOCK;
  const auto first = static_cast<size_t>(slot);
  const size_t end = first + static_cast<size_t>(count);
  const uint32_t mask = ((1u << count) - 1u) << slot;
  const std::lock_guard guard(mutex_);
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    for (size_t i = first; i < end; ++i) {
      if ((hold.index_exclusive & (1u << i)) != 0) slots_[i] = 0;
      if ((hold.index_shared & (1u << i)) != 0) --slots_[i];
    }
    hold.index_exclusive &= ~mask;
    hold.index_shared &= ~mask;
    return SQLITE_OK;
  }
  if ((flags & SQLITE_SHM_SHARED) != 0) {
    if ((hold.index_shared & mask) == mask) return SQLITE_OK;
    for (size_t i = first; i < end; ++i) {
      if (slots_[i] < 0) return SQLITE_BUSY;
    }
    for (size_t i = first; i < end; ++i) ++slots_[i];
    hold.index_shared |= mask;
    return SQLITE_OK;
  }
  if ((hold.index_exclusive & mask) == mask) return SQLITE_OK;
  for (size_t i = first; i < end; ++i) {
    if (slots_[i] != 0) return SQLITE_BUSY;
  }
  for (size_t i = first; i < end; ++i) slots_[i] = -1;
  hold.index_exclusive |= mask;
  return SQLITE_OK;
}

void VfsLocks::barrier() {
#if !defined(__SANITIZE_THREAD__)  // it knows no fences; the mutex is what it follows
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  const std::lock_guard guard(mutex_);
}

void VfsLocks::unmap_index(VfsHold& hold) {
  if (!hold.index_mapped) return;
  lock_index(hold, 0, kSlots, SQLITE_SHM_UNLOCK);
  const std::lock_guard guard(mutex_);
  hold.index_mapped = false;
  if (--index_users_ > 0) return;
  regions_.clear();
  region_size_ = 0;
}

}  // namespace sereus::storage
