// Memory that is not there, at every place where the core asks for it and promises to survive: an operation is answered with an
// error or done all the same, the next one works, and nothing that was acknowledged is lost.
#include <cstdlib>

#include "core/crypto/kdf.h"
#include "core/storage/database.h"
#include "sim/allocation_faults.h"
#include "sim/workload.h"
#include "tests/unit/sim/node_world.h"

namespace sereus::sim {
namespace {

// Every n-th place is tried; 1 for all.
uint64_t stride() {
  const char* given = std::getenv("SEREUS_ALLOCATION_STRIDE");
  return given == nullptr ? 0 : std::strtoull(given, nullptr, 10);
}

class Allocation : public NodeWorld {
 protected:
  ~Allocation() override { AllocationFaults::off(); }

  // Calls `attempt` again and again, with a function that makes the k-th allocation from then on fail, alone or with those behind
  // it, until k is beyond all that it asks for.
  template <class Attempt>
  void at_each_place(uint64_t step, const Attempt& attempt) {
    if (stride() != 0) step = stride();
    for (const uint64_t row : {uint64_t{1}, uint64_t{3}, uint64_t{40}}) {
      for (uint64_t k = 1;; k += step) {
        SCOPED_TRACE("allocation " + std::to_string(k) + " and " + std::to_string(row - 1) + " more");
        const uint64_t before = AllocationFaults::failures();
        attempt([k, row] { AllocationFaults::fail_nth(k, row); });
        AllocationFaults::off();
        ++places_;
        if (AllocationFaults::failures() == before || HasFatalFailure()) break;
      }
    }
  }
  void stop(SimMachine& machine) {
    machine.stop();
    ASSERT_TRUE(world.run_until([&] { return machine.stopped(); }, 60 * kSecondUs));
  }

  node::Event ask(RequestKind kind, std::string_view x = {}) {
    Request request;
    request.kind = kind;
    request.x = to_bytes(x);
    return world.call(alice(), request);
  }
  // Done, or refused for want of memory and then done by `again`.
  template <class Try, class Again>
  void done_sooner_or_later(const Try& attempt, const Again& again) {
    const node::Event done = attempt();
    AllocationFaults::off();
    if (done.status == Code::ok) return;
    ++refused_;
    EXPECT_EQ(done.status, Code::no_memory) << done.detail;
    const node::Event later = again();
    EXPECT_EQ(later.status, Code::ok) << later.detail;
  }
  template <class Try>
  void done_sooner_or_later(const Try& attempt) {
    done_sooner_or_later(attempt, attempt);
  }

