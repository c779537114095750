#include "drivers/posix/posix_links.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "drivers/posix/posix_times.h"
#include "drivers/posix/socket_address.h"

namespace sereus::posix {
namespace {

class LinksTest : public testing::TestWithParam<bool>, public LinkEvents {
 protected:
  void SetUp() override {
    auto made = PosixLoop::make();
    ASSERT_TRUE(made.ok());
    loop_ = std::move(*made);
    links_ = std::make_unique<PosixLinks>(*loop_, *this);
    IpEndpoint any;
    any.is_v6 = true;
    if (GetParam() && !links_->listen(any).ok()) GTEST_SKIP() << "this machine has no IPv6";
  }

  void on_accepted(ListenerId, LinkId link, const IpEndpoint& local, const IpEndpoint& remote) override {
    accepted_.push_back(link);
    ends_[link] = {local, remote};
  }
  void on_connected(LinkId link, const IpEndpoint& local) override {
    connected_.push_back(link);
    ends_[link].first = local;
  }
  void on_readable(LinkId link) override { ++readable_[link]; }
  void on_writable(LinkId link) override { ++writable_[link]; }
  void on_closed(LinkId link, const Error& reason) override { closed_.emplace(link, reason); }

  bool wait(const std::function<bool()>& until) {
    const uint64_t deadline = now().mono_us + 10 * kMicrosPerSecond;
    while (!until() && now().mono_us < deadline) loop_->wait(now().mono_us + 100'000);
    return until();
  }

  Links::Listening listen() {
    IpEndpoint local = IpEndpoint::loopback_v4(0);
    if (GetParam()) {
      local = {};
      local.is_v6 = true;
      local.address[15] = 1;
    }
    auto listening = links_->listen(local);
    EXPECT_TRUE(listening.ok()) << (listening.ok() ? "" : listening.error().detail);
    return listening.ok() ? *listening : Links::Listening{};
  }

  // Both ends of one connection: ours first.
  std::pair<LinkId, LinkId> pair() {
    const size_t before = accepted_.size();
    const auto link = links_->connect(listen().local);
    EXPECT_TRUE(link.ok());
    EXPECT_TRUE(wait([&] { return accepted_.size() > before && !connected_.empty() && connected_.back() == *link; }));
    return {*link, accepted_.back()};
  }

  // Reads what is there now.
  Bytes read_some(LinkId link, size_t most, bool* ended = nullptr) {
    Bytes out(most);
    const Links::ReadResult result = links_->read(link, out);
    out.resize(result.size);
    if (ended != nullptr) *ended = result.ended;
    return out;
  }

  std::unique_ptr<PosixLoop> loop_;
  std::unique_ptr<PosixLinks> links_;
  std::vector<LinkId> accepted_;
  std::vector<LinkId> connected_;
  std::map<LinkId, std::pair<IpEndpoint, IpEndpoint>> ends_;
  std::map<LinkId, int> readable_;
  std::map<LinkId, int> writable_;
  std::map<LinkId, Error> closed_;
};

INSTANTIATE_TEST_SUITE_P(Family, LinksTest, testing::Bool(),
                         [](const auto& family) { return family.param ? "v6" : "v4"; });

TEST_P(LinksTest, CarriesBytesBothWays) {
  const auto [ours, theirs] = pair();
  EXPECT_EQ(ends_[ours].first, ends_[theirs].second);
  ASSERT_EQ(links_->write(ours, as_bytes("hello")), 5u);
  const LinkId far = theirs;
  ASSERT_TRUE(wait([&] { return readable_[far] == 1; }));
  EXPECT_EQ(to_string(ByteView(read_some(theirs, 100))), "hello");
  ASSERT_EQ(links_->write(theirs, as_bytes("and back")), 8u);
  const LinkId near = ours;
  ASSERT_TRUE(wait([&] { return readable_[near] == 1; }));
  EXPECT_EQ(to_string(ByteView(read_some(ours, 3))), "and") << "no more than asked";
  EXPECT_EQ(to_string(ByteView(read_some(ours, 100))), " back");
}

TEST_P(LinksTest, AWriterStopsWhenNobodyReads) {
  const auto [ours, theirs] = pair();
  const Bytes block(64 << 10, 7);
  size_t written = 0;
  while (true) {
    const size_t taken = links_->write(ours, block);
    written += taken;
    ASSERT_LT(written, size_t{256} << 20) << "the system does not push back";
    if (taken < block.size()) break;
  }
  const LinkId near = ours;
  const LinkId far = theirs;
  ASSERT_TRUE(wait([&] { return readable_[far] == 1; }));
  EXPECT_EQ(writable_[near], 0);
  size_t got = 0;
  ASSERT_TRUE(wait([&] {
    got += read_some(far, size_t{1} << 20).size();
    return got == written;
  }));
  ASSERT_TRUE(wait([&] { return writable_[near] > 0; }));
  EXPECT_EQ(writable_[near], 1) << "told once";
  EXPECT_GT(links_->write(ours, block), 0u);
}

TEST_P(LinksTest, EitherDirectionEndsAlone) {
  const auto [ours, theirs] = pair();
  const LinkId near = ours;
  const LinkId far = theirs;
  links_->write(near, as_bytes("last words"));
  links_->finish(near);
  ASSERT_TRUE(wait([&] { return readable_[far] == 1; }));
  bool ended = false;
  Bytes got;
  ASSERT_TRUE(wait([&] {
    const Bytes more = read_some(far, 100, &ended);
    got.insert(got.end(), more.begin(), more.end());
    return ended;
  }));
  EXPECT_EQ(to_string(ByteView(got)), "last words");
  EXPECT_EQ(links_->write(far, as_bytes("reply")), 5u) << "the other direction is open";
  links_->finish(far);
  ASSERT_TRUE(wait([&] { return readable_[near] >= 1; }));
  got.clear();
  ASSERT_TRUE(wait([&] {
    const Bytes more = read_some(near, 100, &ended);
    got.insert(got.end(), more.begin(), more.end());
    return ended;
  }));
  EXPECT_EQ(to_string(ByteView(got)), "reply");
  // Both ends are shut now, which the system keeps on telling; nobody is to be woken by it.
  const int seen = readable_[near] + readable_[far];
  for (int i = 0; i < 10; ++i) loop_->wait(0);
  EXPECT_EQ(readable_[near] + readable_[far], seen);
  EXPECT_TRUE(closed_.empty());
}

TEST_P(LinksTest, ABrokenConnectionIsTold) {
  const auto [ours, theirs] = pair();
  const LinkId near = ours;
  // Closed with unread bytes: the system sends a reset.
  links_->write(near, as_bytes("nobody reads this"));
  const LinkId far = theirs;
  ASSERT_TRUE(wait([&] { return readable_[far] == 1; }));
  links_->close(far);
  ASSERT_TRUE(wait([&] { return closed_.contains(near); }));
  EXPECT_EQ(closed_[near].code, Code::io);
  EXPECT_EQ(links_->write(near, as_bytes("x")), 0u);
  EXPECT_EQ(read_some(near, 10).size(), 0u);
  EXPECT_FALSE(closed_.contains(far)) << "who closed is not told";
}

TEST_P(LinksTest, NobodyListensThere) {
  const Links::Listening listening = listen();
  links_->stop_listening(listening.listener);
  const auto link = links_->connect(listening.local);
  if (link.ok()) {
    ASSERT_TRUE(wait([&] { return closed_.contains(*link); }));
    EXPECT_EQ(closed_[*link].code, Code::unreachable);
  } else {
    EXPECT_EQ(link.code(), Code::unreachable);
  }
  EXPECT_TRUE(connected_.empty());
}

TEST_P(LinksTest, APortThatIsTakenIsSaid) {
  const Links::Listening listening = listen();
  const auto again = links_->listen(listening.local);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.code(), Code::busy);
  EXPECT_NE(again.error().detail.find(std::to_string(listening.local.port)), std::string::npos);
}

// Out of descriptors, connections wait in the backlog: no spinning, and they are taken once there is room.
TEST_P(LinksTest, WaitsForDescriptors) {
  const Links::Listening listening = listen();
  const auto [ours, theirs] = pair();
  const int fd = ::socket(GetParam() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(fd, 0);
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  struct rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const size_t accepted = accepted_.size();
  SocketAddress to = to_socket_address(listening.local);
  ASSERT_EQ(::connect(fd, to.any(), to.size), 0) << "the backlog takes it";
  for (int i = 0; i < 5; ++i) loop_->wait(now().mono_us + 1000);
  EXPECT_EQ(accepted_.size(), accepted);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  links_->close(theirs);
  EXPECT_TRUE(wait([&] { return accepted_.size() == accepted + 1; }));
  ::close(fd);
}

}  // namespace
}  // namespace sereus::posix
