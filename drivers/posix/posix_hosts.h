// Makes hosts for QUIC and TCP over real sockets, and routes what arrives to them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "core/base/log.h"
#include "core/net/quic_core.h"
#include "core/net/tcp_core.h"
#include "core/node/node.h"
#include "core/ports/random.h"
#include "drivers/posix/posix_certificate.h"
#include "drivers/posix/posix_loop.h"
#include "drivers/posix/posix_resolver.h"
#include "drivers/posix/posix_times.h"

namespace sereus::posix {

class PosixHosts : public node::HostFactory {
 public:
  // All outlive the hosts, as this does. `logger` may be null. `clock` is the one that the hosts are stepped with.
  PosixHosts(PosixLoop& loop, Random& random, Logger* logger, std::function<Times()> clock = now)
      : loop_(loop), random_(random), logger_(logger), clock_(std::move(clock)), resolver_([&loop] { loop.wake(); }) {}
  // For hosts made from then on. The gate and the bandwidth of both are the host's own, whatever they say here.
  void set_quic_settings(const net::QuicSettings& settings) { quic_settings_ = settings; }
  // websocket.certificate and .trust, where they are null, are made from files.
  void set_tcp_settings(net::TcpSettings settings) { tcp_settings_ = std::move(settings); }
  // Node thread. Fails, too, when a certificate is configured that cannot be used.
  Result<net::SwarmParts> make_host(const crypto::SecretBytes<32>& device_seed,
                                    const node::HostSettings& settings = {}) override;

 private:
  Result<std::unique_ptr<PosixCertificate>> add_websocket_files(const node::HostSettings& wanted,
                                                                net::WebSocketSettings& settings);

  PosixLoop& loop_;
  Random& random_;
  Logger* logger_;
  std::function<Times()> clock_;
  net::QuicSettings quic_settings_;
  net::TcpSettings tcp_settings_;
  PosixResolver resolver_;
};

}  // namespace sereus::posix
