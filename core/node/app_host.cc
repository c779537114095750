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

constexpr char kProtocolVersion[] = "sereus/0.1.0";
constexpr char kAgentVersion[] = "sereus/0.1.0";

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

void AppHost::attach(net::Host& transport, const crypto::KeyPair& device, std::vector<std::string> own) {
  transport_ = &transport;
  own_ = std::move(own);
  services_.emplace(transport, device, *context_.ports.random, net::ServicesSettings{kProtocolVersion, kAgentVersion});
  tell_protocols();
  for (const std::string& address : listening_) {
    if (const Status status = transport.listen(address); !status.ok()) {
      context_.log(LogLevel::warn, "cannot listen on " + address + ": " + status.error().detail);
    }
  }
}

void AppHost::detach(Code why) {
  if (!attached()) return;
  const Error error = fail(why, why == Code::suspended ? "the node is suspended" : "the host is closed");
  while (!streams_.empty()) close_stream(streams_.begin()->first, error, true);
  while (!connections_.empty()) {
    net::Disconnected gone;
    gone.connection = connections_.begin()->second.id;
    gone.reason = error;
    on_disconnected(gone);
  }
  for (auto& [id, dial] : std::exchange(dials_, {})) context_.complete(dial.ref, error);
  services_.reset();
  transport_ = nullptr;
}

