#include "core/node/store_slot.h"

#include <algorithm>

namespace sereus::node {

std::string store_folder(const StoreId& id) { return "stores/" + id.hex(); }

Result<OpenedStore> open_store(Files& files, storage::Vfs& vfs, Random& random, Logger* logger,
                               const StoreOpenOptions& options) {
  store::StoreConfig config;
  config.id = options.id;
  config.folder = store_folder(options.id);
  config.create = options.create;
  config.fsync_each = options.fsync_each;
  config.logger = logger;
  OpenedStore opened;
  SEREUS_ASSIGN(auto machine, store::Store::open(files, vfs, random, config, &opened.recovery));
  SEREUS_ASSIGN(auto view_reader, machine->make_reader());
  SEREUS_ASSIGN(auto watch_reader, machine->make_reader());
  SEREUS_ASSIGN(auto range_reader, machine->make_range_reader());
  SEREUS_ASSIGN(opened.stats, watch_reader->stats());
  for (const store::AuthorTip& tip : machine->tips()) opened.tips[tip.author] = tip;
  opened.digest = machine->digest();
  opened.writer = std::make_shared<StoreWriter>();
  if (options.is_root) {
    SEREUS_ASSIGN(auto reader, machine->make_reader());
    opened.authority_heads = machine->authority_heads();
    opened.writer->authority = std::make_unique<RootAuthority>(*machine, std::move(reader));
    SEREUS_ASSIGN(opened.root_state, opened.writer->authority->state());
  }
  opened.writer->store = std::move(machine);
  opened.view_reader = std::move(view_reader);
  opened.watch_reader = std::move(watch_reader);
  opened.range_reader = std::move(range_reader);
  return opened;
}

StoreSlot::StoreSlot(NodeContext& context, StoreSlotOwner& owner, uint64_t handle, LocalStore local)
    : context_(context), owner_(owner), handle_(handle), local_(std::move(local)) {}

void StoreSlot::adopt(OpenedStore opened, std::shared_ptr<StoreWriter> root_writer, const Keystore& keystore) {
  opened_ = std::move(opened);
  root_writer_ = is_root() ? opened_->writer : std::move(root_writer);
  author_pair_ = std::make_shared<KeyPair>(keystore.author(local_.id));
  author_ = author_pair_->author_key();
  introduced_ = opened_->tips.contains(author_);
  introduction_ = introduction(keystore);
  next_held_wall_us_ = opened_->stats.held > 0 ? 1 : 0;
}

store::WriteOp StoreSlot::introduction(const Keystore& keystore) const {
  store::WriteOp op;
  op.kind = store::OpKind::author;
  op.certificates.push_back(keystore.author_certificate(local_.id, static_cast<uint64_t>(wall_seconds(context_.now))));
  op.certificates.push_back(keystore.device_certificate());
  return op;
}

// ---- Writing --------------------------------------------------------------------------------------------------------

void StoreSlot::write(std::optional<OpRef> ref, store::Transaction transaction, WriteDone then) {
  PendingWrite write;
  write.ref = ref;
  for (const store::WriteOp& op : transaction.ops) write.bytes += op.key.size() + op.value.size() + 64;
  write.transaction = std::move(transaction);
  write.then = std::move(then);
  pending_.push_back(std::move(write));
}

bool StoreSlot::withdraw(OpRef ref) {
  const auto found =
      std::find_if(pending_.begin(), pending_.end(), [&](const PendingWrite& w) { return w.ref == ref; });
  if (found == pending_.end()) return false;
  WriteDone then = std::move(found->then);
  pending_.erase(found);
  then(fail(Code::cancelled, "cancelled before it was written"));
  return true;
}

void StoreSlot::start_work() {
  if (!opened_ || working_) return;
  const bool can_commit = !pending_.empty();
  const bool can_ingest = !ingest_.empty() && ingest_.front()->verified.has_value();
  const bool can_release = next_held_wall_us_ != 0 && context_.now.wall_us >= next_held_wall_us_ && !closing_;
  if (can_ingest && (!can_commit || ingest_turn_)) {
    ingest_turn_ = false;
    start_ingest();
  } else if (can_commit) {
    ingest_turn_ = true;
    start_commit();
  } else if (can_release) {
    start_release();
  } else if (maintenance_due_ && !closing_) {
    start_maintenance();
  } else if (closing_ && verifying_ == 0 && reading_ == 0) {
    // Jobs of the worker come back to this slot, which is gone once the store is closed.
    finish_close();
  }
}

void StoreSlot::look_after_job(StoreWriter& writer, CommitOutcome& outcome) {
  outcome.maintenance_due = writer.store->maintenance_due();
  if (!outcome.report->ok()) outcome.afterwards = writer.store->report();
  if (!writer.authority) return;
  writer.authority->refresh();
  outcome.authority_heads = writer.store->authority_heads();
  if (auto state = writer.authority->state(); state.ok()) outcome.root_state = *state;
}

void StoreSlot::start_commit() {
  auto batch = std::make_shared<std::vector<PendingWrite>>();
  auto transactions = std::make_shared<std::vector<store::Transaction>>();
  size_t bytes = 0;
  // The first entry goes alone: when it is refused, what was written with it would be an author's that nobody has introduced.
  const size_t entries_max = introduced_ ? store::kCommitEntriesMax : 1;
  while (!pending_.empty() && batch->size() < entries_max && bytes < kCommitBytesMax) {
    bytes += pending_.front().bytes;
    batch->push_back(std::move(pending_.front()));
    pending_.pop_front();
    transactions->push_back(std::move(batch->back().transaction));
  }
  if (!introduced_) transactions->front().ops.insert(transactions->front().ops.begin(), introduction_);
  working_ = true;
  auto outcome = std::make_shared<CommitOutcome>();
  const std::vector<Hash> authority =
      root_slot_ != nullptr && root_slot_->opened_ ? root_slot_->authority_heads() : std::vector<Hash>();
  context_.run(
      JobQueue::writer,
      [writer = opened_->writer, author = author_pair_, transactions, outcome, authority, now = context_.now] {
        outcome->report = writer->store->commit(std::move(*transactions), *author, authority, now);
        look_after_job(*writer, *outcome);
      },
      [this, batch, outcome] { finish_commit(std::move(*batch), *outcome); });
}

void StoreSlot::finish_commit(std::vector<PendingWrite> batch, CommitOutcome& outcome) {
  working_ = false;
  Result<store::CommitReport>& report = *outcome.report;
  if (report.ok()) {
    SEREUS_ASSERT(report->written.size() == batch.size());
    // Only the entry that was written with it has introduced the author.
    if (!introduced_) introduced_ = report->written.front().ok();
    take_outcome(outcome);
    for (size_t i = 0; i < batch.size(); ++i) batch[i].then(report->written[i]);
  } else {
    take_outcome(outcome);
    for (PendingWrite& write : batch) write.then(report.error());
  }
  start_work();
}

void StoreSlot::take_outcome(CommitOutcome& outcome) {
  if (!outcome.report->ok() && !outcome.afterwards) return;
  const store::CommitReport& report = outcome.report->ok() ? **outcome.report : *outcome.afterwards;
  for (const store::AuthorTip& tip : report.tips) opened_->tips[tip.author] = tip;
  opened_->digest = report.digest;
  opened_->stats.sequence = std::max(opened_->stats.sequence, report.sequence);
  maintenance_due_ = outcome.maintenance_due;
  if (outcome.root_state) {
    opened_->root_state = outcome.root_state;
    opened_->authority_heads = std::move(outcome.authority_heads);
  }
  if (report.entries_held > 0) next_held_wall_us_ = 1;  // look soon; the job says when
  owner_.store_moved(*this, report.tips);
  pump_watches();
}

void StoreSlot::start_release() {
  working_ = true;
  auto outcome = std::make_shared<CommitOutcome>();
  context_.run(
      JobQueue::writer,
      [writer = opened_->writer, outcome, now = context_.now] {
        outcome->report = writer->store->release_held(now, &outcome->next_held_wall_us);
        look_after_job(*writer, *outcome);
      },
      [this, outcome] {
        working_ = false;
        next_held_wall_us_ = outcome->next_held_wall_us;
        take_outcome(*outcome);
        start_work();
      });
}

// Only when nothing waits to be written: moving the WAL takes some syncs. A failure shows again with the next commit.
void StoreSlot::start_maintenance() {
  working_ = true;
  maintenance_due_ = false;
  context_.run(
      JobQueue::writer, [writer = opened_->writer] { (void)writer->store->maintain(); },
      [this] {
        working_ = false;
        start_work();
      });
}

// ---- Ingesting ------------------------------------------------------------------------------------------------------

void StoreSlot::ingest(uint64_t session, store::ReceivedRange range, bool every_signature) {
  auto batch = std::make_shared<IngestBatch>();
  batch->session = session;
  batch->payload_bytes = range.payload.size();
  batch->entries = range.header.entries;
  ingest_.push_back(batch);
  ++verifying_;
  std::array<uint8_t, 32> seed{};
  context_.ports.random->fill(seed);
  auto received = std::make_shared<store::ReceivedRange>(std::move(range));
  const auto policy = every_signature ? store::VerifyPolicy::every_signature : store::VerifyPolicy::chain;
  auto verified = std::make_shared<std::optional<Result<store::VerifiedRange>>>();
  context_.run(
      JobQueue::worker,
      [received, policy, seed, verified] {
        verified->emplace(store::verify_range(received->header, received->payload, policy, seed));
      },
      [this, batch, verified] {
        --verifying_;
        batch->verified = std::move(*verified);
        start_work();
      });
}

void StoreSlot::start_ingest() {
  auto batches = std::make_shared<std::vector<IngestBatch>>();
  auto ranges = std::make_shared<std::vector<store::VerifiedRange>>();
  while (!ingest_.empty() && batches->size() < kIngestRangesMax && ingest_.front()->verified) {
    batches->push_back(std::move(*ingest_.front()));
    ingest_.pop_front();
    Result<store::VerifiedRange>& verified = *batches->back().verified;
    if (verified.ok()) ranges->push_back(std::move(verified).value());
  }
  working_ = true;
  auto outcome = std::make_shared<CommitOutcome>();
  context_.run(
      JobQueue::writer,
      [writer = opened_->writer, root = root_writer_, ranges, outcome, now = context_.now] {
        if (!root || !root->authority) {
          outcome->report = fail(Code::pending, "the root store is not here yet");
          return;
        }
        outcome->report = writer->store->ingest(std::move(*ranges), *root->authority, now, &outcome->refused);
        look_after_job(*writer, *outcome);
      },
      [this, batches, outcome] { finish_ingest(*batches, *outcome); });
}

void StoreSlot::finish_ingest(const std::vector<IngestBatch>& batches, CommitOutcome& outcome) {
  working_ = false;
  const Result<store::CommitReport>& report = *outcome.report;
  take_outcome(outcome);
  size_t taken = 0;
  for (const IngestBatch& batch : batches) {
    Status status;
    if (!batch.verified->ok()) {
      status = batch.verified->error();
    } else if (!report.ok()) {
      status = report.error();
    } else if (taken < outcome.refused.size()) {
      status = outcome.refused[taken++];
    }
    owner_.store_ingested(*this, batch.session, batch.payload_bytes, batch.entries, status);
  }
  start_work();
}

// ---- Watching -------------------------------------------------------------------------------------------------------

void StoreSlot::watch(OpRef ref, Bytes prefix, uint64_t epoch, uint64_t sequence) {
  Watch watch;
  watch.ref = ref;
  watch.prefix = std::move(prefix);
  watch.epoch = opened_->stats.epoch;
  watch.sequence = sequence;
  if (epoch == 0 && sequence == 0) {
    watch.sequence = opened_->stats.sequence;
  } else if (epoch == UINT64_MAX) {
    watch.sequence = 0;
  } else if (epoch != opened_->stats.epoch || sequence > opened_->stats.sequence) {
    watch.sequence = opened_->stats.sequence;
    watch.reset_due = true;
  }
  watches_[ref] = std::move(watch);
  pump_watches();
}

void StoreSlot::end_watch(OpRef ref, Code code) {
  if (watches_.erase(ref) == 0) return;
  context_.complete(ref, code == Code::ok ? Status() : Status(fail(code, "the watch has ended")));
}

void StoreSlot::end_watches(Code code) {
  while (!watches_.empty()) end_watch(watches_.begin()->first, code);
}

void StoreSlot::pump_watches() {
  if (!usable()) return;
  for (auto& [ref, watch] : watches_) {
    if (watch.reading) continue;
    if (watch.reset_due && context_.ports.events->room(ref.origin) > 0) {
      watch.reset_due = false;
      Event event;
      event.kind = EventKind::watch_reset;
      event.origin = ref.origin;
      event.op = ref.op;
      event.store = handle_;
      event.epoch = watch.epoch;
      event.sequence = watch.sequence;
      context_.emit(std::move(event));
    }
    if (watch.reset_due || watch.sequence >= opened_->stats.sequence) continue;
    read_watch(watch);
  }
}

void StoreSlot::read_watch(Watch& watch) {
  const size_t room = context_.ports.events->room(watch.ref.origin);
  if (room == 0) return;
  watch.reading = true;
  ++reading_;
  struct Read {
    std::optional<Result<std::vector<store::Change>>> changes;
    uint64_t scanned = 0;
  };
  auto read = std::make_shared<Read>();
  const size_t limit = std::min(room, kWatchChangesPerRead);
  context_.run(
      JobQueue::worker,
      [reader = opened_->watch_reader, read, limit, prefix = watch.prefix, sequence = watch.sequence] {
        read->scanned = sequence;
        read->changes = reader->changes(sequence, prefix, limit, kWatchBytesPerRead, &read->scanned);
      },
      [this, ref = watch.ref, read, epoch = watch.epoch] {
        --reading_;
        finish_watch_read(ref, *read->changes, read->scanned, epoch);
        if (closing_) start_work();
      });
}

void StoreSlot::finish_watch_read(OpRef ref, const Result<std::vector<store::Change>>& changes, uint64_t scanned,
                                  uint64_t epoch) {
  const auto found = watches_.find(ref);
  if (found == watches_.end()) return;
  Watch& watch = found->second;
  watch.reading = false;
  if (!changes.ok()) {
    const Status failed = changes.error();
    watches_.erase(found);
    return context_.complete(ref, failed);
  }
  // The worker may see a commit before the node hears of it; a watch that goes on from there must not be taken for one of
  // another history.
  opened_->stats.sequence = std::max(opened_->stats.sequence, scanned);
  // Other events may have taken room meanwhile: what does not fit is read again later.
  size_t room = context_.ports.events->room(ref.origin);
  for (const store::Change& change : *changes) {
    if (room == 0) return;
    --room;
    Event event;
    event.kind = EventKind::store_change;
    event.origin = ref.origin;
    event.op = ref.op;
    event.store = handle_;
    event.epoch = epoch;
    event.sequence = change.sequence;
    event.key = change.key;
    event.data = change.value;
    event.deleted = change.tombstone;
    event.winner = change.winner;
    event.hlc_wall_ms = change.hlc.wall_ms;
    event.hlc_counter = change.hlc.counter;
    event.author = to_bytes(change.author.view());
    watch.sequence = change.sequence;
    context_.emit(std::move(event));
  }
  watch.sequence = scanned;
  if (watch.sequence < opened_->stats.sequence && usable()) read_watch(watch);
}

// ---- Closing --------------------------------------------------------------------------------------------------------

void StoreSlot::close(bool drain, std::function<void()> then) {
  SEREUS_ASSERT(!closing_);
  closing_ = true;
  closed_ = std::move(then);
  end_watches(Code::cancelled);
  std::deque<PendingWrite> pending;
  if (!drain || !opened_) pending = std::exchange(pending_, {});
  for (PendingWrite& write : pending) write.then(fail(Code::cancelled, "the node is closing"));
  if (!opened_) {
    std::exchange(closed_, nullptr)();
    return;
  }
  start_work();
}

void StoreSlot::finish_close() {
  working_ = true;
  context_.run(
      JobQueue::writer,
      [opened = std::make_shared<OpenedStore>(std::move(*opened_)), root = std::move(root_writer_)]() mutable {
        // Readers first: a checkpoint copies everything only when nobody holds the database open.
        opened->view_reader.reset();
        opened->watch_reader.reset();
        opened->range_reader.reset();
        root.reset();
        opened->writer->authority.reset();
        (void)opened->writer->store->close();
        opened->writer->store.reset();
      },
      [this] {
        working_ = false;
        opened_.reset();
        std::exchange(closed_, nullptr)();
      });
}

}  // namespace sereus::node
