#include "core/net/tcp_host.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/net/cancel_dial.h"
#include "core/net/listen_address.h"
#include "core/net/multiaddr.h"
#include "core/net/tls_channel.h"
#include "core/net/transport_address.h"
#include "core/net/web_tls_channel.h"
#include "core/net/websocket_channel.h"
#include "core/net/wolfssl_scope.h"

namespace sereus::net {
namespace {

constexpr std::array kKinds{TransportKind::tcp, TransportKind::ws, TransportKind::wss};
constexpr std::string_view kForm = "/ip4|ip6/.../tcp/..., also with /ws or /tls/ws";

std::optional<IpEndpoint> endpoint_of(const std::optional<TcpAddress>& address) {
  return address ? std::optional(address->endpoint) : std::nullopt;
}

}  // namespace

std::string_view protocol_of(TcpSecurity security) {
  switch (security) {
    case TcpSecurity::tls:
      return kTlsProtocol;
    case TcpSecurity::noise:
      return kNoiseProtocol;
  }
  return {};
}

TcpHost::TcpHost(const crypto::KeyPair& device, Random& random, Logger* logger, const TcpSettings& settings)
    : core_(device, random, logger), peer_id_(PeerId::from_device_key(device.device_key())) {
  core_.settings = settings;
  for (const TcpSecurity security : settings.security) core_.security.emplace_back(protocol_of(security));
}

Result<std::unique_ptr<TcpHost>> TcpHost::create(const crypto::KeyPair& device, Random& random, Logger* logger,
                                                 const TcpSettings& settings, const TlsIdentity* identity) {
  const auto& security = settings.security;
  if (security.empty()) return fail(Code::invalid, "no security protocol is allowed");
  if (settings.websocket.origins.size() > kWebSocketOriginsMax) return fail(Code::too_large, "too many origins");
  std::unique_ptr<TcpHost> host(new TcpHost(device, random, logger, settings));
  if (std::find(security.begin(), security.end(), TcpSecurity::tls) == security.end()) return host;
  TlsIdentity fresh;
  if (identity == nullptr) {
    SEREUS_ASSIGN(fresh, make_tls_identity(device, random));
    identity = &fresh;
  }
  const WolfsslScope scope(random, 0);
  SEREUS_ASSIGN(host->core_.tls, TlsContext::create(*identity));
  return host;
}

TcpHost::~TcpHost() {
  for (const auto& [id, connection] : connections_) core_.links->close(connection->link());
  for (const Listener& listener : listeners_) core_.links->stop_listening(listener.id);
}

void TcpHost::advance(const Times& now) {
  core_.now.mono_us = std::max(core_.now.mono_us, now.mono_us);
  core_.now.wall_us = now.wall_us;
}

TcpConnection* TcpHost::find(ConnectionId id) {
  const auto at = connections_.find(id);
  return at == connections_.end() ? nullptr : at->second.get();
}

TcpConnection* TcpHost::of_link(LinkId link) {
  const auto at = by_link_.find(link);
  return at == by_link_.end() ? nullptr : find(at->second);
}

TcpStream* TcpHost::find_stream(StreamId id) {
  const auto at = core_.streams.find(id);
  return at == core_.streams.end() ? nullptr : at->second;
}

TcpConnection& TcpHost::add(LinkId link, TcpAddress remote, TcpConnection::Dial dial,
                            std::vector<std::unique_ptr<Channel>> outer) {
  const ConnectionId id = ++last_connection_;
  auto made = std::make_unique<TcpConnection>(core_, id, link, std::move(remote), std::move(dial), std::move(outer));
  TcpConnection& connection = *made;
  connections_.emplace(id, std::move(made));
  by_link_.emplace(link, id);
  return connection;
}

// ---- The driver -----------------------------------------------------------------------------------------------------

void TcpHost::on_accepted(ListenerId listener, LinkId link, const IpEndpoint& /*local*/, const IpEndpoint& remote) {
  const auto at =
      std::find_if(listeners_.begin(), listeners_.end(), [&](const Listener& l) { return l.id == listener; });
  const TcpWrap wrap = at == listeners_.end() ? TcpWrap::none : at->local.wrap;
  const TransportKind kind = transport_of(wrap);
  // Who is turned away here has cost a descriptor for a moment and nothing else.
  AcceptGate* gate = core_.settings.gate;
  const bool full =
      connections_.size() >= core_.settings.connections_max || core_.half_open >= core_.settings.half_open_max;
  if (full && gate != nullptr) gate->on_half_open_refused(kind, remote, core_.now);
  if (closed_ || full || (gate != nullptr && !gate->admit(kind, remote, core_.now))) {
    core_.links->close(link);
    return;
  }
  auto stages = stages_for_listening(wrap);
  if (!stages.ok()) {
    core_.links->close(link);
    return;
  }
  add(link, {remote, wrap, {}}, {}, std::move(*stages));
}

void TcpHost::on_connected(LinkId link, const IpEndpoint& /*local*/) {
  if (TcpConnection* connection = of_link(link)) connection->on_connected();
}

void TcpHost::on_readable(LinkId link) {
  if (TcpConnection* connection = of_link(link)) connection->on_readable();
}

void TcpHost::on_writable(LinkId link) {
  if (TcpConnection* connection = of_link(link)) connection->on_writable();
}

void TcpHost::on_closed(LinkId link, const Error& reason) {
  if (TcpConnection* connection = of_link(link)) connection->on_link_closed(reason);
}

// ---- Listening and dialing ------------------------------------------------------------------------------------------

Status TcpHost::listen(std::string_view multiaddr) {
  if (closed_) return fail(Code::closed, "the host is closed");
  SEREUS_ASSIGN(const Multiaddr address, parse_listen_address(multiaddr, peer_id_));
  const auto wanted = TcpAddress::of(address);
  SEREUS_ASSIGN(const IpEndpoint endpoint, listen_endpoint(endpoint_of(wanted), kForm));
  if (listeners_.size() >= kTcpListenersMax) return fail(Code::too_large, "too many sockets");
  const auto& certificate = core_.settings.websocket.certificate;
  if (wanted->wrap == TcpWrap::wss && (!certificate || !certificate->loaded())) {
    return fail(Code::invalid, "secure WebSocket needs a server certificate, and none is configured");
  }
  SEREUS_ASSIGN(const Links::Listening listening, core_.links->listen(endpoint));
  listeners_.push_back({listening.listener, {listening.local, wanted->wrap, wanted->name}});
  return {};
}

std::vector<std::string> TcpHost::listen_addresses() const {
  std::vector<std::string> out;
  for (const Listener& listener : listeners_) {
    for (const IpEndpoint& endpoint : reachable_endpoints(listener.local.endpoint, interfaces_)) {
      out.push_back(TcpAddress{endpoint, listener.local.wrap, listener.local.name}.multiaddr().to_string());
    }
  }
  return out;
}

Result<uint64_t> TcpHost::dial(std::string_view multiaddr, const PeerId& peer) {
  if (closed_) return fail(Code::closed, "the host is closed");
  SEREUS_ASSIGN(const Multiaddr address, parse_dial_address(multiaddr, peer));
  const auto remote = TcpAddress::of(address);
  SEREUS_TRY(dial_endpoint(endpoint_of(remote), kForm));
  if (remote->wrap == TcpWrap::wss && !core_.settings.websocket.trust) {
    return fail(Code::unsupported, "it is not configured who is trusted to sign certificates of secure WebSocket");
  }
  if (pending_dials_.size() + core_.half_open >= kDialsMax) return fail(Code::again, "too many dials under way");
  // The connection begins in step(), which knows the time.
  pending_dials_.push_back({++last_dial_, *remote, peer});
  return last_dial_;
}

void TcpHost::start_dials() {
  for (const PendingDial& dial : std::exchange(pending_dials_, {})) {
    if (connections_.size() >= core_.settings.connections_max) {
      dial_failed(dial.id, fail(Code::too_large, "too many connections"));
      continue;
    }
    auto stages = stages_for_dialing(dial.remote);
    if (!stages.ok()) {
      dial_failed(dial.id, stages.error());
      continue;
    }
    const Result<LinkId> link = core_.links->connect(dial.remote.endpoint);
    if (!link.ok()) {
      dial_failed(dial.id, link.error());
      continue;
    }
    add(*link, dial.remote, {dial.id, dial.peer}, std::move(*stages));
  }
}

// What wraps the bytes of connections, the stage next to the link first.
Result<std::vector<std::unique_ptr<Channel>>> TcpHost::stages_for_listening(TcpWrap wrap) {
  const WebSocketSettings& settings = core_.settings.websocket;
  std::vector<std::unique_ptr<Channel>> out;
  if (wrap == TcpWrap::none) return out;
  if (wrap == TcpWrap::wss) {
    SEREUS_ASSIGN(out.emplace_back(), WebTlsChannel::server(settings.certificate->context(), core_.random, core_.now));
  }
  out.push_back(WebSocketChannel::server(settings.origins, core_.random, core_.now));
  return out;
}

Result<std::vector<std::unique_ptr<Channel>>> TcpHost::stages_for_dialing(const TcpAddress& remote) {
  std::vector<std::unique_ptr<Channel>> out;
  if (remote.wrap == TcpWrap::none) return out;
  if (remote.wrap == TcpWrap::wss) {
    TlsTrust& trust = *core_.settings.websocket.trust;
    SEREUS_ASSIGN(WebTlsContext context, trust.context());
    using Verify = WebTlsChannel::Verify;
    const Verify dates = core_.settings.clock_suspect ? Verify::all_but_dates : Verify::all;
    SEREUS_ASSIGN(out.emplace_back(),
                  WebTlsChannel::client(std::move(context), trust.verifies() ? dates : Verify::nothing, remote,
                                        core_.random, core_.now));
  }
  out.push_back(WebSocketChannel::client(remote.host_field(), core_.random, core_.now));
  return out;
}

// ---- The application ------------------------------------------------------------------------------------------------

void TcpHost::cancel_dial(uint64_t dial) { cancel_dial_of(dial, pending_dials_, connections_, core_.events); }

void TcpHost::disconnect(ConnectionId connection, Code reason) {
  if (TcpConnection* found = find(connection)) found->disconnect(reason);
}

Result<StreamId> TcpHost::open_stream(ConnectionId connection, std::string_view protocol) {
  if (!valid_protocol_name(protocol)) return fail(Code::invalid, "not a protocol name");
  TcpConnection* found = find(connection);
  if (found == nullptr) return fail(Code::closed, "the connection is closed");
  return found->open_stream(protocol);
}

Result<size_t> TcpHost::write(StreamId stream, ByteView data) {
  TcpStream* found = find_stream(stream);
  if (found == nullptr) return fail(Code::closed, "the stream is closed");
  return found->connection.write(*found, data);
}

Result<Host::ReadResult> TcpHost::read(StreamId stream, ByteSpan out) {
  TcpStream* found = find_stream(stream);
  if (found == nullptr) return fail(Code::closed, "the stream is closed");
  return found->connection.read(*found, out);
}

void TcpHost::finish(StreamId stream) {
  if (TcpStream* found = find_stream(stream)) found->connection.finish(*found);
}

void TcpHost::reset(StreamId stream) {
  if (TcpStream* found = find_stream(stream)) found->connection.reset(*found);
}

void TcpHost::network_changed(const Times& now) {
  advance(now);
  for (const auto& [id, connection] : connections_) connection->probe();
}

// Limits of bandwidth: whoever waits has a turn, as far as they allow.
void TcpHost::serve_turns() {
  first_kind_ = (first_kind_ + 1) % kKinds.size();  // under a limit of the total no kind is always the first
  for (size_t i = 0; i < kKinds.size(); ++i) {
    const TransportKind kind = kKinds[(first_kind_ + i) % kKinds.size()];
    for (const Direction direction : {Direction::up, Direction::down}) {
      std::deque<ConnectionId>& turns = core_.turns_of(kind, direction);
      for (size_t left = turns.size(); left > 0 && core_.budget(kind, direction) > 0; --left) {
        TcpConnection* connection = find(turns.front());
        turns.pop_front();
        if (connection != nullptr && connection->take_turn(direction)) connection->mark_dirty();
      }
    }
  }
}

uint64_t TcpHost::next_turn() {
  uint64_t next = kNever;
  for (const TransportKind kind : kKinds) {
    for (const Direction direction : {Direction::up, Direction::down}) {
      if (!core_.turns_of(kind, direction).empty()) next = std::min(next, core_.budget_at(kind, direction));
    }
  }
  return next;
}

void TcpHost::begin_negotiations() {
  for (const StreamId id : std::exchange(core_.opened, {})) {
    if (TcpStream* stream = find_stream(id)) stream->connection.begin_negotiation(*stream);
  }
}

uint64_t TcpHost::step(const Times& now) {
  advance(now);
  begin_negotiations();
  if (!closed_) start_dials();
  serve_turns();
  while (core_.timers.next_us() <= core_.now.mono_us) {
    TcpConnection* connection = find(core_.timers.front()->order);
    core_.timers.remove(*core_.timers.front());
    connection->mark_dirty();
  }
  std::vector<ConnectionId> again;
  for (const ConnectionId id : std::exchange(core_.dirty, {})) {
    TcpConnection* connection = find(id);
    if (connection == nullptr) continue;
    if (connection->step()) again.push_back(id);
    if (!connection->ended()) continue;
    by_link_.erase(connection->link());
    connections_.erase(id);
  }
  for (const ConnectionId id : again) find(id)->mark_dirty();
  return again.empty() ? std::min(core_.timers.next_us(), next_turn()) : core_.now.mono_us;
}

std::optional<HostEvent> TcpHost::next_event() {
  if (core_.events.empty()) return std::nullopt;
  HostEvent event = std::move(core_.events.front());
  core_.events.pop_front();
  if (!core_.stalled.empty() && core_.events.size() < kEventsMax / 2) {
    for (const ConnectionId id : std::exchange(core_.stalled, {})) {
      if (TcpConnection* connection = find(id)) connection->mark_dirty();
    }
  }
  return event;
}

uint64_t TcpHost::buffered(ConnectionId connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? 0 : found->second->buffered();
}

Host::StreamBuffer TcpHost::largest_buffer(ConnectionId connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? StreamBuffer() : found->second->largest_buffer();
}

HostStats TcpHost::stats() const {
  HostStats out = core_.stats;
  out.streams = core_.streams.size();
  out.connections = connections_.size() - std::min(core_.half_open, connections_.size());
  return out;
}

void TcpHost::close(const Times& now) {
  advance(now);
  closed_ = true;
  for (const Listener& listener : std::exchange(listeners_, {})) core_.links->stop_listening(listener.id);
  for (const PendingDial& dial : std::exchange(pending_dials_, {})) {
    dial_failed(dial.id, fail(Code::closed, "the host is closed"));
  }
  for (const auto& [id, connection] : connections_) connection->disconnect(Code::ok);
}

}  // namespace sereus::net
