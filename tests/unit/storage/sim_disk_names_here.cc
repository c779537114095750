// And its names, which are in a file of their own.
#include "sim/sim_disk_names.cc"  // NOLINT(bugprone-suspicious-include)