  uint64_t places_ = 0;
  uint64_t refused_ = 0;
};

TEST_F(Allocation, ANodeOpensOrSaysWhy) {
  const uint64_t before = AllocationFaults::allocations();
  ASSERT_EQ(put(alice(), store_of_alice, "key", "acknowledged").status, Code::ok);
  EXPECT_GT(AllocationFaults::allocations(), before);
  uint64_t refused = 0;
  at_each_place(97, [&](const auto& arm) {
    ASSERT_NO_FATAL_FAILURE(stop(alice()));
    arm();
    const Status started = alice().start();
    if (started.ok()) {
      world.run_for(kSecondUs / 10);
    } else {
      ++refused;
      EXPECT_EQ(started.code(), Code::no_memory) << started.error().detail;
    }
    AllocationFaults::off();
    if (!started.ok()) {
      ASSERT_TRUE(alice().start().ok());
    }
    ASSERT_TRUE(arrives(alice(), "shared", "key", "acknowledged"));
  });
  EXPECT_GT(refused, 0u);
}

TEST_F(Allocation, AWriteIsDoneOrRefused) {
  ASSERT_EQ(put(alice(), store_of_alice, "key", "first").status, Code::ok);
  uint64_t refused = 0;
  uint64_t n = 0;
  std::string last = "first";
  at_each_place(1, [&](const auto& arm) {
    arm();
    const std::string value = "value " + std::to_string(++n);
    const node::Event done = put(alice(), store_of_alice, "key", value);
    AllocationFaults::off();
    if (done.status == Code::ok) {
      last = value;
    } else {
      ++refused;
      EXPECT_EQ(done.status, Code::no_memory) << done.detail;
    }
    ASSERT_EQ(get(alice(), store_of_alice, "key"), last);
    ASSERT_EQ(put(alice(), store_of_alice, "other", value).status, Code::ok);
  });
  EXPECT_GT(refused, 0u);
  ASSERT_NO_FATAL_FAILURE(stop(alice()));
  ASSERT_TRUE(alice().start().ok());
  ASSERT_TRUE(arrives(alice(), "shared", "key", last));
}

// Whose statements are not prepared yet: also the one that commits, when the entry is in the log already.
TEST_F(Allocation, TheFirstWriteIsDoneOrRefusedOrLate) {
  ASSERT_EQ(put(alice(), store_of_alice, "key", "first").status, Code::ok);
  std::string last = "first";
  at_each_place(11, [&](const auto& arm) {
    ASSERT_NO_FATAL_FAILURE(stop(alice()));
    ASSERT_TRUE(alice().start().ok());
    arm();
    const std::string value = "value " + std::to_string(places_);
    const node::Event done = put(alice(), handle(alice(), "shared"), "key", value);
    AllocationFaults::off();
    if (done.status == Code::ok) last = value;
    EXPECT_TRUE(done.status == Code::ok || done.status == Code::no_memory) << done.detail;
    ASSERT_EQ(put(alice(), handle(alice(), "shared"), "other", value).status, Code::ok);
    const std::string found = get(alice(), handle(alice(), "shared"), "key");
    ASSERT_TRUE(found == last || found == value) << found;
    refused_ += done.status == Code::ok ? 0 : 1;
    last = found;
  });
  EXPECT_GT(refused_, 0u);
}

// Reads ask the database again for what is not in memory.
TEST_F(Allocation, AReadIsRightOrRefused) {
  ASSERT_EQ(put(alice(), store_of_alice, "key", "value").status, Code::ok);
  uint64_t refused = 0;
  Query query;
  query.kind = QueryKind::get;
  query.store = store_of_alice;
  query.x = to_bytes("key");
  at_each_place(1, [&](const auto& arm) {
    arm();
    const auto rows = alice().query(query);
    if (rows.ok()) {
      ASSERT_EQ(to_string(ByteView(std::get<std::vector<store::Head>>(*rows).front().value)), "value");
    } else {
      ++refused;
      EXPECT_EQ(rows.code(), Code::no_memory) << rows.error().detail;
    }
    AllocationFaults::off();
    ASSERT_EQ(get(alice(), store_of_alice, "key"), "value");
  });
}

TEST_F(Allocation, ASuspendedNodeGoesOnOrStaysSuspended) {
  ASSERT_EQ(put(alice(), store_of_alice, "key", "acknowledged").status, Code::ok);
  at_each_place(97, [&](const auto& arm) {
    ASSERT_EQ(ask(RequestKind::suspend).status, Code::ok);
    arm();
    done_sooner_or_later([&] { return ask(RequestKind::resume); });
    ASSERT_EQ(get(alice(), store_of_alice, "key"), "acknowledged");
  });
  EXPECT_GT(refused_, 0u);
}

TEST_F(Allocation, ErasingAndBeginningAnew) {
  at_each_place(23, [&](const auto& arm) {
    arm();
    done_sooner_or_later([&] { return ask(RequestKind::erase, "erase everything"); },
                         [&] { return ask(RequestKind::resume); });
    arm();
    done_sooner_or_later([&] { return ask(RequestKind::identity_create, "machine"); });
  });
  EXPECT_GT(refused_, 0u);
}

TEST_F(Allocation, AStoreIsMadeOrRefused) {
  at_each_place(97, [&](const auto& arm) {
    arm();
    done_sooner_or_later([&] { return ask(RequestKind::store_create, "another " + std::to_string(places_)); });
    ASSERT_EQ(put(alice(), handle(alice(), "another " + std::to_string(places_)), "key", "value").status, Code::ok);
  });
  EXPECT_GT(refused_, 0u);
}

class AllocationOverNetwork : public Allocation {
 protected:
  void SetUp() override {}  // the transport comes first

