// Taking entries from peers.

#include <algorithm>

#include "core/store/replay.h"
#include "core/store/store_impl.h"

namespace sereus::store {
namespace {

Signature signature_of(const VerifiedRange& range, const VerifiedEntry& entry) {
  return *Signature::from(ByteView(range.bytes).subspan(entry.offset + entry.body_size, kSignatureSize));
}

ByteView record_payload(const VerifiedRange& range, const VerifiedEntry& entry) {
  return ByteView(range.bytes).subspan(entry.offset, entry.body_size + kSignatureSize);
}

bool signature_known(const VerifiedRange& range, size_t at) {
  return range.every_signature_checked || at + 1 == range.entries.size();
}

bool signature_holds(const VerifiedRange& range, size_t at) {
  return signature_known(range, at) ||
         verify_entry(range.header.author, range.entries[at].hash, signature_of(range, range.entries[at]));
}

// Where to cut a range that is not wholly taken: the last place up to `end` whose own signature holds, so that what is
// kept can be proved to others. `first` when there is none nearby.
size_t provable_end(const VerifiedRange& range, size_t first, size_t end) {
  for (size_t tried = 0; end > first && tried < kUnverifiedEndsMax; --end, ++tried) {
    if (signature_holds(range, end - 1)) return end;
  }
  return end > first ? first : end;
}

}  // namespace

Result<CommitReport> StoreImpl::ingest(std::vector<VerifiedRange> ranges, Authority& authority, const Times& now,
                                       std::vector<Status>* refused) {
  refused->assign(ranges.size(), Status());
  SEREUS_TRY(ready());
  CommitReport report;
  SEREUS_TRY(note_damage(batch_->begin(meta_, clock_)));
  for (size_t i = 0; i < ranges.size(); ++i) {
    Status status = ingest_range(ranges[i], authority, now, report);
    // A storage failure ends it all; a range that is refused does not touch the others.
    if (storage_failed_) {
      storage_failed_ = false;
      abandon_batch();
      return note_damage(std::move(status)).error();
    }
    (*refused)[i] = std::move(status);
  }
  std::vector<AuthorTip> tips = batch_->moved_tips();
  if (shared_->log->end() == shared_->log->durable_end()) {
    batch_->abort();
  } else {
    SEREUS_TRY(finish_batch());
  }
  fill_report(report, std::move(tips));
  return report;
}

// Marks a failure as the storage's own.
Status StoreImpl::own_failure(Status status) {
  if (!status.ok()) storage_failed_ = true;
  return status;
}

Status StoreImpl::ingest_range(const VerifiedRange& range, Authority& authority, const Times& now,
                               CommitReport& report) {
  if (range.header.store != config_.id) return fail(Code::wrong_store, "a range of another store");
  if (range.entries.empty()) return fail(Code::invalid, "a range without entries");
  const uint32_t author = authors_.find(range.header.author);
  size_t known = 0;
  SEREUS_TRY(skip_known(range, author, &known));
  if (known == range.entries.size()) return {};
  if (author == Authors::kNone && authors_.size() >= kAuthorsMax) {
    return fail(Code::too_large, "the store has 65536 authors");
  }
  size_t accepted = known;
  Status stopped = judge(range, known, authority, &accepted);
  if (accepted < range.entries.size()) accepted = provable_end(range, known, accepted);
  if (accepted > known) SEREUS_TRY(append_entries(range, known, accepted, now, report, &stopped));
  return stopped;
}

Status StoreImpl::skip_known(const VerifiedRange& range, uint32_t author, size_t* known) {
  *known = 0;
  const uint64_t first = range.header.first_seq;
  if (author == Authors::kNone) {
    if (first == 1) return {};
    return fail(Code::gap, "entries before these are missing");
  }
  const AuthorState& state = authors_.at(author);
  if (state.forked) return fail(Code::fork, "this author signed contradicting entries; nothing more is taken of it");
  if (first > state.seq + 1) return fail(Code::gap, "entries before these are missing");
  if (first == state.seq + 1) {
    if (range.header.prev == state.hash) return {};
    return record_fork(range, author, 0);
  }
  const uint64_t overlap = std::min<uint64_t>(state.seq - first + 1, range.entries.size());
  const size_t last_known = static_cast<size_t>(overlap) - 1;
  const auto ours = hash_of(author, first + last_known);
  if (!ours.ok()) return own_failure(ours.error());
  // Equal hashes: everything before is equal too.
  if (*ours != range.entries[last_known].hash) return find_fork(range, author, last_known);
  *known = last_known + 1;
  return {};
}

// The first of the entries up to `last_known` that differs from ours, by bisection: after it, all do.
Status StoreImpl::find_fork(const VerifiedRange& range, uint32_t author, size_t last_known) {
  size_t low = 0;
  size_t high = last_known;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const auto ours = hash_of(author, range.header.first_seq + middle);
    if (!ours.ok()) return own_failure(ours.error());
    if (*ours == range.entries[middle].hash) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return record_fork(range, author, low);
}

// Evidence takes two signed entries. From `theirs` on every entry of the range contradicts ours, so the first whose own
// signature holds will do, as long as ours at its place is signed as well.
Status StoreImpl::record_fork(const VerifiedRange& range, uint32_t author, size_t theirs) {
  const AuthorState& state = authors_.at(author);
  const size_t last = std::min(range.entries.size(), theirs + kUnverifiedEndsMax);
  for (size_t at = theirs; at < last; ++at) {
    const uint64_t seq = range.entries[at].view.seq;
    if (seq > state.seq + 1) break;
    if (!signature_holds(range, at)) continue;
    const uint64_t our_seq = contradicted_seq(seq, state.seq);
    Bytes buffer;
    const auto ours = record_of(author, our_seq, &buffer);
    if (!ours.ok()) return own_failure(ours.error());
    const auto stored = split_entry(ours->payload);
    if (!stored.ok()) return own_failure(stored.error());
    if (!verify_entry(state.key, entry_hash(stored->body), stored->signature)) continue;
    if (batch_->meta().counters.forks < kForkProofsMax) {
      const ByteView payload = record_payload(range, range.entries[at]);
      const auto position = shared_->log->append(kRecordFork, payload);
      if (!position.ok()) return own_failure(position.error());
      batch_->note_record(*position, payload);
      batch_->touch(author).forked = true;
      ++batch_->meta().counters.forks;
      SEREUS_TRY(own_failure(index_->add_fork({author, our_seq, *position})));
      log_line(LogLevel::warn, "author " + brief(range.header.author.view()) + " signed two entries at sequence " +
                                   std::to_string(our_seq));
    }
    return fail(Code::fork, "the author signed two entries with one predecessor");
  }
  return fail(Code::bad_signature, "the entries contradict ours, but are not signed by the author one by one");
}

// Passes the entries to the node's authority; `*accepted` is the end of those that stand. Entries that follow one
// another under one binding and one cited authority are judged by the first and the last of them: authority that ends
// at a sequence number ends for all after it. In a root store each is passed, in order.
Status StoreImpl::judge(const VerifiedRange& range, size_t first, Authority& authority, size_t* accepted) {
  const uint32_t author = authors_.find(range.header.author);
  AuthorState state;
  if (author != Authors::kNone) state = authors_.at(author);
  if (author == Authors::kNone && author_op(range.entries[first].view) == nullptr) {
    return fail(Code::denied, "the first entry of an author must carry its certificates");
  }
  bool each = config_.root || batch_->meta().counters.root;
  std::vector<Hash> cited = state.authority;
  size_t at = first;
  while (at < range.entries.size()) {
    const EntryView& entry = range.entries[at].view;
    if (at == first && entry.hlc <= state.hlc && author != Authors::kNone) {
      return fail(Code::malformed, "a timestamp not after its predecessor's");
    }
    if (const OpView* op = author_op(entry)) {
      SEREUS_ASSIGN(state.binding,
                    bind_author(op->certificates[0], op->certificates[1], config_.id, range.header.author));
    }
    if (const OpView* op = genesis_op(entry)) {
      if (root_store_id(op->party, op->nonce) != config_.id)
        return fail(Code::wrong_store, "the genesis is another store's");
      if (op->party != state.binding.party)
        return fail(Code::denied, "the genesis names another party than the author's");
      each = true;
    }
    if (entry.authority) cited = *entry.authority;
    SEREUS_TRY(authority.check(config_.id, state.binding, entry, cited));
    *accepted = ++at;
    if (each || cited.empty()) continue;
    size_t end = at;
    while (end < range.entries.size() && !range.entries[end].view.authority &&
           author_op(range.entries[end].view) == nullptr)
      ++end;
    if (end > at && authority.check(config_.id, state.binding, range.entries[end - 1].view, cited).ok()) {
      *accepted = at = end;
    }
    // Else each of them is asked about in the rounds that follow.
  }
  return {};
}

Status StoreImpl::append_entries(const VerifiedRange& range, size_t first, size_t end, const Times& now,
                                 CommitReport& report, Status* stopped) {
  uint32_t author = authors_.find(range.header.author);
  Replay replay(*batch_, *index_, authors_, *shared_->log, config_.id);
  for (size_t at = first; at < end; ++at) {
    const VerifiedEntry& entry = range.entries[at];
    const bool waits = author != Authors::kNone && authors_.at(author).held > 0;
    const bool held = waits || HlcClock::too_far_ahead(entry.view.hlc, now);
    if (held && batch_->meta().counters.held >= kHeldEntriesMax) {
      *stopped = fail(Code::future, "too many entries from the future are held already");
      return {};
    }
    if (author == Authors::kNone) {
      AuthorState state;
      state.key = range.header.author;
      author = batch_->add_author(std::move(state));
    }
    if (const OpView* op = author_op(entry.view)) {
      auto binding = bind_author(op->certificates[0], op->certificates[1], config_.id, range.header.author);
      if (!binding.ok()) return own_failure(binding.error());  // judge() has accepted it
      batch_->touch(author).binding = *binding;
    }
    uint8_t kind = kRecordEntry;
    if (held) kind |= kEntryHeld;
    if (signature_known(range, at) || at + 1 == end) kind |= kEntryChecked;
    const ByteView payload = record_payload(range, entry);
    const auto position = shared_->log->append(kind, payload);
    if (!position.ok()) return own_failure(position.error());
    batch_->note_record(*position, payload);
    if (genesis_op(entry.view) != nullptr) SEREUS_TRY(own_failure(shared_->log->flush()));  // enter() may scan the log
    SEREUS_TRY(own_failure(replay.enter(author, entry.view, entry.hash, *position, held)));
    ++(held ? report.entries_held : report.entries_applied);
  }
  return {};
}

Result<storage::LogRecord> StoreImpl::record_of(uint32_t author, uint64_t seq, Bytes* buffer) const {
  const AuthorState& state = authors_.at(author);
  uint64_t position = state.tip_position;
  if (const auto pending = batch_->pending_position(author, seq)) {
    position = *pending;  // taken a moment ago: in the log's buffer, not in the index
    SEREUS_TRY(shared_->log->flush());
  } else if (seq != state.seq) {
    SEREUS_ASSIGN(position, index_->position_of(author, seq));
  }
  SEREUS_ASSIGN(const storage::LogRecord record, shared_->log->read_record(position, buffer));
  if (!is_entry(record.kind)) return fail(Code::corrupt, "the store's index points beside an entry");
  return record;
}

Result<Hash> StoreImpl::hash_of(uint32_t author, uint64_t seq) const {
  if (seq == authors_.at(author).seq) return authors_.at(author).hash;
  Bytes buffer;
  SEREUS_ASSIGN(const storage::LogRecord record, record_of(author, seq, &buffer));
  SEREUS_ASSIGN(const StoredEntry stored, split_entry(record.payload));
  return entry_hash(stored.body);
}

}  // namespace sereus::store
