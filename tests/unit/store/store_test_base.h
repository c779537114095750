// Writers with keys and certificates, stores on a simulated disk, and the exchange of ranges between them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/crypto/certificate.h"
#include "core/storage/vfs.h"
#include "core/store/store.h"
#include "sim/sim_disk.h"
#include "tests/support/test_random.h"

namespace sereus::store {

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << code_name(result.code()) << ": " << result.error().detail;
    std::abort();
  }
  return std::move(result).value();
}
#define MUST_OK(expr)                                                                            \
  do {                                                                                           \
    const auto must_ok_ = (expr);                                                                \
    ASSERT_TRUE(must_ok_.ok()) << code_name(must_ok_.code()) << ": " << must_ok_.error().detail; \
  } while (false)

inline constexpr int64_t kStartMs = 1'700'000'000'000;
inline Times at_ms(int64_t wall_ms) { return {0, wall_ms * 1000}; }

inline KeyPair key_of(uint64_t number) {
  SecretBytes<32> seed;
  store_le(seed.data(), number);
  return KeyPair::from_seed(seed);
}

// A person with one device and one author key.
struct Writer {
  KeyPair party;
  KeyPair device;
  KeyPair author;

  explicit Writer(uint64_t number)
      : party(key_of(number * 4 + 1)), device(key_of(number * 4 + 2)), author(key_of(number * 4 + 3)) {}
  AuthorKey key() const { return author.author_key(); }
  std::vector<Bytes> certificates(const StoreId& store, uint64_t serial = 1) const {
    crypto::AuthorCertificate by_device;
    by_device.device = device.device_key();
    by_device.author = key();
    by_device.store = store;
    by_device.incarnation.bytes[0] = static_cast<uint8_t>(serial);
    by_device.serial = serial;
    crypto::DeviceCertificate by_party;
    by_party.party = party.party_key();
    by_party.device = device.device_key();
    by_party.serial = serial;
    return {crypto::issue_certificate(device, by_device), crypto::issue_certificate(party, by_party)};
  }
  WriteOp author_op(const StoreId& store, uint64_t serial = 1) const {
    WriteOp op;
    op.kind = OpKind::author;
    op.certificates = certificates(store, serial);
    return op;
  }
};

inline WriteOp put_op(std::string_view key, std::string_view value) {
  WriteOp op;
  op.key = to_bytes(key);
  op.value = to_bytes(value);
  return op;
}
inline WriteOp delete_op(std::string_view key) {
  WriteOp op;
  op.kind = OpKind::remove;
  op.key = to_bytes(key);
  return op;
}

// Lets everything through, or what `rule` says.
class TestAuthority : public Authority {
 public:
  std::function<Status(const AuthorBinding&, const EntryView&, const std::vector<Hash>&)> rule;
  size_t asked = 0;
  Status check(const StoreId&, const AuthorBinding& binding, const EntryView& entry,
               const std::vector<Hash>& cited) override {
    ++asked;
    return rule ? rule(binding, entry, cited) : Status();
  }
};

inline StoreId test_store_id(uint8_t number = 7) {
  StoreId id;
  id.bytes.fill(number);
  return id;
}

// One store on one disk.
class Replica {
  test::TestRandom random_;
  StoreId id_;

 public:
  sim::SimDisk disk{random_};

 private:
  std::unique_ptr<storage::Vfs> vfs_;

 public:
  explicit Replica(uint64_t seed, StoreId id = test_store_id()) : random_(seed), id_(id) {
    vfs_ = std::make_unique<storage::Vfs>(disk, random_);
    must_open();
  }
  ~Replica() { shut(); }
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  StoreConfig config() const {
    StoreConfig config;
    config.id = id_;
    config.folder = "stores/" + id_.hex();
    config.create = true;
    config.fsync_each = fsync_each;
    config.root = root;
    return config;
  }
  std::string log_path() const { return config().folder + "/log"; }
  std::string index_path() const { return config().folder + "/index.db"; }

