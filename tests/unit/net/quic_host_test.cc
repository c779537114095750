// Two hosts on the simulated network: what an application sees of streams.
#include "core/net/quic_host.h"

#include <gtest/gtest.h>

#include "tests/support/net_pair.h"

namespace sereus::test {
namespace {

// Runs until the transfer is complete, pumping it all the while.
bool complete(NetWorld& world, Transfer& transfer, uint64_t for_us = 600 * kSecond) {
  return world.run(for_us, [&] {
    transfer.pump();
    return transfer.done;
  });
}

// An echo service on the pair's server.
struct EchoPair : Pair {
  explicit EchoPair(uint64_t seed = 1, const QuicSettings& client_settings = {},
                    const QuicSettings& server_settings = {})
      : Pair(seed, client_settings, server_settings), echo(server) {
    world.on_event = [this](NetWorld::Node& node, const HostEvent& event) {
      if (&node == &server) echo.on_event(event);
    };
    connection = connect();
  }
  StreamId open() { return client.host->open_stream(connection, kEcho).value(); }
  Echo echo;
  ConnectionId connection = 0;
};

TEST(QuicHost, EchoOfEightMebibytesOverABadNetwork) {
  Pair pair(7);
  pair.world.link = {.loss = 0.05, .duplicate = 0.05, .reorder = 0.05};
  const ConnectionId connection = pair.connect();
  ASSERT_NE(connection, 0u);
  Echo echo(pair.server);
  pair.world.on_event = [&](NetWorld::Node& node, const HostEvent& event) {
    if (&node == &pair.server) echo.on_event(event);
  };
  Transfer transfer(pair.client, *pair.client.host->open_stream(connection, kEcho), pattern(8 << 20, 3));
  EXPECT_TRUE(complete(pair.world, transfer));
  EXPECT_EQ(transfer.received.size(), transfer.data.size());
  EXPECT_TRUE(transfer.received == transfer.data);
}

TEST(QuicHost, SurvivesSocketsThatRefuseAndCongestionMarks) {
  EchoPair pair(8);
  ASSERT_NE(pair.connection, 0u);
  pair.world.link.blocked = 0.3;
  pair.world.link.ce = 0.05;
  Transfer transfer(pair.client, pair.open(), pattern(2 << 20, 4));
  EXPECT_TRUE(complete(pair.world, transfer));
  EXPECT_TRUE(transfer.received == transfer.data);
}

TEST(QuicHost, OneHundredStreamsAtOnce) {
  EchoPair pair(9);
  pair.world.link.loss = 0.01;
  std::vector<std::unique_ptr<Transfer>> transfers;
  for (uint64_t i = 0; i < 100; ++i) {
    transfers.push_back(std::make_unique<Transfer>(pair.client, pair.open(), pattern(1000 + i * 777, i)));
  }
  const bool all = pair.world.run(120 * kSecond, [&] {
    bool done = true;
    for (auto& transfer : transfers) {
      transfer->pump();
      done &= transfer->done;
    }
    return done;
  });
  EXPECT_TRUE(all);
  for (const auto& transfer : transfers) EXPECT_TRUE(transfer->received == transfer->data);
  // Everything both sides finished is forgotten, and nothing was reported closed.
  pair.world.run(kSecond);
  EXPECT_EQ(pair.client.host->stats().streams, 0u);
  EXPECT_EQ(pair.server.host->stats().streams, 0u);
  EXPECT_EQ(count_events<StreamClosed>(pair.client), 0u);
  EXPECT_EQ(count_events<StreamClosed>(pair.server), 0u);
}

TEST(QuicHost, StreamsAreGivenBackSoThatThousandsFollow) {
  EchoPair pair(10);
  for (uint64_t i = 0; i < 2000; ++i) {
    Transfer transfer(pair.client, pair.open(), pattern(10, i));
    ASSERT_TRUE(complete(pair.world, transfer, 5 * kSecond)) << i;
    ASSERT_TRUE(transfer.received == transfer.data);
  }
}

TEST(QuicHost, MoreStreamsThanThePeerTakesAreRefusedForNow) {
  EchoPair pair(11);
  for (uint64_t i = 0; i < net::kIncomingStreamsMax; ++i) {
    ASSERT_TRUE(pair.client.host->open_stream(pair.connection, kEcho).ok());
  }
  EXPECT_EQ(pair.client.host->open_stream(pair.connection, kEcho).code(), Code::again);
}

TEST(QuicHost, ASlowReaderStopsAFastWriter) {
  Pair pair(12);
  const ConnectionId connection = pair.connect();
  const StreamId stream = *pair.client.host->open_stream(connection, kEcho);
  const Bytes data(1 << 20, 7);
  uint64_t written = 0;
  const auto write_all = [&] {
    for (;;) {
      const auto taken = pair.client.host->write(stream, data);
      if (!taken.ok() || *taken == 0) return false;
      written += *taken;
    }
  };
  pair.world.run(5 * kSecond, write_all);
  // The reader's window, and what the writer may hold beyond it.
  EXPECT_GE(written, net::kStreamWindow);
  EXPECT_LE(written, net::kStreamWindow + net::kStreamUnsentMax);
  const auto* opened = find_event<StreamOpened>(pair.server);
  ASSERT_TRUE(opened);
  // As soon as it reads, the writer is told and goes on.
  const uint64_t before = written;
  uint64_t told = 0;
  Bytes buffer(1 << 20);
  uint64_t read = 0;
  pair.world.run(5 * kSecond, [&] {
    if (const uint64_t count = count_events<StreamWritable>(pair.client); count > told) {
      told = count;
      write_all();
    }
    if (const auto got = pair.server.host->read(opened->stream, buffer); got.ok()) read += got->size;
    return read > 8 << 20;
  });
  EXPECT_GT(written, before + (4 << 20));
  EXPECT_GE(told, 1u);
}

TEST(QuicHost, OneUnreadStreamDoesNotStopTheOthers) {
  EchoPair pair(13);
  const StreamId stuck = pair.open();
  pair.world.on_event = {};
  const Bytes data(1 << 20, 7);
  pair.world.run(2 * kSecond, [&] {
    while (pair.client.host->write(stuck, data).value() > 0) {
    }
    return false;
  });
  pair.world.on_event = [&](NetWorld::Node& node, const HostEvent& event) {
    if (&node == &pair.server) pair.echo.on_event(event);
  };
  Transfer transfer(pair.client, pair.open(), pattern(3 << 20, 5));
  EXPECT_TRUE(complete(pair.world, transfer, 30 * kSecond));
  EXPECT_TRUE(transfer.received == transfer.data);
}

TEST(QuicHost, HalfCloseLeavesTheOtherDirectionOpen) {
  Pair pair(14);
  const ConnectionId connection = pair.connect();
  const StreamId ours = *pair.client.host->open_stream(connection, kEcho);
  pair.client.host->finish(ours);  // nothing but the end
  EXPECT_EQ(pair.client.host->write(ours, as_bytes("x")).code(), Code::invalid);
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<StreamReadable>(pair.server); }));
  const StreamId theirs = find_event<StreamOpened>(pair.server)->stream;
  Bytes buffer(100);
  const auto end = pair.server.host->read(theirs, buffer);
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->size, 0u);
  EXPECT_TRUE(end->finished);
  // The server still answers, later.
  pair.world.run(2 * kSecond);
  ASSERT_EQ(pair.server.host->write(theirs, as_bytes("late")).value(), 4u);
  pair.server.host->finish(theirs);
  size_t got = 0;
  EXPECT_TRUE(pair.world.run(kSecond, [&] {
    const auto read = pair.client.host->read(ours, buffer);
    if (read.ok()) got += read->size;
    return read.ok() && read->finished;
  }));
  EXPECT_EQ(got, 4u);
  pair.world.run(kSecond);
  EXPECT_EQ(count_events<StreamClosed>(pair.client) + count_events<StreamClosed>(pair.server), 0u);
  EXPECT_EQ(pair.client.host->read(ours, buffer).code(), Code::closed);
}

