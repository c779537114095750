#include "sim/shrink.h"

#include <algorithm>

namespace sereus::sim {
namespace {

// Kinds with less of which less goes wrong.
bool has_strength(FaultKind kind) {
  switch (kind) {
    case FaultKind::clock_jump:
    case FaultKind::clock_skew:
    case FaultKind::clock_drift:
    case FaultKind::slow_jobs:
    case FaultKind::disk_errors:
    case FaultKind::disk_slow:
    case FaultKind::disk_lies:
    case FaultKind::bit_rot:
    case FaultKind::clog:
    case FaultKind::lost:
    case FaultKind::duplicated:
    case FaultKind::reordered:
    case FaultKind::corrupted:
    case FaultKind::truncated:
    case FaultKind::marked:
    case FaultKind::socket_full:
    case FaultKind::distance:
    case FaultKind::partial_io:
    case FaultKind::refused:
    case FaultKind::broken:
      return true;
    default:
      return false;
  }
}

// Durations and amounts below these are not worth a trial.
constexpr uint64_t kShortest = 100'000;
constexpr int64_t kMildest = 1;

Plan ending_at(const Plan& plan, uint64_t duration_us) {
  Plan shorter = plan;
  shorter.duration_us = duration_us;
  const auto later = [&](const auto& one) { return one.at_us >= duration_us; };
  std::erase_if(shorter.faults, later);
  std::erase_if(shorter.actions, later);
  return shorter;
}

}  // namespace

Plan without_last_machine(const Plan& plan) {
  Plan smaller = plan;
  smaller.nodes = plan.nodes - 1;
  const size_t gone = smaller.nodes;
  const int64_t all = gone >= 63 ? -1 : (int64_t{1} << gone) - 1;
  std::erase_if(smaller.actions, [&](const Action& action) { return action.machine >= gone; });
  for (Fault& fault : smaller.faults) {
    if (fault.kind == FaultKind::partition) fault.amount &= all;
  }
  std::erase_if(smaller.faults, [&](const Fault& fault) {
    // A partition with all of them on one side is none.
    if (fault.kind == FaultKind::partition) return fault.amount == 0 || fault.amount == all;
    return fault.machine >= gone || (is_between_two(fault.kind) && fault.other >= gone);
  });
  // `other` of a fault that needs none may still name it.
  for (Fault& fault : smaller.faults) {
    if (fault.other >= gone) fault.other = 0;
    if (fault.machine >= gone) fault.machine = 0;
  }
  return smaller;
}

void Shrinker::enter(const char* stage) {
  stage_ = stage;
  settings_.progress(*this);
}

bool Shrinker::may_go_on() {
  if (trials_ >= settings_.trials || settings_.out_of_time()) ended_early_ = true;
  return !ended_early_;
}

bool Shrinker::try_in_order(const std::vector<Plan>& plans, size_t& taken) {
  if (!may_go_on()) return false;
  trials_ += plans.size();
  const std::vector<bool> violate = violates_(plans);
  const auto found = std::find(violate.begin(), violate.end(), true);
  if (found != violate.end()) {
    taken = static_cast<size_t>(found - violate.begin());
    best_ = plans[taken];
  }
  settings_.progress(*this);
  return found != violate.end();
}

bool Shrinker::try_one(Plan plan) {
  size_t taken = 0;
  if (plan == best_) return false;
  return try_in_order({std::move(plan)}, taken);
}

// Delta debugging: first all, then halves, quarters and so on down to single items, until none of these can be left out.
template <typename Item>
bool Shrinker::leave_out(std::vector<Item> Plan::*items) {
  bool any = false;
  for (size_t size = (best_.*items).size(); size > 0;) {
    bool some = false;
    for (size_t at = 0; at < (best_.*items).size();) {
      std::vector<Plan> plans;
      plans.reserve(settings_.side_by_side);
      for (size_t from = at; plans.size() < settings_.side_by_side && from < (best_.*items).size(); from += size) {
        std::vector<Item> rest = best_.*items;
        const auto begin = rest.begin() + static_cast<ptrdiff_t>(from);
        rest.erase(begin, begin + static_cast<ptrdiff_t>(std::min(size, rest.size() - from)));
        plans.push_back(best_);
        plans.back().*items = std::move(rest);
      }
      size_t taken = 0;
      const bool found = try_in_order(plans, taken);
      if (ended_early_) return any || found;
      some |= found;
      // After one was left out its place is that of the next.
      at += size * (found ? taken : plans.size());
    }
    any |= some;
    const size_t left = (best_.*items).size();
    if (left == 0) break;
    if (size > 1) {
      size = std::min((size + 1) / 2, left);
    } else if (!some) {
      break;
    }
  }
  return any;
}

bool Shrinker::make_faults_milder() {
  bool any = false;
  for (size_t i = 0; i < best_.faults.size(); ++i) {
    while (best_.faults[i].for_us / 2 >= kShortest) {
      Plan milder = best_;
      milder.faults[i].for_us /= 2;
      if (!try_one(std::move(milder))) break;
      any = true;
    }
    while (has_strength(best_.faults[i].kind) &&
           (best_.faults[i].amount > kMildest || best_.faults[i].amount < -kMildest)) {
      Plan milder = best_;
      milder.faults[i].amount /= 2;
      if (!try_one(std::move(milder))) break;
      any = true;
    }
  }
  return any;
}

bool Shrinker::leave_out_nodes() {
  bool any = false;
  while (best_.nodes > settings_.nodes_min && try_one(without_last_machine(best_))) any = true;
  return any;
}

bool Shrinker::make_shorter() {
  bool any = false;
  for (uint64_t keep : {2, 3, 7}) {  // 2/4, 3/4, 7/8
    const uint64_t of = keep == 7 ? 8 : 4;
    while (best_.duration_us > 1'000'000 && try_one(ending_at(best_, best_.duration_us / of * keep))) any = true;
  }
  return any;
}

Plan Shrinker::shrink(Plan plan) {
  best_ = std::move(plan);
  trials_ = 0;
  ended_early_ = false;
  // What was needed together with something may not be needed without it: again, until nothing goes.
  for (bool some = true; some && !ended_early_;) {
    some = false;
    enter("faults");
    some |= leave_out(&Plan::faults);
    enter("strengths");
    some |= make_faults_milder();
    enter("nodes");
    some |= leave_out_nodes();
    enter("actions");
    some |= leave_out(&Plan::actions);
    enter("duration");
    some |= make_shorter();
  }
  return best_;
}

}  // namespace sereus::sim
