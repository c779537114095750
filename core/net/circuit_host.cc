#include "core/net/circuit_host.h"

#include <algorithm>
#include <utility>

#include "core/base/assert.h"
#include "core/net/transport_address.h"

namespace sereus::net {
namespace {

constexpr std::string_view kForm = ".../p2p/RELAY/p2p-circuit";

// Of the relay, as a connection over it has it.
Multiaddr remote_address(const CircuitAddress& address) {
  return address.via.with_peer_id(address.relay).with({AddrCode::p2p_circuit, {}});
}

}  // namespace

CircuitHost::~CircuitHost() { SEREUS_ASSERT(!inner_); }

Status CircuitHost::attach(Swarm& swarm, const crypto::KeyPair& device, Random& random, Logger* logger,
                           const TcpSettings& settings) {
  if (inner_) return fail(Code::exists, "the circuits have their relay client");
  if (PeerId::from_device_key(device.device_key()) != own_) return fail(Code::invalid, "another host's key");
  // Handshakes that strangers begin were admitted with the circuit, and its bytes are those of the connection to the relay.
  TcpSettings own;
  // Noise first: TLS of js-libp2p 2.10.0 resets the stream of a circuit, also with itself, and what circuits carry is little.
  own.security = settings.security;
  std::stable_partition(own.security.begin(), own.security.end(),
                        [](TcpSecurity security) { return security == TcpSecurity::noise; });
  own.clock_suspect = clock_suspect_ || settings.clock_suspect;
  own.half_open_max = 2 * kCircuitsInboundMax;
  own.handshake_timeout_us = kCircuitHandshakeTimeoutUs;
  SEREUS_ASSIGN(inner_, TcpHost::create(device, random, logger, own));
  links_ = std::make_unique<CircuitLinks>(swarm, *inner_);
  inner_->set_links(*links_);
  inner_->set_protocols(protocols_);
  return {};
}

void CircuitHost::detach(const Times& now) {
  if (!inner_) return;
  inner_->close(now);
  while (auto event = inner_->next_event()) {
    if (translate(*event)) events_.push_back(std::move(*event));
  }
  addresses_.clear();
  inner_.reset();
  links_.reset();
}

// ---- The relay client -------------------------------------------------------------------------------------------------

const CircuitHost::Wanted* CircuitHost::wanted(uint64_t number) const {
  const auto found = circuits_.find(number);
  return found == circuits_.end() ? nullptr : &found->second.wanted;
}

void CircuitHost::set_limit(uint64_t number, const CircuitLimit& limit) {
  const auto found = circuits_.find(number);
  if (found != circuits_.end()) found->second.limit = limit;
}

uint64_t CircuitHost::add_incoming(const PeerId& relay, const Multiaddr& via, const PeerId& peer,
                                   const CircuitLimit& limit) {
  const uint64_t number = ++last_number_;
  circuits_[number] = {{{relay, via, std::nullopt}, peer}, 0, limit};
  return number;
}

// One that was dialed is forgotten with the answer to its dial.
void CircuitHost::forget_incoming(uint64_t number) {
  const auto found = circuits_.find(number);
  if (found != circuits_.end() && found->second.dial == 0) circuits_.erase(found);
}

// ---- Listening and dialing --------------------------------------------------------------------------------------------

Status CircuitHost::listen(std::string_view multiaddr) {
  if (closed_) return fail(Code::closed, "the host is closed");
  SEREUS_ASSIGN(const Multiaddr address, Multiaddr::parse(multiaddr));
  auto circuit = circuit_address_of(address);
  if (!circuit) return fail(Code::unsupported, "only " + std::string(kForm) + " can be listened on");
  if (circuit->target && *circuit->target != own_) return fail(Code::invalid, "the address names another peer");
  if (circuit->relay == own_) return fail(Code::invalid, "that is this host itself");
  if (listens_.size() >= kRelayCandidatesMax) return fail(Code::too_large, "too many relays");
  listens_.push_back(std::move(*circuit));
  return {};
}

Result<uint64_t> CircuitHost::dial(std::string_view multiaddr, const PeerId& peer) {
  if (closed_) return fail(Code::closed, "the host is closed");
  SEREUS_ASSIGN(const Multiaddr address, parse_dial_address(multiaddr, peer));
  auto circuit = circuit_address_of(address);
  if (!circuit) return fail(Code::unsupported, "only " + std::string(kForm) + " can be dialed");
  if (!inner_) return fail(Code::unsupported, "relays are not used here");
  if (circuit->relay.empty()) return fail(Code::invalid, "the address names no relay");
  if (circuit->relay == own_ || circuit->relay == peer) return fail(Code::invalid, "a relay between a peer and itself");
  const uint64_t number = ++last_number_;
  SEREUS_ASSIGN(const uint64_t dial, inner_->dial(Multiaddr::tcp(circuit_endpoint(number)).to_string(), peer));
  circuits_[number] = {{std::move(*circuit), peer}, dial, {}};
  return dial;
}

void CircuitHost::cancel_dial(uint64_t dial) {
  if (inner_) inner_->cancel_dial(dial);
}

void CircuitHost::forget_dial(uint64_t dial) {
  std::erase_if(circuits_, [dial](const auto& item) { return item.second.dial == dial; });
}

// ---- What the connections tell ----------------------------------------------------------------------------------------

bool CircuitHost::on_connected(Connected& event) {
  const auto address = Multiaddr::parse(event.address);
  const auto endpoint = address.ok() ? address->tcp_endpoint() : std::nullopt;
  const auto number = endpoint ? circuit_number(*endpoint) : std::nullopt;
  const auto found = number ? circuits_.find(*number) : circuits_.end();
  // The handshake has proved who is there. A relay that announced another one has mixed its circuits up, or lies.
  if (found == circuits_.end() || found->second.wanted.peer != event.peer) {
    if (found != circuits_.end()) circuits_.erase(found);
    impostors_.insert(event.connection);
    inner_->disconnect(event.connection, Code::denied);
    return false;
  }
  Circuit& circuit = found->second;
  numbers_[event.connection] = *number;
  circuit.dial = 0;  // answered
  event.address = remote_address(circuit.wanted.address).to_string();
  event.relayed = Relayed{circuit.wanted.address.relay, circuit.limit};
  return true;
}

bool CircuitHost::translate(HostEvent& event) {
  if (auto* connected = std::get_if<Connected>(&event)) return on_connected(*connected);
  if (const auto* failed = std::get_if<DialFailed>(&event)) forget_dial(failed->dial);
  if (const auto* opened = std::get_if<StreamOpened>(&event)) return !impostors_.contains(opened->connection);
  if (const auto* gone = std::get_if<Disconnected>(&event)) {
    if (impostors_.erase(gone->connection) > 0) return false;
    const auto found = numbers_.find(gone->connection);
    if (found != numbers_.end()) {
      circuits_.erase(found->second);
      numbers_.erase(found);
    }
  }
  return true;
}

std::optional<HostEvent> CircuitHost::next_event() {
  if (!events_.empty()) {
    HostEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  while (inner_) {
    std::optional<HostEvent> event = inner_->next_event();
    if (!event) break;
    if (translate(*event)) return event;
  }
  return std::nullopt;
}

// ---- Host, as the inner one has it ------------------------------------------------------------------------------------

void CircuitHost::set_clock_suspect(bool suspect) {
  clock_suspect_ = suspect;
  if (inner_) inner_->set_clock_suspect(suspect);
}

void CircuitHost::set_protocols(std::vector<std::string> protocols) {
  protocols_ = std::move(protocols);
  if (inner_) inner_->set_protocols(protocols_);
}

void CircuitHost::disconnect(ConnectionId connection, Code reason) {
  if (inner_) inner_->disconnect(connection, reason);
}

Result<StreamId> CircuitHost::open_stream(ConnectionId connection, std::string_view protocol) {
  if (!inner_) return fail(Code::closed, "the connection is closed");
  return inner_->open_stream(connection, protocol);
}

Result<size_t> CircuitHost::write(StreamId stream, ByteView data) {
  if (!inner_) return fail(Code::closed, "the stream is closed");
  return inner_->write(stream, data);
}

Result<Host::ReadResult> CircuitHost::read(StreamId stream, ByteSpan out) {
  if (!inner_) return fail(Code::closed, "the stream is closed");
  return inner_->read(stream, out);
}

void CircuitHost::finish(StreamId stream) {
  if (inner_) inner_->finish(stream);
}

void CircuitHost::reset(StreamId stream) {
  if (inner_) inner_->reset(stream);
}

void CircuitHost::network_changed(const Times& now) {
  if (inner_) inner_->network_changed(now);
}

uint64_t CircuitHost::step(const Times& now) { return inner_ ? inner_->step(now) : kNever; }

HostStats CircuitHost::stats() const {
  HostStats out;
  if (!inner_) return out;
  const HostStats inner = inner_->stats();
  out.connections = inner.connections;
  out.streams = inner.streams;
  return out;
}

uint64_t CircuitHost::buffered(ConnectionId connection) const { return inner_ ? inner_->buffered(connection) : 0; }

Host::StreamBuffer CircuitHost::largest_buffer(ConnectionId connection) const {
  return inner_ ? inner_->largest_buffer(connection) : StreamBuffer();
}

void CircuitHost::close(const Times& now) {
  closed_ = true;
  addresses_.clear();
  if (inner_) inner_->close(now);
}

}  // namespace sereus::net
