// Three machines on the simulated network: alice has a store, bob may be invited, mallory may not.
#pragma once

#include <gtest/gtest.h>

#include "core/crypto/init.h"
#include "core/node/invite.h"
#include "core/node/root_state.h"
#include "sim/world.h"

namespace sereus::sim {

using node::Query;
using node::QueryKind;
using node::Request;
using node::RequestKind;

inline constexpr uint64_t kSecondUs = 1'000'000;

// Every machine runs and has an identity.
inline void start_all(World& world) {
  for (auto& m : world.machines) {
    ASSERT_TRUE(m->start().ok());
    Request create;
    create.kind = RequestKind::identity_create;
    create.x = to_bytes("machine");
    ASSERT_EQ(world.call(*m, create).status, Code::ok);
  }
}

class NodeWorld : public ::testing::Test {
 protected:
  NodeWorld() : world(42, 3) { crypto::init(); }

  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(start_all(world));
    store_of_alice = create_store("shared");
    ASSERT_NE(store_of_alice, 0u);
  }

  SimMachine& alice() { return *world.machines[0]; }
  SimMachine& bob() { return *world.machines[1]; }
  SimMachine& mallory() { return *world.machines[2]; }

  uint64_t create_store(std::string_view name) {
    Request create;
    create.kind = RequestKind::store_create;
    create.x = to_bytes(name);
    return world.call(alice(), create).store;
  }

  Bytes invite(uint64_t role = 0, uint64_t uses = 0, uint64_t expires_s = 0, std::string_view peer = {}) {
    Request request;
    request.kind = RequestKind::invite_create;
    request.a = role;
    request.b = uses;
    request.c = expires_s;
    request.x = to_bytes(peer);
    const node::Event done = world.call(alice(), request);
    EXPECT_EQ(done.status, Code::ok) << done.detail;
    return done.data;
  }

  node::Event join(SimMachine& machine, const Bytes& text) {
    Request request;
    request.kind = RequestKind::join;
    request.x = text;
    return world.call(machine, request, 90 * kSecondUs);
  }

  node::InfoRow info(SimMachine& machine) {
    Query query;
    query.kind = QueryKind::info;
    return std::get<std::vector<node::InfoRow>>(*machine.query(query)).front();
  }

  std::vector<node::StoreRow> stores(SimMachine& machine) {
    Query query;
    query.kind = QueryKind::stores;
    return std::get<std::vector<node::StoreRow>>(*machine.query(query));
  }

  uint64_t handle(SimMachine& machine, std::string_view name) {
    for (const node::StoreRow& row : stores(machine)) {
      if (row.name == name) return row.store;
    }
    return 0;
  }

  node::Event put(SimMachine& machine, uint64_t store, std::string_view key, std::string_view value) {
    Request request;
    request.kind = RequestKind::store_write;
    request.store = store;
    store::WriteOp op;
    op.key = to_bytes(key);
    op.value = to_bytes(value);
    request.writes.push_back(op);
    return world.call(machine, request);
  }

  std::string get(SimMachine& machine, uint64_t store, std::string_view key) {
    Query query;
    query.kind = QueryKind::get;
    query.store = store;
    query.x = to_bytes(key);
    const auto rows = machine.query(query);
    return rows.ok() ? to_string(ByteView(std::get<std::vector<store::Head>>(*rows).front().value)) : "";
  }

  bool arrives(SimMachine& machine, std::string_view store, std::string_view key, std::string_view value) {
    return world.run_until([&] { return get(machine, handle(machine, store), key) == value; }, 60 * kSecondUs);
  }

  World world;
  uint64_t store_of_alice = 0;
};

}  // namespace sereus::sim
