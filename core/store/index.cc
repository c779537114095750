#include "core/store/index.h"

#include "core/codec/varint.h"
#include "core/crypto/hash.h"
#include "core/store/limits.h"

namespace sereus::store {
namespace {

// head.heads: 64 bytes each, winner first (heads.h). run.deltas: varints. author.authority: hashes one after another.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE meta(
  id INTEGER PRIMARY KEY CHECK(id = 1), epoch INTEGER NOT NULL, log_end INTEGER NOT NULL, hlc INTEGER NOT NULL,
  entries INTEGER NOT NULL, keys INTEGER NOT NULL, conflicts INTEGER NOT NULL, held INTEGER NOT NULL,
  forks INTEGER NOT NULL, superseded INTEGER NOT NULL, losers INTEGER NOT NULL, last_boundary INTEGER NOT NULL,
  last_crc INTEGER NOT NULL, root INTEGER NOT NULL, digest BLOB NOT NULL);
CREATE TABLE author(
  no INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, seq INTEGER NOT NULL, hash BLOB NOT NULL, hlc INTEGER NOT NULL,
  position INTEGER NOT NULL, held INTEGER NOT NULL, forked INTEGER NOT NULL, device BLOB NOT NULL, party BLOB NOT NULL,
  incarnation BLOB NOT NULL, authority BLOB NOT NULL);
CREATE TABLE run(
  author INTEGER NOT NULL, first_seq INTEGER NOT NULL, count INTEGER NOT NULL, position INTEGER NOT NULL,
  deltas BLOB NOT NULL, PRIMARY KEY(author, first_seq)) WITHOUT ROWID;
CREATE TABLE head(key BLOB NOT NULL PRIMARY KEY, heads BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE superseded(key BLOB NOT NULL, hash BLOB NOT NULL, PRIMARY KEY(key, hash)) WITHOUT ROWID;
CREATE TABLE loser(sequence INTEGER PRIMARY KEY);
CREATE TABLE held(
  hlc INTEGER NOT NULL, author INTEGER NOT NULL, seq INTEGER NOT NULL, position INTEGER NOT NULL,
  PRIMARY KEY(hlc, author, seq)) WITHOUT ROWID;
CREATE TABLE fork(author INTEGER PRIMARY KEY, seq INTEGER NOT NULL, position INTEGER NOT NULL);
CREATE TABLE entry_hash(hash BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID;
)sql";

constexpr const char* kMigrations[] = {kVersion1};

int64_t as_signed(uint64_t value) { return static_cast<int64_t>(value); }
uint64_t as_unsigned(int64_t value) { return static_cast<uint64_t>(value); }

Error bad_row(const char* table) {
  return fail(Code::corrupt, std::string("the store's index is damaged (table ") + table + ")");
}

// Rows are numbered and named by what the index says is in it. One that is there already was written by an index that did not
// know of it: it lost a commit that the log has.
Status written(storage::Statement& statement) {
  Status status = statement.run();
  if (status.code() != Code::exists) return status;
  return fail(Code::corrupt, "the store's index is damaged (" + status.error().detail + ")");
}

template <typename Id>
bool take_id(ByteView blob, Id& id) {
  const auto parsed = Id::from(blob);
  if (parsed) id = *parsed;
  return parsed.has_value();
}

}  // namespace

std::span<const char* const> index_migrations() { return kMigrations; }

std::optional<uint64_t> run_position(uint64_t first_position, ByteView deltas, uint64_t index) {
  uint64_t position = first_position;
  for (uint64_t i = 0; i < index; ++i) {
    const auto delta = varint_read(deltas);
    if (!delta) return std::nullopt;
    position += *delta;
  }
  return position;
}

Status remove_index(Files& files, const std::string& path) {
  for (const char* suffix : {"-wal", "-journal", ""}) SEREUS_TRY(files.remove(path + suffix));
  return {};
}

Digest Authors::digest() const {
  Blake2b hasher = Blake2b::in_context("sereus tips 1");
  uint8_t row[32 + 8 + 32];
  for (const auto& [key, number] : numbers_) {
    const AuthorState& state = states_[number];
    std::memcpy(row, key.bytes.data(), 32);
    store_be(row + 32, state.seq);
    std::memcpy(row + 40, state.hash.bytes.data(), 32);
    hasher.update(row);
  }
  return truncate(hasher.finish());
}

Result<std::unique_ptr<Index>> Index::open(storage::Vfs& vfs, const std::string& path, bool create, bool scratch) {
  storage::DatabaseOptions options;
  options.create = create;
  options.durability = scratch ? storage::Durability::off : storage::Durability::normal;
  options.cache_kib = kIndexCacheKib;
  options.autocheckpoint_pages = kAutocheckpointPages;
  options.application_id = kIndexApplicationId;
  options.migrations = kMigrations;
  std::unique_ptr<Index> index(new Index);
  SEREUS_ASSIGN(index->database_, storage::Database::open(vfs, path, options));
  SEREUS_TRY(index->prepare());
  return index;
}

Status Index::prepare() {
  const auto make = [this](storage::Statement& statement, const char* sql) -> Status {
    SEREUS_ASSIGN(statement, database_->prepare(sql));
    return {};
  };
  SEREUS_TRY(make(read_heads_, "SELECT heads FROM head WHERE key = ?1"));
  SEREUS_TRY(make(insert_heads_, "INSERT INTO head(key, heads) VALUES(?1, ?2)"));
  SEREUS_TRY(make(update_heads_, "UPDATE head SET heads = ?2 WHERE key = ?1"));
  SEREUS_TRY(
      make(write_run_, "INSERT INTO run(author, first_seq, count, position, deltas) VALUES(?1, ?2, ?3, ?4, ?5)"));
  SEREUS_TRY(
      make(write_meta_,
           "INSERT OR REPLACE INTO meta(id, epoch, log_end, hlc, entries, keys, conflicts, held, forks, superseded,"
           " losers, last_boundary, last_crc, root, digest)"
           " VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"));
  SEREUS_TRY(
      make(insert_author_,
           "INSERT INTO author(no, seq, hash, hlc, position, held, forked, device, party, incarnation, authority,"
           " key) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"));
  SEREUS_TRY(make(update_author_,
                  "UPDATE author SET seq = ?2, hash = ?3, hlc = ?4, position = ?5, held = ?6, forked = ?7, device = ?8,"
                  " party = ?9, incarnation = ?10, authority = ?11 WHERE no = ?1"));
  SEREUS_TRY(make(add_superseded_, "INSERT OR IGNORE INTO superseded(key, hash) VALUES(?1, ?2)"));
  SEREUS_TRY(make(take_superseded_, "DELETE FROM superseded WHERE key = ?1 AND hash = ?2"));
  SEREUS_TRY(make(add_loser_, "INSERT INTO loser(sequence) VALUES(?1)"));
  SEREUS_TRY(make(position_of_,
                  "SELECT first_seq, count, position, deltas FROM run WHERE author = ?1 AND first_seq <= ?2"
                  " ORDER BY first_seq DESC LIMIT 1"));
  SEREUS_TRY(make(add_held_, "INSERT INTO held(hlc, author, seq, position) VALUES(?1, ?2, ?3, ?4)"));
  SEREUS_TRY(make(remove_held_, "DELETE FROM held WHERE hlc = ?1 AND author = ?2 AND seq = ?3"));
  SEREUS_TRY(make(read_held_,
                  "SELECT hlc, author, seq, position FROM held WHERE hlc <= ?1 ORDER BY hlc, author, seq LIMIT ?2"));
  SEREUS_TRY(make(add_entry_, "INSERT OR IGNORE INTO entry_hash(hash) VALUES(?1)"));
  SEREUS_TRY(make(has_entry_, "SELECT 1 FROM entry_hash WHERE hash = ?1"));
  return {};
}

Result<std::optional<Meta>> Index::read_meta() {
  SEREUS_ASSIGN(
      auto statement,
      database_->cached("SELECT epoch, log_end, hlc, entries, keys, conflicts, held, forks, superseded, losers,"
                        " last_boundary, last_crc, root, digest FROM meta"));
  SEREUS_ASSIGN(const bool found, statement->step());
  if (!found) return std::optional<Meta>();
  Meta meta;
  meta.epoch = as_unsigned(statement->column_int(0));
  meta.log_end = as_unsigned(statement->column_int(1));
  meta.hlc = Hlc::unpack(as_unsigned(statement->column_int(2)));
  Counters& c = meta.counters;
  uint64_t* const columns[] = {&c.entries, &c.keys,       &c.conflicts, &c.held,
                               &c.forks,   &c.superseded, &c.losers,    &c.last_boundary};
  int column = 3;
  for (uint64_t* value : columns) *value = as_unsigned(statement->column_int(column++));
  c.last_crc = static_cast<uint32_t>(statement->column_int(11));
  c.root = statement->column_int(12) != 0;
  if (!take_id(statement->column_blob(13), meta.digest)) return bad_row("meta");
  return std::optional<Meta>(meta);
}

Status Index::read_authors(Authors& authors) {
  authors.clear();
  SEREUS_ASSIGN(auto rows, database_->cached("SELECT no, key, seq, hash, hlc, position, held, forked, device, party,"
                                             " incarnation, authority FROM author ORDER BY no"));
  while (true) {
    SEREUS_ASSIGN(const bool more, rows->step());
    if (!more) return {};
    AuthorState state;
    state.seq = as_unsigned(rows->column_int(2));
    state.hlc = Hlc::unpack(as_unsigned(rows->column_int(4)));
    state.tip_position = as_unsigned(rows->column_int(5));
    state.held = as_unsigned(rows->column_int(6));
    state.forked = rows->column_int(7) != 0;
    const ByteView authority = rows->column_blob(11);
    if (as_unsigned(rows->column_int(0)) != authors.size() || !take_id(rows->column_blob(1), state.key) ||
        !take_id(rows->column_blob(3), state.hash) || !take_id(rows->column_blob(8), state.binding.device) ||
        !take_id(rows->column_blob(9), state.binding.party) ||
        !take_id(rows->column_blob(10), state.binding.incarnation) || authority.size() % Hash::kSize != 0) {
      return bad_row("author");
    }
    state.binding.author = state.key;
    for (size_t at = 0; at < authority.size(); at += Hash::kSize) {
      state.authority.push_back(*Hash::from(authority.subspan(at, Hash::kSize)));
    }
    authors.add(std::move(state));
  }
}

Status Index::read_heads(ByteView key, std::vector<HeadRef>& heads) {
  read_heads_.bind_blob(1, key);
  SEREUS_ASSIGN(const bool found, read_heads_.step());
  if (!found) return {};
  const bool whole = decode_heads(read_heads_.column_blob(0), heads);
  read_heads_.reset();
  return whole ? Status() : Status(bad_row("head"));
}

Result<uint64_t> Index::position_of(uint32_t author, uint64_t seq) {
  position_of_.bind_int(1, author);
  position_of_.bind_int(2, as_signed(seq));
  SEREUS_ASSIGN(const bool found, position_of_.step());
  if (!found) return fail(Code::not_found, "no such entry");
  const uint64_t first = as_unsigned(position_of_.column_int(0));
  const bool inside = seq - first < as_unsigned(position_of_.column_int(1));
  const auto position =
      inside ? run_position(as_unsigned(position_of_.column_int(2)), position_of_.column_blob(3), seq - first)
             : std::nullopt;
  position_of_.reset();
  if (!inside) return fail(Code::not_found, "no such entry");
  if (!position) return bad_row("run");
  return *position;
}

Status Index::read_held(Hlc due, size_t limit, std::vector<HeldRow>& rows) {
  read_held_.bind_int(1, as_signed(due.packed()));
  read_held_.bind_int(2, static_cast<int64_t>(limit));
  while (true) {
    SEREUS_ASSIGN(const bool more, read_held_.step());
    if (!more) return {};
    rows.push_back({Hlc::unpack(as_unsigned(read_held_.column_int(0))), static_cast<uint32_t>(read_held_.column_int(1)),
                    as_unsigned(read_held_.column_int(2)), as_unsigned(read_held_.column_int(3))});
  }
}

Result<std::optional<Hlc>> Index::first_held() {
  std::vector<HeldRow> rows;
  SEREUS_TRY(read_held(Hlc{kHlcWallMsMax, UINT16_MAX}, 1, rows));
  if (rows.empty()) return std::optional<Hlc>();
  return std::optional<Hlc>(rows.front().hlc);
}

Status Index::read_forks(std::vector<ForkRow>& rows) {
  SEREUS_ASSIGN(auto statement, database_->cached("SELECT author, seq, position FROM fork ORDER BY author"));
  while (true) {
    SEREUS_ASSIGN(const bool more, statement->step());
    if (!more) return {};
    rows.push_back({static_cast<uint32_t>(statement->column_int(0)), as_unsigned(statement->column_int(1)),
                    as_unsigned(statement->column_int(2))});
  }
}

Result<bool> Index::has_entry(const Hash& hash) {
  has_entry_.bind_blob(1, hash.view());
  SEREUS_ASSIGN(const bool found, has_entry_.step());
  has_entry_.reset();
  return found;
}

Status Index::write_meta(const Meta& meta) {
  const Counters& c = meta.counters;
  const uint64_t values[] = {meta.epoch,      meta.log_end, meta.hlc.packed(), c.entries,    c.keys,
                             c.conflicts,     c.held,       c.forks,           c.superseded, c.losers,
                             c.last_boundary, c.last_crc,   c.root ? 1u : 0u};
  int parameter = 1;
  for (const uint64_t value : values) write_meta_.bind_int(parameter++, as_signed(value));
  write_meta_.bind_blob(14, meta.digest.view());
  return written(write_meta_);
}

Status Index::write_author(uint32_t number, const AuthorState& state, bool is_new) {
  Bytes authority;
  for (const Hash& hash : state.authority) append(authority, hash.view());
  storage::Statement& statement = is_new ? insert_author_ : update_author_;
  statement.bind_int(1, number);
  statement.bind_int(2, as_signed(state.seq));
  statement.bind_blob(3, state.hash.view());
  statement.bind_int(4, as_signed(state.hlc.packed()));
  statement.bind_int(5, as_signed(state.tip_position));
  statement.bind_int(6, as_signed(state.held));
  statement.bind_int(7, state.forked ? 1 : 0);
  statement.bind_blob(8, state.binding.device.view());
  statement.bind_blob(9, state.binding.party.view());
  statement.bind_blob(10, state.binding.incarnation.view());
  statement.bind_blob(11, authority);
  if (is_new) statement.bind_blob(12, state.key.view());
  return written(statement);
}

Status Index::write_run(const RunRow& run) {
  write_run_.bind_int(1, run.author);
  write_run_.bind_int(2, as_signed(run.first_seq));
  write_run_.bind_int(3, as_signed(run.count));
  write_run_.bind_int(4, as_signed(run.first_position));
  write_run_.bind_blob(5, run.deltas);
  return written(write_run_);
}

Status Index::write_heads(ByteView key, ByteView blob, bool in_index) {
  storage::Statement& statement = in_index ? update_heads_ : insert_heads_;
  statement.bind_blob(1, key);
  statement.bind_blob(2, blob);
  return written(statement);
}

Status Index::add_superseded(ByteView key, const Hash& hash, bool* is_new) {
  add_superseded_.bind_blob(1, key);
  add_superseded_.bind_blob(2, hash.view());
  SEREUS_TRY(written(add_superseded_));
  *is_new = database_->rows_changed() > 0;
  return {};
}

Status Index::take_superseded(ByteView key, const Hash& hash, bool* was_there) {
  take_superseded_.bind_blob(1, key);
  take_superseded_.bind_blob(2, hash.view());
  SEREUS_TRY(written(take_superseded_));
  *was_there = database_->rows_changed() > 0;
  return {};
}

Status Index::add_loser(uint64_t sequence) {
  add_loser_.bind_int(1, as_signed(sequence));
  return written(add_loser_);
}

Status Index::add_held(const HeldRow& row) {
  add_held_.bind_int(1, as_signed(row.hlc.packed()));
  add_held_.bind_int(2, row.author);
  add_held_.bind_int(3, as_signed(row.seq));
  add_held_.bind_int(4, as_signed(row.position));
  return written(add_held_);
}

Status Index::remove_held(const HeldRow& row) {
  remove_held_.bind_int(1, as_signed(row.hlc.packed()));
  remove_held_.bind_int(2, row.author);
  remove_held_.bind_int(3, as_signed(row.seq));
  return written(remove_held_);
}

Status Index::add_fork(const ForkRow& row) {
  SEREUS_ASSIGN(auto statement,
                database_->cached("INSERT OR REPLACE INTO fork(author, seq, position) VALUES(?1, ?2, ?3)"));
  statement->bind_int(1, row.author);
  statement->bind_int(2, as_signed(row.seq));
  statement->bind_int(3, as_signed(row.position));
  return statement->run();
}

Status Index::add_entry(const Hash& hash) {
  add_entry_.bind_blob(1, hash.view());
  return written(add_entry_);
}

}  // namespace sereus::store
