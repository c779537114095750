// Where machines are and what lies between them: their addresses, who is cut off from whom, and who has power. Both the
// network of datagrams and that of byte streams ask here, so that a cut is one for both.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/ports/datagram.h"

namespace sereus::sim {

class Topology {
 public:
  // Machine n is 10.0.0.n+1 and fd00::n+1.
  static IpEndpoint v4(size_t machine, uint16_t port = 0);
  static IpEndpoint v6(size_t machine, uint16_t port = 0);
  static IpEndpoint address(size_t machine, bool is_v6, uint16_t port) {
    return is_v6 ? v6(machine, port) : v4(machine, port);
  }
  static std::vector<IpEndpoint> addresses(size_t machine) { return {v4(machine), v6(machine)}; }
  // The machine with this address, whatever the port; also one that does not exist.
  static std::optional<size_t> machine_at(const IpEndpoint& endpoint);

  // ---- Cuts ---------------------------------------------------------------------------------------------------------
  // Nothing gets from one to the other; the way back is open unless it is cut as well.
  void cut_one_way(size_t from, size_t to, bool cut);
  void cut(size_t a, size_t b, bool cut);
  // Cuts all that lies between `side` and the other machines, of which there are `count` together.
  void partition(const std::set<size_t>& side, size_t count);
  void heal_all() { cuts_.clear(); }
  bool is_cut(size_t from, size_t to) const { return cuts_.contains({from, to}); }

  // ---- Power --------------------------------------------------------------------------------------------------------
  // A machine without power is silent. One with power answers for programs that are not there: with a reset, or with
  // "port unreachable".
  void set_powered(size_t machine, bool powered);
  bool powered(size_t machine) const { return !dark_.contains(machine); }

 private:
  std::set<std::pair<size_t, size_t>> cuts_;
  std::set<size_t> dark_;
};

}  // namespace sereus::sim
