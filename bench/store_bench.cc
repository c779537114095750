// `sereus-bench store`: signed puts, verified ingest, reopening, reading; each beside raw libsodium, SQLite, fdatasync.

#include <sodium.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "core/crypto/certificate.h"
#include "core/storage/database.h"
#include "core/storage/vfs.h"
#include "core/store/store.h"
#include "drivers/posix/posix_files.h"
#include "drivers/posix/posix_random.h"

namespace sereus::bench {
namespace {

using namespace sereus::store;  // NOLINT(google-build-using-namespace): one program

constexpr size_t kKeySize = 20;
constexpr size_t kValueSize = 100;
constexpr size_t kGroup = 200;  // puts that a window of 5 ms gathers at 40k a second

clockid_t measured_clock = CLOCK_MONOTONIC;

double now_s() {
  timespec time{};
  clock_gettime(measured_clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Times times() {
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  return {0, static_cast<int64_t>(wall.tv_sec) * 1'000'000 + wall.tv_nsec / 1000};
}

[[noreturn]] void die(const Error& error) {
  std::fprintf(stderr, "store bench: %s\n", error.detail.c_str());
  std::exit(1);
}
void must(const Status& status) {
  if (!status.ok()) die(status.error());
}
template <typename T>
T must(Result<T> result) {
  if (!result.ok()) die(result.error());
  return std::move(result).value();
}

KeyPair key_of(uint64_t number) {
  SecretBytes<32> seed;
  store_le(seed.data(), number);
  return KeyPair::from_seed(seed);
}

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  statm >> total >> resident;
  return resident * 4096;
}

struct Everything : Authority {
  Status check(const StoreId&, const AuthorBinding&, const EntryView&, const std::vector<Hash>&) override { return {}; }
};

class Bench {
 public:
  Bench(const Options& options, std::string folder)
      : options_(options), files_(must(posix::PosixFiles::open(folder, true))), vfs_(*files_, random_) {}

  void run() {
    if (wanted("limits")) limits();
    if (wanted("puts") || wanted("reopen") || wanted("reads") || wanted("chain") || wanted("every")) puts_grouped();
    if (wanted("reopen")) reopen();
    if (wanted("reads")) reads();
    if (wanted("transactions")) puts_in_transactions();
    if (wanted("synced")) puts_synced_each();
    if (wanted("chain")) verify_and_ingest(VerifyPolicy::chain);
    if (wanted("every")) verify_and_ingest(VerifyPolicy::every_signature);
    report_.print(options_);
  }

 private:
  bool wanted(std::string_view part) const {
    return options_.only.empty() || part.find(options_.only) != std::string_view::npos;
  }
  StoreConfig config(uint8_t number, bool fsync_each = false) {
    StoreConfig config;
    config.id.bytes.fill(number);
    config.folder = "stores/" + config.id.hex();
    config.create = true;
    config.fsync_each = fsync_each;
    return config;
  }
  std::unique_ptr<Store> open(const StoreConfig& config) {
    return must(Store::open(*files_, vfs_, random_, config, nullptr));
  }
  WriteOp certificates(const StoreId& store) {
    crypto::AuthorCertificate author;
    author.device = device_.device_key();
    author.author = author_.author_key();
    author.store = store;
    crypto::DeviceCertificate device;
    device.party = party_.party_key();
    device.device = device_.device_key();
    WriteOp op;
    op.kind = OpKind::author;
    op.certificates = {crypto::issue_certificate(device_, author), crypto::issue_certificate(party_, device)};
    return op;
  }
  WriteOp put(uint64_t number) {
    WriteOp op;
    op.key.resize(kKeySize);
    op.value.resize(kValueSize);
    uint64_t state = number * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < kKeySize; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      op.key[i] = static_cast<uint8_t>('a' + (state >> 33) % 26);
    }
    for (size_t i = 0; i < kValueSize; ++i) op.value[i] = static_cast<uint8_t>(number + i);
    return op;
  }
  // `count` transactions of `ops` puts each, from put number `first`.
  std::vector<Transaction> transactions(Store& store, uint64_t first, size_t count, size_t ops) {
    std::vector<Transaction> group(count);
    for (size_t i = 0; i < count; ++i) {
      if (i == 0 && !store.tip(author_.author_key())) group[i].ops.push_back(certificates(store.id()));
      for (size_t j = 0; j < ops; ++j) group[i].ops.push_back(put(first + i * ops + j));
    }
    return group;
  }
  void commit(Store& store, std::vector<Transaction> group) {
    const CommitReport report = must(store.commit(std::move(group), author_, {}, times()));
    for (const auto& written : report.written) must(written.ok() ? Status() : Status(written.error()));
  }

  void limits() {
    uint8_t message[47] = {};
    uint8_t signature[64];
    uint8_t public_key[32];
    uint8_t secret_key[64];
    crypto_sign_keypair(public_key, secret_key);
    double from = now_s();
    constexpr int kSigns = 20'000;
    for (int i = 0; i < kSigns; ++i) {
      store_le(message, i);
      crypto_sign_detached(signature, nullptr, message, sizeof message, secret_key);
    }
    signs_ = kSigns / (now_s() - from);
    report_.add({"raw libsodium: sign 47 bytes", signs_, "/s", "", 0, 0});
    from = now_s();
    constexpr int kVerifies = 5'000;
    for (int i = 0; i < kVerifies; ++i) {
      if (crypto_sign_verify_detached(signature, message, sizeof message, public_key) != 0) std::abort();
    }
    verifies_ = kVerifies / (now_s() - from);
    report_.add({"raw libsodium: verify 47 bytes", verifies_, "/s", "", 0, 0});
    raw_sync();
    raw_sqlite();
  }

  void raw_sync() {
    auto file = must(files_->open("raw", OpenMode::read_write_create));
    must(file->write_at(0, Bytes(4 << 20, 0)));
    must(file->sync());
    const Bytes row(256, 1);
    std::vector<double> each;
    const double from = now_s();
    constexpr int kSyncs = 3'000;
    for (int i = 0; i < kSyncs; ++i) {
      const double begin = now_s();
      must(file->write_at(static_cast<uint64_t>(i) * row.size(), row));
      must(file->sync());
      each.push_back(now_s() - begin);
    }
    syncs_ = kSyncs / (now_s() - from);
    std::sort(each.begin(), each.end());
    sync_p99_ = each[each.size() * 99 / 100] * 1000;
    report_.add({"raw fdatasync after 256 bytes", syncs_, "/s", "", 0, 0});
    report_.add({"raw fdatasync p99", sync_p99_, "ms", "", 0, 0});
  }

  void raw_sqlite() {
    storage::DatabaseOptions options;
    options.create = true;
    options.durability = storage::Durability::normal;
    options.cache_kib = 48 * 1024;
    const char* const schema[] = {"CREATE TABLE t(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"};
    options.migrations = schema;
    auto database = must(storage::Database::open(vfs_, "raw.db", options));
    auto insert = must(database->prepare("INSERT INTO t VALUES(?1, ?2)"));
    const double from = now_s();
    const uint64_t count = options_.entries;
    for (uint64_t i = 0; i < count;) {
      auto transaction = must(storage::Transaction::begin(*database, storage::Transaction::Kind::write));
      for (size_t j = 0; j < kGroup && i < count; ++j, ++i) {
        const WriteOp op = put(i);
        insert.bind_blob(1, op.key);
        insert.bind_blob(2, op.value);
        must(insert.run());
      }
      must(transaction.commit());
    }
    rows_ = static_cast<double>(count) / (now_s() - from);
    report_.add({"raw SQLite: 20 B keys in random order, 200 a commit", rows_, "/s", "", 0, 0});
  }

  void puts_grouped() {
    auto store = open(config(1));
    const uint64_t count = options_.entries;
    double spent = 0;
    std::vector<double> each;
    for (uint64_t i = 0; i < count; i += kGroup) {
      auto group = transactions(*store, i, std::min<uint64_t>(kGroup, count - i), 1);
      const double begin = now_s();
      commit(*store, std::move(group));
      each.push_back(now_s() - begin);
      spent += each.back();
      must(store->maintain());
    }
    std::sort(each.begin(), each.end());
    report_.add({"signed puts, 200 a group, durable and indexed", static_cast<double>(count) / spent, "/s", "raw signs",
                 signs_, 40'000});
    report_.add({"  group p99", each[each.size() * 99 / 100] * 1000, "ms", "", 0, 0});
    const auto stats = must(must(store->make_reader())->stats());
    auto index = must(files_->open(config(1).folder + "/index.db", OpenMode::read));
    must(store->close());
    const double bytes = static_cast<double>(stats.log_bytes + must(index->size()));
    report_.add({"disk per entry (log and index)", bytes / static_cast<double>(count), "bytes", "", 0, 400});
    report_.add({"resident memory after them", static_cast<double>(resident_bytes()) / 1048576, "MiB", "", 0, 64});
  }

  void reopen() {
    std::vector<double> each;
    for (int i = 0; i < 11; ++i) {
      const double begin = now_s();
      auto store = open(config(1));
      auto reader = must(store->make_reader());
      must(reader->stats());
      each.push_back((now_s() - begin) * 1000);
    }
    std::sort(each.begin(), each.end());
    report_.add({"reopen, median of 11", each[5], "ms", "", 0, 10});
  }

  void reads() {
    auto store = open(config(1));
    auto reader = must(store->make_reader());
    const double begin = now_s();
    const uint64_t count = std::min<uint64_t>(options_.entries, 50'000);
    for (uint64_t i = 0; i < count; ++i) must(reader->get(put(i * 7919 % options_.entries).key));
    report_.add({"random gets, one thread", static_cast<double>(count) / (now_s() - begin), "/s", "", 0, 0});
    const double from = now_s();
    Bytes after;
    uint64_t listed = 0;
    while (true) {
      const auto rows = must(reader->list({}, after, 1000, true));
      if (rows.empty()) break;
      listed += rows.size();
      after = rows.back().key;
    }
    report_.add({"listed with values", static_cast<double>(listed) / (now_s() - from), "/s", "", 0, 0});
  }

  void puts_in_transactions() {
    auto store = open(config(2));
    constexpr size_t kOps = 1000;
    const uint64_t count = options_.entries / kOps;
    double spent = 0;
    for (uint64_t i = 0; i < count; ++i) {
      auto group = transactions(*store, i * kOps, 1, kOps);
      const double begin = now_s();
      commit(*store, std::move(group));
      spent += now_s() - begin;
      must(store->maintain());
    }
    report_.add({"puts in transactions of 1000", static_cast<double>(count * kOps) / spent, "/s", "raw SQLite", rows_,
                 150'000});
  }

  void puts_synced_each() {
    auto store = open(config(3, true));
    std::vector<double> each;
    double spent = 0;
    const uint64_t count = std::min<uint64_t>(options_.entries, 10'000);
    for (uint64_t i = 0; i < count; ++i) {
      auto group = transactions(*store, i, 1, 1);
      const double begin = now_s();
      commit(*store, std::move(group));
      each.push_back(now_s() - begin);
      spent += each.back();
      must(store->maintain());
    }
    std::sort(each.begin(), each.end());
    report_.add(
        {"signed puts, fdatasync each", static_cast<double>(count) / spent, "/s", "raw fdatasync", syncs_, 5'000});
    report_.add({"  p50", each[each.size() / 2] * 1000, "ms", "", 0, 0});
    report_.add({"  p99", each[each.size() * 99 / 100] * 1000, "ms", "raw fdatasync p99", sync_p99_, 1.0});
  }

  void verify_and_ingest(VerifyPolicy policy) {
    const bool chain = policy == VerifyPolicy::chain;
    auto from = open(config(1));
    auto reader = must(from->make_range_reader());
    // The same id in another folder: another replica of store 1.
    StoreConfig other = config(1);
    other.folder = std::string("stores/") + (chain ? "chain" : "every");
    auto to = open(other);
    Everything all;
    std::array<uint8_t, 32> seed{};
    random_.fill(seed);
    double reading = 0;
    double verifying = 0;
    double ingesting = 0;
    uint64_t entries = 0;
    uint64_t bytes = 0;
    while (entries < options_.entries) {
      const double t0 = now_s();
      auto [header, payload] = must(reader->read_range(author_.author_key(), entries + 1, 256 * 1024));
      const double t1 = now_s();
      auto range = must(verify_range(header, payload, policy, seed));
      const double t2 = now_s();
      entries += header.entries;
      bytes += payload.size();
      std::vector<VerifiedRange> ranges;
      ranges.push_back(std::move(range));
      std::vector<Status> refused;
      must(to->ingest(std::move(ranges), all, times(), &refused));
      must(refused[0]);
      const double t3 = now_s();
      must(to->maintain());
      reading += t1 - t0;
      verifying += t2 - t1;
      ingesting += t3 - t2;
    }
    const auto count = static_cast<double>(entries);
    const std::string name = chain ? "chain" : "every signature";
    report_.add({"verified ingest, " + name + ", one thread", count / (verifying + ingesting), "/s", "raw SQLite",
                 rows_, chain ? 100'000.0 : 60'000.0});
    report_.add({"  verify_range alone", count / verifying, "/s", chain ? "" : "raw verifies", verifies_, 0});
    report_.add({"  ingest alone", count / ingesting, "/s", "", 0, 0});
    if (!chain) return;
    report_.add({"  read_range alone", count / reading, "/s", "", 0, 0});
    report_.add({"  wire bytes per entry", static_cast<double>(bytes) / count, "bytes", "", 0, 210});
  }

  const Options& options_;
  Report report_;
  posix::PosixRandom random_;
  std::unique_ptr<posix::PosixFiles> files_;
  storage::Vfs vfs_;
  KeyPair party_ = key_of(1);
  KeyPair device_ = key_of(2);
  KeyPair author_ = key_of(3);
  double signs_ = 1;
  double verifies_ = 1;
  double syncs_ = 1;
  double sync_p99_ = 1;
  double rows_ = 1;
};

int run(const Options& options) {
  if (options.cpu_time) measured_clock = CLOCK_THREAD_CPUTIME_ID;
  std::string folder = (options.folder.empty() ? "." : options.folder) + std::string("/sereus-bench-XXXXXX");
  if (mkdtemp(folder.data()) == nullptr) {
    std::perror("store bench: mkdtemp");
    return 1;
  }
  { Bench(options, folder).run(); }
  auto files = must(posix::PosixFiles::open(folder, false));
  for (const std::string& name : must(files->list(""))) must(files->remove_tree(name));
  files.reset();
  return std::remove(folder.c_str()) == 0 ? 0 : 1;
}

const Registration kStore("store", run);

}  // namespace
}  // namespace sereus::bench
