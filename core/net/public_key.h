// Public keys of hosts, of every type that libp2p has (libp2p specs, peer-ids), to verify what remote hosts signed. Our own
// are Ed25519. docs/formats/transport.md.
#pragma once

#include <optional>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/net/peer_id.h"

namespace sereus::net {

enum class KeyType : uint8_t { rsa = 0, ed25519 = 1, secp256k1 = 2, ecdsa = 3 };

// A key that can verify: its bytes were found to be a good key of its type. Immutable.
class PublicKey {
 public:
  // From protobuf {1: type, 2: data}, in exactly the canonical encoding: a PeerID is a hash of these bytes, and a key must
  // not have two. What `data` is depends on the type:
  //   rsa        SubjectPublicKeyInfo (DER), kRsaBitsMin to kRsaBitsMax bits
  //   ed25519    32 bytes, not of small order
  //   secp256k1  a compressed point, 33 bytes
  //   ecdsa      SubjectPublicKeyInfo (DER) of an uncompressed point on P-256
  // Errors: malformed; too_large (over kPublicKeyBytesMax); unsupported for other types, curves and sizes.
  static Result<PublicKey> parse(ByteView protobuf);
  static PublicKey of(const DeviceKey& key);

  KeyType type() const { return type_; }
  const Bytes& protobuf() const { return protobuf_; }
  ByteView data() const { return ByteView(protobuf_).last(data_size_); }
  PeerId peer_id() const { return PeerId::from_public_key_protobuf(protobuf_); }

  // Whether `signature` on `message` is valid: Code::bad_signature when it is not. Ed25519 by the one signature rule
  // (docs/formats/signatures.md); RSASSA-PKCS1-v1_5 and ECDSA with SHA-256; high s as ecdsa.h has it.
  Status verify(ByteView message, ByteView signature) const;

  friend bool operator==(const PublicKey& a, const PublicKey& b) { return a.protobuf_ == b.protobuf_; }

 private:
  PublicKey(KeyType type, Bytes protobuf, size_t data_size)
      : type_(type), protobuf_(std::move(protobuf)), data_size_(data_size) {}

  KeyType type_;
  Bytes protobuf_;
  size_t data_size_;  // data comes last
};

// The two fields of a key, when `protobuf` is their canonical encoding; whether `data` is a key is not looked at.
struct PublicKeyFields {
  uint64_t type = 0;
  ByteView data;
};
std::optional<PublicKeyFields> read_public_key(ByteView protobuf);

// The canonical encoding.
Bytes write_public_key(KeyType type, ByteView data);

}  // namespace sereus::net
