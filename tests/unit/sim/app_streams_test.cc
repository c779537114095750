// Streams of applications at their ends, over each transport.

#include <gtest/gtest.h>

#include "core/crypto/init.h"
#include "sim/shared_store.h"
#include "sim/world.h"

namespace sereus::sim {
namespace {

using node::Request;
using node::RequestKind;

constexpr uint64_t kSecondUs = 1'000'000;
constexpr const char* kProtocol = "/test/1.0.0";

class AppStreams : public ::testing::TestWithParam<Transport> {
 protected:
  AppStreams() : world(7, 2, GetParam()) { crypto::init(); }

  void SetUp() override {
    for (auto& machine : world.machines) {
      ASSERT_TRUE(machine->start().ok());
      ASSERT_EQ(call(*machine, RequestKind::identity_create, 0, "machine").status, Code::ok);
      ASSERT_EQ(call(*machine, RequestKind::protocol_add, 0, kProtocol).status, Code::ok);
    }
  }

  node::Event call(SimMachine& machine, RequestKind kind, uint64_t of, std::string_view x, std::string_view y = {},
                   uint64_t a = 0) {
    Request request;
    request.kind = kind;
    request.store = of;
    request.x = to_bytes(x);
    request.y = to_bytes(y);
    request.a = a;
    return world.call(machine, request, 30 * kSecondUs);
  }

  SimMachine& alice() { return *world.machines[0]; }
  SimMachine& bob() { return *world.machines[1]; }

  // A stream from bob to alice on which bob wrote `text` and ended his direction; alice has read it. Her number for it.
  uint64_t stream_read_to_its_end(std::string_view text) {
    node::Query query;
    query.kind = node::QueryKind::info;
    const auto info = std::get<std::vector<node::InfoRow>>(*alice().query(query)).front();
    const node::Event dialed = call(bob(), RequestKind::dial, 0, info.peer, info.addresses);
    EXPECT_EQ(dialed.status, Code::ok) << dialed.detail;
    at_bob = call(bob(), RequestKind::stream_open, dialed.connection, kProtocol).stream;
    EXPECT_EQ(call(bob(), RequestKind::stream_write, at_bob, text, {}, 1).status, Code::ok);
    uint64_t at_alice = 0;
    EXPECT_TRUE(world.run_until(
        [&] {
          for (const node::Event& event : alice().take_events()) {
            if (event.kind == node::EventKind::stream) at_alice = event.stream;
          }
          return at_alice != 0;
        },
        10 * kSecondUs));
    bool finished = false;
    for (int reads = 0; reads < 10 && !finished; ++reads) {
      finished = call(alice(), RequestKind::stream_read, at_alice, "").finished;
    }
    EXPECT_TRUE(finished);
    return at_alice;
  }

  World world;
  uint64_t at_bob = 0;
};

TEST_P(AppStreams, AWriteToWhomNobodyReadsAnyMoreIsAnswered) {
  const uint64_t stream = stream_read_to_its_end("hello");
  EXPECT_EQ(call(bob(), RequestKind::stream_reset, at_bob, "").status, Code::ok);
  world.run_for(kSecondUs);
  const node::Event written = call(alice(), RequestKind::stream_write, stream, "who is there?", {}, 1);
  EXPECT_NE(written.status, Code::timeout) << "no DONE came";
  EXPECT_NE(written.status, Code::ok);
}

TEST_P(AppStreams, WritesUnderWayAreAnsweredWhenThePeerStopsReading) {
  const uint64_t stream = stream_read_to_its_end("hello");
  // More than any window: it waits for a reader.
  Request request;
  request.kind = RequestKind::stream_write;
  request.store = stream;
  request.x = Bytes(1'000'000, 'x');
  std::vector<uint64_t> writes;
  for (int n = 0; n < 2; ++n) writes.push_back(alice().submit(request));
  world.run_for(kSecondUs);
  EXPECT_EQ(call(bob(), RequestKind::stream_reset, at_bob, "").status, Code::ok);
  EXPECT_TRUE(world.run_until([&] { return alice().done(writes[0]) != nullptr && alice().done(writes[1]) != nullptr; },
                              20 * kSecondUs));
}

INSTANTIATE_TEST_SUITE_P(Transports, AppStreams, ::testing::Values(Transport::stream, Transport::quic, Transport::tcp),
                         [](const auto& each) { return std::string(name_of(each.param)); });

}  // namespace
}  // namespace sereus::sim
