// Multicast over this machine's interfaces, on a port of the test's.
#include "drivers/posix/posix_multicast.h"

#include <gtest/gtest.h>

#include "drivers/posix/posix_times.h"

namespace sereus::posix {
namespace {

TEST(PosixMulticast, WhatOneSendsAllOfThisMachineGet) {
  auto loop = PosixLoop::make().value();
  constexpr uint16_t kPort = 45353;
  int wakes = 0;
  auto first = PosixMulticast::make(
      *loop, [&] { ++wakes; }, kPort);
  auto second = PosixMulticast::make(
      *loop, [&] { ++wakes; }, kPort);
  ASSERT_TRUE(first.ok() && second.ok());
  const Bytes packet{1, 2, 3};
  (*first)->send(packet);
  size_t at_first = 0;
  size_t at_second = 0;
  const uint64_t end_us = now().mono_us + 5 * kMicrosPerSecond;
  while ((at_first == 0 || at_second == 0) && now().mono_us < end_us) {
    loop->wait(end_us);
    while (const auto got = (*first)->next_packet()) {
      EXPECT_EQ(got->data, packet);
      ++at_first;
    }
    while (const auto got = (*second)->next_packet()) {
      EXPECT_EQ(got->data, packet);
      EXPECT_EQ(got->from.port, kPort);
      ++at_second;
    }
  }
  EXPECT_GT(at_first, 0u);
  EXPECT_GT(at_second, 0u);
  EXPECT_GT(wakes, 0);
}

}  // namespace
}  // namespace sereus::posix
