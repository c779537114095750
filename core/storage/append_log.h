// An append-only file of framed, checksummed records: the truth of a store (docs/formats/log.md).
//
// Positions are byte offsets in the file. A record starts at a boundary; its payload begins kLogRecordHeaderSize after
// it. append() returns payload positions; boundaries are what scanners start from and what an index remembers as
// "everything before this is durable".
//
// Thread rule: append, flush, sync, rewind_to_durable and close belong to one thread (the writer). read, read_record,
// scan and the *_end() getters may be called from any thread at any time; they see what flush() or sync() published.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/ports/files.h"
#include "core/ports/random.h"

namespace sereus::storage {

inline constexpr uint32_t kLogVersion = 1;
inline constexpr size_t kLogHeaderSize = 40;  // the first boundary
inline constexpr size_t kLogRecordHeaderSize = 12;
inline constexpr size_t kLogPayloadMax = 4 * 1024 * 1024;  // twice the largest entry; bounds a reader's buffer
inline constexpr size_t kLogBufferMax = 1024 * 1024;       // appended bytes held before they are written through
inline constexpr size_t kLogReadAhead = 256 * 1024;        // one read of a scanner
inline constexpr uint8_t kLogKindMax = 0x7f;               // the top bit of the kind byte is the log's own

struct AppendLogOptions {
  std::array<uint8_t, 16> id{};  // must equal the id in the file: Code::wrong_store otherwise
  bool create = false;           // make it when missing; otherwise Code::not_found
  // A boundary that was durable when it was remembered (the index's), 0 when nothing is known. Recovery scans from
  // here; a log that ends before it, or is damaged before it, is Code::corrupt.
  uint64_t trusted_end = 0;
  // Boundary of the record that ends at trusted_end, 0 when it is not remembered. A torn tail at trusted_end is cut
  // only after trusted_end was seen to be a boundary: by this one record, or by a scan from the start.
  uint64_t trusted_last = 0;
  bool full_scan = false;  // scan from the start all the same (trusted_end still holds)
};

struct LogRecovery {
  bool created = false;
  uint64_t records_scanned = 0;
  uint64_t torn_bytes_dropped = 0;  // of a write that was under way when power was lost
};

struct LogRecord {
  uint8_t kind = 0;
  uint64_t position = 0;  // of the payload
  ByteView payload;

  uint64_t boundary() const { return position - kLogRecordHeaderSize; }
  uint64_t next_boundary() const { return position + payload.size(); }
};

class AppendLog;

// Reads records in order, from a boundary to the visible end at the time of each call. Views are valid until the next
// call. Any thread, one at a time. The AppendLog outlives it.
class LogScanner {
 public:
  // True: `*record` is the next one. False: the end. Code::corrupt: damage, with its position.
  Result<bool> next(LogRecord* record);
  // Boundary of the record that next() will return.
  uint64_t boundary() const { return boundary_; }

 private:
  friend class AppendLog;
  LogScanner(const AppendLog& log, uint64_t boundary) : log_(&log), boundary_(boundary) {}
  Status fill(uint64_t position, size_t size, uint64_t limit);

  const AppendLog* log_;
  uint64_t boundary_;
  Bytes buffer_;  // file bytes from buffer_start_
  uint64_t buffer_start_ = 0;
  size_t buffer_used_ = 0;
};

class AppendLog {
 public:
  // Opens and recovers. A torn tail (a write under way when power was lost) is cut off, durably; damage that a power
  // loss cannot explain is Code::corrupt and changes nothing. A log is never started anew over data: only a file
  // shorter than its header or all zeros, of which nothing is known (trusted_end 0), is made again, given `create`.
  // `files` outlives it; `random` is used here only (salt of a new log). `recovery` may be null.
  static Result<std::unique_ptr<AppendLog>> open(Files& files, Random& random, std::string_view path,
                                                 const AppendLogOptions& options, LogRecovery* recovery);
  ~AppendLog();
  AppendLog(const AppendLog&) = delete;
  AppendLog& operator=(const AppendLog&) = delete;

  // Buffers one record, writing the buffer through when it is full, and returns the position its payload will have.
  // Payload 1 to kLogPayloadMax bytes, kind up to kLogKindMax (Code::invalid, Code::too_large: nothing appended).
  // `parts` are joined. Not durable, not visible to readers before flush() or sync().
  Result<uint64_t> append(uint8_t kind, std::span<const ByteView> parts);
  Result<uint64_t> append(uint8_t kind, ByteView payload) { return append(kind, std::span(&payload, 1)); }
  // Writes what is buffered; readers see it. Not durable.
  Status flush();
  // flush(), then fdatasync: all records appended so far survive loss of power when it returns ok.
  Status sync();

  // After a failed write or fsync nobody knows what of it is on the disk, and trying fsync again would lie (the kernel
  // drops the failed pages). So the log refuses append, flush and sync with the first error until this cuts it back to
  // durable_end(), durably; records appended after that point are gone and their positions will be used again.
  Status rewind_to_durable();
  bool failed() const { return failed_; }

  // Boundary after the last record: appended (writer thread only), visible to readers, durable.
  uint64_t end() const { return flushed_end_ + buffer_.size(); }
  uint64_t visible_end() const { return visible_end_.load(std::memory_order_acquire); }
  uint64_t durable_end() const { return durable_end_.load(std::memory_order_acquire); }

  // Raw bytes below the visible end, unchecked (whoever reads them verifies hashes); Code::invalid beyond it.
  Status read(uint64_t position, ByteSpan out) const;
  // The record whose payload is at `position`, checksum verified (Code::corrupt). `*buffer` holds the payload.
  Result<LogRecord> read_record(uint64_t position, Bytes* buffer) const;
  // From a boundary: kLogHeaderSize for the first record.
  LogScanner scan(uint64_t boundary) const { return LogScanner(*this, boundary); }

  // sync(), and gives back the space reserved ahead. Reading goes on, writing is Code::closed. Without it, destruction
  // drops what was not flushed, as loss of power would.
  Status close();

 private:
  friend class LogScanner;
  AppendLog() = default;
  Status create_file(Files& files, Random& random, const AppendLogOptions& options);
  Status read_header(const AppendLogOptions& options, uint64_t file_size, bool* unfinished);
  Status recover(const AppendLogOptions& options, uint64_t file_size, LogRecovery* report);
  Status write_again(uint64_t from, uint64_t to);
  Status check_boundary(const AppendLogOptions& options) const;
  Result<uint64_t> find_data_end(uint64_t from, uint64_t file_size) const;
  Status check_tail(uint64_t damage, uint64_t data_end, uint64_t file_size) const;
  void reserve();
  Status refuse(Error error);
  uint32_t header_crc(uint64_t boundary, uint32_t size, uint8_t kind) const;

  std::unique_ptr<File> file_;
  std::string path_;
  uint32_t salt_ = 0;
  Bytes buffer_;
  uint64_t flushed_end_ = 0;
  uint64_t file_size_ = 0;   // with the zeros reserved ahead
  bool group_open_ = false;  // a record was appended since the last sync
  bool failed_ = false;
  bool closed_ = false;
  Error failure_;
  std::atomic<uint64_t> visible_end_{0};
  std::atomic<uint64_t> durable_end_{0};
};

}  // namespace sereus::storage
