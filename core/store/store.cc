#include "core/store/store.h"

#include <algorithm>
#include <utility>

#include "core/storage/crc32c.h"
#include "core/store/replay.h"
#include "core/store/store_impl.h"

namespace sereus::store {
namespace {

constexpr const char* kLogName = "/log";
constexpr const char* kIndexName = "/index.db";
constexpr const char* kDamagedName = "/index.damaged";  // its presence: make the index anew at the next open

std::string parent_folder(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

constexpr size_t kReleaseGroup = 4096;  // held entries applied in one transaction

// Timestamps up to this one are not too far ahead.
Hlc last_acceptable(const Times& now) {
  const uint64_t wall = now.wall_us <= 0 ? 0 : static_cast<uint64_t>(now.wall_us) / kMicrosPerMilli;
  return {std::min(wall + kHlcAheadMsMax, kHlcWallMsMax), UINT16_MAX};
}

// What an index that cannot be used says, as opposed to a disk that cannot be.
bool index_is_bad(Code code) { return code == Code::corrupt || code == Code::not_found || code == Code::unsupported; }

}  // namespace

Result<std::unique_ptr<Store>> Store::open(Files& files, storage::Vfs& vfs, Random& random, const StoreConfig& config,
                                           RecoveryReport* report) {
  auto store = std::make_unique<StoreImpl>(files, vfs, config, random.next_u64());
  RecoveryReport unused;
  SEREUS_TRY(store->open(random, report == nullptr ? &unused : report));
  return std::unique_ptr<Store>(std::move(store));
}

StoreImpl::StoreImpl(Files& files, storage::Vfs& vfs, const StoreConfig& config, uint64_t hash_seed)
    : files_(files), vfs_(vfs), config_(config), hash_seed_(hash_seed), shared_(std::make_shared<Shared>()) {
  shared_->id = config.id;
  shared_->vfs = &vfs;
  shared_->index_path = config.folder + kIndexName;
}

StoreImpl::~StoreImpl() {
  if (!closed_ && shared_->log != nullptr) (void)close();
}

void StoreImpl::log_line(LogLevel level, const std::string& message) const {
  if (config_.logger != nullptr && config_.logger->enabled(level)) {
    config_.logger->write(level, "store", brief(config_.id.view()) + ": " + message);
  }
}

Status StoreImpl::open(Random& random, RecoveryReport* report) {
  *report = RecoveryReport();
  const std::string log_path = config_.folder + kLogName;
  const bool have_log = files_.exists(log_path);
  const bool have_index = files_.exists(shared_->index_path);
  if (!have_log && have_index) {
    return fail(Code::corrupt, "the store's log is missing, but its index is there: restore the log from a backup");
  }
  if (!have_log && !config_.create) return fail(Code::not_found, "there is no such store here");
  if (!have_log) {
    SEREUS_TRY(files_.make_folder(config_.folder));
    SEREUS_TRY(files_.sync_folder(parent_folder(config_.folder)));
  }
  bool usable = false;
  if (have_index) SEREUS_TRY(open_index(&usable));
  SEREUS_TRY(open_log(random, usable, meta_.log_end, report));
  if (usable) {
    SEREUS_TRY(check_last_record());
  } else {
    report->index_rebuilt = have_log && shared_->log->end() > storage::kLogHeaderSize;
    if (shared_->log->end() == storage::kLogHeaderSize) SEREUS_TRY(write_origin(random));
    SEREUS_TRY(start_index());
  }
  SEREUS_TRY(note_damage(load_state()));
  SEREUS_TRY(replay(&report->entries_replayed));
  if (config_.root && !meta_.counters.root) {
    SEREUS_TRY(batch_->begin(meta_, clock_));
    Status made = Replay(*batch_, *index_, authors_, *shared_->log, config_.id).index_entries(meta_.log_end);
    batch_->meta().counters.root = true;
    if (made.ok()) made = batch_->write(meta_.log_end);
    if (!made.ok()) {
      batch_->abort();
      return made;
    }
    SEREUS_TRY(batch_->commit(&meta_, &clock_));
  }
  if (report->index_rebuilt) log_line(LogLevel::warn, "the index was made anew from the log");
  if (report->torn_bytes_dropped > 0) {
    log_line(LogLevel::warn, std::to_string(report->torn_bytes_dropped) + " bytes of an unfinished write were dropped");
  }
  return {};
}

Status StoreImpl::open_index(bool* usable) {
  *usable = false;
  if (files_.exists(config_.folder + kDamagedName)) return {};
  auto opened = Index::open(vfs_, shared_->index_path, false, false);
  if (!opened.ok()) return index_is_bad(opened.code()) ? Status() : Status(opened.error());
  index_ = std::move(opened).value();
  const auto meta = index_->read_meta();
  if (!meta.ok() && !index_is_bad(meta.code())) return meta.error();
  if (!meta.ok() || !meta.value()) {
    index_.reset();
    return {};
  }
  meta_ = **meta;
  *usable = true;
  return {};
}

Status StoreImpl::open_log(Random& random, bool trusted, uint64_t trusted_end, RecoveryReport* report) {
  storage::AppendLogOptions options;
  options.id = config_.id.bytes;
  options.create = config_.create;
  options.trusted_end = trusted ? trusted_end : 0;
  options.full_scan = !trusted;
  storage::LogRecovery recovery;
  auto log = storage::AppendLog::open(files_, random, config_.folder + kLogName, options, &recovery);
  if (!log.ok()) return log.error();
  shared_->log = std::move(log).value();
  report->torn_bytes_dropped = recovery.torn_bytes_dropped;
  return {};
}

Status StoreImpl::write_origin(Random& random) {
  uint8_t origin[kOriginSize];
  origin[0] = kOriginVersion;
  store_le(origin + 1, random.next_u64());
  SEREUS_ASSIGN([[maybe_unused]] const uint64_t position, shared_->log->append(kRecordOrigin, ByteView(origin)));
  return shared_->log->sync();
}

Result<uint64_t> StoreImpl::read_epoch() const {
  Bytes buffer;
  SEREUS_ASSIGN(const storage::LogRecord origin,
                shared_->log->read_record(storage::kLogHeaderSize + storage::kLogRecordHeaderSize, &buffer));
  if (origin.kind != kRecordOrigin || origin.payload.size() < kOriginSize) {
    return fail(Code::corrupt, "the store's log does not begin with its origin");
  }
  if (origin.payload[0] > kOriginVersion) return fail(Code::too_new, "the store's log was written by a newer version");
  return load_le<uint64_t>(origin.payload.data() + 1);
}

// Makes the index anew, empty but for the log's origin.
Status StoreImpl::start_index() {
  index_.reset();
  SEREUS_ASSIGN(const uint64_t epoch, read_epoch());
  SEREUS_TRY(remove_index(files_, shared_->index_path));
  SEREUS_TRY(files_.sync_folder(config_.folder));
  SEREUS_ASSIGN(index_, Index::open(vfs_, shared_->index_path, true, false));
  SEREUS_TRY(files_.remove(config_.folder + kDamagedName));
  Meta meta;
  meta.epoch = epoch;
  meta.log_end = storage::kLogHeaderSize;  // replay does the rest, the origin included
  meta.counters.root = config_.root;
  meta.digest = Authors().digest();
  SEREUS_ASSIGN(auto transaction, index_->begin());
  SEREUS_TRY(index_->write_meta(meta));
  return transaction.commit();
}

// The index remembers the last record it covers; when that is not in the log, they do not belong together.
Status StoreImpl::check_last_record() const {
  const Error apart = fail(Code::corrupt,
                           "the store's log is not the one its index was made of: it was replaced or lost its end. "
                           "Restore the log, or remove index.db to accept the log as it is");
  SEREUS_ASSIGN(const uint64_t epoch, read_epoch());
  if (epoch != meta_.epoch) return apart;
  if (meta_.counters.last_boundary == 0) return {};
  Bytes buffer;
  const auto last = shared_->log->read_record(meta_.counters.last_boundary + storage::kLogRecordHeaderSize, &buffer);
  if (!last.ok()) return last.code() == Code::io ? last.error() : apart;
  if (last->next_boundary() != meta_.log_end || storage::crc32c(0, last->payload) != meta_.counters.last_crc)
    return apart;
  return {};
}

Status StoreImpl::load_state() {
  SEREUS_ASSIGN(const auto meta, index_->read_meta());
  if (!meta) return fail(Code::corrupt, "the store's index is empty");
  meta_ = *meta;
  SEREUS_TRY(index_->read_authors(authors_));
  clock_ = HlcClock();
  clock_.observe(meta_.hlc);
  batch_ = std::make_unique<Batch>(*index_, authors_, hash_seed_);
  return {};
}

Status StoreImpl::replay(uint64_t* entries) {
  const uint64_t end = shared_->log->durable_end();
  if (meta_.log_end > end) return fail(Code::corrupt, "the store's log ends before what its index covers");
  storage::LogScanner scanner = shared_->log->scan(meta_.log_end);
  while (meta_.log_end < end) {
    SEREUS_TRY(batch_->begin(meta_, clock_));
    Replay replayer(*batch_, *index_, authors_, *shared_->log, config_.id);
    Status status;
    storage::LogRecord record;
    while (status.ok() && scanner.boundary() < end && scanner.boundary() - meta_.log_end < kReplayGroupBytes) {
      const auto more = scanner.next(&record);
      if (!more.ok()) {
        status = more.error();
      } else if (!*more) {
        status = fail(Code::corrupt, "the store's log ends before its end");
      } else {
        status = replayer.record(record);
      }
    }
    if (status.ok()) status = note_damage(batch_->write(scanner.boundary()));
    if (!status.ok()) {
      batch_->abort();
      return status;
    }
    SEREUS_TRY(batch_->commit(&meta_, &clock_));
    *entries += replayer.entries();
  }
  return {};
}

Status StoreImpl::ready() {
  if (closed_) return fail(Code::closed, "the store is closed");
  if (shared_->log->failed()) SEREUS_TRY(shared_->log->rewind_to_durable());
  if (!index_behind_) return {};
  SEREUS_TRY(note_damage(load_state()));
  uint64_t entries = 0;
  replayed_ = true;
  SEREUS_TRY(note_damage(replay(&entries)));
  index_behind_ = false;
  return {};
}

Status StoreImpl::finish_batch() {
  storage::AppendLog& log = *shared_->log;
  Status status = note_damage(batch_->write(log.end()));
  if (status.ok()) status = log.sync();
  if (!status.ok()) {
    abandon_batch();
    return status;
  }
  status = note_damage(batch_->commit(&meta_, &clock_));
  if (status.ok()) return {};
  index_behind_ = true;
  return fail(status.code(), "kept in the log, but the index could not be written yet: " + status.error().detail);
}

void StoreImpl::abandon_batch() {
  batch_->abort();
  // When this fails as well, the log says so and ready() tries again.
  if (shared_->log->end() != shared_->log->durable_end() || shared_->log->failed()) {
    (void)shared_->log->rewind_to_durable();
  }
}

// Remembers that SQLite found damage, so that the next open makes the index anew.
Status StoreImpl::note_damage(Status status) {
  if (status.code() == Code::corrupt) (void)files_.open(config_.folder + kDamagedName, OpenMode::read_write_create);
  return status;
}

void StoreImpl::fill_report(CommitReport& report, std::vector<AuthorTip> tips) {
  if (std::exchange(replayed_, false)) tips = this->tips();
  report.tips.insert(report.tips.end(), tips.begin(), tips.end());
  report.digest = meta_.digest;
  report.sequence = sequence_at(meta_.log_end);
}

CommitReport StoreImpl::report() const {
  CommitReport report;
  report.tips = tips();
  report.digest = meta_.digest;
  report.sequence = sequence_at(meta_.log_end);
  return report;
}

Result<CommitReport> StoreImpl::release_held(const Times& now, int64_t* next_wall_us) {
  SEREUS_TRY(ready());
  CommitReport report;
  const Hlc due = last_acceptable(now);
  while (meta_.counters.held > 0) {
    std::vector<HeldRow> rows;
    SEREUS_TRY(note_damage(index_->read_held(due, kReleaseGroup, rows)));
    if (rows.empty()) break;
    SEREUS_TRY(batch_->begin(meta_, clock_));
    Replay replay(*batch_, *index_, authors_, *shared_->log, config_.id);
    Status status;
    for (const HeldRow& row : rows) {
      uint8_t payload[sizeof(uint64_t)];
      store_le(payload, row.position);
      const auto position = shared_->log->append(kRecordRelease, ByteView(payload));
      status =
          position.ok() ? replay.release(row.position, *position - storage::kLogRecordHeaderSize) : position.error();
      if (!status.ok()) break;
      batch_->note_record(*position, ByteView(payload));
    }
    if (!status.ok()) {
      abandon_batch();
      return status.error();
    }
    SEREUS_TRY(finish_batch());
    report.entries_applied += rows.size();
  }
  if (next_wall_us != nullptr) {
    SEREUS_ASSIGN(const auto next, index_->first_held());
    *next_wall_us =
        next ? static_cast<int64_t>((next->wall_ms - std::min(next->wall_ms, kHlcAheadMsMax)) * kMicrosPerMilli) : 0;
  }
  fill_report(report, {});
  return report;
}

std::vector<AuthorTip> StoreImpl::tips() const {
  std::vector<AuthorTip> tips;
  tips.reserve(authors_.size());
  for (const auto& [key, number] : authors_.in_order())
    tips.push_back({key, authors_.at(number).seq, authors_.at(number).hash});
  return tips;
}

std::optional<AuthorTip> StoreImpl::tip(const AuthorKey& author) const {
  const uint32_t number = authors_.find(author);
  if (number == Authors::kNone) return std::nullopt;
  return AuthorTip{author, authors_.at(number).seq, authors_.at(number).hash};
}

std::optional<AuthorBinding> StoreImpl::binding(const AuthorKey& author) const {
  const uint32_t number = authors_.find(author);
  if (number == Authors::kNone) return std::nullopt;
  return authors_.at(number).binding;
}

std::vector<Hash> StoreImpl::authority_heads() const {
  // Of an author whose last entries are held, the last one that is applied: what is held is not known of yet, and an entry that
  // cites nothing is taken nowhere.
  std::vector<uint32_t> newest;
  for (const auto& [key, number] : authors_.in_order()) {
    if (authors_.at(number).seq > authors_.at(number).held) newest.push_back(number);
  }
  const size_t kept = std::min(newest.size(), kAuthorityHeadsMax);
  std::partial_sort(newest.begin(), newest.begin() + static_cast<std::ptrdiff_t>(kept), newest.end(),
                    [this](uint32_t left, uint32_t right) {
                      const AuthorState& a = authors_.at(left);
                      const AuthorState& b = authors_.at(right);
                      return a.hlc != b.hlc ? a.hlc > b.hlc : a.key > b.key;
                    });
  std::vector<Hash> heads;
  heads.reserve(kept);
  for (size_t i = 0; i < kept; ++i) {
    const AuthorState& author = authors_.at(newest[i]);
    if (author.held == 0) {
      heads.push_back(author.hash);
    } else if (const auto applied = hash_of(newest[i], author.seq - author.held); applied.ok()) {
      heads.push_back(*applied);
    }
  }
  std::sort(heads.begin(), heads.end());
  return heads;
}

bool StoreImpl::contains(const Hash& entry) const {
  if (meta_.counters.root) {
    const auto found = index_->has_entry(entry);
    return found.ok() && *found;
  }
  // Not a root store: nothing asks this often enough to keep an index of hashes.
  storage::LogScanner scanner = shared_->log->scan(storage::kLogHeaderSize);
  storage::LogRecord record;
  while (scanner.boundary() < meta_.log_end) {
    const auto more = scanner.next(&record);
    if (!more.ok() || !*more) return false;
    if (!is_entry(record.kind)) continue;
    const auto stored = split_entry(record.payload);
    if (stored.ok() && entry_hash(stored->body) == entry) return true;
  }
  return false;
}

Result<std::unique_ptr<StoreReader>> StoreImpl::make_reader() {
  if (closed_) return fail(Code::closed, "the store is closed");
  return open_store_reader(shared_);
}

Result<std::unique_ptr<RangeReader>> StoreImpl::make_range_reader() {
  if (closed_) return fail(Code::closed, "the store is closed");
  return open_range_reader(shared_);
}

Result<std::vector<ForkProof>> StoreImpl::fork_proofs() {
  SEREUS_TRY(ready());
  std::vector<Index::ForkRow> rows;
  SEREUS_TRY(index_->read_forks(rows));
  std::vector<ForkProof> proofs;
  for (const Index::ForkRow& row : rows) {
    if (row.author >= authors_.size()) return fail(Code::corrupt, "the store's index names an author it does not have");
    Bytes ours;
    Bytes theirs;
    SEREUS_ASSIGN(const storage::LogRecord mine, record_of(row.author, row.seq, &ours));
    SEREUS_ASSIGN(const storage::LogRecord other, shared_->log->read_record(row.position, &theirs));
    proofs.push_back({authors_.at(row.author).key, to_bytes(mine.payload), to_bytes(other.payload)});
  }
  return proofs;
}

Status StoreImpl::maintain() {
  SEREUS_TRY(ready());
  if (!maintenance_due()) return {};
  const uint32_t written = index_->database().pages_written();
  const auto done = index_->database().checkpoint(storage::CheckpointMode::passive);
  if (!done.ok()) return note_damage(done.error());
  maintained_pages_ = written;
  return {};
}

bool StoreImpl::maintenance_due() const {
  return index_ != nullptr && index_->database().pages_written() - maintained_pages_ >= kCheckpointPages;
}

Status StoreImpl::close() {
  if (closed_) return {};
  closed_ = true;
  Status status;
  if (batch_ != nullptr && batch_->active()) batch_->abort();
  batch_.reset();
  if (index_ != nullptr) {
    const auto moved = index_->database().checkpoint(storage::CheckpointMode::truncate);
    if (!moved.ok() && moved.code() != Code::busy) status = moved.error();
    index_.reset();
  }
  const std::unique_lock<std::shared_mutex> alone(shared_->gate);
  shared_->closed = true;
  if (shared_->log != nullptr) {
    const Status log_closed = shared_->log->close();
    if (status.ok()) status = log_closed;
  }
  return status;
}

}  // namespace sereus::store
