// identify, push and ping between two QUIC hosts on the simulated network.
#include "core/net/host_services.h"

#include <gtest/gtest.h>

#include "tests/support/net_pair.h"

namespace sereus::net {
namespace {

using test::kSecond;

class HostServicesTest : public ::testing::Test {
 protected:
  HostServicesTest()
      : client_(*pair_.client.host, *pair_.client.key, *pair_.client.random, {"test/1", "client/1"}),
        server_(*pair_.server.host, *pair_.server.key, *pair_.server.random, {"test/1", "server/1"}) {
    server_.set_protocols({std::string(test::kEcho)});
    pair_.world.on_event = [this](test::NetWorld::Node& node, const HostEvent& event) {
      (&node == &pair_.client ? client_ : server_).on_event(event, now());
    };
    connection_ = pair_.connect();
    EXPECT_NE(connection_, 0u);
  }
  Times now() { return pair_.world.now(); }
  ConnectionId server_connection() { return test::find_event<Connected>(pair_.server)->connection; }

  // The next event of `services`, within `us`.
  std::optional<ServiceEvent> wait(HostServices& services, uint64_t us = kSecond) {
    std::optional<ServiceEvent> event;
    pair_.world.run(us, [&] {
      services.step(now());
      event = services.next_event();
      return event.has_value();
    });
    return event;
  }

  test::Pair pair_{1};
  HostServices client_;
  HostServices server_;
  ConnectionId connection_ = 0;
};

TEST_F(HostServicesTest, Identifies) {
  ASSERT_TRUE(client_.identify(connection_, now()).ok());
  const auto event = wait(client_);
  ASSERT_TRUE(event && std::holds_alternative<Identified>(*event));
  const auto& identified = std::get<Identified>(*event);
  EXPECT_EQ(identified.connection, connection_);
  EXPECT_FALSE(identified.pushed);
  const Identify& said = identified.peer.said;
  EXPECT_EQ(said.public_key->peer_id(), pair_.server.host->peer_id());
  EXPECT_EQ(said.agent_version, "server/1");
  EXPECT_EQ(said.protocol_version, "test/1");
  EXPECT_EQ(said.protocols, (std::vector<std::string>{std::string(test::kEcho), std::string(kIdentifyProtocol),
                                                      std::string(kIdentifyPushProtocol), std::string(kPingProtocol)}));
  EXPECT_EQ(said.skipped, 0u);
  ASSERT_TRUE(said.observed.has_value());
  EXPECT_TRUE(said.observed->to_string().starts_with("/ip4/10.0.0.1/udp/"));
  ASSERT_TRUE(identified.peer.record.has_value());
  ASSERT_EQ(identified.peer.addresses().size(), 1u);
  EXPECT_EQ(identified.peer.addresses()[0].to_string(), pair_.address);
  // Nothing is left over on either side.
  pair_.world.run(kSecond, [] { return false; });
  EXPECT_EQ(pair_.client.host->stats().streams, 0u);
  EXPECT_EQ(pair_.server.host->stats().streams, 0u);
}

TEST_F(HostServicesTest, Pushes) {
  ASSERT_TRUE(server_.push(server_connection(), now()).ok());
  const auto event = wait(client_);
  ASSERT_TRUE(event && std::holds_alternative<Identified>(*event));
  EXPECT_TRUE(std::get<Identified>(*event).pushed);
  EXPECT_EQ(std::get<Identified>(*event).peer.said.agent_version, "server/1");
  pair_.world.run(kSecond, [] { return false; });
  EXPECT_EQ(pair_.client.host->stats().streams, 0u);
  EXPECT_EQ(pair_.server.host->stats().streams, 0u);
}

TEST_F(HostServicesTest, Pings) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(client_.ping(connection_, now()).ok());
    EXPECT_EQ(client_.ping(connection_, now()).code(), Code::busy);
    const auto event = wait(client_);
    ASSERT_TRUE(event && std::holds_alternative<Pinged>(*event)) << i;
    EXPECT_GE(std::get<Pinged>(*event).rtt_us, 400u);
    EXPECT_LT(std::get<Pinged>(*event).rtt_us, 100'000u);
  }
  EXPECT_EQ(pair_.client.host->stats().streams, 1u);  // all on one
  EXPECT_EQ(client_.ping(99, now()).code(), Code::not_found);
}

TEST_F(HostServicesTest, TimesOut) {
  pair_.server.frozen = true;
  ASSERT_TRUE(client_.ping(connection_, now()).ok());
  ASSERT_TRUE(client_.identify(connection_, now()).ok());
  const auto first = wait(client_, 6 * kSecond);
  ASSERT_TRUE(first && std::holds_alternative<IdentifyFailed>(*first));
  EXPECT_EQ(std::get<IdentifyFailed>(*first).error.code, Code::timeout);
  const auto second = wait(client_, 15 * kSecond);  // by its deadline, or with the connection
  ASSERT_TRUE(second && std::holds_alternative<PingFailed>(*second));
}

TEST_F(HostServicesTest, TwoIncomingPingStreamsAndNoMore) {
  std::vector<StreamId> streams;
  for (size_t i = 0; i < kPingInboundMax + 1; ++i) {
    streams.push_back(pair_.client.host->open_stream(connection_, kPingProtocol).value());
    ASSERT_TRUE(pair_.client.host->write(streams.back(), Bytes(kPingBytes, 1)).ok());
  }
  pair_.world.run(kSecond, [] { return false; });
  Bytes buffer(64);
  for (size_t i = 0; i < kPingInboundMax; ++i) {
    EXPECT_EQ(pair_.client.host->read(streams[i], buffer)->size, kPingBytes);
  }
  EXPECT_NE(test::find_event<StreamClosed>(pair_.client), nullptr);
  // A finished one makes room.
  pair_.client.host->finish(streams[0]);
  pair_.world.run(kSecond, [] { return false; });
  const StreamId again = pair_.client.host->open_stream(connection_, kPingProtocol).value();
  ASSERT_TRUE(pair_.client.host->write(again, Bytes(kPingBytes, 2)).ok());
  pair_.world.run(kSecond, [] { return false; });
  EXPECT_EQ(pair_.client.host->read(again, buffer)->size, kPingBytes);
}

TEST_F(HostServicesTest, RefusesAPushOfAnotherPeer) {
  Identify message;
  message.public_key = PublicKey::of(test::NetWorld::key(9).device_key());
  const StreamId stream = pair_.client.host->open_stream(connection_, kIdentifyPushProtocol).value();
  ASSERT_TRUE(pair_.client.host->write(stream, delimited(encode_identify(message).value())).ok());
  pair_.client.host->finish(stream);
  EXPECT_FALSE(wait(server_).has_value());
  EXPECT_EQ(pair_.server.host->stats().streams, 0u);
}

TEST_F(HostServicesTest, WhoAsksHasNothingToSay) {
  const StreamId stream = pair_.client.host->open_stream(connection_, kIdentifyProtocol).value();
  ASSERT_TRUE(pair_.client.host->write(stream, Bytes(1)).ok());
  pair_.world.run(kSecond, [] { return false; });
  EXPECT_EQ(pair_.server.host->stats().streams, 0u);
}

}  // namespace
}  // namespace sereus::net
