#include "sim/fault.h"

#include <array>

namespace sereus::sim {
namespace {

constexpr std::array<std::string_view, kFaultKinds> kNames = {
    "power_cut",   "kill",       "stop",        "offline",        "app_suspend",  "freeze",      "sleep",
    "clock_jump",  "clock_skew", "clock_drift", "slow_jobs",      "narrow_queue", "no_memory",   "disk_full",
    "disk_errors", "disk_slow",  "disk_lies",   "bit_rot",        "cut",          "cut_one_way", "isolate",
    "partition",   "clog",       "reset_links", "network_change", "nat",          "nat_rebind",  "lost",
    "duplicated",  "reordered",  "corrupted",   "truncated",      "marked",       "socket_full", "mtu",
    "rate",        "distance",   "partial_io",  "refused",        "broken",
};

}  // namespace

std::string_view name_of(FaultKind kind) { return kNames[static_cast<size_t>(kind)]; }

std::optional<FaultKind> fault_kind_of(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<FaultKind>(i);
  }
  return std::nullopt;
}

bool is_of_all_paths(FaultKind kind) { return kind >= FaultKind::lost; }

bool holds_throughout(FaultKind kind) {
  return is_of_all_paths(kind) || kind == FaultKind::clock_skew || kind == FaultKind::clock_drift ||
         kind == FaultKind::narrow_queue || kind == FaultKind::nat;
}

bool is_between_two(FaultKind kind) {
  return kind == FaultKind::cut || kind == FaultKind::cut_one_way || kind == FaultKind::clog ||
         kind == FaultKind::reset_links;
}

}  // namespace sereus::sim
