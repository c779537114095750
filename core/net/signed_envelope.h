// Signed envelopes (libp2p specs, RFC 0002): a payload with its signer's public key and a signature that counts for one
// purpose only. What peer records and relay vouchers travel in. docs/formats/transport.md.
#pragma once

#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/crypto/sign.h"
#include "core/net/public_key.h"

namespace sereus::net {

// The purpose of a signature: the domain is signed and not sent, the payload type is both.
struct EnvelopePurpose {
  std::string_view domain;
  ByteView payload_type;
};

struct SignedEnvelope {
  PublicKey signer;
  Bytes payload;
};

// Reads an envelope and verifies its signature before anyone looks at the payload. Errors: malformed, too_large (over
// kEnvelopeBytesMax), unsupported (key types), protocol (another payload type), bad_signature (also for another domain).
Result<SignedEnvelope> open_envelope(ByteView envelope, const EnvelopePurpose& purpose);

// Code::too_large when the result would not be accepted.
Result<Bytes> seal_envelope(const crypto::KeyPair& device, const EnvelopePurpose& purpose, ByteView payload);

}  // namespace sereus::net
