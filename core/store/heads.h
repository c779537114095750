// The heads of keys: how the index stores them, and the working set of keys that one batch of entries touches.
//
// Rule (docs/formats/entry.md): the heads of a key are those of its applied writes that are neither cited as a parent
// by another applied write of that key nor followed by a later write of the same author. It does not depend on the
// order in which authors' entries arrive.
#pragma once

#include <span>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/store/hlc.h"

namespace sereus::store {

// One head as the index has it. The value stays in the log.
struct HeadRef {
  uint64_t hlc = 0;  // packed
  uint64_t seq = 0;
  uint64_t value_position = 0;  // in the log
  uint32_t author = 0;          // number in this index
  uint32_t value_size = 0;
  bool tombstone = false;
  Hash hash;
};

inline constexpr size_t kHeadRefSize = 64;  // stored form

void encode_head(const HeadRef& head, uint8_t* out);
HeadRef decode_head(const uint8_t* in);
// Appends the heads of a stored row; false when the blob is not whole heads.
bool decode_heads(ByteView blob, std::vector<HeadRef>& heads);

// Compares authors by number: greater key first.
class AuthorOrder {
 public:
  virtual ~AuthorOrder() = default;
  virtual const AuthorKey& author_key(uint32_t number) const = 0;
};

// Winner first: highest HLC, then greatest author key (then latest sequence, which one author cannot need).
bool head_precedes(const HeadRef& a, const HeadRef& b, const AuthorOrder& authors);

// The keys one batch touches, each loaded once and written once. Not thread-safe.
class HeadSet {
 public:
  explicit HeadSet(uint64_t hash_seed) : seed_(hash_seed) {}

  using Item = uint32_t;
  static constexpr Item kNone = UINT32_MAX;

  Item find(ByteView key) const;
  // Precondition: not in it yet. `stored`: the heads the index has, winner first.
  Item add(ByteView key, std::span<const HeadRef> stored);

  ByteView key(Item item) const { return ByteView(keys_).subspan(items_[item].key_at, items_[item].key_size); }
  std::span<const HeadRef> heads(Item item) const { return {pool_.data() + items_[item].first, items_[item].count}; }
  bool in_index(Item item) const { return items_[item].in_index; }

  // Takes a head away by entry hash; false when it is not one.
  bool remove(Item item, const Hash& hash);
  // Takes away the heads of `author`.
  void remove_author(Item item, uint32_t author);
  // Puts a head in its place; true when it is the winner.
  bool insert(Item item, const HeadRef& head, const AuthorOrder& authors);

  size_t size() const { return items_.size(); }
  size_t memory() const { return keys_.size() + pool_.size() * sizeof(HeadRef) + items_.size() * sizeof(Entry); }
  // Items that were changed, in key order.
  std::vector<Item> changed_in_order() const;
  void clear();

 private:
  struct Entry {
    uint64_t hash = 0;
    uint64_t key_at = 0;
    uint64_t order = 0;  // first eight bytes of the key, big-endian: settles most comparisons
    uint32_t key_size = 0;
    uint32_t first = 0;  // in pool_
    uint32_t count = 0;
    uint32_t capacity = 0;
    bool in_index = false;
    bool changed = false;
  };
  uint64_t hash_of(ByteView key) const;
  void grow_table();

  uint64_t seed_;
  Bytes keys_;
  std::vector<HeadRef> pool_;
  std::vector<Entry> items_;
  std::vector<uint32_t> table_;  // open addressing; item + 1, 0 for empty
};

}  // namespace sereus::store
