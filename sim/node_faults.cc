#include "sim/node_faults.h"

#include <algorithm>

#include "sim/allocation_faults.h"
#include "sim/describe.h"

namespace sereus::sim {
namespace {

// Faults of a kind may overlap: adds one or takes one away, and gives the worst that is left; 0 for none.
uint64_t worst_of(std::multiset<int64_t>& amounts, int64_t amount, bool begins) {
  if (begins) {
    amounts.insert(amount);
  } else if (const auto found = amounts.find(amount); found != amounts.end()) {
    amounts.erase(found);
  }
  return amounts.empty() ? 0 : static_cast<uint64_t>(*amounts.rbegin());
}

}  // namespace
NodeFaults::NodeFaults(const Plan& plan, World& world, Chronicle* chronicle)
    : plan_(plan),
      world_(world),
      chronicle_(chronicle),
      downtime_us_(plan.nodes),
      slow_jobs_(plan.nodes),
      disk_(plan.nodes) {
  allocation_failures_before_ = AllocationFaults::failures();
}

NodeFaults::~NodeFaults() { AllocationFaults::off(); }

// ---- From the beginning -----------------------------------------------------------------------------------------------

void NodeFaults::apply_conditions() {
  for (const Fault& fault : plan_.faults) {
    SimMachine& machine = *world_.machines[fault.machine];
    if (holds_throughout(fault.kind)) ++happened_;
    if (fault.kind == FaultKind::clock_skew) machine.wall_offset_us += fault.amount;
    if (fault.kind == FaultKind::clock_drift) machine.drift_ppm += static_cast<int32_t>(fault.amount);
    if (fault.kind == FaultKind::narrow_queue) machine.queue_room = static_cast<size_t>(fault.amount);
    if (fault.kind == FaultKind::nat) put_behind_nat(fault);
  }
  put_path_conditions();
}

// Machines with boxes of the same kind share one in some runs: a household.
void NodeFaults::put_behind_nat(const Fault& fault) {
  const size_t kind = static_cast<size_t>(fault.amount) % kNatKinds;
  if (behind_nat_.contains(fault.machine)) return;
  std::set<size_t> household = {fault.machine};
  SimRandom random(plan_.seed * kNatKinds + kind);
  if (random.chance(50)) {
    for (const Fault& other : plan_.faults) {
      if (other.kind == FaultKind::nat && other.amount == fault.amount) household.insert(other.machine);
    }
  }
  behind_nat_.insert(household.begin(), household.end());
  world_.network.put_behind_nat(household, NatSettings::draw(random, static_cast<NatKind>(kind)));
}

void NodeFaults::put_path_conditions() {
  DatagramConditions packets;
  LinkConditions links;
  for (const Fault& fault : plan_.faults) {
    const auto ppm = static_cast<uint32_t>(fault.amount);
    const auto amount = static_cast<uint64_t>(fault.amount);
    switch (fault.kind) {
      case FaultKind::lost:
        packets.lost = ppm;
        break;
      case FaultKind::duplicated:
        packets.duplicated = ppm;
        break;
      case FaultKind::reordered:
        packets.reordered = ppm;
        packets.reorder_us = 80'000;
        break;
      case FaultKind::corrupted:
        packets.corrupted = ppm;
        break;
      case FaultKind::truncated:
        packets.truncated = ppm;
        break;
      case FaultKind::marked:
        packets.marked = ppm;
        break;
      case FaultKind::socket_full:
        packets.refused = ppm;
        break;
      case FaultKind::mtu:
        packets.mtu = amount;
        break;
      case FaultKind::rate:
        packets.bytes_per_s = amount;
        packets.queue_bytes = std::max<size_t>(20'000, amount / 10);  // a tenth of a second
        break;
      case FaultKind::distance:
        packets.delay_min_us = links.delay_min_us = amount;
        packets.delay_max_us = links.delay_max_us = amount + amount / 4 + 5'000;
        world_.network.stream.set_delay(amount, amount + amount / 4 + 5'000);
        break;
      case FaultKind::partial_io:
        links.partial_writes = links.partial_reads = ppm;
        links.piece_max = 3'000;
        break;
      case FaultKind::refused:
        links.refused = ppm;
        break;
      case FaultKind::broken:
        links.broken = ppm;
        break;
      default:
        break;
    }
  }
  world_.network.datagrams.set_conditions(packets);
  world_.network.links.set_conditions(links);
}

// ---- In time ------------------------------------------------------------------------------------------------------------

void NodeFaults::schedule() {
  const uint64_t begin_us = world_.scheduler.now_us();
  for (const Fault& fault : plan_.faults) {
    if (holds_throughout(fault.kind)) continue;
    world_.scheduler.at(begin_us + fault.at_us, [this, &fault] {
      if (healed_) return;
      begin(fault);
    });
    if (!lasts(fault)) continue;
    world_.scheduler.at(begin_us + fault.at_us + fault.for_us, [this, &fault] {
      if (!healed_) end(fault);
    });
  }
}

// Those that are taken back by end(); machines that are down come up by themselves.
bool NodeFaults::lasts(const Fault& fault) const {
  switch (fault.kind) {
    case FaultKind::no_memory:
      return fault.for_us > 0;
    case FaultKind::offline:
    case FaultKind::app_suspend:
    case FaultKind::slow_jobs:
    case FaultKind::disk_full:
    case FaultKind::disk_errors:
    case FaultKind::disk_slow:
    case FaultKind::disk_lies:
    case FaultKind::cut:
    case FaultKind::cut_one_way:
    case FaultKind::isolate:
    case FaultKind::partition:
    case FaultKind::clog:
      return true;
    default:
      return false;
  }
}

void NodeFaults::begin(const Fault& fault) {
  ++happened_;
  tell(fault);
  switch (fault.kind) {
    case FaultKind::offline:
    case FaultKind::app_suspend:
      if (on_application_fault) on_application_fault(fault, true);
      break;
    case FaultKind::disk_full:
    case FaultKind::disk_errors:
    case FaultKind::disk_slow:
    case FaultKind::disk_lies:
      change_disk(fault, true);
      break;
    case FaultKind::cut:
    case FaultKind::cut_one_way:
    case FaultKind::isolate:
    case FaultKind::partition:
    case FaultKind::clog:
      change_paths(fault, true);
      break;
    case FaultKind::no_memory:
      AllocationFaults::fail_nth(static_cast<uint64_t>(std::max<int64_t>(fault.amount, 1)),
                                 fault.for_us > 0 ? UINT64_MAX : 1);
      break;
    case FaultKind::reset_links:
      world_.network.break_links(fault.machine, fault.other);
      break;
    case FaultKind::nat_rebind:
      world_.network.rebind(fault.machine, fault.amount != 0);
      break;
    default:
      begin_machine(fault);
  }
}

void NodeFaults::begin_machine(const Fault& fault) {
  SimMachine& machine = *world_.machines[fault.machine];
  switch (fault.kind) {
    case FaultKind::power_cut:
      downtime_us_[fault.machine] = fault.for_us;
      if (!machine.running()) break;
      if (fault.amount == 0) {
        machine.lose_power();
      } else {
        machine.disk().crash_at(machine.disk().operations() + static_cast<uint64_t>(fault.amount));
      }
      break;
    case FaultKind::kill:
      downtime_us_[fault.machine] = fault.for_us;
      if (machine.running()) machine.kill();
      break;
    case FaultKind::stop:
      downtime_us_[fault.machine] = fault.for_us;
      if (machine.running()) machine.stop();
      break;
    case FaultKind::freeze:
      machine.freeze(fault.for_us);
      break;
    case FaultKind::sleep:
      machine.sleep(fault.for_us);
      break;
    case FaultKind::bit_rot:
      machine.disk().rot(static_cast<uint64_t>(fault.amount));
      break;
    case FaultKind::clock_jump:
      machine.wall_offset_us += fault.amount;
      clock_jumps_us_ += static_cast<uint64_t>(std::abs(fault.amount));
      break;
    case FaultKind::slow_jobs:
      change_jobs(fault, true);
      break;
    case FaultKind::network_change:
      machine.change_network();
      break;
    default:
      break;
  }
}

void NodeFaults::end(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::offline:
    case FaultKind::app_suspend:
      if (on_application_fault) on_application_fault(fault, false);
      break;
    case FaultKind::no_memory:
      AllocationFaults::off();
      break;
    case FaultKind::slow_jobs:
      change_jobs(fault, false);
      break;
    case FaultKind::disk_full:
    case FaultKind::disk_errors:
    case FaultKind::disk_slow:
    case FaultKind::disk_lies:
      change_disk(fault, false);
      break;
    default:
      change_paths(fault, false);
  }
}

// ---- Paths --------------------------------------------------------------------------------------------------------------

void NodeFaults::cut(size_t from, size_t to, bool cut) {
  if (from == to) return;
  int& count = cuts_[{from, to}];
  count += cut ? 1 : -1;
  world_.network.cut_one_way(from, to, count > 0);
}

void NodeFaults::change_paths(const Fault& fault, bool bad) {
  const size_t count = world_.machines.size();
  switch (fault.kind) {
    case FaultKind::cut:
      cut(fault.machine, fault.other, bad);
      cut(fault.other, fault.machine, bad);
      break;
    case FaultKind::cut_one_way:
      cut(fault.machine, fault.other, bad);
      break;
    case FaultKind::isolate:
      for (size_t other = 0; other < count; ++other) {
        cut(fault.machine, other, bad);
        cut(other, fault.machine, bad);
      }
      break;
    case FaultKind::partition:
      for (size_t a = 0; a < count; ++a) {
        for (size_t b = 0; b < count; ++b) {
          const bool one_side =
              ((fault.amount >> std::min<size_t>(a, 62)) & 1) == ((fault.amount >> std::min<size_t>(b, 62)) & 1);
          if (!one_side) cut(a, b, bad);
        }
      }
      break;
    case FaultKind::clog:
      world_.network.topology.clog(fault.machine, fault.other,
                                   worst_of(clogs_[std::minmax(fault.machine, fault.other)], fault.amount, bad));
      break;
    default:
      break;
  }
}

// ---- Memory -------------------------------------------------------------------------------------------------------------

uint64_t NodeFaults::allocations_failed() const { return AllocationFaults::failures() - allocation_failures_before_; }

// ---- Disks --------------------------------------------------------------------------------------------------------------

bool NodeFaults::disk_fails(size_t machine) const {
  const auto& now = disk_[machine];
  return now.contains(FaultKind::disk_full) || now.contains(FaultKind::disk_errors);
}

void NodeFaults::change_jobs(const Fault& fault, bool bad) {
  const uint64_t worst = worst_of(slow_jobs_[fault.machine], fault.amount, bad);
  world_.machines[fault.machine]->jobs().set_delay_max_us(worst == 0 ? SimJobs::kDelayMaxUs : worst);
}

void NodeFaults::change_disk(const Fault& fault, bool bad) {
  auto& now = disk_[fault.machine];
  had_disk_faults_.insert(fault.machine);
  std::multiset<int64_t>& of_kind = now[fault.kind];
  (void)worst_of(of_kind, fault.amount, bad);
  if (of_kind.empty()) now.erase(fault.kind);
  const auto worst = [&now](FaultKind kind) {
    const auto found = now.find(kind);
    return found == now.end() ? int64_t{0} : *found->second.rbegin();
  };
  DiskFaults faults;
  faults.sync_failed_ppm = faults.read_failed_ppm = static_cast<uint32_t>(worst(FaultKind::disk_errors));
  faults.sync_lost_ppm = static_cast<uint32_t>(worst(FaultKind::disk_lies));
  faults.sync_us = static_cast<uint64_t>(worst(FaultKind::disk_slow));
  faults.full = now.contains(FaultKind::disk_full);
  world_.machines[fault.machine]->disk().set_faults(faults);
}

// ---- Afterwards -----------------------------------------------------------------------------------------------------------

void NodeFaults::heal() {
  healed_ = true;
  AllocationFaults::off();
  cuts_.clear();
  clogs_.clear();
  world_.network.heal_all();
  for (size_t i = 0; i < world_.machines.size(); ++i) {
    SimMachine& machine = *world_.machines[i];
    machine.go_on();
    machine.disk().crash_at(0);
    machine.disk().set_faults({});
    machine.jobs().set_delay_max_us(SimJobs::kDelayMaxUs);
    disk_[i].clear();
    slow_jobs_[i].clear();
    downtime_us_[i] = 0;
  }
}

void NodeFaults::tell(const Fault& fault) {
  if (chronicle_ == nullptr) return;
  Chronicle::Note note;
  note.kind = Chronicle::Kind::fault;
  note.at_us = world_.scheduler.now_us();
  note.until_us = note.at_us + fault.for_us;
  const bool of_all =
      fault.kind == FaultKind::partition || fault.kind == FaultKind::no_memory || is_of_all_paths(fault.kind);
  if (!of_all) note.machine = fault.machine;
  if (is_between_two(fault.kind)) note.other = fault.other;
  note.text = short_words(fault);
  chronicle_->add(std::move(note));
}

}  // namespace sereus::sim
