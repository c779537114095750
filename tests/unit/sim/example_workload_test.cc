// The workload that docs/simulation.md shows: tests/docs compares what is between the two lines "the page shows".
#include <gtest/gtest.h>

#include "core/storage/vfs.h"
// ---- the page shows
#include "sim/fault_mix.h"
#include "sim/node_run.h"
#include "sim/shared_store.h"
#include "sim/workload.h"

namespace sereus::sim {

// Everybody writes notes into one store. What was acknowledged is on every machine at the end.
class NotesRun : public NodeWorkload {
 public:
  bool set_up(NodeRun& run) override {
    node::Request create;
    create.kind = node::RequestKind::store_create;
    create.x = to_bytes("notes");
    if (!run.expect_ok(run.call(0, create), "store_create")) return false;
    for (size_t i = 1; i < run.nodes(); ++i) {
      if (!join_through_invite(run, 0, i)) return false;
    }
    return true;
  }
  void act(NodeRun& run, const Action& action) override {
    const size_t i = action.machine;
    node::Request write;
    write.kind = node::RequestKind::store_write;
    write.store = run.up(i) ? store_handle(run.machine(i), "notes") : 0;
    if (write.store == 0) return;  // down, or just up again
    const std::string key = "note " + std::to_string(action.draws);
    write.writes.push_back({store::OpKind::put, to_bytes(key), to_bytes("by " + std::to_string(i))});
    run.submit(i, std::move(write), [this, &run, key](const node::Event* done) {
      if (done == nullptr || done->status != Code::ok) return;  // null: the process went down
      acknowledged_.push_back(key);
      run.count("notes acknowledged");
    });
  }
  bool settled(NodeRun& run) override { return states(run).empty(); }
  std::string states(NodeRun& run) override {
    for (size_t i = 0; i < run.nodes(); ++i) {
      for (const std::string& key : acknowledged_) {
        const auto value = value_of(run.machine(i), store_handle(run.machine(i), "notes"), key);
        if (!value.ok() || !*value) return "machine " + std::to_string(i) + " lacks " + key;
      }
    }
    return {};
  }
  void check(NodeRun& run) override {
    if (const std::string lost = states(run); !lost.empty()) run.violated("acknowledged", lost);
  }

 private:
  std::vector<std::string> acknowledged_;
};

void draw_notes(SimRandom& random, Plan& plan) {
  SimRandom own = random.fork("notes");
  if (plan.duration_us == 0) plan.duration_us = own.between(3'000'000, 30'000'000);
  for (uint64_t at_us = 0; at_us < plan.duration_us; at_us += own.between(100'000, 2'000'000)) {
    plan.actions.push_back({at_us, own.below(plan.nodes), 0, own.next_u64()});
  }
  SimRandom faults = random.fork("faults");
  draw_faults(faults, plan, all_survivable_faults());
}

extern const Workload kNotesWorkload;
const Workload kNotesWorkload = {"notes", "everybody has everybody's notes", 3, 2, 4, draw_notes, run_nodes<NotesRun>};

}  // namespace sereus::sim
// ---- the page shows

namespace sereus::sim {
namespace {

TEST(ExampleWorkload, HoldsAndDoesTheSameTwice) {
  uint64_t acknowledged = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SimRandom random(seed);
    Plan plan;
    plan.seed = seed;
    plan.workload = std::string(kNotesWorkload.name);
    plan.nodes = random.between(kNotesWorkload.nodes_min, kNotesWorkload.nodes_max);
    kNotesWorkload.draw(random, plan);
    const auto run = [&] {
      storage::seed_sqlite_for_simulation(static_cast<uint32_t>(seed) | 1u);
      return kNotesWorkload.run(plan, nullptr);
    };
    const Outcome outcome = run();
    EXPECT_EQ(outcome.violation, "") << "seed " << seed;
    if (seed <= 3) {
      EXPECT_EQ(run().trace, outcome.trace);
    }
    const auto found = outcome.counts.find("notes acknowledged");
    acknowledged += found == outcome.counts.end() ? 0 : found->second;
  }
  EXPECT_GT(acknowledged, 100u);
}

}  // namespace
}  // namespace sereus::sim
