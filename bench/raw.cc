#include "bench/raw.h"

#include <sodium.h>

#include <cstdlib>

#include "bench/support.h"

namespace sereus::bench {
namespace {

constexpr size_t kMessageSize = 47;           // a hash and its context, which is what an entry's signature signs
constexpr size_t kReservedBytes = 4 << 20;    // as the store's log: a sync need not also write the file's new size
constexpr uint32_t kCacheKib = 48 * 1024;     // of both databases: the one of the store's index
constexpr uint32_t kCheckpointPages = 16384;  // as the store's index

}  // namespace

RawWork::RawWork(Files& files, storage::Vfs& vfs, const std::string& name) {
  storage::DatabaseOptions options;
  options.create = true;
  options.durability = storage::Durability::normal;  // the log is what is durable
  options.cache_kib = kCacheKib;
  options.autocheckpoint_pages = kCheckpointPages;
  const char* const schema[] = {"CREATE TABLE t(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"};
  options.migrations = schema;
  database_ = must(storage::Database::open(vfs, name + ".db", options));
  insert_ = must(database_->prepare("INSERT INTO t VALUES(?1, ?2)"));
  file_ = must(files.open(name + ".log", OpenMode::read_write_create));
  if (sodium_init() < 0) std::abort();
  crypto_sign_keypair(public_key_, secret_key_);
}

void RawWork::sign(uint64_t count) {
  uint8_t message[kMessageSize] = {};
  uint8_t signature[64];
  const double from = now_s();
  for (uint64_t i = 0; i < count; ++i) {
    store_le(message, signs_.count + i);
    crypto_sign_detached(signature, nullptr, message, sizeof message, secret_key_);
  }
  signs_.seconds += now_s() - from;
  signs_.count += count;
}

void RawWork::verify(uint64_t count) {
  const uint8_t message[kMessageSize] = {};
  uint8_t signature[64];
  crypto_sign_detached(signature, nullptr, message, sizeof message, secret_key_);
  const double from = now_s();
  for (uint64_t i = 0; i < count; ++i) {
    if (crypto_sign_verify_detached(signature, message, sizeof message, public_key_) != 0) std::abort();
  }
  verifies_.seconds += now_s() - from;
  verifies_.count += count;
}

void RawWork::insert(uint64_t count) {
  std::vector<store::WriteOp> puts;
  for (uint64_t i = 0; i < count; ++i) puts.push_back(make_put(next_row_ + i));
  const double from = now_s();
  auto transaction = must(storage::Transaction::begin(*database_, storage::Transaction::Kind::write));
  for (const store::WriteOp& op : puts) {
    insert_.bind_blob(1, op.key);
    insert_.bind_blob(2, op.value);
    must(insert_.run());
  }
  must(transaction.commit());
  rows_.seconds += now_s() - from;
  rows_.count += count;
  next_row_ += count;
}

void RawWork::append(size_t size) {
  if (file_end_ + size > reserved_end_) {
    must(file_->write_at(reserved_end_, Bytes(kReservedBytes + size, 0)));
    must(file_->sync());
    reserved_end_ += kReservedBytes + size;
  }
  const Bytes data(size, 1);
  const double from = now_s();
  must(file_->write_at(file_end_, data));
  must(file_->sync());
  sync_seconds_.push_back(now_s() - from);
  syncs_.seconds += sync_seconds_.back();
  ++syncs_.count;
  file_end_ += size;
}

}  // namespace sereus::bench
