#include "core/discovery/kad.h"

#include <algorithm>
#include <utility>

#include "core/discovery/address_facts.h"
#include "core/net/peer_record.h"

namespace sereus::discovery {
namespace {

constexpr uint64_t kRecordReuseMs = 1'000;            // one signature serves what is sent within a second
constexpr uint64_t kLingerUs = 5 * kMicrosPerSecond;  // of a stream whose answer is there, for the peer's end

Bytes bytes_of(std::string_view multiaddr) {
  const auto parsed = net::Multiaddr::parse(multiaddr);
  return parsed.ok() ? parsed->without_peer_id().to_bytes() : Bytes();
}

std::vector<Bytes> bytes_of(const std::vector<net::Multiaddr>& addresses, const net::PeerId& peer) {
  std::vector<Bytes> out;
  out.reserve(addresses.size());
  for (const net::Multiaddr& address : addresses) {
    if (auto bytes = address_of_peer(address.to_bytes(), peer)) out.push_back(std::move(*bytes));
  }
  return out;
}

}  // namespace

std::string kad_protocol_of(std::string_view network) {
  std::string out = "/sereus/";
  out += network;
  out += "/kad/1.0.0";
  return out;
}

Kad::Kad(net::Swarm& swarm, const crypto::KeyPair& device, Random& random, AddressBook& book,
         KadServiceSettings settings)
    : swarm_(swarm),
      device_(device),
      settings_(std::move(settings)),
      node_(swarm.peer_id(), settings_.node, *this, book, random, validators_),
      streams_(swarm, {kKadMessageMax, kKadUnsentMax}) {}

// ---- Ourselves ---------------------------------------------------------------------------------------------------------

std::vector<Bytes> Kad::addresses() const {
  std::vector<Bytes> out = announced_;
  if (out.empty()) {
    for (const std::string& text : swarm_.announced_addresses()) {
      if (Bytes bytes = bytes_of(text); !bytes.empty()) out.push_back(std::move(bytes));
    }
  }
  for (const Bytes& more : more_addresses_) out.push_back(more);
  if (settings_.node.public_network) {
    std::erase_if(out, [](const Bytes& a) { return facts_of(a).scope != net::AddressScope::global; });
  }
  return out;
}

Bytes Kad::signed_record(const Times& now) {
  std::vector<Bytes> own = addresses();
  if (own.empty()) return {};
  if (own.size() > kBookAddressesMax) own.resize(kBookAddressesMax);
  const uint64_t wall_ms = static_cast<uint64_t>(std::max<int64_t>(now.wall_us, 0)) / kMicrosPerMilli + kRecordLeadMs;
  if (!record_.empty() && own == record_addresses_ && wall_ms < record_seq_ + kRecordReuseMs) return record_;
  std::vector<net::Multiaddr> parsed;
  parsed.reserve(own.size());
  for (const Bytes& address : own) {
    if (auto one = net::Multiaddr::from_bytes(address); one.ok()) parsed.push_back(std::move(*one));
  }
  // Never an older one, also when the clock was set back.
  record_seq_ = std::max(record_seq_ + 1, wall_ms);
  auto sealed = net::seal_peer_record(device_, record_seq_, parsed);
  record_ = sealed.ok() ? std::move(*sealed) : Bytes();
  record_addresses_ = std::move(own);
  return record_;
}

void Kad::set_more_addresses(const std::vector<net::Multiaddr>& addresses, const Times& now) {
  more_addresses_ = bytes_of(addresses, swarm_.peer_id());
  node_.addresses_changed(now);
}

void Kad::set_announced(const std::vector<net::Multiaddr>& addresses, const Times& now) {
  announced_ = bytes_of(addresses, swarm_.peer_id());
  node_.addresses_changed(now);
}

Status Kad::add_bootstrap(std::string_view multiaddr, const Times& now) {
  SEREUS_ASSIGN(const net::Multiaddr address, net::Multiaddr::parse(multiaddr));
  const auto peer = address.peer_id();
  const Bytes bytes = address.without_peer_id().to_bytes();
  if (!peer || bytes.empty()) return fail(Code::malformed, "a bootstrap address needs /p2p/<id> at its end");
  node_.add_bootstrap(*peer, {bytes}, now);
  return {};
}

// ---- Operations --------------------------------------------------------------------------------------------------------

Result<uint64_t> Kad::find_peer(const net::PeerId& peer, bool fresh, const Times& now) {
  auto op = node_.find_peer(peer, fresh, now);
  pump(now);
  return op;
}
Result<uint64_t> Kad::get_closest(ByteView key, const Times& now) {
  auto op = node_.get_closest(key, now);
  pump(now);
  return op;
}
Result<uint64_t> Kad::provide(ByteView key, const Times& now) {
  auto op = node_.provide(key, now);
  pump(now);
  return op;
}
Result<uint64_t> Kad::find_providers(ByteView key, size_t count, const Times& now) {
  auto op = node_.find_providers(key, count, now);
  pump(now);
  return op;
}
Result<uint64_t> Kad::put_value(ByteView key, ByteView value, const Times& now) {
  auto op = node_.put_value(key, value, now);
  pump(now);
  return op;
}
Result<uint64_t> Kad::get_value(ByteView key, size_t quorum, const Times& now) {
  auto op = node_.get_value(key, quorum, now);
  pump(now);
  return op;
}
Result<uint64_t> Kad::refresh(const Times& now) {
  auto op = node_.refresh(now);
  pump(now);
  return op;
}
void Kad::cancel(uint64_t op) {
  node_.cancel(op);
  while (const auto request = node_.next_cancelled()) drop_request(*request);
}

// ---- What the swarm tells ----------------------------------------------------------------------------------------------

std::vector<std::string> Kad::protocols() const {
  return node_.is_server() ? std::vector<std::string>{settings_.protocol} : std::vector<std::string>();
}

bool Kad::on_event(const net::HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<net::Connected>(&event)) {
    on_connected(*connected, now);
    return false;
  }
  if (const auto* gone = std::get_if<net::Disconnected>(&event)) {
    on_disconnected(*gone);
    pump(now);
    return false;
  }
  const auto* opened = std::get_if<net::StreamOpened>(&event);
  if (opened != nullptr && opened->incoming) {
    if (opened->protocol != settings_.protocol) return false;
    accept(*opened, now);
    pump(now);
    return true;
  }
  const bool ours = streams_.on_event(event, now);
  if (ours) pump(now);
  return ours;
}

