// What connections of one process to one database share: file locks, and the WAL index with its own locks. SQLite
// expects them from the operating system; a data folder has one process, so the heap does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace sereus::storage {

class VfsLocks;

// One connection's share. Belongs to the thread that uses the connection.
struct VfsHold {
  int level = 0;  // SQLITE_LOCK_NONE .. EXCLUSIVE
  bool index_mapped = false;
  uint32_t index_shared = 0;  // bit per slot of the WAL index held shared
  uint32_t index_exclusive = 0;
};

// All return SQLite result codes. Thread-safe.
class VfsLocks {
 public:
  static constexpr int kSlots = 8;              // SQLITE_SHM_NLOCK
  static constexpr size_t kRegionsMax = 16384;  // of 32 KiB each: indexes a WAL of 64 million frames

  // The file locks of https://www.sqlite.org/lockingv3.html: SHARED by many; RESERVED by one, beside SHARED ones;
  // PENDING keeps new SHARED ones out; EXCLUSIVE alone. Never waits: SQLITE_BUSY.
  int lock(VfsHold& hold, int level);
  int unlock(VfsHold& hold, int level);
  bool reserved() const;

  // xShmMap: region `index` of `size` bytes, zeroed when new; null when it is not there and not to be made.
  int map_index(VfsHold& hold, int index, int size, bool extend, void volatile** region);
  int lock_index(VfsHold& hold, int slot, int count, int flags);
  void barrier();
  // Gives up the mapping and its locks; with the last one the index is gone and the next connection rebuilds it.
  void unmap_index(VfsHold& hold);

 private:
  mutable std::mutex mutex_;
  int readers_ = 0;                  // holds at SHARED or above
  const VfsHold* writer_ = nullptr;  // at RESERVED or above
  std::vector<std::unique_ptr<uint64_t[]>> regions_;
  int region_size_ = 0;
  int index_users_ = 0;
  std::array<int, kSlots> slots_{};  // -1: exclusive; otherwise how many hold it shared
};

}  // namespace sereus::storage