bool AppHost::on_event(const net::HostEvent& event) {
  if (!attached()) return false;
  const bool of_services = services_->on_event(event, context_.now);
  drain_services();
  if (of_services) return true;
  if (const auto* connected = std::get_if<net::Connected>(&event)) {
    on_connected(*connected);
    return false;
  }
  if (const auto* disconnected = std::get_if<net::Disconnected>(&event)) {
    on_disconnected(*disconnected);
    return false;
  }
  if (const auto* failed = std::get_if<net::DialFailed>(&event)) return on_dial_failed(*failed);
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

uint64_t AppHost::step() {
  if (!attached()) return kNever;
  const uint64_t next = services_->step(context_.now);
  drain_services();
  return next;
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
    transport_->reset(streams_.at(number).id);
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
  const std::string suffix = "/p2p/" + transport_->peer_id().to_string();
  for (const std::string& address : transport_->listen_addresses()) out.push_back(address + suffix);
  return out;
}

HostRow AppHost::row() const {
  HostRow row;
  row.host = host_;
  if (attached()) row.peer = transport_->peer_id().to_string();
  row.addresses = join_lines(addresses());
  std::vector<std::string> protocols;
  for (const auto& [protocol, origin] : protocols_) protocols.push_back(protocol);
  row.protocols = join_lines(protocols);
  row.connections = static_cast<uint32_t>(connections_.size());
  return row;
}

std::vector<ConnectionRow> AppHost::connection_rows() const {
  std::vector<ConnectionRow> out;
  for (const auto& [number, connection] : connections_) {
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
    out.push_back(std::move(row));
  }
  return out;
}

// ---- Listening and protocols ----------------------------------------------------------------------------------------

Status AppHost::listen_on(const std::string& address) {
  const std::vector<std::string> before = transport_->listen_addresses();
  SEREUS_TRY(transport_->listen(address));
  const auto port = port_since(before);
  const auto parsed = net::Multiaddr::parse(address);
  listening_.push_back(port && parsed.ok() ? parsed->with_port(*port).to_string() : address);
  return {};
}

// The port of an address that was not there before.
std::optional<uint16_t> AppHost::port_since(const std::vector<std::string>& before) const {
  for (const std::string& address : transport_->listen_addresses()) {
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
  context_.complete(ref, Status());
}

void AppHost::remove_protocol(OpRef ref, Request& request) {
  const auto found = protocols_.find(to_string(ByteView(request.x)));
  if (found == protocols_.end() || found->second != ref.origin) {
    return context_.complete(ref, fail(Code::not_found, "this protocol is not served from here"));
  }
  protocols_.erase(found);
  tell_protocols();
  context_.complete(ref, Status());
}

// Connected peers learn of it by identify/push.
void AppHost::tell_protocols() {
  if (!attached()) return;
  std::vector<std::string> all = own_;
  for (const auto& [protocol, origin] : protocols_) all.push_back(protocol);
  services_->set_protocols(std::move(all));
  for (const auto& [number, connection] : connections_) (void)services_->push(connection.id, context_.now);
}

// ---- Dialing --------------------------------------------------------------------------------------------------------

void AppHost::dial(OpRef ref, Request& request) {
  Dial dial;
  dial.ref = ref;
  if (!request.x.empty()) {
    const auto peer = net::PeerId::parse(to_string(ByteView(request.x)));
    if (!peer) return context_.complete(ref, fail(Code::invalid, "not a peer id"));
    dial.peer = *peer;
  }
  for (const std::string& line : split_lines(to_string(ByteView(request.y)))) {
    const auto address = net::Multiaddr::parse(line);
    if (!address.ok()) return context_.complete(ref, address.error());
    const auto named = address->peer_id();
    if (!named && dial.peer.empty()) {
      return context_.complete(ref, fail(Code::invalid, "the address has no /p2p part, which says who must answer"));
    }
    if (named && dial.peer.empty()) dial.peer = *named;
    if (named && *named != dial.peer) {
      return context_.complete(ref, fail(Code::invalid, "the addresses are of different peers"));
    }
    dial.left.push_back(line);
  }
  for (auto& [number, connection] : connections_) {
    if (connection.peer != dial.peer) continue;
    connection.wanted = true;
    return complete_dial(ref, number);
  }
  if (dial.left.empty()) {
    return context_.complete(ref, fail(Code::not_found, "no address of this peer is known; give one"));
  }
  if (dials_.size() >= kAppDialsMax) return context_.complete(ref, fail(Code::again, "too many dials are under way"));
  std::reverse(dial.left.begin(), dial.left.end());
  context_.begin(ref, [this, ref] { cancel_dial(ref); });
  dial_next(std::move(dial));
}

void AppHost::dial_next(Dial dial) {
  while (!dial.left.empty()) {
    const std::string address = std::move(dial.left.back());
    dial.left.pop_back();
    const Result<uint64_t> id = transport_->dial(address, dial.peer);
    if (id.ok()) {
      dials_.emplace(*id, std::move(dial));
      return;
    }
    if (dial.left.empty()) return context_.complete(dial.ref, id.error());
  }
}

void AppHost::cancel_dial(OpRef ref) {
  std::erase_if(dials_, [ref](const auto& dial) { return dial.second.ref == ref; });
  context_.complete(ref, fail(Code::cancelled, "the dial was cancelled"));
}

void AppHost::complete_dial(OpRef ref, uint64_t number) {
  Event done;
  done.connection = number;
  const std::string peer = connections_.at(number).peer.to_string();
  done.data = to_bytes(as_bytes(peer));
  context_.complete(ref, std::move(done));
}

bool AppHost::on_dial_failed(const net::DialFailed& event) {
  const auto found = dials_.find(event.dial);
  if (found == dials_.end()) return false;
  Dial dial = std::move(found->second);
  dials_.erase(found);
  if (dial.left.empty()) {
    context_.complete(dial.ref, event.error);
  } else {
    dial_next(std::move(dial));
  }
  return true;
}

void AppHost::disconnect(OpRef ref, Request& request) {
  Connection* connection = connection_of(ref, request.store);
  if (connection == nullptr) return;
  const net::ConnectionId id = connection->id;
  transport_->disconnect(id, Code::ok);
  context_.complete(ref, Status());
}

// ---- Connections ----------------------------------------------------------------------------------------------------

AppHost::Connection* AppHost::connection_of(OpRef ref, uint64_t number) {
  const auto found = connections_.find(number);
  if (found != connections_.end()) return &found->second;
  context_.complete(ref, fail(Code::not_found, "there is no such connection; it may have ended"));
  return nullptr;
}

void AppHost::on_connected(const net::Connected& event) {
  const uint64_t number = next_number_();
  Connection& connection = connections_[number];
  connection.id = event.connection;
  connection.peer = event.peer;
  connection.address = event.address;
  connection.incoming = event.incoming;
  connection_numbers_[event.connection] = number;
  Event told;
  told.kind = EventKind::connection;
  told.what = kConnected;
  told.host = host_;
  told.connection = number;
  told.peer = event.peer.to_string();
  told.address = event.address;
  told.incoming = event.incoming;
  context_.emit(std::move(told));
  connection.identifying = services_->identify(event.connection, context_.now).ok();
  const auto dial = dials_.find(event.dial);
  if (event.dial == 0 || dial == dials_.end()) return;
  connection.wanted = true;
  complete_dial(dial->second.ref, number);
  dials_.erase(dial);
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
  for (const OpRef ref : gone.identify_waiting) context_.complete(ref, why);
  for (const OpRef ref : gone.ping_waiting) context_.complete(ref, why);
  Event told;
  told.kind = EventKind::connection;
  told.what = kDisconnected;
  told.host = host_;
  told.connection = number;
  told.peer = gone.peer.to_string();
  told.address = gone.address;
  told.incoming = gone.incoming;
  told.status = event.reason.code;
  told.detail = event.reason.detail;
  context_.emit(std::move(told));
}

// ---- Identify and ping ----------------------------------------------------------------------------------------------

void AppHost::identify(OpRef ref, uint64_t number) {
  Connection* connection = connection_of(ref, number);
  if (connection == nullptr) return;
  if (connection->identify_waiting.size() >= kAppWaitingMax) {
    return context_.complete(ref, fail(Code::again, "too many wait for the same answer"));
  }
  connection->identify_waiting.push_back(ref);
  if (connection->identified) return answer_identify(number, *connection);
  if (connection->identifying) return;
  const Status asked = services_->identify(connection->id, context_.now);
  connection->identifying = asked.ok();
  if (asked.ok()) return;
  connection->identify_error = asked.error();
  answer_identify(number, *connection);
}

void AppHost::answer_identify(uint64_t number, Connection& connection) {
  for (const OpRef ref : std::exchange(connection.identify_waiting, {})) {
    if (!connection.identified) {
      context_.complete(ref, connection.identify_error);
      continue;
    }
    Event done;
    done.connection = number;
    context_.complete(ref, std::move(done));
  }
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
    const Status asked = services_->ping(connection.id, context_.now);
    if (asked.ok()) return;
    context_.complete(connection.ping_waiting.front(), asked);
    connection.ping_waiting.pop_front();
  }
}

void AppHost::drain_services() {
  while (services_) {
    const auto event = services_->next_event();
    if (!event) return;
    on_service(*event);
  }
}

void AppHost::on_service(const net::ServiceEvent& event) {
  const net::ConnectionId id = std::visit([](const auto& each) { return each.connection; }, event);
  const auto found = connection_numbers_.find(id);
  if (found == connection_numbers_.end()) return;
  const uint64_t number = found->second;
  Connection& connection = connections_.at(number);
  const auto pong = [&](const Error* error, uint64_t rtt_us) {
    if (connection.ping_waiting.empty()) return;
    const OpRef ref = connection.ping_waiting.front();
    connection.ping_waiting.pop_front();
    Event done;
    done.count = rtt_us;
    if (error != nullptr) {
      context_.complete(ref, *error);
    } else {
      context_.complete(ref, std::move(done));
    }
    ping_next(connection);
  };
  if (const auto* identified = std::get_if<net::Identified>(&event)) {
    connection.identifying = connection.identifying && identified->pushed;
    connection.identified = identified->peer;
    Event told;
    told.kind = EventKind::connection;
    told.what = kIdentified;
    told.host = host_;
    told.connection = number;
    told.peer = connection.peer.to_string();
    told.address = connection.address;
    told.incoming = connection.incoming;
    context_.emit(std::move(told));
    answer_identify(number, connection);
  } else if (const auto* failed = std::get_if<net::IdentifyFailed>(&event)) {
    connection.identifying = false;
    connection.identify_error = failed->error;
    answer_identify(number, connection);
  } else if (const auto* pinged = std::get_if<net::Pinged>(&event)) {
    pong(nullptr, pinged->rtt_us);
  } else if (const auto* silent = std::get_if<net::PingFailed>(&event)) {
    pong(&silent->error, 0);
  }
}

}  // namespace sereus::node
