// A store in a node: its machine on the writer queue, its readers, what waits to be written or ingested, its watches,
// and the node's copy of its tips.
//
// One writer job of a store is under way at a time, and takes all that has gathered meanwhile: that is the group commit.
// Thread rule: the node's thread; `Writer` belongs to the writer queue.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/crypto/keystore.h"
#include "core/node/context.h"
#include "core/node/limits.h"
#include "core/node/node_db.h"
#include "core/node/root_authority.h"
#include "core/store/store.h"
#include "core/store/sync_session.h"

namespace sereus::node {

// What belongs to the writer queue.
struct StoreWriter {
  std::unique_ptr<store::Store> store;
  std::unique_ptr<RootAuthority> authority;  // of a root store: guards it and the data stores under it
};

// Everything that opening a store yields; made on any one thread, then adopted by a slot.
struct OpenedStore {
  std::shared_ptr<StoreWriter> writer;
  std::shared_ptr<store::StoreReader> view_reader;   // for the application's threads
  std::shared_ptr<store::StoreReader> watch_reader;  // for the worker queue
  std::shared_ptr<store::RangeReader> range_reader;  // for the worker queue
  store::SyncSession::TipMap tips;
  Digest digest;
  store::StoreStats stats;
  std::vector<Hash> authority_heads;            // root stores
  std::shared_ptr<const RootState> root_state;  // root stores
  store::RecoveryReport recovery;
};

struct StoreOpenOptions {
  StoreId id;
  bool is_root = false;
  bool create = false;
  bool fsync_each = false;
};
std::string store_folder(const StoreId& id);
Result<OpenedStore> open_store(Files& files, storage::Vfs& vfs, Random& random, Logger* logger,
                               const StoreOpenOptions& options);

// Ranges that a session received, on their way into the store.
struct IngestBatch {
  uint64_t session = 0;  // the stream it came by
  size_t payload_bytes = 0;
  uint32_t entries = 0;
  std::optional<Result<store::VerifiedRange>> verified;  // nothing while the worker is at it
};

class StoreSlot;
class StoreSlotOwner {
 public:
  virtual ~StoreSlotOwner() = default;
  // The replica moved; tips, digest, root state of the slot are up to date.
  virtual void store_moved(StoreSlot& slot, const std::vector<store::AuthorTip>& tips) = 0;
  // A batch of this session was dealt with.
  virtual void store_ingested(StoreSlot& slot, uint64_t session, size_t payload_bytes, uint32_t entries,
                              const Status& outcome) = 0;
};

class StoreSlot {
 public:
  StoreSlot(NodeContext& context, StoreSlotOwner& owner, uint64_t handle, LocalStore local);

  // ---- Identity --------------------------------------------------------------------------------------------------------
  uint64_t handle() const { return handle_; }
  const StoreId& id() const { return local_.id; }
  const StoreId& root() const { return local_.root; }
  bool is_root() const { return local_.id == local_.root; }
  LocalStore& local() { return local_; }
  bool usable() const { return opened_.has_value() && !closing_; }
  const std::string& problem() const { return problem_; }  // why it could not be opened
  void set_problem(std::string problem) { problem_ = std::move(problem); }

  void adopt(OpenedStore opened, std::shared_ptr<StoreWriter> root_writer, const Keystore& keystore);
  std::shared_ptr<StoreWriter> writer() const { return opened_ ? opened_->writer : nullptr; }
  std::shared_ptr<store::StoreReader> view_reader() const { return opened_ ? opened_->view_reader : nullptr; }
  std::shared_ptr<store::RangeReader> range_reader() const { return opened_ ? opened_->range_reader : nullptr; }

  // ---- The node's copies ------------------------------------------------------------------------------------------------
  const store::SyncSession::TipMap& tips() const { return opened_->tips; }
  const Digest& digest() const { return opened_->digest; }
  const std::vector<Hash>& authority_heads() const { return opened_->authority_heads; }
  std::shared_ptr<const RootState> root_state() const { return opened_->root_state; }
  const AuthorKey& author() const { return author_; }

