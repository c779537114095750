#include "core/discovery/pex.h"

#include <algorithm>
#include <utility>

#include "core/codec/wire_table.h"
#include "core/discovery/address_facts.h"
#include "core/discovery/schema/pex_generated.h"
#include "core/net/peer_record.h"

namespace sereus::discovery {
namespace {

constexpr uint16_t kVersion = 1;

ByteView view_of(const flatbuffers::Vector<uint8_t>* vector) {
  return vector == nullptr ? ByteView() : ByteView(vector->data(), vector->size());
}

net::AddressScope scope_of(std::string_view address) {
  const auto parsed = net::Multiaddr::parse(address);
  return parsed.ok() ? facts_of(parsed->to_bytes()).scope : net::AddressScope::global;
}

// Whether who is in `scope` could reach any of the addresses: what is in a local network is no use outside of it, and tells a
// stranger what it looks like.
bool is_of_use(const std::vector<Bytes>& addresses, net::AddressScope scope) {
  if (scope != net::AddressScope::global) return !addresses.empty();
  return std::any_of(addresses.begin(), addresses.end(),
                     [](const Bytes& address) { return facts_of(address).scope == net::AddressScope::global; });
}

}  // namespace

std::string pex_protocol_of(std::string_view network) {
  std::string out = "/sereus/";
  out += network;
  out += "/pex/1.0.0";
  return out;
}

Pex::Pex(net::Swarm& swarm, Random& random, AddressBook& book, PexSettings settings)
    : swarm_(swarm),
      random_(random),
      book_(book),
      settings_(std::move(settings)),
      streams_(swarm, {kPexMessageMax, kPexMessageMax + kPexFrameMax}) {}

// --- what happens on the swarm ---

bool Pex::on_event(const net::HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<net::Connected>(&event)) {
    Connection& connection = connections_[connected->connection];
    connection.peer = connected->peer;
    connection.scope = scope_of(connected->address);
    return false;
  }
  if (const auto* disconnected = std::get_if<net::Disconnected>(&event)) {
    connections_.erase(disconnected->connection);
    return false;
  }
  const auto* opened = std::get_if<net::StreamOpened>(&event);
  if (opened != nullptr && opened->incoming && opened->protocol == settings_.protocol) {
    accept(*opened, now);
    pump(now);
    return true;
  }
  if (!streams_.on_event(event, now)) return false;
  pump(now);
  return true;
}

void Pex::on_notice(const net::SwarmNotice& notice, const Times& now) {
  const auto* identified = std::get_if<net::Identified>(&notice);
  if (identified == nullptr) return;
  const auto found = connections_.find(identified->connection);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  const auto& protocols = identified->peer.said.protocols;
  const bool spoke = std::exchange(
      connection.speaks, std::find(protocols.begin(), protocols.end(), settings_.protocol) != protocols.end());
  // A new neighbour is asked at once; half of the interval is drawn, so that a network does not ask in step.
  if (connection.speaks && !spoke) connection.ask_at_us = now.mono_us;
}

uint64_t Pex::step(const Times& now) {
  uint64_t next = streams_.step(now);
  const bool all = std::exchange(ask_all_, false);
  for (auto& [id, connection] : connections_) {
    if (!connection.speaks || connection.asking != 0 || (settings_.interval_us == 0 && !all)) continue;
    if (all || connection.ask_at_us <= now.mono_us) ask(id, connection, now);
    if (settings_.interval_us != 0) next = std::min(next, connection.ask_at_us);
  }
  pump(now);
  return next;
}

