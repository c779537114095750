#include "core/storage/vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "core/base/assert.h"
#include "core/storage/vfs_locks.h"

namespace sereus::storage {
namespace {

constexpr int kPathMax = 512;      // a database's path and "-wal"; ours are below 100
constexpr int kSectorSize = 4096;  // what SQLite pads journals to; a hint, our safety does not rest on it
constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kCopyChunk = 1024 * 1024;
constexpr int kSleepMax = 1000;                          // yields in one xSleep
constexpr int64_t kJulianEpochMs = 210'866'760'000'000;  // 1970-01-01 in SQLite's milliseconds

std::string parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(path.substr(0, slash));
}

// Writes a file of at most `size_max` bytes over itself, durably. After a failed fsync the system's cache can show
// bytes that are not on the disk and that no later fsync writes; if the process then died, the next one would take them
// for stored, and build on them.
Status write_again(Files& files, const std::string& path, uint64_t size_max) {
  if (!files.exists(path)) return {};
  SEREUS_ASSIGN(const std::unique_ptr<File> file, files.open(path, OpenMode::read_write));
  SEREUS_ASSIGN(const uint64_t size, file->size());
  if (size == 0 || size > size_max) return {};
  Bytes chunk;
  for (uint64_t at = 0; at < size; at += chunk.size()) {
    chunk.resize(static_cast<size_t>(std::min<uint64_t>(kCopyChunk, size - at)));
    SEREUS_ASSIGN(const size_t got, file->read_at(at, chunk));
    if (got != chunk.size()) return fail(Code::io, path + " became shorter while it was read");
    SEREUS_TRY(file->write_at(at, chunk));
  }
  SEREUS_TRY(file->sync());
  return files.sync_folder(parent_of(path));
}

}  // namespace

struct Vfs::Impl {
  Impl(Files& files_port, Random& random_port) : files(files_port), random(random_port) {}

  // The locks of `path`, made with its first connection and gone with its last.
  std::shared_ptr<VfsLocks> locks_of(const std::string& path, bool* first = nullptr) {
    const std::lock_guard guard(mutex);
    std::weak_ptr<VfsLocks>& known = locks[path];
    std::shared_ptr<VfsLocks> shared = known.lock();
    if (first != nullptr) *first = shared == nullptr;
    if (shared == nullptr) known = shared = std::make_shared<VfsLocks>();
    return shared;
  }

  void forget(const std::string& path) {
    const std::lock_guard guard(mutex);
    const auto it = locks.find(path);
    if (it != locks.end() && it->second.expired()) locks.erase(it);
  }

  int remember(const Error& error, int otherwise) {
    {
      const std::lock_guard guard(mutex);
      error_text = error.detail;
    }
    if (error.code == Code::no_space) return SQLITE_FULL;
    if (error.code == Code::no_memory) return SQLITE_IOERR_NOMEM;
    return otherwise;
  }

  Files& files;
  Random& random;
  sqlite3_vfs vfs{};
  std::string name;
  std::atomic<int64_t> wall_us{0};
  std::atomic<size_t> open_files{0};
  std::mutex settling;       // taken before `mutex`
  mutable std::mutex mutex;  // of what follows
  std::map<std::string, std::weak_ptr<VfsLocks>, std::less<>> locks;
  std::string error_text;
};

