#include "core/crypto/wolfssl_hooks.h"

#include <ctime>

#include "core/base/assert.h"

namespace sereus::crypto {
namespace {

thread_local const WolfsslHooks* current_hooks = nullptr;

int64_t unix_ms_now() {
  // Without hooks the time is 1970. Certificate dates are not trusted by us (libp2p certificates are judged by their
  // extension), so a wrong time cannot let anything in, while aborting would turn wolfSSL's housekeeping into crashes.
  if (current_hooks == nullptr || current_hooks->unix_ms == nullptr) return 0;
  return current_hooks->unix_ms(current_hooks->unix_ms_user);
}

}  // namespace

WolfsslHooksScope::WolfsslHooksScope(const WolfsslHooks& hooks) : previous_(current_hooks) { current_hooks = &hooks; }

WolfsslHooksScope::~WolfsslHooksScope() { current_hooks = previous_; }

}  // namespace sereus::crypto

extern "C" {

// Called by wolfSSL; the prototypes are those of tools/wolfssl_hooks.h.
int sereus_wolfssl_random_block(unsigned char* output, unsigned int size);
time_t sereus_wolfssl_time(time_t* out);
long long sereus_wolfssl_time_ms(void* unused);
int wc_GenerateSeed(void* os_seed, unsigned char* output, unsigned int size);

int sereus_wolfssl_random_block(unsigned char* output, unsigned int size) {
  const sereus::crypto::WolfsslHooks* hooks = sereus::crypto::current_hooks;
  SEREUS_ASSERT(hooks != nullptr && hooks->random != nullptr);
  hooks->random(hooks->random_user, sereus::ByteSpan(output, size));
  return 0;
}

time_t sereus_wolfssl_time(time_t* out) {
  const time_t seconds = static_cast<time_t>(sereus::crypto::unix_ms_now() / 1000);
  if (out != nullptr) *out = seconds;
  return seconds;
}

long long sereus_wolfssl_time_ms(void* /*unused*/) { return sereus::crypto::unix_ms_now(); }

// With CUSTOM_RAND_GENERATE_BLOCK wolfSSL has no seed source of its own, but one function that nobody calls
// (wolfSSL_RAND_poll) still names it and has to link.
int wc_GenerateSeed(void* /*os_seed*/, unsigned char* output, unsigned int size) {
  return sereus_wolfssl_random_block(output, size);
}
}