  Status open() {
    auto opened = Store::open(disk, *vfs_, random_, config(), &recovery);
    if (!opened.ok()) return opened.error();
    store = std::move(opened).value();
    reader = must(store->make_reader());
    ranges = must(store->make_range_reader());
    return {};
  }
  void must_open() {
    const Status opened = open();
    ASSERT_TRUE(opened.ok()) << opened.error().detail;
  }
  void shut() {
    reader.reset();
    ranges.reset();
    store.reset();
  }
  void reopen() {
    shut();
    must_open();
  }

  // Commits one transaction as `writer`, with certificates when it is the writer's first here.
  Result<Written> commit(const Writer& writer, std::vector<WriteOp> ops, const std::vector<Hash>& cited = {}) {
    Transaction transaction;
    if (!store->tip(writer.key())) transaction.ops.push_back(writer.author_op(id_));
    for (WriteOp& op : ops) transaction.ops.push_back(std::move(op));
    std::vector<Transaction> group;
    group.push_back(std::move(transaction));
    auto report = store->commit(std::move(group), writer.author, cited, now);
    if (!report.ok()) return report.error();
    return report->written.at(0);
  }
  Written put(const Writer& writer, std::string_view key, std::string_view value) {
    std::vector<WriteOp> ops;
    ops.push_back(put_op(key, value));
    return must(commit(writer, std::move(ops)));
  }
  Written remove(const Writer& writer, std::string_view key) {
    std::vector<WriteOp> ops;
    ops.push_back(delete_op(key));
    return must(commit(writer, std::move(ops)));
  }
  std::string get(std::string_view key) {
    auto value = reader->get(as_bytes(key));
    return value.ok() ? to_string(*value) : "(" + std::string(code_name(value.code())) + ")";
  }
  std::vector<Head> heads(std::string_view key) { return must(reader->heads(as_bytes(key), true)); }
  StoreStats stats() { return must(reader->stats()); }
  Hash state() { return must(reader->state_digest()); }

  // What a peer that has `have` entries of `author` would be sent, as one range.
  VerifiedRange range(const AuthorKey& author, uint64_t first_seq, VerifyPolicy policy = VerifyPolicy::chain,
                      size_t bytes_max = kRangeBytesMax) {
    auto [header, payload] = must(ranges->read_range(author, first_seq, bytes_max));
    return must(verify_range(header, payload, policy, {}));
  }
  Status take(VerifiedRange range_in, CommitReport* report = nullptr) {
    std::vector<VerifiedRange> all;
    all.push_back(std::move(range_in));
    std::vector<Status> refused;
    auto done = store->ingest(std::move(all), authority, now, &refused);
    if (!done.ok()) return done.error();
    if (report != nullptr) *report = *done;
    return refused.at(0);
  }
  // Takes all that `from` has of `author` and is not here, in ranges of about `bytes_max`.
  Status pull(Replica& from, const AuthorKey& author, size_t bytes_max = kRangeBytesMax,
              VerifyPolicy policy = VerifyPolicy::chain) {
    while (true) {
      const auto theirs = from.store->tip(author);
      const auto ours = store->tip(author);
      const uint64_t have = ours ? ours->seq : 0;
      if (!theirs || theirs->seq <= have) return {};
      SEREUS_TRY(take(from.range(author, have + 1, policy, bytes_max)));
    }
  }
  Status pull_all(Replica& from) {
    for (const AuthorTip& tip : from.store->tips()) SEREUS_TRY(pull(from, tip.author));
    return {};
  }

  Times now = at_ms(kStartMs);
  TestAuthority authority;
  bool fsync_each = false;
  bool root = false;
  RecoveryReport recovery;
  std::unique_ptr<Store> store;
  std::unique_ptr<StoreReader> reader;
  std::unique_ptr<RangeReader> ranges;
};

}  // namespace sereus::store