namespace {

// What stands behind one sqlite3_file.
struct Handle {
  Vfs::Impl* vfs = nullptr;
  std::unique_ptr<File> file;
  std::string path;
  std::shared_ptr<VfsLocks> locks;  // of a main database; null for journals and WALs
  VfsHold hold;
  bool name_unsynced = false;  // made by us: its folder is synced with its first sync
};

struct VfsFile {
  sqlite3_file base;
  Handle* handle;
};

Handle& handle_of(sqlite3_file* file) { return *reinterpret_cast<VfsFile*>(file)->handle; }
Vfs::Impl& vfs_of(sqlite3_vfs* vfs) { return *static_cast<Vfs::Impl*>(vfs->pAppData); }

// ---- Files --------------------------------------------------------------------------------------------------------

int file_close(sqlite3_file* file) {
  Handle* handle = std::exchange(reinterpret_cast<VfsFile*>(file)->handle, nullptr);
  if (handle == nullptr) return SQLITE_OK;
  if (handle->locks != nullptr) {
    handle->locks->unmap_index(handle->hold);
    handle->locks->unlock(handle->hold, SQLITE_LOCK_NONE);
    handle->locks.reset();
    handle->vfs->forget(handle->path);
  }
  --handle->vfs->open_files;
  delete handle;
  return SQLITE_OK;
}

int file_read(sqlite3_file* file, void* out, int size, sqlite3_int64 offset) {
  Handle& handle = handle_of(file);
  auto* bytes = static_cast<uint8_t*>(out);
  const auto wanted = static_cast<size_t>(size);
  const auto got = handle.file->read_at(static_cast<uint64_t>(offset), ByteSpan(bytes, wanted));
  if (!got.ok()) return handle.vfs->remember(got.error(), SQLITE_IOERR_READ);
  if (*got == wanted) return SQLITE_OK;
  std::memset(bytes + *got, 0, wanted - *got);  // SQLite requires it
  return SQLITE_IOERR_SHORT_READ;
}

int file_write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  Handle& handle = handle_of(file);
  const ByteView view(static_cast<const uint8_t*>(data), static_cast<size_t>(size));
  const Status written = handle.file->write_at(static_cast<uint64_t>(offset), view);
  return written.ok() ? SQLITE_OK : handle.vfs->remember(written.error(), SQLITE_IOERR_WRITE);
}

int file_truncate(sqlite3_file* file, sqlite3_int64 size) {
  Handle& handle = handle_of(file);
  const Status done = handle.file->truncate(static_cast<uint64_t>(size));
  return done.ok() ? SQLITE_OK : handle.vfs->remember(done.error(), SQLITE_IOERR_TRUNCATE);
}

int file_sync(sqlite3_file* file, int /*flags*/) {
  Handle& handle = handle_of(file);
  const Status synced = handle.file->sync();
  if (!synced.ok()) return handle.vfs->remember(synced.error(), SQLITE_IOERR_FSYNC);
  if (!handle.name_unsynced) return SQLITE_OK;
  const Status named = handle.vfs->files.sync_folder(parent_of(handle.path));
  if (!named.ok()) return handle.vfs->remember(named.error(), SQLITE_IOERR_DIR_FSYNC);
  handle.name_unsynced = false;
  return SQLITE_OK;
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  Handle& handle = handle_of(file);
  const auto known = handle.file->size();
  if (!known.ok()) return handle.vfs->remember(known.error(), SQLITE_IOERR_FSTAT);
  *size = static_cast<sqlite3_int64>(*known);
  return SQLITE_OK;
}

int file_lock(sqlite3_file* file, int level) {
  Handle& handle = handle_of(file);
  return handle.locks == nullptr ? SQLITE_OK : handle.locks->lock(handle.hold, level);
}

int file_unlock(sqlite3_file* file, int level) {
  Handle& handle = handle_of(file);
  return handle.locks == nullptr ? SQLITE_OK : handle.locks->unlock(handle.hold, level);
}

int file_check_reserved(sqlite3_file* file, int* reserved) {
  const Handle& handle = handle_of(file);
  *reserved = handle.locks != nullptr && handle.locks->reserved() ? 1 : 0;
  return SQLITE_OK;
}

int file_control(sqlite3_file* file, int operation, void* argument) {
  if (operation == SQLITE_FCNTL_VFSNAME) {
    *static_cast<char**>(argument) = sqlite3_mprintf("%s", handle_of(file).vfs->name.c_str());
    return SQLITE_OK;
  }
  return SQLITE_NOTFOUND;
}

int file_sector_size(sqlite3_file* /*file*/) { return kSectorSize; }

// A write that power loss tears does not harm bytes beside it.
int file_characteristics(sqlite3_file* /*file*/) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

int shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
  Handle& handle = handle_of(file);
  if (handle.locks == nullptr) return SQLITE_IOERR_SHMMAP;
  return handle.locks->map_index(handle.hold, region, size, extend != 0, out);
}

int shm_lock(sqlite3_file* file, int slot, int count, int flags) {
  Handle& handle = handle_of(file);
  return handle.locks->lock_index(handle.hold, slot, count, flags);
}

