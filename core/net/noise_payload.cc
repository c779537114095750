#include "core/net/noise_payload.h"

#include <algorithm>

#include "core/codec/protobuf.h"
#include "core/net/limits.h"
#include "core/net/public_key.h"

namespace sereus::net {
namespace {

constexpr std::string_view kSignaturePrefix = "noise-libp2p-static-key:";
constexpr uint32_t kFieldKey = 1;
constexpr uint32_t kFieldSignature = 2;
constexpr uint32_t kFieldExtensions = 4;
constexpr uint32_t kExtensionMuxers = 2;

Error malformed(const char* what) { return fail(Code::malformed, std::string("noise payload: ") + what); }

Bytes signed_message(const crypto::X25519PublicKey& static_key) {
  Bytes message;
  message.reserve(kSignaturePrefix.size() + static_key.size());
  append(message, as_bytes(kSignaturePrefix));
  append(message, static_key);
  return message;
}

Status parse_extensions(ByteView bytes, NoisePayload& out) {
  codec::ProtobufReader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->number != kExtensionMuxers) continue;
    if (field->type != codec::ProtobufField::Type::bytes) return malformed("bad muxers");
    if (out.stream_muxers.size() == kNoiseMuxersMax || field->bytes.size() >= kMultistreamLineMax) {
      return fail(Code::too_large, "noise payload: too many or too long muxers");
    }
    out.stream_muxers.push_back(to_string(field->bytes));
  }
  if (reader.bad()) return malformed("bad extensions");
  return {};
}

}  // namespace

Bytes encode_noise_payload(const NoisePayload& payload) {
  codec::ProtobufWriter out;
  out.bytes(kFieldKey, payload.identity_key);
  out.bytes(kFieldSignature, payload.identity_sig);
  if (!payload.stream_muxers.empty()) {
    codec::ProtobufWriter extensions;
    for (const std::string& muxer : payload.stream_muxers) extensions.bytes(kExtensionMuxers, as_bytes(muxer));
    out.bytes(kFieldExtensions, extensions.view());
  }
  return out.take();
}

Result<NoisePayload> parse_noise_payload(ByteView bytes) {
  if (bytes.size() > kNoisePayloadMax) return fail(Code::too_large, "noise payload: too large");
  NoisePayload out;
  bool seen[kFieldExtensions + 1] = {};
  codec::ProtobufReader reader(bytes);
  while (const auto field = reader.next()) {
    if (field->number != kFieldKey && field->number != kFieldSignature && field->number != kFieldExtensions) continue;
    if (field->type != codec::ProtobufField::Type::bytes) return malformed("a field of the wrong type");
    // Protobuf would take the last or merge; whoever sends two wants two readers to see different ones.
    if (seen[field->number]) return malformed("a field stands twice");
    seen[field->number] = true;
    if (field->number == kFieldKey) out.identity_key = to_bytes(field->bytes);
    if (field->number == kFieldSignature) out.identity_sig = to_bytes(field->bytes);
    if (field->number == kFieldExtensions) SEREUS_TRY(parse_extensions(field->bytes, out));
  }
  if (reader.bad()) return malformed("bad encoding");
  if (!seen[kFieldKey] || !seen[kFieldSignature]) return malformed("no key or no signature");
  return out;
}

Signature sign_noise_static_key(const crypto::KeyPair& device, const crypto::X25519PublicKey& static_key) {
  return device.sign(signed_message(static_key));
}

Result<PeerId> verify_noise_payload(const NoisePayload& payload, const crypto::X25519PublicKey& static_key) {
  SEREUS_ASSIGN(const PublicKey key, PublicKey::parse(payload.identity_key));
  SEREUS_TRY(key.verify(signed_message(static_key), payload.identity_sig));
  return key.peer_id();
}

Result<std::string> choose_muxer(std::span<const std::string> initiators, std::span<const std::string> responders) {
  if (initiators.empty() || responders.empty()) return std::string();
  for (const std::string& muxer : initiators) {
    if (std::find(responders.begin(), responders.end(), muxer) != responders.end()) return muxer;
  }
  return fail(Code::unsupported, "noise: no stream muxer in common");
}

}  // namespace sereus::net
