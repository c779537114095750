// Routes wolfSSL's randomness and time to a host's ports while it is on the stack (core/crypto/wolfssl_hooks.h). Every
// entry into wolfSSL or ngtcp2 happens inside one.
#pragma once

#include "core/base/time.h"
#include "core/crypto/wolfssl_hooks.h"
#include "core/ports/random.h"

namespace sereus::net {

class WolfsslScope {
 public:
  WolfsslScope(Random& random, int64_t wall_us)
      : unix_ms_(wall_us / static_cast<int64_t>(kMicrosPerMilli)),
        hooks_{fill, &random, unix_ms, &unix_ms_},
        scope_(hooks_) {}
  WolfsslScope(const WolfsslScope&) = delete;
  WolfsslScope& operator=(const WolfsslScope&) = delete;

 private:
  static void fill(void* user, ByteSpan out) { static_cast<Random*>(user)->fill(out); }
  static int64_t unix_ms(void* user) { return *static_cast<const int64_t*>(user); }

  int64_t unix_ms_;
  crypto::WolfsslHooks hooks_;
  crypto::WolfsslHooksScope scope_;
};

}  // namespace sereus::net
