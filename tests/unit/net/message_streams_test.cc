// Messages on streams between two QUIC hosts on the simulated network.
#include "core/net/message_streams.h"

#include <gtest/gtest.h>

#include "tests/support/net_pair.h"

namespace sereus::net {
namespace {

using test::kSecond;

constexpr size_t kMessageMax = 1000;
constexpr size_t kUnsentMax = 5000;
constexpr std::string_view kProtocol = "/messages/1.0.0";

class MessageStreamsTest : public ::testing::Test {
 protected:
  MessageStreamsTest()
      : client_(*pair_.client.host, {kMessageMax, kUnsentMax}), server_(*pair_.server.host, {kMessageMax, kUnsentMax}) {
    pair_.server.host->set_protocols({std::string(kProtocol)});
    pair_.world.on_event = [this](test::NetWorld::Node& node, const HostEvent& event) {
      if (&node == &pair_.client) {
        client_.on_event(event, now());
        return;
      }
      const auto* opened = std::get_if<StreamOpened>(&event);
      if (opened != nullptr && opened->incoming) {
        server_stream_ = opened->stream;
        if (accepts_) server_.accept(*opened, kNever);
        return;
      }
      server_.on_event(event, now());
    };
    connection_ = pair_.connect();
    EXPECT_NE(connection_, 0u);
  }
  Times now() { return pair_.world.now(); }
  void settle() {
    pair_.world.run(kSecond, [] { return false; });
  }
  std::optional<MessageEvent> wait(MessageStreams& streams, uint64_t us = kSecond) {
    std::optional<MessageEvent> event;
    const auto look = [&] {
      streams.step(now());
      event = streams.next_event();
      return event.has_value();
    };
    // Once more at the end, which the world may have gone to at once.
    if (!pair_.world.run(us, look)) look();
    return event;
  }
  template <typename T>
  T expect(MessageStreams& streams, uint64_t us = kSecond) {
    const auto event = wait(streams, us);
    EXPECT_TRUE(event && std::holds_alternative<T>(*event));
    return event && std::holds_alternative<T>(*event) ? std::get<T>(*event) : T{};
  }
  StreamId open(uint64_t deadline_us = kNever) { return client_.open(connection_, kProtocol, deadline_us).value(); }

