#include "core/storage/database.h"

#include <sqlite3.h>

#include <array>
#include <utility>

#include "core/base/assert.h"
#include "core/storage/vfs.h"

namespace sereus::storage {
namespace {

Code code_of(int result) {
  switch (result) {
    case SQLITE_IOERR_NOMEM:
      return Code::no_memory;
    case SQLITE_IOERR_CORRUPTFS:
      return Code::corrupt;
    default:
      break;
  }
  switch (result & 0xff) {
    case SQLITE_OK:
      return Code::ok;
    case SQLITE_FULL:
      return Code::no_space;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return Code::corrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return Code::busy;
    case SQLITE_NOMEM:
      return Code::no_memory;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return Code::io;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      return Code::denied;
    case SQLITE_INTERRUPT:
      return Code::cancelled;
    case SQLITE_TOOBIG:
      return Code::too_large;
    case SQLITE_CONSTRAINT:
      return Code::exists;
    default:
      return Code::internal;
  }
}

Error database_error(sqlite3* connection, int result) {
  std::string detail = "database: ";
  detail += connection != nullptr ? sqlite3_errmsg(connection) : sqlite3_errstr(result);
  // A header whose format number has a turned bit is a plain SQLITE_ERROR; nothing else has this text.
  const bool other_format = result == SQLITE_ERROR && detail.ends_with("unsupported file format");
  return fail(other_format ? Code::corrupt : code_of(result), std::move(detail));
}

Error newer(std::string_view path, int64_t found, size_t known) {
  return fail(Code::too_new, std::string(path) + " has version " + std::to_string(found) +
                                 ", made by a newer Sereus; this one knows versions up to " + std::to_string(known));
}

const char* synchronous_of(Durability durability) {
  switch (durability) {
    case Durability::full:
      return "PRAGMA synchronous=FULL";
    case Durability::normal:
      return "PRAGMA synchronous=NORMAL";
    case Durability::off:
      return "PRAGMA synchronous=OFF";
  }
  return "PRAGMA synchronous=FULL";
}

int mode_of(CheckpointMode mode) {
  switch (mode) {
    case CheckpointMode::passive:
      return SQLITE_CHECKPOINT_PASSIVE;
    case CheckpointMode::full:
      return SQLITE_CHECKPOINT_FULL;
    case CheckpointMode::restart:
      return SQLITE_CHECKPOINT_RESTART;
    case CheckpointMode::truncate:
      return SQLITE_CHECKPOINT_TRUNCATE;
  }
  return SQLITE_CHECKPOINT_PASSIVE;
}

}  // namespace

// ---- Statement ----------------------------------------------------------------------------------------------------

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_),
      statement_(std::exchange(other.statement_, nullptr)),
      bind_error_(std::exchange(other.bind_error_, 0)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this == &other) return *this;
  sqlite3_finalize(statement_);
  connection_ = other.connection_;
  statement_ = std::exchange(other.statement_, nullptr);
  bind_error_ = std::exchange(other.bind_error_, 0);
  return *this;
}

void Statement::bind_int(int parameter, int64_t value) {
  const int result = sqlite3_bind_int64(statement_, parameter, value);
  if (result != SQLITE_OK) bind_error_ = result;
}

void Statement::bind_blob(int parameter, ByteView value) {
  const int result = value.empty()
                         ? sqlite3_bind_zeroblob(statement_, parameter, 0)
                         : sqlite3_bind_blob64(statement_, parameter, value.data(), value.size(), SQLITE_STATIC);
  if (result != SQLITE_OK) bind_error_ = result;
}

