// Ed25519 verification: the one signature rule of Sereus, ZIP 215 (https://zips.z.cash/zip-0215, docs/formats/signatures.md).
//
//   S < L; A and R decode to points, where also encodings that RFC 8032 calls non-canonical are taken;
//   [8][S]B = [8]R + [8][k]A with k = SHA-512(R || A || M) mod L over the bytes as received.
//
// Single, prepared-key and batch verification decide exactly the same set of signatures, which libsodium's
// crypto_sign_verify_detached does not: never use that one on anything that is replicated.
//
// PUBLIC DATA ONLY: time and memory access depend on the inputs. Signing is libsodium's. Every function is pure and may be
// called from any thread; hostile input gives false, never an assertion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace sereus::crypto {

inline constexpr size_t kEd25519PublicKeySize = 32;
inline constexpr size_t kEd25519SignatureSize = 64;
inline constexpr size_t kEd25519BatchSeedSize = 32;
// A batch of more items is done as several of this many, so that its memory has a bound (about 0.5 KiB an item). Beyond
// this the gain is small.
inline constexpr size_t kEd25519BatchChunkItems = 1024;

// Whether `signature` on `message` is valid under `public_key`.
[[nodiscard]] bool ed25519_verify(std::span<const uint8_t, 32> public_key, std::span<const uint8_t> message,
                                  std::span<const uint8_t, 64> signature);

// Whether the bytes decode to one of the eight points of small order (14 encodings), under which anyone can make a valid
// signature on anything. Not part of the rule: for whoever admits keys, who should refuse these.
[[nodiscard]] bool ed25519_key_has_small_order(std::span<const uint8_t, 32> public_key);

// A public key made ready for many signatures by one author: about 8 KiB, costs little more than one verification to make,
// and each verification then takes little more than half as long. Immutable; copies share the table.
class Ed25519Key {
 public:
  // nullopt when the bytes are not a point; every signature under such a key is invalid.
  [[nodiscard]] static std::optional<Ed25519Key> prepare(std::span<const uint8_t, 32> public_key);

  // The same answer as ed25519_verify with the bytes this was prepared from.
  [[nodiscard]] bool verify(std::span<const uint8_t> message, std::span<const uint8_t, 64> signature) const;

  // The bytes this was prepared from, which are the identity of the key: compare keys by them.
  [[nodiscard]] std::span<const uint8_t, 32> public_key() const;

  struct Table;

 private:
  explicit Ed25519Key(std::shared_ptr<const Table> table);
  std::shared_ptr<const Table> table_;
};

// One signature to check. The views must outlive the call.
struct Ed25519BatchItem {
  std::span<const uint8_t, 32> public_key;
  std::span<const uint8_t> message;
  std::span<const uint8_t, 64> signature;
};

// True exactly when every item is valid, except that a batch with an invalid item passes with probability about 2^-128
// over the choice of the seed. Items with the same key bytes, wherever they stand, share the work for
// the key and cost about half of others.
// True for no items.
//
// `seed`: 32 bytes, from the node's random source (or the simulator's). The coefficients come from the seed and from all
// items, so even a seed that an attacker knows beforehand only lets him try 2^128 batches. Accordingly it may be reused.
[[nodiscard]] bool ed25519_verify_batch(std::span<const Ed25519BatchItem> items, std::span<const uint8_t, 32> seed);

// The positions of the invalid items, ascending; empty when all are valid. Costs one batch when all are valid, two or
// three batches for one invalid item, and never more than about three times the single verifications, whatever was sent.
// What it names is invalid with certainty, since each was checked alone.
[[nodiscard]] std::vector<size_t> ed25519_find_invalid(std::span<const Ed25519BatchItem> items,
                                                       std::span<const uint8_t, 32> seed);

}  // namespace sereus::crypto
