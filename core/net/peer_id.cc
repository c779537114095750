#include "core/net/peer_id.h"

#include "core/codec/multibase.h"
#include "core/codec/varint.h"
#include "core/crypto/hash.h"
#include "core/net/limits.h"
#include "core/net/public_key.h"

namespace sereus::net {
namespace {

constexpr uint8_t kMultihashIdentity = 0x00;
constexpr uint8_t kMultihashSha256 = 0x12;
constexpr size_t kSha256Size = 32;
constexpr uint64_t kCidVersion = 1;
constexpr uint64_t kCodecLibp2pKey = 0x72;

}  // namespace

Bytes public_key_protobuf(const DeviceKey& key) { return write_public_key(KeyType::ed25519, key.view()); }

PeerId PeerId::from_device_key(const DeviceKey& key) { return from_public_key_protobuf(public_key_protobuf(key)); }

PeerId PeerId::from_public_key_protobuf(ByteView protobuf) {
  PeerId id;
  if (protobuf.size() <= kIdentityMultihashMax) {
    id.multihash_ = {kMultihashIdentity, static_cast<uint8_t>(protobuf.size())};
    append(id.multihash_, protobuf);
  } else {
    id.multihash_ = {kMultihashSha256, kSha256Size};
    append(id.multihash_, crypto::sha256(protobuf).view());
  }
  return id;
}

std::optional<PeerId> PeerId::from_multihash(ByteView multihash) {
  if (multihash.size() < 3) return std::nullopt;
  const uint8_t code = multihash[0];
  const size_t length = multihash[1];
  if (length != multihash.size() - 2) return std::nullopt;
  const bool sane = (code == kMultihashIdentity && length <= kIdentityMultihashMax) ||
                    (code == kMultihashSha256 && length == kSha256Size);
  if (!sane) return std::nullopt;
  PeerId id;
  id.multihash_ = to_bytes(multihash);
  return id;
}

std::optional<PeerId> PeerId::parse(std::string_view text) {
  // A base58 multihash begins with '1' (identity, code 0) or "Qm" (sha256); no multibase prefix of a CID does.
  if (text.starts_with('1') || text.starts_with("Qm")) {
    const auto bytes = codec::base58btc_decode(text);
    return bytes ? from_multihash(*bytes) : std::nullopt;
  }
  const auto cid = codec::multibase_decode(text);
  if (!cid) return std::nullopt;
  ByteView rest = *cid;
  if (codec::varint_read(rest) != kCidVersion || codec::varint_read(rest) != kCodecLibp2pKey) return std::nullopt;
  return from_multihash(rest);
}

std::optional<DeviceKey> PeerId::device_key() const {
  const ByteView all = multihash_;
  if (all.empty() || all[0] != kMultihashIdentity) return std::nullopt;
  const auto key = read_public_key(all.subspan(2));
  if (!key || key->type != static_cast<uint64_t>(KeyType::ed25519)) return std::nullopt;
  return DeviceKey::from(key->data);
}

std::string PeerId::to_string() const { return codec::base58btc_encode(multihash_); }

std::string PeerId::to_cid() const {
  Bytes cid;
  codec::varint_append(cid, kCidVersion);
  codec::varint_append(cid, kCodecLibp2pKey);
  append(cid, multihash_);
  return codec::multibase_encode(codec::Multibase::base32, cid);
}

}  // namespace sereus::net
