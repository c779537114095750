#include "drivers/posix/posix_datagrams.h"

#include <gtest/gtest.h>

#include <vector>

#include "drivers/posix/posix_times.h"

namespace sereus::posix {
namespace {

struct Received {
  SocketId socket;
  IpEndpoint local;
  IpEndpoint remote;
  Ecn ecn;
  Bytes data;
};

class DatagramsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = PosixLoop::make();
    ASSERT_TRUE(made.ok());
    loop_ = std::move(*made);
    DatagramEvents events;
    events.received = [this](SocketId socket, const IpEndpoint& local, const IpEndpoint& remote, Ecn ecn, ByteView data,
                             const Times&) {
      received_.push_back({socket, local, remote, ecn, to_bytes(data)});
    };
    events.writable = [this](SocketId) { ++writable_; };
    events.unreachable = [this](SocketId, const IpEndpoint& remote) { unreachable_.push_back(remote); };
    datagrams_ = std::make_unique<PosixDatagrams>(*loop_, std::move(events));
  }
  void wait_for(size_t count) {
    const uint64_t deadline = now().mono_us + 5 * kMicrosPerSecond;
    while (received_.size() < count && now().mono_us < deadline) loop_->wait(now().mono_us + 10000);
  }
  // Segments whose content tells their number.
  static Bytes segments(size_t count, size_t size, size_t last_size) {
    Bytes out;
    for (size_t i = 0; i < count; ++i)
      out.insert(out.end(), i + 1 == count ? last_size : size, static_cast<uint8_t>(i));
    return out;
  }

  std::unique_ptr<PosixLoop> loop_;
  std::vector<Received> received_;
  std::vector<IpEndpoint> unreachable_;
  int writable_ = 0;
  std::unique_ptr<PosixDatagrams> datagrams_;
};

IpEndpoint any(bool is_v6) {
  IpEndpoint endpoint;
  endpoint.is_v6 = is_v6;
  return endpoint;
}

IpEndpoint loopback(bool is_v6, uint16_t port) {
  if (!is_v6) return IpEndpoint::loopback_v4(port);
  IpEndpoint endpoint;
  endpoint.is_v6 = true;
  endpoint.address[15] = 1;
  endpoint.port = port;
  return endpoint;
}

TEST_F(DatagramsTest, CarriesAddressesAndEcnOfBothFamilies) {
  for (const bool is_v6 : {false, true}) {
    const auto a = datagrams_->bind(any(is_v6));
    if (is_v6 && !a.ok()) continue;  // a machine without IPv6
    ASSERT_TRUE(a.ok()) << a.error().detail;
    const auto b = datagrams_->bind(loopback(is_v6, 0));
    ASSERT_TRUE(b.ok());
    EXPECT_NE(a->local.port, 0);
    EXPECT_NE(a->local.port, b->local.port);
    for (const Ecn ecn : {Ecn::not_ect, Ecn::ect_0, Ecn::ect_1, Ecn::ce}) {
      received_.clear();
      ASSERT_TRUE(datagrams_->send(b->socket, loopback(is_v6, a->local.port), ecn, as_bytes("hello"), 5));
      wait_for(1);
      ASSERT_EQ(received_.size(), 1u);
      EXPECT_EQ(received_[0].socket, a->socket);
      EXPECT_EQ(received_[0].remote, b->local);
      EXPECT_EQ(received_[0].local, loopback(is_v6, a->local.port)) << "the real address, though bound to any";
      EXPECT_EQ(received_[0].ecn, ecn);
      EXPECT_EQ(received_[0].data, to_bytes(std::string_view("hello")));
    }
    datagrams_->close(a->socket);
    datagrams_->close(b->socket);
  }
}

TEST_F(DatagramsTest, SplitsBatchesWithAndWithoutSegmentation) {
  for (const bool allowed : {true, false}) {
    if (!allowed) datagrams_->disable_segmentation();
    const auto a = datagrams_->bind(loopback(false, 0));
    const auto b = datagrams_->bind(loopback(false, 0));
    ASSERT_TRUE(a.ok() && b.ok());
    for (const size_t count : {1u, 2u, 10u, 64u, 100u}) {
      received_.clear();
      const Bytes data = segments(count, 1200, 700);
      ASSERT_TRUE(datagrams_->send(b->socket, a->local, Ecn::ect_0, data, 1200));
      wait_for(count);
      ASSERT_EQ(received_.size(), count);
      for (size_t i = 0; i < count; ++i) {
        EXPECT_EQ(received_[i].data, Bytes(i + 1 == count ? 700 : 1200, static_cast<uint8_t>(i)));
        EXPECT_EQ(received_[i].ecn, Ecn::ect_0);
      }
    }
    datagrams_->close(a->socket);
    datagrams_->close(b->socket);
  }
}

TEST_F(DatagramsTest, TellsOfUnreachablePorts) {
  const auto a = datagrams_->bind(loopback(false, 0));
  const auto closed = datagrams_->bind(loopback(false, 0));
  const auto open = datagrams_->bind(loopback(false, 0));
  ASSERT_TRUE(a.ok() && closed.ok() && open.ok());
  datagrams_->close(closed->socket);
  ASSERT_TRUE(datagrams_->send(a->socket, closed->local, Ecn::not_ect, as_bytes("x"), 1));
  for (int i = 0; i < 100 && unreachable_.empty(); ++i) loop_->wait(now().mono_us + 10000);
  ASSERT_EQ(unreachable_.size(), 1u);
  EXPECT_EQ(unreachable_[0], closed->local);
  // The error must not cost a datagram to somebody else.
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(datagrams_->send(a->socket, closed->local, Ecn::not_ect, as_bytes("x"), 1));
    ASSERT_TRUE(datagrams_->send(a->socket, open->local, Ecn::not_ect, as_bytes("y"), 1));
  }
  wait_for(20);
  EXPECT_EQ(received_.size(), 20u);
}

TEST_F(DatagramsTest, SaysWhyItCannotBind) {
  const auto a = datagrams_->bind(loopback(false, 0));
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(datagrams_->bind(a->local).code(), Code::busy);
  const auto nowhere = parse_ip("192.0.2.1", 0);
  EXPECT_FALSE(datagrams_->bind(*nowhere).ok());
}

TEST_F(DatagramsTest, IgnoresWhatCannotBeSent) {
  const auto a = datagrams_->bind(loopback(false, 0));
  ASSERT_TRUE(a.ok());
  EXPECT_TRUE(datagrams_->send(99, a->local, Ecn::not_ect, as_bytes("x"), 1));
  EXPECT_TRUE(datagrams_->send(a->socket, loopback(true, 1), Ecn::not_ect, as_bytes("x"), 1));
  EXPECT_TRUE(datagrams_->send(a->socket, a->local, Ecn::not_ect, Bytes(70000, 1), 70000)) << "too large: as lost";
  datagrams_->close(a->socket);
  datagrams_->close(a->socket);
}

TEST(Interfaces, IncludeLoopback) {
  bool found = false;
  for (const IpEndpoint& address : interface_addresses()) found = found || address == IpEndpoint::loopback_v4(0);
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace sereus::posix
