// Fixed-size names. Each is its own type, so that a device key cannot be passed where an author key is meant.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <optional>
#include <string>

#include "core/base/bytes.h"

namespace sereus {

template <typename Tag, size_t N>
struct FixedId {
  static constexpr size_t kSize = N;
  std::array<uint8_t, N> bytes{};

  static std::optional<FixedId> from(ByteView view) {
    if (view.size() != N) return std::nullopt;
    FixedId id;
    std::copy(view.begin(), view.end(), id.bytes.begin());
    return id;
  }
  static std::optional<FixedId> from_hex(std::string_view text) {
    const auto decoded = ::sereus::from_hex(text);
    return decoded ? from(*decoded) : std::nullopt;
  }
  ByteView view() const { return ByteView(bytes.data(), N); }
  std::string hex() const { return to_hex(view()); }
  bool is_zero() const {
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
  }
  friend bool operator==(const FixedId&, const FixedId&) = default;
  // By bytes. Keys and hashes differ in their first eight nearly always, and maps of them are asked all the time.
  friend std::strong_ordering operator<=>(const FixedId& a, const FixedId& b) {
    const auto first = load_be<uint64_t>(a.bytes.data());
    const auto other = load_be<uint64_t>(b.bytes.data());
    return first != other ? first <=> other : a.bytes <=> b.bytes;
  }
};

using StoreId = FixedId<struct StoreIdTag, 16>;          // UUID-sized name of a store
using Hash = FixedId<struct HashTag, 32>;                // BLAKE2b-256
using PartyKey = FixedId<struct PartyKeyTag, 32>;        // Ed25519 public key of a person
using DeviceKey = FixedId<struct DeviceKeyTag, 32>;      // Ed25519 public key of a device; its PeerID is made of it
using AuthorKey = FixedId<struct AuthorKeyTag, 32>;      // Ed25519 public key that signs entries of one store
using Signature = FixedId<struct SignatureTag, 64>;      // Ed25519
using Incarnation = FixedId<struct IncarnationTag, 16>;  // one life of a data folder
using Digest = FixedId<struct DigestTag, 16>;            // a store's (author, tip) set, truncated BLAKE2b

}  // namespace sereus