  // ---- Work ---------------------------------------------------------------------------------------------------------------
  // Writes a transaction; `then` gets the outcome after it is durable (or Code::cancelled). `authority`: heads of the root
  // store now; ignored by a root store, which cites itself.
  using WriteDone = std::function<void(const Result<store::Written>&)>;
  void write(std::optional<OpRef> ref, store::Transaction transaction, WriteDone then);
  // Takes a pending write back; false when it is being written.
  bool withdraw(OpRef ref);
  void set_root_slot(StoreSlot* root) { root_slot_ = root; }
  // Verifies on the worker, then ingests. Bounded by the sessions that call it.
  void ingest(uint64_t session, store::ReceivedRange range, bool every_signature);
  void start_work();

  void watch(OpRef ref, Bytes prefix, uint64_t epoch, uint64_t sequence);
  void end_watch(OpRef ref, Code code);
  void end_watches(Code code);
  void pump_watches();
  size_t watch_count() const { return watches_.size(); }

  // Applies held entries whose time has come. Wall time (us) of the next, 0 for none.
  int64_t next_held_wall_us() const { return next_held_wall_us_; }

  // Fails what waits to be written, or with `drain` writes it; lets what is under way finish, then closes the store on
  // the writer queue. `then` runs afterwards.
  // Data stores close before their root store, whose authority they use.
  void close(bool drain, std::function<void()> then);
  bool busy() const { return working_ || verifying_ > 0 || reading_ > 0; }

 private:
  struct PendingWrite {
    std::optional<OpRef> ref;
    store::Transaction transaction;
    size_t bytes = 0;
    WriteDone then;
  };
  struct Watch {
    OpRef ref;
    Bytes prefix;
    uint64_t epoch = 0;
    uint64_t sequence = 0;
    bool from_now = false;
    bool reading = false;
    bool reset_due = false;
  };
  struct CommitOutcome {
    std::optional<Result<store::CommitReport>> report;
    std::optional<store::CommitReport> afterwards;  // where that failed: what the store holds now
    std::vector<Status> refused;
    std::vector<Hash> authority_heads;
    std::shared_ptr<const RootState> root_state;
    int64_t next_held_wall_us = 0;
    bool maintenance_due = false;
  };

  void start_commit();
  void start_ingest();
  void start_release();
  void start_maintenance();
  void finish_commit(std::vector<PendingWrite> batch, CommitOutcome& outcome);
  void finish_ingest(const std::vector<IngestBatch>& batches, CommitOutcome& outcome);
  void take_outcome(CommitOutcome& outcome);
  void finish_close();
  void read_watch(Watch& watch);
  void finish_watch_read(OpRef ref, const Result<std::vector<store::Change>>& changes, uint64_t scanned,
                         uint64_t epoch);
  static void look_after_job(StoreWriter& writer, CommitOutcome& outcome);
  store::WriteOp introduction(const Keystore& keystore) const;

  NodeContext& context_;
  StoreSlotOwner& owner_;
  uint64_t handle_;
  LocalStore local_;
  std::string problem_;
  std::optional<OpenedStore> opened_;
  std::shared_ptr<StoreWriter> root_writer_;
  StoreSlot* root_slot_ = nullptr;
  AuthorKey author_;
  std::shared_ptr<KeyPair> author_pair_;
  store::WriteOp introduction_;  // the author operation that an author's first entry begins with
  bool introduced_ = false;

  std::deque<PendingWrite> pending_;
  std::deque<std::shared_ptr<IngestBatch>> ingest_;
  size_t verifying_ = 0;
  size_t reading_ = 0;  // jobs for watches, also for those that have ended since
  bool maintenance_due_ = false;
  bool working_ = false;      // a writer job of this store is under way
  bool ingest_turn_ = false;  // commits and ingests alternate, so that neither starves
  bool closing_ = false;
  std::function<void()> closed_;
  int64_t next_held_wall_us_ = 0;
  std::map<OpRef, Watch> watches_;
};

}  // namespace sereus::node
