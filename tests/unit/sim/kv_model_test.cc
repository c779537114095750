#include "sim/kv_model.h"

#include <gtest/gtest.h>

namespace sereus::sim {
namespace {

using Answer = KvModel::Answer;

class KvModelTest : public ::testing::Test {
 protected:
  size_t put(const std::string& key, const std::string& value, Answer answer) {
    model.set_own(key);
    const size_t attempt = model.attempt(key, value, ++group_);
    model.answered(attempt, answer);
    return attempt;
  }
  size_t remove(const std::string& key, Answer answer) {
    const size_t attempt = model.attempt(key, std::nullopt, ++group_);
    model.answered(attempt, answer);
    return attempt;
  }
  bool allows(const std::string& key, const std::optional<std::string>& value) {
    return model.complain_of_own(key, value).empty();
  }

  KvModel model;

 private:
  uint64_t group_ = 0;
};

TEST_F(KvModelTest, TheLastAcknowledgedWriteMustBeThere) {
  put("k", "one", Answer::acknowledged);
  put("k", "two", Answer::acknowledged);
  EXPECT_TRUE(allows("k", "two"));
  EXPECT_FALSE(allows("k", "one"));
  EXPECT_FALSE(allows("k", std::nullopt));
  EXPECT_FALSE(allows("k", "three"));
}

TEST_F(KvModelTest, WritesWithoutAnAnswerMayBeThereUntilALaterOneIsCertain) {
  put("k", "one", Answer::none);
  EXPECT_TRUE(allows("k", std::nullopt));
  EXPECT_TRUE(allows("k", "one"));
  put("k", "two", Answer::acknowledged);
  put("k", "three", Answer::none);
  EXPECT_FALSE(allows("k", "one"));
  EXPECT_TRUE(allows("k", "two"));
  EXPECT_TRUE(allows("k", "three"));
}

TEST_F(KvModelTest, WhatWasRefusedIsNowhere) {
  put("k", "one", Answer::refused);
  EXPECT_TRUE(allows("k", std::nullopt));
  EXPECT_FALSE(allows("k", "one"));
  EXPECT_FALSE(model.complain_of_any("k", "one").empty());
  EXPECT_FALSE(model.complain_of_any("k", "never written").empty());
  put("k", "two", Answer::none);
  EXPECT_TRUE(model.complain_of_any("k", "two").empty());
}

TEST_F(KvModelTest, RemovalsCount) {
  put("k", "one", Answer::acknowledged);
  remove("k", Answer::acknowledged);
  EXPECT_TRUE(allows("k", std::nullopt));
  EXPECT_FALSE(allows("k", "one"));
}

TEST_F(KvModelTest, AWatchTellsEveryChangeOnceAndInOrder) {
  put("k", "one", Answer::acknowledged);
  put("k", "two", Answer::acknowledged);
  WatchModel watch;
  EXPECT_EQ(watch.epoch(), UINT64_MAX);
  EXPECT_FALSE(watch.complain_of_missing(model).empty());
  EXPECT_TRUE(watch.take(model, 7, 1, "k", "one").empty());
  EXPECT_FALSE(watch.complain_of_missing(model).empty());
  EXPECT_TRUE(watch.take(model, 7, 3, "k", "two").empty());
  EXPECT_TRUE(watch.complain_of_missing(model).empty());
  EXPECT_FALSE(watch.take(model, 7, 3, "k", "two").empty()) << "the same sequence again";
  EXPECT_FALSE(watch.take(model, 7, 4, "k", "two").empty()) << "the same change again";
  EXPECT_FALSE(watch.take(model, 8, 5, "other", "x").empty()) << "another epoch";
}

TEST_F(KvModelTest, AWatchThatSkipsOrTurnsRoundIsFoundOut) {
  put("k", "one", Answer::acknowledged);
  put("k", "two", Answer::acknowledged);
  WatchModel backwards;
  EXPECT_TRUE(backwards.take(model, 7, 1, "k", "two").empty());
  EXPECT_FALSE(backwards.take(model, 7, 2, "k", "one").empty());
  WatchModel skips;
  EXPECT_TRUE(skips.take(model, 7, 1, "k", "two").empty());
  EXPECT_FALSE(skips.complain_of_missing(model).empty());
}

TEST_F(KvModelTest, RemovalsOfOneKeyAreCounted) {
  put("k", "one", Answer::acknowledged);
  remove("k", Answer::none);
  remove("k", Answer::acknowledged);
  WatchModel watch;
  EXPECT_TRUE(watch.take(model, 7, 1, "k", "one").empty());
  EXPECT_FALSE(watch.complain_of_missing(model).empty());
  EXPECT_TRUE(watch.take(model, 7, 2, "k", std::nullopt).empty());
  EXPECT_TRUE(watch.complain_of_missing(model).empty());
  EXPECT_TRUE(watch.take(model, 7, 3, "k", std::nullopt).empty());
  EXPECT_FALSE(watch.take(model, 7, 4, "k", std::nullopt).empty());
}

}  // namespace
}  // namespace sereus::sim
