#include "core/node/app_host.h"

#include <algorithm>
#include <utility>

#include "core/net/multistream.h"
#include "core/node/text_lines.h"

namespace sereus::node {
namespace {

constexpr uint32_t kConnected = 1;
constexpr uint32_t kDisconnected = 2;
constexpr uint32_t kIdentified = 3;

bool is_own_service(std::string_view protocol) {
  return protocol == net::kIdentifyProtocol || protocol == net::kIdentifyPushProtocol || protocol == net::kPingProtocol;
}

std::vector<std::string> texts(const std::vector<net::Multiaddr>& addresses) {
  std::vector<std::string> out;
  out.reserve(addresses.size());
  for (const net::Multiaddr& address : addresses) out.push_back(address.to_string());
  return out;
}

}  // namespace

// ---- The transport --------------------------------------------------------------------------------------------------

void AppHost::attach(net::Swarm& swarm, std::vector<std::string> own) {
  swarm_ = &swarm;
  own_ = std::move(own);
  tell_protocols();
  for (const std::string& address : listening_) {
    if (const Status status = swarm.listen(address); !status.ok()) {
      context_.log(LogLevel::warn, "cannot listen on " + address + ": " + status.error().detail);
    }
  }
}

void AppHost::detach(Code why) {
  if (!attached()) return;
  const Error error = fail(why, why == Code::suspended ? "the node is suspended" : "the host is closed");
  while (!streams_.empty()) close_stream(streams_.begin()->first, error, true);
  while (!connections_.empty()) on_disconnected({connections_.begin()->second.id, error});
  for (auto& [id, ref] : std::exchange(dials_, {})) context_.complete(ref, error);
  swarm_ = nullptr;
}

bool AppHost::on_event(const net::HostEvent& event) {
  if (!attached()) return false;
  if (const auto* connected = std::get_if<net::Connected>(&event)) {
    on_connected(*connected);
    return false;
  }
  if (const auto* disconnected = std::get_if<net::Disconnected>(&event)) {
    on_disconnected(*disconnected);
    return false;
  }
  if (const auto* opened = std::get_if<net::StreamOpened>(&event)) return on_stream_opened(*opened);
  net::StreamId id = 0;
  if (const auto* readable = std::get_if<net::StreamReadable>(&event)) id = readable->stream;
  if (const auto* writable = std::get_if<net::StreamWritable>(&event)) id = writable->stream;
  const auto* closed = std::get_if<net::StreamClosed>(&event);
  if (closed != nullptr) id = closed->stream;
  const auto found = stream_numbers_.find(id);
  if (found == stream_numbers_.end()) return false;
  if (closed != nullptr) {
    close_stream(found->second, closed->reason, true);
  } else {
    pump(found->second);
  }
  return true;
}

bool AppHost::on_notice(const net::SwarmNotice& notice) {
  if (!attached()) return false;
  if (const auto* reached = std::get_if<net::Reached>(&notice)) return on_reached(*reached);
  if (const auto* unreached = std::get_if<net::Unreached>(&notice)) return on_unreached(*unreached);
  if (std::holds_alternative<net::NetworkChanged>(notice)) return false;  // the node has peers to dial
  if (const auto* identified = std::get_if<net::Identified>(&notice)) {
    on_identified(*identified);
  } else if (const auto* failed = std::get_if<net::IdentifyFailed>(&notice)) {
    const auto found = connection_numbers_.find(failed->connection);
    if (found == connection_numbers_.end()) return true;
    answer_identify(found->second, connections_.at(found->second), failed->error);
  } else if (const auto* pinged = std::get_if<net::Pinged>(&notice)) {
    answer_ping(pinged->connection, pinged->rtt_us);
  } else if (const auto* silent = std::get_if<net::PingFailed>(&notice)) {
    answer_ping(silent->connection, silent->error);
  } else if (const auto* refused = std::get_if<net::Refused>(&notice)) {
    on_refused(*refused);
  } else if (const auto* superseded = std::get_if<net::Superseded>(&notice)) {
    on_superseded(*superseded);
  } else if (std::holds_alternative<net::ListenChanged>(notice)) {
    node_.publish();
  }
  return true;
}

void AppHost::submit(OpRef ref, Request& request) {
  const bool any_time = request.kind == RequestKind::protocol_add || request.kind == RequestKind::protocol_remove;
  if (!attached() && !any_time) {
    return context_.complete(
        ref, host_ != 0 ? fail(Code::unreachable, "this host is offline")
                        : fail(Code::no_identity, "the node's own host is offline, or there is no identity yet"));
  }
  switch (request.kind) {
    case RequestKind::host_listen:
      return listen(ref, request);
    case RequestKind::protocol_add:
      return add_protocol(ref, request);
    case RequestKind::protocol_remove:
      return remove_protocol(ref, request);
    case RequestKind::dial:
      return dial(ref, request);
    case RequestKind::host_configure:
      return configure(ref, request);
    case RequestKind::peer_protect:
      return protect(ref, request);
    case RequestKind::disconnect:
      return disconnect(ref, request);
    case RequestKind::ping:
      return ping(ref, request.store);
    case RequestKind::identify:
      return identify(ref, request.store);
    case RequestKind::stream_open:
      return open_stream(ref, request);
    case RequestKind::stream_write:
      return write(ref, request);
    case RequestKind::stream_read:
      return read(ref, request);
    default:
      return reset(ref, request);
  }
}

void AppHost::forget_origin(uint32_t origin) {
  std::erase_if(protocols_, [origin](const auto& protocol) { return protocol.second == origin; });
  tell_protocols();
  std::vector<uint64_t> its;
  for (const auto& [number, stream] : streams_) {
    if (stream.origin == origin) its.push_back(number);
  }
  for (const uint64_t number : its) {
    swarm_->reset(streams_.at(number).id);
    close_stream(number, fail(Code::closed, "its application went away"), false);
  }
}

bool AppHost::uses(net::ConnectionId connection) const {
  const auto found = connection_numbers_.find(connection);
  if (found == connection_numbers_.end()) return false;
  const Connection& known = connections_.at(found->second);
  return known.wanted || known.streams > 0;
}

std::vector<std::string> AppHost::addresses() const {
  std::vector<std::string> out;
  if (!attached()) return out;
  const std::string suffix = "/p2p/" + swarm_->peer_id().to_string();
  for (const std::string& address : swarm_->listen_addresses()) out.push_back(address + suffix);
  return out;
}

void AppHost::tell_listening() const {
  for (const std::string& address : addresses()) {
    Event event;
    event.kind = EventKind::listening;
    event.address = address;
    context_.emit(std::move(event));
  }
}

HostRow AppHost::row() const {
  HostRow row;
  row.host = host_;
  if (attached()) row.peer = swarm_->peer_id().to_string();
  row.addresses = join_lines(addresses());
  std::vector<std::string> protocols;
  for (const auto& [protocol, origin] : protocols_) protocols.push_back(protocol);
  row.protocols = join_lines(protocols);
  return row;
}

// For everybody who reads, before anything tells of it.
void AppHost::show(uint64_t number) {
  const Connection& connection = connections_.at(number);
  ConnectionRow row;
  row.connection = number;
  row.host = host_;
  row.peer = connection.peer.to_string();
  row.address = connection.address;
  row.incoming = connection.incoming;
  row.streams = static_cast<uint32_t>(connection.streams);
  if (connection.identified) {
    const net::Identify& said = connection.identified->said;
    row.identified = true;
    row.agent = said.agent_version.value_or("");
    row.protocol_version = said.protocol_version.value_or("");
    row.observed = said.observed ? said.observed->to_string() : "";
    row.protocols = join_lines(said.protocols);
    row.addresses = join_lines(texts(connection.identified->addresses()));
    row.signed_record = connection.identified->record.has_value();
  }
  view_.show_connection(std::move(row));
}

// ---- Listening and protocols ----------------------------------------------------------------------------------------

Status AppHost::listen_on(const std::string& address) {
  const std::vector<std::string> before = swarm_->listen_addresses();
  SEREUS_TRY(swarm_->listen(address));
  const auto port = port_since(before);
  const auto parsed = net::Multiaddr::parse(address);
  listening_.push_back(port && parsed.ok() ? parsed->with_port(*port).to_string() : address);
  return {};
}

// The port of an address that was not there before.
std::optional<uint16_t> AppHost::port_since(const std::vector<std::string>& before) const {
  for (const std::string& address : swarm_->listen_addresses()) {
    if (std::find(before.begin(), before.end(), address) != before.end()) continue;
    const auto parsed = net::Multiaddr::parse(address);
    if (parsed.ok() && parsed->port()) return parsed->port();
  }
  return std::nullopt;
}

void AppHost::listen(OpRef ref, Request& request) {
  const Status status = listen_on(to_string(ByteView(request.x)));
  if (!status.ok()) return context_.complete(ref, status);
  Event done;
  node_.publish();
  const std::string lines = join_lines(addresses());
  done.data = to_bytes(as_bytes(lines));
  context_.complete(ref, std::move(done));
}

void AppHost::add_protocol(OpRef ref, Request& request) {
  const std::string protocol = to_string(ByteView(request.x));
  const bool taken = is_own_service(protocol) || std::find(own_.begin(), own_.end(), protocol) != own_.end();
  if (taken || protocols_.contains(protocol)) {
    return context_.complete(ref, fail(Code::exists, "the protocol " + protocol + " is served already"));
  }
  if (!net::valid_protocol_name(protocol)) {
    return context_.complete(ref, fail(Code::invalid, "not a protocol name: it is one line, like /example/1.0.0"));
  }
  if (protocols_.size() >= kAppProtocolsMax) {
    return context_.complete(ref, fail(Code::again, "there are too many protocols; remove some"));
  }
  protocols_.emplace(protocol, ref.origin);
  tell_protocols();
  node_.publish();
  context_.complete(ref, Status());
}

void AppHost::remove_protocol(OpRef ref, Request& request) {
  const auto found = protocols_.find(to_string(ByteView(request.x)));
  if (found == protocols_.end() || found->second != ref.origin) {
    return context_.complete(ref, fail(Code::not_found, "this protocol is not served from here"));
  }
  protocols_.erase(found);
  tell_protocols();
  node_.publish();
  context_.complete(ref, Status());
}

// Connected peers learn of it by identify/push.
void AppHost::tell_protocols() {
  if (!attached()) return;
  std::vector<std::string> all = own_;
  for (const auto& [protocol, origin] : protocols_) all.push_back(protocol);
  swarm_->set_protocols(std::move(all));
}

void AppHost::configure(OpRef ref, Request& request) {
  Result<HostSettings> wanted = decode_host_settings(request.w);
  if (!wanted.ok()) return context_.complete(ref, wanted.error());
  if (const Status status = check_host_settings(*wanted); !status.ok()) return context_.complete(ref, status);
  // These are the transports', which were made with them.
  wanted->security = settings_.security;
  wanted->certificate_file = settings_.certificate_file;
  wanted->key_file = settings_.key_file;
  wanted->authorities_file = settings_.authorities_file;
  wanted->any_server = settings_.any_server;
  settings_ = std::move(*wanted);
  const net::SwarmSettings settings = *swarm_settings(settings_);
  swarm_->set_policy(settings.policy);
  swarm_->set_connection_settings(settings.connections);
  swarm_->set_resource_settings(*resource_settings(settings_));
  swarm_->set_bandwidth_limits(*bandwidth_limits(settings_));
  context_.complete(ref, Status());
}

void AppHost::protect(OpRef ref, Request& request) {
  const auto peer = net::PeerId::parse(to_string(ByteView(request.x)));
  if (!peer) return context_.complete(ref, fail(Code::invalid, "not a peer id"));
  const std::string tag = to_string(ByteView(request.y));
  if (request.a != 0) {
    swarm_->protect(*peer, tag);
  } else if (!swarm_->unprotect(*peer, tag)) {
    return context_.complete(ref, fail(Code::not_found, "this peer is not protected by this tag"));
  }
  context_.complete(ref, Status());
}

// ---- Dialing --------------------------------------------------------------------------------------------------------

void AppHost::dial(OpRef ref, Request& request) {
  net::PeerId peer;
  if (!request.x.empty()) {
    const auto named = net::PeerId::parse(to_string(ByteView(request.x)));
    if (!named) return context_.complete(ref, fail(Code::invalid, "not a peer id"));
    peer = *named;
  }
  const std::vector<std::string> addresses = split_lines(to_string(ByteView(request.y)));
  for (const std::string& line : addresses) {
    const auto address = net::Multiaddr::parse(line);
    if (!address.ok()) return context_.complete(ref, address.error());
    const auto named = address->peer_id();
    if (!named && peer.empty()) {
      return context_.complete(ref, fail(Code::invalid, "the address has no /p2p part, which says who must answer"));
    }
    if (named && peer.empty()) peer = *named;
    if (named && *named != peer) {
      return context_.complete(ref, fail(Code::invalid, "the addresses are of different peers"));
    }
  }
  if (dials_.size() >= kAppDialsMax) return context_.complete(ref, fail(Code::again, "too many dials are under way"));
  if (addresses.empty() && !swarm_->connection_with(peer)) {
    return context_.complete(ref, fail(Code::not_found, "no address of this peer is known; give one"));
  }
  const Result<uint64_t> dial = swarm_->dial(peer, addresses);
  if (!dial.ok()) return context_.complete(ref, dial.error());
  dials_.emplace(*dial, ref);
  context_.begin(ref, [this, ref, dial = *dial] {
    dials_.erase(dial);
    swarm_->cancel_dial(dial);
    context_.complete(ref, fail(Code::cancelled, "the dial was cancelled"));
  });
}

bool AppHost::on_reached(const net::Reached& notice) {
  const auto dial = dials_.find(notice.dial);
  if (dial == dials_.end()) return false;
  const OpRef ref = dial->second;
  dials_.erase(dial);
  const auto found = connection_numbers_.find(notice.connection);
  if (found == connection_numbers_.end()) {
    context_.complete(ref, fail(Code::closed, "the connection ended at once"));
    return true;
  }
  connections_.at(found->second).wanted = true;
  complete_dial(ref, found->second);
  return true;
}

bool AppHost::on_unreached(const net::Unreached& notice) {
  const auto dial = dials_.find(notice.dial);
  if (dial == dials_.end()) return false;
  const OpRef ref = dial->second;
  dials_.erase(dial);
  context_.complete(ref, notice.error);
  return true;
}

void AppHost::complete_dial(OpRef ref, uint64_t number) {
  Event done;
  done.connection = number;
  const std::string peer = connections_.at(number).peer.to_string();
  done.data = to_bytes(as_bytes(peer));
  context_.complete(ref, std::move(done));
}

void AppHost::disconnect(OpRef ref, Request& request) {
  Connection* connection = connection_of(ref, request.store);
  if (connection == nullptr) return;
  const net::ConnectionId id = connection->id;
  const auto superseded = connections_.find(request.store);
  if (superseded != connections_.end() && superseded->second.id != id) {
    swarm_->disconnect(superseded->second.id, Code::ok);
  }
  swarm_->disconnect(id, Code::ok);
  context_.complete(ref, Status());
}

// ---- Connections ----------------------------------------------------------------------------------------------------

AppHost::Connection* AppHost::connection_of(OpRef ref, uint64_t number) {
  const auto found = connections_.find(staying(number));
  if (found != connections_.end()) return &found->second;
  context_.complete(ref, fail(Code::not_found, "there is no such connection; it may have ended"));
  return nullptr;
}

uint64_t AppHost::staying(uint64_t number) const {
  const auto found = superseded_.find(number);
  return found == superseded_.end() ? number : found->second;
}

void AppHost::on_superseded(const net::Superseded& notice) {
  const auto lost = connection_numbers_.find(notice.connection);
  const auto stays = connection_numbers_.find(notice.by);
  if (lost == connection_numbers_.end() || stays == connection_numbers_.end()) return;
  superseded_[lost->second] = stays->second;
  connections_.at(stays->second).wanted |= connections_.at(lost->second).wanted;
}

void AppHost::tell(uint32_t what, uint64_t number, const Connection& connection, const Error& why) {
  Event event;
  event.kind = EventKind::connection;
  event.what = what;
  event.host = host_;
  event.connection = number;
  event.peer = connection.peer.to_string();
  event.address = connection.address;
  event.incoming = connection.incoming;
  event.status = why.code;
  event.detail = why.detail;
  context_.emit(std::move(event));
}

void AppHost::on_connected(const net::Connected& event) {
  const uint64_t number = node_.next_number();
  Connection& connection = connections_[number];
  connection.id = event.connection;
  connection.peer = event.peer;
  connection.address = event.address;
  connection.incoming = event.incoming;
  connection_numbers_[event.connection] = number;
  show(number);
  tell(kConnected, number, connection, {Code::ok, {}});
}

void AppHost::on_disconnected(const net::Disconnected& event) {
  const auto found = connection_numbers_.find(event.connection);
  if (found == connection_numbers_.end()) return;
  const uint64_t number = found->second;
  const Error why = event.reason.code == Code::ok ? fail(Code::closed, "the connection is closed") : event.reason;
  std::vector<uint64_t> its;
  for (const auto& [stream_number, stream] : streams_) {
    if (stream.connection == number) its.push_back(stream_number);
  }
  for (const uint64_t stream : its) close_stream(stream, why, true);
  Connection gone = std::move(connections_.at(number));
  connections_.erase(number);
  connection_numbers_.erase(found);
  std::erase_if(superseded_, [number](const auto& item) { return item.second == number; });
  view_.hide_connection(number);
  for (const OpRef ref : gone.identify_waiting) context_.complete(ref, why);
  for (const OpRef ref : gone.ping_waiting) context_.complete(ref, why);
  tell(kDisconnected, number, gone, event.reason);
}

// ---- Identify and ping ----------------------------------------------------------------------------------------------

// The swarm asks each new connection by itself; who comes after its answer failed has it asked again.
void AppHost::identify(OpRef ref, uint64_t number) {
  Connection* connection = connection_of(ref, number);
  if (connection == nullptr) return;
  if (connection->identify_waiting.size() >= kAppWaitingMax) {
    return context_.complete(ref, fail(Code::again, "too many wait for the same answer"));
  }
  connection->identify_waiting.push_back(ref);
  if (connection->identified) return answer_identify(number, *connection, {});
  if (!connection->identify_failed) return;
  connection->identify_failed = false;
  const Status asked = swarm_->identify(connection->id);
  if (!asked.ok()) answer_identify(number, *connection, asked.error());
}

void AppHost::answer_identify(uint64_t number, Connection& connection, const Error& error) {
  connection.identify_failed = !connection.identified;
  for (const OpRef ref : std::exchange(connection.identify_waiting, {})) {
    if (!connection.identified) {
      context_.complete(ref, error);
      continue;
    }
    Event done;
    done.connection = number;
    context_.complete(ref, std::move(done));
  }
}

void AppHost::on_identified(const net::Identified& notice) {
  const auto found = connection_numbers_.find(notice.connection);
  if (found == connection_numbers_.end()) return;
  const uint64_t number = found->second;
  Connection& connection = connections_.at(number);
  connection.identified = notice.peer;
  show(number);
  tell(kIdentified, number, connection, {Code::ok, {}});
  answer_identify(number, connection, {});
}

void AppHost::ping(OpRef ref, uint64_t number) {
  Connection* connection = connection_of(ref, number);
  if (connection == nullptr) return;
  if (connection->ping_waiting.size() >= kAppWaitingMax) {
    return context_.complete(ref, fail(Code::again, "too many pings are under way"));
  }
  connection->ping_waiting.push_back(ref);
  if (connection->ping_waiting.size() == 1) ping_next(*connection);
}

// One at a time: the protocol's stream carries one question after the other.
void AppHost::ping_next(Connection& connection) {
  while (!connection.ping_waiting.empty()) {
    const Status asked = swarm_->ping(connection.id);
    if (asked.ok()) return;
    context_.complete(connection.ping_waiting.front(), asked);
    connection.ping_waiting.pop_front();
  }
}

void AppHost::answer_ping(net::ConnectionId id, Result<uint64_t> rtt_us) {
  const auto found = connection_numbers_.find(id);
  if (found == connection_numbers_.end()) return;
  Connection& connection = connections_.at(found->second);
  if (connection.ping_waiting.empty()) return;
  const OpRef ref = connection.ping_waiting.front();
  connection.ping_waiting.pop_front();
  if (rtt_us.ok()) {
    Event done;
    done.count = *rtt_us;
    context_.complete(ref, std::move(done));
  } else {
    context_.complete(ref, rtt_us.error());
  }
  ping_next(connection);
}

void AppHost::on_refused(const net::Refused& notice) {
  Event told;
  told.kind = EventKind::refused;
  told.host = host_;
  told.what = static_cast<uint32_t>(notice.reason);
  told.detail = net::refusal_name(notice.reason);
  told.peer = notice.peer.empty() ? "" : notice.peer.to_string();
  told.address = notice.address;
  told.name = notice.protocol;
  told.incoming = notice.incoming;
  told.count = notice.count;
  context_.emit(std::move(told));
}

}  // namespace sereus::node
