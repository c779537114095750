// `sereus-bench store`: signed puts, verified ingest, reopening, reading. Parts, for --only: grouped, transactions, synced,
// chain, every, reopen, reads.

#include <time.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "bench/raw.h"
#include "bench/support.h"
#include "core/crypto/certificate.h"
#include "core/storage/vfs.h"
#include "core/store/limits.h"
#include "core/store/store.h"
#include "drivers/posix/posix_files.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_times.h"

namespace sereus::bench {
namespace {

using namespace sereus::store;  // NOLINT(google-build-using-namespace): one program

constexpr size_t kGroup = 200;     // puts that a window of 5 ms gathers at 40k a second
constexpr size_t kLogBytes = 230;  // of one put's entry in the log, with its frame
constexpr size_t kTransaction = 1000;
constexpr size_t kSyncedBlock = 100;     // puts, then as many raw syncs
constexpr double kSyncedSecondsMax = 4;  // a disk that syncs slowly is known well enough by then
constexpr uint64_t kVerifyShare = 20;    // raw verification is slow: one for so many entries is measured
constexpr int kReopens = 11;
constexpr uint64_t kReadsMax = 50'000;

struct Everything : Authority {
  Status check(const StoreId&, const AuthorBinding&, const EntryView&, const std::vector<Hash>&) override { return {}; }
};

class StoreBench {
 public:
  StoreBench(const Options& options, Report& report)
      : options_(options),
        report_(report),
        files_(must(posix::PosixFiles::open(options.folder, true))),
        vfs_(*files_, random_) {}

  void run() {
    const bool replicates = options_.wanted("chain") || options_.wanted("every");
    if (options_.wanted("grouped") || options_.wanted("reopen") || options_.wanted("reads") || replicates) {
      puts_grouped();
    }
    if (options_.wanted("reopen")) reopen();
    if (options_.wanted("reads")) reads();
    if (options_.wanted("transactions")) puts_in_transactions();
    if (options_.wanted("synced")) puts_synced_each();
    if (options_.wanted("chain")) verify_and_ingest(VerifyPolicy::chain);
    if (options_.wanted("every")) verify_and_ingest(VerifyPolicy::every_signature);
  }

 private:
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
  // `count` transactions of `ops` puts each, from put number `first`.
  std::vector<Transaction> transactions(Store& store, uint64_t first, size_t count, size_t ops) {
    std::vector<Transaction> group(count);
    for (size_t i = 0; i < count; ++i) {
      if (i == 0 && !store.tip(author_.author_key())) group[i].ops.push_back(certificates(store.id()));
      for (size_t j = 0; j < ops; ++j) group[i].ops.push_back(make_put(first + i * ops + j));
    }
    return group;
  }
  // Returns the seconds it took.
  double commit(Store& store, std::vector<Transaction> group) {
    const double begin = now_s();
    const CommitReport report = must(store.commit(std::move(group), author_, {}, posix::now()));
    const double seconds = now_s() - begin;
    for (const auto& written : report.written) must(written.ok() ? Status() : Status(written.error()));
    return seconds;
  }
  // What the writer does between groups; counted as part of writing.
  static double maintain(Store& store) {
    const double begin = now_s();
    must(store.maintain());
    return now_s() - begin;
  }

