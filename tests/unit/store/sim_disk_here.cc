// The simulator's disk, compiled into this test program: test_store links the rooms below store and no simulator.
#include "sim/sim_disk.cc"  // NOLINT(bugprone-suspicious-include)
