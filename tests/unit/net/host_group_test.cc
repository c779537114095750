// Several hosts as one: addresses decide, ids of all kinds stay apart, and what is done reaches the right member.
#include "core/net/host_group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

namespace sereus::net {
namespace {

// Speaks one made-up transport; counts its ids from 1, as every host does.
class OneTransport final : public Host {
 public:
  explicit OneTransport(std::string transport) : transport_(std::move(transport)) {}
  PeerId peer_id() const override { return {}; }
  Status listen(std::string_view address) override {
    if (!speaks(address)) return fail(Code::unsupported, "not mine");
    listening.emplace_back(address);
    return listen_result;
  }
  std::vector<std::string> listen_addresses() const override { return listening; }
  void set_clock_suspect(bool suspect) override { clock_suspect = suspect; }
  void set_protocols(std::vector<std::string> set) override { protocols = std::move(set); }
  Result<uint64_t> dial(std::string_view address, const PeerId& /*peer*/) override {
    if (!speaks(address)) return fail(Code::unsupported, "not mine");
    return ++last_dial;
  }
  void disconnect(ConnectionId connection, Code /*reason*/) override { disconnected.push_back(connection); }
  Result<StreamId> open_stream(ConnectionId connection, std::string_view /*protocol*/) override {
    opened_on.push_back(connection);
    return ++last_stream;
  }
  Result<size_t> write(StreamId stream, ByteView data) override {
    written.push_back(stream);
    return data.size();
  }
  Result<ReadResult> read(StreamId stream, ByteSpan /*out*/) override {
    read_from.push_back(stream);
    return ReadResult{};
  }
  void finish(StreamId stream) override { finished.push_back(stream); }
  void reset(StreamId stream) override { was_reset.push_back(stream); }
  uint64_t step(const Times& /*now*/) override { return deadline; }
  std::optional<HostEvent> next_event() override {
    if (events.empty()) return std::nullopt;
    HostEvent event = events.front();
    events.pop_front();
    return event;
  }
  HostStats stats() const override { return {1, 2, 3, 4}; }
  void close(const Times& /*now*/) override { closed = true; }

  Status listen_result;
  uint64_t last_dial = 0, last_stream = 0, deadline = kNever;
  bool clock_suspect = false, closed = false;
  std::vector<std::string> listening, protocols;
  std::vector<uint64_t> disconnected, opened_on, written, read_from, finished, was_reset;
  std::deque<HostEvent> events;

 private:
  bool speaks(std::string_view address) const { return address.find(transport_) != std::string_view::npos; }
  std::string transport_;
};

class HostGroupTest : public testing::Test {
 protected:
  HostGroupTest() {
    auto a = std::make_unique<OneTransport>("alpha");
    auto b = std::make_unique<OneTransport>("beta");
    alpha = a.get();
    beta = b.get();
    std::vector<std::unique_ptr<Host>> members;
    members.push_back(std::move(a));
    members.push_back(std::move(b));
    group = std::make_unique<HostGroup>(std::move(members));
  }
  OneTransport* alpha;
  OneTransport* beta;
  std::unique_ptr<HostGroup> group;
};

TEST_F(HostGroupTest, TheAddressDecides) {
  EXPECT_TRUE(group->listen("/alpha/1").ok());
  EXPECT_TRUE(group->listen("/beta/1").ok());
  EXPECT_EQ(group->listen("/gamma/1").code(), Code::unsupported);
  EXPECT_EQ(group->listen_addresses(), (std::vector<std::string>{"/alpha/1", "/beta/1"}));
  beta->listen_result = fail(Code::busy, "taken");
  EXPECT_EQ(group->listen("/beta/2").code(), Code::busy) << "its own answer, not the next one's";
  EXPECT_EQ(group->dial("/gamma/1", {}).code(), Code::unsupported);
}

TEST_F(HostGroupTest, IdsOfMembersStayApart) {
  const uint64_t first = *group->dial("/alpha/1", {});
  const uint64_t second = *group->dial("/beta/1", {});
  EXPECT_NE(first, second) << "both members counted 1";
  alpha->events.emplace_back(Connected{1, 1, {}, "/alpha/1", false});
  beta->events.emplace_back(Connected{1, 1, {}, "/beta/1", false});
  beta->events.emplace_back(Connected{2, 0, {}, "/beta/2", true});
  std::vector<Connected> seen;
  while (const auto event = group->next_event()) seen.push_back(std::get<Connected>(*event));
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].dial, first);
  EXPECT_EQ(seen[1].dial, second);
  EXPECT_NE(seen[0].connection, seen[1].connection);
  EXPECT_EQ(seen[2].dial, 0u) << "none stays none";

  const StreamId a = *group->open_stream(seen[0].connection, "/p");
  const StreamId b = *group->open_stream(seen[1].connection, "/p");
  EXPECT_NE(a, b);
  EXPECT_EQ(beta->opened_on, (std::vector<uint64_t>{1}));
  (void)group->write(b, as_bytes("x"));
  Bytes buffer(1);
  (void)group->read(b, buffer);
  group->finish(b);
  group->reset(a);
  group->disconnect(seen[2].connection, Code::ok);
  EXPECT_EQ(beta->written, (std::vector<uint64_t>{1}));
  EXPECT_EQ(beta->read_from, (std::vector<uint64_t>{1}));
  EXPECT_EQ(beta->finished, (std::vector<uint64_t>{1}));
  EXPECT_EQ(alpha->was_reset, (std::vector<uint64_t>{1}));
  EXPECT_EQ(beta->disconnected, (std::vector<uint64_t>{2}));
  EXPECT_TRUE(alpha->written.empty() && alpha->disconnected.empty() && beta->was_reset.empty());

  beta->events.emplace_back(StreamClosed{1, fail(Code::closed, "reset")});
  EXPECT_EQ(std::get<StreamClosed>(*group->next_event()).stream, b);
}

TEST_F(HostGroupTest, ABusyMemberDoesNotSilenceAnother) {
  for (StreamId i = 1; i <= 10; ++i) alpha->events.emplace_back(StreamReadable{i});
  beta->events.emplace_back(StreamReadable{1});
  const StreamId of_beta = 1 * 2 + 1;
  bool seen = false;
  for (int i = 0; i < 2; ++i) seen |= std::get<StreamReadable>(*group->next_event()).stream == of_beta;
  EXPECT_TRUE(seen);
}

TEST_F(HostGroupTest, WhatConcernsAllReachesAll) {
  alpha->deadline = 70;
  beta->deadline = 30;
  EXPECT_EQ(group->step({}), 30u);
  group->set_protocols({"/p"});
  group->set_clock_suspect(true);
  EXPECT_EQ(alpha->protocols, beta->protocols);
  EXPECT_TRUE(alpha->clock_suspect && beta->clock_suspect);
  EXPECT_EQ(group->stats().bytes_sent, 2u);
  EXPECT_EQ(group->stats().streams, 8u);
  group->close({});
  EXPECT_TRUE(alpha->closed && beta->closed);
}

}  // namespace
}  // namespace sereus::net
