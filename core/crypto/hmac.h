// HMAC-SHA-256 (RFC 2104), where a standard asks for it. Ours is the keyed BLAKE2b of hash.h.
#pragma once

#include <initializer_list>

#include "core/base/bytes.h"
#include "core/crypto/secret.h"

namespace sereus::crypto {

// Over the parts one after another. A secret, because it is used to derive keys.
SecretBytes<32> hmac_sha256(ByteView key, std::initializer_list<ByteView> parts);

}  // namespace sereus::crypto

namespace sereus {
using namespace crypto;  // the rooms above write these names with or without "crypto::"
}
