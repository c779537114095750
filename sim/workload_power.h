// One machine without a network, whose power is cut again and again: the store, the keystore, the append log or the
// node's database, driven directly (sim/power_subject.h).
//
// The oracles, after each cut: it opens; what was acknowledged is there, with its value; nothing half of a transaction;
// log and index verify and chains do not fork; a keystore opens with the old or the new passphrase and holds every
// secret, and an erased one stays erased; writing goes on.
#pragma once

#include "sim/workload.h"

namespace sereus::sim {

extern const Workload kPowerWorkload;

}  // namespace sereus::sim
