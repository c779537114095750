// Writes entry bodies without an intermediate form: the one encoder behind encode_body and the group commit.
#pragma once

#include <span>

#include "core/codec/cbor.h"
#include "core/store/entry.h"

namespace sereus::store {

inline constexpr uint64_t kEntryVersion = 1;
inline constexpr size_t kBodyItems = 10;

struct BodyHead {
  const StoreId& store;
  const AuthorKey& author;
  const Hash& prev;
  uint64_t seq;
  Hlc hlc;
  uint64_t key_epoch;
};

// Appends one body to `out`. Precondition: what is given is within the limits and in the format's order.
class BodyWriter {
 public:
  // `authority`: null for "as in the author's preceding entry", else sorted.
  BodyWriter(Bytes& out, const BodyHead& head, const std::vector<Hash>* authority, size_t ops) : out_(out), cbor_(out) {
    cbor_.array(kBodyItems);
    cbor_.uint(kEntryVersion);
    cbor_.bytes(head.store.view());
    cbor_.bytes(head.author.view());
    cbor_.bytes(head.prev.view());
    cbor_.uint(head.seq);
    cbor_.uint(head.hlc.wall_ms);
    cbor_.uint(head.hlc.counter);
    cbor_.uint(head.key_epoch);
    if (authority == nullptr) {
      cbor_.null();
    } else {
      hashes(*authority);
    }
    cbor_.array(ops);
  }

  // Returns where in `out` the value begins.
  size_t put(ByteView key, ByteView value, std::span<const Hash> parents) {
    cbor_.array(4);
    cbor_.uint(static_cast<uint64_t>(OpKind::put));
    cbor_.bytes(key);
    cbor_.bytes(value);
    const size_t value_at = out_.size() - value.size();
    hashes(parents);
    return value_at;
  }
  void remove(ByteView key, std::span<const Hash> parents) {
    cbor_.array(3);
    cbor_.uint(static_cast<uint64_t>(OpKind::remove));
    cbor_.bytes(key);
    hashes(parents);
  }
  void author(const std::vector<Bytes>& certificates) {
    cbor_.array(2);
    cbor_.uint(static_cast<uint64_t>(OpKind::author));
    cbor_.array(certificates.size());
    for (const Bytes& certificate : certificates) cbor_.bytes(certificate);
  }
  void genesis(const PartyKey& party, ByteView nonce) {
    cbor_.array(3);
    cbor_.uint(static_cast<uint64_t>(OpKind::genesis));
    cbor_.bytes(party.view());
    cbor_.bytes(nonce);
  }
  void finish() { cbor_.finish(); }

 private:
  void hashes(std::span<const Hash> list) {
    cbor_.array(list.size());
    for (const Hash& hash : list) cbor_.bytes(hash.view());
  }

  Bytes& out_;
  CborWriter cbor_;
};

}  // namespace sereus::store
