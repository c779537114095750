#include "core/net/quic_host.h"

#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>

#include "core/crypto/hash.h"
#include "core/net/cancel_dial.h"
#include "core/net/listen_address.h"
#include "core/net/transport_address.h"
#include "core/net/wolfssl_scope.h"

namespace sereus::net {
namespace {

constexpr std::string_view kForm = "/ip4|ip6/.../udp/.../quic-v1";

// Whether a socket bound to `local` reaches `remote`.
bool reaches(const IpEndpoint& local, const IpEndpoint& remote) {
  if (local.is_v6 != remote.is_v6) return false;
  return is_unspecified(local) || is_loopback(local) == is_loopback(remote);
}

}  // namespace

QuicHost::QuicHost(Datagrams& datagrams, Random& random, Logger* logger, const QuicSettings& settings)
    : core_(datagrams, random, logger) {
  core_.settings = settings;
}

Result<std::unique_ptr<QuicHost>> QuicHost::create(const crypto::KeyPair& device, Datagrams& datagrams, Random& random,
                                                   Logger* logger, const QuicSettings& settings,
                                                   const TlsIdentity* identity) {
  std::unique_ptr<QuicHost> host(new QuicHost(datagrams, random, logger, settings));
  host->peer_id_ = PeerId::from_device_key(device.device_key());
  // Signatures are deterministic and secret, so this one serves as the static key of RFC 9000 10.3.2: after a restart the
  // host still recognises the ids it gave out before.
  const Signature seed = device.sign_in_context("sereus quic stateless reset", {});
  host->core_.reset_secret = crypto::sha256(seed.view()).bytes;
  random.fill(host->retry_secret_);
  TlsIdentity fresh;
  if (identity == nullptr) {
    SEREUS_ASSIGN(fresh, make_tls_identity(device, random));
    identity = &fresh;
  }
  const WolfsslScope scope(random, 0);
  SEREUS_ASSIGN(host->core_.tls, make_quic_tls_context(*identity));
  return host;
}

QuicHost::~QuicHost() {
  const WolfsslScope scope(core_.random, core_.now.wall_us);
  connections_.clear();
  for (const QuicSocket& socket : core_.sockets) {
    if (socket.id != 0) core_.datagrams.close(socket.id);
  }
}

void QuicHost::advance(const Times& now) {
  // Never back: ngtcp2 and the timers rely on it.
  core_.now.mono_us = std::max(core_.now.mono_us, now.mono_us);
  core_.now.wall_us = now.wall_us;
}

QuicSocket* QuicHost::find_socket(SocketId id) {
  if (id == 0) return nullptr;  // a free place
  for (QuicSocket& socket : core_.sockets) {
    if (socket.id == id) return &socket;
  }
  return nullptr;
}

QuicConnection* QuicHost::find_connection(ConnectionId id) {
  const auto it = connections_.find(id);
  return it == connections_.end() ? nullptr : it->second.get();
}

QuicStream* QuicHost::find_stream(StreamId id) {
  const auto it = core_.streams.find(id);
  return it == core_.streams.end() ? nullptr : it->second;
}

Result<QuicSocket*> QuicHost::bind(const IpEndpoint& local, bool listening) {
  const bool place =
      std::any_of(core_.sockets.begin(), core_.sockets.end(), [](const QuicSocket& s) { return s.id == 0; });
  if (!place && core_.sockets.size() >= kSocketsMax) return fail(Code::too_large, "too many sockets");
  SEREUS_ASSIGN(const Datagrams::Bound bound, core_.datagrams.bind(local));
  // In the place of one that was closed, if there is any: connections keep pointers, so places stay.
  QuicSocket fresh{bound.socket, bound.local, listening, false, false, {}};
  for (QuicSocket& socket : core_.sockets) {
    if (socket.id == 0) return &(socket = std::move(fresh));
  }
  core_.sockets.push_back(std::move(fresh));
  return &core_.sockets.back();
}

Result<QuicSocket*> QuicHost::socket_for(const IpEndpoint& remote) {
  // A listening socket first: the peer then sees the address others can dial, and a NAT binding serves both.
  for (const bool listening : {true, false}) {
    for (QuicSocket& socket : core_.sockets) {
      if (socket.id == 0 || socket.retired) continue;
      if (socket.listening == listening && reaches(socket.local, remote)) return &socket;
    }
  }
  IpEndpoint any;
  any.is_v6 = remote.is_v6;
  return bind(any, false);
}

Status QuicHost::listen(std::string_view multiaddr) {
  if (core_.closed) return fail(Code::closed, "the host is closed");
  SEREUS_ASSIGN(const Multiaddr address, parse_listen_address(multiaddr, peer_id_));
  SEREUS_ASSIGN(const IpEndpoint endpoint, listen_endpoint(address.quic_endpoint(), kForm));
  SEREUS_ASSIGN(QuicSocket * socket, bind(endpoint, true));
  core_.log(LogLevel::info, "listening on " + to_string(socket->local));
  return {};
}

std::vector<std::string> QuicHost::listen_addresses() const {
  std::vector<std::string> out;
  for (const QuicSocket& socket : core_.sockets) {
    if (!socket.listening) continue;
    for (const IpEndpoint& endpoint : reachable_endpoints(socket.local, interfaces_)) {
      out.push_back(Multiaddr::quic(endpoint).to_string());
    }
  }
  return out;
}

void QuicHost::set_interface_addresses(std::vector<IpEndpoint> addresses) { interfaces_ = std::move(addresses); }
void QuicHost::set_clock_suspect(bool suspect) { core_.settings.clock_suspect = suspect; }

void QuicHost::set_protocols(std::vector<std::string> protocols) { core_.protocols = std::move(protocols); }

Result<uint64_t> QuicHost::dial(std::string_view multiaddr, const PeerId& peer) {
  if (core_.closed) return fail(Code::closed, "the host is closed");
  SEREUS_ASSIGN(const Multiaddr address, parse_dial_address(multiaddr, peer));
  SEREUS_ASSIGN(const IpEndpoint endpoint, dial_endpoint(address.quic_endpoint(), kForm));
  if (pending_dials_.size() + core_.dialing >= kDialsMax) return fail(Code::again, "too many dials under way");
  // The connection begins in step(), which knows the time.
  pending_dials_.push_back({++last_dial_, endpoint, peer});
  return last_dial_;
}

// Dials leave from a listening socket in any case, see socket_for().
Result<uint64_t> QuicHost::dial_punching(std::string_view multiaddr, const PeerId& peer, PunchRole role) {
  if (role == PunchRole::client) return dial(multiaddr, peer);
  return fail(Code::unsupported, "the server's part in punching holes for QUIC is to send probes");
}

Status QuicHost::send_probe(std::string_view multiaddr) {
  if (core_.closed) return fail(Code::closed, "the host is closed");
  SEREUS_ASSIGN(const Multiaddr address, Multiaddr::parse(multiaddr));
  SEREUS_ASSIGN(const IpEndpoint remote, dial_endpoint(address.quic_endpoint(), kForm));
  for (QuicSocket& socket : core_.sockets) {
    if (socket.id == 0 || !socket.listening || !reaches(socket.local, remote)) continue;
    if (socket.blocked || !socket.waiting.data.empty()) return fail(Code::again, "the socket is full");
    std::array<uint8_t, kProbeBytes> probe{};
    core_.random.fill(probe);
    // Neither a long nor a short header (RFC 9000 section 17): whoever gets it drops it and answers nothing.
    probe[0] &= 0x3f;
    send_now(socket, remote, probe);
    return {};
  }
  return fail(Code::not_found, "nothing listens here that reaches such an address");
}

void QuicHost::start_dials() {
  while (!pending_dials_.empty()) {
    const PendingDial dial = std::move(pending_dials_.front());
    pending_dials_.pop_front();
    const auto refuse = [&](Error error) { core_.events.emplace_back(DialFailed{dial.id, std::move(error)}); };
    if (connections_.size() >= core_.settings.connections_max) {
      refuse(fail(Code::too_large, "too many connections"));
      continue;
    }
    const auto socket = socket_for(dial.remote);
    if (!socket) {
      refuse(socket.error());
      continue;
    }
    const ConnectionId id = ++last_connection_;
    auto connection = QuicConnection::client(core_, id, {dial.id, dial.peer, dial.remote, *socket});
    if (!connection) {
      refuse(connection.error());
      continue;
    }
    connections_.emplace(id, std::move(connection).value());
  }
}

void QuicHost::cancel_dial(uint64_t dial) { cancel_dial_of(dial, pending_dials_, connections_, core_.events); }

void QuicHost::disconnect(ConnectionId connection, Code reason) {
  if (QuicConnection* found = find_connection(connection)) found->disconnect(reason);
}

Result<StreamId> QuicHost::open_stream(ConnectionId connection, std::string_view protocol) {
  if (!valid_protocol_name(protocol)) return fail(Code::invalid, "not a protocol name");
  QuicConnection* found = find_connection(connection);
  if (found == nullptr) return fail(Code::closed, "the connection is closed");
  return found->open_stream(protocol);
}

Result<size_t> QuicHost::write(StreamId stream, ByteView data) {
  QuicStream* found = find_stream(stream);
  if (found == nullptr) return fail(Code::closed, "the stream is closed");
  return found->connection.write(*found, data);
}

Result<Host::ReadResult> QuicHost::read(StreamId stream, ByteSpan out) {
  QuicStream* found = find_stream(stream);
  if (found == nullptr) return fail(Code::closed, "the stream is closed");
  return found->connection.read(*found, out);
}

void QuicHost::finish(StreamId stream) {
  if (QuicStream* found = find_stream(stream)) found->connection.finish(*found);
}

void QuicHost::reset(StreamId stream) {
  if (QuicStream* found = find_stream(stream)) found->connection.reset(*found);
}

void QuicHost::on_datagram(SocketId socket_id, const IpEndpoint& /*local*/, const IpEndpoint& remote, Ecn ecn,
                           ByteView datagram, const Times& now) {
  advance(now);
  // The path's local end is the bound address, also where the system knows better: Datagrams::send() cannot choose one.
  QuicSocket* socket = find_socket(socket_id);
  core_.stats.bytes_received += datagram.size();
  const uint64_t stream_bytes = core_.stream_bytes;
  if (socket == nullptr || datagram.empty() || core_.closed || core_.events.size() >= kEventsMax) return;
  const WolfsslScope scope(core_.random, core_.now.wall_us);
  ngtcp2_version_cid header{};
  const int error = ngtcp2_pkt_decode_version_cid(&header, datagram.data(), datagram.size(), kQuicCidLength);
  if (error == NGTCP2_ERR_VERSION_NEGOTIATION) {
    if (socket->listening) send_version_negotiation(*socket, remote, header);
    return;
  }
  if (error != 0 || header.dcidlen > NGTCP2_MAX_CIDLEN) return;
  const auto known = core_.cids.find(Cid::from(ByteView(header.dcid, header.dcidlen)));
  if (known == core_.cids.end()) {
    on_stray(*socket, remote, ecn, datagram, header);
    return;
  }
  if (QuicConnection* connection = find_connection(known->second)) {
    connection->read(*socket, remote, ecn, datagram);
    // What it carried for streams was paid for with the window; the rest, and what came again, is paid for here.
    core_.spend(Direction::down, datagram.size() - static_cast<size_t>(std::min<uint64_t>(
                                                       core_.stream_bytes - stream_bytes, datagram.size())));
  } else if (const auto it = lingering_.find(known->second); it != lingering_.end()) {
    on_lingering(it->second);
  }
}

void QuicHost::on_writable(SocketId socket) {
  if (QuicSocket* found = find_socket(socket)) found->blocked = false;
}

void QuicHost::on_unreachable(SocketId socket, const IpEndpoint& remote) {
  for (const auto& [id, connection] : connections_) {
    if (connection->socket().id == socket && connection->remote() == remote) connection->unreachable();
  }
}

void QuicHost::flush_sockets() {
  for (QuicSocket& socket : core_.sockets) {
    if (socket.blocked || socket.waiting.data.empty()) continue;
    const auto& batch = socket.waiting;
    if (core_.datagrams.send(socket.id, batch.to, batch.ecn, batch.data, batch.segment)) {
      socket.waiting = {};
    } else {
      socket.blocked = true;
    }
  }
}

void QuicHost::remove(ConnectionId id) {
  const auto it = connections_.find(id);
  QuicLingering rest = it->second->linger();
  if (!rest.close_packet.empty() && !rest.socket->blocked) {
    core_.send(*rest.socket, rest.remote, Ecn::not_ect, rest.close_packet, rest.close_packet.size());
  }
  connections_.erase(it);
  if (rest.cids.empty()) return;
  if (lingering_.size() >= kLingeringMax) forget_lingering(lingering_ends_.begin()->second);
  lingering_ends_.emplace(rest.until_us, id);
  lingering_.emplace(id, std::move(rest));
}

void QuicHost::forget_lingering(ConnectionId id) {
  const auto it = lingering_.find(id);
  for (const Cid& cid : it->second.cids) core_.cids.erase(cid);
  lingering_ends_.erase({it->second.until_us, id});
  lingering_.erase(it);
}

bool QuicHost::in_use(const QuicSocket& socket) const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [&](const auto& item) { return &item.second->socket() == &socket; }) ||
         std::any_of(lingering_.begin(), lingering_.end(),
                     [&](const auto& item) { return item.second.socket == &socket; });
}

