// NAT boxes: what stands between a local network and the rest. A box gives what leaves through it an outside address, and
// lets in what its table knows. Five kinds, by the names of RFC 3489 and in the terms of RFC 4787:
//
//   kind                mapping                        filtering
//   full_cone           endpoint-independent           endpoint-independent
//   address_restricted  endpoint-independent           address-dependent
//   port_restricted     endpoint-independent           address and port-dependent
//   symmetric           address and port-dependent     address and port-dependent
//   carrier             a port_restricted box at home, behind a symmetric one of the carrier
//
// The fifth is the one that the others do not contain: two tables in a row (RFC 6888), each with a timer of its own, so that one
// forgets what the other still knows; and a port that the box at home forwards stays closed outside. A symmetric box that gives
// out its ports in sequence differs only for who guesses ports, and nobody here does.
#pragma once

#include <map>
#include <optional>
#include <string_view>

#include "core/ports/datagram.h"
#include "sim/sim_random.h"

namespace sereus::sim {

enum class NatKind : uint8_t { full_cone, address_restricted, port_restricted, symmetric, carrier };
inline constexpr size_t kNatKinds = static_cast<size_t>(NatKind::carrier) + 1;
std::string_view name_of(NatKind kind);

struct NatSettings {
  NatKind kind = NatKind::port_restricted;
  // Without a packet from inside for so long, a mapping is forgotten. What comes in refreshes nothing (RFC 4787 REQ-5 wants two
  // minutes at least and REQ-6 leaves the way in open; many boxes have 30 s).
  uint64_t udp_expiry_us = 30'000'000;
  uint64_t tcp_expiry_us = 7'440'000'000;  // RFC 5382 REQ-5: two hours and four minutes at least; some have minutes
  bool hairpin = false;     // machines inside reach each other by their outside addresses (RFC 4787 REQ-9)
  bool forwards = false;    // the ports that machines inside listen on are open, by UPnP or by hand
  bool resets_tcp = false;  // TCP that the box knows nothing of is answered with a reset instead of silence

  static NatSettings draw(SimRandom& random, NatKind kind);
};

// The table of one box for UDP.
class NatTable {
 public:
  static constexpr size_t kMappingsMax = 4'096;
  static constexpr size_t kFiltersMax = 16'384;

  NatTable(NatKind kind, uint64_t expiry_us, SimRandom random)
      : kind_(kind), expiry_us_(expiry_us), random_(std::move(random)) {}

  // A packet from inside to `remote`: the outside port that it comes from. Makes a mapping or refreshes it.
  uint16_t leave(const IpEndpoint& inside, const IpEndpoint& remote, uint64_t now_us);
  // Opens a port for good, the same one outside; who asks first has it.
  void forward(const IpEndpoint& inside) { forwarded_.try_emplace(port_of(inside), inside); }
  // Whom a packet from `remote` to the outside port is for; none when it is not let in.
  std::optional<IpEndpoint> enter(uint16_t port, bool is_v6, const IpEndpoint& remote, uint64_t now_us) const;
  // Whose mapping a port is, whoever sends to it.
  std::optional<IpEndpoint> owner(uint16_t port, bool is_v6) const;
  void forget();

 private:
  using Port = std::pair<bool, uint16_t>;  // the families have ports of their own
  struct Mapping {
    IpEndpoint inside;
    IpEndpoint remote;  // only where mappings depend on it
    uint64_t used_us = 0;
  };
  static Port port_of(const IpEndpoint& endpoint) { return {endpoint.is_v6, endpoint.port}; }
  bool alive(uint64_t used_us, uint64_t now_us) const { return used_us + expiry_us_ > now_us; }
  IpEndpoint filter_of(const IpEndpoint& remote) const;
  void make_room(uint64_t now_us);

  NatKind kind_;
  uint64_t expiry_us_;
  SimRandom random_;
  std::map<std::pair<IpEndpoint, IpEndpoint>, uint16_t> ports_;  // by inside and, where it matters, remote
  std::map<Port, Mapping> mappings_;
  std::map<std::pair<Port, IpEndpoint>, uint64_t> filters_;  // who may come in, and when a packet last went there
  std::map<Port, IpEndpoint> forwarded_;
};

// One box, or two in a row.
class NatBox {
 public:
  NatBox(size_t number, const NatSettings& settings, SimRandom random);

  const NatSettings& settings() const { return settings_; }
  bool forwards() const { return settings_.forwards && settings_.kind != NatKind::carrier; }
  // 10.2.<box>.<n> and fd02::<box>:<n>; another n after each move.
  IpEndpoint outside(bool is_v6, uint16_t port) const;
  bool is_outside(const IpEndpoint& endpoint) const { return outside(endpoint.is_v6, endpoint.port) == endpoint; }
  // Counts what rebind() did: connections made before are unknown to the box.
  uint64_t generation() const { return generation_; }

  // A machine inside listens there; the box opens the port if it forwards().
  void listens(const IpEndpoint& inside) {
    if (forwards()) home_.forward(inside);
  }
  // The source address that the world sees.
  IpEndpoint leave(const IpEndpoint& inside, const IpEndpoint& remote, uint64_t now_us);
  // Whom a packet to an outside address is for; none when it is dropped.
  std::optional<IpEndpoint> enter(const IpEndpoint& outside, const IpEndpoint& remote, uint64_t now_us) const;
  // The machine that a packet to an outside address may be for.
  std::optional<IpEndpoint> owner(const IpEndpoint& outside) const;

  // The box starts again: its mappings are forgotten, and its address is another one if it `moved`.
  void rebind(bool moved);

 private:
  IpEndpoint between(bool is_v6, uint16_t port) const;

  size_t number_;
  NatSettings settings_;
  NatTable home_;
  std::optional<NatTable> carrier_;
  uint8_t moves_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace sereus::sim
