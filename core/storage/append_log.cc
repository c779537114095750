#include "core/storage/append_log.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"
#include "core/storage/crc32c.h"

namespace sereus::storage {
namespace {

constexpr std::string_view kMagic = "sereuslg";
// Zeros written ahead of small groups. fdatasync is dearer when the file's size changes (the file system commits its
// journal), so it changes once for some thousand commits; docs/formats/log.md has the measurements.
constexpr uint64_t kReserveStep = 256 * 1024;
// A group larger than this pays for its own growth, and nothing is written twice.
constexpr size_t kReserveForGroupsBelow = 64 * 1024;
constexpr uint8_t kGroupStart = 0x80;  // of the kind byte: when this was written, all before it was durable
constexpr uint32_t kCheckMask = 0xffffff;
constexpr size_t kReadGuess = 1024;  // read_record: most payloads come with their header

Error damaged(const std::string& path, uint64_t position, std::string_view what) {
  return fail(Code::corrupt, path + ": damaged at byte " + std::to_string(position) + ": " + std::string(what));
}

std::string parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(path.substr(0, slash));
}

struct RecordHeader {
  uint32_t size;
  uint8_t kind;    // with kGroupStart
  uint32_t check;  // 24 bits
  uint32_t payload_crc;
};

RecordHeader parse_header(const uint8_t* from) {
  const auto packed = load_le<uint32_t>(from + 4);
  return {load_le<uint32_t>(from), static_cast<uint8_t>(packed & 0xff), packed >> 8, load_le<uint32_t>(from + 8)};
}

bool plausible_size(uint32_t size, uint64_t room) { return size >= 1 && size <= kLogPayloadMax && size <= room; }

}  // namespace

// Seeds the payload's checksum as well, so that both hold only at this place of this log.
uint32_t AppendLog::header_crc(uint64_t boundary, uint32_t size, uint8_t kind) const {
  std::array<uint8_t, 13> bytes{};
  store_le(bytes.data(), boundary);
  store_le(bytes.data() + 8, size);
  bytes[12] = kind;
  return crc32c(salt_, bytes);
}

// ---- Opening ------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<AppendLog>> AppendLog::open(Files& files, Random& random, std::string_view path,
                                                   const AppendLogOptions& options, LogRecovery* recovery) {
  LogRecovery report;
  std::unique_ptr<AppendLog> log(new AppendLog());
  log->path_ = path;
  auto file = files.open(path, OpenMode::read_write);
  uint64_t file_size = 0;
  bool unfinished = !file.ok() && file.code() == Code::not_found;
  if (!file.ok() && !unfinished) return file.error();
  if (file.ok()) {
    log->file_ = std::move(file).value();
    SEREUS_ASSIGN(file_size, log->file_->size());
    SEREUS_TRY(log->read_header(options, file_size, &unfinished));
  }
  if (unfinished) {
    if (options.trusted_end != 0) {
      return damaged(log->path_, file_size,
                     "missing or empty, but " + std::to_string(options.trusted_end) + " bytes of it were durable");
    }
    if (!options.create) return fail(Code::not_found, "no log " + log->path_);
    SEREUS_TRY(log->create_file(files, random, options));
    report.created = true;
  } else {
    SEREUS_TRY(log->recover(options, file_size, &report));
    // Who made it may have died before its name was durable; then no index knows it.
    if (options.trusted_end == 0) SEREUS_TRY(files.sync_folder(parent_of(path)));
  }
  if (recovery != nullptr) *recovery = report;
  return log;
}

AppendLog::~AppendLog() = default;

