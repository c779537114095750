// Makes a plan that violates an oracle smaller: what is left is what the violation needs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sim/plan.h"

namespace sereus::sim {

class Shrinker {
 public:
  struct Settings {
    size_t side_by_side = 1;  // plans of one call of Violates
    size_t trials = 2000;     // at most, in all
    size_t nodes_min = 1;     // of the workload
    // Asked before each call of Violates.
    std::function<bool()> out_of_time = [] { return false; };
    std::function<void(const Shrinker&)> progress = [](const Shrinker&) {};
  };
  // For each plan whether the same oracle is still violated.
  using Violates = std::function<std::vector<bool>(const std::vector<Plan>& plans)>;

  Shrinker(Settings settings, Violates violates) : settings_(std::move(settings)), violates_(std::move(violates)) {}

  // `plan` violates. The result is a plan for which Violates was true, or `plan` itself.
  Plan shrink(Plan plan);

  const Plan& best() const { return best_; }
  size_t trials() const { return trials_; }
  // What is being left out: "faults", "nodes", "actions", ...
  const std::string& stage() const { return stage_; }
  // Whether trials or time ended it before nothing more could be left out.
  bool ended_early() const { return ended_early_; }

 private:
  bool may_go_on();
  // The first of `plans` that violates becomes the best one; false: none does, or it is over.
  bool try_in_order(const std::vector<Plan>& plans, size_t& taken);
  bool try_one(Plan plan);
  template <typename Item>
  bool leave_out(std::vector<Item> Plan::*items);
  bool make_faults_milder();
  bool leave_out_nodes();
  bool make_shorter();
  void enter(const char* stage);

  Settings settings_;
  Violates violates_;
  Plan best_;
  size_t trials_ = 0;
  std::string stage_;
  bool ended_early_ = false;
};

// `plan` without its highest machine, what it does and what befalls it.
Plan without_last_machine(const Plan& plan);

}  // namespace sereus::sim
