// A run of nodes: brings them up, lets the plan's faults and the workload's actions happen, heals everything, waits until the
// workload says that all is settled, and asks the oracles. What is particular to a workload is a NodeWorkload.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/chronicle.h"
#include "sim/node_faults.h"
#include "sim/outcome.h"
#include "sim/plan.h"
#include "sim/signature_memo.h"
#include "sim/world.h"

namespace sereus::sim {

class NodeRun;

class NodeWorkload {
 public:
  virtual ~NodeWorkload() = default;
  // All machines run and have identities; faults that hold from the beginning do already. False: violated() was called.
  virtual bool set_up(NodeRun& run) = 0;
  // The machine may be down.
  virtual void act(NodeRun& run, const Action& action) = 0;
  // A process runs again: handles of the one before mean nothing to it.
  virtual void on_up(NodeRun& /*run*/, size_t /*machine*/) {}
  virtual void on_down(NodeRun& /*run*/, size_t /*machine*/) {}
  virtual void on_event(NodeRun& /*run*/, size_t /*machine*/, const node::Event& /*event*/) {}
  // Looked at now and then while a machine is up: what an application does by itself.
  virtual void tend(NodeRun& /*run*/, size_t /*machine*/) {}
  // Asked again and again once everything is healed.
  virtual bool settled(NodeRun& run) = 0;
  virtual std::string states(NodeRun& /*run*/) { return {}; }  // for the text of a violation
  virtual uint64_t memory() const { return 0; }                // bytes that applications have under way
  virtual size_t dials() const { return 0; }  // that applications asked for: their own affair, whoever answers
  virtual void check(NodeRun& run) = 0;
};

class NodeRun {
 public:
  NodeRun(const Plan& plan, Chronicle* chronicle, NodeWorkload& workload);
  ~NodeRun();
  Outcome run();

  // ---- What workloads use -----------------------------------------------------------------------------------------
  const Plan& plan() const { return plan_; }
  int64_t knob(const std::string& name, int64_t fallback = 0) const;
  size_t nodes() const { return world_.machines.size(); }
  World& world() { return world_; }
  SimMachine& machine(size_t i) { return *world_.machines[i]; }
  bool up(size_t i) { return machine(i).running(); }
  uint64_t now_us() const { return world_.scheduler.now_us(); }

  // Ends the run: this oracle does not hold. Always false.
  bool violated(std::string_view oracle, std::string what);
  bool holds() const { return outcome_.violation.empty(); }
  void count(const std::string& what, uint64_t n = 1) { outcome_.counts[what] += n; }
  void note(size_t machine, std::string text);  // for the picture

  // Submits; `then` gets the DONE, or null when the process went down without one. The machine must be up.
  using Then = std::function<void(const node::Event* done)>;
  uint64_t submit(size_t i, node::Request request, Then then = nullptr);
  size_t pending(size_t i) const { return places_[i].pending.size(); }
  // A watch is not waited for: `ended` gets its number when it ended while the process lives.
  uint64_t submit_watch(size_t i, node::Request request, std::function<void(uint64_t op)> ended);
  // Submits and runs until DONE. `unreachable` is tried again: on a bad path a connection is refused or breaks now and then.
  node::Event call(size_t i, const node::Request& request, uint64_t timeout_us = 120'000'000);
  // Whether a read on this machine may fail so now: its disk fails, or its application suspended it.
  bool may_fail(size_t i, Code code) const;
  bool expect_ok(const node::Event& done, std::string_view what);
  bool run_until(const std::function<bool()>& done, uint64_t timeout_us);

  // This must not be seen on a wire that is encrypted, in a log (in hexadecimal neither), or in clear on a disk.
  void add_canary(std::string name, Bytes bytes, bool on_disk);

 private:
  // An application's place on a machine; it outlives processes.
  struct Place {
    std::map<uint64_t, Then> pending;
    std::map<uint64_t, std::function<void(uint64_t)>> watches;
    bool was_up = false;
    uint64_t up_at_us = 0;  // when it starts again; 0: nobody knows yet
  };
  struct Canary {
    std::string name;
    Bytes bytes;
    std::string hex;
    bool on_disk = false;
  };

  bool set_up();
  bool start_machines();
  void disturb();
  bool settle();
  bool resume(size_t i);
  void check();
  void phase(const char* name);
  void look_after(size_t i);
  void look_after_all();
  void take_done(size_t i);
  void start(size_t i);
  bool close_all();
  enum class Seen : uint8_t { wire, log, disk };
  void watch_for_canaries();
  void check_rest(size_t i);
  void check_memory();
  void check_patience();
  void look_for_canaries(ByteView bytes, Seen seen, std::string_view where);
  void finish();

  const Plan& plan_;
  Chronicle* chronicle_;
  NodeWorkload& workload_;
  Outcome outcome_;
  SignatureMemo signatures_;
  World world_;
  NodeFaults faults_;
  std::vector<Place> places_;
  std::vector<Canary> canaries_;
};

template <class W>
Outcome run_nodes(const Plan& plan, Chronicle* chronicle) {
  W workload;
  return NodeRun(plan, chronicle, workload).run();
}

}  // namespace sereus::sim
