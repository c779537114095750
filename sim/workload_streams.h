// Protocols of applications: hosts that dial each other, and streams whose every byte is echoed.
#pragma once

#include "sim/workload.h"

namespace sereus::sim {

extern const Workload kStreamsWorkload;

}  // namespace sereus::sim
