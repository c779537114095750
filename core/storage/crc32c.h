// CRC-32C (Castagnoli), as iSCSI and the append log use it. Finds accidents, not forgery.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"

namespace sereus::storage {

// CRC of `data`, continuing from `crc` (the CRC of what came before; 0 at the start): crc32c(crc32c(0, a), b) is the
// CRC of a followed by b. crc32c(0, "123456789") == 0xe3069283. Uses the processor's instruction when it has one.
uint32_t crc32c(uint32_t crc, ByteView data);

// The table-driven form, for machines without the instruction and for tests. Same results.
uint32_t crc32c_portable(uint32_t crc, ByteView data);

}  // namespace sereus::storage
