#include "core/storage/crc32c.h"

#include <array>
#include <cstddef>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace sereus::storage {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli, bits reversed

// tables[k][b]: the CRC of byte b followed by k zero bytes.
constexpr std::array<std::array<uint32_t, 256>, 8> make_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}
constexpr auto kTables = make_tables();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(uint32_t crc, ByteView data) {
  uint64_t state = crc ^ 0xffffffffu;
  const uint8_t* at = data.data();
  size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, at, 8);
    state = _mm_crc32_u64(state, word);
  }
  auto narrow = static_cast<uint32_t>(state);
  for (; left > 0; --left, ++at) narrow = _mm_crc32_u8(narrow, *at);
  return narrow ^ 0xffffffffu;
}
#elif defined(__ARM_FEATURE_CRC32)
uint32_t crc32c_arm(uint32_t crc, ByteView data) {
  uint32_t state = crc ^ 0xffffffffu;
  const uint8_t* at = data.data();
  size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) state = __crc32cd(state, load_le<uint64_t>(at));
  for (; left > 0; --left, ++at) state = __crc32cb(state, *at);
  return state ^ 0xffffffffu;
}
#endif

}  // namespace

uint32_t crc32c_portable(uint32_t crc, ByteView data) {
  uint32_t state = crc ^ 0xffffffffu;
  const uint8_t* at = data.data();
  size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) {
    const uint32_t low = state ^ load_le<uint32_t>(at);
    const uint32_t high = load_le<uint32_t>(at + 4);
    state = kTables[7][low & 0xff] ^ kTables[6][(low >> 8) & 0xff] ^ kTables[5][(low >> 16) & 0xff] ^
            kTables[4][low >> 24] ^ kTables[3][high & 0xff] ^ kTables[2][(high >> 8) & 0xff] ^
            kTables[1][(high >> 16) & 0xff] ^ kTables[0][high >> 24];
  }
  for (; left > 0; --left, ++at) state = (state >> 8) ^ kTables[0][(state ^ *at) & 0xff];
  return state ^ 0xffffffffu;
}

uint32_t crc32c(uint32_t crc, ByteView data) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return crc32c_sse42(crc, data);
#elif defined(__ARM_FEATURE_CRC32)
  return crc32c_arm(crc, data);
#endif
  return crc32c_portable(crc, data);
}

}  // namespace sereus::storage
