// Preparing libsodium. Its own randomness (randombytes_*) is never used: random bytes come from sereus::Random.
#pragma once

namespace sereus::crypto {

// Selects the CPU's fast code paths and prepares locked memory. Idempotent, from any thread; called by whatever here
// needs it, and by the node when it opens so that it does not happen inside a step. Aborts when the operating system
// has no randomness, which libsodium wants once for its memory canary.
void init();

// For tests and the simulator: from now on any use of libsodium's own randomness in this process aborts. Calls init().
void forbid_ambient_randomness();

}  // namespace sereus::crypto
