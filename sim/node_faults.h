// Applies a plan's faults to the machines and networks of a run, and takes them back when their time is over.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "sim/chronicle.h"
#include "sim/plan.h"
#include "sim/world.h"

namespace sereus::sim {

class NodeFaults {
 public:
  NodeFaults(const Plan& plan, World& world, Chronicle* chronicle);
  ~NodeFaults();
  NodeFaults(const NodeFaults&) = delete;
  NodeFaults& operator=(const NodeFaults&) = delete;

  // What holds from the beginning; before machines start.
  void apply_conditions();
  // The others happen from now on.
  void schedule();
  // Ends what still lasts. Conditions of paths stay.
  void heal();

  // How long a machine that went down by a fault stays down.
  uint64_t downtime_us(size_t machine) const { return downtime_us_[machine]; }
  // Whether its disk fails now: a node need not start on such a one.
  bool disk_fails(size_t machine) const;
  bool had_disk_faults(size_t machine) const { return had_disk_faults_.contains(machine); }
  // Whether memory was lacking before everything healed, on any machine: an answer may be late.
  bool memory_fails() const { return !healed_ && allocations_failed() > 0; }
  // How many allocations failed in this run.
  uint64_t allocations_failed() const;
  uint64_t happened() const { return happened_; }
  // The sum of all jumps of wall clocks: what is held may wait as long.
  uint64_t clock_jumps_us() const { return clock_jumps_us_; }
  // Called for faults that the application itself makes.
  std::function<void(const Fault& fault, bool begin)> on_application_fault;

 private:
  void begin(const Fault& fault);
  void end(const Fault& fault);
  void begin_machine(const Fault& fault);
  void change_paths(const Fault& fault, bool bad);
  void cut(size_t from, size_t to, bool cut);
  void change_jobs(const Fault& fault, bool bad);
  void change_disk(const Fault& fault, bool bad);
  void put_path_conditions();
  void put_behind_nat(const Fault& fault);
  void tell(const Fault& fault);
  bool lasts(const Fault& fault) const;

  const Plan& plan_;
  World& world_;
  Chronicle* chronicle_;
  bool healed_ = false;
  uint64_t happened_ = 0;
  uint64_t allocation_failures_before_ = 0;
  uint64_t clock_jumps_us_ = 0;
  std::vector<uint64_t> downtime_us_;
  std::map<std::pair<size_t, size_t>, int> cuts_;  // faults may overlap
  std::map<std::pair<size_t, size_t>, std::multiset<int64_t>> clogs_;
  std::vector<std::multiset<int64_t>> slow_jobs_;
  std::vector<std::map<FaultKind, std::multiset<int64_t>>> disk_;
  std::set<size_t> had_disk_faults_;
  std::set<size_t> behind_nat_;
};

}  // namespace sereus::sim