void Statement::bind_text(int parameter, std::string_view value) {
  const char* text = value.empty() ? "" : value.data();
  const int result = sqlite3_bind_text64(statement_, parameter, text, value.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (result != SQLITE_OK) bind_error_ = result;
}

void Statement::bind_null(int parameter) {
  const int result = sqlite3_bind_null(statement_, parameter);
  if (result != SQLITE_OK) bind_error_ = result;
}

Result<bool> Statement::step() {
  if (bind_error_ != 0) {
    const int error = std::exchange(bind_error_, 0);
    sqlite3_reset(statement_);
    return fail(code_of(error), std::string("database: bind: ") + sqlite3_errstr(error));
  }
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    sqlite3_reset(statement_);
    return false;
  }
  Error error = database_error(connection_, result);
  sqlite3_reset(statement_);
  return error;
}

Status Statement::run() {
  for (;;) {
    SEREUS_ASSIGN(const bool row, step());
    if (!row) return {};
  }
}

void Statement::reset() {
  bind_error_ = 0;
  sqlite3_reset(statement_);
}

void Statement::clear_bindings() { sqlite3_clear_bindings(statement_); }

int64_t Statement::column_int(int column) const { return sqlite3_column_int64(statement_, column); }

ByteView Statement::column_blob(int column) const {
  const auto* data = static_cast<const uint8_t*>(sqlite3_column_blob(statement_, column));
  return {data, data == nullptr ? 0 : static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string_view Statement::column_text(int column) const {
  // Not sqlite3_column_text(): it wants to put a zero behind the text, and says nothing when there is no memory for that.
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return {data, data == nullptr ? 0 : static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Statement::column_is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

// ---- The cache ----------------------------------------------------------------------------------------------------

CachedStatement::CachedStatement(CachedStatement&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)), sql_(other.sql_), statement_(std::move(other.statement_)) {}

CachedStatement::~CachedStatement() {
  if (database_ != nullptr && !sql_.empty()) database_->give_back(sql_, std::move(statement_));
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(connection_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result == SQLITE_ERROR && version_ > 0) {
    // The statements are ours and fit the schema of this version, so what SQLite read as the schema is not it.
    Error damaged = failure(result);
    damaged.code = Code::corrupt;
    return damaged;
  }
  if (result != SQLITE_OK) return failure(result);
  if (statement == nullptr) return fail(Code::invalid, "database: no statement");
  return Statement(connection_, statement);
}

Result<CachedStatement> Database::cached(std::string_view sql) {
  auto it = cache_.find(sql);
  if (it != cache_.end() && it->second) return CachedStatement(this, it->first, std::move(it->second));
  SEREUS_ASSIGN(Statement statement, prepare(sql));
  // Lent out already (a query inside itself), or the cache is full: for one use.
  if (it != cache_.end() || cache_.size() >= kStatementCacheMax) return CachedStatement(this, {}, std::move(statement));
  it = cache_.emplace(std::string(sql), Statement()).first;
  return CachedStatement(this, it->first, std::move(statement));
}

void Database::give_back(std::string_view sql, Statement statement) {
  statement.reset();
  statement.clear_bindings();
  const auto it = cache_.find(sql);
  if (it != cache_.end()) it->second = std::move(statement);
}

// ---- Opening ------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Database>> Database::open(Vfs& vfs, std::string_view path, const DatabaseOptions& options) {
  const std::string name(path);
  if (!options.create && !vfs.files().exists(name)) return fail(Code::not_found, "no database " + name);
  SEREUS_ASSIGN(const std::shared_ptr<void> settled, vfs.settle(name));
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (options.create && !options.read_only) flags |= SQLITE_OPEN_CREATE;
  std::unique_ptr<Database> database(new Database(vfs, name));
  const int result = sqlite3_open_v2(name.c_str(), &database->connection_, flags, vfs.name());
  if (result != SQLITE_OK) return database->failure(result);
  SEREUS_TRY(database->check_kind(options));
  SEREUS_TRY(database->configure(options));
  if (!options.read_only) SEREUS_TRY(database->migrate(options));
  // What fails for want of memory has to be rolled back without any. Prepared last: pragmas and changes of the schema would make
  // SQLite prepare it again.
  SEREUS_ASSIGN(database->rollback_, database->prepare("ROLLBACK"));
  return database;
}

Database::~Database() {
  cache_.clear();
  rollback_ = Statement();
  const int result = sqlite3_close(connection_);
  SEREUS_ASSERT(result == SQLITE_OK);  // BUSY: a Statement outlived its Database
}

Error Database::failure(int result) const {
  Error error = database_error(connection_, result);
  error.detail = path_ + ": " + error.detail;
  const int kind = result & 0xff;
  if (kind != SQLITE_IOERR && kind != SQLITE_CANTOPEN && kind != SQLITE_FULL) return error;
  const std::string cause = vfs_->last_error();
  if (!cause.empty()) error.detail += " (" + cause + ")";
  return error;
}

// Before anything is written: is it a database, ours, and of a version we know? Sets what does not touch the file.
Status Database::check_kind(const DatabaseOptions& options) {
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_ENABLE_FKEY, 1, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  SEREUS_TRY(
      exec("PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA secure_delete=FAST"));
  SEREUS_TRY(exec(("PRAGMA cache_size=-" + std::to_string(options.cache_kib)).c_str()));
  SEREUS_ASSIGN(const int64_t objects, query_int("SELECT count(*) FROM sqlite_schema"));
  SEREUS_ASSIGN(version_, query_int("PRAGMA user_version"));
  SEREUS_ASSIGN(const int64_t application, query_int("PRAGMA application_id"));
  is_new_ = objects == 0 && version_ == 0 && application == 0;
  if (is_new_ && !options.create) {
    return fail(Code::corrupt, path_ + ": database: empty, its creation was not completed");
  }
  if (is_new_) return {};
  if (static_cast<uint32_t>(application) != options.application_id) {
    return fail(Code::corrupt, path_ + ": database: of another kind (application id " + std::to_string(application) +
                                   ", not " + std::to_string(options.application_id) + ")");
  }
  if (!options.read_only && sqlite3_db_readonly(connection_, "main") != 0) {
    return fail(Code::corrupt, path_ + ": database: its header forbids writing (damaged, or of a newer SQLite)");
  }
  const size_t known = options.migrations.size();
  if (version_ < 0 || static_cast<uint64_t>(version_) > known) return newer(path_, version_, known);
  if (options.read_only && static_cast<uint64_t>(version_) < known) {
    return fail(Code::unsupported, path_ + ": database: of an older version, and opened for reading only");
  }
  return {};
}

Status Database::configure(const DatabaseOptions& options) {
  SEREUS_TRY(exec(synchronous_of(options.durability)));
  sqlite3_wal_autocheckpoint(connection_, static_cast<int>(options.autocheckpoint_pages));
  if (options.read_only) return {};
  // The mode is in force once the statement was stepped to its end: its answer comes before it commits.
  SEREUS_ASSIGN(Statement change, prepare("PRAGMA journal_mode=WAL"));
  SEREUS_TRY(change.run());
  SEREUS_ASSIGN(Statement mode, prepare("PRAGMA journal_mode"));
  SEREUS_ASSIGN(const bool row, mode.step());
  if (!row || mode.column_text(0) != "wal") return fail(Code::io, path_ + ": database: no write-ahead log");
  return {};
}

Status Database::migrate(const DatabaseOptions& options) {
  const auto known = static_cast<int64_t>(options.migrations.size());
  if (!is_new_ && version_ == known) return {};
  SEREUS_ASSIGN(Transaction transaction, Transaction::begin(*this, Transaction::Kind::write));
  SEREUS_ASSIGN(version_, query_int("PRAGMA user_version"));  // another connection may have been faster
  if (version_ > known) return newer(path_, version_, options.migrations.size());
  for (int64_t next = version_; next < known; ++next) {
    const Status done = exec(options.migrations[static_cast<size_t>(next)]);
    if (done.ok()) continue;
    return fail(done.code(), done.error().detail + " (migration to version " + std::to_string(next + 1) + ")");
  }
  SEREUS_TRY(exec(("PRAGMA user_version=" + std::to_string(known)).c_str()));
  SEREUS_TRY(exec(("PRAGMA application_id=" + std::to_string(options.application_id)).c_str()));
  SEREUS_TRY(transaction.commit());
  version_ = known;
  is_new_ = false;
  return {};
}

// ---- Running ------------------------------------------------------------------------------------------------------

Status Database::exec(const char* sql) {
  const int result = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return failure(result);
  return {};
}

Result<int64_t> Database::query_int(std::string_view sql) {
  SEREUS_ASSIGN(Statement statement, prepare(sql));
  SEREUS_ASSIGN(const bool row, statement.step());
  if (!row) return fail(Code::not_found, "database: no row");
  return statement.column_int(0);
}

Result<CheckpointResult> Database::checkpoint(CheckpointMode mode) {
  int frames = 0;
  int copied = 0;
  const int result = sqlite3_wal_checkpoint_v2(connection_, nullptr, mode_of(mode), &frames, &copied);
  if (result != SQLITE_OK) return failure(result);
  CheckpointResult report;
  if (frames > 0) report.wal_frames = static_cast<uint32_t>(frames);
  if (copied > 0) report.frames_copied = static_cast<uint32_t>(copied);
  return report;
}

uint32_t Database::pages_written() const {
  int pages = 0;
  int unused = 0;
  sqlite3_db_status(connection_, SQLITE_DBSTATUS_CACHE_WRITE, &pages, &unused, 0);
  return static_cast<uint32_t>(pages);
}

Status Database::quick_check() {
  SEREUS_ASSIGN(Statement statement, prepare("PRAGMA quick_check(1)"));
  SEREUS_ASSIGN(const bool row, statement.step());
  if (row && statement.column_text(0) == "ok") return {};
  return fail(Code::corrupt, path_ + ": database: " + std::string(row ? statement.column_text(0) : "no answer"));
}

Status Database::roll_back() {
  if (!in_transaction()) return {};
  // Only while it is being opened there is none yet.
  const Status done = rollback_ ? rollback_.run() : exec("ROLLBACK");
  rollback_failed_ = in_transaction();
  return rollback_failed_ ? done : Status();
}

int64_t Database::last_insert_rowid() const { return sqlite3_last_insert_rowid(connection_); }
int64_t Database::rows_changed() const { return sqlite3_changes64(connection_); }
bool Database::in_transaction() const { return sqlite3_get_autocommit(connection_) == 0; }
void Database::interrupt() { sqlite3_interrupt(connection_); }

// ---- Transaction --------------------------------------------------------------------------------------------------

Result<Transaction> Transaction::begin(Database& database, Kind kind) {
  if (database.rollback_failed_) SEREUS_TRY(database.roll_back());
  SEREUS_ASSERT(!database.in_transaction());
  SEREUS_ASSIGN(CachedStatement statement, database.cached(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN"));
  SEREUS_TRY(statement->run());
  Transaction transaction(database);
  if (kind == Kind::read) {
    // A deferred transaction has its snapshot from its first read on.
    SEREUS_ASSIGN(CachedStatement pin, database.cached("SELECT 1 FROM sqlite_schema LIMIT 1"));
    SEREUS_TRY(pin->run());
  }
  return transaction;
}

Transaction::Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() { rollback(); }

Status Transaction::commit() {
  SEREUS_ASSERT(database_ != nullptr);
  auto statement = database_->cached("COMMIT");
  Status done = statement.ok() ? (*statement)->run() : Status(statement.error());
  if (done.ok()) {
    database_ = nullptr;
  } else {
    rollback();
  }
  return done;
}

void Transaction::rollback() {
  Database* database = std::exchange(database_, nullptr);
  // After some errors SQLite has rolled back by itself.
  if (database == nullptr || !database->in_transaction()) return;
  static_cast<void>(database->roll_back().ok());
}

}  // namespace sereus::storage
