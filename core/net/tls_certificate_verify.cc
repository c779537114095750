// Verifying a peer's certificate. Own parsing, so that exactly what the specification says decides: wolfSSL's own chain
// verification knows certificate authorities, which there are none of here.
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>

#include <algorithm>

#include "core/crypto/ed25519_verify.h"
#include "core/crypto/hash.h"
#include "core/net/certificate_oids.h"
#include "core/net/der.h"
#include "core/net/ecdsa.h"
#include "core/net/limits.h"
#include "core/net/public_key.h"
#include "core/net/tls_certificate.h"

namespace sereus::net {
namespace {

constexpr std::string_view kSignaturePrefix = "libp2p-tls-handshake:";

struct Certificate {
  ByteView body;       // TBSCertificate with its header: what is signed
  ByteView algorithm;  // content of its AlgorithmIdentifier
  ByteView key_info;   // SubjectPublicKeyInfo with its header
  ByteView signature;
  int64_t not_before = 0;  // seconds since 1970
  int64_t not_after = 0;
  ByteView extensions;  // content of the SEQUENCE OF Extension; empty when there are none
};

Error malformed(const char* what) { return fail(Code::malformed, std::string("certificate: ") + what); }

// Howard Hinnant's days_from_civil, for the proleptic Gregorian calendar.
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

// RFC 5280 4.1.2.5: YYMMDDHHMMSSZ (50 and above are 19xx) or YYYYMMDDHHMMSSZ, no fractions.
std::optional<int64_t> parse_time(const der::Element& element) {
  const size_t year_digits = element.tag == der::kUtcTime ? 2 : 4;
  if (element.tag != der::kUtcTime && element.tag != der::kGeneralizedTime) return std::nullopt;
  const ByteView text = element.content;
  if (text.size() != year_digits + 11 || text.back() != 'Z') return std::nullopt;
  const auto digits = text.first(text.size() - 1);
  if (!std::all_of(digits.begin(), digits.end(), [](uint8_t c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  const auto number = [&text](size_t at, size_t count) {
    int64_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value * 10 + (text[at + i] - '0');
    return value;
  };
  int64_t year = number(0, year_digits);
  if (year_digits == 2) year += year >= 50 ? 1900 : 2000;
  const int64_t month = number(year_digits, 2);
  const int64_t day = number(year_digits + 2, 2);
  const int64_t hour = number(year_digits + 4, 2);
  const int64_t minute = number(year_digits + 6, 2);
  const int64_t second = number(year_digits + 8, 2);
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

Status parse_validity(ByteView content, Certificate& out) {
  der::Reader validity(content);
  const auto before = validity.next();
  const auto after = validity.next();
  if (!before || !after || !validity.empty()) return malformed("bad validity");
  const auto from = parse_time(*before);
  const auto until = parse_time(*after);
  if (!from || !until) return malformed("bad date");
  out.not_before = *from;
  out.not_after = *until;
  return {};
}

// RFC 5280 4.1, TBSCertificate.
Status parse_body(ByteView content, ByteView outer_algorithm, Certificate& out) {
  der::Reader body(content);
  const auto version = body.next(der::kContext0);
  const uint8_t v3[] = {der::kInteger, 1, 2};
  if (!version || !equal(version->content, v3)) return malformed("not version 3");
  const auto serial = body.next(der::kInteger);
  const auto algorithm = body.next(der::kSequence);
  const auto issuer = body.next(der::kSequence);
  const auto validity = body.next(der::kSequence);
  const auto subject = body.next(der::kSequence);
  const auto key_info = body.next(der::kSequence);
  if (!serial || serial->content.empty() || !algorithm || !issuer || !validity || !subject || !key_info) {
    return malformed("bad structure");
  }
  if (!equal(algorithm->content, outer_algorithm)) return malformed("two signature algorithms");
  SEREUS_TRY(parse_validity(validity->content, out));
  out.key_info = key_info->whole;
  // The unique identifiers [1] and [2] of version 2 are used by nobody and refused here.
  if (body.empty()) return {};
  const auto extensions = body.next(der::kContext3);
  if (!extensions || !body.empty()) return malformed("bad structure");
  der::Reader wrapper(extensions->content);
  const auto list = wrapper.next(der::kSequence);
  if (!list || list->content.empty() || !wrapper.empty()) return malformed("bad extensions");
  out.extensions = list->content;
  return {};
}

Result<Certificate> parse_certificate(ByteView bytes) {
  if (bytes.size() > kCertificateBytesMax) return fail(Code::too_large, "certificate: too large");
  der::Reader outer(bytes);
  const auto whole = outer.next(der::kSequence);
  if (!whole || !outer.empty()) return malformed("truncated or with trailing bytes");
  der::Reader parts(whole->content);
  const auto body = parts.next(der::kSequence);
  const auto algorithm = parts.next(der::kSequence);
  const auto bits = parts.next(der::kBitString);
  if (!body || !algorithm || !bits || !parts.empty()) return malformed("bad structure");
  const auto signature = der::bit_string_bytes(bits->content);
  if (!signature) return malformed("bad signature encoding");
  Certificate out;
  out.body = body->whole;
  out.algorithm = algorithm->content;
  out.signature = *signature;
  SEREUS_TRY(parse_body(body->content, algorithm->content, out));
  return out;
}

// The value of the libp2p extension. Any other critical extension is one we do not understand (libp2p specs, tls).
Result<ByteView> find_libp2p_extension(const Certificate& certificate) {
  der::Reader list(certificate.extensions);
  std::optional<ByteView> found;
  std::vector<ByteView> seen;
  while (!list.empty()) {
    const auto extension = list.next(der::kSequence);
    if (!extension) return malformed("bad extension");
    der::Reader parts(extension->content);
    const auto id = parts.next(der::kOid);
    bool critical = false;
    if (parts.next_is(der::kBoolean)) {
      const auto flag = parts.next();
      // DER writes only TRUE (0xff); FALSE is the default and left out. Some encoders write it all the same.
      if (!flag || flag->content.size() != 1) return malformed("bad extension");
      critical = flag->content[0] != 0;
    }
    const auto value = parts.next(der::kOctetString);
    if (!id || !value || !parts.empty()) return malformed("bad extension");
    if (std::any_of(seen.begin(), seen.end(), [&](ByteView other) { return equal(other, id->content); })) {
      return malformed("an extension stands twice");
    }
    if (seen.size() == kCertificateExtensionsMax) return fail(Code::too_large, "certificate: too many extensions");
    seen.push_back(id->content);
    if (equal(id->content, oid::kLibp2pKey)) {
      found = value->content;
    } else if (critical) {
      return fail(Code::unsupported, "certificate: unknown critical extension");
    }
  }
  if (!found) return malformed("no libp2p extension");
  return *found;
}

bool ed25519_valid(ByteView key, ByteView message, ByteView signature) {
  if (key.size() != crypto::kEd25519PublicKeySize || signature.size() != crypto::kEd25519SignatureSize) return false;
  return crypto::ed25519_verify(std::span<const uint8_t, 32>(key.data(), 32), message,
                                std::span<const uint8_t, 64>(signature.data(), 64));
}

std::optional<EcCurve> curve_named(ByteView id) {
  if (equal(id, oid::kP256)) return EcCurve::p256;
  if (equal(id, oid::kP384)) return EcCurve::p384;
  return std::nullopt;
}

// The certificate's own signature, with the key it carries. RSA certificate keys come with the TCP transports.
Status verify_self_signature(const Certificate& certificate) {
  der::Reader info_reader(certificate.key_info);
  const auto info = info_reader.next(der::kSequence);
  der::Reader parts(info->content);
  const auto algorithm = parts.next(der::kSequence);
  const auto bits = parts.next(der::kBitString);
  if (!algorithm || !bits || !parts.empty()) return malformed("bad public key");
  const auto key = der::bit_string_bytes(bits->content);
  der::Reader key_algorithm(algorithm->content);
  const auto key_oid = key_algorithm.next(der::kOid);
  der::Reader signature_algorithm(certificate.algorithm);
  const auto signature_oid = signature_algorithm.next(der::kOid);
  if (!key || !key_oid || !signature_oid) return malformed("bad public key");
  if (!signature_algorithm.empty()) return fail(Code::unsupported, "certificate: unknown signature algorithm");

  const Error bad = fail(Code::bad_signature, "certificate: its own signature is not valid");
  if (equal(key_oid->content, oid::kEd25519) && equal(signature_oid->content, oid::kEd25519)) {
    return ed25519_valid(*key, certificate.body, certificate.signature) ? Status() : Status(bad);
  }
  if (!equal(key_oid->content, oid::kEcPublicKey)) return fail(Code::unsupported, "certificate: unknown key type");
  const auto curve_oid = key_algorithm.next(der::kOid);
  if (!curve_oid || !key_algorithm.empty()) return malformed("bad public key");
  const auto curve = curve_named(curve_oid->content);
  if (!curve) return fail(Code::unsupported, "certificate: unknown elliptic curve");
  if (!ec_point_valid(*curve, *key)) return malformed("bad public key");
  bool valid = false;
  if (equal(signature_oid->content, oid::kEcdsaSha256)) {
    valid = ecdsa_verify(*curve, *key, crypto::sha256(certificate.body).view(), certificate.signature);
  } else if (equal(signature_oid->content, oid::kEcdsaSha384)) {
    std::array<uint8_t, WC_SHA384_DIGEST_SIZE> digest{};
    wc_Sha384Hash(certificate.body.data(), static_cast<word32>(certificate.body.size()), digest.data());
    valid = ecdsa_verify(*curve, *key, digest, certificate.signature);
  } else {
    return fail(Code::unsupported, "certificate: unknown signature algorithm");
  }
  return valid ? Status() : Status(bad);
}

Status check_dates(const Certificate& certificate, const CertificateCheck& check) {
  if (check.clock_suspect) return {};
  const int64_t now = check.wall_us / static_cast<int64_t>(kMicrosPerSecond);
  if (now > certificate.not_after + kCertificateSkewSeconds) return fail(Code::expired, "certificate: expired");
  if (now < certificate.not_before - kCertificateSkewSeconds) return fail(Code::expired, "certificate: not valid yet");
  return {};
}

}  // namespace

Result<PeerId> verify_peer_certificate(std::span<const ByteView> chain, const CertificateCheck& check) {
  if (chain.size() != 1) return malformed("there must be exactly one");
  SEREUS_ASSIGN(const Certificate certificate, parse_certificate(chain[0]));
  SEREUS_ASSIGN(const ByteView extension, find_libp2p_extension(certificate));
  SEREUS_TRY(check_dates(certificate, check));

  der::Reader wrapper(extension);
  const auto signed_key = wrapper.next(der::kSequence);
  if (!signed_key || !wrapper.empty()) return malformed("bad libp2p extension");
  der::Reader parts(signed_key->content);
  const auto key_bytes = parts.next(der::kOctetString);
  const auto proof = parts.next(der::kOctetString);
  if (!key_bytes || !proof || !parts.empty()) return malformed("bad libp2p extension");
  SEREUS_ASSIGN(const PublicKey key, PublicKey::parse(key_bytes->content));

  SEREUS_TRY(verify_self_signature(certificate));
  Bytes message = to_bytes(kSignaturePrefix);
  append(message, certificate.key_info);
  SEREUS_TRY(key.verify(message, proof->content));
  return key.peer_id();
}

}  // namespace sereus::net
