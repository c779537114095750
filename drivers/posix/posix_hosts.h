// Makes hosts for QUIC and TCP over real sockets, and routes what arrives to them.
#pragma once

#include <functional>
#include <utility>

#include "core/base/log.h"
#include "core/net/tcp_core.h"
#include "core/node/node.h"
#include "core/ports/random.h"
#include "drivers/posix/posix_loop.h"
#include "drivers/posix/posix_times.h"

namespace sereus::posix {

class PosixHosts : public node::HostFactory {
 public:
  // All outlive the hosts. `logger` may be null. `clock` is the one that the hosts are stepped with.
  PosixHosts(PosixLoop& loop, Random& random, Logger* logger, std::function<Times()> clock = now)
      : loop_(loop), random_(random), logger_(logger), clock_(std::move(clock)) {}
  // For hosts made from then on.
  void set_tcp_settings(net::TcpSettings settings) { tcp_settings_ = std::move(settings); }
  // Node thread.
  Result<std::unique_ptr<net::Host>> make_host(const crypto::SecretBytes<32>& device_seed) override;

 private:
  PosixLoop& loop_;
  Random& random_;
  Logger* logger_;
  std::function<Times()> clock_;
  net::TcpSettings tcp_settings_;
};

}  // namespace sereus::posix
