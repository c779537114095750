#include "sim/describe.h"

#include <cstdio>

namespace sereus::sim {
namespace {

std::string decimal(double value, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof text, "%.3f", value);
  std::string trimmed = text;
  while (trimmed.back() == '0') trimmed.pop_back();
  if (trimmed.back() == '.') trimmed.pop_back();
  return trimmed + " " + unit;
}

std::string two(uint64_t many, const char* unit, uint64_t few, const char* small) {
  std::string text = std::to_string(many) + " " + unit;
  if (few != 0) text += " " + std::to_string(few) + " " + small;
  return text;
}

std::string either_way(int64_t us) {
  std::string text = us < 0 ? "-" : "";
  text += duration_in_words(us < 0 ? 0 - static_cast<uint64_t>(us) : static_cast<uint64_t>(us));
  return text;
}

std::string times(int64_t amount, const char* what) { return std::to_string(amount) + " " + what; }
std::string ppm(int64_t amount) { return decimal(static_cast<double>(amount) / 10'000, "%"); }

std::string side_of(int64_t bits) {
  std::string side;
  for (size_t machine = 0; machine < 63; ++machine) {
    if ((bits >> machine & 1) != 0) side += (side.empty() ? "" : " ") + std::to_string(machine);
  }
  return side + " from the others";
}

// What `amount` says.
std::string amount_of(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::power_cut:
      return fault.amount == 0 ? "at once" : "after " + times(fault.amount, "disk operations");
    case FaultKind::clock_jump:
    case FaultKind::clock_skew:
    case FaultKind::slow_jobs:
    case FaultKind::disk_slow:
    case FaultKind::clog:
    case FaultKind::distance:
      return either_way(fault.amount);
    case FaultKind::clock_drift:
      return times(fault.amount, "ppm");
    case FaultKind::narrow_queue:
      return times(fault.amount, "events");
    case FaultKind::no_memory:
      return "allocation " + std::to_string(fault.amount);
    case FaultKind::bit_rot:
      return times(fault.amount, "bits");
    case FaultKind::partition:
      return side_of(fault.amount);
    case FaultKind::nat:
      return "kind " + std::to_string(fault.amount);
    case FaultKind::nat_rebind:
      return fault.amount == 0 ? "another port" : "another address";
    case FaultKind::mtu:
      return times(fault.amount, "bytes");
    case FaultKind::rate:
      return times(fault.amount, "bytes a second");
    case FaultKind::disk_errors:
    case FaultKind::disk_lies:
    case FaultKind::lost:
    case FaultKind::duplicated:
    case FaultKind::reordered:
    case FaultKind::corrupted:
    case FaultKind::truncated:
    case FaultKind::marked:
    case FaultKind::socket_full:
    case FaultKind::partial_io:
    case FaultKind::refused:
    case FaultKind::broken:
      return ppm(fault.amount);
    default:
      return {};
  }
}

std::string place_of(const Fault& fault) {
  if (is_of_all_paths(fault.kind)) return "all paths";
  if (fault.kind == FaultKind::partition || fault.kind == FaultKind::no_memory) return {};
  std::string machine = "machine " + std::to_string(fault.machine);
  switch (fault.kind) {
    case FaultKind::cut:
    case FaultKind::clog:
    case FaultKind::reset_links:
      return "machines " + std::to_string(fault.machine) + " and " + std::to_string(fault.other);
    case FaultKind::cut_one_way:
      return machine + " to " + std::to_string(fault.other);
    default:
      return machine;
  }
}

}  // namespace

std::string duration_in_words(uint64_t us) {
  if (us < 1000) return std::to_string(us) + " us";
  if (us < 1'000'000) return decimal(static_cast<double>(us) / 1e3, "ms");
  if (us < 60'000'000) return decimal(static_cast<double>(us) / 1e6, "s");
  const uint64_t seconds = us / 1'000'000;
  if (seconds < 3600) return two(seconds / 60, "min", seconds % 60, "s");
  return two(seconds / 3600, "h", seconds % 3600 / 60, "min");
}

std::string grouped(uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string short_words(const Fault& fault) {
  std::string text(name_of(fault.kind));
  if (const std::string amount = amount_of(fault); !amount.empty()) text += ", " + amount;
  return text;
}

std::string in_words(const Fault& fault) {
  const bool from_the_beginning = fault.at_us == 0 && fault.for_us == 0;
  std::string text = from_the_beginning ? "all the time" : "at " + duration_in_words(fault.at_us);
  if (const std::string place = place_of(fault); !place.empty()) text += ", " + place;
  text += ": " + short_words(fault);
  if (fault.for_us != 0) text += ", for " + duration_in_words(fault.for_us);
  return text;
}

std::string in_words(const Plan& plan) {
  std::string text = "seed " + std::to_string(plan.seed) + ": " + plan.workload + ", " + std::to_string(plan.nodes) +
                     " machines on " + std::string(name_of(plan.transport)) + ", " +
                     duration_in_words(plan.duration_us) + ", " + std::to_string(plan.actions.size()) + " actions, " +
                     std::to_string(plan.faults.size()) + " faults\n";
  if (!plan.knobs.empty()) {
    text += "  knobs:";
    const char* between = " ";
    for (const auto& [name, value] : plan.knobs) {
      text += between + name + " " + std::to_string(value);
      between = ", ";
    }
    text += "\n";
  }
  for (const Fault& fault : plan.faults) text += "  " + in_words(fault) + "\n";
  return text;
}

}  // namespace sereus::sim