  void puts_grouped() {
    auto store = open(config(1));
    RawWork raw(*files_, vfs_, "raw-grouped");
    double spent = 0;
    std::vector<double> groups;
    for (uint64_t i = 0; i < options_.entries; i += kGroup) {
      const size_t count = std::min<uint64_t>(kGroup, options_.entries - i);
      groups.push_back(commit(*store, transactions(*store, i, count, 1)));
      spent += groups.back() + maintain(*store);
      raw.sign(count);
      raw.insert(count);
      raw.append(count * kLogBytes);
    }
    const auto entries = static_cast<double>(options_.entries);
    report_.add({"signed puts, 200 a group, durable and indexed",
                 entries / spent,
                 "/s",
                 {{"raw signatures, rows and fdatasync, one after another", entries / raw.seconds()},
                  {"raw libsodium signatures alone", raw.signs().per_second()},
                  {"raw SQLite rows alone", raw.rows().per_second()},
                  {"raw fdatasync alone, 200 a sync", entries / raw.syncs().seconds}},
                 40'000});
    report_.add({"  a group of 200, p99", percentile(groups, 0.99) * 1000, "ms", {}, 0, Better::less});
    const auto stats = must(must(store->make_reader())->stats());
    must(store->close());
    const auto index = must(files_->open(config(1).folder + "/index.db", OpenMode::read));
    const double bytes = static_cast<double>(stats.log_bytes + must(index->size()));
    report_.add({"  disk, log and index", bytes / entries, "B/entry", {}, 400, Better::less});
  }

  void reopen() {
    std::vector<double> each;
    for (int i = 0; i < kReopens; ++i) {
      const double begin = now_s();
      auto store = open(config(1));
      auto reader = must(store->make_reader());
      must(reader->stats());
      each.push_back((now_s() - begin) * 1000);
    }
    report_.add({"reopening the store", percentile(each, 0.5), "ms", {}, 10, Better::less});
  }

  void reads() {
    auto store = open(config(1));
    auto reader = must(store->make_reader());
    const double begin = now_s();
    const uint64_t count = std::min(options_.entries, kReadsMax);
    for (uint64_t i = 0; i < count; ++i) must(reader->get(make_put(i * 7919 % options_.entries).key));
    report_.add({"random gets, one thread", static_cast<double>(count) / (now_s() - begin), "/s"});
    const double from = now_s();
    Bytes after;
    uint64_t listed = 0;
    while (true) {
      const auto rows = must(reader->list({}, after, 1000, true));
      if (rows.empty()) break;
      listed += rows.size();
      after = rows.back().key;
    }
    report_.add({"listed with values", static_cast<double>(listed) / (now_s() - from), "/s"});
  }

  void puts_in_transactions() {
    auto store = open(config(2));
    RawWork raw(*files_, vfs_, "raw-transactions");
    double spent = 0;
    uint64_t written = 0;
    for (; written < options_.entries; written += kTransaction) {
      spent += commit(*store, transactions(*store, written, 1, kTransaction)) + maintain(*store);
      raw.insert(kTransaction);
      raw.append(kTransaction * (kKeySize + kValueSize));
    }
    report_.add({"puts in transactions of 1000, one signature each",
                 static_cast<double>(written) / spent,
                 "/s",
                 {{"raw SQLite rows and fdatasync, one after another", static_cast<double>(written) / raw.seconds()},
                  {"raw SQLite rows alone", raw.rows().per_second()}},
                 150'000});
  }

  void puts_synced_each() {
    auto store = open(config(3, true));
    RawWork raw(*files_, vfs_, "raw-synced");
    std::vector<double> each;
    double spent = 0;
    while (each.size() < options_.entries && spent < kSyncedSecondsMax) {
      for (size_t i = 0; i < kSyncedBlock; ++i) {
        each.push_back(commit(*store, transactions(*store, each.size(), 1, 1)));
        spent += each.back() + maintain(*store);
      }
      for (size_t i = 0; i < kSyncedBlock; ++i) raw.append(kLogBytes);
    }
    report_.add({"signed puts, fdatasync each",
                 static_cast<double>(each.size()) / spent,
                 "/s",
                 {{"raw fdatasync", raw.syncs().per_second()}},
                 5'000});
    for (const double share : {0.5, 0.99}) {
      report_.add({share == 0.5 ? "  p50" : "  p99",
                   percentile(each, share) * 1000,
                   "ms",
                   {{"raw fdatasync", percentile(raw.sync_seconds(), share) * 1000}},
                   share == 0.5 ? 0 : 1.0,
                   Better::less});
    }
  }

  void verify_and_ingest(VerifyPolicy policy) {
    const bool chain = policy == VerifyPolicy::chain;
    auto from = open(config(1));
    auto reader = must(from->make_range_reader());
    // The same id in another folder: another replica of store 1.
    StoreConfig other = config(1);
    other.folder = std::string("stores/") + (chain ? "chain" : "every");
    auto to = open(other);
    RawWork raw(*files_, vfs_, chain ? "raw-chain" : "raw-every");
    Everything all;
    std::array<uint8_t, 32> seed{};
    double reading = 0;
    double verifying = 0;
    double ingesting = 0;
    uint64_t entries = 0;
    uint64_t bytes = 0;
    while (entries < options_.entries) {
      random_.fill(seed);
      const double t0 = now_s();
      auto [header, payload] = must(reader->read_range(author_.author_key(), entries + 1, kRangeBytesMax));
      const double t1 = now_s();
      auto range = must(verify_range(header, payload, policy, seed));
      const double t2 = now_s();
      entries += header.entries;
      bytes += payload.size();
      std::vector<VerifiedRange> ranges;
      ranges.push_back(std::move(range));
      std::vector<Status> refused;
      must(to->ingest(std::move(ranges), all, posix::now(), &refused));
      must(refused[0]);
      must(to->maintain());
      const double t3 = now_s();
      reading += t1 - t0;
      verifying += t2 - t1;
      ingesting += t3 - t2;
      raw.insert(header.entries);
      raw.append(header.entries * kLogBytes);
      raw.verify(std::max<uint64_t>(header.entries / kVerifyShare, 1));
    }
    tell_ingest(chain, static_cast<double>(entries), verifying, ingesting, raw);
    if (!chain) return;
    report_.add({"  reading a peer's ranges", static_cast<double>(entries) / reading, "/s"});
    report_.add(
        {"  on the wire", static_cast<double>(bytes) / static_cast<double>(entries), "B/entry", {}, 210, Better::less});
  }

  void tell_ingest(bool chain, double entries, double verifying, double ingesting, const RawWork& raw) {
    const double storing = raw.rows().seconds + raw.syncs().seconds;
    const double checking = entries / raw.verifies().per_second();
    const std::string name = chain ? "chain" : "every signature";
    std::vector<Limit> limits = {{"raw SQLite rows and fdatasync, one after another", entries / storing}};
    if (!chain) limits.push_back({"the same and raw libsodium verifications", entries / (storing + checking)});
    report_.add({"verified ingest, " + name + ", one thread", entries / (verifying + ingesting), "/s", limits,
                 chain ? 100'000.0 : 60'000.0});
    report_.add({"  verifying alone, " + name,
                 entries / verifying,
                 "/s",
                 {{"raw libsodium verifications, one by one", raw.verifies().per_second()}}});
    report_.add({"  storing alone, " + name, entries / ingesting, "/s", {limits[0]}});
  }

  const Options& options_;
  Report& report_;
  posix::PosixRandom random_;
  std::unique_ptr<posix::PosixFiles> files_;
  storage::Vfs vfs_;
  KeyPair party_ = key_of(1);
  KeyPair device_ = key_of(2);
  KeyPair author_ = key_of(3);
};

void run(const Options& options, Report& report) {
  measure_cpu_time(options.cpu_time);
  StoreBench(options, report).run();
  measure_cpu_time(false);
}

const Registration kStore("store", run);

}  // namespace
}  // namespace sereus::bench
