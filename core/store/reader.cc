// The application's reads. Each call sees one snapshot of the index, and of the log what that snapshot covers.

#include <algorithm>

#include "core/crypto/hash.h"
#include "core/store/index.h"
#include "core/store/limits.h"
#include "core/store/log_kinds.h"
#include "core/store/replay.h"
#include "core/store/shared.h"

namespace sereus::store {
namespace {

class StoreReaderImpl : public StoreReader {
 public:
  explicit StoreReaderImpl(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  Status open() {
    SEREUS_ASSIGN(database_, open_index_for_reading(*shared_));
    SEREUS_ASSIGN(heads_of_, database_->prepare("SELECT heads FROM head WHERE key = ?1"));
    SEREUS_ASSIGN(is_loser_, database_->prepare("SELECT 1 FROM loser WHERE sequence = ?1"));
    return {};
  }

  Result<Bytes> get(ByteView key) override;
  Result<std::vector<Head>> heads(ByteView key, bool with_values) override;
  Result<std::vector<ListRow>> list(ByteView prefix, ByteView after, size_t limit, bool with_values) override;
  Result<std::vector<Change>> changes(uint64_t sequence, ByteView prefix, size_t limit, size_t bytes_max,
                                      uint64_t* scanned) override;
  Result<StoreStats> stats() override;
  Result<Hash> state_digest() override;

 private:
  // Locks this reader and keeps the store open for a call.
  class Call {
   public:
    explicit Call(StoreReaderImpl& reader) : lock_(reader.mutex_), open_(reader.shared_->gate) {}

   private:
    std::lock_guard<std::mutex> lock_;
    std::shared_lock<std::shared_mutex> open_;
  };
  // A page of changes being gathered.
  struct Page {
    ByteView prefix;
    size_t limit = 0;
    size_t bytes_max = 0;
    size_t bytes = 0;
    uint64_t scanned = 0;
    bool full = false;
    bool any_losers = false;
    std::vector<Change> changes;
  };

  Status check_open() const { return shared_->closed ? Status(fail(Code::closed, "the store is closed")) : Status(); }
  Result<storage::Transaction> snapshot() {
    return storage::Transaction::begin(*database_, storage::Transaction::Kind::read);
  }
  Status find_heads(ByteView key);  // into found_
  Result<Bytes> value_of(const HeadRef& head);
  Result<AuthorKey> author_key(uint32_t number);
  Status scan_changes(uint64_t from, uint64_t log_end, Page& page);
  Status add_changes(ByteView payload, uint64_t boundary, uint64_t first_op, uint64_t next_boundary, Page& page);

  std::shared_ptr<Shared> shared_;
  std::mutex mutex_;
  std::unique_ptr<storage::Database> database_;
  storage::Statement heads_of_;
  storage::Statement is_loser_;
  std::vector<HeadRef> found_;
  std::vector<std::optional<AuthorKey>> author_keys_;
};

Status StoreReaderImpl::find_heads(ByteView key) {
  found_.clear();
  heads_of_.bind_blob(1, key);
  SEREUS_ASSIGN(const bool found, heads_of_.step());
  if (!found) return {};
  const bool whole = decode_heads(heads_of_.column_blob(0), found_);
  heads_of_.reset();
  return whole ? Status() : Status(fail(Code::corrupt, "the store's index is damaged (table head)"));
}

Result<Bytes> StoreReaderImpl::value_of(const HeadRef& head) {
  if (head.value_size > kValueSizeMax) return fail(Code::corrupt, "the store's index is damaged (a value's size)");
  Bytes value(head.value_size);
  if (!value.empty()) SEREUS_TRY(shared_->log->read(head.value_position, value));
  return value;
}

Result<AuthorKey> StoreReaderImpl::author_key(uint32_t number) {
  if (number < author_keys_.size() && author_keys_[number]) return *author_keys_[number];
  if (number >= kAuthorsMax) return fail(Code::corrupt, "the store's index is damaged (an author's number)");
  SEREUS_ASSIGN(auto statement, database_->cached("SELECT key FROM author WHERE no = ?1"));
  statement->bind_int(1, number);
  SEREUS_ASSIGN(const bool found, statement->step());
  const auto key = found ? AuthorKey::from(statement->column_blob(0)) : std::nullopt;
  if (!key) return fail(Code::corrupt, "the store's index names an author it does not have");
  if (number >= author_keys_.size()) author_keys_.resize(size_t{number} + 1);
  author_keys_[number] = *key;
  return *key;
}

Result<Bytes> StoreReaderImpl::get(ByteView key) {
  const Call call(*this);
  SEREUS_TRY(check_open());
  SEREUS_TRY(find_heads(key));
  if (found_.empty() || found_.front().tombstone) return fail(Code::not_found, "no such key");
  return value_of(found_.front());
}

Result<std::vector<Head>> StoreReaderImpl::heads(ByteView key, bool with_values) {
  const Call call(*this);
  SEREUS_TRY(check_open());
  SEREUS_ASSIGN(auto view, snapshot());
  SEREUS_TRY(find_heads(key));
  std::vector<Head> heads;
  heads.reserve(found_.size());
  for (const HeadRef& ref : found_) {
    Head head;
    head.hash = ref.hash;
    SEREUS_ASSIGN(head.author, author_key(ref.author));
    head.seq = ref.seq;
    head.hlc = Hlc::unpack(ref.hlc);
    head.tombstone = ref.tombstone;
    head.value_size = ref.value_size;
    if (with_values && !ref.tombstone) {
      SEREUS_ASSIGN(head.value, value_of(ref));
    }
    heads.push_back(std::move(head));
  }
  return heads;
}

Result<std::vector<ListRow>> StoreReaderImpl::list(ByteView prefix, ByteView after, size_t limit, bool with_values) {
  const Call call(*this);
  SEREUS_TRY(check_open());
  SEREUS_ASSIGN(auto view, snapshot());
  const bool from_after = !after.empty() && compare(after, prefix) >= 0;
  const auto end = prefix_end(prefix);
  const char* const queries[2][2] = {{"SELECT key, heads FROM head WHERE key >= ?1 ORDER BY key",
                                      "SELECT key, heads FROM head WHERE key >= ?1 AND key < ?2 ORDER BY key"},
                                     {"SELECT key, heads FROM head WHERE key > ?1 ORDER BY key",
                                      "SELECT key, heads FROM head WHERE key > ?1 AND key < ?2 ORDER BY key"}};
  SEREUS_ASSIGN(auto rows, database_->cached(queries[from_after ? 1 : 0][end ? 1 : 0]));
  rows->bind_blob(1, from_after ? after : prefix);
  if (end) rows->bind_blob(2, *end);
  std::vector<ListRow> list;
  limit = std::min(limit, kListPageMax);
  while (list.size() < limit) {
    SEREUS_ASSIGN(const bool more, rows->step());
    if (!more) break;
    found_.clear();
    if (!decode_heads(rows->column_blob(1), found_))
      return fail(Code::corrupt, "the store's index is damaged (table head)");
    if (found_.empty() || found_.front().tombstone) continue;
    ListRow row;
    row.key = to_bytes(rows->column_blob(0));
    const HeadRef& winner = found_.front();
    row.value_size = winner.value_size;
    row.hlc = Hlc::unpack(winner.hlc);
    row.heads = static_cast<uint32_t>(found_.size());
    SEREUS_ASSIGN(row.author, author_key(winner.author));
    if (with_values) {
      SEREUS_ASSIGN(row.value, value_of(winner));
    }
    list.push_back(std::move(row));
  }
  return list;
}

Result<std::vector<Change>> StoreReaderImpl::changes(uint64_t sequence, ByteView prefix, size_t limit, size_t bytes_max,
                                                     uint64_t* scanned) {
  const Call call(*this);
  SEREUS_TRY(check_open());
  SEREUS_ASSIGN(auto view, snapshot());
  SEREUS_ASSIGN(const int64_t log_end, database_->query_int("SELECT log_end FROM meta"));
  SEREUS_ASSIGN(const int64_t losers, database_->query_int("SELECT losers FROM meta"));
  if (sequence == 0) sequence = sequence_at(storage::kLogHeaderSize);
  const uint64_t end = static_cast<uint64_t>(log_end);
  *scanned = sequence;
  if (sequence_boundary(sequence) < storage::kLogHeaderSize || sequence > sequence_at(end)) {
    return fail(Code::invalid, "this sequence is not one of this store");
  }
  Page page;
  page.prefix = prefix;
  page.limit = std::clamp<size_t>(limit, 1, kChangesPageMax);
  page.bytes_max = bytes_max;
  page.scanned = sequence;
  page.any_losers = losers > 0;
  SEREUS_TRY(scan_changes(sequence, end, page));
  *scanned = page.scanned;
  return std::move(page.changes);
}

Status StoreReaderImpl::scan_changes(uint64_t from, uint64_t log_end, Page& page) {
  storage::LogScanner scanner = shared_->log->scan(sequence_boundary(from));
  uint64_t first_op = sequence_op(from);
  size_t read = 0;
  Bytes held;
  while (!page.full && scanner.boundary() < log_end && read < kRangeBytesMax + page.bytes_max) {
    storage::LogRecord record;
    const auto more = scanner.next(&record);
    if (!more.ok()) {
      // A resume point is the caller's: one inside a record looks like damage, but only the first can be that.
      if (read == 0 && more.code() == Code::corrupt)
        return fail(Code::invalid, "this sequence is not one of this store");
      return more.error();
    }
    if (!*more) break;
    read += record.payload.size();
    ByteView payload;
    if (record.kind == kRecordRelease && record.payload.size() == sizeof(uint64_t)) {
      SEREUS_ASSIGN(const storage::LogRecord target,
                    shared_->log->read_record(load_le<uint64_t>(record.payload.data()), &held));
      payload = target.payload;
      read += payload.size();
    } else if (is_entry(record.kind) && (record.kind & kEntryHeld) == 0) {
      payload = record.payload;
    }
    if (!payload.empty()) SEREUS_TRY(add_changes(payload, record.boundary(), first_op, record.next_boundary(), page));
    if (!page.full) page.scanned = sequence_at(record.next_boundary());
    first_op = 0;
  }
  return {};
}

Status StoreReaderImpl::add_changes(ByteView payload, uint64_t boundary, uint64_t first_op, uint64_t next_boundary,
                                    Page& page) {
  SEREUS_ASSIGN(const StoredEntry stored, split_entry(payload));
  SEREUS_ASSIGN(const EntryView entry, parse_body(stored.body));
  for (uint64_t number = first_op; number < entry.ops.size(); ++number) {
    const OpView& op = entry.ops[static_cast<size_t>(number)];
    const bool is_write = op.kind == OpKind::put || op.kind == OpKind::remove;
    if (!is_write || !starts_with(op.key, page.prefix)) continue;
    const size_t size = op.key.size() + op.value.size();
    if (page.changes.size() == page.limit || (!page.changes.empty() && page.bytes + size > page.bytes_max)) {
      page.full = true;
      page.scanned = sequence_at(boundary, number);
      return {};
    }
    Change change;
    change.sequence = number + 1 < entry.ops.size() ? sequence_at(boundary, number + 1) : sequence_at(next_boundary);
    change.key = to_bytes(op.key);
    change.value = to_bytes(op.value);
    change.tombstone = op.kind == OpKind::remove;
    change.hlc = entry.hlc;
    change.author = entry.author;
    change.winner = true;
    if (page.any_losers) {
      is_loser_.bind_int(1, static_cast<int64_t>(sequence_at(boundary, number)));
      SEREUS_ASSIGN(const bool lost, is_loser_.step());
      is_loser_.reset();
      change.winner = !lost;
    }
    page.bytes += size;
    page.changes.push_back(std::move(change));
  }
  return {};
}

Result<StoreStats> StoreReaderImpl::stats() {
  const Call call(*this);
  SEREUS_TRY(check_open());
  SEREUS_ASSIGN(auto row, database_->cached("SELECT entries, keys, conflicts, held, forks, log_end, epoch, digest,"
                                            " (SELECT coalesce(max(no) + 1, 0) FROM author) FROM meta"));
  SEREUS_ASSIGN(const bool found, row->step());
  if (!found) return fail(Code::corrupt, "the store's index is empty");
  StoreStats stats;
  stats.entries = static_cast<uint64_t>(row->column_int(0));
  stats.keys = static_cast<uint64_t>(row->column_int(1));
  stats.conflicts = static_cast<uint64_t>(row->column_int(2));
  stats.held = static_cast<uint64_t>(row->column_int(3));
  stats.forks = static_cast<uint64_t>(row->column_int(4));
  stats.log_bytes = static_cast<uint64_t>(row->column_int(5));
  stats.sequence = sequence_at(stats.log_bytes);
  stats.epoch = static_cast<uint64_t>(row->column_int(6));
  stats.digest = Digest::from(row->column_blob(7)).value_or(Digest());
  stats.authors = static_cast<uint64_t>(row->column_int(8));
  return stats;
}

Result<Hash> StoreReaderImpl::state_digest() {
  const Call call(*this);
  SEREUS_TRY(check_open());
  SEREUS_ASSIGN(auto view, snapshot());
  SEREUS_ASSIGN(auto rows, database_->cached("SELECT key, heads FROM head ORDER BY key"));
  Blake2b hasher = Blake2b::in_context("sereus state 1");
  while (true) {
    SEREUS_ASSIGN(const bool more, rows->step());
    if (!more) return hasher.finish();
    found_.clear();
    if (!decode_heads(rows->column_blob(1), found_))
      return fail(Code::corrupt, "the store's index is damaged (table head)");
    const ByteView key = rows->column_blob(0);
    uint8_t sizes[8];
    store_be(sizes, static_cast<uint32_t>(key.size()));
    store_be(sizes + 4, static_cast<uint32_t>(found_.size()));
    hasher.update(sizes).update(key);
    for (const HeadRef& head : found_) hasher.update(head.hash.view());
  }
}

}  // namespace

Result<std::unique_ptr<StoreReader>> open_store_reader(std::shared_ptr<Shared> shared) {
  auto reader = std::make_unique<StoreReaderImpl>(std::move(shared));
  SEREUS_TRY(reader->open());
  return std::unique_ptr<StoreReader>(std::move(reader));
}

}  // namespace sereus::store
