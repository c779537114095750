#include "core/net/signed_envelope.h"

#include "core/codec/protobuf.h"
#include "core/codec/varint.h"
#include "core/net/limits.h"

namespace sereus::net {
namespace {

// RFC 0002 numbers the signature 4; every implementation writes 5.
constexpr uint32_t kPublicKeyField = 1;
constexpr uint32_t kPayloadTypeField = 2;
constexpr uint32_t kPayloadField = 3;
constexpr uint32_t kSignatureField = 5;

struct Fields {
  ByteView public_key;
  ByteView payload_type;
  ByteView payload;
  ByteView signature;
};

Error malformed(const char* what) { return fail(Code::malformed, std::string("signed envelope: ") + what); }

ByteView* place_of(uint32_t number, Fields& fields) {
  switch (number) {
    case kPublicKeyField:
      return &fields.public_key;
    case kPayloadTypeField:
      return &fields.payload_type;
    case kPayloadField:
      return &fields.payload;
    case kSignatureField:
      return &fields.signature;
    default:
      return nullptr;
  }
}

Result<Fields> read_fields(ByteView envelope) {
  Fields fields;
  codec::ProtobufReader reader(envelope);
  while (const auto field = reader.next()) {
    ByteView* place = place_of(field->number, fields);
    if (place == nullptr) continue;
    if (field->type != codec::ProtobufField::Type::bytes) return malformed("a field of the wrong type");
    *place = field->bytes;
  }
  if (reader.bad()) return malformed("not a protobuf message");
  if (fields.public_key.empty() || fields.payload_type.empty() || fields.signature.empty()) {
    return malformed("a field is missing");
  }
  return fields;
}

// RFC 0002, "Signature Production / Verification".
Bytes signed_bytes(const EnvelopePurpose& purpose, ByteView payload) {
  Bytes out;
  for (const ByteView part : {as_bytes(purpose.domain), purpose.payload_type, payload}) {
    codec::varint_append(out, part.size());
    append(out, part);
  }
  return out;
}

}  // namespace

Result<SignedEnvelope> open_envelope(ByteView envelope, const EnvelopePurpose& purpose) {
  if (envelope.size() > kEnvelopeBytesMax) return fail(Code::too_large, "signed envelope: too large");
  SEREUS_ASSIGN(const Fields fields, read_fields(envelope));
  if (!equal(fields.payload_type, purpose.payload_type)) {
    return fail(Code::protocol, "signed envelope: not of the type that was expected");
  }
  SEREUS_ASSIGN(PublicKey signer, PublicKey::parse(fields.public_key));
  SEREUS_TRY(signer.verify(signed_bytes(purpose, fields.payload), fields.signature));
  return SignedEnvelope{std::move(signer), to_bytes(fields.payload)};
}

Result<Bytes> seal_envelope(const crypto::KeyPair& device, const EnvelopePurpose& purpose, ByteView payload) {
  const Signature signature = device.sign(signed_bytes(purpose, payload));
  codec::ProtobufWriter writer;
  writer.bytes(kPublicKeyField, public_key_protobuf(device.device_key()));
  writer.bytes(kPayloadTypeField, purpose.payload_type);
  writer.bytes(kPayloadField, payload);
  writer.bytes(kSignatureField, signature.view());
  if (writer.view().size() > kEnvelopeBytesMax) return fail(Code::too_large, "signed envelope: too large");
  return writer.take();
}

}  // namespace sereus::net
