// Memory that is not there: makes allocations fail where the core promises to survive it. SQLite's and wolfSSL's allocators, ngtcp2's
// heap and Argon2's memory are asked here; the core's own `new` is not, as its failing ends the process.
// The hooks are there before main(), since SQLite takes an allocator only before its first use.
// All is the process's: machines of a run share it. In a run the order of allocations is the seed's, so which one fails is, too.
#pragma once

#include <cstdint>

namespace sereus::sim {

class AllocationFaults {
 public:
  // The n-th allocation from now on fails (1: the next one), and `count` of them in a row.
  static void fail_nth(uint64_t n, uint64_t count = 1);
  // Every allocation fails with this probability, drawn from `seed`.
  static void fail_ppm(uint32_t ppm, uint64_t seed);
  // None fails any more.
  static void off();

  // Since the process began.
  static uint64_t allocations();
  static uint64_t failures();
};

}  // namespace sereus::sim
