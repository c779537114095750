// What goes wrong in a run, as data: each fault is drawn before the run begins, can be read in a schedule file, and can be left
// out when a failing run is made shorter.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sereus::sim {

// The names in schedule files are those of the enumerators (name_of).
enum class FaultKind : uint8_t {
  // ---- Machines ----
  power_cut,     // amount: after how many more disk operations (0: at once); down for `for_us`
  kill,          // the process dies, the system and its page cache live; down for `for_us`
  stop,          // the node closes in order; down for `for_us`
  offline,       // the node is told to be offline for `for_us`
  app_suspend,   // the application suspends the node for `for_us`
  freeze,        // the process stands still for `for_us`, clocks go on (SIGSTOP, a paging storm)
  sleep,         // the machine sleeps for `for_us`: only its wall clock goes on
  clock_jump,    // of the wall clock; amount: microseconds, either way
  clock_skew,    // from the beginning; amount: microseconds, either way
  clock_drift,   // from the beginning; amount: parts per million, either way, of both clocks
  slow_jobs,     // jobs take up to `amount` microseconds, for `for_us`
  narrow_queue,  // from the beginning; amount: how many events the application's queue takes
  no_memory,     // amount: which allocation from now on fails, on any machine; all after it do for `for_us`
  // ---- Disks ----
  disk_full,    // nothing more fits, for `for_us`
  disk_errors,  // amount: ppm of reads and syncs that fail (EIO), for `for_us`
  disk_slow,    // amount: microseconds that a sync takes, for `for_us`
  disk_lies,    // amount: ppm of syncs that say ok and do nothing, for `for_us`
  bit_rot,      // amount: how many bits of what is durable turn
  // ---- Paths between two machines; `other` is the second one ----
  cut,             // both directions, for `for_us`
  cut_one_way,     // from `machine` to `other`, for `for_us`
  isolate,         // `machine` from all others, for `for_us`
  partition,       // amount: a bit for each machine of one side, for `for_us`
  clog,            // both directions are slower by `amount` microseconds, for `for_us`
  reset_links,     // a middlebox resets the TCP connections between the two
  network_change,  // the machine's system says that its network is another
  // ---- NAT boxes ----
  nat,         // from the beginning: `machine` is behind a box; amount: NatKind
  nat_rebind,  // the box forgets its mappings; amount 1: and has another address
  // ---- What all paths do, from the beginning; amount: ppm unless said otherwise ----
  lost,
  duplicated,
  reordered,
  corrupted,
  truncated,
  marked,
  socket_full,
  mtu,         // amount: bytes
  rate,        // amount: bytes a second
  distance,    // amount: microseconds that a packet takes at least
  partial_io,  // TCP's reads and writes that do a part
  refused,     // TCP connections that are refused
  broken,      // pieces on whose way TCP connections are reset
};
inline constexpr size_t kFaultKinds = static_cast<size_t>(FaultKind::broken) + 1;

std::string_view name_of(FaultKind kind);
std::optional<FaultKind> fault_kind_of(std::string_view name);

// Those that hold from the beginning to the end.
bool holds_throughout(FaultKind kind);
// Those that are of all paths, and of no machine; they hold throughout.
bool is_of_all_paths(FaultKind kind);
// Those that lie between `machine` and `other`.
bool is_between_two(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::power_cut;
  uint64_t at_us = 0;  // after the set-up; faults "from the beginning" have 0
  uint64_t for_us = 0;
  size_t machine = 0;
  size_t other = 0;
  int64_t amount = 0;

  friend bool operator==(const Fault&, const Fault&) = default;
};

}  // namespace sereus::sim
