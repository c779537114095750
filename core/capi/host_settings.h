// sereus_host_settings as the node has it.
#pragma once

#include "core/base/result.h"
#include "core/node/host_settings.h"
#include "sereus.h"

namespace sereus::capi {

// Null gives the defaults. Errors say in words what cannot be.
Result<node::HostSettings> copy_host_settings(const sereus_host_settings* from);

}  // namespace sereus::capi
