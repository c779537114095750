// Every bound of the C ABI and of the control socket, with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sereus::capi {

inline constexpr uint32_t kEventQueueDefault = 4096;
inline constexpr uint32_t kEventQueueMax = 1u << 20;  // of small structs; their bytes are bounded below
inline constexpr uint32_t kOperationsDefault = 65536;
inline constexpr uint32_t kOperationsMax = 1u << 20;
inline constexpr size_t kOperationBytesMax = 64u
                                             << 20;     // arguments of operations under way; one larger is let in alone
inline constexpr size_t kEventBytesMax = 64u << 20;     // keys and values in waiting events; watches wait, others drop
inline constexpr size_t kWriteBytesMax = 2u << 20;      // keys and values of one transaction: an entry's size
inline constexpr size_t kTextSizeMax = 4096;            // names, peer ids, multiaddrs, paths
inline constexpr size_t kAddressesSizeMax = 64u << 10;  // of a peer: what identify can tell, and more
inline constexpr size_t kStreamWriteMax = 1u << 20;     // one write: a copy of it waits until the peer has room
inline constexpr size_t kInviteSizeMax = 64u << 10;
inline constexpr size_t kPassphraseSizeMax = 4096;
inline constexpr size_t kBackupSizeMax = 8u << 20;
inline constexpr size_t kListenMax = 64;        // multiaddrs listened on
inline constexpr size_t kStructSizeMax = 4096;  // of a caller's struct: a larger one is a wrong `size`
inline constexpr uint32_t kListLimitDefault = 1000;
inline constexpr uint32_t kListLimitMax = 4096;
inline constexpr uint32_t kStepRoundsMax = 64;     // job completions followed within one sereus_step()
inline constexpr uint32_t kSuspendGraceMs = 5000;  // beyond the caller's deadline, before sereus_suspend() gives up

// ---- Control socket (docs/formats/control.md) ---------------------------------------------------------------------

inline constexpr size_t kControlFrameMax = 16u << 20;  // the largest request is a backup or a transaction, far below
inline constexpr size_t kControlClientsMax = 64;
inline constexpr size_t kControlOutMax = 256u
                                         << 10;  // encoded and not yet taken by the socket, then no more is encoded
inline constexpr size_t kControlPartBytes = 512u << 10;  // a result is cut into parts of about this size
inline constexpr size_t kControlQueriesMax = 16;         // under way for one client, then its socket is not read
inline constexpr size_t kControlSendMax = 64u << 20;     // a client's unsent requests, then SEREUS_E_AGAIN
inline constexpr uint32_t kControlHelloMs = 10000;       // for the daemon to answer the first frame
inline constexpr uint32_t kControlQueryMs = 120000;  // for the daemon to answer a read: a digest reads a whole index

// Before this date a wall clock is certainly wrong: the month this version was written (2026-11-01).
inline constexpr int64_t kBuildWallSeconds = 1793491200;

}  // namespace sereus::capi
