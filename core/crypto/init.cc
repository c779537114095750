#include "core/crypto/init.h"

#include <sodium.h>

#include "core/base/assert.h"

namespace sereus::crypto {
namespace {

const char* forbidden_name() { return "forbidden"; }

uint32_t forbidden_random() {
  SEREUS_ASSERT(false && "libsodium's own randomness was used");
  return 0;
}

void forbidden_buffer(void* /*out*/, size_t /*size*/) { SEREUS_ASSERT(false && "libsodium's own randomness was used"); }

}  // namespace

void init() {
  static const int ready = sodium_init();  // thread-safe by the rules of C++
  SEREUS_ASSERT(ready >= 0);
}

void forbid_ambient_randomness() {
  init();
  static randombytes_implementation forbidden{forbidden_name, forbidden_random, nullptr,
                                              nullptr,        forbidden_buffer, nullptr};
  randombytes_set_implementation(&forbidden);
}

}  // namespace sereus::crypto
