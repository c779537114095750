#include "core/store/batch.h"

#include <algorithm>

#include "core/codec/varint.h"
#include "core/storage/crc32c.h"
#include "core/store/limits.h"

namespace sereus::store {

Status Batch::begin(const Meta& meta, const HlcClock& clock) {
  SEREUS_ASSERT(!active());
  SEREUS_ASSIGN(auto transaction, index_.begin());
  transaction_.emplace(std::move(transaction));
  meta_ = meta;
  clock_ = clock;
  return {};
}

void Batch::finish() {
  for (const Touched& one : touched_) {
    if (one.author < slots_.size()) slots_[one.author] = 0;
  }
  touched_.clear();
  heads_.clear();
  run_bytes_ = 0;
  transaction_.reset();
}

void Batch::abort() {
  if (!active()) return;
  for (auto one = touched_.rbegin(); one != touched_.rend(); ++one) {
    if (one->is_new) {
      SEREUS_ASSERT(one->author + 1 == authors_.size());
      authors_.drop_last();
    } else {
      authors_.at(one->author) = std::move(one->before);
    }
  }
  transaction_->rollback();
  finish();
}

Status Batch::commit(Meta* meta, HlcClock* clock) {
  Status committed = transaction_->commit();
  if (!committed.ok()) {
    abort();
    return committed;
  }
  *meta = meta_;
  *clock = clock_;
  finish();
  return {};
}

Batch::Touched& Batch::touched(uint32_t author) {
  if (slots_.size() < authors_.size()) slots_.resize(authors_.size(), 0);
  if (slots_[author] == 0) {
    touched_.push_back({author, false, authors_.at(author).seq, authors_.at(author), {}});
    slots_[author] = static_cast<uint32_t>(touched_.size());
  }
  return touched_[slots_[author] - 1];
}

AuthorState& Batch::touch(uint32_t author) {
  touched(author);
  return authors_.at(author);
}

uint32_t Batch::add_author(AuthorState state) {
  const uint32_t author = authors_.add(std::move(state));
  touched(author).is_new = true;
  return author;
}

std::vector<AuthorTip> Batch::moved_tips() const {
  std::vector<AuthorTip> tips;
  for (const Touched& one : touched_) {
    const AuthorState& now = authors_.at(one.author);
    if (one.is_new || now.seq != one.seq_before) tips.push_back({now.key, now.seq, now.hash});
  }
  return tips;
}

Result<HeadSet::Item> Batch::load(ByteView key) {
  const HeadSet::Item found = heads_.find(key);
  if (found != HeadSet::kNone) return found;
  loaded_.clear();
  SEREUS_TRY(index_.read_heads(key, loaded_));
  for (const HeadRef& head : loaded_) {
    if (head.author >= authors_.size())
      return fail(Code::corrupt, "the store's index names an author it does not have");
  }
  return heads_.add(key, loaded_);
}

void Batch::note_record(uint64_t position, ByteView payload, ByteView rest) {
  meta_.counters.last_boundary = position - storage::kLogRecordHeaderSize;
  meta_.counters.last_crc = storage::crc32c(storage::crc32c(0, payload), rest);
}

void Batch::add_position(uint32_t author, uint64_t seq, uint64_t position) {
  std::vector<RunRow>& runs = touched(author).runs;
  if (runs.empty() || runs.back().count == kRunEntriesMax) {
    runs.push_back({author, seq, 1, position, position, {}});
    return;
  }
  RunRow& run = runs.back();
  const size_t before = run.deltas.size();
  varint_append(run.deltas, position - run.last_position);
  run_bytes_ += run.deltas.size() - before;
  run.last_position = position;
  ++run.count;
}

std::optional<uint64_t> Batch::pending_position(uint32_t author, uint64_t seq) const {
  if (author >= slots_.size() || slots_[author] == 0) return std::nullopt;
  for (const RunRow& run : touched_[slots_[author] - 1].runs) {
    if (seq >= run.first_seq && seq - run.first_seq < run.count) {
      return run_position(run.first_position, run.deltas, seq - run.first_seq);
    }
  }
  return std::nullopt;
}

Status Batch::add_entry(uint32_t author, const EntryView& entry, const Hash& hash, uint64_t position, bool held) {
  AuthorState& state = touch(author);
  SEREUS_ASSERT(entry.seq == state.seq + 1);
  state.seq = entry.seq;
  state.hash = hash;
  state.hlc = entry.hlc;
  state.tip_position = position;
  if (entry.authority) state.authority = *entry.authority;
  add_position(author, entry.seq, position);
  ++meta_.counters.entries;
  if (meta_.counters.root) SEREUS_TRY(index_.add_entry(hash));
  if (!held) return {};
  ++state.held;
  ++meta_.counters.held;
  return index_.add_held({entry.hlc, author, entry.seq, position});
}

Status Batch::apply(uint32_t author, const EntryView& entry, const Hash& hash, const EntryPlace& place) {
  clock_.observe(entry.hlc);
  uint64_t number = 0;
  for (const OpView& op : entry.ops) {
    const uint64_t sequence = sequence_at(place.applied_boundary, number++);
    if (op.kind != OpKind::put && op.kind != OpKind::remove) continue;
    SEREUS_ASSIGN(const HeadSet::Item item, load(op.key));
    HeadRef head;
    head.hlc = entry.hlc.packed();
    head.seq = entry.seq;
    head.author = author;
    head.tombstone = op.kind == OpKind::remove;
    if (!head.tombstone) {
      head.value_position = place.position + static_cast<uint64_t>(op.value.data() - entry.body.data());
      head.value_size = static_cast<uint32_t>(op.value.size());
    }
    head.hash = hash;
    SEREUS_TRY(apply_write(item, head, op.parents, sequence, false));
  }
  return {};
}

Status Batch::apply_write(HeadSet::Item item, const HeadRef& head, std::span<const Hash> parents, uint64_t sequence,
                          bool fresh) {
  Counters& counters = meta_.counters;
  const auto before = heads_.heads(item);
  const bool live_before = !before.empty() && !before.front().tombstone;
  const bool conflict_before = before.size() > 1;

  for (const Hash& parent : parents) {
    if (heads_.remove(item, parent)) continue;
    // Replaced already, or not here yet: then it must not become a head when it comes.
    bool is_new = false;
    SEREUS_TRY(index_.add_superseded(heads_.key(item), parent, &is_new));
    if (is_new) ++counters.superseded;
  }
  heads_.remove_author(item, head.author);
  bool replaced_already = false;
  if (!fresh && counters.superseded > 0) {
    SEREUS_TRY(index_.take_superseded(heads_.key(item), head.hash, &replaced_already));
    if (replaced_already) --counters.superseded;
  }
  const bool winner = !replaced_already && heads_.insert(item, head, authors_);
  if (!winner) {
    ++counters.losers;
    SEREUS_TRY(index_.add_loser(sequence));
  }
  const auto after = heads_.heads(item);
  const bool live_after = !after.empty() && !after.front().tombstone;
  counters.keys = counters.keys + (live_after ? 1 : 0) - (live_before ? 1 : 0);
  counters.conflicts = counters.conflicts + (after.size() > 1 ? 1 : 0) - (conflict_before ? 1 : 0);
  return {};
}

Status Batch::release(const HeldRow& row) {
  AuthorState& state = touch(row.author);
  if (state.held == 0 || meta_.counters.held == 0)
    return fail(Code::corrupt, "the store's index miscounts held entries");
  --state.held;
  --meta_.counters.held;
  return index_.remove_held(row);
}

Status Batch::write_heads() {
  for (const HeadSet::Item item : heads_.changed_in_order()) {
    const auto heads = heads_.heads(item);
    blob_.resize(heads.size() * kHeadRefSize);
    for (size_t i = 0; i < heads.size(); ++i) encode_head(heads[i], blob_.data() + i * kHeadRefSize);
    SEREUS_TRY(index_.write_heads(heads_.key(item), blob_, heads_.in_index(item)));
  }
  return {};
}

Status Batch::write(uint64_t log_end) {
  for (const Touched& one : touched_) {
    SEREUS_TRY(index_.write_author(one.author, authors_.at(one.author), one.is_new));
    for (const RunRow& run : one.runs) SEREUS_TRY(index_.write_run(run));
  }
  SEREUS_TRY(write_heads());
  meta_.log_end = log_end;
  meta_.hlc = clock_.last();
  meta_.digest = authors_.digest();
  return index_.write_meta(meta_);
}

}  // namespace sereus::store
