// The clocks of the system.
#pragma once

#include "core/base/time.h"

namespace sereus::posix {

Times now();

}  // namespace sereus::posix
