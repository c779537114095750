#include "drivers/posix/posix_hosts.h"

#include <algorithm>
#include <utility>

#include "core/crypto/sign.h"
#include "core/net/circuit_host.h"
#include "core/net/host_group.h"
#include "core/net/limits.h"
#include "core/net/quic_host.h"
#include "core/net/tcp_host.h"
#include "drivers/posix/network_watch.h"
#include "drivers/posix/posix_datagrams.h"
#include "drivers/posix/posix_links.h"

namespace sereus::posix {
namespace {

constexpr uint64_t kRefreshUs = 10 * kMicrosPerSecond;     // addresses come and go with networks
constexpr uint64_t kCertificateUs = 3 * kMicrosPerSecond;  // two stat() calls

// The sockets of a host, and which of its transports they are for.
struct Sockets {
  Sockets(PosixLoop& loop, std::function<Times()> clock) : datagrams(loop, events(), std::move(clock)) {}

  DatagramEvents events() {
    DatagramEvents events;
    events.received = [this](SocketId socket, const IpEndpoint& local, const IpEndpoint& remote, Ecn ecn, ByteView data,
                             const Times& now) { quic->on_datagram(socket, local, remote, ecn, data, now); };
    events.writable = [this](SocketId socket) { quic->on_writable(socket); };
    events.unreachable = [this](SocketId socket, const IpEndpoint& remote) { quic->on_unreachable(socket, remote); };
    return events;
  }

  PosixDatagrams datagrams;
  std::unique_ptr<PosixLinks> links;
  net::QuicHost* quic = nullptr;
  net::TcpHost* tcp = nullptr;
  std::unique_ptr<PosixCertificate> certificate;  // null: not from files
};

// A base before the group, so that sockets outlive the hosts on them.
struct SocketsOwner {
  explicit SocketsOwner(std::unique_ptr<Sockets> owned) : sockets(std::move(owned)) {}
  std::unique_ptr<Sockets> sockets;
};

class PosixHost final : private SocketsOwner, public net::HostGroup {
 public:
  PosixHost(std::unique_ptr<Sockets> owned, std::vector<std::unique_ptr<net::Host>> members)
      : SocketsOwner(std::move(owned)), HostGroup(std::move(members)) {
    (void)refresh();  // listen_addresses() is asked before the first step
  }

  uint64_t step(const Times& now) override {
    const bool slept = watch_.slept(now, slept_us());
    if (slept || now.mono_us >= refresh_at_us_) {
      const bool moved = refresh();
      changed_ = changed_ || slept || moved;
      refresh_at_us_ = now.mono_us + kRefreshUs;
    }
    if (sockets->certificate && now.mono_us >= certificate_at_us_) {
      (void)sockets->certificate->refresh();  // it logs what is wrong
      certificate_at_us_ = now.mono_us + kCertificateUs;
    }
    const uint64_t next = std::min(HostGroup::step(now), refresh_at_us_);
    return sockets->certificate ? std::min(next, certificate_at_us_) : next;
  }
  bool take_network_change() override { return std::exchange(changed_, false); }

 private:
  // True when they are others than before.
  bool refresh() {
    std::vector<IpEndpoint> addresses = interface_addresses();
    sockets->quic->set_interface_addresses(addresses);
    sockets->tcp->set_interface_addresses(addresses);
    return watch_.moved(std::move(addresses));
  }

  NetworkWatch watch_;
  bool changed_ = false;
  uint64_t refresh_at_us_ = 0;
  uint64_t certificate_at_us_ = 0;
};

}  // namespace

// Certificate and trust from files, where the settings have none. Returns what watches the certificate's files, if anything.
Result<std::unique_ptr<PosixCertificate>> PosixHosts::add_websocket_files(const node::HostSettings& wanted,
                                                                          net::WebSocketSettings& settings) {
  if (!settings.trust) {
    const std::string authorities =
        wanted.authorities_file.empty() ? std::string(kSystemAuthorities) : wanted.authorities_file;
    const auto read = [path = authorities] { return read_whole_file(path, net::kWebTlsBundleMax); };
    settings.trust =
        wanted.any_server ? net::TlsTrust::in_everyone(random_) : std::make_shared<net::TlsTrust>(read, random_);
  }
  std::unique_ptr<PosixCertificate> out;
  if (settings.certificate || (wanted.certificate_file.empty() && wanted.key_file.empty())) return out;
  out = std::make_unique<PosixCertificate>(wanted.certificate_file, wanted.key_file, random_, logger_);
  SEREUS_TRY(out->refresh());
  settings.certificate = out->certificate();
  return out;
}

Result<net::SwarmParts> PosixHosts::make_host(const crypto::SecretBytes<32>& device_seed,
                                              const node::HostSettings& wanted) {
  const auto device = crypto::KeyPair::from_seed(device_seed);
  net::SwarmParts parts;
  SEREUS_ASSIGN(net::ResourceSettings resources, node::resource_settings(wanted));
  SEREUS_ASSIGN(const net::BandwidthLimits rates, node::bandwidth_limits(wanted));
  parts.limits = std::make_unique<net::ResourceLimits>(std::move(resources));
  parts.bandwidth = std::make_unique<net::Bandwidth>(rates);
  parts.resolver = &resolver_;
  auto sockets = std::make_unique<Sockets>(loop_, clock_);
  net::QuicSettings quic_settings = quic_settings_;
  quic_settings.gate = parts.limits.get();
  quic_settings.bandwidth = parts.bandwidth.get();
  net::TcpSettings tcp_settings = tcp_settings_;
  tcp_settings.gate = parts.limits.get();
  tcp_settings.bandwidth = parts.bandwidth.get();
  if (!wanted.security.empty()) {
    SEREUS_ASSIGN(tcp_settings.security, node::tcp_security(wanted));
  }
  SEREUS_ASSIGN(sockets->certificate, add_websocket_files(wanted, tcp_settings.websocket));
  SEREUS_ASSIGN(auto quic, net::QuicHost::create(device, sockets->datagrams, random_, logger_, quic_settings));
  SEREUS_ASSIGN(auto tcp, net::TcpHost::create(device, random_, logger_, tcp_settings));
  sockets->quic = quic.get();
  sockets->tcp = tcp.get();
  sockets->links = std::make_unique<PosixLinks>(loop_, *tcp);
  tcp->set_links(*sockets->links);
  // QUIC first: an address says which, and no address fits both.
  std::vector<std::unique_ptr<net::Host>> members;
  members.push_back(std::move(quic));
  members.push_back(std::move(tcp));
  auto circuits = std::make_unique<net::CircuitHost>(members.front()->peer_id());
  parts.circuits = circuits.get();
  members.push_back(std::move(circuits));
  parts.host = std::make_unique<PosixHost>(std::move(sockets), std::move(members));
  return parts;
}

}  // namespace sereus::posix
