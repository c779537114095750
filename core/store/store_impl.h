// The writer's side of a store. See store.h for what it promises and docs/formats/store.md for what is on disk.
//
// A group goes: entries are encoded, hashed and signed; appended to the log; gathered into a Batch, which writes the
// index inside an open transaction; the log is synced; the transaction commits. So the index never holds what the log
// might lose. When the last step fails, the entries are durable but not indexed: the call says so, and the next one
// first brings the index up to the log, as open does.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/store/batch.h"
#include "core/store/body_writer.h"
#include "core/store/shared.h"
#include "core/store/store.h"

namespace sereus::store {

class StoreImpl : public Store {
 public:
  StoreImpl(Files& files, storage::Vfs& vfs, const StoreConfig& config, uint64_t hash_seed);
  ~StoreImpl() override;

  Status open(Random& random, RecoveryReport* report);

  Result<CommitReport> commit(std::vector<Transaction> transactions, const KeyPair& author,
                              const std::vector<Hash>& authority, const Times& now) override;
  Result<CommitReport> release_held(const Times& now, int64_t* next_wall_us) override;

  StoreId id() const override { return config_.id; }
  std::vector<AuthorTip> tips() const override;
  Digest digest() const override { return meta_.digest; }
  Result<CommitReport> ingest(std::vector<VerifiedRange> ranges, Authority& authority, const Times& now,
                              std::vector<Status>* refused) override;

  std::optional<AuthorTip> tip(const AuthorKey& author) const override;
  std::optional<AuthorBinding> binding(const AuthorKey& author) const override;
  std::vector<Hash> authority_heads() const override;
  bool contains(const Hash& entry) const override;
  Result<std::unique_ptr<StoreReader>> make_reader() override;
  Result<std::unique_ptr<RangeReader>> make_range_reader() override;
  Result<std::vector<ForkProof>> fork_proofs() override;
  Status maintain() override;
  bool maintenance_due() const override;
  CommitReport report() const override;
  Status verify() override;
  Status close() override;

 private:
  // ---- Opening (store.cc)
  Status open_log(Random& random, bool trusted, uint64_t trusted_end, RecoveryReport* report);
  Status open_index(bool* usable);
  Status start_index();
  Status write_origin(Random& random);
  Result<uint64_t> read_epoch() const;
  Status check_last_record() const;
  Status load_state();
  // Brings the index from meta_.log_end up to the log's end.
  Status replay(uint64_t* entries);
  // Every call that changes something begins here: repairs what a failed one left.
  Status ready();
  // Ends a batch: index, log, index, as the head of this file says.
  Status finish_batch();
  // Undoes a batch and what it appended.
  void abandon_batch();
  void fill_report(CommitReport& report, std::vector<AuthorTip> tips);
  Status note_damage(Status status);
  void log_line(LogLevel level, const std::string& message) const;

  // ---- Writing (store_commit.cc)
  struct Draft {
    Status refused;      // why it was not written
    size_t body_at = 0;  // in bodies_
    size_t body_size = 0;
    uint64_t position = 0;  // of the record's payload in the log
    Written written;
  };
  struct KeyWrite {
    HeadSet::Item item = 0;
    size_t op = 0;
    bool tombstone = false;
    size_t value_at = 0;  // in bodies_
    uint32_t value_size = 0;
  };
  Status commit_group(std::span<Transaction> transactions, const KeyPair& author, const std::vector<Hash>& authority,
                      const Times& now, CommitReport& report);
  // Encodes one transaction and applies it to the batch. A storage failure is returned; a refusal is in the draft.
  Status draft_entry(Transaction& transaction, const AuthorKey& author, const std::vector<Hash>& authority,
                     const Times& now, uint64_t position, Draft* draft);
  Status check_author(const Transaction& transaction, const AuthorKey& author,
                      std::optional<AuthorBinding>* binding) const;
  Status write_ops(const Transaction& transaction, const BodyHead& head, const std::vector<Hash>* authority);
  Status apply_writes(uint32_t author, const Draft& draft);
  void cited_parents(HeadSet::Item item);
  Status sign_and_append(const std::vector<Draft>& drafts, const KeyPair& author);

  // ---- Taking (store_ingest.cc)
  Status ingest_range(const VerifiedRange& range, Authority& authority, const Times& now, CommitReport& report);
  // How many entries at the front are here already; a contradiction is Code::fork.
  Status skip_known(const VerifiedRange& range, uint32_t author, size_t* known);
  Status find_fork(const VerifiedRange& range, uint32_t author, size_t last_known);
  Status record_fork(const VerifiedRange& range, uint32_t author, size_t theirs);
  Status judge(const VerifiedRange& range, size_t first, Authority& authority, size_t* accepted);
  Status append_entries(const VerifiedRange& range, size_t first, size_t end, const Times& now, CommitReport& report,
                        Status* stopped);
  Result<storage::LogRecord> record_of(uint32_t author, uint64_t seq, Bytes* buffer) const;
  Result<Hash> hash_of(uint32_t author, uint64_t seq) const;
  // Passes a status on, and remembers that the failure is the storage's own, not of the entries.
  Status own_failure(Status status);

  // ---- Checking (store_verify.cc)
  Status verify_log(Index& scratch) const;
  Status compare_indexes(Index& scratch) const;

  Files& files_;
  storage::Vfs& vfs_;
  StoreConfig config_;
  uint64_t hash_seed_;
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<Index> index_;
  Authors authors_;
  Meta meta_;
  HlcClock clock_;
  std::unique_ptr<Batch> batch_;
  bool index_behind_ = false;  // the log is ahead of the index, and of authors_, meta_ and clock_
  bool replayed_ = false;      // since the last report: authors moved that are not those of the call
  bool closed_ = false;
  uint32_t maintained_pages_ = 0;  // what the index had written when maintain() last moved its WAL
  bool storage_failed_ = false;    // during an ingest
  Bytes bodies_;                   // of the group being committed
  std::vector<KeyWrite> writes_;   // of the transaction being encoded
  std::vector<Hash> parents_;      // scratch
};

}  // namespace sereus::store