Status AppendLog::create_file(Files& files, Random& random, const AppendLogOptions& options) {
  SEREUS_ASSIGN(file_, files.open(path_, OpenMode::read_write_create));
  SEREUS_TRY(file_->truncate(0));
  std::array<uint8_t, 4> salt{};
  random.fill(salt);
  salt_ = load_le<uint32_t>(salt.data());
  std::array<uint8_t, kLogHeaderSize> header{};
  std::copy(kMagic.begin(), kMagic.end(), header.begin());
  store_le(header.data() + 8, kLogVersion);
  store_le(header.data() + 12, static_cast<uint32_t>(kLogHeaderSize));
  std::copy(options.id.begin(), options.id.end(), header.begin() + 16);
  store_le(header.data() + 32, salt_);
  store_le(header.data() + 36, crc32c(0, ByteView(header).first(36)));
  SEREUS_TRY(file_->write_at(0, header));
  SEREUS_TRY(file_->sync());
  SEREUS_TRY(files.sync_folder(parent_of(path_)));
  flushed_end_ = file_size_ = kLogHeaderSize;
  visible_end_ = durable_end_ = kLogHeaderSize;
  return {};
}

// `*unfinished`: nothing was ever stored in it; its creation was cut short.
Status AppendLog::read_header(const AppendLogOptions& options, uint64_t file_size, bool* unfinished) {
  *unfinished = file_size < kLogHeaderSize;
  if (*unfinished) return {};
  std::array<uint8_t, kLogHeaderSize> header{};
  SEREUS_ASSIGN(const size_t got, file_->read_at(0, header));
  if (got != header.size()) return damaged(path_, 0, "its header cannot be read");
  if (std::all_of(header.begin(), header.end(), [](uint8_t byte) { return byte == 0; })) {
    SEREUS_ASSIGN(const uint64_t data_end, find_data_end(0, file_size));
    *unfinished = data_end == 0;
    if (*unfinished) return {};
  }
  if (!starts_with(header, as_bytes(kMagic))) return damaged(path_, 0, "not a log of Sereus");
  if (load_le<uint32_t>(header.data() + 36) != crc32c(0, ByteView(header).first(36))) {
    return damaged(path_, 0, "the checksum of its header is wrong");
  }
  const auto version = load_le<uint32_t>(header.data() + 8);
  if (version > kLogVersion) {
    return fail(Code::too_new, path_ + " has version " + std::to_string(version) +
                                   ", made by a newer Sereus; this one knows versions up to " +
                                   std::to_string(kLogVersion));
  }
  if (version == 0 || load_le<uint32_t>(header.data() + 12) != kLogHeaderSize) {
    return damaged(path_, 8, "its header makes no sense");
  }
  if (!equal(ByteView(header).subspan(16, 16), options.id)) {
    return fail(Code::wrong_store, path_ + " is the log of another store");
  }
  salt_ = load_le<uint32_t>(header.data() + 32);
  return {};
}

Status AppendLog::recover(const AppendLogOptions& options, uint64_t file_size, LogRecovery* report) {
  if (options.trusted_end > file_size) {
    return damaged(path_, file_size,
                   "it ends here, but " + std::to_string(options.trusted_end) + " bytes of it were durable");
  }
  file_size_ = file_size;
  const uint64_t trusted = std::max<uint64_t>(options.trusted_end, kLogHeaderSize);
  visible_end_ = file_size;  // for the scan
  LogScanner scanner = scan(options.full_scan ? kLogHeaderSize : trusted);
  LogRecord record;
  Result<bool> more = false;
  while ((more = scanner.next(&record)).ok() && *more) ++report->records_scanned;
  if (!more.ok() && more.code() != Code::corrupt) return more.error();
  const uint64_t end = scanner.boundary();
  uint64_t data_end = end;
  if (!more.ok()) {
    if (end < trusted) return more.error();
    SEREUS_ASSIGN(data_end, find_data_end(end, file_size));
    SEREUS_TRY(check_tail(end, data_end, file_size));
    if (data_end != end && end == options.trusted_end && !options.full_scan) SEREUS_TRY(check_boundary(options));
  }
  if (data_end != end) {
    report->torn_bytes_dropped = data_end - end;
    SEREUS_TRY(file_->truncate(end));
    file_size_ = end;
  }
  // What was found beyond the trusted end may be in the system's cache only, because the process died, or because an
  // fsync failed: then a new one would not write it either. So it is written once more.
  if (end != options.trusted_end) SEREUS_TRY(write_again(options.trusted_end, end));
  if (data_end != end || end != options.trusted_end) SEREUS_TRY(file_->sync());
  flushed_end_ = end;
  visible_end_ = durable_end_ = end;
  return {};
}

