// Names by the system's resolver. Numbers and "localhost" need no network.
#include "drivers/posix/posix_resolver.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

namespace sereus::posix {
namespace {

class PosixResolverTest : public testing::Test {
 protected:
  Resolver::Answer wait() {
    for (;;) {
      if (auto answer = resolver.next_answer()) return std::move(*answer);
      std::unique_lock<std::mutex> lock(mutex);
      woken.wait(lock, [this] { return std::exchange(wakes, 0) > 0; });
    }
  }
  // Called under the lock of the resolver, so it may not be asked for answers under ours.
  void wake() {
    const std::lock_guard<std::mutex> lock(mutex);
    ++wakes;
    woken.notify_one();
  }
  std::mutex mutex;
  std::condition_variable woken;
  int wakes = 0;
  PosixResolver resolver{[this] { wake(); }};
};

TEST_F(PosixResolverTest, AddressesOfAFamily) {
  const auto v4 = resolver.resolve("127.0.0.1", NameFamily::v4);
  ASSERT_TRUE(v4.ok());
  auto answer = wait();
  EXPECT_EQ(answer.query, *v4);
  ASSERT_TRUE(answer.addresses.ok());
  EXPECT_EQ(*answer.addresses, std::vector<IpEndpoint>{*parse_ip("127.0.0.1", 0)});
  ASSERT_TRUE(resolver.resolve("::1", NameFamily::v6).ok());
  answer = wait();
  ASSERT_TRUE(answer.addresses.ok());
  EXPECT_EQ(*answer.addresses, std::vector<IpEndpoint>{*parse_ip("::1", 0)});
}

TEST_F(PosixResolverTest, WhatIsNotThereIsSaid) {
  ASSERT_TRUE(resolver.resolve("::1", NameFamily::v4).ok());
  EXPECT_EQ(wait().addresses.code(), Code::not_found);
}

TEST_F(PosixResolverTest, CancelledOnesAreNotAnswered) {
  const auto first = resolver.resolve("127.0.0.1", NameFamily::any);
  resolver.cancel(*first);
  resolver.cancel(77);
  const auto second = resolver.resolve("127.0.0.2", NameFamily::any);
  EXPECT_EQ(wait().query, *second);
}

}  // namespace
}  // namespace sereus::posix