// Those of the last change are still there for what was on its way; those of changes before are closed when nothing is left
// on them.
void QuicHost::retire_sockets() {
  for (QuicSocket& socket : core_.sockets) {
    if (socket.id == 0 || socket.listening) continue;
    if (socket.retired && !in_use(socket)) {
      core_.datagrams.close(socket.id);
      socket = {};
    } else {
      socket.retired = true;
    }
  }
}

// Sockets that only dial are replaced, and their connections move. A listening socket stays, since others know its port: what
// goes out by it takes the new way by itself, and the peers follow as after a rebinding of a NAT.
void QuicHost::network_changed(const Times& now) {
  if (core_.closed) return;
  advance(now);
  const WolfsslScope scope(core_.random, core_.now.wall_us);
  retire_sockets();
  for (const auto& [id, connection] : connections_) {
    if (!connection->is_client() || connection->socket().listening || !connection->connected()) {
      connection->probe();
      continue;
    }
    const auto socket = socket_for(connection->remote());
    if (socket.ok() && !(*socket)->listening) {
      connection->move_to(**socket);
    } else {
      connection->probe();
    }
  }
}

// A connection's turn, unless a limit of bandwidth makes it wait for one.
bool QuicHost::write(QuicConnection& connection) {
  if (!core_.limited(Direction::up)) return connection.write();
  if (core_.waiting_up.empty() && core_.budget(Direction::up) > 0) {
    if (!connection.write(kQuicTurnBytes) || connection.ended()) return false;
  }
  if (!std::exchange(connection.waits_up, true)) core_.waiting_up.push_back(connection.id());
  connection.park();
  return false;
}

