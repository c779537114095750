#include "sim/networks.h"

#include <utility>

#include "core/net/circuit_host.h"
#include "core/net/host_group.h"
#include "core/net/quic_host.h"
#include "core/net/tcp_host.h"

namespace sereus::sim {
namespace {

// The sockets of a host, and which of its transports they are for.
struct Sockets {
  std::unique_ptr<Datagrams> datagrams;
  std::unique_ptr<Links> links;
  net::QuicHost* quic = nullptr;
};

// A base before the group, so that sockets outlive the hosts on them.
struct SocketsOwner {
  explicit SocketsOwner(std::unique_ptr<Sockets> owned) : sockets(std::move(owned)) {}
  std::unique_ptr<Sockets> sockets;
};

class RealHost final : private SocketsOwner, public net::HostGroup {
 public:
  RealHost(std::unique_ptr<Sockets> owned, std::vector<std::unique_ptr<net::Host>> members,
           std::function<bool()> take_network_change)
      : SocketsOwner(std::move(owned)),
        HostGroup(std::move(members)),
        take_network_change_(std::move(take_network_change)) {}
  bool take_network_change() override { return take_network_change_ && take_network_change_(); }

 private:
  const std::function<bool()> take_network_change_;
};

DatagramNetwork::Events events_of(Sockets& sockets, const Networks::HostPorts& ports) {
  DatagramNetwork::Events events;
  events.received = [&sockets, clock = ports.clock, wake = ports.wake](
                        SocketId socket, const IpEndpoint& local, const IpEndpoint& remote, Ecn ecn, ByteView data) {
    sockets.quic->on_datagram(socket, local, remote, ecn, data, clock());
    wake();
  };
  events.writable = [&sockets, wake = ports.wake](SocketId socket) {
    sockets.quic->on_writable(socket);
    wake();
  };
  events.unreachable = [&sockets, wake = ports.wake](SocketId socket, const IpEndpoint& remote) {
    sockets.quic->on_unreachable(socket, remote);
    wake();
  };
  return events;
}

}  // namespace

std::string_view name_of(Transport transport) {
  switch (transport) {
    case Transport::stream:
      return "stream";
    case Transport::quic:
      return "quic";
    case Transport::tcp:
      return "tcp";
    case Transport::both:
      return "both";
  }
  return "";
}

std::optional<Transport> transport_of(std::string_view name) {
  for (const Transport transport : {Transport::stream, Transport::quic, Transport::tcp, Transport::both}) {
    if (name_of(transport) == name) return transport;
  }
  return std::nullopt;
}

void Networks::break_links(size_t a, size_t b) {
  stream.break_links(a, b);
  links.break_links(a, b);
}

void Networks::set_tap(const std::function<void(ByteView)>& tap) {
  stream.set_tap(tap);
  links.set_tap(tap);
  if (tap) {
    datagrams.set_tap([tap](const DatagramNetwork::Datagram& datagram) { tap(datagram.data); });
  } else {
    datagrams.set_tap({});
  }
}

void Networks::set_chronicle(Chronicle* chronicle) {
  stream.set_chronicle(chronicle);
  datagrams.set_chronicle(chronicle);
  links.set_chronicle(chronicle);
}

std::vector<std::string> Networks::listen_addresses(Transport transport, bool v4, bool v6) {
  if (transport == Transport::stream) return {"/ip4/0.0.0.0/udp/4001/quic-v1"};
  std::vector<std::string> out;
  const auto add = [&](const std::string& rest) {
    if (v4) out.push_back("/ip4/0.0.0.0/" + rest);
    if (v6) out.push_back("/ip6/::/" + rest);
  };
  if (transport != Transport::tcp) add("udp/4001/quic-v1");
  if (transport != Transport::quic) add("tcp/4001");
  return out;
}

Status Networks::make_host(const HostPorts& ports, const KeyPair& device, net::SwarmParts& parts) {
  auto sockets = std::make_unique<Sockets>();
  sockets->datagrams = datagrams.attach(ports.machine, events_of(*sockets, ports));
  SEREUS_ASSIGN(auto quic, net::QuicHost::create(device, *sockets->datagrams, *ports.random, ports.logger));
  SEREUS_ASSIGN(auto tcp, net::TcpHost::create(device, *ports.random, ports.logger));
  sockets->quic = quic.get();
  sockets->links = links.attach(ports.machine, *tcp, ports.wake);
  tcp->set_links(*sockets->links);
  quic->set_interface_addresses(topology.interface_addresses(ports.machine));
  tcp->set_interface_addresses(topology.interface_addresses(ports.machine));
  std::vector<std::unique_ptr<net::Host>> members;
  members.push_back(std::move(quic));
  members.push_back(std::move(tcp));
  auto circuits = std::make_unique<net::CircuitHost>(members.front()->peer_id());
  parts.circuits = circuits.get();
  members.push_back(std::move(circuits));
  parts.host = std::make_unique<RealHost>(std::move(sockets), std::move(members), ports.take_network_change);
  return {};
}

}  // namespace sereus::sim