Status AppendLog::write_again(uint64_t from, uint64_t to) {
  Bytes chunk;
  for (uint64_t at = from; at < to; at += chunk.size()) {
    chunk.resize(static_cast<size_t>(std::min<uint64_t>(kLogBufferMax, to - at)));
    SEREUS_TRY(read(at, chunk));
    SEREUS_TRY(file_->write_at(at, chunk));
  }
  return {};
}

// Does a record end at trusted_end? Otherwise what was remembered belongs to another log, and nothing is cut.
Status AppendLog::check_boundary(const AppendLogOptions& options) const {
  const Error apart = damaged(path_, options.trusted_end, "no record ends here, as it should");
  if (options.trusted_last >= kLogHeaderSize) {
    Bytes buffer;
    const auto last = read_record(options.trusted_last + kLogRecordHeaderSize, &buffer);
    if (!last.ok()) return last.code() == Code::io ? last.error() : apart;
    return last->next_boundary() == options.trusted_end ? Status() : Status(apart);
  }
  LogScanner scanner = scan(kLogHeaderSize);
  LogRecord record;
  while (scanner.boundary() < options.trusted_end) {
    SEREUS_ASSIGN([[maybe_unused]] const bool more, scanner.next(&record));
  }
  return scanner.boundary() == options.trusted_end ? Status() : Status(apart);
}

// The position after the last byte that is not zero, `from` when there is none.
Result<uint64_t> AppendLog::find_data_end(uint64_t from, uint64_t file_size) const {
  Bytes chunk(static_cast<size_t>(std::min<uint64_t>(kLogReadAhead, file_size - from)));
  uint64_t data_end = from;
  for (uint64_t at = from; at < file_size;) {
    const size_t size = static_cast<size_t>(std::min<uint64_t>(chunk.size(), file_size - at));
    SEREUS_ASSIGN(const size_t got, file_->read_at(at, ByteSpan(chunk).first(size)));
    if (got != size) return damaged(path_, at, "it became shorter while it was read");
    size_t last = size;
    while (last >= 8 && load_le<uint64_t>(chunk.data() + last - 8) == 0) last -= 8;  // mostly space reserved ahead
    while (last > 0 && chunk[last - 1] == 0) --last;
    if (last > 0) data_end = at + last;
    at += size;
  }
  return data_end;
}

// Can a write that lost its power explain the bytes from `damage` on? It cannot when a record behind them is whole and
// was written after a sync: then the damaged bytes were durable once.
Status AppendLog::check_tail(uint64_t damage, uint64_t data_end, uint64_t file_size) const {
  Bytes chunk;
  uint64_t chunk_start = 0;
  Bytes payload;
  for (uint64_t at = damage + 1; at + kLogRecordHeaderSize < data_end; ++at) {
    if (chunk.empty() || at + kLogRecordHeaderSize > chunk_start + chunk.size()) {
      chunk.resize(static_cast<size_t>(std::min<uint64_t>(kLogReadAhead, file_size - at)));
      SEREUS_ASSIGN(const size_t got, file_->read_at(at, chunk));
      if (got != chunk.size()) return damaged(path_, at, "it became shorter while it was read");
      chunk_start = at;
    }
    const RecordHeader header = parse_header(chunk.data() + (at - chunk_start));
    if ((header.kind & kGroupStart) == 0) continue;
    if (!plausible_size(header.size, file_size - at - kLogRecordHeaderSize)) continue;
    const uint32_t seed = header_crc(at, header.size, header.kind);
    if ((seed & kCheckMask) != header.check) continue;
    payload.resize(header.size);
    SEREUS_ASSIGN(const size_t got, file_->read_at(at + kLogRecordHeaderSize, payload));
    if (got != payload.size() || crc32c(seed, payload) != header.payload_crc) continue;
    return damaged(path_, damage, "a whole record follows at byte " + std::to_string(at));
  }
  return {};
}

// ---- Writing ------------------------------------------------------------------------------------------------------

Status AppendLog::refuse(Error error) {
  failed_ = true;
  failure_ = std::move(error);
  return failure_;
}