std::optional<PexLearned> Pex::next_event() {
  if (events_.empty()) return std::nullopt;
  PexLearned event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Pex::pump(const Times& now) {
  while (const auto event = streams_.next_event()) {
    if (const auto* received = std::get_if<net::MessageReceived>(&*event)) {
      on_message(*received, now);
    } else if (const auto* closed = std::get_if<net::MessagesClosed>(&*event)) {
      if (const auto asked = asking_.extract(closed->stream)) {
        if (const auto found = connections_.find(asked.mapped()); found != connections_.end()) found->second.asking = 0;
      }
    } else {
      // Nobody says more than one message: an end without one is no answer.
      const auto& ended = std::get<net::MessagesEnded>(*event);
      if (asking_.contains(ended.stream)) finish_asking(ended.stream);
    }
  }
}

void Pex::on_message(const net::MessageReceived& event, const Times& now) {
  const auto asked = asking_.find(event.stream);
  if (asked == asking_.end()) return on_request(event.stream, event.message, now);
  const net::ConnectionId id = asked->second;
  finish_asking(event.stream);
  if (const auto found = connections_.find(id); found != connections_.end())
    on_answer(found->second, event.message, now);
}

// --- asking ---

void Pex::ask(net::ConnectionId id, Connection& connection, const Times& now) {
  const uint64_t half_us = settings_.interval_us / 2;
  connection.ask_at_us = now.mono_us + half_us + random_.below(settings_.interval_us - half_us + 1);
  auto stream = streams_.open(id, settings_.protocol, now.mono_us + kPexTimeoutUs);
  if (!stream.ok()) return;
  flatbuffers::FlatBufferBuilder builder(512);
  const auto record = swarm_.signed_record(now);
  const Bytes own = record.ok() ? *record : Bytes();
  const auto vector = builder.CreateVector(own.data(), own.size());
  builder.Finish(wire::CreatePexRequest(builder, kVersion, static_cast<uint16_t>(settings_.peers_max), vector));
  if (!streams_.send(*stream, ByteView(builder.GetBufferPointer(), builder.GetSize())).ok()) {
    streams_.reset(*stream);
    return;
  }
  streams_.finish(*stream);
  connection.asking = *stream;
  asking_[*stream] = id;
}

void Pex::finish_asking(net::StreamId stream) {
  const auto asked = asking_.extract(stream);
  if (const auto found = connections_.find(asked.mapped()); found != connections_.end()) found->second.asking = 0;
  streams_.reset(stream);
}

void Pex::on_answer(const Connection& connection, ByteView message, const Times& now) {
  const auto* answer = verified_table<wire::PexAnswer>(message);
  PexLearned learned;
  learned.from = connection.peer;
  if (answer == nullptr) {
    learned.refused = 1;
  } else if (answer->peers() != nullptr) {
    size_t taken = 0;
    for (const wire::PexPeer* peer : *answer->peers()) {
      // Each costs a signature: no more than were asked for.
      if (++taken > settings_.peers_max) break;
      take_peer(connection.peer, view_of(peer->record()), peer->age_s(), learned, now);
    }
  }
  if (events_.size() >= kPexEventsMax) events_.pop_front();
  events_.push_back(std::move(learned));
}

void Pex::take_peer(const net::PeerId& source, ByteView envelope, uint64_t age_s, PexLearned& learned,
                    const Times& now) {
  const auto record = net::open_peer_record(envelope);
  if (!record.ok()) {
    ++learned.refused;
    return;
  }
  const uint64_t age_us = age_s * kMicrosPerSecond;
  if (record->peer == swarm_.peer_id() || age_us >= kPexFreshUs) return;
  const bool known = book_.knows(record->peer, now.mono_us);
  const uint64_t seen_us = now.mono_us - std::min(age_us, now.mono_us);
  if (!book_.add_record(*record, envelope, seen_us, now.mono_us).ok()) return;
  learned.peers.push_back(record->peer);
  if (!known) remember_source(source, record->peer, now);
}

// Whom a peer named, and nobody else has confirmed, goes first when it names more.
void Pex::remember_source(const net::PeerId& source, const net::PeerId& learned, const Times& now) {
  if (!introduced_.contains(source) && introduced_.size() >= kPexSourcesMax) introduced_.erase(introduced_.begin());
  std::deque<net::PeerId>& its = introduced_[source];
  its.push_back(learned);
  if (its.size() <= kPexPeersSourceMax) return;
  const net::PeerId oldest = std::move(its.front());
  its.pop_front();
  if (book_.source(oldest, now.mono_us) == AddressSource::certified && !connected(oldest)) book_.forget(oldest);
}

bool Pex::connected(const net::PeerId& peer) const {
  return std::any_of(connections_.begin(), connections_.end(), [&](const auto& c) { return c.second.peer == peer; });
}

// --- answering ---

void Pex::accept(const net::StreamOpened& opened, const Times& now) {
  const auto found = connections_.find(opened.connection);
  if (found == connections_.end() || !take_turn(found->second.peer, now)) return swarm_.reset(opened.stream);
  streams_.accept(opened, now.mono_us + kPexTimeoutUs);
}

bool Pex::take_turn(const net::PeerId& peer, const Times& now) {
  std::erase_if(answered_, [&](const auto& item) { return item.second <= now.mono_us; });
  if (answered_.contains(peer) || answered_.size() >= kPexSourcesMax) return false;
  answered_.emplace(peer, now.mono_us + kPexAskedUsMin);
  return true;
}

void Pex::on_request(net::StreamId stream, ByteView message, const Times& now) {
  const auto* request = verified_table<wire::PexRequest>(message);
  const auto found = connections_.find(streams_.connection_of(stream));
  if (request == nullptr || request->version() != kVersion || found == connections_.end())
    return streams_.reset(stream);
  const Connection& asker = found->second;
  // Only its own: what it says of others it is asked for.
  if (const ByteView own = view_of(request->record()); !own.empty()) {
    const auto record = net::open_peer_record(own);
    if (!record.ok() || record->peer != asker.peer) return streams_.reset(stream);
    (void)book_.add_record(*record, own, now.mono_us, now.mono_us);
  }
  flatbuffers::FlatBufferBuilder builder(4096);
  std::vector<flatbuffers::Offset<wire::PexPeer>> peers;
  size_t size = 0;
  for (const Told& told : sample(asker, std::min<size_t>(request->most(), settings_.peers_max), now)) {
    size += told.record.size() + kPexFrameMax;
    if (size > kPexMessageMax - kPexFrameMax) break;
    const auto record = builder.CreateVector(told.record.data(), told.record.size());
    peers.push_back(wire::CreatePexPeer(builder, record, static_cast<uint32_t>(told.age_s)));
  }
  builder.Finish(wire::CreatePexAnswer(builder, builder.CreateVector(peers)));
  (void)streams_.send(stream, ByteView(builder.GetBufferPointer(), builder.GetSize()));
  streams_.finish(stream);
}

std::vector<Pex::Told> Pex::sample(const Connection& asker, size_t most, const Times& now) {
  std::vector<net::PeerId> known = book_.peers(now.mono_us, AddressSource::certified);
  std::vector<Told> out;
  // A prefix of a shuffled list (Fisher and Yates), shuffled as far as it is looked at.
  for (size_t i = 0; i < known.size() && out.size() < most; ++i) {
    std::swap(known[i], known[i + random_.below(known.size() - i)]);
    const net::PeerId& peer = known[i];
    const ByteView record = book_.record(peer, now.mono_us);
    if (record.empty() || peer == asker.peer || !is_of_use(book_.addresses(peer, now.mono_us), asker.scope)) continue;
    const uint64_t age_us = connected(peer) ? 0 : book_.record_age_us(peer, now.mono_us);
    if (age_us < kPexFreshUs) out.push_back({record, age_us / kMicrosPerSecond});
  }
  return out;
}

}  // namespace sereus::discovery
