// What a TCP host shares with its connections.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/log.h"
#include "core/base/time.h"
#include "core/net/accept_gate.h"
#include "core/net/bandwidth.h"
#include "core/net/host.h"
#include "core/net/limits.h"
#include "core/net/noise.h"
#include "core/net/timer_heap.h"
#include "core/net/tls_context.h"
#include "core/net/web_tls.h"
#include "core/ports/links.h"
#include "core/ports/random.h"

namespace sereus::net {

class TcpConnection;
struct TcpStream;

enum class TcpSecurity : uint8_t { tls, noise };

// The name of the protocol in multistream-select.
std::string_view protocol_of(TcpSecurity security);

// Of WebSocket listeners and dials.
struct WebSocketSettings {
  // Listening: the values of Origin, as browsers send them ("https://app.example.org"), whose pages may connect. Empty: all,
  // since the peer is proved inside. At most kWebSocketOriginsMax.
  std::vector<std::string> origins;
  // Shown by listeners of secure WebSocket; null or empty: there are none.
  std::shared_ptr<TlsServerCertificate> certificate;
  // Who signs the certificates of servers that are dialed; null: secure WebSocket is not dialed.
  std::shared_ptr<TlsTrust> trust;
};

// Settings of a host with their defaults; the reasons are in limits.h.
struct TcpSettings {
  // Accepted, and proposed in this order; what is absent is forbidden. TLS first: with AES instructions it is cheaper.
  std::vector<TcpSecurity> security{TcpSecurity::tls, TcpSecurity::noise};
  bool clock_suspect = false;  // the wall clock is known to be wrong: certificate dates are not checked
  WebSocketSettings websocket;
  size_t connections_max = kConnectionsMax;
  size_t half_open_max = kHalfOpenMax;
  uint64_t handshake_timeout_us = kTcpHandshakeTimeoutUs;
  // Asked before a stranger costs anything, and before links are read and written. May be null; outlive the host.
  AcceptGate* gate = nullptr;
  Bandwidth* bandwidth = nullptr;
};

struct TcpCore {
  TcpCore(const crypto::KeyPair& device, Random& random_port, Logger* log)
      : random(random_port), logger(log), identity(make_noise_identity(device, random_port)) {}

  Links* links = nullptr;
  Random& random;
  Logger* logger;
  TcpSettings settings;
  NoiseIdentity identity;
  std::unique_ptr<TlsContext> tls;  // null: TLS is forbidden
  Times now;

  std::vector<std::string> security;  // the protocols of settings.security
  std::vector<std::string> protocols;
  std::deque<HostEvent> events;
  std::unordered_map<StreamId, TcpStream*> streams;  // those the application knows
  std::vector<StreamId> opened;  // by the application since the last step: begin_negotiation() waits for the time
  TimerHeap timers;
  std::vector<ConnectionId> dirty;  // connections that may have something to do, in order
  // Connections that wait for a limit of bandwidth, by their kind and direction: they take turns.
  std::array<std::array<std::deque<ConnectionId>, 2>, kTransportKinds> turns;
  std::vector<ConnectionId> stalled;  // not read while the application is behind with its events
  size_t half_open = 0;               // not yet proved, either direction
  uint64_t last_stream = 0;
  HostStats stats;
  Bytes scratch = Bytes(kTcpReadBytes);  // where bytes are read into; holds nothing between calls

  // `kind` is tcp, ws or wss: the kind of a connection.
  bool limited(TransportKind kind, Direction direction) const {
    return settings.bandwidth != nullptr && settings.bandwidth->limited(kind, direction);
  }
  size_t budget(TransportKind kind, Direction direction) const {
    Bandwidth* bandwidth = settings.bandwidth;
    return bandwidth == nullptr ? SIZE_MAX : bandwidth->available(kind, direction, now);
  }
  uint64_t budget_at(TransportKind kind, Direction direction) const {
    return settings.bandwidth->ready_at(kind, direction, now);
  }
  void spend(TransportKind kind, Direction direction, size_t bytes) {
    (direction == Direction::up ? stats.bytes_sent : stats.bytes_received) += bytes;
    if (settings.bandwidth != nullptr) settings.bandwidth->spend(kind, direction, bytes, now);
  }
  std::deque<ConnectionId>& turns_of(TransportKind kind, Direction direction) {
    return turns[static_cast<size_t>(kind)][static_cast<size_t>(direction)];
  }

  bool events_full() const { return events.size() >= kEventsMax; }
};

}  // namespace sereus::net