Result<uint64_t> AppendLog::append(uint8_t kind, std::span<const ByteView> parts) {
  if (failed_) return failure_;
  if (closed_) return fail(Code::closed, path_ + " is closed");
  if (kind > kLogKindMax) return fail(Code::invalid, "log: no such kind of record");
  size_t size = 0;
  for (const ByteView part : parts) {
    if (part.size() > kLogPayloadMax - size) return fail(Code::too_large, "log: record too large");
    size += part.size();
  }
  if (size == 0) return fail(Code::invalid, "log: an empty record");
  if (!buffer_.empty() && buffer_.size() + kLogRecordHeaderSize + size > kLogBufferMax) SEREUS_TRY(flush());
  const uint64_t boundary = end();
  const auto flagged = static_cast<uint8_t>(group_open_ ? kind : kind | kGroupStart);
  const uint32_t seed = header_crc(boundary, static_cast<uint32_t>(size), flagged);
  const size_t start = buffer_.size();
  buffer_.resize(start + kLogRecordHeaderSize);
  uint32_t crc = seed;
  for (const ByteView part : parts) {
    crc = crc32c(crc, part);
    sereus::append(buffer_, part);
  }
  uint8_t* header = buffer_.data() + start;
  store_le(header, static_cast<uint32_t>(size));
  store_le(header + 4, (seed & kCheckMask) << 8 | flagged);
  store_le(header + 8, crc);
  group_open_ = true;
  if (buffer_.size() >= kLogBufferMax) SEREUS_TRY(flush());
  return boundary + kLogRecordHeaderSize;
}

Status AppendLog::flush() {
  if (failed_) return failure_;
  if (closed_) return fail(Code::closed, path_ + " is closed");
  if (buffer_.empty()) return {};
  const Status written = file_->write_at(flushed_end_, buffer_);
  if (!written.ok()) return refuse(written.error());
  const size_t size = buffer_.size();
  flushed_end_ += size;
  buffer_.clear();
  if (buffer_.capacity() > 2 * kLogBufferMax) buffer_ = Bytes();
  if (flushed_end_ > file_size_) {
    file_size_ = flushed_end_;
    if (size < kReserveForGroupsBelow) reserve();
  }
  visible_end_.store(flushed_end_, std::memory_order_release);
  return {};
}

// Zeros after the end. Only makes syncs cheaper: without room for them the log goes on without.
void AppendLog::reserve() {
  const Bytes zeros(kReserveStep);
  if (file_->write_at(flushed_end_, zeros).ok()) {
    file_size_ = flushed_end_ + kReserveStep;
  } else {
    static_cast<void>(file_->truncate(flushed_end_).ok());  // what of them was written is harmless
  }
}

Status AppendLog::sync() {
  SEREUS_TRY(flush());
  if (durable_end() == flushed_end_) return {};
  const Status synced = file_->sync();
  if (!synced.ok()) return refuse(synced.error());
  durable_end_.store(flushed_end_, std::memory_order_release);
  group_open_ = false;
  return {};
}

Status AppendLog::rewind_to_durable() {
  if (closed_) return fail(Code::closed, path_ + " is closed");
  const uint64_t durable = durable_end();
  buffer_.clear();
  flushed_end_ = durable;
  visible_end_.store(durable, std::memory_order_release);
  group_open_ = false;
  const Status cut = file_->truncate(durable);
  if (!cut.ok()) return refuse(cut.error());
  const Status synced = file_->sync();
  if (!synced.ok()) return refuse(synced.error());
  file_size_ = durable;
  failed_ = false;
  failure_ = Error();
  return {};
}

Status AppendLog::close() {
  // What failed before is tried once more: the disk may work again, and then nothing is wrong.
  SEREUS_TRY(failed_ ? rewind_to_durable() : sync());
  closed_ = true;
  if (file_size_ > flushed_end_) SEREUS_TRY(file_->truncate(flushed_end_));
  file_size_ = flushed_end_;
  return {};
}

// ---- Reading ------------------------------------------------------------------------------------------------------

