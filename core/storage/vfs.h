// SQLite's virtual file system over the Files port, so that a database runs on the real disk, in the simulator's
// crashing disk and in a browser alike. The data folder is held by one process (Files::lock), so file locks and the
// WAL index (SQLite's "shared memory") live on the heap, shared by all connections of one Vfs to one path.
//
// Thread rule: connections may be opened and used from several threads at a time; every member is thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/ports/files.h"
#include "core/ports/random.h"

namespace sereus::storage {

class Vfs {
 public:
  // Registers itself with SQLite under a name of its own. `files` and `random` outlive it.
  Vfs(Files& files, Random& random);
  // Precondition: every Database opened through it is gone.
  ~Vfs();
  Vfs(const Vfs&) = delete;
  Vfs& operator=(const Vfs&) = delete;

  // For sqlite3_open_v2.
  const char* name() const;
  Files& files() const;
  // What SQL's date functions take for now (microseconds since 1970). There is no clock: 0 until it is set.
  void set_wall_time(int64_t wall_us);
  // Files open now: 0 when every connection was closed.
  size_t open_files() const;
  // Called before a connection to `path` opens, the result kept until it has: of several at once the first one makes
  // durable what a process that died has left in the database and its WAL.
  Result<std::shared_ptr<void>> settle(std::string_view path);
  // The newest failure of the Files port, in its words: what SQLite's result codes cannot carry. For messages only.
  std::string last_error() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// SQLite's own generator (WAL salts, temporary names) belongs to the process and is seeded by the default VFS. The
// simulator calls this at the start of a run, so that the bytes on its disk are a function of the seed as well.
// `seed` must not be 0. Process-wide: no connection may be in use on another thread.
void seed_sqlite_for_simulation(uint32_t seed);

}  // namespace sereus::storage
