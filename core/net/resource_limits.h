// How much peers may take of us: connections, handshakes, streams and memory, for each peer, for each protocol and in all. Asked
// by the swarm and, as an AcceptGate, by the transports. What is refused is told with a reason, and told together with its like,
// so that an attacker cannot flood whoever listens.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "core/net/accept_gate.h"
#include "core/net/allowance.h"
#include "core/net/host.h"
#include "core/net/limits.h"
#include "core/net/peer_id.h"

namespace sereus::net {

// Stable numbers: the C ABI and logs have them. Append only.
enum class RefusalReason : uint8_t {
  connections_total = 1,
  connections_peer = 2,
  half_open = 3,          // handshakes under way at once
  handshake_rate = 4,     // handshakes a second, all addresses
  handshake_address = 5,  // handshakes a second, one source: an IPv4 address or an IPv6 /64
  streams_total = 6,
  streams_peer = 7,
  streams_protocol = 8,       // one protocol, all peers
  streams_protocol_peer = 9,  // one protocol, one peer
  memory_total = 10,
  memory_peer = 11,
};
// "connections_total", ... as the enumerators.
std::string_view refusal_name(RefusalReason reason);

// Something was refused. Alike ones (same reason, same direction) within kRefusedIntervalUs are one event with a count; peer,
// address and protocol are those of the first of them.
struct Refused {
  RefusalReason reason{};
  bool incoming = true;
  PeerId peer;           // empty when it was not proved yet
  std::string address;   // multiaddr, or empty
  std::string protocol;  // of a stream, or empty
  uint64_t count = 1;
};

// Defaults with their reasons in docs/network.md. 0 is none at all, not "no limit".
struct ResourceSettings {
  size_t connections = kConnectionsMax;
  size_t connections_peer = 8;  // both transports, both directions, and what crosses in a simultaneous open
  size_t half_open = kHalfOpenMax;
  uint64_t handshakes_per_second = 512;
  uint64_t handshakes_burst = 1024;
  uint64_t handshakes_address_per_second = 8;
  uint64_t handshakes_address_burst = 64;  // a household or an office behind one address that comes back at once
  struct Streams {
    size_t in = 0;
    size_t out = 0;
  };
  Streams streams{65536, 65536};
  Streams streams_peer{512, 2048};
  Streams streams_protocol{32768, 32768};
  Streams streams_protocol_peer{256, 1024};
  std::map<std::string, Streams, std::less<>> protocol;       // for a protocol other than streams_protocol
  std::map<std::string, Streams, std::less<>> protocol_peer;  // and other than streams_protocol_peer
  uint64_t memory = uint64_t{1} << 30;                        // as memory_of_* below count
  uint64_t memory_peer = 64 << 20;
};

// What is reserved for a connection and a stream: estimates of the machines' own state and of what they typically have in
// buffers. Received bytes that the application leaves unread come on top, bounded by flow control (limits.h).
inline constexpr uint64_t kConnectionMemory = 96 << 10;
inline constexpr uint64_t kStreamMemory = 8 << 10;

class ResourceLimits final : public AcceptGate {
 public:
  ResourceLimits() = default;
  explicit ResourceLimits(ResourceSettings settings) : settings_(std::move(settings)) {}
  // Holds for what comes; nothing that is there is ended.
  void set_settings(ResourceSettings settings);
  const ResourceSettings& settings() const { return settings_; }

  // --- transports
  bool admit(TransportKind transport, const IpEndpoint& remote, const Times& now) override;
  void on_half_open_refused(TransportKind transport, const IpEndpoint& remote, const Times& now) override;

  // --- the swarm. Each add is undone by its remove; a refused one (a reason is returned) was not added.
  std::optional<RefusalReason> add_connection(const PeerId& peer, std::string_view address, bool incoming,
                                              const Times& now);
  void remove_connection(const PeerId& peer);
  std::optional<RefusalReason> add_stream(const PeerId& peer, std::string_view protocol, bool incoming,
                                          const Times& now);
  void remove_stream(const PeerId& peer, std::string_view protocol, bool incoming);

  struct Use {
    size_t connections = 0;
    size_t streams_in = 0;
    size_t streams_out = 0;
    uint64_t memory = 0;
  };
  Use use() const { return total_; }
  Use use(const PeerId& peer) const;

  // Tells what has been gathered long enough, or first of its kind. The deadline of the next, or kNever.
  uint64_t step(const Times& now);
  std::optional<Refused> next_refused();

 private:
  struct Peer {
    Use use;
    std::map<std::string, ResourceSettings::Streams, std::less<>> protocols;
  };
  struct Gathered {
    Refused event;  // count 0: nothing since the last one was told
    uint64_t told_us = 0;
  };
  using Source = std::array<uint8_t, 9>;  // family, and 4 or 8 bytes

  std::optional<RefusalReason> stream_refusal(const Peer* peer, std::string_view protocol, bool incoming) const;
  RefusalReason refuse(Refused refused, const Times& now);
  bool take_source(const IpEndpoint& endpoint, const Times& now);

  ResourceSettings settings_;
  Use total_;
  std::map<PeerId, Peer> peers_;
  std::map<std::string, ResourceSettings::Streams, std::less<>> protocols_;
  std::optional<Allowance> handshakes_;
  // The newest kHandshakeSourcesMax of them.
  std::map<Source, Allowance> sources_;
  std::deque<Source> source_order_;
  std::map<std::pair<RefusalReason, bool>, Gathered> gathered_;
  std::deque<Refused> events_;
};

}  // namespace sereus::net
