// What the records of a store's log are (docs/formats/store.md): the kind byte of storage::AppendLog, and the
// sequence numbers that watches resume from.
#pragma once

#include <cstdint>

#include "core/storage/append_log.h"

namespace sereus::store {

// First record of a log: version (1 byte, 1), epoch (8 bytes, little-endian).
inline constexpr uint8_t kRecordOrigin = 0x01;
inline constexpr size_t kOriginSize = 9;
inline constexpr uint8_t kOriginVersion = 1;
// Applies a held entry here: position (8 bytes, little-endian) of its record's payload.
inline constexpr uint8_t kRecordRelease = 0x02;
// Evidence of a fork: an entry (body and signature) that contradicts one of its author's in this log.
inline constexpr uint8_t kRecordFork = 0x03;
// An entry: body and signature. Bits say how it was taken.
inline constexpr uint8_t kRecordEntry = 0x10;
inline constexpr uint8_t kEntryHeld = 0x01;     // from the future: a release record applies it
inline constexpr uint8_t kEntryChecked = 0x02;  // its own signature was verified (or made) here

inline constexpr bool is_entry(uint8_t kind) { return (kind & ~(kEntryHeld | kEntryChecked)) == kRecordEntry; }

// A change sequence is the boundary of a log record, times 4096, plus how many of that record's operations come before
// the place. So the order of sequences is the order of application, and a page of changes may end inside an entry.
inline constexpr unsigned kSequenceOpBits = 12;
inline constexpr uint64_t kSequenceOpMask = (uint64_t{1} << kSequenceOpBits) - 1;
inline constexpr uint64_t sequence_at(uint64_t boundary, uint64_t op = 0) { return (boundary << kSequenceOpBits) | op; }
inline constexpr uint64_t sequence_boundary(uint64_t sequence) { return sequence >> kSequenceOpBits; }
inline constexpr uint64_t sequence_op(uint64_t sequence) { return sequence & kSequenceOpMask; }

}  // namespace sereus::store
