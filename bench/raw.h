// The same work without Sereus: signatures by libsodium, rows by SQLite, bytes made durable by fdatasync. A benchmark
// does it in turns with what it measures, so that both meet the same machine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/ports/files.h"
#include "core/storage/database.h"
#include "core/storage/vfs.h"

namespace sereus::bench {

// Work of one kind that was done, and how long it took.
struct Spent {
  uint64_t count = 0;
  double seconds = 0;
  double per_second() const { return static_cast<double>(count) / seconds; }
};

class RawWork {
 public:
  // Makes `name`.db and `name`.log. Both ports outlive it.
  RawWork(Files& files, storage::Vfs& vfs, const std::string& name);

  // Signs (Ed25519) as many different messages as long as a hash with its context.
  void sign(uint64_t count);
  // Verifies one signature so many times, one by one.
  void verify(uint64_t count);
  // One transaction of rows with the keys and values of the puts that follow.
  void insert(uint64_t count);
  // Appends so many bytes to a file and waits until they are durable.
  void append(size_t size);

  const Spent& signs() const { return signs_; }
  const Spent& verifies() const { return verifies_; }
  const Spent& rows() const { return rows_; }
  const Spent& syncs() const { return syncs_; }
  const std::vector<double>& sync_seconds() const { return sync_seconds_; }
  double seconds() const { return signs_.seconds + verifies_.seconds + rows_.seconds + syncs_.seconds; }

 private:
  std::unique_ptr<storage::Database> database_;
  storage::Statement insert_;
  std::unique_ptr<File> file_;
  uint64_t file_end_ = 0;
  uint64_t reserved_end_ = 0;
  uint64_t next_row_ = 0;
  uint8_t public_key_[32];
  uint8_t secret_key_[64];
  Spent signs_;
  Spent verifies_;
  Spent rows_;
  Spent syncs_;
  std::vector<double> sync_seconds_;
};

}  // namespace sereus::bench
