// The circuits of a relay: how they are called, what they carry, and how they end.
#include <algorithm>
#include <utility>

#include "core/net/delimited.h"
#include "core/net/relay_server.h"

namespace sereus::net {

// ---- Calling ----------------------------------------------------------------------------------------------------------

std::optional<ConnectionId> RelayServer::direct_connection(const PeerId& peer) const {
  const auto found = peers_.find(peer);
  if (found == peers_.end() || found->second.direct.empty()) return std::nullopt;
  return *found->second.direct.rbegin();  // the newest
}

Bytes RelayServer::subnet_of(ConnectionId connection) const {
  const auto found = connections_.find(connection);
  if (found == connections_.end() || !found->second.endpoint) return {};
  return subnet_key(*found->second.endpoint);
}

std::optional<RelayRefusal> RelayServer::connect_refusal(const PeerId& source, const PeerId& target,
                                                         const Bytes& source_subnet, const Bytes& target_subnet,
                                                         const Times& now) {
  if (circuits_.size() >= settings_.circuits) return RelayRefusal::circuits_total;
  size_t of_source = 0;
  size_t of_target = 0;
  for (const auto& [id, circuit] : circuits_) {
    if (circuit.source == source || circuit.target == source) ++of_source;
    if (circuit.source == target || circuit.target == target) ++of_target;
  }
  if (of_source >= settings_.circuits_peer) return RelayRefusal::circuits_source;
  if (of_target >= settings_.circuits_peer) return RelayRefusal::circuits_target;
  for (const PeerId* peer : {&source, &target}) {
    const uint64_t day_bytes = tier_of(trust_of(*peer)).day_bytes;
    if (peer_days_.left(to_bytes(peer->multihash()), day_bytes, now.mono_us) == 0) return RelayRefusal::quota_peer;
  }
  for (const Bytes* subnet : {&source_subnet, &target_subnet}) {
    if (subnet->empty()) continue;
    if (subnet_days_.left(*subnet, settings_.subnet_day_bytes, now.mono_us) == 0) return RelayRefusal::quota_subnet;
  }
  return std::nullopt;
}

void RelayServer::connect(StreamId stream, const Connection& connection, const PeerId& target, const Times& now) {
  const PeerId source = connection.peer;
  const auto refuse = [&](RelayRefusal reason) { refuse_circuit(stream, source, target, reason); };
  if (connection.relayed) return refuse(RelayRefusal::relayed);
  if (target == own_ || target == source) return refuse(RelayRefusal::own);
  const RelayTrust trust = std::min(trust_of(source), trust_of(target));
  if (trust == RelayTrust::blocked) return refuse(RelayRefusal::blocked);
  if (settings_.may_connect && !settings_.may_connect(source, target)) return refuse(RelayRefusal::acl);
  const auto to = direct_connection(target);
  if (!reservations_.contains(target) || !to) return refuse(RelayRefusal::no_reservation);
  const RelayTier tier = tier_of(trust);
  const Bytes source_subnet = connection.endpoint ? subnet_key(*connection.endpoint) : Bytes();
  const Bytes target_subnet = subnet_of(*to);
  if (const auto reason = connect_refusal(source, target, source_subnet, target_subnet, now)) {
    return refuse(*reason);
  }
  StopMessage call;
  call.type = StopMessage::Type::connect;
  call.peer = source;
  call.limit = CircuitLimit{tier.circuit_duration_us, tier.circuit_bytes};
  const auto bytes = encode_stop(call);
  const auto stop = stops_.open(*to, kStopProtocol, now.mono_us + kCircuitAnswerTimeoutUs);
  if (!stop.ok() || !bytes.ok()) return refuse(RelayRefusal::target_silent);
  (void)stops_.send(*stop, *bytes);  // its end is told

  const uint64_t id = ++last_circuit_;
  Circuit& circuit = circuits_[id];
  circuit.source = source;
  circuit.target = target;
  circuit.source_subnet = source_subnet;
  circuit.target_subnet = target_subnet;
  circuit.tier = tier;
  circuit.stop = *stop;
  MessageStreams::Released released = hops_.release(stream);
  // What the source says before it knows is for the target, once there is a circuit. No more of it is read until then.
  circuit.to_target.from = stream;
  circuit.to_target.early = std::move(released.received);
  circuit.to_target.early_ended = released.ended;
  circuit.to_source.to = stream;
  by_stream_[stream] = id;
  by_stream_[*stop] = id;
}

void RelayServer::take_stop_events(const Times& now) {
  while (const auto event = stops_.next_event()) {
    if (const auto* received = std::get_if<MessageReceived>(&*event)) {
      on_stop_answer(received->stream, received->message, now);
      continue;
    }
    StreamId stream = 0;
    if (const auto* ended = std::get_if<MessagesEnded>(&*event)) stream = ended->stream;
    if (const auto* closed = std::get_if<MessagesClosed>(&*event)) stream = closed->stream;
    const auto found = by_stream_.find(stream);
    if (found != by_stream_.end()) call_failed(found->second, RelayRefusal::target_silent, now);
  }
}

void RelayServer::on_stop_answer(StreamId stream, ByteView message, const Times& now) {
  const auto found = by_stream_.find(stream);
  if (found == by_stream_.end()) return stops_.reset(stream);
  const uint64_t id = found->second;
  const auto answer = decode_stop(message);
  if (!answer.ok() || answer->type != StopMessage::Type::status || answer->status != CircuitStatus::ok) {
    return call_failed(id, RelayRefusal::target_refused, now);
  }
  Circuit& circuit = circuits_.at(id);
  MessageStreams::Released released = stops_.release(stream);
  circuit.to_source.from = stream;
  circuit.to_source.early = std::move(released.received);
  circuit.to_source.early_ended = released.ended;
  circuit.to_target.to = stream;
  open_circuit(id, now);
}

// The source is answered, and asked for nothing more.
void RelayServer::call_failed(uint64_t id, RelayRefusal reason, const Times& now) {
  const auto at = circuits_.find(id);
  const StreamId source = at->second.to_target.from;
  ++stats_.refused[static_cast<size_t>(reason)];
  tell(CircuitRefused{at->second.source, at->second.target, reason});
  HopMessage message;
  message.type = HopMessage::Type::status;
  message.status = CircuitStatus::connection_failed;
  const Bytes framed = delimited(encode_hop(message).value());
  const auto taken = swarm_.write(source, framed);
  stops_.reset(at->second.stop);
  forget_circuit(at);
  if (!taken.ok() || *taken < framed.size()) return swarm_.reset(source);
  drain_.add(source, now);
}

void RelayServer::open_circuit(uint64_t id, const Times& now) {
  Circuit& circuit = circuits_.at(id);
  circuit.state = State::open;
  const CircuitLimit limit{circuit.tier.circuit_duration_us, circuit.tier.circuit_bytes};
  HopMessage message;
  message.type = HopMessage::Type::status;
  message.status = CircuitStatus::ok;
  message.limit = limit;
  circuit.to_source.buffer = delimited(encode_hop(message).value());
  circuit.to_target.left = circuit.to_source.left = limit.data_bytes;
  set_timer(circuit.deadline_us, id, now.mono_us + limit.duration_us);
  ++stats_.opened;
  tell(CircuitOpened{id, circuit.source, circuit.target, limit});
  pump_circuit(id, now);
}

// ---- Carrying ---------------------------------------------------------------------------------------------------------

bool RelayServer::on_circuit_event(const HostEvent& event, const Times& now) {
  StreamId stream = 0;
  const auto* closed = std::get_if<StreamClosed>(&event);
  if (closed != nullptr) stream = closed->stream;
  if (const auto* readable = std::get_if<StreamReadable>(&event)) stream = readable->stream;
  if (const auto* writable = std::get_if<StreamWritable>(&event)) stream = writable->stream;
  const auto found = by_stream_.find(stream);
  if (found == by_stream_.end()) return false;
  const uint64_t id = found->second;
  if (closed != nullptr) {
    const bool source = circuits_.at(id).to_target.from == stream;
    end_circuit(id, source ? CircuitEnd::source_gone : CircuitEnd::target_gone);
  } else {
    pump_circuit(id, now);
  }
  return true;
}

// What the day has left for both ends and their subnets.
uint64_t RelayServer::quota_left(const Circuit& circuit, const Times& now) {
  uint64_t left = UINT64_MAX;
  for (const PeerId* peer : {&circuit.source, &circuit.target}) {
    const uint64_t day_bytes = tier_of(trust_of(*peer)).day_bytes;
    left = std::min(left, peer_days_.left(to_bytes(peer->multihash()), day_bytes, now.mono_us));
  }
  for (const Bytes* subnet : {&circuit.source_subnet, &circuit.target_subnet}) {
    if (subnet->empty()) continue;
    left = std::min(left, subnet_days_.left(*subnet, settings_.subnet_day_bytes, now.mono_us));
  }
  return left;
}

void RelayServer::charge(const Circuit& circuit, uint64_t bytes) {
  stats_.bytes += bytes;
  peer_days_.take(to_bytes(circuit.source.multihash()), bytes);
  peer_days_.take(to_bytes(circuit.target.multihash()), bytes);
  subnet_days_.take(circuit.source_subnet, bytes);
  if (circuit.target_subnet != circuit.source_subnet) subnet_days_.take(circuit.target_subnet, bytes);
}

// What came before the circuit was open goes first.
Result<Host::ReadResult> RelayServer::read_pipe(Pipe& pipe, ByteSpan out) {
  if (pipe.early.empty() && !pipe.early_ended) return swarm_.read(pipe.from, out);
  Host::ReadResult result;
  result.size = std::min(out.size(), pipe.early.size());
  std::copy_n(pipe.early.begin(), result.size, out.begin());
  pipe.early.erase(pipe.early.begin(), pipe.early.begin() + static_cast<ptrdiff_t>(result.size));
  result.finished = pipe.early_ended && pipe.early.empty();
  return result;
}

// True: everything was taken.
bool RelayServer::write_pipe(Pipe& pipe) {
  if (pipe.buffer.empty()) return true;
  const auto taken = swarm_.write(pipe.to, pipe.buffer);
  if (!taken.ok()) return false;  // StreamClosed tells
  pipe.buffer.erase(pipe.buffer.begin(), pipe.buffer.begin() + static_cast<ptrdiff_t>(*taken));
  return pipe.buffer.empty();
}

void RelayServer::pump(uint64_t id, Circuit& circuit, Pipe& pipe, const Times& now) {
  size_t pumped = 0;
  while (write_pipe(pipe)) {
    if (circuit.state == State::ending) return;
    if (pipe.ended) {
      if (!std::exchange(pipe.finished, true)) swarm_.finish(pipe.to);
      return;
    }
    if (pumped >= kRelayPumpBytes) {
      again_.insert(id);
      return;
    }
    const uint64_t allowed = std::min(pipe.left, quota_left(circuit, now));
    // With nothing left, one byte is asked for: the end is still allowed.
    const size_t wanted = std::max<uint64_t>(1, std::min<uint64_t>(scratch_.size(), allowed));
    const auto got = read_pipe(pipe, ByteSpan(scratch_).first(wanted));
    if (!got.ok()) return;  // StreamClosed tells
    if (got->size > allowed) {
      return begin_end(id, circuit, pipe.left == 0 ? CircuitEnd::data_limit : CircuitEnd::quota, now);
    }
    pipe.ended = got->finished;
    if (got->size == 0 && !pipe.ended) return;
    pipe.left -= got->size;
    pipe.bytes += got->size;
    pumped += got->size;
    charge(circuit, got->size);
    pipe.buffer.assign(scratch_.begin(), scratch_.begin() + static_cast<ptrdiff_t>(got->size));
  }
}

void RelayServer::pump_circuit(uint64_t id, const Times& now) {
  const auto at = circuits_.find(id);
  if (at == circuits_.end() || at->second.state == State::calling) return;
  Circuit& circuit = at->second;
  pump(id, circuit, circuit.to_target, now);
  pump(id, circuit, circuit.to_source, now);
  if (circuit.to_target.finished && circuit.to_source.finished) end_circuit(id, CircuitEnd::finished);
}

// ---- Ending -----------------------------------------------------------------------------------------------------------

// A limit is reached: nothing more is read, and what was allowed has a moment to arrive before the reset.
void RelayServer::begin_end(uint64_t id, Circuit& circuit, CircuitEnd end, const Times& now) {
  circuit.state = State::ending;
  circuit.end = end;
  set_timer(circuit.deadline_us, id, std::min(circuit.deadline_us, now.mono_us + kRelayResetGraceUs));
}

void RelayServer::end_circuit(uint64_t id, CircuitEnd end) {
  const auto at = circuits_.find(id);
  Circuit& circuit = at->second;
  if (circuit.state == State::ending) end = circuit.end;
  const bool opened = circuit.state != State::calling;
  if (!opened) stops_.reset(circuit.stop);
  if (end != CircuitEnd::finished) {
    swarm_.reset(circuit.to_target.from);
    if (opened) swarm_.reset(circuit.to_source.from);
  }
  if (opened) {
    ++stats_.ended[static_cast<size_t>(end)];
    tell(CircuitClosed{id, circuit.source, circuit.target, end, circuit.to_target.bytes, circuit.to_source.bytes});
  }
  forget_circuit(at);
}

void RelayServer::forget_circuit(Circuits::iterator at) {
  Circuit& circuit = at->second;
  set_timer(circuit.deadline_us, at->first, kNever);
  by_stream_.erase(circuit.to_target.from);
  by_stream_.erase(circuit.stop);
  again_.erase(at->first);
  circuits_.erase(at);
}

}  // namespace sereus::net