TEST(QuicHost, ResetEndsBothDirectionsAndIsToldToThePeerOnly) {
  EchoPair pair(15);
  const StreamId stream = pair.open();
  ASSERT_TRUE(pair.client.host->write(stream, as_bytes("hello")).ok());
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<StreamReadable>(pair.client); }));
  pair.client.host->reset(stream);
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<StreamClosed>(pair.server); }));
  EXPECT_EQ(find_event<StreamClosed>(pair.server)->reason.code, Code::closed);
  pair.world.run(kSecond);
  EXPECT_EQ(count_events<StreamClosed>(pair.client), 0u);
  EXPECT_EQ(pair.client.host->write(stream, as_bytes("x")).code(), Code::closed);
  EXPECT_EQ(pair.client.host->stats().streams + pair.server.host->stats().streams, 0u);
}

TEST(QuicHost, AProtocolThatIsNotSpokenIsRefused) {
  EchoPair pair(16);
  const StreamId stream = *pair.client.host->open_stream(pair.connection, "/other/1.0.0");
  ASSERT_TRUE(pair.client.host->write(stream, as_bytes("eager")).ok());
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<StreamClosed>(pair.client); }));
  EXPECT_EQ(find_event<StreamClosed>(pair.client)->reason.code, Code::unsupported);
  EXPECT_EQ(count_events<StreamOpened>(pair.server), 0u);
  pair.world.run(kSecond);
  EXPECT_EQ(pair.server.host->stats().streams, 0u);
  EXPECT_EQ(pair.client.host->open_stream(pair.connection, "bad\nname").code(), Code::invalid);
  // The connection is none the worse.
  Transfer transfer(pair.client, pair.open(), pattern(1000, 1));
  EXPECT_TRUE(complete(pair.world, transfer));
}

