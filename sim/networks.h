// The networks of a simulated run: one of streams, which is cheap, and those of datagrams and of links that the real hosts
// stand on. Which of them a machine's node is on is its transport.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

#include "core/base/log.h"
#include "core/crypto/sign.h"
#include "core/net/host.h"
#include "core/net/swarm.h"
#include "sim/datagram_network.h"
#include "sim/link_network.h"
#include "sim/stream_network.h"
#include "sim/topology.h"

namespace sereus::sim {

enum class Transport : uint8_t {
  stream,  // StreamHost: connections and streams without packets
  quic,    // QuicHost and TcpHost, listening for QUIC
  tcp,     // QuicHost and TcpHost, listening for TCP
  both,    // QuicHost and TcpHost, listening for both
};
std::string_view name_of(Transport transport);
std::optional<Transport> transport_of(std::string_view name);

class Networks {
 public:
  Networks(Scheduler& scheduler, SimRandom random)
      : stream(scheduler, topology, random.fork("stream")),
        datagrams(scheduler, topology, random.fork("datagrams")),
        links(scheduler, topology, random.fork("links")),
        box_random_(random.fork("boxes")) {}

  // Cuts are those of all networks; more of them in the topology.
  void cut(size_t a, size_t b, bool cut) { topology.cut(a, b, cut); }
  void cut_one_way(size_t from, size_t to, bool cut) { topology.cut_one_way(from, to, cut); }
  void heal_all() { topology.heal_all(); }
  // Resets the connections of TCP between the two; at the level of streams, all connections.
  void break_links(size_t a, size_t b);
  // Before the machines start. Gives the box's number.
  size_t put_behind_nat(const std::set<size_t>& machines, const NatSettings& settings) {
    return topology.put_behind_nat(machines, settings, box_random_.fork("box"));
  }
  // The box in front of the machine (if there is none: the router that forwards its ports) starts again.
  void rebind(size_t machine, bool moved) { datagrams.rebind(machine, moved); }

  // Sees all bytes that leave machines: datagrams, and pieces of links and of streams.
  void set_tap(const std::function<void(ByteView)>& tap);
  // Null: nothing is recorded.
  void set_chronicle(Chronicle* chronicle);

  // The real hosts of a machine as one. `clock` gives the machine's times, `wake` is called when a host has something for
  // its node, or to do. The ports outlive the host.
  struct HostPorts {
    size_t machine = 0;
    Random* random = nullptr;
    Logger* logger = nullptr;  // may be null
    std::function<Times()> clock;
    std::function<void()> wake;
    std::function<bool()> take_network_change;  // as Host has it
  };
  // Into parts.host and parts.circuits.
  Status make_host(const HostPorts& ports, const KeyPair& device, net::SwarmParts& parts);
  // What a node listens on with this transport: addresses without an IP of their own.
  static std::vector<std::string> listen_addresses(Transport transport, bool v4, bool v6);

  uint64_t trace() const { return datagrams.trace() * 31 + links.trace(); }

  Topology topology;
  StreamNetwork stream;
  DatagramNetwork datagrams;
  LinkNetwork links;

 private:
  SimRandom box_random_;
};

}  // namespace sereus::sim
