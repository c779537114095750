// The loop, threads, jobs and Unix sockets.
#include "drivers/posix/posix_loop.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>

#include <atomic>
#include <string>
#include <thread>

#include "drivers/posix/posix_control_channel.h"
#include "drivers/posix/posix_control_listener.h"
#include "drivers/posix/posix_jobs.h"
#include "drivers/posix/posix_times.h"
#include "drivers/posix/unix_socket.h"

namespace sereus::posix {
namespace {

TEST(Loop, KeepsDeadlinesAndIsWoken) {
  const auto loop = std::move(PosixLoop::make()).value();
  uint64_t before = now().mono_us;
  loop->wait(before + 3000);
  EXPECT_GE(now().mono_us, before + 2900);
  EXPECT_LT(now().mono_us, before + 1000000);
  loop->wait(0);
  loop->wake();
  loop->wake();
  before = now().mono_us;
  loop->wait(kNever);  // woken before: returns at once
  std::thread other([&loop] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    loop->wake();
  });
  loop->wait(kNever);
  other.join();
  EXPECT_LT(now().mono_us, before + 5000000);
}

// A wake is never lost, however it falls.
TEST(Loop, NeverLosesAWake) {
  const auto loop = std::move(PosixLoop::make()).value();
  std::atomic<int> given{0};
  std::thread other([&] {
    for (int i = 0; i < 20000; ++i) {
      ++given;
      loop->wake();
      if (i % 64 == 0) std::this_thread::yield();
    }
  });
  int seen = 0;
  while (seen < 20000) {
    loop->wait(kNever);
    seen = given;
  }
  other.join();
}

TEST(Loop, HandlersMayForgetEachOther) {
  const auto loop = std::move(PosixLoop::make()).value();
  int a[2];
  int b[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
  int calls = 0;
  const auto forget_both = [&](PosixLoop::Ready) {
    ++calls;
    loop->forget(a[0]);
    loop->forget(b[0]);
  };
  ASSERT_TRUE(loop->watch(a[0], true, false, forget_both).ok());
  ASSERT_TRUE(loop->watch(b[0], true, false, forget_both).ok());
  ASSERT_EQ(write(a[1], "x", 1), 1);
  ASSERT_EQ(write(b[1], "x", 1), 1);
  loop->wait(now().mono_us + 1000);
  loop->wait(now().mono_us + 1000);
  EXPECT_EQ(calls, 1);
  for (const int fd : {a[0], a[1], b[0], b[1]}) close(fd);
}

TEST(Jobs, RunInOrderAndCompleteOnTheCaller) {
  const auto loop = std::move(PosixLoop::make()).value();
  std::vector<int> worked;
  std::vector<int> finished;
  const auto caller = std::this_thread::get_id();
  {
    PosixJobs jobs([&loop] { loop->wake(); });
    EXPECT_TRUE(jobs.idle());
    for (int i = 0; i < 100; ++i) {
      jobs.submit(
          JobQueue::writer,
          [&worked, i, caller] {
            EXPECT_NE(std::this_thread::get_id(), caller);
            worked.push_back(i);
          },
          [&finished, i, caller] {
            EXPECT_EQ(std::this_thread::get_id(), caller);
            finished.push_back(i);
          });
    }
    EXPECT_FALSE(jobs.idle());
    while (!jobs.idle()) {
      loop->wait(kNever);
      jobs.complete();
    }
    std::atomic<bool>* const ran = new std::atomic<bool>(false);
    jobs.submit(
        JobQueue::worker, [ran] { *ran = true; }, [] { FAIL() << "nobody completes it"; });
    while (!*ran) std::this_thread::yield();
    delete ran;
  }
  EXPECT_EQ(worked.size(), 100u);
  EXPECT_EQ(worked, finished);
  EXPECT_TRUE(std::is_sorted(worked.begin(), worked.end()));
}

TEST(Jobs, InlineOnesRunWhenTold) {
  InlineJobs jobs;
  int order = 0;
  jobs.submit(
      JobQueue::writer, [&] { EXPECT_EQ(order++, 0); },
      [&] {
        EXPECT_EQ(order++, 1);
        jobs.submit(
            JobQueue::worker, [&] { ++order; }, [] {});
      });
  EXPECT_EQ(order, 0);
  EXPECT_TRUE(jobs.run_some());
  EXPECT_EQ(order, 2);
  EXPECT_TRUE(jobs.run_some());
  EXPECT_EQ(order, 3);
  EXPECT_FALSE(jobs.run_some());
  EXPECT_TRUE(jobs.idle());
}

TEST(Background, IsWaitedForAtExit) {
  static std::atomic<bool> ran{false};
  run_in_background([] { ran = true; });
  while (!ran) std::this_thread::yield();
}

class UnixSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sereus-unix-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { (void)!system(("rm -rf " + folder_).c_str()); }
  std::string folder_;
};

TEST_F(UnixSocketTest, ReplacesOnlyWhatIsStale) {
  const std::string path = folder_ + "/s";
  const auto first = listen_unix(path);
  ASSERT_TRUE(first.ok()) << first.error().detail;
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(listen_unix(path).code(), Code::busy);
  const UnixName name = name_of(path);
  close(*first);  // its process died: the name stays
  EXPECT_EQ(connect_unix(path).code(), Code::unreachable);
  const auto second = listen_unix(path);
  ASSERT_TRUE(second.ok()) << second.error().detail;
  remove_name(name);  // of the first one: not the second's
  EXPECT_EQ(access(path.c_str(), F_OK), 0);
  remove_name(name_of(path));
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  close(*second);
  EXPECT_EQ(connect_unix(path).code(), Code::unreachable);
}

TEST_F(UnixSocketTest, CarriesBytesBothWaysWithBackpressure) {
  const std::string path = folder_ + "/s";
  const auto loop = std::move(PosixLoop::make()).value();
  Bytes at_server;
  uint32_t client = 0;
  bool gone = false;
  ListenerEvents events;
  events.connected = [&client](uint32_t id) { client = id; };
  events.received = [&at_server](uint32_t, ByteView bytes) { append(at_server, bytes); };
  events.writable = [](uint32_t) {};
  events.disconnected = [&gone](uint32_t) { gone = true; };
  auto listener = std::move(PosixControlListener::make(*loop, path, std::move(events))).value();

  std::atomic<size_t> at_client{0};
  std::atomic<bool> ended{false};
  PosixControlChannel::Events channel_events;
  channel_events.received = [&at_client](ByteView bytes) { at_client += bytes.size(); };
  channel_events.disconnected = [&ended] { ended = true; };
  auto channel = std::move(PosixControlChannel::connect(path, 1 << 20, std::move(channel_events))).value();
  const auto run_until = [&loop](const std::function<bool()>& condition) {
    const uint64_t deadline = now().mono_us + 10 * kMicrosPerSecond;
    while (!condition() && now().mono_us < deadline) loop->wait(now().mono_us + 5000);
    return condition();
  };
  ASSERT_TRUE(run_until([&] { return client != 0; }));

  listener->read_from(client, false);
  size_t sent = 0;
  while (channel->send(Bytes(100000, 1)).ok()) sent += 100000;  // until its bound: the server does not read
  EXPECT_GE(sent, 1000000u);
  EXPECT_LE(sent, 3000000u);
  listener->read_from(client, true);
  ASSERT_TRUE(run_until([&] { return at_server.size() == sent; }));

  const Bytes large(5000000, 2);
  size_t written = 0;
  ASSERT_TRUE(run_until([&] {
    written += listener->write(client, ByteView(large).subspan(written));
    return written == large.size() && at_client == large.size();
  }));
  channel->end();
  EXPECT_EQ(channel->send(Bytes(1)).code(), Code::closed);
  ASSERT_TRUE(run_until([&] { return gone && ended; }));
  channel.reset();
  listener.reset();
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace sereus::posix
