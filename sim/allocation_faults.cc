#include "sim/allocation_faults.h"

#include <sqlite3.h>

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/memory.h>

#include <cstdlib>
#include <optional>

#include "core/base/allocation_gate.h"
#include "core/base/assert.h"
#include "sim/sim_random.h"

namespace sereus::sim {
namespace {

struct State {
  uint64_t allocations = 0;
  uint64_t failures = 0;
  bool armed = false;
  uint64_t left = 0;   // allocations that are still given
  uint64_t count = 0;  // and then so many are not
  uint32_t ppm = 0;
  std::optional<SimRandom> random;
};
State state;
sqlite3_mem_methods sqlite_memory;

bool fails() {
  if (state.ppm != 0) return state.random->below(1'000'000) < state.ppm;
  if (state.left > 0) {
    --state.left;
    return false;
  }
  if (state.count == 0) return false;
  if (--state.count == 0) state.armed = false;
  return true;
}

bool gate(size_t /*bytes*/) {
  ++state.allocations;
  if (!state.armed || !fails()) return true;
  ++state.failures;
  return false;
}

void* sqlite_allocate(int size) { return gate(static_cast<size_t>(size)) ? sqlite_memory.xMalloc(size) : nullptr; }
void* sqlite_resize(void* memory, int size) {
  return gate(static_cast<size_t>(size)) ? sqlite_memory.xRealloc(memory, size) : nullptr;
}

void* wolfssl_allocate(size_t size) { return gate(size) ? std::malloc(size) : nullptr; }
void* wolfssl_resize(void* memory, size_t size) { return gate(size) ? std::realloc(memory, size) : nullptr; }

bool install() {
  SEREUS_ASSERT(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory) == SQLITE_OK);
  sqlite3_mem_methods methods = sqlite_memory;
  methods.xMalloc = sqlite_allocate;
  methods.xRealloc = sqlite_resize;
  SEREUS_ASSERT(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
  SEREUS_ASSERT(wolfSSL_SetAllocators(wolfssl_allocate, std::free, wolfssl_resize) == 0);
  allocation_gate = gate;
  return true;
}

const bool installed = install();

}  // namespace

void AllocationFaults::fail_nth(uint64_t n, uint64_t count) {
  SEREUS_ASSERT(installed && n > 0);
  state.armed = count > 0;
  state.left = n - 1;
  state.count = count;
  state.ppm = 0;
}

void AllocationFaults::fail_ppm(uint32_t ppm, uint64_t seed) {
  SEREUS_ASSERT(installed);
  state.armed = ppm > 0;
  state.ppm = ppm;
  state.random.emplace(seed);
}

void AllocationFaults::off() { state.armed = false; }
uint64_t AllocationFaults::allocations() { return state.allocations; }
uint64_t AllocationFaults::failures() { return state.failures; }

}  // namespace sereus::sim
