// Where the core asks for memory and survives not getting it: the libraries that take an allocator (ngtcp2; SQLite and wolfSSL have
// hooks of their own) and Argon2. A failing `new` ends the process: there are no exceptions, and a state half changed must not be
// written. docs/architecture.md lists what survives.
#pragma once

#include <cstddef>

namespace sereus {

// False: the allocation fails. Null outside of simulations, and set before anything else runs.
using AllocationGate = bool (*)(size_t bytes);
inline AllocationGate allocation_gate = nullptr;

inline bool may_allocate(size_t bytes) { return allocation_gate == nullptr || allocation_gate(bytes); }

}  // namespace sereus