void shm_barrier(sqlite3_file* file) { handle_of(file).locks->barrier(); }

int shm_unmap(sqlite3_file* file, int /*delete_it*/) {
  Handle& handle = handle_of(file);
  handle.locks->unmap_index(handle.hold);
  return SQLITE_OK;
}

constexpr sqlite3_io_methods kMethods = {2,
                                         file_close,
                                         file_read,
                                         file_write,
                                         file_truncate,
                                         file_sync,
                                         file_size,
                                         file_lock,
                                         file_unlock,
                                         file_check_reserved,
                                         file_control,
                                         file_sector_size,
                                         file_characteristics,
                                         shm_map,
                                         shm_lock,
                                         shm_barrier,
                                         shm_unmap,
                                         nullptr,
                                         nullptr};

// ---- The file system ----------------------------------------------------------------------------------------------

int vfs_open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  Vfs::Impl& impl = vfs_of(vfs);
  auto* slot = reinterpret_cast<VfsFile*>(file);
  slot->base.pMethods = nullptr;
  slot->handle = nullptr;
  // Temporary files live in memory (PRAGMA temp_store): one without a name means a setting was lost.
  if (path == nullptr) return SQLITE_CANTOPEN;
  OpenMode mode = OpenMode::read;
  if ((flags & SQLITE_OPEN_READWRITE) != 0) mode = OpenMode::read_write;
  const bool create = (flags & SQLITE_OPEN_CREATE) != 0;
  if (create) mode = (flags & SQLITE_OPEN_EXCLUSIVE) != 0 ? OpenMode::create_new : OpenMode::read_write_create;
  auto opened = impl.files.open(path, mode);
  if (!opened.ok()) return impl.remember(opened.error(), SQLITE_CANTOPEN);
  auto handle = std::make_unique<Handle>();
  handle->vfs = &impl;
  handle->file = std::move(opened).value();
  handle->path = path;
  handle->name_unsynced = create;
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) handle->locks = impl.locks_of(handle->path);
  ++impl.open_files;
  slot->handle = handle.release();
  slot->base.pMethods = &kMethods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int vfs_delete(sqlite3_vfs* vfs, const char* path, int sync_folder) {
  Vfs::Impl& impl = vfs_of(vfs);
  const Status removed = impl.files.remove(path);
  if (!removed.ok()) return impl.remember(removed.error(), SQLITE_IOERR_DELETE);
  // SQLite does not ask for it when it removes a WAL it has moved into the database. One that comes back after a power cut brings
  // what was rolled back since.
  if (sync_folder == 0 && !std::string_view(path).ends_with("-wal")) return SQLITE_OK;
  const Status synced = impl.files.sync_folder(parent_of(path));
  return synced.ok() ? SQLITE_OK : impl.remember(synced.error(), SQLITE_IOERR_DIR_FSYNC);
}

int vfs_access(sqlite3_vfs* vfs, const char* path, int /*flags*/, int* result) {
  *result = vfs_of(vfs).files.exists(path) ? 1 : 0;
  return SQLITE_OK;
}

int vfs_full_path(sqlite3_vfs* /*vfs*/, const char* path, int size, char* out) {
  const size_t length = std::strlen(path);
  if (length + 1 > static_cast<size_t>(size)) return SQLITE_CANTOPEN_FULLPATH;
  std::memcpy(out, path, length + 1);
  return SQLITE_OK;
}

int vfs_randomness(sqlite3_vfs* vfs, int size, char* out) {
  vfs_of(vfs).random.fill(ByteSpan(reinterpret_cast<uint8_t*>(out), static_cast<size_t>(size)));
  return size;
}

// SQLite sleeps when another connection holds a lock of the WAL index for a moment. Giving up the processor lets it go
// on; the length is only a hint.
int vfs_sleep(sqlite3_vfs* /*vfs*/, int microseconds) {
  for (int i = std::clamp(microseconds, 1, kSleepMax); i > 0; --i) std::this_thread::yield();
  return microseconds;
}

