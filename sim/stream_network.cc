#include "sim/stream_network.h"

#include <algorithm>

namespace sereus::sim {

namespace {

constexpr uint16_t kPort = 4001;

std::string multiaddr_of(const IpEndpoint& endpoint) {
  return "/ip4/" + ip_to_string(endpoint) + "/udp/" + std::to_string(endpoint.port) + "/quic-v1";
}

}  // namespace

std::unique_ptr<net::Host> StreamNetwork::make_host(size_t machine, const net::PeerId& peer,
                                                    std::function<void()> wake) {
  auto host = std::make_unique<StreamHost>(*this, ++last_id_, machine, peer, std::move(wake));
  hosts_[host->id_] = host.get();
  return host;
}

void StreamNetwork::forget_host(StreamHost& host, std::optional<Code> farewell) {
  hosts_.erase(host.id_);
  std::erase_if(listeners_, [&](const auto& item) { return item.second == &host; });
  for (auto& [id, link] : links_) {
    for (int side : {0, 1}) {
      if (link.end[side] != &host) continue;
      if (farewell) {
        Message message;
        message.kind = Message::Kind::close;
        message.code = *farewell;
        send(id, 1 - side, std::move(message));
      }
      link.end[side] = nullptr;
    }
  }
}

void StreamNetwork::break_links(size_t a, size_t b) {
  std::vector<uint64_t> between;
  for (const auto& [id, link] : links_) {
    const size_t x = link.machine[0];
    const size_t y = link.machine[1];
    if ((x == a && y == b) || (x == b && y == a)) between.push_back(id);
  }
  for (const uint64_t id : between) {
    break_link(id, 0, Code::io);
    break_link(id, 1, Code::io);
  }
}

// ---- Dialing --------------------------------------------------------------------------------------------------------

void StreamNetwork::dial(StreamHost& from, uint64_t dial, const std::string& address, const net::PeerId& peer) {
  // Out and back: the handshake.
  scheduler_.after(delay() + delay(), [this, host = from.id_, dial, address, peer, begun = scheduler_.now_us()] {
    finish_dial(host, dial, address, peer, begun);
  });
}

StreamHost* StreamNetwork::listener_at(const std::string& address, size_t from) const {
  if (const auto found = listeners_.find(address); found != listeners_.end()) {
    return topology_.routes(from, found->second->machine_) ? found->second : nullptr;
  }
  // A port that a box forwards; the first of its machines that listens has it.
  for (const auto& [own, host] : listeners_) {
    const NatBox* box = topology_.box_of(host->machine_);
    if (box == nullptr || !box->forwards() || multiaddr_of(box->outside(false, kPort)) != address) continue;
    return topology_.box_of(from) != box || box->settings().hairpin ? host : nullptr;
  }
  return nullptr;
}

bool StreamNetwork::handshake_passes(const StreamHost& dialer, const StreamHost& listener) const {
  const size_t a = dialer.machine_;
  const size_t b = listener.machine_;
  return !topology_.is_cut(a, b) && !topology_.is_cut(b, a) && topology_.answers(a) && topology_.answers(b) &&
         !topology_.halted(a) && !topology_.halted(b);
}

std::string StreamNetwork::address_seen(const StreamHost& dialer, size_t by) const {
  const NatBox* box = topology_.box_of(dialer.machine_);
  if (box == nullptr || box == topology_.box_of(by)) {
    return dialer.addresses_.empty() ? "/ip4/10.0.0.9/udp/9/quic-v1" : dialer.addresses_.front();
  }
  return multiaddr_of(box->outside(false, box->forwards() ? kPort : static_cast<uint16_t>(40'000 + dialer.machine_)));
}

// A system whose program is gone says so at once; without power it says nothing.
bool StreamNetwork::is_refused(const std::string& address, size_t from) const {
  const auto known = machines_.find(address);
  if (known == machines_.end() || listeners_.contains(address)) return false;
  const size_t there = known->second;
  return topology_.routes(from, there) && topology_.answers(there) && !topology_.halted(there) &&
         topology_.answers(from) && !topology_.halted(from) && !topology_.is_cut(from, there) &&
         !topology_.is_cut(there, from);
}

void StreamNetwork::count_failed_dial(size_t machine, const net::PeerId& peer, const std::string& address) {
  std::deque<uint64_t>& times = failed_dials_[{machine, peer}][address];
  times.push_back(scheduler_.now_us());
  while (times.front() + kDialWindowUs < scheduler_.now_us()) times.pop_front();
  busiest_dialing_ = std::max(busiest_dialing_, times.size());
}

void StreamNetwork::finish_dial(uint64_t from_host, uint64_t dial, const std::string& address, const net::PeerId& peer,
                                uint64_t begun) {
  const auto from = hosts_.find(from_host);
  if (from == hosts_.end()) return;
  StreamHost& dialer = *from->second;
  StreamHost* found = listener_at(address, dialer.machine_);
  if (found == nullptr || !handshake_passes(dialer, *found)) {
    if (scheduler_.now_us() < begun + kDialTimeoutUs && !is_refused(address, dialer.machine_)) {
      scheduler_.after(500'000, [=, this] { finish_dial(from_host, dial, address, peer, begun); });
      return;
    }
    count_failed_dial(dialer.machine_, peer, address);
    dialer.push(net::DialFailed{dial, fail(Code::unreachable, "nobody answers at " + address)});
    return;
  }
  StreamHost& listener = *found;
  if (listener.peer_ != peer) {
    dialer.push(net::DialFailed{dial, fail(Code::denied, "another peer answers at " + address)});
    return;
  }
  failed_dials_.erase({dialer.machine_, peer});
  const uint64_t id = ++last_id_;
  Link& link = links_[id];
  link.id = id;
  link.end[0] = &dialer;
  link.end[1] = &listener;
  link.machine[0] = dialer.machine_;
  link.machine[1] = listener.machine_;
  link.heard_us[0] = link.heard_us[1] = scheduler_.now_us();
  link.connection[0] = dialer.add_connection(id, 0);
  link.connection[1] = listener.add_connection(id, 1);
  dialer.push(net::Connected{link.connection[0], dial, listener.peer_, address, false});
  listener.push(net::Connected{link.connection[1], 0, dialer.peer_, address_seen(dialer, listener.machine_), true});
  if (chronicle_ != nullptr) {
    const uint64_t now_us = scheduler_.now_us();
    chronicle_->add({Chronicle::Kind::connected, now_us, now_us, dialer.machine_, listener.machine_, 0, {}});
  }
  watch_link(id);
}

// Notices silence as an idle timeout would.
void StreamNetwork::watch_link(uint64_t id) {
  scheduler_.after(kWatchUs, [this, id] {
    const auto found = links_.find(id);
    if (found == links_.end()) return;
    Link& link = found->second;
    const bool both = link.end[0] != nullptr && link.end[1] != nullptr;
    for (int side : {0, 1}) {
      const size_t here = link.machine[side];
      const size_t there = link.machine[1 - side];
      if (topology_.asleep(here)) link.heard_us[side] += kWatchUs;  // its timers stand still
      const bool heard = both && !topology_.is_cut(there, here) && topology_.answers(there) && !topology_.halted(there);
      if (heard && topology_.answers(here)) link.heard_us[side] = scheduler_.now_us();
      if (topology_.halted(here)) continue;
      if (link.end[side] != nullptr && scheduler_.now_us() >= link.heard_us[side] + kIdleUs) {
        break_link(id, side, Code::timeout);
      }
    }
    if (link.end[0] == nullptr && link.end[1] == nullptr) {
      links_.erase(id);
    } else {
      watch_link(id);
    }
  });
}

void StreamNetwork::break_link(uint64_t id, int side, Code code) {
  const auto found = links_.find(id);
  if (found == links_.end() || found->second.end[side] == nullptr) return;
  StreamHost* host = found->second.end[side];
  found->second.end[side] = nullptr;
  host->lose(found->second.connection[side], fail(code, "the connection ended"));
}

void StreamNetwork::send(uint64_t id, int to, Message message) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  Link& link = found->second;
  bytes_carried_ += message.data.size();
  if (tap_ && !message.data.empty()) tap_(message.data);
  message.sent_us = scheduler_.now_us();
  Lane& lane = link.lane[to];
  const uint64_t delay_us = delay() + topology_.extra_us(link.machine[1 - to], link.machine[to]);
  lane.last_us = std::max(lane.last_us, scheduler_.now_us() + delay_us);
  lane.queue.emplace_back(lane.last_us, std::move(message));
  if (lane.scheduled) return;
  lane.scheduled = true;
  scheduler_.at(lane.last_us, [this, id, to] { deliver(id, to); });
}

void StreamNetwork::deliver(uint64_t id, int to) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  Link& link = found->second;
  Lane& lane = link.lane[to];
  lane.scheduled = false;
  if (topology_.is_cut(link.machine[1 - to], link.machine[to]) || !topology_.answers(link.machine[to])) {
    // What QUIC would send again until the link heals or the connection is given up.
    if (!lane.queue.empty()) {
      lane.scheduled = true;
      scheduler_.after(200'000, [this, id, to] { deliver(id, to); });
    }
    return;
  }
  if (topology_.halted(link.machine[to])) {
    lane.scheduled = true;
    return topology_.wait(link.machine[to], [this, id, to] { deliver(id, to); });
  }
  while (!lane.queue.empty() && lane.queue.front().first <= scheduler_.now_us()) {
    Message message = std::move(lane.queue.front().second);
    lane.queue.pop_front();
    if (link.end[to] != nullptr) hand_over(link, to, std::move(message));
  }
  if (!lane.queue.empty()) {
    lane.scheduled = true;
    scheduler_.at(lane.queue.front().first, [this, id, to] { deliver(id, to); });
  }
}

void StreamNetwork::hand_over(Link& link, int to, Message message) {
  if (chronicle_ != nullptr) {
    chronicle_->add({Chronicle::Kind::message, message.sent_us, scheduler_.now_us(), link.machine[1 - to],
                     link.machine[to], message.data.size(), message.protocol});
  }
  if (message.kind == Message::Kind::close) {
    break_link(link.id, to, message.code);
  } else {
    link.end[to]->receive(link.connection[to], std::move(message));
  }
}

// ---- Hosts ----------------------------------------------------------------------------------------------------------

StreamHost::~StreamHost() {
  // The system tells for a process that died; nobody does when the power is gone.
  const bool told = network_.topology_.answers(machine_);
  if (!closed_) network_.forget_host(*this, told ? std::optional(Code::io) : std::nullopt);
}

void StreamHost::close(const Times&) {
  if (closed_) return;
  closed_ = true;
  network_.forget_host(*this, Code::closed);
  connections_.clear();
  streams_.clear();
  events_.clear();
}

Status StreamHost::listen(std::string_view) {
  const std::string address = multiaddr_of(network_.topology_.interface_address(machine_, false, kPort));
  addresses_.push_back(address);
  network_.listeners_[address] = this;
  network_.machines_[address] = machine_;
  return {};
}

Result<uint64_t> StreamHost::dial(std::string_view multiaddr, const net::PeerId& peer) {
  if (closed_) return fail(Code::closed, "the host is closed");
  const uint64_t id = ++last_id_;
  network_.dial(*this, id, std::string(multiaddr), peer);
  return id;
}

net::ConnectionId StreamHost::add_connection(uint64_t link, int side) {
  const net::ConnectionId id = ++last_id_;
  connections_[id].link = link;
  connections_[id].side = side;
  stats_.connections += 1;
  return id;
}

void StreamHost::push(net::HostEvent event) {
  events_.push_back(std::move(event));
  wake_();
}

std::optional<net::HostEvent> StreamHost::next_event() {
  if (events_.empty()) return std::nullopt;
  net::HostEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void StreamHost::disconnect(net::ConnectionId id, Code reason) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const uint64_t link = found->second.link;
  const int side = found->second.side;
  StreamNetwork::Message message;
  message.kind = StreamNetwork::Message::Kind::close;
  message.code = reason;
  network_.send(link, 1 - side, std::move(message));
  if (const auto held = network_.links_.find(link); held != network_.links_.end()) held->second.end[side] = nullptr;
  lose(id, fail(reason, "disconnected here"));
}

void StreamHost::lose(net::ConnectionId id, const Error& reason) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const Error of_streams = reason.code == Code::ok ? fail(Code::closed, reason.detail) : reason;
  for (const auto& [wire, stream] : found->second.streams) {
    if (streams_.erase(stream) > 0) push(net::StreamClosed{stream, of_streams});
  }
  connections_.erase(found);
  push(net::Disconnected{id, reason});
}

Result<net::StreamId> StreamHost::open_stream(net::ConnectionId id, std::string_view protocol) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return fail(Code::closed, "the connection is closed");
  Connection& connection = found->second;
  const auto link = network_.links_.find(connection.link);
  if (link == network_.links_.end()) return fail(Code::closed, "the connection is closed");
  const uint64_t wire = link->second.next_stream[connection.side];
  link->second.next_stream[connection.side] += 2;
  const net::StreamId stream = ++last_id_;
  streams_[stream].connection = id;
  streams_[stream].wire = wire;
  connection.streams[wire] = stream;
  StreamNetwork::Message message;
  message.kind = StreamNetwork::Message::Kind::open;
  message.stream = wire;
  message.protocol = std::string(protocol);
  network_.send(connection.link, 1 - connection.side, std::move(message));
  push(net::StreamOpened{stream, id, std::string(protocol), false});
  return stream;
}

StreamHost::Stream* StreamHost::stream_of(net::StreamId id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : &found->second;
}

Result<size_t> StreamHost::write(net::StreamId id, ByteView data) {
  Stream* stream = stream_of(id);
  if (stream == nullptr || stream->finished) return fail(Code::closed, "the stream is closed");
  const size_t taken = std::min(data.size(), stream->window);
  if (taken < data.size()) stream->wants_room = true;
  if (taken == 0) return size_t{0};
  stream->window -= taken;
  stats_.bytes_sent += taken;
  const Connection& connection = connections_.at(stream->connection);
  StreamNetwork::Message message;
  message.stream = stream->wire;
  message.data = to_bytes(data.first(taken));
  network_.send(connection.link, 1 - connection.side, std::move(message));
  return taken;
}

Result<net::Host::ReadResult> StreamHost::read(net::StreamId id, ByteSpan out) {
  Stream* stream = stream_of(id);
  if (stream == nullptr) return fail(Code::closed, "the stream is closed");
  ReadResult result;
  result.size = std::min(out.size(), stream->received.size() - stream->read_at);
  std::copy_n(stream->received.begin() + static_cast<ptrdiff_t>(stream->read_at), result.size, out.begin());
  stream->read_at += result.size;
  stream->told = false;
  if (stream->read_at == stream->received.size()) {
    stream->received.clear();
    stream->read_at = 0;
    result.finished = stream->peer_finished;
  }
  if (result.size > 0) {
    const Connection& connection = connections_.at(stream->connection);
    StreamNetwork::Message message;
    message.kind = StreamNetwork::Message::Kind::credit;
    message.stream = stream->wire;
    message.credit = result.size;
    network_.send(connection.link, 1 - connection.side, std::move(message));
  }
  if (result.finished) {
    stream->read_to_end = true;
    forget_if_over(id);
  }
  return result;
}

void StreamHost::finish(net::StreamId id) {
  Stream* stream = stream_of(id);
  if (stream == nullptr || stream->finished) return;
  stream->finished = true;
  const Connection& connection = connections_.at(stream->connection);
  StreamNetwork::Message message;
  message.kind = StreamNetwork::Message::Kind::finish;
  message.stream = stream->wire;
  network_.send(connection.link, 1 - connection.side, std::move(message));
  forget_if_over(id);
}

void StreamHost::reset(net::StreamId id) {
  Stream* stream = stream_of(id);
  if (stream == nullptr) return;
  Connection& connection = connections_.at(stream->connection);
  StreamNetwork::Message message;
  message.kind = StreamNetwork::Message::Kind::reset;
  message.stream = stream->wire;
  network_.send(connection.link, 1 - connection.side, std::move(message));
  connection.streams.erase(stream->wire);
  streams_.erase(id);
}

void StreamHost::forget_if_over(net::StreamId id) {
  Stream* stream = stream_of(id);
  if (stream == nullptr || !stream->finished || !stream->read_to_end) return;
  if (const auto connection = connections_.find(stream->connection); connection != connections_.end()) {
    connection->second.streams.erase(stream->wire);
  }
  streams_.erase(id);
}

void StreamHost::tell_readable(net::StreamId id, Stream& stream) {
  if (stream.told) return;
  stream.told = true;
  push(net::StreamReadable{id});
}

void StreamHost::receive(net::ConnectionId id, StreamNetwork::Message message) {
  using Kind = StreamNetwork::Message::Kind;
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  if (message.kind == Kind::open) {
    const bool known = std::find(protocols_.begin(), protocols_.end(), message.protocol) != protocols_.end();
    if (!known) {
      message.kind = Kind::refuse;
      return network_.send(connection.link, 1 - connection.side, std::move(message));
    }
    const net::StreamId stream = ++last_id_;
    streams_[stream].connection = id;
    streams_[stream].wire = message.stream;
    connection.streams[message.stream] = stream;
    return push(net::StreamOpened{stream, id, message.protocol, true});
  }
  const auto wire = connection.streams.find(message.stream);
  if (wire == connection.streams.end()) return;
  const net::StreamId stream_id = wire->second;
  Stream& stream = streams_.at(stream_id);
  switch (message.kind) {
    case Kind::data:
      stats_.bytes_received += message.data.size();
      append(stream.received, message.data);
      return tell_readable(stream_id, stream);
    case Kind::finish:
      stream.peer_finished = true;
      return tell_readable(stream_id, stream);
    case Kind::credit:
      stream.window += message.credit;
      if (stream.wants_room) {
        stream.wants_room = false;
        push(net::StreamWritable{stream_id});
      }
      return;
    default: {
      const Code code = message.kind == Kind::refuse ? Code::unsupported : Code::closed;
      connection.streams.erase(wire);
      streams_.erase(stream_id);
      return push(net::StreamClosed{stream_id, fail(code, "the peer ended the stream")});
    }
  }
}

}  // namespace sereus::sim
