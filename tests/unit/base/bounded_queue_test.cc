#include "core/base/bounded_queue.h"

#include <gtest/gtest.h>

#include <memory>

namespace sereus {
namespace {

TEST(BoundedQueue, KeepsOrderAndSaysNoWhenFull) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(queue.push(2));
  EXPECT_TRUE(queue.full());
  EXPECT_FALSE(queue.push(3));
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.front(), 1);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_TRUE(queue.push(3));
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), 3);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.capacity(), 2u);
}

TEST(BoundedQueue, WithoutRoomForAnything) {
  BoundedQueue<int> queue(0);
  EXPECT_TRUE(queue.full());
  EXPECT_FALSE(queue.push(1));
}

TEST(BoundedQueue, HoldsWhatOnlyMoves) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.push(std::make_unique<int>(5)));
  EXPECT_EQ(*queue.pop(), 5);
}

}  // namespace
}  // namespace sereus