void Kad::on_connected(const net::Connected& event, const Times& now) {
  connections_.try_emplace(event.connection,
                           Connection{event.peer, bytes_of(event.address), event.incoming, 0,
                                      net::Allowance(kKadRequestsBurst, kKadRequestsPerSecond, now.mono_us)});
}

void Kad::on_disconnected(const net::Disconnected& event) {
  const auto found = connections_.find(event.connection);
  if (found == connections_.end()) return;
  const net::PeerId peer = found->second.peer;
  connections_.erase(found);
  if (swarm_.connection_with(peer)) return;
  node_.on_disconnected(peer, event.reason.code == Code::timeout || event.reason.code == Code::unreachable);
}

void Kad::on_identified(const net::Identified& event, const Times& now) {
  const auto found = connections_.find(event.connection);
  if (found == connections_.end()) return;
  const Connection& connection = found->second;
  const std::vector<std::string>& spoken = event.peer.said.protocols;
  KadPeerFacts facts;
  facts.peer = connection.peer;
  facts.server = std::find(spoken.begin(), spoken.end(), settings_.protocol) != spoken.end();
  facts.remote = connection.remote;
  facts.incoming = connection.incoming;
  facts.addresses = bytes_of(event.peer.addresses(), connection.peer);
  if (event.peer.record) facts.record = event.peer.said.signed_peer_record;
  node_.on_peer(facts, now);
}

