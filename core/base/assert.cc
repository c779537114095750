#include "core/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace sereus {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "sereus: invariant broken: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace sereus
