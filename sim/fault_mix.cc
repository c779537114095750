#include "sim/fault_mix.h"

#include <algorithm>
#include <bit>

namespace sereus::sim {
namespace {

constexpr uint64_t kMilliUs = 1'000;
constexpr uint64_t kSecondUs = 1'000'000;
constexpr uint64_t kMinuteUs = 60 * kSecondUs;
constexpr uint64_t kHourUs = 3'600 * kSecondUs;

constexpr FaultKind kSurvivable[] = {
    FaultKind::power_cut,   FaultKind::kill,           FaultKind::stop,        FaultKind::offline,
    FaultKind::app_suspend, FaultKind::freeze,         FaultKind::sleep,       FaultKind::clock_jump,
    FaultKind::clock_skew,  FaultKind::clock_drift,    FaultKind::slow_jobs,   FaultKind::narrow_queue,
    FaultKind::disk_full,   FaultKind::disk_errors,    FaultKind::disk_slow,   FaultKind::cut,
    FaultKind::cut_one_way, FaultKind::isolate,        FaultKind::partition,   FaultKind::clog,
    FaultKind::reset_links, FaultKind::network_change, FaultKind::nat,         FaultKind::nat_rebind,
    FaultKind::lost,        FaultKind::duplicated,     FaultKind::reordered,   FaultKind::corrupted,
    FaultKind::truncated,   FaultKind::marked,         FaultKind::socket_full, FaultKind::mtu,
    FaultKind::rate,        FaultKind::distance,       FaultKind::partial_io,  FaultKind::refused,
    FaultKind::broken,      FaultKind::no_memory,
};

bool is_of_packets(FaultKind kind) {
  switch (kind) {
    case FaultKind::reset_links:
    case FaultKind::network_change:
    case FaultKind::nat_rebind:
    case FaultKind::distance:
      return true;
    default:
      return is_of_all_paths(kind);
  }
}

int64_t either_way(SimRandom& random, uint64_t magnitude) {
  const auto amount = static_cast<int64_t>(magnitude);
  return random.chance(50) ? amount : -amount;
}

// How long a fault of this kind lasts.
uint64_t draw_length(SimRandom& random, FaultKind kind) {
  switch (kind) {
    case FaultKind::power_cut:
    case FaultKind::kill:
    case FaultKind::stop:
      return random.chance(10) ? draw_scale(random, 10 * kSecondUs, 120 * kSecondUs) : random.below(5 * kSecondUs);
    case FaultKind::sleep:
      return draw_scale(random, kSecondUs, 120 * kSecondUs);
    case FaultKind::freeze:
      return draw_scale(random, 10 * kMilliUs, 20 * kSecondUs);
    case FaultKind::clock_jump:
    case FaultKind::bit_rot:
    case FaultKind::reset_links:
    case FaultKind::network_change:
    case FaultKind::nat_rebind:
      return 0;
    case FaultKind::cut:
    case FaultKind::isolate:
    case FaultKind::partition:
      if (random.chance(10)) return draw_scale(random, 20 * kSecondUs, 120 * kSecondUs);
      return draw_scale(random, 10 * kMilliUs, 10 * kSecondUs);
    case FaultKind::no_memory:
      return random.chance(75) ? 0 : draw_scale(random, kMilliUs, 200 * kMilliUs);
    default:
      return draw_scale(random, 10 * kMilliUs, 10 * kSecondUs);
  }
}

int64_t draw_amount(SimRandom& random, FaultKind kind, size_t nodes) {
  const auto rate = [&](uint64_t bad) { return static_cast<int64_t>(draw_scale(random, bad / 100, bad)); };
  switch (kind) {
    case FaultKind::power_cut:
      return random.chance(40) ? 0 : static_cast<int64_t>(random.between(1, 40));
    case FaultKind::clock_jump:
      // A third by minutes: entries more than five minutes ahead are held.
      if (random.chance(33)) return either_way(random, random.between(6 * kMinuteUs, 20 * kMinuteUs));
      return either_way(random, draw_scale(random, kMilliUs, kHourUs));
    case FaultKind::clock_skew:
      return either_way(random, draw_scale(random, kMilliUs, 120 * kSecondUs));
    case FaultKind::clock_drift:
      return either_way(random, random.between(1, 200));
    case FaultKind::slow_jobs:
      return static_cast<int64_t>(draw_scale(random, 5 * kMilliUs, 500 * kMilliUs));
    case FaultKind::narrow_queue:
      return static_cast<int64_t>(draw_scale(random, 4, 64));
    case FaultKind::disk_errors:
      return rate(200'000);
    case FaultKind::disk_lies:
      return rate(1'000'000);
    case FaultKind::disk_slow:
      return static_cast<int64_t>(draw_scale(random, kMilliUs, 300 * kMilliUs));
    case FaultKind::bit_rot:
      return static_cast<int64_t>(random.between(1, 8));
    case FaultKind::partition:
      return static_cast<int64_t>(random.between(1, (uint64_t{1} << std::min<size_t>(nodes, 62)) - 2));
    case FaultKind::clog:
      return static_cast<int64_t>(draw_scale(random, 10 * kMilliUs, 2 * kSecondUs));
    case FaultKind::nat:
      return static_cast<int64_t>(random.below(5));
    case FaultKind::nat_rebind:
      return static_cast<int64_t>(random.below(2));
    case FaultKind::no_memory:
      return static_cast<int64_t>(draw_scale(random, 1, 2'000));
    case FaultKind::mtu:
      return static_cast<int64_t>(random.between(1'200, 1'500));  // QUIC works from 1200 on (RFC 9000 section 14)
    case FaultKind::rate:
      return static_cast<int64_t>(draw_scale(random, 100'000, 5'000'000));
    case FaultKind::distance:
      return static_cast<int64_t>(draw_scale(random, kMilliUs, 250 * kMilliUs));
    case FaultKind::lost:
      return rate(200'000);
    case FaultKind::reordered:
      return rate(300'000);
    case FaultKind::duplicated:
    case FaultKind::marked:
      return rate(100'000);
    case FaultKind::corrupted:
    case FaultKind::truncated:
    case FaultKind::socket_full:
      return rate(40'000);
    case FaultKind::partial_io:
      return rate(500'000);
    case FaultKind::refused:
      return rate(200'000);
    case FaultKind::broken:
      return rate(5'000);
    default:
      return 0;
  }
}

Fault draw_fault(SimRandom& random, const Plan& plan, FaultKind kind) {
  Fault fault;
  fault.kind = kind;
  fault.at_us = holds_throughout(kind) ? 0 : random.below(plan.duration_us + 1);
  fault.for_us = holds_throughout(kind) ? 0 : draw_length(random, kind);
  fault.machine = random.below(plan.nodes);
  if (is_between_two(kind)) fault.other = (fault.machine + 1 + random.below(plan.nodes - 1)) % plan.nodes;
  fault.amount = draw_amount(random, kind, plan.nodes);
  return fault;
}

void draw_kind(SimRandom& random, Plan& plan, FaultKind kind) {
  if (is_of_all_paths(kind)) {
    plan.faults.push_back(draw_fault(random, plan, kind));  // one for all paths
    return;
  }
  if (holds_throughout(kind)) {
    // The first machine is where everybody can reach it.
    for (size_t i = kind == FaultKind::nat ? 1 : 0; i < plan.nodes; ++i) {
      if (!random.chance(50)) continue;
      Fault fault = draw_fault(random, plan, kind);
      fault.machine = i;
      plan.faults.push_back(fault);
    }
    return;
  }
  // Up to one in two seconds for the whole run, whatever its length: down to one in all.
  const uint64_t most = std::max<uint64_t>(1, plan.duration_us / (2 * kSecondUs));
  for (uint64_t n = draw_scale(random, 1, most); n > 0; --n) plan.faults.push_back(draw_fault(random, plan, kind));
}

}  // namespace

uint64_t draw_scale(SimRandom& random, uint64_t low, uint64_t high) {
  low = std::max<uint64_t>(low, 1);
  if (high <= low) return low;
  // A power of two first, so that no floating point is needed: the same on every machine.
  const uint64_t octaves = static_cast<uint64_t>(std::bit_width(high / low));
  const uint64_t from = low << random.below(octaves);
  return std::min(high, random.between(from, from * 2));
}

std::span<const FaultKind> all_survivable_faults() { return kSurvivable; }

void draw_faults(SimRandom& random, Plan& plan, std::span<const FaultKind> kinds) {
  // One run in eight is calm: what fails there needs no fault at all.
  if (random.below(8) == 0) return;
  const auto chosen = static_cast<uint32_t>(random.between(5, 60));
  for (const FaultKind kind : kinds) {
    // Drawn first, so that a kind more or less in one place does not move the others.
    SimRandom own = random.fork(name_of(kind));
    if (!own.chance(chosen)) continue;
    if (plan.transport == Transport::stream && is_of_packets(kind) && kind != FaultKind::distance) continue;
    if (plan.nodes < 2 && (is_between_two(kind) || kind == FaultKind::partition || kind == FaultKind::isolate))
      continue;
    draw_kind(own, plan, kind);
  }
}

}  // namespace sereus::sim