void Kad::on_notice(const net::SwarmNotice& notice, const Times& now) {
  if (const auto* reached = std::get_if<net::Reached>(&notice)) {
    const auto waiting = dials_.find(reached->dial);
    if (waiting == dials_.end()) return;
    const std::vector<uint64_t> requests = std::move(waiting->second);
    dials_.erase(waiting);
    for (const uint64_t request : requests) open(request, reached->connection, now);
  } else if (const auto* unreached = std::get_if<net::Unreached>(&notice)) {
    const auto waiting = dials_.find(unreached->dial);
    if (waiting == dials_.end()) return;
    const std::vector<uint64_t> requests = std::move(waiting->second);
    dials_.erase(waiting);
    for (const uint64_t request : requests)
      fail_request(request, fail(Code::unreachable, unreached->error.detail), now);
  } else if (const auto* identified = std::get_if<net::Identified>(&notice)) {
    on_identified(*identified, now);
  } else if (std::holds_alternative<net::NetworkChanged>(notice)) {
    node_.network_changed(now);
  } else if (std::holds_alternative<net::ListenChanged>(notice)) {
    node_.addresses_changed(now);
  } else {
    return;
  }
  pump(now);
}

uint64_t Kad::step(const Times& now) {
  uint64_t next_us = streams_.step(now);
  pump(now);
  next_us = std::min(next_us, node_.step(now));
  pump(now);
  return std::min(next_us, node_.step(now));
}

void Kad::pump(const Times& now) {
  for (bool more = true; more;) {
    more = false;
    while (auto event = streams_.next_event()) {
      more = true;
      if (auto* received = std::get_if<net::MessageReceived>(&*event)) {
        on_message(*received, now);
      } else if (const auto* ended = std::get_if<net::MessagesEnded>(&*event)) {
        on_ended(ended->stream, now);
      } else {
        on_closed(std::get<net::MessagesClosed>(*event), now);
      }
    }
    while (const auto cancelled = node_.next_cancelled()) drop_request(*cancelled);
    while (auto request = node_.next_request()) {
      more = true;
      begin(std::move(*request), now);
    }
  }
}

// ---- Our requests ------------------------------------------------------------------------------------------------------

void Kad::begin(KadRequest request, const Times& now) {
  const uint64_t id = request.id;
  const net::PeerId peer = request.peer;
  std::vector<std::string> addresses;
  addresses.reserve(request.addresses.size());
  for (const Bytes& bytes : request.addresses) {
    if (const auto address = net::Multiaddr::from_bytes(bytes); address.ok()) addresses.push_back(address->to_string());
  }
  outgoing_[id].request = std::move(request);
  if (const auto connection = swarm_.connection_with(peer)) {
    open(id, *connection, now);
    return;
  }
  const auto dial = swarm_.dial(peer, addresses);
  if (!dial.ok()) {
    fail_request(id, dial.error(), now);
    return;
  }
  outgoing_[id].dial = *dial;
  dials_[*dial].push_back(id);
}

void Kad::open(uint64_t id, net::ConnectionId connection, const Times& now) {
  const auto found = outgoing_.find(id);
  if (found == outgoing_.end()) return;
  Outgoing& out = found->second;
  out.dial = 0;
  const auto message = encode_kad(out.request.message);
  if (!message.ok()) {
    fail_request(id, message.error(), now);
    return;
  }
  const auto stream = streams_.open(connection, settings_.protocol, out.request.give_up_us);
  if (!stream.ok()) {
    fail_request(id, stream.error(), now);
    return;
  }
  out.stream = *stream;
  out.connection = connection;
  by_stream_[*stream] = id;
  if (const Status sent = streams_.send(*stream, *message); !sent.ok()) {
    fail_request(id, sent.error(), now);
    return;
  }
  // A request's stream is ended behind its answer, as js-libp2p resets a stream that it finds ended.
  if (out.request.one_way) streams_.finish(*stream);
}

void Kad::drop_request(uint64_t id) {
  const auto found = outgoing_.find(id);
  if (found == outgoing_.end()) return;
  const Outgoing out = std::move(found->second);
  outgoing_.erase(found);
  if (out.stream != 0) {
    by_stream_.erase(out.stream);
    if (streams_.owns(out.stream)) streams_.reset(out.stream);
  }
  if (out.dial == 0) return;
  const auto waiting = dials_.find(out.dial);
  if (waiting == dials_.end()) return;
  std::erase(waiting->second, id);
  if (!waiting->second.empty()) return;
  dials_.erase(waiting);
  swarm_.cancel_dial(out.dial);
}

