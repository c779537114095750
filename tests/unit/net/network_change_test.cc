// What happens to connections when the network beneath them is another: they move, or they are found dead soon.
#include <gtest/gtest.h>

#include "tests/support/link_world.h"
#include "tests/support/net_pair.h"

namespace sereus::net {
namespace {

using namespace test;

class QuicNetworkChange : public testing::Test {
 protected:
  void begin() {
    connection = pair.connect();
    ASSERT_NE(connection, 0u);
    pair.world.on_event = [this](NetWorld::Node& node, const HostEvent& event) {
      if (&node == &pair.server) echo.on_event(event);
    };
    transfer(50'000);
  }
  void transfer(size_t size) {
    Transfer t(pair.client, *pair.client.host->open_stream(connection, kEcho), pattern(size, size));
    ASSERT_TRUE(pair.world.run(20 * kSecond, [&] { return t.pump(), t.done; }));
    EXPECT_TRUE(t.received == t.data);
  }

  Pair pair{5};
  Echo echo{pair.server};
  ConnectionId connection = 0;
};

TEST_F(QuicNetworkChange, AClientMovesToAFreshSocketAndGoesOn) {
  begin();
  ASSERT_EQ(pair.client.sockets.size(), 1u);
  const SocketId old = pair.client.sockets.begin()->first;
  // The old way is dead: nothing from or to it arrives any more.
  const IpEndpoint dead = pair.client.sockets.begin()->second;
  pair.client.host->network_changed(pair.world.now());
  ASSERT_EQ(pair.client.sockets.size(), 2u);
  pair.client.sockets[old] = IpEndpoint{false, {192, 0, 2, 9}, 9};
  transfer(200'000);
  size_t from_dead = 0;
  pair.world.trace = [&](const NetWorld::Datagram& d) { from_dead += d.from == dead || d.to == dead ? 1 : 0; };
  transfer(200'000);
  EXPECT_EQ(from_dead, 0u);
  pair.world.run(10 * kSecond);
  EXPECT_EQ(count_events<Disconnected>(pair.client) + count_events<Disconnected>(pair.server), 0u);
}

TEST_F(QuicNetworkChange, AgainAndAgainWithoutLeavingSocketsBehind) {
  begin();
  for (int i = 0; i < 20; ++i) {
    pair.client.host->network_changed(pair.world.now());
    transfer(20'000);
    EXPECT_LE(pair.client.sockets.size(), 3u);
  }
  EXPECT_EQ(count_events<Disconnected>(pair.client), 0u);
}

TEST_F(QuicNetworkChange, AListeningSocketStays) {
  ASSERT_FALSE(pair.world.listen(pair.client).empty());
  begin();
  ASSERT_EQ(pair.client.sockets.size(), 1u);
  pair.client.host->network_changed(pair.world.now());
  pair.server.host->network_changed(pair.world.now());
  transfer(50'000);
  pair.world.run(10 * kSecond);
  EXPECT_EQ(pair.client.sockets.size(), 1u);
  EXPECT_EQ(count_events<Disconnected>(pair.client) + count_events<Disconnected>(pair.server), 0u);
}

TEST_F(QuicNetworkChange, ADeadConnectionIsFoundSoon) {
  begin();
  pair.world.link.cut = true;
  pair.client.host->network_changed(pair.world.now());
  pair.server.host->network_changed(pair.world.now());
  ASSERT_TRUE(pair.world.run(kProbeTimeoutUs + kSecond / 10, [&] {
    return find_event<Disconnected>(pair.client) && find_event<Disconnected>(pair.server);
  }));
  EXPECT_EQ(find_event<Disconnected>(pair.client)->reason.code, Code::timeout);
}

TEST(TcpNetworkChange, LiveConnectionsStayAndDeadOnesAreFoundSoon) {
  LinkWorld world(1);
  auto& client = world.add();
  auto& server = world.add();
  ASSERT_TRUE(server.host->listen("/ip4/10.0.0.2/tcp/4001").ok());
  ASSERT_TRUE(client.host->dial("/ip4/10.0.0.2/tcp/4001", server.host->peer_id()).ok());
  const auto disconnected = [&] {
    return std::count_if(client.events.begin(), client.events.end(),
                         [](const HostEvent& e) { return std::holds_alternative<Disconnected>(e); });
  };
  world.run(kSecond);
  client.host->network_changed(world.now());
  world.run(2 * kProbeTimeoutUs);
  EXPECT_EQ(disconnected(), 0);
  server.frozen = true;
  client.host->network_changed(world.now());
  ASSERT_TRUE(world.run(kProbeTimeoutUs + kSecond / 10, [&] { return disconnected() == 1; }));
  EXPECT_EQ(std::get<Disconnected>(client.events.back()).reason.code, Code::timeout);
}

}  // namespace
}  // namespace sereus::net
