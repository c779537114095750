// One replicated store on disk: an append-only log of signed entries, the truth, and an index made of it.
//
//   stores/<id>/log        framed records (docs/formats/log.md); one fdatasync makes a group of entries durable
//   stores/<id>/index.db   SQLite: heads by key, authors and tips, positions; may lag the log by what the last commit
//                          wrote before power was lost, and is brought up to it by replay when the store opens
//
// Thread rule: a Store belongs to the writer queue. Readers have their own SQLite connection and may be used from any
// thread, one call at a time each (they lock).
#pragma once

#include <memory>
#include <string>

#include "core/base/log.h"
#include "core/ports/files.h"
#include "core/ports/random.h"
#include "core/store/kv_store.h"
#include "core/store/sync_store.h"

namespace sereus::storage {
class Vfs;
}

namespace sereus::store {

struct StoreConfig {
  StoreId id;
  std::string folder;       // relative to the data folder, "stores/<hex id>"
  bool create = false;      // make it when missing; otherwise Code::not_found
  bool fsync_each = false;  // one fdatasync per entry instead of per group
  // This is the root store: entry hashes are indexed (contains) and every entry passes Authority::check. A store whose
  // log carries a genesis is one without being told.
  bool root = false;
  Logger* logger = nullptr;  // may be null; outlives the store
};

struct RecoveryReport {
  uint64_t entries_replayed = 0;    // in the log, not yet in the index
  uint64_t torn_bytes_dropped = 0;  // incomplete record at the end, cut off
  bool index_rebuilt = false;       // the index was missing or damaged and was made anew from the log
};

class Store : public KvStore, public SyncStore {
 public:
  // `vfs` is the node's SQLite VFS over the same `files`. Damage inside the log (not at its end) is Code::corrupt and
  // changes nothing on disk.
  static Result<std::unique_ptr<Store>> open(Files& files, storage::Vfs& vfs, Random& random, const StoreConfig& config,
                                             RecoveryReport* report);
  // Sequence and hash of an author here; nothing when it never wrote.
  virtual std::optional<AuthorTip> tip(const AuthorKey& author) const = 0;
  virtual std::optional<AuthorBinding> binding(const AuthorKey& author) const = 0;
  // Head entries of the whole store that are not yet cited by another: what entries elsewhere cite as authority.
  virtual std::vector<Hash> authority_heads() const = 0;
  // True when the entry is in this store's log (used by Authority on the root store).
  virtual bool contains(const Hash& entry) const = 0;
  virtual Result<std::unique_ptr<StoreReader>> make_reader() = 0;
  virtual Result<std::unique_ptr<RangeReader>> make_range_reader() = 0;
  // Evidence of every fork seen (at most kForkProofsMax), each provable from its two entries alone.
  virtual Result<std::vector<ForkProof>> fork_proofs() = 0;
  // Work that can wait, for when the writer queue is idle: moves the index's WAL into the index when it has grown.
  // A commit does it by itself only when nobody called this for long.
  virtual Status maintain() = 0;
  // True when maintain() has something to do.
  virtual bool maintenance_due() const = 0;
  // All tips, the digest and the sequence as they are. For who keeps them from reports: a call that failed may have moved the
  // store before it did.
  virtual CommitReport report() const = 0;
  // Reads the whole log: every hash, chain and signature, and compares the index. Code::corrupt says where.
  virtual Status verify() = 0;
  // Checkpoints the index and releases files; the object is then only good for destruction.
  virtual Status close() = 0;
};

}  // namespace sereus::store
