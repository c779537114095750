// A batch: entries of one group commit, ingest, release or replay on their way into the index. It works on copies of
// the counters and clock and on an undo list of authors, inside one SQLite transaction; commit makes all of it real,
// abort none. The log is the caller's business.
#pragma once

#include <optional>
#include <string>

#include "core/store/index.h"
#include "core/store/log_kinds.h"
#include "core/store/state.h"

namespace sereus::store {

// Where an entry lies and where it is applied (the same record, except for held entries).
struct EntryPlace {
  uint64_t position = 0;          // payload, in the log
  uint64_t applied_boundary = 0;  // record that applies it
};

class Batch {
 public:
  Batch(Index& index, Authors& authors, uint64_t hash_seed) : index_(index), authors_(authors), heads_(hash_seed) {}

  Status begin(const Meta& meta, const HlcClock& clock);
  bool active() const { return transaction_.has_value(); }
  // Writes what was gathered, covering the log up to `log_end`. Not committed.
  Status write(uint64_t log_end);
  // Commits, and hands back the new meta and clock. On failure everything is undone.
  Status commit(Meta* meta, HlcClock* clock);
  void abort();

  // Working copies.
  Meta& meta() { return meta_; }
  HlcClock& clock() { return clock_; }
  HeadSet& heads() { return heads_; }
  size_t memory() const { return heads_.memory() + run_bytes_; }
  // Authors whose tip moved, in the order in which they first did.
  std::vector<AuthorTip> moved_tips() const;

  uint32_t add_author(AuthorState state);
  // The author, after a copy for undo was made.
  AuthorState& touch(uint32_t author);

  // The key's item, loaded when it is not here yet.
  Result<HeadSet::Item> load(ByteView key);

  // The log got a record whose payload is `payload` followed by `rest`.
  void note_record(uint64_t position, ByteView payload, ByteView rest = {});
  // The entry is in the log at `position`: moves its author's tip. Applied separately, unless held.
  Status add_entry(uint32_t author, const EntryView& entry, const Hash& hash, uint64_t position, bool held);
  // Applies the entry's writes in their order and takes note of its time.
  Status apply(uint32_t author, const EntryView& entry, const Hash& hash, const EntryPlace& place);
  // One write. `sequence` is that of the operation. `fresh`: made here just now, so nobody can have cited it.
  Status apply_write(HeadSet::Item item, const HeadRef& head, std::span<const Hash> parents, uint64_t sequence,
                     bool fresh);
  Status release(const HeldRow& row);
  // Log position of an entry that this batch added.
  std::optional<uint64_t> pending_position(uint32_t author, uint64_t seq) const;

 private:
  struct Touched {
    uint32_t author = 0;
    bool is_new = false;
    uint64_t seq_before = 0;
    AuthorState before;
    std::vector<RunRow> runs;
  };
  Touched& touched(uint32_t author);
  void finish();
  void add_position(uint32_t author, uint64_t seq, uint64_t position);
  Status write_heads();

  Index& index_;
  Authors& authors_;
  std::optional<storage::Transaction> transaction_;
  Meta meta_;
  HlcClock clock_;
  HeadSet heads_;
  std::vector<Touched> touched_;
  std::vector<uint32_t> slots_;  // by author: place in touched_, plus one
  size_t run_bytes_ = 0;
  std::vector<HeadRef> loaded_;  // scratch
  Bytes blob_;                   // scratch
};

}  // namespace sereus::store
