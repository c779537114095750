// Certificates that join the three kinds of keys (docs/formats/keys.md): a party says which devices are its, a device
// says which author key it writes a store with. So each key rotates or is revoked without the others.
//
// On the wire: CBOR [body bytes, signature]. The signature is over the received body bytes, which are never re-encoded.
// Dates are whole seconds since 1970 by the issuer's clock. issued_at informs and is not checked: clocks err.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/crypto/sign.h"

namespace sereus::crypto {

// Bytes of a whole certificate; version 1 needs at most 210. Larger is refused before parsing.
inline constexpr size_t kCertificateSizeMax = 512;
inline constexpr uint64_t kCertificateVersion = 1;
inline constexpr uint64_t kNoExpiry = 0;

inline constexpr std::string_view kDeviceCertificateContext = "sereus device certificate 1";
inline constexpr std::string_view kAuthorCertificateContext = "sereus author certificate 1";

// "This device is mine", signed by the party.
struct DeviceCertificate {
  PartyKey party;
  DeviceKey device;
  uint64_t serial = 0;  // of two for one device the higher counts
  uint64_t issued_at_s = 0;
  uint64_t expires_at_s = kNoExpiry;
  friend bool operator==(const DeviceCertificate&, const DeviceCertificate&) = default;
};

// "In this store I write with this key", signed by the device. That the author agrees is shown by the entry that
// carries the certificate, which the author signs.
struct AuthorCertificate {
  DeviceKey device;
  AuthorKey author;
  StoreId store;
  Incarnation incarnation;  // the life of the data folder that the author key belongs to
  uint64_t serial = 0;
  uint64_t issued_at_s = 0;
  uint64_t expires_at_s = kNoExpiry;
  friend bool operator==(const AuthorCertificate&, const AuthorCertificate&) = default;
};

// Signs a certificate. Preconditions: `party` / `device` is the pair of the key the certificate names as its issuer;
// expires_at_s is kNoExpiry or after issued_at_s.
Bytes issue_certificate(const KeyPair& party, const DeviceCertificate& certificate);
Bytes issue_certificate(const KeyPair& device, const AuthorCertificate& certificate);

// Which date, in seconds since 1970, certificates must be good for; nothing skips the check (a clock that is suspect).
using CheckDate = std::optional<uint64_t>;

// Parses and verifies; naming a key of small order, under which anyone can sign, is Code::bad_signature like a wrong
// signature. Errors: Code::too_large, Code::malformed (also for the other kind of certificate),
// Code::too_new, Code::bad_signature, Code::expired.
Result<DeviceCertificate> verify_device_certificate(ByteView certificate, CheckDate date);
Result<AuthorCertificate> verify_author_certificate(ByteView certificate, CheckDate date);

// Parsed only: nothing is known about who made it. For showing.
Result<DeviceCertificate> parse_device_certificate(ByteView certificate);
Result<AuthorCertificate> parse_author_certificate(ByteView certificate);

// Who an author is.
struct AuthorIdentity {
  PartyKey party;
  DeviceKey device;
  AuthorKey author;
  Incarnation incarnation;
  uint64_t device_serial = 0;
  uint64_t author_serial = 0;
};

// Verifies both certificates and that they join: the author certificate is for `store` (else Code::wrong_store) and
// from the device of the device certificate (else Code::bad_signature).
Result<AuthorIdentity> verify_author_chain(ByteView author_certificate, ByteView device_certificate,
                                           const StoreId& store, CheckDate date);

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
