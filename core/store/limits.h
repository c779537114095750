// Every bound of the store, with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sereus::store {

inline constexpr size_t kKeySizeMax = 4 * 1024;       // a key is a name, not content
inline constexpr size_t kValueSizeMax = 1024 * 1024;  // larger content is a share
inline constexpr size_t kOpsPerEntryMax = 4096;       // a transaction a phone can still apply in one step
inline constexpr size_t kEntrySizeMax =
    2 * 1024 * 1024;                             // body and signature: one largest value and its overhead, twice
inline constexpr size_t kParentsPerOpMax = 64;   // more concurrent heads than that: the write cites the newest 64
inline constexpr size_t kAuthorityHeadsMax = 8;  // root heads cited by one entry
inline constexpr size_t kAuthorsMax = 65536;     // per store; bounds the tip table in memory (about 120 bytes each)
inline constexpr size_t kRangeBytesMax =
    1024 * 1024;  // one sync range: bounds a receiver's buffer (an entry may exceed it alone)
inline constexpr size_t kRangeEntriesMax = 8192;
inline constexpr size_t kCommitEntriesMax = 4096;  // one group commit
inline constexpr size_t kCommitBytesMax =
    16 * 1024 * 1024;                             // keys and values of a group; more is written as several groups
inline constexpr size_t kHeldEntriesMax = 65536;  // entries from the future kept per store
inline constexpr size_t kListPageMax = 4096;      // rows returned by one list call
inline constexpr size_t kChangesPageMax = 4096;   // changes returned by one call
inline constexpr size_t kCertificatesPerOp = 2;   // the author certificate and the device certificate
inline constexpr size_t kForkProofsMax = 1024;    // forked authors whose evidence is kept; others are only refused
inline constexpr size_t kUnverifiedEndsMax = 64;  // signatures tried to find a range's end before giving up
inline constexpr size_t kReplayGroupBytes = 8 * 1024 * 1024;  // log bytes brought into the index in one transaction
inline constexpr size_t kRunEntriesMax = 512;                 // entries whose positions one index row holds
inline constexpr uint32_t kIndexCacheKib = 48 * 1024;         // page cache of the writer's connection
inline constexpr uint32_t kReaderCacheKib = 4 * 1024;         // page cache of each reader
inline constexpr uint32_t kCheckpointPages = 4096;            // 16 MiB of WAL: maintain() moves it into the index
inline constexpr uint32_t kAutocheckpointPages = 16384;       // 64 MiB: a commit does it when nobody called maintain()

}  // namespace sereus::store
