#include "drivers/posix/network_watch.h"

#include <gtest/gtest.h>

#include "core/net/host_group.h"
#include "drivers/posix/posix_hosts.h"
#include "drivers/posix/posix_random.h"

namespace sereus::posix {
namespace {

constexpr uint64_t kSecond = kMicrosPerSecond;

Times at(uint64_t mono_us, int64_t wall_us) { return {mono_us, wall_us}; }

TEST(NetworkWatch, ASleepIsWhereTheBootClockWentOnAlone) {
  NetworkWatch watch;
  EXPECT_FALSE(watch.slept(at(kSecond, 0), 500 * kSecond));  // what was before the start is no news
  EXPECT_FALSE(watch.slept(at(2 * kSecond, kSecond), 500 * kSecond));
  EXPECT_FALSE(watch.slept(at(3 * kSecond, 2 * kSecond), 500 * kSecond + 100));  // clocks read one after the other
  EXPECT_TRUE(watch.slept(at(4 * kSecond, 13 * kSecond), 510 * kSecond));
  EXPECT_FALSE(watch.slept(at(5 * kSecond, 14 * kSecond), 510 * kSecond));  // told once
}

TEST(NetworkWatch, WithoutABootClockTheWallClockTells) {
  NetworkWatch watch;
  EXPECT_FALSE(watch.slept(at(kSecond, 0), 0));
  EXPECT_FALSE(watch.slept(at(2 * kSecond, 31 * kSecond), 0));  // half a minute may be a clock that was set
  EXPECT_TRUE(watch.slept(at(3 * kSecond, 63 * kSecond), 0));
  EXPECT_FALSE(watch.slept(at(4 * kSecond, 64 * kSecond), 0));
  EXPECT_TRUE(watch.slept(at(5 * kSecond, 10 * kSecond), 0));  // backwards, too
  // A long time between two looks is none by itself.
  EXPECT_FALSE(watch.slept(at(5000 * kSecond, 5005 * kSecond), 0));
}

TEST(NetworkWatch, OtherAddressesInAnyOrder) {
  const IpEndpoint a = *parse_ip("10.0.0.1", 0);
  const IpEndpoint b = *parse_ip("2001:db8::1", 0);
  NetworkWatch watch;
  EXPECT_FALSE(watch.moved({a, b}));
  EXPECT_FALSE(watch.moved({b, a}));
  EXPECT_TRUE(watch.moved({a}));
  EXPECT_FALSE(watch.moved({a}));
  EXPECT_TRUE(watch.moved({}));
  EXPECT_TRUE(watch.moved({a}));
}

TEST(NetworkWatch, ThisMachineTellsHowLongItSlept) {
  const uint64_t before = slept_us();
  EXPECT_LT(slept_us() - before, kSecond);
}

// A host over real sockets, whose clock says that the machine slept.
TEST(NetworkWatch, ItsHostTellsOnce) {
  auto loop = PosixLoop::make();
  ASSERT_TRUE(loop.ok());
  PosixRandom random;
  PosixHosts hosts(**loop, random, nullptr);
  crypto::SecretBytes<32> seed;
  seed.span()[0] = 1;
  auto parts = hosts.make_host(seed);
  ASSERT_TRUE(parts.ok());
  net::Host& host = *parts->host;
  Times times = now();
  host.step(times);
  EXPECT_FALSE(host.take_network_change());
  times.mono_us += kSecond;
  times.wall_us += 3600 * static_cast<int64_t>(kSecond);
  host.step(times);
  EXPECT_TRUE(host.take_network_change());
  EXPECT_FALSE(host.take_network_change());
}

}  // namespace
}  // namespace sereus::posix
