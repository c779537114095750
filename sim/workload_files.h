// As `power`, with disks that are full, fail, are slow, lie about syncs or rot.
//
// What is promised, by what the disk did:
//   disk_full    Nothing acknowledged is lost. Errors are no_space. With room again writing goes on.
//   disk_errors  Nothing acknowledged is lost. Errors are io. When reads and syncs work again, so does the rest.
//   disk_slow    All of it; only time passes.
//   disk_lies    No program keeps what the disk said it had and then forgot. So data may be gone after a power cut, and
//                what is left may be refused as corrupt; but what reads as good was written once under that name, and
//                nothing ends the process.
//   bit_rot      The same. A log's records, keystores and backups are checked at each reading. A store's values are not
//                (a read does not look at the whole entry, and SQLite's pages carry no checksum): there a wrong value may
//                be read, but then verify() says that the store is damaged. Of the node's database nothing is promised
//                but that the process lives.
#pragma once

#include "sim/workload.h"

namespace sereus::sim {

extern const Workload kFilesWorkload;

}  // namespace sereus::sim
