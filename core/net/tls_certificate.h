// The self-signed certificate that proves a PeerID in TLS 1.3 (libp2p specs, tls): an ephemeral key signs the handshake,
// and an extension carries the host key with its signature over that ephemeral key. docs/formats/transport.md.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/crypto/secret.h"
#include "core/crypto/sign.h"
#include "core/net/peer_id.h"
#include "core/ports/random.h"

namespace sereus::net {

// What a TLS endpoint presents: certificates, the leaf first, and the leaf's private key (SEC 1 DER, P-256).
struct TlsIdentity {
  std::vector<Bytes> chain;
  crypto::SecretBuffer private_key;
};

// Makes a fresh P-256 key and its certificate for `device`. P-256 because every libp2p implementation verifies it (the
// browsers' and Node's crypto does not know Ed25519 certificates everywhere). The validity is fixed and wide, 1975 to
// 4096 as rust-libp2p's: the certificate lives as long as the process, and its dates would only tell of our clock.
Result<TlsIdentity> make_tls_identity(const crypto::KeyPair& device, Random& random);

// What the certificate says about time is checked against `now`, unless the wall clock is known to be wrong.
struct CertificateCheck {
  int64_t wall_us = 0;
  bool clock_suspect = false;
};

// Verifies what a peer presented and returns who it proves to be. The chain must be one certificate: v3, with the libp2p
// extension exactly once, a valid signature in it by a host key of any type that libp2p has (public_key.h), a valid self-signature, no other critical extension, within its dates.
// Errors: malformed (does not parse, or rules of the specification), bad_signature, expired, unsupported (key types), with
// one line that says which.
Result<PeerId> verify_peer_certificate(std::span<const ByteView> chain, const CertificateCheck& check);

// The parts of a certificate, for make_tls_identity and for tests that need wrong ones.
struct CertificateFields {
  struct Extension {
    Bytes oid;  // content of the OBJECT IDENTIFIER
    bool critical = false;
    Bytes value;
  };
  std::string not_before = "19750101000000Z";  // GeneralizedTime; years 1950 to 2049 are written as UTCTime
  std::string not_after = "40960101000000Z";
  std::vector<Extension> extensions;
};

// An ephemeral P-256 key that signs certificates.
class CertificateKey {
 public:
  static Result<CertificateKey> generate(Random& random);
  // SubjectPublicKeyInfo, DER: what the host key signs.
  const Bytes& public_key_info() const { return public_key_info_; }
  const crypto::SecretBuffer& private_key() const { return private_key_; }
  // DER of a certificate with this key as subject and signer.
  Result<Bytes> certificate(const CertificateFields& fields, Random& random) const;

 private:
  Bytes public_key_info_;
  crypto::SecretBuffer private_key_;
};

// The libp2p extension for `public_key_info`, signed by `device`.
CertificateFields::Extension libp2p_extension(const crypto::KeyPair& device, ByteView public_key_info);

}  // namespace sereus::net
