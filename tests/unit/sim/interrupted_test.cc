// What breaks off in the middle goes on afterwards: founding a root, making stores, joining.

#include "sim/fault.h"
#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

constexpr uint64_t kCutsMax = 400;

class Interrupted : public NodeWorld {
 protected:
  // Runs until the machine is off or `op` is answered.
  bool ends(SimMachine& machine, uint64_t op) {
    return world.run_until([&] { return machine.stopped() || machine.done(op) != nullptr; }, 60 * kSecondUs);
  }
  void up_again(SimMachine& machine) {
    machine.lose_power();
    const Status started = machine.start();
    ASSERT_TRUE(started.ok()) << started.error().detail;
  }
  size_t roots(SimMachine& machine) {
    size_t count = 0;
    for (const node::StoreRow& row : stores(machine)) count += row.is_root ? 1 : 0;
    return count;
  }
  Request store_create(std::string_view name) {
    Request create;
    create.kind = RequestKind::store_create;
    create.x = to_bytes(name);
    return create;
  }
};

TEST_F(Interrupted, founding_a_root_goes_on_wherever_the_power_went) {
  bool answered = false;
  for (uint64_t cut = 1; cut < kCutsMax && !answered; ++cut) {
    World fresh(cut, 1);
    SimMachine& machine = *fresh.machines[0];
    ASSERT_TRUE(machine.start().ok());
    Request identity;
    identity.kind = RequestKind::identity_create;
    identity.x = to_bytes("machine");
    ASSERT_EQ(fresh.call(machine, identity).status, Code::ok);
    machine.disk().crash_at(machine.disk().operations() + cut);
    const uint64_t op = machine.submit(store_create("first"));
    ASSERT_TRUE(fresh.run_until([&] { return machine.stopped() || machine.done(op) != nullptr; }, 60 * kSecondUs));
    answered = machine.done(op) != nullptr;
    machine.disk().crash_at(0);
    if (machine.stopped()) {
      ASSERT_TRUE(machine.start().ok());
    }
    const node::Event done = fresh.call(machine, store_create("second"));
    ASSERT_EQ(done.status, Code::ok) << "cut at operation " << cut << ": " << done.detail;
    EXPECT_EQ(roots(machine), 1u) << "cut at operation " << cut;
    for (const node::StoreRow& row : stores(machine)) EXPECT_EQ(row.state, node::StoreState::active) << row.detail;
  }
  EXPECT_TRUE(answered) << "no cut came after the answer: the sweep was too short";
}

TEST_F(Interrupted, a_root_that_cannot_be_read_is_not_replaced) {
  bool refused = false;
  for (uint32_t ppm = 10'000; ppm <= 400'000 && !refused; ppm += 10'000) {
    alice().lose_power();
    DiskFaults faults;
    faults.read_failed_ppm = ppm;
    alice().disk().set_faults(faults);
    const bool started = alice().start().ok();
    alice().disk().set_faults({});
    if (!started) {
      up_again(alice());
      continue;
    }
    Request request;
    request.kind = RequestKind::invite_create;
    refused = world.call(alice(), request).status == Code::io;
    EXPECT_EQ(roots(alice()), 1u);
  }
  up_again(alice());
  EXPECT_TRUE(refused) << "the root store was never the one that could not be read";
  EXPECT_EQ(roots(alice()), 1u);
  EXPECT_EQ(join(bob(), invite()).status, Code::ok);
}

TEST_F(Interrupted, joining_goes_on_wherever_the_power_went) {
  bool answered = false;
  for (uint64_t cut = 1; cut < kCutsMax && !answered; cut += 3) {
    World fresh(cut, 2);
    ASSERT_NO_FATAL_FAILURE(start_all(fresh));
    SimMachine& issuer = *fresh.machines[0];
    SimMachine& guest = *fresh.machines[1];
    ASSERT_EQ(fresh.call(issuer, store_create("shared")).status, Code::ok);
    Request invite;
    invite.kind = RequestKind::invite_create;
    Request join;
    join.kind = RequestKind::join;
    join.x = fresh.call(issuer, invite).data;
    guest.disk().crash_at(guest.disk().operations() + cut);
    const uint64_t op = guest.submit(join);
    ASSERT_TRUE(fresh.run_until([&] { return guest.stopped() || guest.done(op) != nullptr; }, 90 * kSecondUs));
    answered = guest.done(op) != nullptr;
    if (guest.stopped()) {
      guest.disk().crash_at(0);
      ASSERT_TRUE(guest.start().ok());
      const node::Event again = fresh.call(guest, join, 90 * kSecondUs);
      ASSERT_EQ(again.status, Code::ok) << "cut at operation " << cut << ": " << again.detail;
    }
    // Also where the power goes while the stores arrive.
    const bool there = fresh.run_until(
        [&] {
          if (guest.stopped()) {
            guest.disk().crash_at(0);
            EXPECT_TRUE(guest.start().ok());
          }
          for (const node::StoreRow& row : stores(guest)) {
            if (row.name == "shared" && row.state == node::StoreState::active) return true;
          }
          return false;
        },
        120 * kSecondUs);
    ASSERT_TRUE(there) << "cut at operation " << cut;
  }
  EXPECT_TRUE(answered) << "no cut came after the answer: the sweep was too short";
}

}  // namespace
}  // namespace sereus::sim