Status AppendLog::read(uint64_t position, ByteSpan out) const {
  const uint64_t limit = visible_end();
  if (position > limit || out.size() > limit - position) return fail(Code::invalid, "log: beyond its end");
  SEREUS_ASSIGN(const size_t got, file_->read_at(position, out));
  if (got != out.size()) return damaged(path_, position + got, "it ends too early");
  return {};
}

Result<LogRecord> AppendLog::read_record(uint64_t position, Bytes* buffer) const {
  const uint64_t limit = visible_end();
  if (position < kLogHeaderSize + kLogRecordHeaderSize || position >= limit) {
    return fail(Code::invalid, "log: no record at byte " + std::to_string(position));
  }
  const uint64_t boundary = position - kLogRecordHeaderSize;
  std::array<uint8_t, kLogRecordHeaderSize + kReadGuess> start{};
  const auto ready = static_cast<size_t>(std::min<uint64_t>(start.size(), limit - boundary));
  SEREUS_TRY(read(boundary, ByteSpan(start).first(ready)));
  const RecordHeader header = parse_header(start.data());
  if (!plausible_size(header.size, limit - position)) return damaged(path_, boundary, "no record starts here");
  const uint32_t seed = header_crc(boundary, header.size, header.kind);
  if ((seed & kCheckMask) != header.check) return damaged(path_, boundary, "no record starts here");
  buffer->resize(header.size);
  const size_t with_header = std::min<size_t>(header.size, ready - kLogRecordHeaderSize);
  std::copy_n(start.begin() + kLogRecordHeaderSize, with_header, buffer->begin());
  if (with_header < header.size) SEREUS_TRY(read(position + with_header, ByteSpan(*buffer).subspan(with_header)));
  if (crc32c(seed, *buffer) != header.payload_crc) return damaged(path_, boundary, "the checksum of a record is wrong");
  return LogRecord{static_cast<uint8_t>(header.kind & kLogKindMax), position, *buffer};
}

Result<bool> LogScanner::next(LogRecord* record) {
  const uint64_t limit = log_->visible_end();
  if (boundary_ == limit) return false;
  if (boundary_ > limit) return fail(Code::invalid, "log: beyond its end");
  const uint64_t left = limit - boundary_;
  if (left <= kLogRecordHeaderSize) return damaged(log_->path_, boundary_, "it ends inside a record");
  SEREUS_TRY(fill(boundary_, kLogRecordHeaderSize, limit));
  const RecordHeader header = parse_header(buffer_.data() + (boundary_ - buffer_start_));
  const uint32_t seed = log_->header_crc(boundary_, header.size, header.kind);
  if (!plausible_size(header.size, left - kLogRecordHeaderSize) || (seed & kCheckMask) != header.check) {
    return damaged(log_->path_, boundary_, "no record starts here");
  }
  SEREUS_TRY(fill(boundary_, kLogRecordHeaderSize + header.size, limit));
  const uint8_t* start = buffer_.data() + (boundary_ - buffer_start_) + kLogRecordHeaderSize;
  const ByteView payload(start, header.size);
  if (crc32c(seed, payload) != header.payload_crc) {
    return damaged(log_->path_, boundary_, "the checksum of a record is wrong");
  }
  *record = {static_cast<uint8_t>(header.kind & kLogKindMax), boundary_ + kLogRecordHeaderSize, payload};
  boundary_ = record->next_boundary();
  return true;
}

// Makes [position, position + size) part of the buffer, reading ahead up to `limit`.
Status LogScanner::fill(uint64_t position, size_t size, uint64_t limit) {
  if (position >= buffer_start_ && position + size <= buffer_start_ + buffer_used_) return {};
  const auto wanted = static_cast<size_t>(std::min<uint64_t>(std::max(size, kLogReadAhead), limit - position));
  if (buffer_.size() < wanted) buffer_.resize(wanted);
  buffer_used_ = 0;
  SEREUS_TRY(log_->read(position, ByteSpan(buffer_).first(wanted)));
  buffer_start_ = position;
  buffer_used_ = wanted;
  return {};
}

}  // namespace sereus::storage
