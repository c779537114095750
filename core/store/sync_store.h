// The network's side of a store: tips, ranges, ingest. It cannot write.
#pragma once

#include <memory>

#include "core/store/kv_store.h"
#include "core/store/range.h"

namespace sereus::store {

// Who may write, decided by the node from the root store. Called by ingest on the writer queue.
struct AuthorBinding {
  AuthorKey author;
  DeviceKey device;
  PartyKey party;
  Incarnation incarnation;
};
class Authority {
 public:
  virtual ~Authority() = default;
  // Entries of a root store come one by one, in the order of each chain, before any of their range is in the store. Of
  // entries that follow one another in another store, under one binding and one cited authority, only the first and the
  // last are asked about when both stand: authority that ends at a sequence number ends for all after it.
  // Ok: the entry stands. denied: refused for good. pending: the cited authority is not known here yet.
  // `cited` are the root heads this entry stands under (its own, or its author's latest).
  virtual Status check(const StoreId& store, const AuthorBinding& binding, const EntryView& entry,
                       const std::vector<Hash>& cited) = 0;
};

struct ForkProof {
  AuthorKey author;
  Bytes ours;  // entry (body and signature)
  Bytes theirs;
};

class SyncStore {
 public:
  virtual ~SyncStore() = default;
  virtual StoreId id() const = 0;
  virtual std::vector<AuthorTip> tips() const = 0;
  virtual Digest digest() const = 0;
  // Appends and applies verified ranges: durable and visible when it returns. Entries already here are skipped (their
  // hashes compared: a difference is Code::fork, the proof kept and countable in stats). The first entry of an author
  // must carry its certificates. Entries too far in the future are kept and held. `refused` gets the error of each range
  // that was not (wholly) taken, aligned with `ranges`; ok for the others. An error of the call itself is the storage's:
  // nothing was taken, or (the message says so) it is in the log and shows at the next call.
  virtual Result<CommitReport> ingest(std::vector<VerifiedRange> ranges, Authority& authority, const Times& now,
                                      std::vector<Status>* refused) = 0;
};

// Reads ranges to send; for the worker queue, beside the writer.
class RangeReader {
 public:
  virtual ~RangeReader() = default;
  // Entries of `author` from `first_seq`, up to about `bytes_max` (at least one entry) and kRangeEntriesMax. Ends at an
  // entry whose own signature was verified, so that a receiver may check the chain by its last signature.
  // Code::not_found when there is none.
  virtual Result<std::pair<RangeHeader, Bytes>> read_range(const AuthorKey& author, uint64_t first_seq,
                                                           size_t bytes_max) = 0;
  // Hash of an author's entry; Code::not_found.
  virtual Result<Hash> hash_at(const AuthorKey& author, uint64_t seq) = 0;
};

}  // namespace sereus::store
