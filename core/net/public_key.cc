#include "core/net/public_key.h"

#include "core/codec/protobuf.h"
#include "core/crypto/ed25519_verify.h"
#include "core/crypto/hash.h"
#include "core/net/certificate_oids.h"
#include "core/net/der.h"
#include "core/net/ecdsa.h"
#include "core/net/limits.h"
#include "core/net/rsa.h"

namespace sereus::net {
namespace {

constexpr uint32_t kTypeField = 1;
constexpr uint32_t kDataField = 2;
constexpr std::array<uint8_t, 2> kNull = {0x05, 0x00};  // the parameters of rsaEncryption

Error malformed(const char* what) { return fail(Code::malformed, std::string("public key: ") + what); }
Error unsupported(const char* what) { return fail(Code::unsupported, std::string("public key: ") + what); }

// SubjectPublicKeyInfo (RFC 5280 4.1): the algorithm's content and the key's bytes.
struct KeyInfo {
  ByteView algorithm;
  ByteView key;
};
std::optional<KeyInfo> parse_key_info(ByteView der) {
  der::Reader outer(der);
  const auto info = outer.next(der::kSequence);
  if (!info || !outer.empty()) return std::nullopt;
  der::Reader parts(info->content);
  const auto algorithm = parts.next(der::kSequence);
  const auto bits = parts.next(der::kBitString);
  if (!algorithm || !bits || !parts.empty()) return std::nullopt;
  const auto key = der::bit_string_bytes(bits->content);
  if (!key) return std::nullopt;
  return KeyInfo{algorithm->content, *key};
}

Status check_ed25519(ByteView data) {
  if (data.size() != crypto::kEd25519PublicKeySize) return malformed("an Ed25519 key has 32 bytes");
  // Under such a key anyone can sign anything: it would be a PeerID that everybody can take.
  if (crypto::ed25519_key_has_small_order(std::span<const uint8_t, 32>(data.data(), 32))) {
    return malformed("an Ed25519 key of small order");
  }
  return {};
}

Result<RsaKey> rsa_key(ByteView data) {
  const auto info = parse_key_info(data);
  if (!info) return malformed("bad SubjectPublicKeyInfo");
  der::Reader algorithm(info->algorithm);
  const auto id = algorithm.next(der::kOid);
  if (!id || !equal(id->content, oid::kRsaEncryption)) return malformed("not an RSA key");
  const auto parameters = algorithm.next();
  if (!parameters || !equal(parameters->whole, kNull) || !algorithm.empty()) return malformed("bad RSA parameters");
  const auto key = parse_rsa_key(info->key);
  if (!key) return malformed("bad RSA key");
  return *key;
}

Status check_rsa(ByteView data) {
  SEREUS_ASSIGN(const RsaKey key, rsa_key(data));
  if (key.bits() < kRsaBitsMin || key.bits() > kRsaBitsMax) return unsupported("RSA keys have 2048 to 8192 bits");
  return {};
}

Result<ByteView> p256_point(ByteView data) {
  const auto info = parse_key_info(data);
  if (!info) return malformed("bad SubjectPublicKeyInfo");
  der::Reader algorithm(info->algorithm);
  const auto id = algorithm.next(der::kOid);
  if (!id || !equal(id->content, oid::kEcPublicKey)) return malformed("not an ECDSA key");
  const auto curve = algorithm.next(der::kOid);
  if (!curve || !algorithm.empty()) return malformed("bad ECDSA parameters");
  if (!equal(curve->content, oid::kP256)) return unsupported("an ECDSA key on a curve other than P-256");
  return info->key;
}

Status check_ecdsa(ByteView data) {
  SEREUS_ASSIGN(const ByteView point, p256_point(data));
  return ec_point_valid(EcCurve::p256, point) ? Status() : malformed("no uncompressed point on P-256");
}

Status check_secp256k1(ByteView data) {
  return ec_point_valid(EcCurve::secp256k1, data) ? Status() : malformed("no compressed point on secp256k1");
}

Status check_key(KeyType type, ByteView data) {
  switch (type) {
    case KeyType::rsa:
      return check_rsa(data);
    case KeyType::ed25519:
      return check_ed25519(data);
    case KeyType::secp256k1:
      return check_secp256k1(data);
    case KeyType::ecdsa:
      return check_ecdsa(data);
  }
  return unsupported("unknown type");
}

bool signature_valid(KeyType type, ByteView data, ByteView message, ByteView signature) {
  switch (type) {
    case KeyType::rsa: {
      const auto key = rsa_key(data);
      return key.ok() && rsa_verify_sha256(*key, message, signature);
    }
    case KeyType::ed25519:
      return data.size() == crypto::kEd25519PublicKeySize && signature.size() == crypto::kEd25519SignatureSize &&
             crypto::ed25519_verify(std::span<const uint8_t, 32>(data.data(), 32), message,
                                    std::span<const uint8_t, 64>(signature.data(), 64));
    case KeyType::secp256k1:
      return ecdsa_verify(EcCurve::secp256k1, data, crypto::sha256(message).view(), signature);
    case KeyType::ecdsa: {
      const auto point = p256_point(data);
      return point.ok() && ecdsa_verify(EcCurve::p256, *point, crypto::sha256(message).view(), signature);
    }
  }
  return false;
}

}  // namespace

Bytes write_public_key(KeyType type, ByteView data) {
  ProtobufWriter writer;
  writer.number(kTypeField, static_cast<uint64_t>(type));
  writer.bytes(kDataField, data);
  return writer.take();
}

std::optional<PublicKeyFields> read_public_key(ByteView protobuf) {
  ProtobufReader reader(protobuf);
  const auto type = reader.next();
  const auto data = reader.next();
  if (!type || !data || reader.next() || reader.bad()) return std::nullopt;
  if (type->number != kTypeField || type->type != ProtobufField::Type::varint) return std::nullopt;
  if (data->number != kDataField || data->type != ProtobufField::Type::bytes) return std::nullopt;
  // The reader takes padded varints; what is hashed to a name may have none.
  if (!equal(write_public_key(static_cast<KeyType>(type->value), data->bytes), protobuf)) return std::nullopt;
  return PublicKeyFields{type->value, data->bytes};
}

Result<PublicKey> PublicKey::parse(ByteView protobuf) {
  if (protobuf.size() > kPublicKeyBytesMax) return fail(Code::too_large, "public key: too large");
  const auto fields = read_public_key(protobuf);
  if (!fields) return malformed("not in the canonical encoding");
  if (fields->type > static_cast<uint64_t>(KeyType::ecdsa)) return unsupported("unknown type");
  const auto type = static_cast<KeyType>(fields->type);
  SEREUS_TRY(check_key(type, fields->data));
  return PublicKey(type, to_bytes(protobuf), fields->data.size());
}

PublicKey PublicKey::of(const DeviceKey& key) {
  return PublicKey(KeyType::ed25519, write_public_key(KeyType::ed25519, key.view()), DeviceKey::kSize);
}

Status PublicKey::verify(ByteView message, ByteView signature) const {
  if (signature_valid(type_, data(), message, signature)) return {};
  return fail(Code::bad_signature, "host key signature is not valid");
}

}  // namespace sereus::net
