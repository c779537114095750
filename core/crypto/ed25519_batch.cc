#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "core/crypto/ed25519_equation.h"
#include "core/crypto/ed25519_sum.h"
#include "core/crypto/ed25519_verify.h"

namespace sereus::crypto {
namespace ed25519 {

// z_1 || z_2 || ... = ChaCha20(key = BLAKE2b-256(key = seed, label || for each item A || R || S || k), nonce = 0).
std::vector<Uint128> batch_coefficients(std::span<const uint8_t, 32> seed, std::span<const BatchLine> lines) {
  static constexpr char label[] = "sereus ed25519 batch v1";  // with its final zero
  crypto_generichash_state state;
  std::array<uint8_t, crypto_stream_chacha20_KEYBYTES> key;
  crypto_generichash_init(&state, seed.data(), seed.size(), key.size());
  crypto_generichash_update(&state, reinterpret_cast<const uint8_t*>(label), sizeof(label));
  for (const BatchLine& line : lines) crypto_generichash_update(&state, line.data(), line.size());
  crypto_generichash_final(&state, key.data(), key.size());
  static constexpr std::array<uint8_t, crypto_stream_chacha20_NONCEBYTES> nonce{};
  std::vector<uint8_t> stream(16 * lines.size());
  crypto_stream_chacha20(stream.data(), stream.size(), nonce.data(), key.data());
  std::vector<Uint128> out(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t byte = 16; byte-- > 0;) out[i] = out[i] << 8 | stream[16 * i + byte];
  }
  return out;
}

}  // namespace ed25519

namespace {

using ed25519::AffineAddend;
using ed25519::Scalar;

// What one item contributes to the equation, decoded and hashed once.
struct PreparedItem {
  AffineAddend r;
  Scalar s, k;
  ed25519::Uint128 z;  // its coefficient
  uint32_t key;        // index into keys
  bool decodes;        // S is canonical, and A and R are points
};

// Up to kEd25519BatchChunkItems items.
class Chunk {
 public:
  Chunk(std::span<const Ed25519BatchItem> items, std::span<const uint8_t, 32> seed) : items_(items.size()) {
    decode_keys(items);
    decode_items(items);
    draw_coefficients(items, seed);
  }

  bool all_decode() const {
    return std::all_of(items_.begin(), items_.end(), [](const PreparedItem& item) { return item.decodes; });
  }
  bool decodes(size_t index) const { return items_[index].decodes; }

  // Whether items [from, to), those that decode, satisfy the equation together / one alone.
  bool holds(size_t from, size_t to) const;
  bool holds_alone(size_t index) const {
    const PreparedItem& item = items_[index];
    return ed25519::equation_holds(*keys_[item.key], item.r, item.s, item.k);
  }

 private:
  void decode_keys(std::span<const Ed25519BatchItem> items);
  void decode_items(std::span<const Ed25519BatchItem> items);
  void draw_coefficients(std::span<const Ed25519BatchItem> items, std::span<const uint8_t, 32> seed);

  std::vector<std::optional<AffineAddend>> keys_;  // one for each distinct 32 bytes
  std::vector<PreparedItem> items_;
};

// Decodes each distinct key once.
void Chunk::decode_keys(std::span<const Ed25519BatchItem> items) {
  std::vector<uint32_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
  const auto compare = [&](uint32_t a, uint32_t b) {
    return std::memcmp(items[a].public_key.data(), items[b].public_key.data(), 32);
  };
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return compare(a, b) < 0; });
  std::vector<const uint8_t*> distinct;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare(order[i - 1], order[i]) != 0) distinct.push_back(items[order[i]].public_key.data());
    items_[order[i]].key = static_cast<uint32_t>(distinct.size() - 1);
  }
  keys_.reserve(distinct.size());
  for (const uint8_t* key : distinct) keys_.push_back(ed25519::decode_point(key));
}

void Chunk::decode_items(std::span<const Ed25519BatchItem> items) {
  for (size_t i = 0; i < items.size(); ++i) {
    PreparedItem& item = items_[i];
    const uint8_t* signature = items[i].signature.data();
    const std::optional<AffineAddend> r = ed25519::decode_point(signature);
    item.s = ed25519::scalar_from_bytes(signature + 32);
    item.k = ed25519::challenge(signature, items[i].public_key.data(), items[i].message);
    item.decodes = r.has_value() && keys_[item.key].has_value() && ed25519::scalar_is_canonical(item.s);
    if (r.has_value()) item.r = *r;
  }
}

