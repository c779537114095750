// Verifying RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2.2), for peers whose host key is RSA. Public data only;
// hostile input gives false, and costs at most one exponentiation of kRsaBitsMax bits by a 32-bit exponent.
#pragma once

#include <optional>

#include "core/base/bytes.h"

namespace sereus::net {

struct RsaKey {
  ByteView modulus;   // big-endian without leading zeros
  ByteView exponent;  // the same
  size_t bits() const;
};

// RSAPublicKey (RFC 8017 A.1.1) in DER; views into `der`. Nothing when it has another form, or numbers that no key has: an
// even modulus, an exponent that is even, 1, or over 32 bits. The size is for the caller to judge.
std::optional<RsaKey> parse_rsa_key(ByteView der);

// `key` is of kRsaBitsMin to kRsaBitsMax bits.
bool rsa_verify_sha256(const RsaKey& key, ByteView message, ByteView signature);

}  // namespace sereus::net