int vfs_time_ms(sqlite3_vfs* vfs, sqlite3_int64* now) {
  *now = kJulianEpochMs + vfs_of(vfs).wall_us.load(std::memory_order_relaxed) / 1000;
  return SQLITE_OK;
}

int vfs_time_days(sqlite3_vfs* vfs, double* now) {
  sqlite3_int64 milliseconds = 0;
  vfs_time_ms(vfs, &milliseconds);
  *now = static_cast<double>(milliseconds) / 86'400'000.0;
  return SQLITE_OK;
}

int vfs_last_error(sqlite3_vfs* /*vfs*/, int /*size*/, char* /*out*/) { return 0; }

// Extensions are not loaded.
void* vfs_dl_open(sqlite3_vfs* /*vfs*/, const char* /*path*/) { return nullptr; }
void vfs_dl_error(sqlite3_vfs* /*vfs*/, int size, char* out) {
  if (size > 0) out[0] = '\0';
}

void fill_vfs(Vfs::Impl& impl) {
  sqlite3_vfs& vfs = impl.vfs;
  vfs.iVersion = 2;
  vfs.szOsFile = sizeof(VfsFile);
  vfs.mxPathname = kPathMax;
  vfs.zName = impl.name.c_str();
  vfs.pAppData = &impl;
  vfs.xOpen = vfs_open;
  vfs.xDelete = vfs_delete;
  vfs.xAccess = vfs_access;
  vfs.xFullPathname = vfs_full_path;
  vfs.xDlOpen = vfs_dl_open;
  vfs.xDlError = vfs_dl_error;
  vfs.xRandomness = vfs_randomness;
  vfs.xSleep = vfs_sleep;
  vfs.xCurrentTime = vfs_time_days;
  vfs.xGetLastError = vfs_last_error;
  vfs.xCurrentTimeInt64 = vfs_time_ms;
}

}  // namespace

Vfs::Vfs(Files& files, Random& random) : impl_(std::make_unique<Impl>(files, random)) {
  // The address makes the name unique among those registered, and reaches no disk, wire or event.
  std::array<uint8_t, 8> address{};
  store_be(address.data(), static_cast<uint64_t>(reinterpret_cast<uintptr_t>(impl_.get())));
  impl_->name = "sereus-" + to_hex(address);
  fill_vfs(*impl_);
  SEREUS_ASSERT(sqlite3_vfs_register(&impl_->vfs, 0) == SQLITE_OK);
}

Vfs::~Vfs() {
  SEREUS_ASSERT(impl_->open_files == 0);
  sqlite3_vfs_unregister(&impl_->vfs);
}

const char* Vfs::name() const { return impl_->name.c_str(); }
Files& Vfs::files() const { return impl_->files; }
void Vfs::set_wall_time(int64_t wall_us) { impl_->wall_us.store(wall_us, std::memory_order_relaxed); }
size_t Vfs::open_files() const { return impl_->open_files; }

Result<std::shared_ptr<void>> Vfs::settle(std::string_view path) {
  const std::lock_guard guard(impl_->settling);
  bool first = false;
  std::shared_ptr<VfsLocks> locks = impl_->locks_of(std::string(path), &first);
  if (first) {
    // The database itself only while it holds nothing but its first page: later, all that a failed fsync could have
    // dropped from it is in the WAL still.
    SEREUS_TRY(write_again(impl_->files, std::string(path), kPageSize));
    SEREUS_TRY(write_again(impl_->files, std::string(path) + "-wal", UINT64_MAX));
    // A WAL whose removal is not durable would come back after a power cut, with what was rolled back since.
    const Status synced = impl_->files.sync_folder(parent_of(std::string(path).c_str()));
    if (!synced.ok() && synced.code() != Code::not_found) return synced.error();
  }
  return std::shared_ptr<void>(std::move(locks));
}

std::string Vfs::last_error() const {
  const std::lock_guard guard(impl_->mutex);
  return impl_->error_text;
}

void seed_sqlite_for_simulation(uint32_t seed) {
  SEREUS_ASSERT(seed != 0);
  SEREUS_ASSERT(sqlite3_initialize() == SQLITE_OK);
  sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, static_cast<int>(seed), static_cast<sqlite3*>(nullptr));
}

}  // namespace sereus::storage