// Every number in the equation is bound, the message through k.
void Chunk::draw_coefficients(std::span<const Ed25519BatchItem> items, std::span<const uint8_t, 32> seed) {
  std::vector<ed25519::BatchLine> lines(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    std::memcpy(lines[i].data(), items[i].public_key.data(), 32);
    std::memcpy(lines[i].data() + 32, items[i].signature.data(), 64);
    ed25519::scalar_to_bytes(lines[i].data() + 96, items_[i].k);
  }
  const std::vector<ed25519::Uint128> coefficients = ed25519::batch_coefficients(seed, lines);
  for (size_t i = 0; i < items.size(); ++i) items_[i].z = coefficients[i];
}

// sum z R + sum over keys of [sum z k]A - [sum z S]B has small order.
bool Chunk::holds(size_t from, size_t to) const {
  constexpr uint32_t none = UINT32_MAX;
  std::vector<uint32_t> sum_of_key(keys_.size(), none);
  std::vector<ed25519::WideScalar> sums;
  std::vector<ed25519::LongTerm> long_terms;
  std::vector<ed25519::ShortTerm> short_terms;
  short_terms.reserve(to - from);
  ed25519::WideScalar base{};
  for (size_t i = from; i < to; ++i) {
    const PreparedItem& item = items_[i];
    if (!item.decodes) continue;
    uint32_t& sum = sum_of_key[item.key];
    if (sum == none) {
      sum = static_cast<uint32_t>(sums.size());
      sums.push_back({});
      long_terms.push_back({*keys_[item.key], {}});
    }
    short_terms.push_back({item.r, item.z});
    ed25519::multiply_accumulate(base, item.z, item.s);
    ed25519::multiply_accumulate(sums[sum], item.z, item.k);
  }
  for (size_t i = 0; i < sums.size(); ++i) long_terms[i].scalar = ed25519::reduce(sums[i]);
  const Scalar minus_base = ed25519::negate(ed25519::reduce(base));
  return ed25519::is_small_order(ed25519::sum_of_many(minus_base, long_terms, short_terms));
}

// Below this many items, looking at each is cheaper than halving on.
constexpr size_t kBisectItemsMin = 8;
// How often, on average, an item may be part of a sum before the rest is looked at one by one: so a sender of many
// invalid items gets no more than some three times the work out of us that single ones would cost.
constexpr size_t kBisectSumsMax = 4;

struct Search {
  const Chunk& chunk;
  size_t first;   // position of the chunk's first item
  size_t budget;  // items that may still go into sums
  std::vector<size_t>& invalid;
};

// Appends the positions of the invalid items of [from, to), ascending; returns whether all that decode hold.
// `known_bad`: some that decodes does not. Recursion depth: log2 of the chunk.
bool search(Search& state, size_t from, size_t to, bool known_bad) {
  const Chunk& chunk = state.chunk;
  bool holds = true;
  if (to - from < kBisectItemsMin || state.budget < to - from) {
    for (size_t i = from; i < to; ++i) {
      const bool item_holds = !chunk.decodes(i) || chunk.holds_alone(i);
      if (!chunk.decodes(i) || !item_holds) state.invalid.push_back(state.first + i);
      holds = holds && item_holds;
    }
    return holds;
  }
  if (!known_bad) {
    state.budget -= to - from;
    if (chunk.holds(from, to)) {
      for (size_t i = from; i < to; ++i) {
        if (!chunk.decodes(i)) state.invalid.push_back(state.first + i);
      }
      return true;
    }
  }
  const size_t middle = from + (to - from) / 2;
  const bool left_holds = search(state, from, middle, false);
  search(state, middle, to, left_holds);
  return false;
}

}  // namespace

bool ed25519_verify_batch(std::span<const Ed25519BatchItem> items, std::span<const uint8_t, 32> seed) {
  for (size_t from = 0; from < items.size(); from += kEd25519BatchChunkItems) {
    const size_t count = std::min(kEd25519BatchChunkItems, items.size() - from);
    const Chunk chunk(items.subspan(from, count), seed);
    if (!chunk.all_decode() || !chunk.holds(0, count)) return false;
  }
  return true;
}

std::vector<size_t> ed25519_find_invalid(std::span<const Ed25519BatchItem> items, std::span<const uint8_t, 32> seed) {
  std::vector<size_t> invalid;
  for (size_t from = 0; from < items.size(); from += kEd25519BatchChunkItems) {
    const size_t count = std::min(kEd25519BatchChunkItems, items.size() - from);
    const Chunk chunk(items.subspan(from, count), seed);
    Search state{chunk, from, kBisectSumsMax * count, invalid};
    search(state, 0, count, false);
  }
  return invalid;
}

}  // namespace sereus::crypto