void Kad::fail_request(uint64_t id, const Error& error, const Times& now) {
  drop_request(id);
  node_.on_failed(id, error, now);
}

// ---- Streams -----------------------------------------------------------------------------------------------------------

void Kad::on_message(net::MessageReceived& event, const Times& now) {
  if (inbound_.contains(event.stream)) {
    on_request(event.stream, event.message, now);
    return;
  }
  const auto found = by_stream_.find(event.stream);
  if (found == by_stream_.end()) return;
  const uint64_t id = found->second;
  auto answer = decode_kad(event.message);
  if (!answer.ok()) {
    fail_request(id, answer.error(), now);
    return;
  }
  const auto connection = connections_.find(outgoing_.at(id).connection);
  const bool known = connection != connections_.end();
  const Bytes remote = known ? connection->second.remote : Bytes();
  const bool dialed = known && !connection->second.incoming;
  by_stream_.erase(found);
  outgoing_.erase(id);
  streams_.finish(event.stream);
  if (streams_.owns(event.stream)) streams_.set_deadline(event.stream, now.mono_us + kLingerUs);
  node_.on_answer(id, std::move(*answer), remote, dialed, now);
}

void Kad::on_ended(net::StreamId stream, const Times& now) {
  if (inbound_.contains(stream)) {
    // The answers are written; both directions are over then.
    forget_inbound(stream);
    streams_.finish(stream);
    return;
  }
  const auto found = by_stream_.find(stream);
  if (found == by_stream_.end()) return;
  const uint64_t id = found->second;
  if (outgoing_.at(id).request.one_way) {
    drop_request(id);
    node_.on_answer(id, {}, {}, false, now);
  } else {
    fail_request(id, fail(Code::protocol, "dht: the stream ended without an answer"), now);
  }
}

void Kad::on_closed(const net::MessagesClosed& event, const Times& now) {
  if (inbound_.contains(event.stream)) {
    forget_inbound(event.stream);
    return;
  }
  const auto found = by_stream_.find(event.stream);
  if (found == by_stream_.end()) return;
  const uint64_t id = found->second;
  // js-libp2p resets the stream once it has taken a message without an answer.
  const bool taken = outgoing_.at(id).request.one_way && event.reason.code != Code::unsupported &&
                     event.reason.code != Code::timeout && connections_.contains(outgoing_.at(id).connection);
  if (taken) {
    drop_request(id);
    node_.on_answer(id, {}, {}, false, now);
  } else {
    fail_request(id, event.reason, now);
  }
}

// ---- Requests of others ------------------------------------------------------------------------------------------------

void Kad::accept(const net::StreamOpened& opened, const Times& now) {
  const auto connection = connections_.find(opened.connection);
  const bool room = connection != connections_.end() && connection->second.inbound < kKadInboundStreamsPeer &&
                    inbound_.size() < kKadInboundStreams && node_.is_server();
  if (!room) {
    swarm_.reset(opened.stream);
    return;
  }
  ++connection->second.inbound;
  inbound_[opened.stream] = opened.connection;
  streams_.accept(opened, now.mono_us + kKadIdleUs);
}

void Kad::forget_inbound(net::StreamId stream) {
  const auto found = inbound_.find(stream);
  if (found == inbound_.end()) return;
  const auto connection = connections_.find(found->second);
  if (connection != connections_.end()) --connection->second.inbound;
  inbound_.erase(found);
}

void Kad::on_request(net::StreamId stream, ByteView bytes, const Times& now) {
  const auto refuse = [&] {
    forget_inbound(stream);
    streams_.reset(stream);
  };
  const auto connection = connections_.find(inbound_.at(stream));
  if (connection == connections_.end() || !connection->second.requests.take(now.mono_us)) return refuse();
  const auto request = decode_kad(bytes);
  if (!request.ok()) return refuse();
  const auto answer = node_.serve(connection->second.peer, connection->second.remote, *request, now);
  if (!answer.ok()) return refuse();
  streams_.set_deadline(stream, now.mono_us + kKadIdleUs);
  if (!answer->has_value()) return;
  const auto message = encode_kad(**answer);
  if (!message.ok() || !streams_.send(stream, *message).ok()) refuse();
}

}  // namespace sereus::discovery