  void share(Transport transport) {
    for (auto& m : world.machines) m->transport = transport;
    ASSERT_NO_FATAL_FAILURE(NodeWorld::SetUp());
    ASSERT_EQ(join(bob(), invite()).status, Code::ok);
  }

  // What was written meanwhile comes over a connection that is made anew, by the one that fails or by the next one.
  void connect_anew(uint64_t step) {
    uint64_t n = 0;
    at_each_place(step, [&](const auto& arm) {
      const std::string value = "value " + std::to_string(++n);
      ASSERT_NO_FATAL_FAILURE(stop(bob()));
      ASSERT_EQ(put(alice(), store_of_alice, "key", value).status, Code::ok);
      ASSERT_TRUE(bob().start().ok());
      arm();
      world.run_for(kSecondUs);
      AllocationFaults::off();
      ASSERT_TRUE(arrives(bob(), "shared", "key", value));
    });
  }
};

TEST_F(AllocationOverNetwork, ANodeWithHostsOpensOrSaysWhy) {
  ASSERT_NO_FATAL_FAILURE(share(Transport::both));
  at_each_place(211, [&](const auto& arm) {
    ASSERT_NO_FATAL_FAILURE(stop(bob()));
    arm();
    const Status started = bob().start();
    AllocationFaults::off();
    if (started.ok()) return;
    ++refused_;
    EXPECT_EQ(started.code(), Code::no_memory) << started.error().detail;
    ASSERT_TRUE(bob().start().ok());
  });
  EXPECT_GT(refused_, 0u);
}

TEST_F(AllocationOverNetwork, QuicConnectsAgain) {
  ASSERT_NO_FATAL_FAILURE(share(Transport::quic));
  connect_anew(61);
}

TEST_F(AllocationOverNetwork, TcpConnectsAgain) {
  ASSERT_NO_FATAL_FAILURE(share(Transport::tcp));
  connect_anew(61);
}

TEST(AllocationFaultsOfARun, AreItsSeeds) {
  PlanWishes wishes;
  wishes.workload = "store";
  wishes.transport = Transport::quic;
  auto plan = draw_plan(7, wishes);
  ASSERT_TRUE(plan.ok());
  for (const int64_t nth : {1, 300, 2'000}) {
    Fault fault;
    fault.kind = FaultKind::no_memory;
    fault.amount = nth;
    fault.at_us = static_cast<uint64_t>(nth) * 500;
    plan->faults.push_back(fault);
  }
  const uint64_t before = AllocationFaults::failures();
  const Outcome once = run_plan(*plan);
  EXPECT_GT(AllocationFaults::failures(), before);
  EXPECT_EQ(once.violation, "");
  EXPECT_EQ(run_plan(*plan).trace, once.trace);
}

TEST(AllocationFaultsOfARun, AreDrawnFromASeed) {
  const auto failures = [](uint32_t ppm, uint64_t seed) {
    std::string which;
    const crypto::Argon2Params params = crypto::Argon2Params::weak_for_tests();
    AllocationFaults::fail_ppm(ppm, seed);
    for (int i = 0; i < 100; ++i) {
      const auto key =
          crypto::argon2id(as_bytes("passphrase"), crypto::Argon2Salt{}, params, crypto::Argon2Floor::tests);
      which += key.ok() ? '.' : 'x';
    }
    AllocationFaults::off();
    return which;
  };
  crypto::init();
  EXPECT_EQ(failures(0, 1), std::string(100, '.'));
  EXPECT_EQ(failures(1'000'000, 1), std::string(100, 'x'));
  EXPECT_EQ(failures(300'000, 1), failures(300'000, 1));
  EXPECT_NE(failures(300'000, 1), failures(300'000, 2));
}

TEST(AllocationOfSecrets, ArgonSaysThatThereIsNoMemory) {
  crypto::init();
  const crypto::Argon2Params params = crypto::Argon2Params::weak_for_tests();
  const auto derive = [&] {
    return crypto::argon2id(as_bytes("passphrase"), crypto::Argon2Salt{}, params, crypto::Argon2Floor::tests);
  };
  AllocationFaults::fail_nth(1);
  EXPECT_EQ(derive().code(), Code::no_memory);
  EXPECT_TRUE(derive().ok());
}

}  // namespace
}  // namespace sereus::sim
