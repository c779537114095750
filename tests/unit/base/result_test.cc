#include "core/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

namespace sereus {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Code::invalid, "odd");
  return value / 2;
}

Result<int> quarter(int value) {
  SEREUS_ASSIGN(const int once, half(value));
  SEREUS_ASSIGN(const int twice, half(once));
  return twice;
}

Status check_even(int value) {
  SEREUS_TRY(half(value));
  return {};
}

TEST(Result, ValueOrError) {
  const auto good = half(4);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 2);
  EXPECT_EQ(good.code(), Code::ok);
  const auto bad = half(3);
  ASSERT_FALSE(bad.ok());
  EXPECT_FALSE(static_cast<bool>(bad));
  EXPECT_EQ(bad.code(), Code::invalid);
  EXPECT_EQ(bad.error().detail, "odd");
}

TEST(Result, MacrosReturnTheFirstError) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).code(), Code::invalid);
  EXPECT_EQ(quarter(7).code(), Code::invalid);
  EXPECT_TRUE(check_even(2).ok());
  EXPECT_EQ(check_even(1).error().detail, "odd");
}

TEST(Result, HoldsWhatOnlyMoves) {
  Result<std::unique_ptr<std::string>> result(std::make_unique<std::string>("x"));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(**result, "x");
  const std::unique_ptr<std::string> taken = std::move(result).value();
  EXPECT_EQ(*taken, "x");
}

TEST(ResultDeathTest, WrongSideIsAnAssertion) {
  EXPECT_DEATH((void)half(3).value(), "invariant broken");
  EXPECT_DEATH((void)half(4).error(), "invariant broken");
  EXPECT_DEATH((void)Status().error(), "invariant broken");
}

TEST(Error, EveryCodeHasANameAndAMeaningOfItsOwn) {
  std::set<std::string_view> names;
  for (int code = 0; code >= static_cast<int>(Code::pending); --code) {
    const auto name = code_name(static_cast<Code>(code));
    EXPECT_EQ(name.substr(0, 7), "SEREUS_");
    EXPECT_NE(name, "SEREUS_E_UNKNOWN") << code;
    EXPECT_FALSE(code_meaning(static_cast<Code>(code)).empty());
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 32u);
  EXPECT_EQ(code_name(Code::pending), "SEREUS_E_PENDING");
  EXPECT_EQ(code_name(Code::corrupt), "SEREUS_E_CORRUPT");
  EXPECT_EQ(code_name(static_cast<Code>(1)), "SEREUS_E_UNKNOWN");
  EXPECT_EQ(code_name(static_cast<Code>(-1000)), "SEREUS_E_UNKNOWN");
  EXPECT_EQ(code_name(static_cast<Code>(INT32_MIN)), "SEREUS_E_UNKNOWN");
}

}  // namespace
}  // namespace sereus
