// One store that all machines share: each writes keys of its own and keys that all write, in transactions too, removes, reads and
// watches.
#pragma once

#include "sim/workload.h"

namespace sereus::sim {

extern const Workload kStoreWorkload;
extern const Workload kCrowdWorkload;  // the same with twenty machines and more, on streams

}  // namespace sereus::sim
