// How a host is to behave, as applications say it: one struct for creating a host, for changing it, and for the control socket,
// which carries it as text. Zero and empty mean the default everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/swarm.h"
#include "core/net/tcp_core.h"

namespace sereus::node {

struct HostSettings {
  struct Rate {
    std::string transport;  // empty: all together
    uint64_t up_max = 0;    // bytes a second; 0: no limit
    uint64_t down_max = 0;
    friend bool operator==(const Rate&, const Rate&) = default;
  };

  std::vector<std::string> transports;  // allowed ones, the preferred first; empty: all
  std::vector<std::string> security;    // of TCP and WebSocket, likewise: "tls", "noise"
  bool no_ipv4 = false;
  bool no_ipv6 = false;
  bool metered = false;  // few dials at once, few connections kept
  uint32_t connections_low = 0;
  uint32_t connections_high = 0;
  uint32_t connections_max = 0;
  uint32_t connections_peer_max = 0;
  uint32_t streams_peer_max = 0;  // opened by the peer
  uint64_t memory_max = 0;
  std::vector<Rate> rates;
  // Secure WebSocket. Paths are of the machine.
  std::string certificate_file;
  std::string key_file;
  std::string authorities_file;  // empty: the system's
  bool any_server = false;       // servers' certificates are not looked at
  friend bool operator==(const HostSettings&, const HostSettings&) = default;
};

Bytes encode_host_settings(const HostSettings& settings);
// Code::malformed. Fields of later versions are passed over.
Result<HostSettings> decode_host_settings(ByteView text);

// What the parts of a host make of it. Code::invalid says in words what cannot be.
Result<net::SwarmSettings> swarm_settings(const HostSettings& settings);
Result<net::ResourceSettings> resource_settings(const HostSettings& settings);
Result<net::BandwidthLimits> bandwidth_limits(const HostSettings& settings);
Result<std::vector<net::TcpSecurity>> tcp_security(const HostSettings& settings);
// All of the above, at once.
Status check_host_settings(const HostSettings& settings);

}  // namespace sereus::node