  test::Pair pair_{1};
  MessageStreams client_;
  MessageStreams server_;
  ConnectionId connection_ = 0;
  StreamId server_stream_ = 0;
  bool accepts_ = true;
};

TEST_F(MessageStreamsTest, CarryMessagesBothWaysAndEnd) {
  const StreamId stream = open();
  ASSERT_TRUE(client_.send(stream, Bytes{1, 2, 3}).ok());
  ASSERT_TRUE(client_.send(stream, {}).ok());
  client_.finish(stream);
  EXPECT_EQ(client_.send(stream, Bytes{4}).code(), Code::closed);
  EXPECT_EQ(expect<MessageReceived>(server_).message, (Bytes{1, 2, 3}));
  EXPECT_EQ(expect<MessageReceived>(server_).message, Bytes());
  EXPECT_EQ(expect<MessagesEnded>(server_).stream, server_stream_);
  ASSERT_TRUE(server_.send(server_stream_, Bytes(kMessageMax, 7)).ok());
  server_.finish(server_stream_);
  EXPECT_FALSE(server_.owns(server_stream_));
  EXPECT_EQ(expect<MessageReceived>(client_).message, Bytes(kMessageMax, 7));
  EXPECT_EQ(expect<MessagesEnded>(client_).stream, stream);
  EXPECT_EQ(client_.size(), 0u);
  settle();
  EXPECT_EQ(pair_.client.host->stats().streams, 0u);
  EXPECT_EQ(pair_.server.host->stats().streams, 0u);
}

TEST_F(MessageStreamsTest, AMessageIsReadWhenTheLastOneWasTaken) {
  const StreamId stream = open();
  ASSERT_TRUE(client_.send(stream, Bytes{1}).ok());
  ASSERT_TRUE(client_.send(stream, Bytes{2}).ok());
  EXPECT_EQ(expect<MessageReceived>(server_).message, Bytes{1});
  // What followed is the stream's next user's.
  ASSERT_TRUE(server_.owns(server_stream_));
  const auto released = server_.release(server_stream_);
  EXPECT_EQ(released.received, (Bytes{1, 2}));
  EXPECT_FALSE(released.ended);
  EXPECT_FALSE(wait(server_).has_value());
}

TEST_F(MessageStreamsTest, TooLargeAndMalformedMessagesEndTheStream) {
  const StreamId large = open();
  ASSERT_TRUE(client_.send(large, Bytes(kMessageMax + 1)).ok());
  EXPECT_EQ(expect<MessagesClosed>(server_).reason.code, Code::too_large);
  EXPECT_EQ(expect<MessagesClosed>(client_).stream, large);
  for (const Bytes& bad : {Bytes{0x80, 0x00}, Bytes{5, 1, 2}, Bytes{0x80}}) {
    const StreamId stream = pair_.client.host->open_stream(connection_, kProtocol).value();
    ASSERT_TRUE(pair_.client.host->write(stream, bad).ok());
    pair_.client.host->finish(stream);
    EXPECT_EQ(expect<MessagesClosed>(server_).reason.code, Code::malformed);
  }
  EXPECT_EQ(server_.size(), 0u);
}

TEST_F(MessageStreamsTest, TimeRunsOut) {
  const StreamId stream = open(now().mono_us + 2 * kSecond);
  ASSERT_TRUE(client_.send(stream, Bytes{1}).ok());
  EXPECT_EQ(client_.step(now()), now().mono_us + 2 * kSecond);
  EXPECT_FALSE(wait(client_, kSecond).has_value());
  const auto closed = expect<MessagesClosed>(client_, 2 * kSecond);
  EXPECT_EQ(closed.stream, stream);
  EXPECT_EQ(closed.reason.code, Code::timeout);
  EXPECT_EQ(client_.step(now()), kNever);
  EXPECT_EQ(expect<MessageReceived>(server_).message, Bytes{1});
  EXPECT_EQ(expect<MessagesClosed>(server_).stream, server_stream_);
}

TEST_F(MessageStreamsTest, TellsThatThePeerDoesNotSpeakTheProtocol) {
  const StreamId stream = client_.open(connection_, "/unknown/1.0.0", kNever).value();
  const auto closed = expect<MessagesClosed>(client_);
  EXPECT_EQ(closed.stream, stream);
  EXPECT_EQ(closed.reason.code, Code::unsupported);
}

TEST_F(MessageStreamsTest, NothingFollowsAReset) {
  const StreamId stream = open();
  ASSERT_TRUE(client_.send(stream, Bytes{1}).ok());
  settle();
  ASSERT_TRUE(server_.send(server_stream_, Bytes{2}).ok());
  settle();
  client_.reset(stream);
  EXPECT_FALSE(wait(client_).has_value());
  EXPECT_EQ(client_.send(stream, Bytes{3}).code(), Code::not_found);
  // What had been said before the peer's reset is still told.
  EXPECT_EQ(expect<MessageReceived>(server_).message, Bytes{1});
  EXPECT_EQ(expect<MessagesClosed>(server_).stream, server_stream_);
}

TEST_F(MessageStreamsTest, WhoDoesNotReadIsNotSentWithoutEnd) {
  accepts_ = false;
  const StreamId stream = open();
  Status sent;
  size_t count = 0;
  // Until the host takes no more of it; QUIC's windows are larger than what may wait here.
  while (sent.ok() && count < 100'000) {
    sent = client_.send(stream, Bytes(kMessageMax));
    if (++count % 100 == 0) pair_.world.run(10'000, [] { return false; });
  }
  EXPECT_EQ(sent.code(), Code::again);
  const auto released = client_.release(stream);
  EXPECT_LE(released.unsent.size(), kUnsentMax);
  EXPECT_GT(released.unsent.size(), 0u);
}

}  // namespace
}  // namespace sereus::net
