// A store under power cuts: log and index, its own writes and those it takes from a peer.

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "core/crypto/certificate.h"
#include "core/store/store.h"
#include "sim/power_subject.h"

namespace sereus::sim {
namespace {

using namespace store;

constexpr const char* kFolder = "stores/s";
constexpr size_t kKeys = 10;
constexpr int64_t kStartWallUs = int64_t{1'700'000'000} * 1'000'000;

KeyPair key_of(uint8_t number) {
  SecretBytes<32> seed;
  seed.data()[0] = number;
  return KeyPair::from_seed(seed);
}

StoreId store_id() {
  StoreId id;
  id.bytes.fill(7);
  return id;
}

// A person with one device and one author key.
struct Writer {
  explicit Writer(uint8_t number) : author(key_of(static_cast<uint8_t>(number + 2))) {
    const KeyPair party = key_of(number);
    const KeyPair device = key_of(static_cast<uint8_t>(number + 1));
    AuthorCertificate by_device;
    by_device.device = device.device_key();
    by_device.author = author.author_key();
    by_device.store = store_id();
    by_device.incarnation.bytes[0] = 1;
    by_device.serial = 1;
    DeviceCertificate by_party;
    by_party.party = party.party_key();
    by_party.device = device.device_key();
    by_party.serial = 1;
    introduction.kind = OpKind::author;
    introduction.certificates = {issue_certificate(device, by_device), issue_certificate(party, by_party)};
  }
  KeyPair author;
  WriteOp introduction;
};

const Writer& alice() {
  static const Writer* const writer = new Writer(1);
  return *writer;
}
const Writer& bob() {
  static const Writer* const writer = new Writer(5);
  return *writer;
}

class Anyone : public Authority {
 public:
  Status check(const StoreId&, const AuthorBinding&, const EntryView&, const std::vector<Hash>&) override { return {}; }
};

std::string name_of_key(uint64_t number, bool twin) { return "k" + std::to_string(number) + (twin ? "'" : ""); }

// Writes of a key come in twos, to a key and to its twin, in one transaction: half of one would show.
void add_twins(Transaction& transaction, uint64_t key, const std::string* value) {
  for (const bool twin : {false, true}) {
    WriteOp op;
    op.kind = value == nullptr ? OpKind::remove : OpKind::put;
    op.key = to_bytes(name_of_key(key, twin));
    if (value != nullptr) op.value = to_bytes(*value);
    transaction.ops.push_back(std::move(op));
  }
}

Result<std::unique_ptr<Store>> open_store(SubjectPorts& ports) {
  StoreConfig config;
  config.id = store_id();
  config.folder = kFolder;
  config.create = true;
  return Store::open(ports.disk, ports.vfs, ports.random, config, nullptr);
}

// The other replica, on a disk of its own that never fails.
class Peer {
 public:
  explicit Peer(SimRandom random) : random_(std::move(random)), disk_(random_), vfs_(disk_, random_) {
    SubjectPorts ports{disk_, vfs_, random_};
    auto opened = open_store(ports);
    SEREUS_ASSERT(opened.ok());
    store_ = std::move(opened).value();
    auto ranges = store_->make_range_reader();
    SEREUS_ASSERT(ranges.ok());
    ranges_ = std::move(ranges).value();
  }
  ~Peer() {
    ranges_.reset();
    store_.reset();
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void write(uint64_t key, const std::string& value, const Times& now) {
    std::vector<Transaction> group(1);
    if (!store_->tip(bob().author.author_key())) group[0].ops.push_back(bob().introduction);
    add_twins(group[0], key, &value);
    const auto report = store_->commit(std::move(group), bob().author, {}, now);
    SEREUS_ASSERT(report.ok() && report->written.at(0).ok());
  }
  VerifiedRange range(uint64_t first_seq) {
    auto read = ranges_->read_range(bob().author.author_key(), first_seq, kRangeBytesMax);
    SEREUS_ASSERT(read.ok());
    auto verified = verify_range(read->first, read->second, VerifyPolicy::chain, {});
    SEREUS_ASSERT(verified.ok());
    return std::move(verified).value();
  }
  uint64_t end() const {
    const auto tip = store_->tip(bob().author.author_key());
    return tip ? tip->seq : 0;
  }

 private:
  SimRandom random_;
  SimDisk disk_;
  storage::Vfs vfs_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<RangeReader> ranges_;
};

class StoreSubject : public Subject {
 public:
  using Subject::Subject;
  ~StoreSubject() override { store_.reset(); }

  Status open(bool /*after_power_cut*/) override {
    auto opened = open_store(ports_);
    if (!opened.ok()) return opened.error();
    store_ = std::move(opened).value();
    return {};
  }
  void shut() override { store_.reset(); }
  bool is_open() const override { return store_ != nullptr; }
  Status act(SimRandom& draws) override;
  Status check(bool thoroughly) override;
  Status start_over() override;

 private:
  struct Written {
    uint64_t seq = 0;
    std::string value;
    bool removed = false;
  };
  Status write(SimRandom& draws);
  Status take(SimRandom& draws);
  Status close_and_open();
  void check_tips();
  void check_chain(RangeReader& ranges);
  Status check_key(StoreReader& reader, uint64_t key);
  void check_own_head(const std::string& name, uint64_t key, const std::vector<Head>& heads);
  bool was_attempted(uint64_t key, const Head& head) const;

  std::unique_ptr<Store> store_;
  std::unique_ptr<Peer> peer_;
  bool read_wrong_ = false;
  Times now_{0, kStartWallUs};
  uint64_t count_ = 0;
  uint64_t own_end_ = 0;    // sequence number of our last acknowledged entry
  uint64_t their_end_ = 0;  // and of the last one taken
  std::map<uint64_t, Hash> hashes_;
  std::map<uint64_t, Written> newest_;                      // by key: acknowledged
  std::map<uint64_t, std::vector<std::string>> attempted_;  // by key: all values it was ever given
};

Status StoreSubject::act(SimRandom& draws) {
  now_.wall_us += 1'000'000;
  switch (draws.below(12)) {
    case 0:
    case 1:
      return take(draws);
    case 2: {
      now_.wall_us += draws.below(3) == 0 ? 600'000'000 : 0;
      int64_t next = 0;
      const auto released = store_->release_held(now_, &next);
      return released.ok() ? Status() : Status(released.error());
    }
    case 3:
      return close_and_open();
    case 4:
      return store_->maintain();
    default:
      return write(draws);
  }
}

Status StoreSubject::close_and_open() {
  const Status closed = store_->close();
  store_.reset();
  const Status opened = open(false);
  return closed.ok() ? opened : closed;
}

Status StoreSubject::write(SimRandom& draws) {
  std::vector<Transaction> group(1 + draws.below(3));
  std::vector<std::pair<uint64_t, Written>> written;
  written.reserve(group.size());
  for (size_t i = 0; i < group.size(); ++i) {
    if (i == 0 && !store_->tip(alice().author.author_key())) group[i].ops.push_back(alice().introduction);
    const uint64_t key = draws.below(kKeys);
    Written one;
    one.removed = draws.below(6) == 0;
    const size_t padding = draws.below(12) == 0 ? 9000 : draws.below(40);
    if (!one.removed) {
      one.value = "v" + std::to_string(++count_) + std::string(padding, 'x');
      attempted_[key].push_back(one.value);
    }
    add_twins(group[i], key, one.removed ? nullptr : &one.value);
    written.emplace_back(key, std::move(one));
  }
  const auto report = store_->commit(std::move(group), alice().author, {}, now_);
  if (!report.ok()) return report.error();
  Status first;
  for (size_t i = 0; i < written.size(); ++i) {
    const auto& one = report->written.at(i);
    if (!one.ok()) {
      if (first.ok()) first = one.error();
      continue;
    }
    if (!first.ok()) violate("order of a group", "an entry was acknowledged after one that failed");
    ++acknowledged_;
    own_end_ = one->seq;
    hashes_[one->seq] = one->hash;
    written[i].second.seq = one->seq;
    newest_[written[i].first] = std::move(written[i].second);
  }
  return first;
}

// From another replica, some of it from the future.
Status StoreSubject::take(SimRandom& draws) {
  if (peer_ == nullptr) peer_ = std::make_unique<Peer>(ports_.random.fork("peer"));
  Times then = now_;
  if (draws.below(3) == 0) then.wall_us += 6 * 60 * 1'000'000;
  const auto ours = store_->tip(bob().author.author_key());
  const uint64_t have = ours ? ours->seq : 0;
  const uint64_t key = draws.below(kKeys);
  if (peer_->end() <= have || draws.below(2) == 0) {
    const std::string value = "theirs" + std::to_string(++count_);
    attempted_[key].push_back(value);
    peer_->write(key, value, then);
  }
  if (peer_->end() < have) {
    violate("what nobody wrote", "there are more of the peer's entries than it wrote");
    return {};
  }
  if (peer_->end() == have) return {};
  std::vector<VerifiedRange> ranges;
  ranges.push_back(peer_->range(have + 1));
  const uint64_t end = ranges[0].header.first_seq + ranges[0].entries.size() - 1;
  std::vector<Status> refused;
  Anyone anyone;
  const auto report = store_->ingest(std::move(ranges), anyone, now_, &refused);
  if (!report.ok()) return report.error();
  if (!refused[0].ok()) return refused[0];
  ++acknowledged_;
  their_end_ = end;
  return {};
}

Status StoreSubject::check(bool thoroughly) {
  check_tips();
  if (thoroughly) {
    Status verified = store_->verify();
    if (!verified.ok() && promise_.keeps && verified.code() == Code::corrupt) {
      violate("log and index verify", verified.error().detail);
    }
    if (!verified.ok()) return verified;
    SEREUS_ASSIGN(const auto ranges, store_->make_range_reader());
    check_chain(*ranges);
  }
  SEREUS_ASSIGN(const auto reader, store_->make_reader());
  for (uint64_t key = 0; key < kKeys; ++key) SEREUS_TRY(check_key(*reader, key));
  if (!std::exchange(read_wrong_, false)) return {};
  if (promise_.keeps || store_->verify().ok()) {
    violate("what nobody wrote", "a key has a value it was never given, and nothing says so");
  }
  return fail(Code::corrupt, "a value that nobody wrote");
}

// Chains are as long as what was acknowledged, or longer by what was under way. What is here now stays.
void StoreSubject::check_tips() {
  const auto ours = store_->tip(alice().author.author_key());
  const auto theirs = store_->tip(bob().author.author_key());
  const uint64_t own_end = ours ? ours->seq : 0;
  const uint64_t their_end = theirs ? theirs->seq : 0;
  if (promise_.keeps && own_end < own_end_) {
    violate("acknowledged data survives", "the chain ends at " + std::to_string(own_end) + " and entry " +
                                              std::to_string(own_end_) + " was acknowledged");
  }
  if (promise_.keeps && their_end < their_end_) {
    violate("acknowledged data survives",
            "what was taken ends at " + std::to_string(their_end) + ", not at " + std::to_string(their_end_));
  }
  if (promise_.keeps && ours && own_end == own_end_ && own_end != 0 && hashes_[own_end] != ours->hash) {
    violate("no forks", "entry " + std::to_string(own_end) + " is another one than that which was acknowledged");
  }
  if (ours) hashes_[own_end] = ours->hash;
  own_end_ = own_end;
  their_end_ = their_end;
}

void StoreSubject::check_chain(RangeReader& ranges) {
  if (!promise_.keeps) return;  // written anew after a loss, the same numbers are other entries
  for (const auto& [seq, hash] : hashes_) {
    const auto found = ranges.hash_at(alice().author.author_key(), seq);
    if (!found.ok() && found.code() != Code::not_found) continue;
    if (found.ok() && *found == hash) continue;
    violate("no forks", "entry " + std::to_string(seq) + " is " + (found.ok() ? "another one" : "not there"));
  }
}

bool StoreSubject::was_attempted(uint64_t key, const Head& head) const {
  if (head.tombstone) return true;
  const auto known = attempted_.find(key);
  if (known == attempted_.end()) return false;
  const std::string value = to_string(head.value);
  return std::find(known->second.begin(), known->second.end(), value) != known->second.end();
}

void StoreSubject::check_own_head(const std::string& name, uint64_t key, const std::vector<Head>& heads) {
  const auto known = newest_.find(key);
  const Head* own = nullptr;
  for (const Head& head : heads) {
    if (head.author == alice().author.author_key()) own = &head;
  }
  if (known != newest_.end() && (own == nullptr || own->seq < known->second.seq)) {
    violate("acknowledged data survives",
            name + " lost what entry " + std::to_string(known->second.seq) + " wrote to it");
    return;
  }
  if (own == nullptr) return;
  if (known != newest_.end() && own->seq == known->second.seq) {
    const Written& was = known->second;
    if (own->tombstone != was.removed || to_string(own->value) != was.value) {
      violate("acknowledged data survives", name + " has another value than that which was acknowledged");
    }
    return;
  }
  // What was under way when the power went is durable now.
  newest_[key] = Written{own->seq, to_string(own->value), own->tombstone};
}

Status StoreSubject::check_key(StoreReader& reader, uint64_t key) {
  SEREUS_ASSIGN(const std::vector<Head> heads, reader.heads(as_bytes(name_of_key(key, false)), true));
  SEREUS_ASSIGN(const std::vector<Head> twins, reader.heads(as_bytes(name_of_key(key, true)), true));
  for (const std::vector<Head>* all : {&heads, &twins}) {
    for (const Head& head : *all) {
      if (!was_attempted(key, head)) read_wrong_ = true;
    }
  }
  if (!promise_.keeps) return {};
  const auto same = [](const Head& a, const Head& b) { return a.hash == b.hash && a.value == b.value; };
  if (!std::equal(heads.begin(), heads.end(), twins.begin(), twins.end(), same)) {
    violate("whole transactions", name_of_key(key, false) + " and its twin differ");
  }
  check_own_head(name_of_key(key, false), key, heads);
  return {};
}

Status StoreSubject::start_over() {
  SEREUS_TRY(ports_.disk.remove_tree("stores"));
  SEREUS_TRY(ports_.disk.sync_folder(""));
  own_end_ = their_end_ = 0;
  hashes_.clear();
  newest_.clear();
  return {};
}

}  // namespace

std::unique_ptr<Subject> make_store_subject(const SubjectPorts& ports, const Promise& promise) {
  return std::make_unique<StoreSubject>(ports, promise);
}

}  // namespace sereus::sim
