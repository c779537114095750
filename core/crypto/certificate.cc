#include "core/crypto/certificate.h"

#include <string>

#include "core/codec/cbor.h"
#include "core/crypto/ed25519_verify.h"

namespace sereus::crypto {
namespace {

using codec::CborReader;
using codec::CborUintMap;
using codec::CborWriter;

constexpr uint64_t kKindDevice = 1;
constexpr uint64_t kKindAuthor = 2;

// Keys of the body. 1 and 2 mean the same in every kind and version.
constexpr uint64_t kVersion = 1;
constexpr uint64_t kKind = 2;

struct Parts {
  ByteView body;
  Signature signature;
};

Result<Parts> split(ByteView certificate) {
  if (certificate.size() > kCertificateSizeMax) return fail(Code::too_large, "a certificate is over 512 bytes");
  CborReader reader(certificate);
  Parts parts;
  uint64_t count = 0;
  reader.get_array(count);
  if (!reader.failed() && count != 2) reader.refuse("a certificate is a body and a signature");
  reader.get_bytes(parts.body);
  reader.get_fixed(parts.signature.bytes);
  SEREUS_TRY(reader.expect_end());
  return parts;
}

// Reads version and kind, which come first in every certificate.
Status expect_kind(CborReader& reader, CborUintMap& map, uint64_t wanted) {
  uint64_t key = 0;
  uint64_t version = 0;
  uint64_t kind = 0;
  if (!map.next(key) || key != kVersion) reader.refuse("a certificate begins with its version");
  reader.get_uint(version);
  if (!reader.failed() && version > kCertificateVersion) {
    return fail(Code::too_new, "a certificate of version " + std::to_string(version));
  }
  if (version != kCertificateVersion) reader.refuse("there is no certificate version 0");
  if (!map.next(key) || key != kKind) reader.refuse("a certificate has a kind");
  reader.get_uint(kind);
  if (kind != wanted) reader.refuse("a certificate of another kind");
  return reader.failed() ? Status(reader.error()) : Status();
}

// The next field, which must have this key: every field of version 1 is required.
template <typename Id>
void get_id(CborReader& reader, CborUintMap& map, uint64_t key, Id& id) {
  uint64_t found = 0;
  if (!map.next(found) || found != key) reader.refuse("a field of the certificate is missing or unknown");
  reader.get_fixed(id.bytes);
}

void get_number(CborReader& reader, CborUintMap& map, uint64_t key, uint64_t& value) {
  uint64_t found = 0;
  if (!map.next(found) || found != key) reader.refuse("a field of the certificate is missing or unknown");
  reader.get_uint(value);
}

// The last fields of each kind: serial and dates, from `key` on.
template <typename Certificate>
Status get_tail(CborReader& reader, CborUintMap& map, uint64_t key, Certificate& certificate) {
  get_number(reader, map, key, certificate.serial);
  get_number(reader, map, key + 1, certificate.issued_at_s);
  get_number(reader, map, key + 2, certificate.expires_at_s);
  SEREUS_TRY(map.finish());
  if (certificate.expires_at_s != kNoExpiry && certificate.expires_at_s <= certificate.issued_at_s) {
    return fail(Code::malformed, "a certificate expires before it was issued");
  }
  return reader.expect_end();
}

Result<DeviceCertificate> parse_device_body(ByteView body) {
  CborReader reader(body);
  CborUintMap map(reader);
  SEREUS_TRY(expect_kind(reader, map, kKindDevice));
  DeviceCertificate certificate;
  get_id(reader, map, 3, certificate.party);
  get_id(reader, map, 4, certificate.device);
  SEREUS_TRY(get_tail(reader, map, 5, certificate));
  return certificate;
}

Result<AuthorCertificate> parse_author_body(ByteView body) {
  CborReader reader(body);
  CborUintMap map(reader);
  SEREUS_TRY(expect_kind(reader, map, kKindAuthor));
  AuthorCertificate certificate;
  get_id(reader, map, 3, certificate.device);
  get_id(reader, map, 4, certificate.author);
  get_id(reader, map, 5, certificate.store);
  get_id(reader, map, 6, certificate.incarnation);
  SEREUS_TRY(get_tail(reader, map, 7, certificate));
  return certificate;
}

void begin_body(CborWriter& writer, size_t fields, uint64_t kind) {
  writer.map(fields);
  writer.uint(kVersion);
  writer.uint(kCertificateVersion);
  writer.uint(kKind);
  writer.uint(kind);
}

void put_bytes(CborWriter& writer, uint64_t key, ByteView value) {
  writer.uint(key);
  writer.bytes(value);
}

template <typename Certificate>
void put_tail(CborWriter& writer, uint64_t key, const Certificate& certificate) {
  SEREUS_ASSERT(certificate.expires_at_s == kNoExpiry || certificate.expires_at_s > certificate.issued_at_s);
  writer.uint(key);
  writer.uint(certificate.serial);
  writer.uint(key + 1);
  writer.uint(certificate.issued_at_s);
  writer.uint(key + 2);
  writer.uint(certificate.expires_at_s);
  writer.finish();
}

Bytes signed_body(const KeyPair& issuer, std::string_view context, ByteView body) {
  Bytes out;
  CborWriter writer(out);
  writer.array(2);
  writer.bytes(body);
  writer.bytes(issuer.sign_in_context(context, body).view());
  return out;
}

// `issuer` and `subject` are the two keys that the certificate joins. Under a key of small order anyone can sign
// anything (docs/formats/signatures.md), so neither may be one.
template <typename Certificate>
Status check(const Certificate& certificate, const PublicKey& issuer, const PublicKey& subject,
             std::string_view context, const Parts& parts, CheckDate date) {
  if (ed25519_key_has_small_order(issuer) || ed25519_key_has_small_order(subject)) {
    return fail(Code::bad_signature, "a certificate names a key under which anyone can sign");
  }
  if (!verify_in_context(issuer, context, parts.body, parts.signature.view())) {
    return fail(Code::bad_signature, "the signature of a certificate does not verify");
  }
  if (date && certificate.expires_at_s != kNoExpiry && *date >= certificate.expires_at_s) {
    return fail(Code::expired, "a certificate has expired");
  }
  return {};
}

}  // namespace

Bytes issue_certificate(const KeyPair& party, const DeviceCertificate& certificate) {
  SEREUS_ASSERT(party.party_key() == certificate.party);
  Bytes body;
  CborWriter writer(body);
  begin_body(writer, 7, kKindDevice);
  put_bytes(writer, 3, certificate.party.view());
  put_bytes(writer, 4, certificate.device.view());
  put_tail(writer, 5, certificate);
  return signed_body(party, kDeviceCertificateContext, body);
}

Bytes issue_certificate(const KeyPair& device, const AuthorCertificate& certificate) {
  SEREUS_ASSERT(device.device_key() == certificate.device);
  Bytes body;
  CborWriter writer(body);
  begin_body(writer, 9, kKindAuthor);
  put_bytes(writer, 3, certificate.device.view());
  put_bytes(writer, 4, certificate.author.view());
  put_bytes(writer, 5, certificate.store.view());
  put_bytes(writer, 6, certificate.incarnation.view());
  put_tail(writer, 7, certificate);
  return signed_body(device, kAuthorCertificateContext, body);
}

Result<DeviceCertificate> verify_device_certificate(ByteView certificate, CheckDate date) {
  SEREUS_ASSIGN(const Parts parts, split(certificate));
  SEREUS_ASSIGN(DeviceCertificate parsed, parse_device_body(parts.body));
  SEREUS_TRY(check(parsed, parsed.party.bytes, parsed.device.bytes, kDeviceCertificateContext, parts, date));
  return parsed;
}

Result<AuthorCertificate> verify_author_certificate(ByteView certificate, CheckDate date) {
  SEREUS_ASSIGN(const Parts parts, split(certificate));
  SEREUS_ASSIGN(AuthorCertificate parsed, parse_author_body(parts.body));
  SEREUS_TRY(check(parsed, parsed.device.bytes, parsed.author.bytes, kAuthorCertificateContext, parts, date));
  return parsed;
}

Result<DeviceCertificate> parse_device_certificate(ByteView certificate) {
  SEREUS_ASSIGN(const Parts parts, split(certificate));
  return parse_device_body(parts.body);
}

Result<AuthorCertificate> parse_author_certificate(ByteView certificate) {
  SEREUS_ASSIGN(const Parts parts, split(certificate));
  return parse_author_body(parts.body);
}

Result<AuthorIdentity> verify_author_chain(ByteView author_certificate, ByteView device_certificate,
                                           const StoreId& store, CheckDate date) {
  SEREUS_ASSIGN(const AuthorCertificate author, verify_author_certificate(author_certificate, date));
  if (author.store != store) return fail(Code::wrong_store, "an author certificate for another store");
  SEREUS_ASSIGN(const DeviceCertificate device, verify_device_certificate(device_certificate, date));
  if (device.device != author.device) {
    return fail(Code::bad_signature, "the author certificate is from another device than the device certificate");
  }
  return AuthorIdentity{device.party, author.device, author.author, author.incarnation, device.serial, author.serial};
}

}  // namespace sereus::crypto
