// Every bound of the node, with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/time.h"

namespace sereus::node {

inline constexpr size_t kStoresMax = 1024;       // each holds two readers and a log open
inline constexpr size_t kPeersMax = 4096;        // remembered; those with the oldest sync go first
inline constexpr size_t kConnectionsMax = 512;   // of our own members; strangers have their own bound
inline constexpr size_t kStrangersMax = 32;      // connections of peers that belong to no root of ours
inline constexpr size_t kAppStrangersMax = 256;  // likewise, while the application serves protocols: members keep half
inline constexpr uint64_t kStrangerUs = 30 * kMicrosPerSecond;  // to redeem an invite, then they are disconnected
inline constexpr uint64_t kReconcileUsMin = kMicrosPerSecond;  // after a declared store could not be made, doubled each time
inline constexpr uint64_t kReconcileUsMax = 5 * 60 * kMicrosPerSecond;
inline constexpr size_t kWatchesMax = 1024;
inline constexpr size_t kCommitBytesMax = 8 * 1024 * 1024;  // of one group commit: what a step back after ENOSPC costs
inline constexpr size_t kIngestRangesMax = 16;  // of one ingest job: bounds how long a local put waits behind it
inline constexpr size_t kNameSizeMax = 256;     // bytes of a device's or store's name
inline constexpr size_t kWatchChangesPerRead = 256;
inline constexpr size_t kWatchBytesPerRead = 1024 * 1024;
inline constexpr uint64_t kDialBackoffUsMin = 500'000;
inline constexpr uint64_t kDialBackoffUsMax = 60 * kMicrosPerSecond;
inline constexpr uint64_t kSessionRetryUsMin =
    200'000;  // a refused sync stream is tried again: the peer may learn of the store
inline constexpr uint64_t kSessionRetryUsMax = 30 * kMicrosPerSecond;
inline constexpr uint64_t kJoinUs = 30 * kMicrosPerSecond;  // dial, ask, and have the root store
inline constexpr uint64_t kSyncIdleUs =
    30 * kMicrosPerSecond;  // a sync operation without any progress for so long fails
inline constexpr int64_t kClockJumpUs = 3600 * int64_t{1'000'000};
inline constexpr int64_t kClockAheadS = int64_t{10} * 365 * 86400;  // no build is used for longer than that
inline constexpr size_t kJoinFrameSizeMax = 16 * 1024;

// --- what applications do with hosts -------------------------------------------------------------------------------

inline constexpr size_t kHostsMax = 64;          // each has its sockets
inline constexpr size_t kAppProtocolsMax = 256;  // of a host; identify tells them all
inline constexpr size_t kAppStreamsMax = 4096;   // of a host
inline constexpr size_t kAppDialsMax = 256;      // of a host, under way
inline constexpr size_t kAppWaitingMax = 64;     // operations that wait for one answer
inline constexpr size_t kAppWriteAheadMax =
    1 << 20;  // not taken by the transport, of a stream; one write is let in alone
inline constexpr size_t kAppReadDefault = 64 << 10;
inline constexpr size_t kAppReadMax = 1 << 20;  // of one read: it is held in an event

}  // namespace sereus::node
