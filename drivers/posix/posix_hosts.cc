#include "drivers/posix/posix_hosts.h"

#include <utility>

#include "core/crypto/sign.h"
#include "core/net/quic_host.h"
#include "drivers/posix/posix_datagrams.h"

namespace sereus::posix {
namespace {

using net::ConnectionId;
using net::StreamId;

constexpr uint64_t kRefreshUs = 10 * kMicrosPerSecond;  // addresses come and go with networks

// A QUIC host together with its sockets.
class PosixHost final : public net::Host {
 public:
  PosixHost(PosixLoop& loop, std::function<Times()> clock) : datagrams_(loop, events(), std::move(clock)) {}

  Status start(const crypto::KeyPair& device, Random& random, Logger* logger) {
    SEREUS_ASSIGN(quic_, net::QuicHost::create(device, datagrams_, random, logger));
    quic_->set_interface_addresses(interface_addresses());  // listen_addresses() is asked before the first step
    return {};
  }

  net::PeerId peer_id() const override { return quic_->peer_id(); }
  Status listen(std::string_view multiaddr) override { return quic_->listen(multiaddr); }
  std::vector<std::string> listen_addresses() const override { return quic_->listen_addresses(); }
  void set_clock_suspect(bool suspect) override { quic_->set_clock_suspect(suspect); }
  void set_protocols(std::vector<std::string> protocols) override { quic_->set_protocols(std::move(protocols)); }
  Result<uint64_t> dial(std::string_view multiaddr, const net::PeerId& peer) override {
    return quic_->dial(multiaddr, peer);
  }
  void disconnect(ConnectionId connection, Code reason) override { quic_->disconnect(connection, reason); }
  Result<StreamId> open_stream(ConnectionId connection, std::string_view protocol) override {
    return quic_->open_stream(connection, protocol);
  }
  Result<size_t> write(StreamId stream, ByteView data) override { return quic_->write(stream, data); }
  Result<ReadResult> read(StreamId stream, ByteSpan out) override { return quic_->read(stream, out); }
  void finish(StreamId stream) override { quic_->finish(stream); }
  void reset(StreamId stream) override { quic_->reset(stream); }
  uint64_t step(const Times& now) override {
    if (now.mono_us >= refresh_at_us_) {
      quic_->set_interface_addresses(interface_addresses());
      refresh_at_us_ = now.mono_us + kRefreshUs;
    }
    return quic_->step(now);
  }
  std::optional<net::HostEvent> next_event() override { return quic_->next_event(); }
  net::HostStats stats() const override { return quic_->stats(); }
  void close(const Times& now) override { quic_->close(now); }

 private:
  DatagramEvents events() {
    DatagramEvents events;
    events.received = [this](SocketId socket, const IpEndpoint& local, const IpEndpoint& remote, Ecn ecn, ByteView data,
                             const Times& now) { quic_->on_datagram(socket, local, remote, ecn, data, now); };
    events.writable = [this](SocketId socket) { quic_->on_writable(socket); };
    events.unreachable = [this](SocketId socket, const IpEndpoint& remote) { quic_->on_unreachable(socket, remote); };
    return events;
  }

  uint64_t refresh_at_us_ = 0;
  PosixDatagrams datagrams_;  // outlives the host on it
  std::unique_ptr<net::QuicHost> quic_;
};

}  // namespace

Result<std::unique_ptr<net::Host>> PosixHosts::make_host(const crypto::SecretBytes<32>& device_seed) {
  auto host = std::make_unique<PosixHost>(loop_, clock_);
  SEREUS_TRY(host->start(crypto::KeyPair::from_seed(device_seed), random_, logger_));
  return std::unique_ptr<net::Host>(std::move(host));
}

}  // namespace sereus::posix
