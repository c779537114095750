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

// Defaults and their reasons are in limits.h. 0 is none at all, not "no limit".
struct ResourceSettings {
  size_t connections = kConnectionsMax;
  size_t connections_peer = kConnectionsPeerMax;
  size_t half_open = kHalfOpenMax;
  uint64_t handshakes_per_second = kHandshakesPerSecond;
  uint64_t handshakes_burst = kHandshakesBurst;
  // Of one source. Loopback addresses are none.
  uint64_t handshakes_address_per_second = kHandshakesAddressPerSecond;
  uint64_t handshakes_address_burst = kHandshakesAddressBurst;
  struct Streams {
    size_t in = 0;
    size_t out = 0;
  };
  Streams streams{kStreamsMax, kStreamsMax};
  Streams streams_peer{kStreamsPeerInMax, kStreamsPeerOutMax};
  Streams streams_protocol{kStreamsProtocolMax, kStreamsProtocolMax};
  Streams streams_protocol_peer{kStreamsProtocolPeerInMax, kStreamsProtocolPeerOutMax};
  std::map<std::string, Streams, std::less<>> protocol;       // for a protocol other than streams_protocol
  std::map<std::string, Streams, std::less<>> protocol_peer;  // and other than streams_protocol_peer
  // Reserved and measured together. Reserves that reach it refuse what is new; buffers that exceed it cost whoever has most of
  // them a stream or a connection.
  uint64_t memory = kMemoryMax;
  uint64_t memory_peer = kMemoryPeerMax;
};

class ResourceLimits final : public AcceptGate {
 public:
  ResourceLimits() = default;
  explicit ResourceLimits(ResourceSettings settings) : settings_(std::move(settings)) {}
  // Holds for what comes; nothing that is there is ended, but by less memory.
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

  // --- memory in buffers

  // What a peer's connections have in buffers beyond what is reserved for them, as measured now. Nothing without connections or
  // streams of the peer.
  void set_buffered(const PeerId& peer, uint64_t bytes);
  // Who is to give memory back: a peer above its limit, or, above the limit of all, the one that has most in buffers. Nobody
  // when all is within the limits, or there is nothing in buffers.
  struct Excess {
    PeerId peer;
    RefusalReason reason{};  // memory_peer, memory_total
  };
  std::optional<Excess> excess() const;
  // A stream (with its protocol) or a connection was ended for it; told as what is refused.
  void on_ended_for(const Excess& excess, bool incoming, std::string_view address, std::string_view protocol,
                    const Times& now);
  // More than half of a limit of memory is taken.
  bool memory_is_tight() const;

  struct Use {
    size_t connections = 0;
    size_t streams_in = 0;
    size_t streams_out = 0;
    uint64_t memory = 0;  // reserved, and measured last
  };
  Use use() const { return total_; }
  Use use(const PeerId& peer) const;

  // Tells what has been gathered long enough, or first of its kind. The deadline of the next, or kNever.
  uint64_t step(const Times& now);
  std::optional<Refused> next_refused();

 private:
  struct Peer {
    Use use;
    uint64_t buffered = 0;  // part of use.memory
    std::map<std::string, ResourceSettings::Streams, std::less<>> protocols;
  };
  using Peers = std::map<PeerId, Peer>;
  struct Gathered {
    Refused event;  // count 0: nothing since the last one was told
    uint64_t told_us = 0;
  };
  using Source = std::array<uint8_t, 9>;  // family, and 4 or 8 bytes

  std::optional<RefusalReason> stream_refusal(const Peer* peer, std::string_view protocol, bool incoming) const;
  void forget_if_gone(Peers::iterator peer);
  RefusalReason refuse(Refused refused, const Times& now);
  bool take_source(const IpEndpoint& endpoint, const Times& now);

  ResourceSettings settings_;
  Use total_;
  Peers peers_;
  std::map<std::string, ResourceSettings::Streams, std::less<>> protocols_;
  std::optional<Allowance> handshakes_;
  // The newest kHandshakeSourcesMax of them.
  std::map<Source, Allowance> sources_;
  std::deque<Source> source_order_;
  std::map<std::pair<RefusalReason, bool>, Gathered> gathered_;
  std::deque<Refused> events_;
};

}  // namespace sereus::net
