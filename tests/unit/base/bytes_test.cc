#include "core/base/bytes.h"

#include <gtest/gtest.h>

namespace sereus {
namespace {

TEST(Hex, RoundTrip) {
  Bytes all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<uint8_t>(i));
  const std::string text = to_hex(all);
  EXPECT_EQ(text.substr(0, 8), "00010203");
  EXPECT_EQ(text.substr(text.size() - 4), "feff");
  EXPECT_EQ(from_hex(text), all);
  EXPECT_EQ(from_hex("DEADbeef"), (Bytes{0xde, 0xad, 0xbe, 0xef}));
  EXPECT_EQ(from_hex(""), Bytes());
}

TEST(Hex, RefusesBadInput) {
  for (const char* bad : {"0", "0g", "zz", "0x00", " 00", "00 ", "0\n", "-1"}) {
    EXPECT_FALSE(from_hex(bad).has_value()) << bad;
  }
  EXPECT_FALSE(from_hex(std::string_view("0\0", 2)).has_value());
}

TEST(Bytes, PrefixEnd) {
  EXPECT_EQ(prefix_end(Bytes{1, 2}), (Bytes{1, 3}));
  EXPECT_EQ(prefix_end(Bytes{1, 0xff}), (Bytes{2}));
  EXPECT_EQ(prefix_end(Bytes{1, 0xff, 0xff}), (Bytes{2}));
  EXPECT_EQ(prefix_end(Bytes{0}), (Bytes{1}));
  EXPECT_FALSE(prefix_end(Bytes{}).has_value());
  EXPECT_FALSE(prefix_end(Bytes{0xff, 0xff}).has_value());
}

// By definition: above everything with the prefix, and nothing smaller is.
TEST(Bytes, PrefixEndBoundsExactlyThePrefix) {
  for (int a = 0; a < 256; a += 5) {
    for (int b = 0; b < 256; b += 5) {
      const Bytes prefix{static_cast<uint8_t>(a), static_cast<uint8_t>(b)};
      const auto end = prefix_end(prefix);
      if (!end) continue;
      for (const Bytes& tail : {Bytes{}, Bytes{0}, Bytes{0xff, 0xff, 0xff}}) {
        Bytes inside = prefix;
        append(inside, tail);
        EXPECT_LT(compare(inside, *end), 0);
      }
      EXPECT_FALSE(starts_with(*end, prefix));
    }
  }
}

TEST(Bytes, CompareIsUnsignedAndLexicographic) {
  EXPECT_EQ(compare(Bytes{}, Bytes{}), 0);
  EXPECT_LT(compare(Bytes{}, Bytes{0}), 0);
  EXPECT_LT(compare(Bytes{0x7f}, Bytes{0x80}), 0);
  EXPECT_LT(compare(Bytes{1}, Bytes{1, 0}), 0);
  EXPECT_GT(compare(Bytes{2}, Bytes{1, 0xff}), 0);
  EXPECT_TRUE(equal(Bytes{}, Bytes{}));
  EXPECT_FALSE(equal(Bytes{1}, Bytes{1, 2}));
  EXPECT_TRUE(starts_with(Bytes{1, 2, 3}, Bytes{1, 2}));
  EXPECT_TRUE(starts_with(Bytes{1}, Bytes{}));
  EXPECT_FALSE(starts_with(Bytes{1}, Bytes{1, 2}));
}

TEST(Bytes, IntegersAtUnalignedPlaces) {
  uint8_t raw[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(load_le<uint32_t>(raw + 1), 0x04030201u);
  EXPECT_EQ(load_be<uint32_t>(raw + 1), 0x01020304u);
  EXPECT_EQ(load_be<uint64_t>(raw + 1), 0x0102030405060708u);
  EXPECT_EQ(load_le<uint64_t>(raw + 1), 0x0807060504030201u);
  EXPECT_EQ(load_be<uint16_t>(raw + 7), 0x0708);
  EXPECT_EQ(load_le<uint16_t>(raw + 7), 0x0807);
  store_be<uint64_t>(raw + 1, 0xfffefdfcfbfaf9f8u);
  EXPECT_EQ(load_be<uint64_t>(raw + 1), 0xfffefdfcfbfaf9f8u);
  store_le<uint16_t>(raw, 0xabcd);
  EXPECT_EQ(raw[0], 0xcd);
  EXPECT_EQ(raw[1], 0xab);
}

TEST(Bytes, TextViews) {
  EXPECT_EQ(to_string(as_bytes("abc")), "abc");
  EXPECT_EQ(as_text(Bytes{'x', 'y'}), "xy");
  EXPECT_EQ(to_bytes("\x01\xff"), (Bytes{1, 0xff}));
}

}  // namespace
}  // namespace sereus
