// The index of a store's log: SQLite, made of the log and nothing else (docs/formats/store.md). The statements of
// the writer; readers have their own in reader.cc and range_reader.cc.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/storage/database.h"
#include "core/storage/vfs.h"
#include "core/store/state.h"

namespace sereus::store {

inline constexpr uint32_t kIndexApplicationId = 0x53657231;  // "Ser1"
std::span<const char* const> index_migrations();

// Positions of consecutive entries of one author: a row of table `run`.
struct RunRow {
  uint32_t author = 0;
  uint64_t first_seq = 0;
  uint64_t count = 0;
  uint64_t first_position = 0;
  uint64_t last_position = 0;  // to make the next delta; not stored
  Bytes deltas;                // varints: position minus the preceding one, count - 1 of them
};

struct HeldRow {
  Hlc hlc;
  uint32_t author = 0;
  uint64_t seq = 0;
  uint64_t position = 0;
};

class Index {
 public:
  // `create`: a new file, `scratch`: it need not survive.
  static Result<std::unique_ptr<Index>> open(storage::Vfs& vfs, const std::string& path, bool create, bool scratch);

  storage::Database& database() { return *database_; }
  Result<storage::Transaction> begin() {
    return storage::Transaction::begin(*database_, storage::Transaction::Kind::write);
  }

  // ---- Reading
  Result<std::optional<Meta>> read_meta();
  Status read_authors(Authors& authors);
  Status read_heads(ByteView key, std::vector<HeadRef>& heads);  // appends; nothing for an unknown key
  // Position of an entry's payload in the log.
  Result<uint64_t> position_of(uint32_t author, uint64_t seq);
  // Held entries due by `due`, in the order of release, at most `limit`.
  Status read_held(Hlc due, size_t limit, std::vector<HeldRow>& rows);
  Result<std::optional<Hlc>> first_held();
  struct ForkRow {
    uint32_t author = 0;
    uint64_t seq = 0;       // of our entry
    uint64_t position = 0;  // of the evidence
  };
  Status read_forks(std::vector<ForkRow>& rows);
  Result<bool> has_entry(const Hash& hash);

  // ---- Writing, inside a transaction
  Status write_meta(const Meta& meta);
  Status write_author(uint32_t number, const AuthorState& state, bool is_new);
  Status write_run(const RunRow& run);
  Status write_heads(ByteView key, ByteView blob, bool in_index);
  Status add_superseded(ByteView key, const Hash& hash, bool* is_new);
  Status take_superseded(ByteView key, const Hash& hash, bool* was_there);
  Status add_loser(uint64_t sequence);
  Status add_held(const HeldRow& row);
  Status remove_held(const HeldRow& row);
  Status add_fork(const ForkRow& row);
  Status add_entry(const Hash& hash);

 private:
  Index() = default;
  Status prepare();

  std::unique_ptr<storage::Database> database_;  // destroyed after the statements
  storage::Statement read_heads_, insert_heads_, update_heads_, write_run_, write_meta_, insert_author_, update_author_;
  storage::Statement add_superseded_, take_superseded_, add_loser_, position_of_, add_held_, remove_held_, read_held_;
  storage::Statement add_entry_, has_entry_;
};

// Position number `index` (0 for the first) of a run; nothing when the deltas do not hold it.
std::optional<uint64_t> run_position(uint64_t first_position, ByteView deltas, uint64_t index);

// Removes an index with its WAL.
Status remove_index(Files& files, const std::string& path);

}  // namespace sereus::store
