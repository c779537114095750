#include "core/crypto/kdf.h"

#include <sodium.h>

#include <string>

#include "core/base/allocation_gate.h"
#include "core/crypto/hash.h"
#include "core/crypto/init.h"

namespace sereus::crypto {

static_assert(kArgon2SaltSize == crypto_pwhash_argon2id_SALTBYTES);
static_assert(kArgon2OpsMin == crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE);
static_assert(kArgon2MemKibMin * 1024 == crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE);

Status check_argon2(const Argon2Params& params, Argon2Floor floor) {
  if (params.version != kArgon2Version) {
    return fail(Code::too_new, "Argon2 version " + std::to_string(params.version) + " is not known");
  }
  const Argon2Params weak = Argon2Params::weak_for_tests();
  const bool tests = floor == Argon2Floor::tests;
  const uint64_t ops_min = tests ? weak.ops : kArgon2OpsMin;
  const uint64_t mem_min = tests ? weak.mem_kib : kArgon2MemKibMin;
  if (params.ops < ops_min || params.mem_kib < mem_min) {
    return fail(Code::corrupt, "the Argon2 parameters are weaker than any that Sereus writes");
  }
  if (params.ops > kArgon2OpsMax || params.mem_kib > kArgon2MemKibMax) {
    return fail(Code::corrupt, "the Argon2 parameters ask for more than 16 passes or 1 GiB");
  }
  return {};
}

Result<SecretBytes<32>> argon2id(ByteView passphrase, const Argon2Salt& salt, const Argon2Params& params,
                                 Argon2Floor floor) {
  SEREUS_TRY(check_argon2(params, floor));
  init();
  SecretBytes<32> key;
  const auto text = as_text(passphrase);
  const auto memory = static_cast<size_t>(params.mem_kib * 1024);
  if (!may_allocate(memory) || crypto_pwhash(key.data(), key.kSize, text.data(), text.size(), salt.data(), params.ops,
                                             memory, crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return fail(Code::no_memory,
                "deriving a key from the passphrase needs " + std::to_string(params.mem_kib / 1024) + " MiB of memory");
  }
  return key;
}

SecretBytes<32> derive_key(const SecretBytes<32>& key, std::string_view context,
                           std::initializer_list<ByteView> parts) {
  SEREUS_ASSERT(!context.empty() && context.find('\0') == std::string_view::npos);
  Blake2b hasher(key.view());
  constexpr uint8_t kContextEnd[1] = {0};
  hasher.update(as_bytes(context)).update(kContextEnd);
  for (const ByteView part : parts) {
    uint8_t length[8];
    store_le<uint64_t>(length, part.size());
    hasher.update(length).update(part);
  }
  Hash digest = hasher.finish();
  SecretBytes<32> derived(digest.view());
  wipe(digest.bytes);
  return derived;
}

}  // namespace sereus::crypto
