#include "core/crypto/hmac.h"

#include <sodium.h>

#include "core/crypto/init.h"

namespace sereus::crypto {

SecretBytes<32> hmac_sha256(ByteView key, std::initializer_list<ByteView> parts) {
  init();
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, key.data(), key.size());
  for (const ByteView part : parts) crypto_auth_hmacsha256_update(&state, part.data(), part.size());
  SecretBytes<32> out;
  crypto_auth_hmacsha256_final(&state, out.data());
  sodium_memzero(&state, sizeof state);
  return out;
}

}  // namespace sereus::crypto
