#include "core/base/ids.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "core/base/log.h"

namespace sereus {
namespace {

TEST(Ids, FromExactSizeOnly) {
  EXPECT_TRUE(StoreId::from(Bytes(16, 7)).has_value());
  EXPECT_FALSE(StoreId::from(Bytes(15, 7)).has_value());
  EXPECT_FALSE(StoreId::from(Bytes(17, 7)).has_value());
  EXPECT_FALSE(PartyKey::from_hex("00ff").has_value());
  EXPECT_FALSE(StoreId::from_hex(std::string(32, 'g')).has_value());
}

TEST(Ids, HexRoundTripAndOrder) {
  const auto a = StoreId::from_hex("000102030405060708090a0b0c0d0e0f");
  const auto b = StoreId::from_hex("000102030405060708090a0b0c0d0e80");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->hex(), "000102030405060708090a0b0c0d0e0f");
  EXPECT_LT(*a, *b);  // unsigned
  EXPECT_NE(*a, *b);
  EXPECT_FALSE(a->is_zero());
  EXPECT_TRUE(StoreId().is_zero());
}

TEST(Ids, KindsDoNotMix) {
  EXPECT_FALSE((std::is_convertible_v<PartyKey, DeviceKey>));
  EXPECT_FALSE((std::is_convertible_v<DeviceKey, AuthorKey>));
  EXPECT_FALSE((std::is_assignable_v<Hash&, PartyKey>));
}

TEST(Log, BriefNeverShowsMuch) {
  EXPECT_EQ(brief(Bytes{0xaa, 0xbb, 0xcc, 0xdd, 0xee}), "aabbccdd");
  EXPECT_EQ(brief(Bytes{1}), "01");
  EXPECT_EQ(brief(Bytes{}), "");
}

}  // namespace
}  // namespace sereus