TEST(QuicHost, AStreamOpenedAfterALongQuietHasAllItsTime) {
  EchoPair pair(19);
  pair.world.run(net::kQuicKeepAliveUs - kSecond / 2);  // nothing happens
  // The answer comes after less than a negotiation may take; with the quiet before it, it is more.
  pair.world.link.delay_us = (net::kNegotiationTimeoutUs - net::kQuicKeepAliveUs + kSecond) / 2;
  const StreamId stream = *pair.client.host->open_stream(pair.connection, kEcho);
  ASSERT_TRUE(pair.world.run(net::kNegotiationTimeoutUs, [&] {
    return count_events<StreamOpened>(pair.client) + count_events<StreamClosed>(pair.client) > 0;
  }));
  ASSERT_NE(find_event<StreamOpened>(pair.client), nullptr);
  EXPECT_EQ(find_event<StreamOpened>(pair.client)->stream, stream);
}

TEST(QuicHost, BothSidesOpenStreams) {
  EchoPair pair(17);
  pair.client.host->set_protocols({"/back/1.0.0"});
  const StreamId back = *pair.server.host->open_stream(find_event<Connected>(pair.server)->connection, "/back/1.0.0");
  ASSERT_TRUE(pair.server.host->write(back, as_bytes("ping")).ok());
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<StreamReadable>(pair.client); }));
  const auto* opened = find_event<StreamOpened>(pair.client);
  EXPECT_TRUE(opened->incoming);
  EXPECT_EQ(opened->protocol, "/back/1.0.0");
  ASSERT_TRUE(pair.world.run(kSecond, [&] { return find_event<StreamOpened>(pair.server); }));
  const auto* ours = find_event<StreamOpened>(pair.server);
  EXPECT_EQ(ours->stream, back);
  EXPECT_FALSE(ours->incoming);
}

TEST(QuicHost, ManyConnectionsBetweenTheSamePeers) {
  Pair pair(18);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(pair.client.host->dial(pair.address, pair.server.host->peer_id()).ok());
  EXPECT_TRUE(pair.world.run(20 * kSecond, [&] { return count_events<Connected>(pair.server) == 50; }));
  EXPECT_EQ(pair.client.host->stats().connections, 50u);
}

TEST(QuicHost, TheSameSeedGivesTheSameDatagrams) {
  const auto run = [](uint64_t seed) {
    Bytes all;
    Pair pair(seed);
    pair.world.link = {.loss = 0.03, .duplicate = 0.02, .reorder = 0.05};
    pair.world.trace = [&](const NetWorld::Datagram& datagram) {
      append(all, as_bytes(to_string(datagram.from) + ">" + to_string(datagram.to)));
      append(all, datagram.data);
    };
    Echo echo(pair.server);
    const ConnectionId connection = pair.connect();
    pair.world.on_event = [&](NetWorld::Node& node, const HostEvent& event) {
      if (&node == &pair.server) echo.on_event(event);
    };
    Transfer one(pair.client, *pair.client.host->open_stream(connection, kEcho), pattern(300000, 1));
    Transfer two(pair.client, *pair.client.host->open_stream(connection, kEcho), pattern(200000, 2));
    pair.world.run(60 * kSecond, [&] {
      one.pump();
      two.pump();
      return one.done && two.done;
    });
    pair.client.host->close(pair.world.now());
    pair.world.run(5 * kSecond);
    EXPECT_TRUE(one.done && two.done);
    return all;
  };
  const Bytes first = run(21);
  EXPECT_GT(first.size(), 1'000'000u);
  EXPECT_TRUE(first == run(21));
  EXPECT_FALSE(first == run(22));
}

}  // namespace
}  // namespace sereus::test
