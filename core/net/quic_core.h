// What a host shares with its connections: ports, settings, tables and queues. No logic beyond keeping them consistent.
#pragma once

#include <ngtcp2/ngtcp2.h>

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/log.h"
#include "core/base/time.h"
#include "core/crypto/hash.h"
#include "core/net/accept_gate.h"
#include "core/net/bandwidth.h"
#include "core/net/host.h"
#include "core/net/limits.h"
#include "core/net/quic_tls.h"
#include "core/net/timer_heap.h"
#include "core/ports/datagram.h"
#include "core/ports/random.h"

namespace sereus::net {

struct QuicStream;

// Settings of a host with their defaults. The defaults are those of limits.h, where the reasons are.
struct QuicSettings {
  bool clock_suspect = false;  // the wall clock is known to be wrong: certificate dates are not checked
  size_t connections_max = kConnectionsMax;
  size_t half_open_max = kHalfOpenMax;
  size_t half_open_retry = kHalfOpenRetry;
  uint64_t idle_timeout_us = kQuicIdleTimeoutUs;
  uint64_t keep_alive_us = kQuicKeepAliveUs;  // 0: none
  uint64_t handshake_timeout_us = kQuicHandshakeTimeoutUs;
  uint64_t stream_window = kStreamWindow;
  uint64_t connection_window = kConnectionWindow;
  bool bbr = false;  // congestion control BBR instead of CUBIC
  // Asked before a stranger costs anything, and before datagrams are sent and windows opened. May be null; outlive the host.
  AcceptGate* gate = nullptr;
  Bandwidth* bandwidth = nullptr;
};

// A connection id as a key. Fixed size, so that table entries allocate once.
struct Cid {
  std::array<uint8_t, NGTCP2_MAX_CIDLEN> bytes{};
  uint8_t size = 0;

  static Cid from(ByteView view) {
    Cid cid;
    cid.size = static_cast<uint8_t>(view.size());
    std::copy(view.begin(), view.end(), cid.bytes.begin());
    return cid;
  }
  static Cid from(const ngtcp2_cid& other) { return from(ByteView(other.data, other.datalen)); }
  friend bool operator==(const Cid&, const Cid&) = default;
};

// Keyed, because the client chooses the first connection id: without the key it could make them collide.
struct CidHash {
  uint64_t key0 = 0;
  uint64_t key1 = 0;
  size_t operator()(const Cid& cid) const {
    uint64_t state = key0 ^ cid.size;
    for (const size_t at : {size_t{0}, size_t{8}}) state = mix(state ^ load_le<uint64_t>(cid.bytes.data() + at), key1);
    state = mix(state ^ load_le<uint32_t>(cid.bytes.data() + 16), key1);
    return static_cast<size_t>(state);
  }

 private:
  static uint64_t mix(uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a | 1) * (b | 1);
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
};

struct QuicSocket {
  SocketId id = 0;
  IpEndpoint local;
  bool listening = false;
  bool blocked = false;
  bool retired = false;  // the network is another: nothing new begins on it
  // The batch that did not fit into the socket; sent before anything else.
  struct Batch {
    IpEndpoint to;
    Ecn ecn = Ecn::not_ect;
    size_t segment = 0;
    Bytes data;
  } waiting;
};

struct QuicCore {
  QuicCore(Datagrams& datagrams_port, Random& random_port, Logger* log)
      : datagrams(datagrams_port),
        random(random_port),
        logger(log),
        cids(64, CidHash{random_port.next_u64(), random_port.next_u64()}),
        reset_tokens(64, cids.hash_function()) {
    random_port.fill(token_key);
  }

  Datagrams& datagrams;
  Random& random;
  Logger* logger;
  QuicSettings settings;
  std::unique_ptr<TlsContext> tls;
  Times now;
  bool closed = false;

  std::vector<std::string> protocols;
  std::deque<HostEvent> events;
  std::unordered_map<Cid, ConnectionId, CidHash> cids;
  // Stateless reset tokens of the peers' connection ids, behind a keyed hash so that looking one up takes a time that
  // tells nothing (RFC 9000 10.3.1).
  std::unordered_map<Cid, ConnectionId, CidHash> reset_tokens;
  std::unordered_map<StreamId, QuicStream*> streams;
  std::vector<StreamId> opened;    // by the application since the last step: begin_negotiation() waits for the time
  std::deque<QuicSocket> sockets;  // a deque: connections keep pointers
  TimerHeap timers;
  // Connections that wait for a limit of bandwidth, in turn: to write, and to open their peers' windows.
  std::deque<ConnectionId> waiting_up;
  std::deque<ConnectionId> waiting_down;
  uint64_t stream_bytes = 0;        // received on streams, ever: the rest of a datagram is overhead
  std::vector<ConnectionId> dirty;  // connections that may have something to send, in order
  HostStats stats;
  size_t half_open = 0;  // incoming handshakes under way
  size_t dialing = 0;    // outgoing ones
  uint64_t last_stream = 0;
  std::array<uint8_t, 32> reset_secret{};  // makes our reset tokens
  std::array<uint8_t, 32> token_key{};     // hides the peers'
  Bytes batch = Bytes(kQuicBatchBytes);    // where packets are written; empty between calls

  Cid hidden_token(ByteView token) const {
    return Cid::from(crypto::keyed_hash(token_key, token).view().first(NGTCP2_STATELESS_RESET_TOKENLEN));
  }

  bool limited(Direction direction) const {
    return settings.bandwidth != nullptr && settings.bandwidth->limited(TransportKind::quic, direction);
  }
  size_t budget(Direction direction) const {
    Bandwidth* bandwidth = settings.bandwidth;
    return bandwidth == nullptr ? SIZE_MAX : bandwidth->available(TransportKind::quic, direction, now);
  }
  uint64_t budget_at(Direction direction) const {
    return settings.bandwidth->ready_at(TransportKind::quic, direction, now);
  }
  void spend(Direction direction, size_t bytes) const {
    if (settings.bandwidth != nullptr) settings.bandwidth->spend(TransportKind::quic, direction, bytes, now);
  }

  ngtcp2_tstamp timestamp() const { return now.mono_us * 1000; }

  // Where a packet of the path whose near end is `local` leaves from; `other` when that is gone.
  QuicSocket& socket_at(const IpEndpoint& local, QuicSocket& other) {
    if (local == other.local) return other;
    for (QuicSocket& socket : sockets) {
      if (socket.id != 0 && socket.local == local) return socket;
    }
    return other;
  }

  // Sends, or keeps the batch for when the socket is writable. Only while the socket is not blocked.
  void send(QuicSocket& socket, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment) {
    stats.bytes_sent += data.size();
    spend(Direction::up, data.size());
    if (datagrams.send(socket.id, to, ecn, data, segment)) return;
    socket.blocked = true;
    socket.waiting = {to, ecn, segment, to_bytes(data)};
  }

  void log(LogLevel level, std::string_view message) const {
    if (logger != nullptr && logger->enabled(level)) logger->write(level, "net", message);
  }
};

}  // namespace sereus::net