void QuicHost::serve_waiting() {
  for (size_t left = core_.waiting_up.size(); left > 0 && core_.budget(Direction::up) > 0; --left) {
    const ConnectionId id = core_.waiting_up.front();
    core_.waiting_up.pop_front();
    QuicConnection* connection = find_connection(id);
    if (connection == nullptr) continue;
    connection->waits_up = false;
    const bool more = !connection->ended() && !connection->socket().blocked && connection->write(kQuicTurnBytes);
    if (more && !connection->ended()) {
      connection->waits_up = true;
      core_.waiting_up.push_back(id);
    } else if (connection->ended() || connection->socket().blocked) {
      connection->mark_dirty();
    }
  }
  for (size_t left = core_.waiting_down.size(); left > 0; --left) {
    const size_t budget = core_.budget(Direction::down);
    if (budget == 0) break;
    const ConnectionId id = core_.waiting_down.front();
    core_.waiting_down.pop_front();
    QuicConnection* connection = find_connection(id);
    if (connection == nullptr || connection->ended()) continue;
    connection->waits_down = connection->open_window(std::min(budget, kQuicTurnBytes));
    if (connection->waits_down) core_.waiting_down.push_back(id);
  }
}

uint64_t QuicHost::next_turn() const {
  uint64_t next = kNever;
  if (!core_.waiting_up.empty()) next = core_.budget_at(Direction::up);
  if (!core_.waiting_down.empty()) next = std::min(next, core_.budget_at(Direction::down));
  return next;
}

