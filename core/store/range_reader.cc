// Reads ranges of one author's entries out of the log, beside the writer.

#include <algorithm>
#include <deque>

#include "core/codec/varint.h"
#include "core/store/index.h"
#include "core/store/limits.h"
#include "core/store/log_kinds.h"
#include "core/store/replay.h"
#include "core/store/shared.h"

namespace sereus::store {
namespace {

constexpr size_t kVerifiedMax = 4096;   // range ends whose signature was verified here, remembered
constexpr size_t kPositionsMax = 1024;  // looked up at a time

class RangeReaderImpl : public RangeReader {
 public:
  explicit RangeReaderImpl(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  Status open() {
    SEREUS_ASSIGN(database_, open_index_for_reading(*shared_));
    return {};
  }

  Result<std::pair<RangeHeader, Bytes>> read_range(const AuthorKey& author, uint64_t first_seq,
                                                   size_t bytes_max) override;
  Result<Hash> hash_at(const AuthorKey& author, uint64_t seq) override;

 private:
  // An entry in the payload that is being made.
  struct Placed {
    uint64_t position = 0;
    size_t end = 0;  // of its bytes in the payload
    Hash hash;
    Signature signature;
    bool checked = false;
  };
  struct AuthorRow {
    int64_t number = 0;
    uint64_t seq = 0;
  };

  Result<AuthorRow> find_author(const AuthorKey& author);
  // Positions of entries first_seq.. in order, at most kPositionsMax; not_found when the first is not here.
  Status positions_from(int64_t author, uint64_t first_seq, std::vector<uint64_t>& positions);
  // The record at `position`; consecutive ones are read ahead.
  Result<storage::LogRecord> record_at(uint64_t position);
  Status collect(const AuthorKey& author, const AuthorRow& row, uint64_t first_seq, size_t bytes_max);
  Status add(const storage::LogRecord& record);
  bool proved(const AuthorKey& author, Placed& entry);

  std::shared_ptr<Shared> shared_;
  std::mutex mutex_;
  std::unique_ptr<storage::Database> database_;
  std::optional<storage::LogScanner> scanner_;
  uint64_t expected_boundary_ = 0;  // after the record read last
  Bytes buffer_;
  std::deque<uint64_t> verified_;  // positions, oldest first
  Bytes payload_;
  std::vector<Placed> placed_;
  Hash first_prev_;
};

Result<RangeReaderImpl::AuthorRow> RangeReaderImpl::find_author(const AuthorKey& author) {
  SEREUS_ASSIGN(auto statement, database_->cached("SELECT no, seq FROM author WHERE key = ?1"));
  statement->bind_blob(1, author.view());
  SEREUS_ASSIGN(const bool found, statement->step());
  if (!found) return fail(Code::not_found, "no such author");
  return AuthorRow{statement->column_int(0), static_cast<uint64_t>(statement->column_int(1))};
}

Status RangeReaderImpl::positions_from(int64_t author, uint64_t first_seq, std::vector<uint64_t>& positions) {
  SEREUS_ASSIGN(
      auto statement,
      database_->cached("SELECT first_seq, count, position, deltas FROM run WHERE author = ?1 AND first_seq >="
                        " (SELECT max(first_seq) FROM run WHERE author = ?1 AND first_seq <= ?2)"
                        " ORDER BY first_seq"));
  statement->bind_int(1, author);
  statement->bind_int(2, static_cast<int64_t>(first_seq));
  uint64_t wanted = first_seq;
  while (positions.size() < kPositionsMax) {
    SEREUS_ASSIGN(const bool more, statement->step());
    if (!more) break;
    uint64_t seq = static_cast<uint64_t>(statement->column_int(0));
    const uint64_t count = static_cast<uint64_t>(statement->column_int(1));
    uint64_t position = static_cast<uint64_t>(statement->column_int(2));
    ByteView deltas = statement->column_blob(3);
    if (seq > wanted || count <= wanted - seq) return fail(Code::not_found, "no such entry");
    for (uint64_t i = 0; i < count; ++i, ++seq) {
      if (i > 0) {
        const auto delta = varint_read(deltas);
        if (!delta) return fail(Code::corrupt, "the store's index is damaged (table run)");
        position += *delta;
      }
      if (seq != wanted) continue;
      positions.push_back(position);
      ++wanted;
    }
  }
  return positions.empty() ? Status(fail(Code::not_found, "no such entry")) : Status();
}

Result<storage::LogRecord> RangeReaderImpl::record_at(uint64_t position) {
  const uint64_t boundary = position - storage::kLogRecordHeaderSize;
  if (boundary != expected_boundary_) {
    // Somewhere else: one record, and from the next on a scanner if it follows.
    scanner_.reset();
    SEREUS_ASSIGN(const storage::LogRecord record, shared_->log->read_record(position, &buffer_));
    expected_boundary_ = record.next_boundary();
    return record;
  }
  if (!scanner_ || scanner_->boundary() != boundary) scanner_.emplace(shared_->log->scan(boundary));
  storage::LogRecord record;
  SEREUS_ASSIGN(const bool more, scanner_->next(&record));
  if (!more) return fail(Code::corrupt, "the store's index points beyond its log");
  expected_boundary_ = record.next_boundary();
  return record;
}

Status RangeReaderImpl::add(const storage::LogRecord& record) {
  if (!is_entry(record.kind)) return fail(Code::corrupt, "the store's index points beside an entry");
  SEREUS_ASSIGN(const StoredEntry stored, split_entry(record.payload));
  if (placed_.empty()) {
    constexpr size_t kPrevAt = kEntryPrefixSize - Hash::kSize;
    first_prev_ = *Hash::from(stored.body.subspan(kPrevAt, Hash::kSize));
  }
  varint_append(payload_, stored.body.size() - kEntryPrefixSize);
  append(payload_, record.payload.subspan(kEntryPrefixSize));
  Placed entry;
  entry.position = record.position;
  entry.end = payload_.size();
  entry.signature = stored.signature;
  entry.checked = (record.kind & kEntryChecked) != 0;
  if (!entry.checked) entry.hash = entry_hash(stored.body);
  placed_.push_back(entry);
  return {};
}

// Fills payload_ with entries up to about `bytes_max`, and further to one that is known to be signed when none is.
Status RangeReaderImpl::collect(const AuthorKey& author, const AuthorRow& row, uint64_t first_seq, size_t bytes_max) {
  payload_.clear();
  placed_.clear();
  scanner_.reset();
  expected_boundary_ = 0;
  size_t proved_entries = 0;
  std::vector<uint64_t> positions;
  uint64_t seq = first_seq;
  while (seq <= row.seq && placed_.size() < kRangeEntriesMax) {
    positions.clear();
    SEREUS_TRY(positions_from(row.number, seq, positions));
    for (const uint64_t position : positions) {
      if (seq > row.seq || placed_.size() == kRangeEntriesMax) break;
      SEREUS_ASSIGN(const storage::LogRecord record, record_at(position));
      const size_t grown = payload_.size() + record.payload.size();
      const bool enough = !placed_.empty() && grown > bytes_max;
      if (enough && proved_entries == 0) {
        for (size_t tried = 0, at = placed_.size(); at > 0 && tried < kUnverifiedEndsMax; --at, ++tried) {
          if (!proved(author, placed_[at - 1])) continue;
          proved_entries = at;
          break;
        }
      }
      if (enough && (proved_entries > 0 || grown > kRangeBytesMax)) return {};
      SEREUS_TRY(add(record));
      if (placed_.back().checked) proved_entries = placed_.size();
      ++seq;
    }
  }
  return {};
}

bool RangeReaderImpl::proved(const AuthorKey& author, Placed& entry) {
  if (entry.checked) return true;
  if (std::find(verified_.begin(), verified_.end(), entry.position) == verified_.end()) {
    if (!verify_entry(author, entry.hash, entry.signature)) return false;
    if (verified_.size() == kVerifiedMax) verified_.pop_front();
    verified_.push_back(entry.position);
  }
  entry.checked = true;
  return true;
}

Result<std::pair<RangeHeader, Bytes>> RangeReaderImpl::read_range(const AuthorKey& author, uint64_t first_seq,
                                                                  size_t bytes_max) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::shared_lock<std::shared_mutex> open(shared_->gate);
  if (shared_->closed) return fail(Code::closed, "the store is closed");
  SEREUS_ASSIGN(const AuthorRow row, find_author(author));
  if (first_seq == 0 || first_seq > row.seq) return fail(Code::not_found, "no such entry");
  SEREUS_TRY(collect(author, row, first_seq, std::min(bytes_max, kRangeBytesMax)));
  // Back to an end that proves the rest.
  while (!placed_.empty() && !proved(author, placed_.back())) placed_.pop_back();
  if (placed_.empty()) return fail(Code::bad_signature, "no entry from there on is signed well enough to be passed on");
  payload_.resize(placed_.back().end);
  RangeHeader header;
  header.store = shared_->id;
  header.author = author;
  header.first_seq = first_seq;
  header.prev = first_prev_;
  header.entries = static_cast<uint32_t>(placed_.size());
  return std::make_pair(header, std::move(payload_));
}

Result<Hash> RangeReaderImpl::hash_at(const AuthorKey& author, uint64_t seq) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::shared_lock<std::shared_mutex> open(shared_->gate);
  if (shared_->closed) return fail(Code::closed, "the store is closed");
  SEREUS_ASSIGN(const AuthorRow row, find_author(author));
  if (seq == 0 || seq > row.seq) return fail(Code::not_found, "no such entry");
  std::vector<uint64_t> positions;
  SEREUS_TRY(positions_from(row.number, seq, positions));
  SEREUS_ASSIGN(const storage::LogRecord record, shared_->log->read_record(positions.front(), &buffer_));
  SEREUS_ASSIGN(const StoredEntry stored, split_entry(record.payload));
  return entry_hash(stored.body);
}

}  // namespace

Result<std::unique_ptr<storage::Database>> open_index_for_reading(const Shared& shared) {
  storage::DatabaseOptions options;
  options.read_only = true;
  options.cache_kib = kReaderCacheKib;
  options.application_id = kIndexApplicationId;
  options.migrations = index_migrations();
  return storage::Database::open(*shared.vfs, shared.index_path, options);
}

Result<std::unique_ptr<RangeReader>> open_range_reader(std::shared_ptr<Shared> shared) {
  auto reader = std::make_unique<RangeReaderImpl>(std::move(shared));
  SEREUS_TRY(reader->open());
  return std::unique_ptr<RangeReader>(std::move(reader));
}

}  // namespace sereus::store
