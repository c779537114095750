// wolfSSL is built to take every random byte and every time from functions of ours (tools/wolfssl_hooks.h). This is where
// they get them: from the hooks that the caller installed on its own thread for the duration of one call into wolfSSL.
// Without installed hooks a request for randomness aborts the process: a hidden source would break replay from a seed, and
// in production would bypass the injected Random port.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"

namespace sereus::crypto {

struct WolfsslHooks {
  // Fills `out`; may not fail.
  void (*random)(void* user, ByteSpan out) = nullptr;
  void* random_user = nullptr;
  // What wolfSSL takes for now, in milliseconds since 1970. It judges certificate dates and the age of tickets by it.
  int64_t (*unix_ms)(void* user) = nullptr;
  void* unix_ms_user = nullptr;
};

// Installs `hooks` on this thread until the end of the scope; scopes nest, the innermost counts. `hooks` must outlive it.
class WolfsslHooksScope {
 public:
  explicit WolfsslHooksScope(const WolfsslHooks& hooks);
  ~WolfsslHooksScope();
  WolfsslHooksScope(const WolfsslHooksScope&) = delete;
  WolfsslHooksScope& operator=(const WolfsslHooksScope&) = delete;

 private:
  const WolfsslHooks* previous_;
};

}  // namespace sereus::crypto
