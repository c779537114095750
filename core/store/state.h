// What a store keeps in memory: its authors and counters. The writer's alone.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/store/heads.h"
#include "core/store/sync_store.h"

namespace sereus::store {

struct AuthorState {
  AuthorKey key;
  uint64_t seq = 0;  // of the tip, held entries included
  Hash hash;
  Hlc hlc;                    // of the tip
  uint64_t tip_position = 0;  // log position of the tip's payload
  uint64_t held = 0;          // entries not applied yet; they are the last ones
  bool forked = false;
  AuthorBinding binding;
  std::vector<Hash> authority;  // as the latest entry that cited one did
};

struct Counters {
  uint64_t entries = 0;    // in the log
  uint64_t keys = 0;       // with a live winner
  uint64_t conflicts = 0;  // keys with more than one head
  uint64_t held = 0;
  uint64_t forks = 0;
  uint64_t superseded = 0;     // rows that wait for a cited parent
  uint64_t losers = 0;         // operations that were not the winner when they were applied
  uint64_t last_boundary = 0;  // of the last record, 0 for none
  uint32_t last_crc = 0;       // CRC-32C of its payload
  bool root = false;           // carries a genesis: entry hashes are kept
};

// What the index remembers of itself: one row.
struct Meta {
  uint64_t epoch = 0;
  uint64_t log_end = 0;  // boundary up to which the log is in the index
  Hlc hlc;               // greatest applied or written
  Counters counters;
  Digest digest;
};

class Authors : public AuthorOrder {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  const AuthorKey& author_key(uint32_t number) const override { return states_[number].key; }
  uint32_t find(const AuthorKey& key) const {
    const auto found = numbers_.find(key);
    return found == numbers_.end() ? kNone : found->second;
  }
  uint32_t add(AuthorState state) {
    const auto number = static_cast<uint32_t>(states_.size());
    numbers_.emplace(state.key, number);
    states_.push_back(std::move(state));
    return number;
  }
  // Takes the last one back.
  void drop_last() {
    numbers_.erase(states_.back().key);
    states_.pop_back();
  }
  AuthorState& at(uint32_t number) { return states_[number]; }
  const AuthorState& at(uint32_t number) const { return states_[number]; }
  size_t size() const { return states_.size(); }
  // In the order of keys.
  const std::map<AuthorKey, uint32_t>& in_order() const { return numbers_; }
  void clear() {
    states_.clear();
    numbers_.clear();
  }
  // First 16 bytes of BLAKE2b-256 of "sereus tips 1" 0x00 and, sorted by author: author(32), seq (8, big-endian),
  // hash(32).
  Digest digest() const;

 private:
  std::vector<AuthorState> states_;  // by number
  std::map<AuthorKey, uint32_t> numbers_;
};

}  // namespace sereus::store
