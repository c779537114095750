// Which connections go, and which do not.
#include "core/net/connection_manager.h"

#include <gtest/gtest.h>

#include "tests/support/net_world.h"

namespace sereus::net {
namespace {

constexpr uint64_t kSecond = kMicrosPerSecond;

PeerId peer(uint8_t n) { return PeerId::from_device_key(test::NetWorld::key(n).device_key()); }

class ConnectionManagerTest : public testing::Test {
 protected:
  ConnectionManagerTest() {
    settings.low_water = 3;
    settings.high_water = 5;
    settings.grace_us = 2 * kSecond;
    settings.interval_us = 10 * kSecond;
    manager.set_settings(settings);
  }
  // The connection n, of the peer n, a millisecond after the one before.
  void add(uint8_t n, bool incoming = true) {
    now.mono_us += 1000;
    manager.add(n, peer(n), incoming, now);
  }
  std::vector<ConnectionId> trim() {
    std::vector<ConnectionId> out;
    for (const Trimmed& trimmed : manager.trim(now)) {
      EXPECT_EQ(trimmed.reason, TrimReason::high_water);
      EXPECT_EQ(trimmed.peer, peer(static_cast<uint8_t>(trimmed.connection)));
      out.push_back(trimmed.connection);
    }
    return out;
  }

  ConnectionManagerSettings settings;
  ConnectionManager manager;
  Times now{100 * kSecond, 0};
};

TEST_F(ConnectionManagerTest, FromAboveTheHighMarkDownToTheLowMark) {
  for (uint8_t n = 1; n <= 5; ++n) add(n);
  now.mono_us += 5 * kSecond;
  EXPECT_TRUE(trim().empty());  // at the mark is not above it
  EXPECT_EQ(manager.next_us(), kNever);
  add(6);
  EXPECT_NE(manager.next_us(), kNever);
  EXPECT_EQ(trim(), (std::vector<ConnectionId>{1, 2, 3}));
  EXPECT_EQ(manager.next_us(), kNever);
}

TEST_F(ConnectionManagerTest, YoungOnesHaveTheirGrace) {
  for (uint8_t n = 1; n <= 6; ++n) add(n);
  EXPECT_TRUE(trim().empty());
  // Nothing was old enough: the next look is an interval later.
  EXPECT_EQ(manager.next_us(), now.mono_us + settings.interval_us);
  now.mono_us += 5 * kSecond;
  EXPECT_TRUE(trim().empty());
  now.mono_us += 5 * kSecond;
  EXPECT_EQ(trim().size(), 3u);
}

TEST_F(ConnectionManagerTest, OnlyThoseOutOfGraceGo) {
  add(1);
  add(2);
  now.mono_us += 3 * kSecond;
  for (uint8_t n = 3; n <= 7; ++n) add(n);
  EXPECT_EQ(trim(), (std::vector<ConnectionId>{1, 2}));
}

TEST_F(ConnectionManagerTest, FewestStreamsThenIncomingThenLongestUnused) {
  add(1, false);
  for (uint8_t n = 2; n <= 6; ++n) add(n, n != 3);
  now.mono_us += 1000;
  manager.count_stream(2, 1, now);
  manager.count_stream(4, 1, now);
  manager.count_stream(4, -1, now);  // idle, but used after all others
  manager.count_stream(4, -1, now);  // one too many changes nothing
  now.mono_us += 5 * kSecond;
  EXPECT_EQ(trim(), (std::vector<ConnectionId>{5, 6, 4}));
}

TEST_F(ConnectionManagerTest, ProtectedPeersStayUntilTheLastTagIsGone) {
  for (uint8_t n = 1; n <= 6; ++n) add(n);
  manager.protect(peer(1), "a");
  manager.protect(peer(1), "b");
  manager.protect(peer(2), "a");
  EXPECT_FALSE(manager.unprotect(peer(1), "c"));
  EXPECT_FALSE(manager.unprotect(peer(3), "a"));
  EXPECT_TRUE(manager.unprotect(peer(1), "a"));
  EXPECT_TRUE(manager.is_protected(peer(1)));
  now.mono_us += 5 * kSecond;
  EXPECT_EQ(trim(), (std::vector<ConnectionId>{3, 4, 5}));
  EXPECT_TRUE(manager.unprotect(peer(1), "b"));
  EXPECT_FALSE(manager.is_protected(peer(1)));
  for (uint8_t n = 11; n <= 13; ++n) add(n);
  now.mono_us += 20 * kSecond;
  EXPECT_EQ(trim(), (std::vector<ConnectionId>{1, 6, 11}));
}

TEST_F(ConnectionManagerTest, WithOnlyProtectedOnesNothingGoes) {
  for (uint8_t n = 1; n <= 9; ++n) {
    add(n);
    manager.protect(peer(n), "x");
  }
  now.mono_us += 60 * kSecond;
  EXPECT_TRUE(trim().empty());
}

TEST_F(ConnectionManagerTest, ThoseThatEndedAreNotCounted) {
  for (uint8_t n = 1; n <= 8; ++n) add(n);
  for (ConnectionId n = 1; n <= 3; ++n) manager.remove(n);
  manager.remove(99);
  manager.count_stream(1, 1, now);
  now.mono_us += 5 * kSecond;
  EXPECT_TRUE(trim().empty());
}

TEST_F(ConnectionManagerTest, TheIntervalIsBetweenTwoTrims) {
  for (uint8_t n = 1; n <= 6; ++n) add(n);
  now.mono_us += 5 * kSecond;
  const uint64_t first = now.mono_us;
  ASSERT_EQ(trim().size(), 3u);
  for (uint8_t n = 11; n <= 15; ++n) add(n);
  now.mono_us = first + 9 * kSecond;
  EXPECT_TRUE(trim().empty());
  EXPECT_EQ(manager.next_us(), first + settings.interval_us);
  now.mono_us = first + 10 * kSecond;
  EXPECT_EQ(trim().size(), 5u);
}

}  // namespace
}  // namespace sereus::net
