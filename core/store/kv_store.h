// The application's side of a store: it reads and writes, and cannot ingest. See sync_store.h for the other side.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/store/entry.h"

namespace sereus::store {

struct WriteOp {
  OpKind kind = OpKind::put;  // put or remove; author and genesis are written by the node
  Bytes key;
  Bytes value;
  std::vector<Bytes> certificates;  // author
  PartyKey party;                   // genesis
  std::array<uint8_t, 16> nonce{};  // genesis
};

// One entry: all of its operations, or none.
struct Transaction {
  std::vector<WriteOp> ops;
};

struct Written {
  uint64_t seq = 0;       // of this author
  uint64_t sequence = 0;  // change sequence of this replica after the transaction: resume point of a watch
  Hash hash;
  Hlc hlc;
};

struct AuthorTip {
  AuthorKey author;
  uint64_t seq = 0;
  Hash hash;
};

// What a group commit or an ingest changed; handed to the node when the job is done.
struct CommitReport {
  std::vector<Result<Written>> written;  // one for each transaction, in order (commit only)
  std::vector<AuthorTip> tips;           // of the authors that moved
  Digest digest;
  uint64_t sequence = 0;  // change sequence after the commit
  uint64_t entries_applied = 0;
  uint64_t entries_held = 0;  // from the future, kept
};

class KvStore {
 public:
  virtual ~KvStore() = default;
  // Group commit: each transaction becomes one signed entry; all are durable (one fdatasync) and visible to readers
  // when it returns. A transaction that cannot be written (key too long...) fails alone; an I/O error fails all that
  // were not yet durable, and the next commit goes on from the last whole entry. When the disk fills up after the log was
  // synced, they fail although they are durable ("kept in the log..."), and show at the next call that succeeds.
  // Of several writes of one key in a transaction the last one counts. The author's first transaction needs an author
  // operation (Code::denied without).
  // `authority`: heads of the root store to cite, or nothing in a root store.
  virtual Result<CommitReport> commit(std::vector<Transaction> transactions, const KeyPair& author,
                                      const std::vector<Hash>& authority, const Times& now) = 0;
  // Applies held entries whose time has come. Returns what changed, and the wall time (us) of the next, 0 for none.
  virtual Result<CommitReport> release_held(const Times& now, int64_t* next_wall_us) = 0;
};

// ---- Reading: any thread, short-lived snapshots -------------------------------------------------------------------

struct Head {
  Hash hash;  // the entry that wrote it
  AuthorKey author;
  uint64_t seq = 0;
  Hlc hlc;
  bool tombstone = false;
  Bytes value;  // empty for a tombstone, or when values were not asked for
  uint64_t value_size = 0;
};

struct ListRow {
  Bytes key;
  Bytes value;  // empty when values were not asked for
  uint64_t value_size = 0;
  Hlc hlc;
  AuthorKey author;
  uint32_t heads = 1;  // more than one: written concurrently
};

struct Change {           // one operation as it was applied here
  uint64_t sequence = 0;  // position to resume after
  Bytes key;
  Bytes value;
  bool tombstone = false;
  bool winner = false;  // was what a read returned right after it was applied
  Hlc hlc;
  AuthorKey author;
};

struct StoreStats {
  uint64_t entries = 0;
  uint64_t keys = 0;       // with a live winner
  uint64_t conflicts = 0;  // keys with more than one head
  uint64_t authors = 0;
  uint64_t held = 0;
  uint64_t forks = 0;  // authors seen to fork
  uint64_t log_bytes = 0;
  uint64_t sequence = 0;
  uint64_t epoch = 0;  // changes when sequences start anew; a watch from another epoch gets RESET
  Digest digest;
};

class StoreReader {
 public:
  virtual ~StoreReader() = default;
  // The winner: highest HLC, then greatest author key. Code::not_found for none or a tombstone.
  virtual Result<Bytes> get(ByteView key) = 0;
  // All heads, winner first.
  virtual Result<std::vector<Head>> heads(ByteView key, bool with_values) = 0;
  // Keys with `prefix`, after `after` (exclusive; empty: from the start), in byte order, at most `limit` (capped at
  // kListPageMax). Tombstones are left out.
  virtual Result<std::vector<ListRow>> list(ByteView prefix, ByteView after, size_t limit, bool with_values) = 0;
  // Changes after `sequence` (0: from the start), in order, whose key begins with `prefix`: at most `limit` of them and
  // about `bytes_max` bytes. `*scanned` becomes the sequence reached (to resume from, even when nothing matched).
  // Code::invalid for a sequence that is not one of this store: it is of another epoch, start anew.
  virtual Result<std::vector<Change>> changes(uint64_t sequence, ByteView prefix, size_t limit, size_t bytes_max,
                                              uint64_t* scanned) = 0;
  virtual Result<StoreStats> stats() = 0;
  // H over all (key, heads) in order: equal on replicas that hold the same state. Reads everything; for checks.
  virtual Result<Hash> state_digest() = 0;
};

}  // namespace sereus::store
