// Checks a whole store: every record, hash, chain and signature of the log, and the index against one made anew.

#include <algorithm>
#include <map>

#include "core/crypto/ed25519_verify.h"
#include "core/store/replay.h"
#include "core/store/store_impl.h"

namespace sereus::store {
namespace {

constexpr size_t kVerifyBatch = 1024;  // signatures checked together

// Checks the signatures of entries as they come, many at a time.
class SignatureCheck {
 public:
  explicit SignatureCheck(const std::array<uint8_t, 32>& seed) : seed_(seed) {}

  void add(const AuthorKey& author, uint64_t seq, const Hash& hash, const Signature& signature) {
    authors_.push_back(author);
    seqs_.push_back(seq);
    messages_.push_back(signed_message(hash));
    signatures_.push_back(signature);
    if (authors_.size() == kVerifyBatch) flush();
  }
  // An entry taken as part of a chain may carry a bad signature of its own, when a later one vouches for it.
  Status finish() {
    flush();
    for (const auto& [author, seq] : unproved_) {
      return fail(Code::bad_signature, "entries of author " + brief(author.view()) + " from sequence " +
                                           std::to_string(seq) + " on are not signed");
    }
    return {};
  }

 private:
  void flush() {
    std::vector<crypto::Ed25519BatchItem> items;
    items.reserve(authors_.size());
    for (size_t i = 0; i < authors_.size(); ++i)
      items.push_back({authors_[i].bytes, messages_[i], signatures_[i].bytes});
    std::vector<size_t> invalid;
    if (!crypto::ed25519_verify_batch(items, seed_)) invalid = crypto::ed25519_find_invalid(items, seed_);
    size_t next = 0;
    for (size_t i = 0; i < authors_.size(); ++i) {
      if (next < invalid.size() && invalid[next] == i) {
        unproved_.emplace(authors_[i], seqs_[i]);
        ++next;
      } else if (!unproved_.empty()) {
        unproved_.erase(authors_[i]);
      }
    }
    authors_.clear();
    seqs_.clear();
    messages_.clear();
    signatures_.clear();
  }

  std::array<uint8_t, 32> seed_;
  std::vector<AuthorKey> authors_;
  std::vector<uint64_t> seqs_;
  std::vector<std::array<uint8_t, kSignedMessageSize>> messages_;
  std::vector<Signature> signatures_;
  std::map<AuthorKey, uint64_t> unproved_;
};

// Tables that must hold the same rows. Rows of `run` depend on how entries were grouped: their content is checked one by
// one.
constexpr std::pair<const char*, const char*> kCompared[] = {
    {"meta",
     "SELECT epoch, log_end, hlc, entries, keys, conflicts, held, forks, superseded, losers, last_boundary,"
     " last_crc, root, digest FROM meta"},
    {"author",
     "SELECT no, key, seq, hash, hlc, position, held, forked, device, party, incarnation, authority FROM author"
     " ORDER BY no"},
    {"head", "SELECT key, heads FROM head ORDER BY key"},
    {"superseded", "SELECT key, hash FROM superseded ORDER BY key, hash"},
    {"loser", "SELECT sequence FROM loser ORDER BY sequence"},
    {"held", "SELECT hlc, author, seq, position FROM held ORDER BY hlc, author, seq"},
    {"fork", "SELECT author, seq, position FROM fork ORDER BY author"},
    {"entry_hash", "SELECT hash FROM entry_hash ORDER BY hash"},
};

int columns_of(const char* sql) {
  const std::string_view text(sql);
  const std::string_view list = text.substr(0, text.find(" FROM "));
  return static_cast<int>(std::count(list.begin(), list.end(), ',')) + 1;
}

Status compare_rows(const char* table, const char* sql, storage::Database& ours, storage::Database& fresh) {
  SEREUS_ASSIGN(auto a, ours.cached(sql));
  SEREUS_ASSIGN(auto b, fresh.cached(sql));
  const Error differs =
      fail(Code::corrupt, std::string("the store's index does not match its log (table ") + table + ")");
  const int columns = columns_of(sql);
  while (true) {
    SEREUS_ASSIGN(const bool more_a, a->step());
    SEREUS_ASSIGN(const bool more_b, b->step());
    if (more_a != more_b) return differs;
    if (!more_a) return {};
    for (int column = 0; column < columns; ++column) {
      if (a->column_int(column) != b->column_int(column) || !equal(a->column_blob(column), b->column_blob(column))) {
        return differs;
      }
    }
  }
}

}  // namespace

Status StoreImpl::verify() {
  SEREUS_TRY(ready());
  SEREUS_TRY(note_damage(index_->database().quick_check()));
  const std::string path = config_.folder + "/verify.db";
  SEREUS_TRY(remove_index(files_, path));
  Status status;
  {
    SEREUS_ASSIGN(auto scratch, Index::open(vfs_, path, true, true));
    status = verify_log(*scratch);
    if (status.ok()) status = note_damage(compare_indexes(*scratch));
  }
  const Status removed = remove_index(files_, path);
  return status.ok() ? removed : status;
}

// Replays the log into `scratch`, which checks shapes, hashes, chains and certificates, and checks the signatures.
Status StoreImpl::verify_log(Index& scratch) const {
  Authors authors;
  Batch batch(scratch, authors, hash_seed_);
  Meta meta;
  meta.epoch = meta_.epoch;
  meta.log_end = storage::kLogHeaderSize;
  meta.counters.root = config_.root;
  HlcClock clock;
  std::array<uint8_t, 32> seed{};
  store_le(seed.data(), hash_seed_);
  SignatureCheck signatures(seed);
  storage::LogScanner scanner = shared_->log->scan(storage::kLogHeaderSize);
  while (scanner.boundary() < meta_.log_end) {
    SEREUS_TRY(batch.begin(meta, clock));
    Replay replay(batch, scratch, authors, *shared_->log, config_.id);
    Status status;
    while (status.ok() && scanner.boundary() < meta_.log_end && scanner.boundary() - meta.log_end < kReplayGroupBytes) {
      storage::LogRecord record;
      const auto more = scanner.next(&record);
      if (!more.ok() || !*more) {
        status =
            more.ok() ? Status(fail(Code::corrupt, "the store's log ends before what its index covers")) : more.error();
        break;
      }
      status = replay.record(record);
      if (!status.ok() || !is_entry(record.kind)) continue;
      const auto stored = split_entry(record.payload);
      const auto entry = parse_body(stored->body);
      signatures.add(entry->author, entry->seq, entry_hash(stored->body), stored->signature);
    }
    if (status.ok()) status = batch.write(scanner.boundary());
    if (!status.ok()) {
      batch.abort();
      return status;
    }
    SEREUS_TRY(batch.commit(&meta, &clock));
  }
  return signatures.finish();
}

Status StoreImpl::compare_indexes(Index& scratch) const {
  for (const auto& [table, sql] : kCompared)
    SEREUS_TRY(compare_rows(table, sql, index_->database(), scratch.database()));
  for (uint32_t author = 0; author < authors_.size(); ++author) {
    for (uint64_t seq = 1; seq <= authors_.at(author).seq; ++seq) {
      SEREUS_ASSIGN(const uint64_t ours, index_->position_of(author, seq));
      SEREUS_ASSIGN(const uint64_t fresh, scratch.position_of(author, seq));
      if (ours != fresh) return fail(Code::corrupt, "the store's index does not match its log (table run)");
    }
  }
  return {};
}

}  // namespace sereus::store
