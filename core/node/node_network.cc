#include <algorithm>

#include "core/net/multiaddr.h"
#include "core/node/node_impl.h"

namespace sereus::node {
namespace {

constexpr uint32_t kPeerConnected = 1;
constexpr uint32_t kPeerDisconnected = 2;
constexpr size_t kEarlyStreamsPerConnection = 16;  // streams that have not said yet what they want

}  // namespace

// ---- Online and offline -----------------------------------------------------------------------------------------------

Status NodeImpl::go_online() {
  if (host_) return {};
  const HostSettings& wanted = app_hosts_.own().settings();
  SEREUS_TRY(check_host_settings(wanted));
  SEREUS_ASSIGN(net::SwarmParts parts, context_.ports.hosts->make_host(keystore_->device_seed(), wanted));
  // When to try a peer again is the node's to say.
  net::SwarmSettings settings = *swarm_settings(wanted);
  settings.dial.backoff_us = 0;
  settings.dial.backoff_max_us = 0;
  host_ = std::make_unique<net::Swarm>(std::move(parts), keystore_->device(), *context_.ports.random, settings);
  host_->set_clock_suspect(context_.clock_suspect);
  app_hosts_.own().attach(*host_, {store::kSyncProtocol, kJoinProtocol});
  Status last = fail(Code::invalid, "there is no address to listen on");
  bool listening = config_.listen.empty();
  for (const std::string& address : config_.listen) {
    last = listen_on(address);
    if (last.ok()) {
      listening = true;
    } else {
      context_.log(LogLevel::warn, "cannot listen on " + address + ": " + last.error().detail);
    }
  }
  if (!listening) {
    app_hosts_.own().detach(Code::closed);
    host_.reset();
    return last;
  }
  app_hosts_.own().tell_listening();
  for (auto& [device, known] : peers_) known.dial_at = context_.now.mono_us;
  publish();
  return {};
}

// A port that is drawn stays: tried first the next time, so that what peers and invites know stays true.
Status NodeImpl::listen_on(const std::string& address) {
  const auto wanted = net::Multiaddr::parse(address);
  if (!wanted.ok() || wanted->port() != 0) return host_->listen(address);
  if (const auto port = ports_.find(address); port != ports_.end()) {
    if (host_->listen(wanted->with_port(port->second).to_string()).ok()) return {};
  }
  const std::vector<std::string> before = host_->listen_addresses();
  SEREUS_TRY(host_->listen(address));
  for (const std::string& now : host_->listen_addresses()) {
    if (std::find(before.begin(), before.end(), now) != before.end()) continue;
    const auto parsed = net::Multiaddr::parse(now);
    const auto port = parsed.ok() ? parsed->port() : std::nullopt;
    if (!port) continue;
    ports_[address] = *port;
    context_.run(
        JobQueue::writer, [db = db_, address, drawn = *port] { (void)db->set_port(address, drawn); }, [] {});
    break;
  }
  return {};
}

void NodeImpl::go_offline(Code why) {
  app_hosts_.go_offline(why);
  publish_due_ = true;
  if (!host_) return;
  app_hosts_.own().detach(why);
  host_->close(context_.now);
  const net::HostStats stats = host_->stats();
  bytes_sent_before_ += stats.bytes_sent;
  bytes_received_before_ += stats.bytes_received;
  sessions_.clear();
  session_streams_.clear();
  early_.clear();
  connections_.clear();
  for (auto& [device, peer] : peers_) {
    peer.connection = 0;
    peer.dialing = 0;
    peer.sessions.clear();
    peer.retries.clear();
  }
  // The next host counts its streams from the beginning: what a join remembers would name another's.
  for (auto& [ref, join] : joins_) {
    join.dial = 0;
    join.connection = 0;
    join.stream = 0;
    if (join.root) continue;
    join.problem = "this node went offline before the issuer of the invite had answered";
    join.deadline = 0;
  }
  host_.reset();
  publish();
}

// The machine woke, or its network is another. The hosts notice some of it by themselves: on_notice() dials.
void NodeImpl::network_changed() {
  app_hosts_.network_changed();
  if (host_) host_->network_changed(context_.now);
}

bool NodeImpl::drain_host() {
  bool happened = false;
  while (host_) {
    const std::optional<net::HostEvent> event = host_->next_event();
    if (!event) break;
    happened = true;
    if (app_hosts_.own().on_event(*event)) continue;
    if (const auto* connected = std::get_if<net::Connected>(&*event)) {
      on_connected(*connected);
    } else if (const auto* disconnected = std::get_if<net::Disconnected>(&*event)) {
      on_disconnected(*disconnected);
    } else if (const auto* opened = std::get_if<net::StreamOpened>(&*event)) {
      on_stream_opened(*opened);
    } else if (const auto* readable = std::get_if<net::StreamReadable>(&*event)) {
      pump_stream(readable->stream);
    } else if (const auto* writable = std::get_if<net::StreamWritable>(&*event)) {
      pump_stream(writable->stream);
    } else if (const auto* closed = std::get_if<net::StreamClosed>(&*event)) {
      on_stream_closed(*closed);
    }
  }
  while (host_) {
    const std::optional<net::SwarmNotice> notice = host_->next_notice();
    if (!notice) break;
    happened = true;
    if (!app_hosts_.own().on_notice(*notice)) on_notice(*notice);
  }
  return happened;
}

void NodeImpl::on_notice(const net::SwarmNotice& notice) {
  if (const auto* reached = std::get_if<net::Reached>(&notice)) on_reached(*reached);
  if (const auto* unreached = std::get_if<net::Unreached>(&notice)) on_unreached(*unreached);
  if (!std::holds_alternative<net::NetworkChanged>(notice)) return;
  // Old failures say nothing any more.
  for (auto& [device, peer] : peers_) {
    peer.dial_at = context_.now.mono_us;
    peer.dial_delay_us = kDialBackoffUsMin;
  }
}

// ---- Connections --------------------------------------------------------------------------------------------------------

// Two nodes that dial each other at once get two connections. Both keep the one dialed by the smaller key; of two in the
// same direction the newer, since the older belongs to a process that is gone.
bool NodeImpl::keep_new_connection(const Connection& old, const Connection& fresh) const {
  if (old.incoming == fresh.incoming) return true;
  const bool we_are_smaller = own_device() < fresh.device;
  return fresh.incoming != we_are_smaller;
}

void NodeImpl::on_connected(const net::Connected& event) {
  const auto device = event.peer.device_key();
  Connection connection;
  connection.peer = event.peer;
  connection.address = event.address;
  connection.incoming = event.incoming;
  connection.since = context_.now.mono_us;
  if (device) connection.device = *device;
  const auto joining = std::find_if(joins_.begin(), joins_.end(), [&](const auto& item) {
    return event.dial != 0 && item.second.dial == event.dial;
  });
  const bool member = device && (belongs(*device) || joining != joins_.end());
  size_t strangers = 0;
  for (const auto& [id, other] : connections_) strangers += belongs(other.device) ? 0 : 1;
  // The application's protocols are for anybody; ours are for members.
  const bool for_application = app_hosts_.own().serves() || app_hosts_.own().uses(event.connection);
  if ((!device && !for_application) || connection.device == own_device() || connections_.size() >= kConnectionsMax ||
      (!member && strangers >= (for_application ? kAppStrangersMax : kStrangersMax))) {
    host_->disconnect(event.connection, Code::again);
    return;
  }
  if (device && (member || peers_.contains(*device))) {
    Peer& peer = peer_of(*device);
    if (peer.dialing != 0 && peer.dialing == event.dial) peer.dialing = 0;
    if (peer.connection != 0 && !keep_new_connection(connections_.at(peer.connection), connection)) {
      const net::ConnectionId kept = peer.connection;
      host_->disconnect(event.connection, Code::exists);
      if (joining != joins_.end()) join_connected(joining->second, kept);
      return;
    }
    if (peer.connection != 0) close_connection(peer.connection, Code::exists);
    peer.connection = event.connection;
    peer.dial_delay_us = kDialBackoffUsMin;
    peer.failures = 0;
    peer.problem.clear();
    peer.retries.clear();
  }
  connections_[event.connection] = connection;
  publish_due_ = true;
  if (device && belongs(*device)) {
    host_->protect(event.peer, "member");  // whatever the water marks say
    remember_address(*device, event.address);
    emit_peer(kPeerConnected, *device, event.address, 0);
    ensure_sessions(*device, peer_of(*device));
  }
  if (joining != joins_.end()) join_connected(joining->second, event.connection);
}

// Forgets a connection and what ran over it.
void NodeImpl::drop_connection(net::ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const DeviceKey device = found->second.device;
  const std::string address = found->second.address;
  connections_.erase(found);
  std::vector<net::StreamId> streams;
  for (const auto& [stream, session] : sessions_) {
    if (session->connection == id) streams.push_back(stream);
  }
  for (const net::StreamId stream : streams) end_session(stream, false);
  std::erase_if(early_, [&](const auto& item) { return item.second.connection == id; });
  for (auto& [ref, join] : joins_) {
    if (join.connection == id) {
      join.connection = 0;
      join.stream = 0;
    }
  }
  publish_due_ = true;
  const auto peer = peers_.find(device);
  if (peer == peers_.end() || peer->second.connection != id) return;
  peer->second.connection = 0;
  peer->second.dial_at = context_.now.mono_us + peer->second.dial_delay_us;
  if (belongs(device)) emit_peer(kPeerDisconnected, device, address, 0);
}

void NodeImpl::on_disconnected(const net::Disconnected& event) { drop_connection(event.connection); }

void NodeImpl::close_connection(net::ConnectionId id, Code reason) {
  drop_connection(id);
  if (host_) host_->disconnect(id, reason);
}

void NodeImpl::disconnect_peer(const DeviceKey& device) {
  std::vector<net::ConnectionId> its;
  for (const auto& [id, connection] : connections_) {
    if (connection.device == device) its.push_back(id);
  }
  for (const net::ConnectionId id : its) close_connection(id, Code::denied);
}

// Neither a member, nor joining, nor here for the application.
bool NodeImpl::is_stranger(net::ConnectionId id, const Connection& connection) const {
  if (belongs(connection.device) || app_hosts_.own().serves() || app_hosts_.own().uses(id)) return false;
  return std::none_of(joins_.begin(), joins_.end(), [id](const auto& join) { return join.second.connection == id; });
}

void NodeImpl::disconnect_strangers() {
  std::vector<net::ConnectionId> late;
  for (const auto& entry : connections_) {
    const net::ConnectionId id = entry.first;  // a name that the lambda can capture
    const auto& connection = entry.second;
    if (context_.now.mono_us >= connection.since + kStrangerUs && is_stranger(id, connection)) late.push_back(id);
  }
  for (const net::ConnectionId id : late) close_connection(id, Code::denied);
}

// ---- Dialing --------------------------------------------------------------------------------------------------------------

void NodeImpl::dial_due() {
  if (!host_) return;
  for (auto& [device, peer] : peers_) {
    if (peer.connection != 0 || peer.dialing != 0 || peer.known.addresses.empty()) continue;
    if (context_.now.mono_us < peer.dial_at || !belongs(device)) continue;
    dial_peer(device, peer);
  }
}

void NodeImpl::dial_peer(const DeviceKey& device, Peer& peer) {
  const Result<uint64_t> dial = host_->dial(net::PeerId::from_device_key(device), peer.known.addresses);
  if (!dial.ok()) return dial_failed(device, peer, dial.error());
  peer.dialing = *dial;
}

// Later and later.
void NodeImpl::dial_failed(const DeviceKey& device, Peer& peer, const Error& error) {
  peer.dialing = 0;
  peer.problem = error.detail;
  publish_due_ = true;
  peer.failures += 1;
  // Half of the delay is drawn, so that a whole network coming back does not dial in step.
  const uint64_t half = peer.dial_delay_us / 2;
  peer.dial_at = context_.now.mono_us + half + context_.ports.random->below(half + 1);
  peer.dial_delay_us = std::min(peer.dial_delay_us * 2, kDialBackoffUsMax);
  context_.log(LogLevel::info, "peer " + brief(device.view()) + " cannot be reached: " + error.detail);
}

// A dial that was answered with a connection that there was, or that somebody else's dial made.
void NodeImpl::on_reached(const net::Reached& notice) {
  for (auto& [device, peer] : peers_) {
    if (peer.dialing != notice.dial) continue;
    peer.dialing = 0;
    // A connection that is ending still answers dials: asking at once again would go on until it is gone.
    peer.dial_at = context_.now.mono_us + peer.dial_delay_us;
  }
  for (auto& [ref, join] : joins_) {
    if (join.dial != notice.dial) continue;
    const auto peer = peers_.find(join.invite.issuer);
    const bool kept = peer != peers_.end() && peer->second.connection != 0;
    join_connected(join, kept ? peer->second.connection : notice.connection);
    return;
  }
}

void NodeImpl::on_unreached(const net::Unreached& notice) {
  for (auto& [ref, join] : joins_) {
    if (join.dial != notice.dial) continue;
    join.dial = 0;
    join.problem = notice.error.detail;
    join.deadline = 0;
    return;
  }
  for (auto& [device, peer] : peers_) {
    if (peer.dialing == notice.dial) return dial_failed(device, peer, notice.error);
  }
}

// ---- Streams ----------------------------------------------------------------------------------------------------------------

void NodeImpl::on_stream_opened(const net::StreamOpened& event) {
  if (!event.incoming) return pump_stream(event.stream);
  const auto connection = connections_.find(event.connection);
  const auto waiting = static_cast<size_t>(std::count_if(
      early_.begin(), early_.end(), [&](const auto& e) { return e.second.connection == event.connection; }));
  if (connection == connections_.end() || waiting >= kEarlyStreamsPerConnection) {
    host_->reset(event.stream);
    return;
  }
  EarlyStream early;
  early.connection = event.connection;
  early.device = connection->second.device;
  early.protocol = event.protocol;
  early_.emplace(event.stream, std::move(early));
  pump_stream(event.stream);
}

void NodeImpl::on_stream_closed(const net::StreamClosed& event) {
  if (sessions_.contains(event.stream)) return end_session(event.stream, true);
  early_.erase(event.stream);
  for (auto& [ref, join] : joins_) {
    if (join.stream != event.stream) continue;
    join.stream = 0;
    if (!join.root) join.problem = event.reason.detail;
  }
}

void NodeImpl::pump_stream(net::StreamId stream) {
  if (sessions_.contains(stream)) return pump_session(stream);
  if (const auto early = early_.find(stream); early != early_.end()) pump_early(stream, early->second);
}

void NodeImpl::drop_stream(net::StreamId stream) {
  early_.erase(stream);
  if (host_) host_->reset(stream);
}

}  // namespace sereus::node
