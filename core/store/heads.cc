#include "core/store/heads.h"

#include <algorithm>

#include "core/base/assert.h"

namespace sereus::store {
namespace {

constexpr uint32_t kTombstoneBit = uint32_t{1} << 31;
constexpr size_t kFirstTableSize = 1024;
constexpr size_t kKeptTableSize = 8192;  // a larger table is not kept: clearing it would cost small commits

uint64_t mix(uint64_t state, uint64_t word) {
  state = (state ^ word) * 0x9e3779b97f4a7c15ull;
  return state ^ (state >> 29);
}

uint64_t key_order(ByteView key) {
  uint64_t order = 0;
  const size_t size = std::min<size_t>(key.size(), 8);
  for (size_t i = 0; i < size; ++i) order |= static_cast<uint64_t>(key[i]) << (56 - 8 * i);
  return order;
}

}  // namespace

void encode_head(const HeadRef& head, uint8_t* out) {
  store_le(out, head.hlc);
  store_le(out + 8, head.seq);
  store_le(out + 16, head.value_position);
  store_le(out + 24, head.author);
  store_le(out + 28, head.value_size | (head.tombstone ? kTombstoneBit : 0));
  std::memcpy(out + 32, head.hash.bytes.data(), Hash::kSize);
}

HeadRef decode_head(const uint8_t* in) {
  HeadRef head;
  head.hlc = load_le<uint64_t>(in);
  head.seq = load_le<uint64_t>(in + 8);
  head.value_position = load_le<uint64_t>(in + 16);
  head.author = load_le<uint32_t>(in + 24);
  const auto size = load_le<uint32_t>(in + 28);
  head.value_size = size & ~kTombstoneBit;
  head.tombstone = (size & kTombstoneBit) != 0;
  std::memcpy(head.hash.bytes.data(), in + 32, Hash::kSize);
  return head;
}

bool decode_heads(ByteView blob, std::vector<HeadRef>& heads) {
  if (blob.size() % kHeadRefSize != 0) return false;
  for (size_t at = 0; at < blob.size(); at += kHeadRefSize) heads.push_back(decode_head(blob.data() + at));
  return true;
}

bool head_precedes(const HeadRef& a, const HeadRef& b, const AuthorOrder& authors) {
  if (a.hlc != b.hlc) return a.hlc > b.hlc;
  if (a.author != b.author) return authors.author_key(a.author) > authors.author_key(b.author);
  return a.seq > b.seq;
}

uint64_t HeadSet::hash_of(ByteView key) const {
  uint64_t state = seed_ ^ key.size();
  size_t at = 0;
  for (; at + 8 <= key.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, key.data() + at, 8);
    state = mix(state, word);
  }
  uint64_t last = 0;
  if (at < key.size()) std::memcpy(&last, key.data() + at, key.size() - at);
  return mix(mix(state, last), seed_);
}

HeadSet::Item HeadSet::find(ByteView key) const {
  if (table_.empty()) return kNone;
  const uint64_t hash = hash_of(key);
  const size_t mask = table_.size() - 1;
  for (size_t slot = hash & mask; table_[slot] != 0; slot = (slot + 1) & mask) {
    const Item item = table_[slot] - 1;
    if (items_[item].hash == hash && equal(this->key(item), key)) return item;
  }
  return kNone;
}

void HeadSet::grow_table() {
  std::vector<uint32_t> larger(std::max(kFirstTableSize, table_.size() * 2), 0);
  const size_t mask = larger.size() - 1;
  for (uint32_t item = 0; item < items_.size(); ++item) {
    size_t slot = items_[item].hash & mask;
    while (larger[slot] != 0) slot = (slot + 1) & mask;
    larger[slot] = item + 1;
  }
  table_ = std::move(larger);
}

HeadSet::Item HeadSet::add(ByteView key, std::span<const HeadRef> stored) {
  if ((items_.size() + 1) * 2 > table_.size()) grow_table();
  SEREUS_ASSERT(items_.size() < kNone - 1 && pool_.size() + stored.size() < UINT32_MAX);
  Entry entry;
  entry.hash = hash_of(key);
  entry.key_at = keys_.size();
  entry.key_size = static_cast<uint32_t>(key.size());
  entry.order = key_order(key);
  entry.first = static_cast<uint32_t>(pool_.size());
  entry.count = static_cast<uint32_t>(stored.size());
  entry.capacity = std::max<uint32_t>(entry.count, 1);
  entry.in_index = !stored.empty();
  append(keys_, key);
  pool_.insert(pool_.end(), stored.begin(), stored.end());
  pool_.resize(size_t{entry.first} + entry.capacity);
  const auto item = static_cast<Item>(items_.size());
  items_.push_back(entry);
  const size_t mask = table_.size() - 1;
  size_t slot = entry.hash & mask;
  while (table_[slot] != 0) slot = (slot + 1) & mask;
  table_[slot] = item + 1;
  return item;
}

bool HeadSet::remove(Item item, const Hash& hash) {
  Entry& entry = items_[item];
  HeadRef* heads = pool_.data() + entry.first;
  for (uint32_t i = 0; i < entry.count; ++i) {
    if (heads[i].hash != hash) continue;
    std::move(heads + i + 1, heads + entry.count, heads + i);
    --entry.count;
    entry.changed = true;
    return true;
  }
  return false;
}

void HeadSet::remove_author(Item item, uint32_t author) {
  Entry& entry = items_[item];
  HeadRef* heads = pool_.data() + entry.first;
  HeadRef* end = std::remove_if(heads, heads + entry.count, [&](const HeadRef& head) { return head.author == author; });
  const auto kept = static_cast<uint32_t>(end - heads);
  if (kept != entry.count) entry.changed = true;
  entry.count = kept;
}

bool HeadSet::insert(Item item, const HeadRef& head, const AuthorOrder& authors) {
  Entry& entry = items_[item];
  if (entry.count == entry.capacity) {
    const uint32_t capacity = entry.capacity * 2;
    SEREUS_ASSERT(pool_.size() + capacity < UINT32_MAX);
    const size_t from = entry.first;
    entry.first = static_cast<uint32_t>(pool_.size());
    entry.capacity = capacity;
    pool_.resize(pool_.size() + capacity);
    std::copy_n(pool_.begin() + static_cast<std::ptrdiff_t>(from), entry.count,
                pool_.begin() + static_cast<std::ptrdiff_t>(entry.first));
  }
  HeadRef* heads = pool_.data() + entry.first;
  uint32_t at = 0;
  while (at < entry.count && head_precedes(heads[at], head, authors)) ++at;
  std::move_backward(heads + at, heads + entry.count, heads + entry.count + 1);
  heads[at] = head;
  ++entry.count;
  entry.changed = true;
  return at == 0;
}

std::vector<HeadSet::Item> HeadSet::changed_in_order() const {
  std::vector<Item> order;
  order.reserve(items_.size());
  for (Item item = 0; item < items_.size(); ++item) {
    if (items_[item].changed) order.push_back(item);
  }
  std::sort(order.begin(), order.end(), [this](Item a, Item b) {
    if (items_[a].order != items_[b].order) return items_[a].order < items_[b].order;
    return compare(key(a), key(b)) < 0;
  });
  return order;
}

void HeadSet::clear() {
  keys_.clear();
  pool_.clear();
  items_.clear();
  if (table_.size() > kKeptTableSize) {
    table_ = {};  // not shrink_to_fit(): without exceptions the library's does nothing
  } else {
    std::fill(table_.begin(), table_.end(), 0);
  }
}

}  // namespace sereus::store
