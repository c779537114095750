// Where machines are and what lies between them: their addresses, NAT boxes, who is cut off from whom, and which of them have
// power, sleep or stand still. All networks ask here, so that a cut is one for all of them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/ports/datagram.h"
#include "sim/nat.h"

namespace sereus::sim {

class Topology {
 public:
  // ---- The public internet of a run ---------------------------------------------------------------------------------
  // Machine n is 10.0.0.n+1 and fd00::n+1.
  static IpEndpoint v4(size_t machine, uint16_t port = 0);
  static IpEndpoint v6(size_t machine, uint16_t port = 0);
  static IpEndpoint address(size_t machine, bool is_v6, uint16_t port) {
    return is_v6 ? v6(machine, port) : v4(machine, port);
  }
  // The machine with this address, whatever the port; also one that does not exist.
  static std::optional<size_t> machine_at(const IpEndpoint& endpoint);

  // ---- Local networks behind boxes ----------------------------------------------------------------------------------
  // Machine n behind box b is 192.168.b+1.n+1 and fd03::b+1:n+1, and nothing else; the box is 10.2.b+1.1 and fd02::b+1:1, and
  // translates IPv6 as well, so that a run's family and its boxes are drawn apart. Before the machines start.
  static constexpr size_t kBoxesMax = 250;
  size_t put_behind_nat(const std::set<size_t>& machines, const NatSettings& settings, SimRandom random);
  NatBox* box_of(size_t machine) const;              // null: on the public internet
  NatBox* box_at(const IpEndpoint& endpoint) const;  // with this outside address
  // The machines of a box, in order.
  std::vector<size_t> inside(const NatBox& box) const;

  // What a machine's own interfaces have.
  IpEndpoint interface_address(size_t machine, bool is_v6, uint16_t port) const;
  std::vector<IpEndpoint> interface_addresses(size_t machine) const;
  // Whose interface has this address.
  std::optional<size_t> owner(const IpEndpoint& endpoint) const;
  // Whether `to`'s interface addresses can be reached from there; a box can be in the way.
  bool routes(size_t from, size_t to) const;

  // ---- Cuts ---------------------------------------------------------------------------------------------------------
  // Nothing gets from one to the other; the way back is open unless it is cut as well.
  void cut_one_way(size_t from, size_t to, bool cut);
  void cut(size_t a, size_t b, bool cut);
  // Cuts (or joins) all that lies between `side` and the other machines, of which there are `count` together.
  void partition(const std::set<size_t>& side, size_t count, bool cut = true);
  bool is_cut(size_t from, size_t to) const { return cuts_.contains({from, to}); }
  // Everything between the two takes so much longer, in both directions; 0: not any more.
  void clog(size_t a, size_t b, uint64_t extra_us);
  uint64_t extra_us(size_t from, size_t to) const;
  // No cuts and no clogs any more.
  void heal_all();

  // ---- Machines that do not answer ----------------------------------------------------------------------------------
  // A machine without power is silent. One with power answers for programs that are not there: with a reset, or with
  // "port unreachable".
  void set_powered(size_t machine, bool powered);
  bool powered(size_t machine) const { return !dark_.contains(machine); }
  // A machine that sleeps is silent as well, and remembers everything.
  void set_asleep(size_t machine, bool asleep);
  bool asleep(size_t machine) const { return asleep_.contains(machine); }
  bool answers(size_t machine) const { return powered(machine) && !asleep(machine); }

  // ---- Processes that stand still -----------------------------------------------------------------------------------
  // What is for the process of a halted machine waits, and happens in order when it goes on.
  void halt(size_t machine) { (void)waiting_[machine]; }
  bool halted(size_t machine) const { return !waiting_.empty() && waiting_.contains(machine); }
  void go_on(size_t machine);
  // Precondition: the machine is halted.
  void wait(size_t machine, std::function<void()> what) { waiting_.at(machine).push_back(std::move(what)); }

 private:
  struct Local {
    std::unique_ptr<NatBox> box;
    std::set<size_t> machines;
  };
  std::set<std::pair<size_t, size_t>> cuts_;
  std::map<std::pair<size_t, size_t>, uint64_t> clogs_;
  std::set<size_t> dark_;
  std::set<size_t> asleep_;
  std::map<size_t, std::deque<std::function<void()>>> waiting_;
  std::vector<Local> locals_;
  std::map<size_t, size_t> box_of_;
};

}  // namespace sereus::sim
