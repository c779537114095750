// The rest of the simulator's disk: see sim_disk_here.cc.
#include "sim/sim_disk_names.cc"  // NOLINT(bugprone-suspicious-include)
