// Applications of two nodes that dial each other at once: the connection that each was given works, also when it is the one that
// does not stay.
#include <gtest/gtest.h>

#include "core/crypto/init.h"
#include "core/storage/vfs.h"
#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

constexpr std::string_view kProtocol = "/test/1";

class SimultaneousDialTest : public ::testing::TestWithParam<Transport> {
 protected:
  static node::HostRow host(SimMachine& machine) {
    Query query;
    query.kind = QueryKind::hosts;
    return std::get<std::vector<node::HostRow>>(*machine.query(query)).at(0);
  }
  static uint64_t dial(SimMachine& from, SimMachine& to) {
    Request request;
    request.kind = RequestKind::dial;
    request.y = to_bytes(host(to).addresses.substr(0, host(to).addresses.find('\n')));
    return from.submit(request);
  }
  static Request on_connection(RequestKind kind, uint64_t connection) {
    Request request;
    request.kind = kind;
    request.store = connection;
    if (kind == RequestKind::stream_open) request.x = to_bytes(kProtocol);
    return request;
  }
};

INSTANTIATE_TEST_SUITE_P(Transports, SimultaneousDialTest, ::testing::Values(Transport::quic, Transport::tcp),
                         [](const auto& param) { return std::string(name_of(param.param)); });

TEST_P(SimultaneousDialTest, BothAnswersStayUsable) {
  crypto::init();
  size_t superseded = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    storage::seed_sqlite_for_simulation(static_cast<uint32_t>(seed) | 1u);
    World world(seed, 2, GetParam());
    for (auto& machine : world.machines) {
      ASSERT_TRUE(machine->start().ok());
      Request create;
      create.kind = RequestKind::identity_create;
      create.x = to_bytes("machine");
      ASSERT_EQ(world.call(*machine, create).status, Code::ok);
      Request serve;
      serve.kind = RequestKind::protocol_add;
      serve.x = to_bytes(kProtocol);
      ASSERT_EQ(world.call(*machine, serve).status, Code::ok);
    }
    SimMachine& a = *world.machines[0];
    SimMachine& b = *world.machines[1];
    const uint64_t of_a = dial(a, b);
    const uint64_t of_b = dial(b, a);
    ASSERT_TRUE(world.run_until([&] { return a.done(of_a) && b.done(of_b); }, 10 * kSecondUs));
    world.run_for(5 * kSecondUs);  // what does not stay is closed by now
    for (const auto& [machine, dialed] : {std::pair{&a, of_a}, {&b, of_b}}) {
      const node::Event answer = *machine->done(dialed);
      ASSERT_EQ(answer.status, Code::ok) << answer.detail;
      EXPECT_EQ(host(*machine).connections, 1u);
      const node::Event opened = world.call(*machine, on_connection(RequestKind::stream_open, answer.connection));
      EXPECT_EQ(opened.status, Code::ok) << opened.detail;
      superseded += opened.connection != answer.connection ? 1 : 0;
      EXPECT_EQ(world.call(*machine, on_connection(RequestKind::ping, answer.connection)).status, Code::ok);
    }
    // Once the one that stays is gone, so is the other's number.
    ASSERT_EQ(world.call(a, on_connection(RequestKind::disconnect, a.done(of_a)->connection)).status, Code::ok);
    world.run_for(kSecondUs);
    EXPECT_EQ(world.call(b, on_connection(RequestKind::ping, b.done(of_b)->connection)).status, Code::not_found);
  }
  EXPECT_GT(superseded, 0u);  // it was about that
}

}  // namespace
}  // namespace sereus::sim
