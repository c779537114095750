// The simulator's disk, compiled into this test program: test_storage links the rooms below storage and no simulator.
#include "sim/sim_disk.cc"  // NOLINT(bugprone-suspicious-include)
