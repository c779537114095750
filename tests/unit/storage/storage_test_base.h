// A disk that loses power, a VFS on it, and the small database that the storage tests use.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "core/storage/database.h"
#include "core/storage/vfs.h"
#include "sim/sim_disk.h"
#include "tests/support/test_random.h"

namespace sereus::storage {

inline constexpr const char* kMigrations[] = {
    "CREATE TABLE item(id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE TABLE note(name TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID; INSERT INTO note VALUES('made by', x'0102')",
};
inline constexpr uint32_t kApplication = 0x53524553;

inline DatabaseOptions test_options() {
  DatabaseOptions options;
  options.create = true;
  options.application_id = kApplication;
  options.migrations = kMigrations;
  return options;
}

template <typename T>
T must(Result<T> result) {
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().detail);
  return std::move(result).value();
}
#define MUST_OK(expr)                                      \
  do {                                                     \
    const auto must_ok_ = (expr);                          \
    ASSERT_TRUE(must_ok_.ok()) << must_ok_.error().detail; \
  } while (false)

class StorageTest : public ::testing::Test {
 protected:
  std::unique_ptr<Database> open_database(const DatabaseOptions& options = test_options()) {
    return must(Database::open(vfs_, "test.db", options));
  }
  // Inserts rows first..last in one transaction, each with `size` bytes made of its number.
  static Status insert(Database& database, int64_t first, int64_t last, size_t size = 100) {
    SEREUS_ASSIGN(Transaction transaction, Transaction::begin(database, Transaction::Kind::write));
    for (int64_t id = first; id <= last; ++id) {
      SEREUS_ASSIGN(CachedStatement statement, database.cached("INSERT INTO item VALUES(?1, ?2)"));
      const Bytes body(size, static_cast<uint8_t>(id));
      statement->bind_int(1, id);
      statement->bind_blob(2, body);
      SEREUS_TRY(statement->run());
    }
    return transaction.commit();
  }

  test::TestRandom random_{1};
  sim::SimDisk disk_{random_};
  Vfs vfs_{disk_, random_};
};

}  // namespace sereus::storage
