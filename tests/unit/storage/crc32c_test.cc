#include "core/storage/crc32c.h"

#include <gtest/gtest.h>

#include "core/base/bytes.h"

namespace sereus::storage {
namespace {

TEST(Crc32c, KnownVectors) {  // RFC 3720 B.4
  EXPECT_EQ(crc32c(0, as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(0, Bytes(32, 0x00)), 0x8a9136aau);
  EXPECT_EQ(crc32c(0, Bytes(32, 0xff)), 0x62a8ab43u);
  EXPECT_EQ(crc32c(0, {}), 0u);
}

TEST(Crc32c, BothFormsAgreeAtEveryLengthAndAlignment) {
  Bytes bytes(300);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 167 + 13);
  for (size_t start = 0; start < 9; ++start) {
    for (size_t size = 0; start + size <= bytes.size(); ++size) {
      const ByteView view = ByteView(bytes).subspan(start, size);
      ASSERT_EQ(crc32c(7, view), crc32c_portable(7, view)) << start << " " << size;
    }
  }
}

TEST(Crc32c, Continues) {
  const Bytes bytes(1000, 0x5a);
  const uint32_t whole = crc32c(0, bytes);
  for (size_t cut = 0; cut <= bytes.size(); cut += 37) {
    EXPECT_EQ(crc32c(crc32c(0, ByteView(bytes).first(cut)), ByteView(bytes).subspan(cut)), whole);
  }
}

}  // namespace
}  // namespace sereus::storage