// Gives every connection that may have something to send its share. True when some have more and could go on.
bool QuicHost::write_connections() {
  bool more = false;
  const std::vector<ConnectionId> round = std::exchange(core_.dirty, {});
  std::vector<ConnectionId> again;
  for (const ConnectionId id : round) {
    QuicConnection* connection = find_connection(id);
    if (connection == nullptr) continue;
    if (!connection->ended() && write(*connection)) again.push_back(id);
    if (connection->ended()) {
      remove(id);
    } else if (connection->socket().blocked) {
      connection->mark_dirty();  // once the socket takes datagrams again
    }
  }
  for (const ConnectionId id : again) {
    QuicConnection* connection = find_connection(id);
    if (connection == nullptr || connection->socket().blocked) continue;
    connection->mark_dirty();
    more = true;
  }
  return more;
}

void QuicHost::begin_negotiations() {
  for (const StreamId id : std::exchange(core_.opened, {})) {
    if (QuicStream* stream = find_stream(id)) stream->connection.begin_negotiation(*stream);
  }
}

uint64_t QuicHost::step(const Times& now) {
  advance(now);
  begin_negotiations();
  const WolfsslScope scope(core_.random, core_.now.wall_us);
  flush_sockets();
  if (!core_.closed) start_dials();
  while (core_.timers.next_us() <= core_.now.mono_us) {
    QuicConnection* connection = find_connection(core_.timers.front()->order);
    core_.timers.remove(*core_.timers.front());
    connection->on_timer();
  }
  serve_waiting();
  const bool more = write_connections();
  while (!lingering_ends_.empty() && lingering_ends_.begin()->first <= core_.now.mono_us) {
    forget_lingering(lingering_ends_.begin()->second);
  }
  if (more) return core_.now.mono_us;
  const uint64_t lingering_us = lingering_ends_.empty() ? kNever : lingering_ends_.begin()->first;
  return std::min({core_.timers.next_us(), lingering_us, next_turn()});
}

std::optional<HostEvent> QuicHost::next_event() {
  if (core_.events.empty()) return std::nullopt;
  HostEvent event = std::move(core_.events.front());
  core_.events.pop_front();
  return event;
}

uint64_t QuicHost::buffered(ConnectionId connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? 0 : found->second->buffered();
}

Host::StreamBuffer QuicHost::largest_buffer(ConnectionId connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? StreamBuffer() : found->second->largest_buffer();
}

HostStats QuicHost::stats() const {
  HostStats out = core_.stats;
  for (const auto& [id, connection] : connections_) {
    if (!connection->connected()) continue;
    ++out.connections;
    out.streams += connection->stream_count();
  }
  return out;
}

void QuicHost::close(const Times& now) {
  if (core_.closed) return;
  advance(now);
  const WolfsslScope scope(core_.random, core_.now.wall_us);
  core_.closed = true;
  for (const PendingDial& dial : std::exchange(pending_dials_, {})) {
    core_.events.emplace_back(DialFailed{dial.id, fail(Code::closed, "the host was closed")});
  }
  for (const auto& [id, connection] : connections_) connection->disconnect(Code::ok);
  flush_sockets();
  write_connections();
}

}  // namespace sereus::net
