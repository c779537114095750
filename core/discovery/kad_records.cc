#include "core/discovery/kad_records.h"

#include <algorithm>

#include "core/codec/cbor.h"
#include "core/codec/utf8.h"
#include "core/crypto/hash.h"
#include "core/discovery/limits.h"
#include "core/net/peer_record.h"
#include "core/net/public_key.h"

namespace sereus::discovery {
namespace {

constexpr std::string_view kPublicKeyPrefix = "/pk/";
constexpr std::string_view kPeerPrefix = "/sereus/peer/";
constexpr std::string_view kRecordPrefix = "/sereus/rec/";
constexpr std::string_view kRecordKeyContext = "sereus dht record key v1";
constexpr std::string_view kRecordSignContext = "sereus dht record v1";
constexpr size_t kRecordFields = 6;
constexpr uint64_t kRecordVersion = 1;

Error malformed(const char* what) { return fail(Code::malformed, std::string("dht record: ") + what); }

std::optional<ByteView> after(std::string_view prefix, ByteView key) {
  if (!starts_with(key, as_bytes(prefix))) return std::nullopt;
  return key.subspan(prefix.size());
}

Bytes with_prefix(std::string_view prefix, ByteView rest) {
  Bytes out = to_bytes(prefix);
  append(out, rest);
  return out;
}

// The array without its signature: what is signed.
Bytes record_body(ByteView public_key, std::string_view name, uint64_t seq, uint64_t expires_s, ByteView payload) {
  Bytes out;
  CborWriter writer(out);
  writer.array(kRecordFields);
  writer.uint(kRecordVersion);
  writer.bytes(public_key);
  writer.text(name);
  writer.uint(seq);
  writer.uint(expires_s);
  writer.bytes(payload);
  writer.finish();
  return out;
}

class PublicKeyValidator final : public KadValidator {
 public:
  Status validate(ByteView key, ByteView value, int64_t /*wall_us*/) const override {
    const auto peer = net::PeerId::from_multihash(after(kPublicKeyPrefix, key).value_or(ByteView()));
    if (!peer) return malformed("a key of a public key without a PeerID");
    SEREUS_ASSIGN(const net::PublicKey public_key, net::PublicKey::parse(value));
    if (public_key.peer_id() != *peer) return fail(Code::denied, "dht record: a public key of another peer");
    return {};
  }
  bool supersedes(ByteView, ByteView, ByteView) const override { return false; }
};

class SereusValidator final : public KadValidator {
 public:
  Status validate(ByteView key, ByteView value, int64_t wall_us) const override {
    if (const auto peer = peer_of_record_key(key)) {
      SEREUS_ASSIGN(const net::PeerRecord record, net::open_peer_record(value));
      if (record.peer != *peer) return fail(Code::denied, "dht record: a record of another peer");
      return {};
    }
    if (!after(kRecordPrefix, key)) return fail(Code::unsupported, "dht record: an unknown type of keys");
    SEREUS_ASSIGN(const SignedRecord record, open_signed_record(value));
    if (!equal(signed_record_key(record.public_key, record.name), key)) {
      return fail(Code::denied, "dht record: the key is not that of its public key and name");
    }
    if (wall_us > 0 && record.expires_s <= static_cast<uint64_t>(wall_us) / kMicrosPerSecond) {
      return fail(Code::expired, "dht record: it has expired");
    }
    return {};
  }
  bool supersedes(ByteView key, ByteView value, ByteView known) const override {
    if (peer_of_record_key(key)) {
      const auto a = net::open_peer_record(value);
      const auto b = net::open_peer_record(known);
      return a.ok() && b.ok() && net::supersedes(*a, *b);
    }
    const auto a = open_signed_record(value);
    const auto b = open_signed_record(known);
    if (!a.ok() || !b.ok()) return false;
    // Of two with one seq, all choose the same.
    return a->seq != b->seq ? a->seq > b->seq : compare(value, known) > 0;
  }
};

const PublicKeyValidator kPublicKeyValidator;
const SereusValidator kSereusValidator;

}  // namespace

Bytes signed_record_key(ByteView public_key, std::string_view name) {
  Bytes hashed = to_bytes(public_key);  // of a fixed size, so that no two pairs are the same bytes
  append(hashed, as_bytes(name));
  return with_prefix(kRecordPrefix, crypto::hash_in_context(kRecordKeyContext, hashed).view());
}

Result<Bytes> seal_signed_record(const crypto::KeyPair& key, std::string_view name, uint64_t seq, uint64_t expires_s,
                                 ByteView payload) {
  if (name.size() > kKadRecordNameMax || !codec::valid_utf8(as_bytes(name))) {
    return fail(Code::invalid, "dht record: a bad name");
  }
  const Bytes body = record_body(key.public_key(), name, seq, expires_s, payload);
  const Signature signature = key.sign_in_context(kRecordSignContext, body);
  Bytes out;
  CborWriter writer(out);
  writer.array(2);
  writer.encoded_item(body);
  writer.bytes(signature.view());
  writer.finish();
  if (out.size() > kKadValueMax) return fail(Code::too_large, "dht record: the payload is too large");
  return out;
}

Result<SignedRecord> open_signed_record(ByteView value) {
  if (value.size() > kKadValueMax) return fail(Code::too_large, "dht record: too large");
  CborReader reader(value);
  SignedRecord record;
  uint64_t count = 0;
  uint64_t version = 0;
  std::string_view name;
  ByteView payload;
  Signature signature;
  if (!reader.get_array(count) || count != 2) return malformed("not a record");
  const size_t from = reader.position();
  const bool read = reader.get_array(count) && count == kRecordFields && reader.get_uint(version) &&
                    version == kRecordVersion && reader.get_fixed(record.public_key) && reader.get_text(name) &&
                    reader.get_uint(record.seq) && reader.get_uint(record.expires_s) && reader.get_bytes(payload);
  if (!read) return malformed("not a record");
  const ByteView body = reader.since(from);
  if (!reader.get_fixed(signature.bytes) || !reader.at_end()) return malformed("not a record");
  if (name.size() > kKadRecordNameMax) return fail(Code::too_large, "dht record: the name is too long");
  if (!crypto::verify_in_context(record.public_key, kRecordSignContext, body, signature.view())) {
    return fail(Code::bad_signature, "dht record: the signature does not verify");
  }
  record.name = std::string(name);
  record.payload = to_bytes(payload);
  return record;
}

Bytes public_key_key(const net::PeerId& peer) { return with_prefix(kPublicKeyPrefix, peer.multihash()); }
Bytes peer_record_key(const net::PeerId& peer) { return with_prefix(kPeerPrefix, peer.multihash()); }

std::optional<net::PeerId> peer_of_record_key(ByteView key) {
  const auto rest = after(kPeerPrefix, key);
  return rest ? net::PeerId::from_multihash(*rest) : std::nullopt;
}

KadId place_of_key(ByteView key) {
  const auto peer = peer_of_record_key(key);
  return peer ? KadId::of(*peer) : KadId::of(key);
}

KadValidators::KadValidators() : validators_({{"pk", &kPublicKeyValidator}, {"sereus", &kSereusValidator}}) {}

Status KadValidators::add(std::string_view name, const KadValidator& validator) {
  if (name.empty() || name.find('/') != std::string_view::npos) return fail(Code::invalid, "a bad name of keys");
  if (!validators_.emplace(std::string(name), &validator).second)
    return fail(Code::exists, "these keys have a validator");
  return {};
}

const KadValidator* KadValidators::of(ByteView key) const {
  const std::string_view text = as_text(key);
  if (text.size() < 2 || text[0] != '/') return nullptr;
  const size_t end = text.find('/', 1);
  if (end == std::string_view::npos) return nullptr;
  const auto found = validators_.find(text.substr(1, end - 1));
  return found == validators_.end() ? nullptr : found->second;
}

Status KadValidators::validate(ByteView key, ByteView value, int64_t wall_us) const {
  if (key.empty() || key.size() > kKadKeyMax) return fail(Code::invalid, "dht: a bad key");
  if (value.size() > kKadValueMax) return fail(Code::too_large, "dht: the value is too large");
  const KadValidator* validator = of(key);
  if (validator == nullptr) return fail(Code::unsupported, "dht: nobody can check values of such keys");
  return validator->validate(key, value, wall_us);
}

bool KadValidators::supersedes(ByteView key, ByteView value, ByteView known) const {
  const KadValidator* validator = of(key);
  return validator != nullptr && validator->supersedes(key, value, known);
}

}  // namespace sereus::discovery
