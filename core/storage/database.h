// One SQLite connection: opened with the settings that every Sereus database has (docs/formats/database.md), migrated,
// and spoken to through prepared statements whose hot path does not allocate.
//
// Thread rule: a Database, its Statements and Transactions are used by one thread at a time (the caller locks or owns);
// different Databases on one path may be used by different threads at once: many readers beside one writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/bytes.h"
#include "core/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sereus::storage {

class Vfs;
class Database;

// What survives loss of power after commit() returned: full: everything; normal: all up to the last checkpoint, and the
// database is whole; off: as normal if the system keeps running, else nothing is promised (scratch data only).
enum class Durability : uint8_t { full, normal, off };

struct DatabaseOptions {
  bool create = false;     // make it when missing; otherwise Code::not_found
  bool read_only = false;  // no migration: an older version is Code::unsupported
  Durability durability = Durability::full;
  uint32_t cache_kib = 2048;          // page cache of this connection
  uint32_t autocheckpoint_pages = 0;  // 0: never by itself; whoever writes calls checkpoint()
  uint32_t application_id = 0;        // stored in a new database and compared afterwards; differs: Code::corrupt
  // migrations[i] is SQL that takes version i (PRAGMA user_version) to i + 1. All missing ones run in one transaction.
  std::span<const char* const> migrations;
};

// A prepared statement. Rows are read between step() and the next step() or reset(); views die there.
// A failed bind_ is remembered and returned by the next step(), so calls can follow one another unchecked.
class Statement {
 public:
  Statement() = default;
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  explicit operator bool() const { return statement_ != nullptr; }

  // Parameters count from 1. Blobs and text are not copied: they must live until reset(). An empty blob is a blob of
  // no bytes, never NULL.
  void bind_int(int parameter, int64_t value);
  void bind_blob(int parameter, ByteView value);
  void bind_text(int parameter, std::string_view value);
  void bind_null(int parameter);

  // True: a row is there. False: done (and the statement is reset, its bindings kept).
  Result<bool> step();
  // Steps to the end, ignoring rows, and resets: INSERT, UPDATE, DELETE.
  Status run();
  // Ends the current execution; bindings stay until they are bound anew.
  void reset();
  // Sets all parameters to NULL, so that no pointer to the caller's memory remains.
  void clear_bindings();

  // Columns count from 0. A blob or text view is empty for NULL.
  int64_t column_int(int column) const;
  ByteView column_blob(int column) const;
  std::string_view column_text(int column) const;
  bool column_is_null(int column) const;

 private:
  friend class Database;
  Statement(sqlite3* connection, sqlite3_stmt* statement) : connection_(connection), statement_(statement) {}

  sqlite3* connection_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  int bind_error_ = 0;
};

// A statement lent from the database's cache; reset and given back when destroyed. The Database outlives it.
class CachedStatement {
 public:
  CachedStatement(CachedStatement&& other) noexcept;
  CachedStatement& operator=(CachedStatement&&) = delete;
  CachedStatement(const CachedStatement&) = delete;
  CachedStatement& operator=(const CachedStatement&) = delete;
  ~CachedStatement();

  Statement* operator->() { return &statement_; }
  Statement& operator*() { return statement_; }

 private:
  friend class Database;
  CachedStatement(Database* database, std::string_view sql, Statement statement)
      : database_(database), sql_(sql), statement_(std::move(statement)) {}

  Database* database_;
  std::string_view sql_;  // the cache's key; lives as long as the Database
  Statement statement_;
};

enum class CheckpointMode : uint8_t {
  passive,   // copies what no reader still needs; never waits
  full,      // Code::busy when a reader or writer is in the way
  restart,   // full, and the next writer starts the WAL from its beginning
  truncate,  // restart, and the WAL file becomes empty
};

struct CheckpointResult {
  uint32_t wal_frames = 0;     // pages in the WAL (0 after truncate)
  uint32_t frames_copied = 0;  // of them, in the database now
};

class Database {
 public:
  // `path` is relative to the data folder of vfs.files(); its folder exists. What it finds there is durable when it
  // returns. Errors: not_found; too_new (user_version beyond the migrations, detail names both); corrupt (not a
  // database, damaged header, another application_id); no_space; io; busy (another connection is migrating).
  static Result<std::unique_ptr<Database>> open(Vfs& vfs, std::string_view path, const DatabaseOptions& options);
  // Closes. Precondition: Statements made by prepare() are gone.
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // For statements kept by the caller. `sql` is one statement.
  Result<Statement> prepare(std::string_view sql);
  // From the cache (at most kStatementCacheMax), prepared on first use.
  Result<CachedStatement> cached(std::string_view sql);
  // Runs one or more statements without parameters, ignoring rows.
  Status exec(const char* sql);
  // First column of the first row of a statement without parameters; not_found without a row.
  Result<int64_t> query_int(std::string_view sql);

  // Moves the WAL into the database. With readers in the way `passive` does what it can.
  Result<CheckpointResult> checkpoint(CheckpointMode mode);
  // Reads every page and checks its structure. Code::corrupt with SQLite's first finding.
  Status quick_check();

  // Pages that this connection has written to the WAL since it was opened, modulo 2^32. The file's size does not
  // tell: after a checkpoint the WAL is written anew from its beginning and stays as large as it was.
  uint32_t pages_written() const;

  int64_t last_insert_rowid() const;
  int64_t rows_changed() const;  // by the last INSERT, UPDATE or DELETE
  int64_t version() const { return version_; }
  bool in_transaction() const;
  // Makes a statement that runs on another thread return Code::cancelled. The one call allowed from any thread.
  void interrupt();

  static constexpr size_t kStatementCacheMax = 64;  // beyond it, statements are prepared for one use

 private:
  friend class CachedStatement;
  friend class Transaction;
  Database(const Vfs& vfs, std::string path) : vfs_(&vfs), path_(std::move(path)) {}
  Status check_kind(const DatabaseOptions& options);
  Status configure(const DatabaseOptions& options);
  Status migrate(const DatabaseOptions& options);
  Error failure(int result) const;
  void give_back(std::string_view sql, Statement statement);
  Status roll_back();

  const Vfs* vfs_;
  std::string path_;
  sqlite3* connection_ = nullptr;
  int64_t version_ = 0;
  bool is_new_ = false;
  Statement rollback_;            // ready, since what it ends may have failed for want of memory
  bool rollback_failed_ = false;  // a transaction is open that nobody wants; the next one ends it first
  std::map<std::string, Statement, std::less<>> cache_;  // an empty Statement is lent out
};

// Rolled back when destroyed before commit().
class Transaction {
 public:
  enum class Kind : uint8_t {
    write,  // BEGIN IMMEDIATE: the write lock is taken now; Code::busy when another connection writes
    read,   // a snapshot taken now; keep it short, it holds back checkpoints
  };
  static Result<Transaction> begin(Database& database, Kind kind);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  // On failure nothing of the transaction remains (it is rolled back, which takes no memory). With Durability::full it is on
  // stable storage when this returns ok. A failure with Code::io may leave it committed or not: reopen to know.
  Status commit();
  void rollback();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace sereus::storage
