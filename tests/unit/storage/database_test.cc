#include "core/storage/database.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/storage/storage_test_base.h"

namespace sereus::storage {
namespace {

using DatabaseTest = StorageTest;

TEST_F(DatabaseTest, MakesMigratesAndReopens) {
  {
    const auto database = open_database();
    EXPECT_EQ(database->version(), 2);
    MUST_OK(insert(*database, 1, 3));
    EXPECT_EQ(must(database->query_int("SELECT count(*) FROM item")), 3);
    EXPECT_EQ(database->last_insert_rowid(), 3);
  }
  EXPECT_EQ(vfs_.open_files(), 0u);
  EXPECT_FALSE(disk_.exists("test.db-wal"));  // the last connection took it away
  DatabaseOptions options = test_options();
  options.create = false;
  const auto database = open_database(options);
  EXPECT_EQ(must(database->query_int("SELECT count(*) FROM item")), 3);
  MUST_OK(database->quick_check());
}

TEST_F(DatabaseTest, SettingsAreAsDocumented) {
  const auto database = open_database();
  const auto setting = [&](const char* name) { return must(database->query_int(std::string("PRAGMA ") + name)); };
  EXPECT_EQ(setting("synchronous"), 2);
  EXPECT_EQ(setting("foreign_keys"), 1);
  EXPECT_EQ(setting("trusted_schema"), 0);
  EXPECT_EQ(setting("cell_size_check"), 1);
  EXPECT_EQ(setting("temp_store"), 2);
  EXPECT_EQ(setting("wal_autocheckpoint"), 0);
  EXPECT_EQ(setting("page_size"), 4096);
  EXPECT_EQ(setting("application_id"), kApplication);
  Statement mode = must(database->prepare("PRAGMA journal_mode"));
  ASSERT_TRUE(must(mode.step()));
  EXPECT_EQ(mode.column_text(0), "wal");
}

TEST_F(DatabaseTest, MissingIsNotFound) {
  DatabaseOptions options = test_options();
  options.create = false;
  EXPECT_EQ(Database::open(vfs_, "test.db", options).code(), Code::not_found);
  EXPECT_FALSE(disk_.exists("test.db"));
  options.create = true;
  EXPECT_EQ(Database::open(vfs_, "no/folder/test.db", options).code(), Code::io);
}

TEST_F(DatabaseTest, MigratesFromEachVersionInOneTransaction) {
  DatabaseOptions options = test_options();
  options.migrations = std::span(kMigrations).first(1);
  {
    const auto database = open_database(options);
    EXPECT_EQ(database->version(), 1);
    MUST_OK(insert(*database, 1, 5));
  }
  constexpr const char* kBroken[] = {kMigrations[0], "CREATE TABLE x(a); CREATE TABLE item(b)"};
  options.migrations = kBroken;
  const auto refused = Database::open(vfs_, "test.db", options);
  ASSERT_EQ(refused.code(), Code::internal);
  EXPECT_NE(refused.error().detail.find("migration to version 2"), std::string::npos) << refused.error().detail;
  const auto database = open_database();
  EXPECT_EQ(database->version(), 2);
  EXPECT_EQ(must(database->query_int("SELECT count(*) FROM item")), 5);
  EXPECT_EQ(must(database->query_int("SELECT count(*) FROM sqlite_schema WHERE name = 'x'")), 0);
}

TEST_F(DatabaseTest, NewerIsRefusedAndUnchanged) {
  open_database().reset();
  const uint64_t before = disk_.hash();
  DatabaseOptions options = test_options();
  options.migrations = std::span(kMigrations).first(1);
  const auto refused = Database::open(vfs_, "test.db", options);
  ASSERT_EQ(refused.code(), Code::too_new);
  EXPECT_EQ(refused.error().detail, "test.db has version 2, made by a newer Sereus; this one knows versions up to 1");
  options.read_only = true;
  EXPECT_EQ(Database::open(vfs_, "test.db", options).code(), Code::too_new);
  EXPECT_EQ(disk_.hash(), before);
}

TEST_F(DatabaseTest, OtherKindsAreRefused) {
  open_database().reset();
  DatabaseOptions options = test_options();
  options.application_id = 7;
  EXPECT_EQ(Database::open(vfs_, "test.db", options).code(), Code::corrupt);
  disk_.set_contents("text", as_bytes(std::string(5000, 'x')));
  EXPECT_EQ(Database::open(vfs_, "text", test_options()).code(), Code::corrupt);
  disk_.set_contents("short", as_bytes("SQLite"));
  EXPECT_EQ(Database::open(vfs_, "short", test_options()).code(), Code::corrupt);
  options = test_options();
  options.create = false;
  disk_.set_contents("empty", {});
  EXPECT_EQ(Database::open(vfs_, "empty", options).code(), Code::corrupt);
}

TEST_F(DatabaseTest, DamagedHeaderIsCorruptNeverLost) {
  open_database().reset();
  for (const uint64_t byte : {0u, 5u, 15u, 16u, 18u, 21u, 47u}) {
    disk_.flip_bit("test.db", byte, 6);
    const Bytes before = disk_.contents("test.db");
    const auto refused = Database::open(vfs_, "test.db", test_options());
    EXPECT_FALSE(refused.ok()) << byte;
    EXPECT_EQ(refused.code(), Code::corrupt) << byte;
    EXPECT_EQ(disk_.contents("test.db"), before);
    disk_.flip_bit("test.db", byte, 6);
  }
  EXPECT_EQ(must(open_database()->query_int("SELECT count(*) FROM note")), 1);
}

TEST_F(DatabaseTest, QuickCheckFindsDamage) {
  {
    const auto database = open_database();
    MUST_OK(insert(*database, 1, 500));
  }
  const uint64_t size = disk_.contents("test.db").size();
  for (uint64_t byte = 4096; byte < size; byte += 4096) disk_.flip_bit("test.db", byte, 3);
  const auto database = Database::open(vfs_, "test.db", test_options());
  if (!database.ok()) {
    EXPECT_EQ(database.code(), Code::corrupt);
    return;
  }
  EXPECT_EQ((*database)->quick_check().code(), Code::corrupt);
}

TEST_F(DatabaseTest, BindsAndReadsEveryType) {
  const auto database = open_database();
  Statement statement = must(database->prepare("SELECT ?1, ?2, ?3, ?4, ?5, typeof(?5), typeof(?6)"));
  statement.bind_int(1, INT64_MIN);
  statement.bind_blob(2, Bytes{1, 0, 2});
  const Bytes blob{1, 0, 2};
  statement.bind_blob(2, blob);
  statement.bind_text(3, "caf\xc3\xa9");
  statement.bind_null(4);
  statement.bind_blob(5, {});
  statement.bind_text(6, {});
  ASSERT_TRUE(must(statement.step()));
  EXPECT_EQ(statement.column_int(0), INT64_MIN);
  EXPECT_TRUE(equal(statement.column_blob(1), blob));
  EXPECT_EQ(statement.column_text(2), "caf\xc3\xa9");
  EXPECT_TRUE(statement.column_is_null(3));
  EXPECT_TRUE(statement.column_blob(3).empty());
  EXPECT_TRUE(statement.column_blob(4).empty());
  EXPECT_EQ(statement.column_text(5), "blob");
  EXPECT_EQ(statement.column_text(6), "text");
  EXPECT_FALSE(must(statement.step()));
  EXPECT_TRUE(must(statement.step()));  // done means reset: it runs again with what is bound
  statement.reset();
  statement.bind_int(9, 1);
  EXPECT_EQ(statement.step().code(), Code::internal);
  EXPECT_TRUE(must(statement.step()));
}

TEST_F(DatabaseTest, CachedStatementsNest) {
  const auto database = open_database();
  MUST_OK(insert(*database, 1, 4));
  constexpr std::string_view kSql = "SELECT id FROM item WHERE id > ?1 ORDER BY id";
  CachedStatement outer = must(database->cached(kSql));
  outer->bind_int(1, 0);
  int64_t pairs = 0;
  while (must(outer->step())) {
    CachedStatement inner = must(database->cached(kSql));
    inner->bind_int(1, outer->column_int(0));
    while (must(inner->step())) ++pairs;
  }
  EXPECT_EQ(pairs, 6);
  // Given back with nothing bound: NULL compares to nothing.
  { CachedStatement moved = std::move(outer); }
  EXPECT_FALSE(must(must(database->cached(kSql))->step()));
  for (int i = 0; i < 200; ++i) {
    CachedStatement one = must(database->cached("SELECT " + std::to_string(i)));
    ASSERT_TRUE(must(one->step()));
    EXPECT_EQ(one->column_int(0), i);
  }
}

TEST_F(DatabaseTest, TransactionsRollBackUnlessCommitted) {
  const auto database = open_database();
  {
    Transaction transaction = must(Transaction::begin(*database, Transaction::Kind::write));
    MUST_OK(database->exec("INSERT INTO item VALUES(1, x'00')"));
  }
  EXPECT_EQ(must(database->query_int("SELECT count(*) FROM item")), 0);
  EXPECT_FALSE(database->in_transaction());
  MUST_OK(insert(*database, 1, 1));
  EXPECT_EQ(insert(*database, 1, 1).code(), Code::exists);
  EXPECT_FALSE(database->in_transaction());
}

TEST_F(DatabaseTest, OneWriterManySnapshots) {
  const auto writer = open_database();
  const auto other = open_database();
  MUST_OK(insert(*writer, 1, 1));
  Transaction snapshot = must(Transaction::begin(*other, Transaction::Kind::read));
  {
    Transaction writing = must(Transaction::begin(*writer, Transaction::Kind::write));
    const auto third = open_database();
    EXPECT_EQ(Transaction::begin(*third, Transaction::Kind::write).code(), Code::busy);
    MUST_OK(writing.commit());
  }
  MUST_OK(insert(*writer, 2, 100));
  EXPECT_EQ(must(other->query_int("SELECT count(*) FROM item")), 1);
  EXPECT_EQ(writer->checkpoint(CheckpointMode::truncate).code(), Code::busy);
  snapshot.rollback();
  EXPECT_EQ(must(other->query_int("SELECT count(*) FROM item")), 100);
  EXPECT_GT(disk_.contents("test.db-wal").size(), 0u);
  EXPECT_EQ(must(writer->checkpoint(CheckpointMode::truncate)).wal_frames, 0u);
  EXPECT_EQ(disk_.contents("test.db-wal").size(), 0u);
}

TEST_F(DatabaseTest, ReadOnly) {
  DatabaseOptions reading = test_options();
  reading.read_only = true;
  reading.create = false;
  EXPECT_EQ(Database::open(vfs_, "test.db", reading).code(), Code::not_found);
  auto writer = open_database();
  MUST_OK(insert(*writer, 1, 7));
  {
    const auto reader = open_database(reading);
    EXPECT_EQ(must(reader->query_int("SELECT count(*) FROM item")), 7);
    EXPECT_EQ(reader->exec("DELETE FROM item").code(), Code::denied);
  }
  writer.reset();
  EXPECT_EQ(must(open_database(reading)->query_int("SELECT count(*) FROM item")), 7);
  constexpr const char* kNext[] = {kMigrations[0], kMigrations[1], "CREATE TABLE later(a)"};
  reading.migrations = kNext;
  EXPECT_EQ(Database::open(vfs_, "test.db", reading).code(), Code::unsupported);
}

TEST_F(DatabaseTest, FullDiskIsNoSpaceAndNothingIsLost) {
  const auto database = open_database();
  MUST_OK(insert(*database, 1, 10));
  sim::DiskFaults faults;
  faults.capacity = disk_.contents("test.db").size() + disk_.contents("test.db-wal").size() + 10'000;
  disk_.set_faults(faults);
  Status status;
  int64_t next = 11;
  while (status.ok()) {
    status = insert(*database, next, next);
    next += status.ok() ? 1 : 0;
  }
  EXPECT_EQ(status.code(), Code::no_space);
  EXPECT_EQ(must(database->query_int("SELECT count(*) FROM item")), next - 1);
  disk_.set_faults({});
  MUST_OK(insert(*database, next, next));
  MUST_OK(database->quick_check());
}

TEST_F(DatabaseTest, FailuresOfTheDiskAreIoAndSayWhy) {
  auto database = open_database();
  MUST_OK(insert(*database, 1, 10));
  disk_.fail_at(disk_.operations() + 1, Code::io);
  EXPECT_EQ(insert(*database, 11, 11).code(), Code::io);
  MUST_OK(insert(*database, 11, 11));
  disk_.crash();
  EXPECT_EQ(insert(*database, 12, 12).code(), Code::io);
  database.reset();
  const auto refused = Database::open(vfs_, "test.db", test_options());
  ASSERT_EQ(refused.code(), Code::io);
  disk_.power_on();
  database = open_database();
  EXPECT_EQ(must(database->query_int("SELECT count(*) FROM item")), 11);
}

TEST_F(DatabaseTest, TimeIsWhatItIsToldAndTwoVfsLiveSideBySide) {
  vfs_.set_wall_time(1'700'000'000'000'000);
  const auto database = open_database();
  EXPECT_EQ(must(database->query_int("SELECT strftime('%s', 'now')")), 1'700'000'000);
  sim::SimDisk other_disk(random_);
  Vfs other(other_disk, random_);
  EXPECT_STRNE(other.name(), vfs_.name());
  EXPECT_EQ(Database::open(other, "test.db", DatabaseOptions()).code(), Code::not_found);
}

TEST_F(DatabaseTest, TemporaryStructuresStayInMemory) {
  const auto database = open_database();
  MUST_OK(insert(*database, 1, 5000, 200));
  const auto before = must(disk_.list(""));
  MUST_OK(database->exec(
      "CREATE TEMP TABLE t AS SELECT * FROM item ORDER BY body DESC, id; CREATE INDEX temp.i ON t(body)"));
  EXPECT_EQ(must(database->query_int("SELECT count(DISTINCT body || id) FROM t")), 5000);
  EXPECT_EQ(must(disk_.list("")), before);
  MUST_OK(database->exec("VACUUM"));
  MUST_OK(database->quick_check());
}

}  // namespace
}  // namespace sereus::storage
