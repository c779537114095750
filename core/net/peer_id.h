// PeerID: the libp2p name of a public key (libp2p specs, peer-ids). An Ed25519 key fits an identity multihash;
// larger keys are named by their sha256.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/ids.h"

namespace sereus::net {

class PeerId {
 public:
  PeerId() = default;
  static PeerId from_device_key(const DeviceKey& key);
  // From the protobuf encoding of a public key (type, data) of any libp2p key type.
  static PeerId from_public_key_protobuf(ByteView protobuf);
  // From multihash bytes; nothing when they are not a sha256 or identity multihash of sane size.
  static std::optional<PeerId> from_multihash(ByteView multihash);
  // base58btc ("12D3Koo...", "Qm...") or CIDv1 text ("bafz...", codec 0x72).
  static std::optional<PeerId> parse(std::string_view text);

  bool empty() const { return multihash_.empty(); }
  ByteView multihash() const { return multihash_; }
  // The Ed25519 key inside an identity multihash.
  std::optional<DeviceKey> device_key() const;
  std::string to_string() const;  // base58btc
  std::string to_cid() const;     // CIDv1, base32
  friend std::strong_ordering operator<=>(const PeerId&, const PeerId&) = default;

 private:
  Bytes multihash_;
};

// protobuf { 1: type Ed25519 = 1, 2: data } of a device key: what PeerIDs hash and TLS certificates carry.
Bytes public_key_protobuf(const DeviceKey& key);

}  // namespace sereus::net
