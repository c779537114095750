// From log records to the index: what opening, rebuilding and checking a store have in common, and the steps that
// taking an entry shares with them.
#pragma once

#include "core/store/batch.h"
#include "core/store/entry.h"
#include "core/store/sync_store.h"

namespace sereus::store {

// The first author operation of an entry, if it has one.
const OpView* author_op(const EntryView& entry);
const OpView* genesis_op(const EntryView& entry);

// Verifies the certificates. Dates are not checked: what one replica takes, all must take, whatever their clocks say;
// revocation is the way to end an author.
Result<AuthorBinding> bind_author(ByteView author_certificate, ByteView device_certificate, const StoreId& store,
                                  const AuthorKey& author);

// Sequence of our entry that an entry contradicts, when our tip is `tip_seq`: its own place, or the one before it.
inline uint64_t contradicted_seq(uint64_t their_seq, uint64_t tip_seq) {
  return their_seq <= tip_seq ? their_seq : their_seq - 1;
}

// An entry's record, split. Views point into what was read.
struct StoredEntry {
  ByteView body;
  Signature signature;
};
Result<StoredEntry> split_entry(ByteView payload);

class Replay {
 public:
  Replay(Batch& batch, Index& index, Authors& authors, const storage::AppendLog& log, const StoreId& store)
      : batch_(batch), index_(index), authors_(authors), log_(log), store_(store) {}

  // One record of the log, in order.
  Status record(const storage::LogRecord& record);
  // An entry that is in the log at `position` and follows its author's tip. A genesis makes the store a root store.
  Status enter(uint32_t author, const EntryView& entry, const Hash& hash, uint64_t position, bool held);
  // Applies a held entry; `boundary` is that of the record that releases it.
  Status release(uint64_t position, uint64_t boundary);
  // Writes the hashes of all entries before `until` into the index.
  Status index_entries(uint64_t until);
  uint64_t entries() const { return entries_; }

 private:
  Status entry_record(const storage::LogRecord& record);
  Status fork_record(const storage::LogRecord& record);

  Batch& batch_;
  Index& index_;
  Authors& authors_;
  const storage::AppendLog& log_;
  StoreId store_;
  uint64_t entries_ = 0;
};

}  // namespace sereus::store
