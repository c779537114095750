// Who belongs: invites of all kinds, joins, revocations and removals while the members write.
#pragma once

#include "sim/workload.h"

namespace sereus::sim {

extern const Workload kMembersWorkload;

}  // namespace sereus::sim
