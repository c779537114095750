#include "core/net/host_services.h"

#include <algorithm>

namespace sereus::net {
namespace {

constexpr size_t kReadBytes = 4096;

}  // namespace

HostServices::HostServices(Host& host, const crypto::KeyPair& device, Random& random, ServicesSettings settings)
    : host_(host), device_(device), random_(random), settings_(std::move(settings)) {
  set_protocols({});
}

void HostServices::set_protocols(std::vector<std::string> protocols) {
  protocols_ = std::move(protocols);
  for (const auto own : {kIdentifyProtocol, kIdentifyPushProtocol, kPingProtocol}) protocols_.emplace_back(own);
  host_.set_protocols(protocols_);
}

std::vector<std::string> HostServices::addresses() const {
  std::vector<std::string> out = external_;
  for (std::string& address : host_.listen_addresses()) {
    if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(std::move(address));
  }
  if (out.size() > kPeerAddressesMax) out.resize(kPeerAddressesMax);
  return out;
}

Result<Bytes> HostServices::own_message(const Connection& connection, const Times& now) {
  Identify message;
  message.public_key = PublicKey::of(device_.device_key());
  message.protocol_version = settings_.protocol_version;
  message.agent_version = settings_.agent_version;
  message.protocols = protocols_;
  SEREUS_ASSIGN(message.listen_addresses, own_addresses());
  if (auto observed = Multiaddr::parse(connection.address); observed.ok()) message.observed = std::move(*observed);
  SEREUS_ASSIGN(message.signed_peer_record, record_of(message.listen_addresses, now));
  return encode_identify(message);
}

Result<Bytes> HostServices::record_of(const std::vector<Multiaddr>& addresses, const Times& now) {
  if (!record_.empty() && record_addresses_ == addresses) return record_;
  // RFC 0003: higher than any before, also before a restart, so it begins at the time.
  const int64_t wall_ms = now.wall_us / static_cast<int64_t>(kMicrosPerMilli);
  record_seq_ = std::max(record_seq_ + 1, static_cast<uint64_t>(std::max<int64_t>(wall_ms, 0)));
  SEREUS_ASSIGN(record_, seal_peer_record(device_, record_seq_, addresses));
  record_addresses_ = addresses;
  return record_;
}

Result<Bytes> HostServices::signed_record(const Times& now) {
  SEREUS_ASSIGN(const std::vector<Multiaddr> addresses, own_addresses());
  return record_of(addresses, now);
}

Result<std::vector<Multiaddr>> HostServices::own_addresses() const {
  std::vector<Multiaddr> out;
  for (const std::string& text : addresses()) {
    SEREUS_ASSIGN(Multiaddr address, Multiaddr::parse(text));
    out.push_back(std::move(address));
  }
  return out;
}

// --- what the application asks for ---

Status HostServices::identify(ConnectionId connection, const Times& now) {
  if (!connections_.contains(connection)) return fail(Code::not_found, "no such connection");
  SEREUS_ASSIGN(const StreamId id, host_.open_stream(connection, kIdentifyProtocol));
  Stream& stream = streams_[id];
  stream.kind = Kind::ask;
  stream.connection = connection;
  set_deadline(id, stream, now.mono_us + kIdentifyTimeoutUs);
  host_.finish(id);  // there is nothing to say
  return {};
}

Status HostServices::push(ConnectionId connection, const Times& now) {
  if (!connections_.contains(connection)) return fail(Code::not_found, "no such connection");
  SEREUS_ASSIGN(const StreamId id, host_.open_stream(connection, kIdentifyPushProtocol));
  Stream& stream = streams_[id];
  stream.connection = connection;
  Status told = tell(id, stream, now);
  if (!told.ok()) {
    host_.reset(id);
    forget(id);
  }
  return told;
}

Status HostServices::ping(ConnectionId connection, const Times& now) {
  const auto it = connections_.find(connection);
  if (it == connections_.end()) return fail(Code::not_found, "no such connection");
  StreamId& id = it->second.ping;
  if (id == 0) {
    SEREUS_ASSIGN(id, host_.open_stream(connection, kPingProtocol));
    streams_[id].kind = Kind::ping_out;
    streams_[id].connection = connection;
  }
  Stream& stream = streams_[id];
  if (stream.initiator.waiting()) return fail(Code::busy, "the last ping is not answered yet");
  append(stream.unsent, stream.initiator.start(random_, now.mono_us));
  set_deadline(id, stream, stream.initiator.deadline_us());
  flush(id, stream);
  return {};
}

// --- what happens on the host ---

bool HostServices::on_event(const HostEvent& event, const Times& now) {
  if (const auto* connected = std::get_if<Connected>(&event)) {
    Connection& connection = connections_[connected->connection];
    connection.peer = connected->peer;
    connection.address = connected->address;
    return false;
  }
  if (const auto* disconnected = std::get_if<Disconnected>(&event)) {
    connections_.erase(disconnected->connection);
    return false;
  }
  if (const auto* opened = std::get_if<StreamOpened>(&event)) {
    return opened->incoming ? accept(*opened, now) : streams_.contains(opened->stream);
  }
  StreamId id = 0;
  if (const auto* readable = std::get_if<StreamReadable>(&event)) id = readable->stream;
  if (const auto* writable = std::get_if<StreamWritable>(&event)) id = writable->stream;
  const auto* closed = std::get_if<StreamClosed>(&event);
  if (closed != nullptr) id = closed->stream;
  if (!streams_.contains(id)) return false;
  if (closed != nullptr) {
    fail_stream(id, closed->reason, false);
  } else {
    pump(id, now);
  }
  return true;
}

bool HostServices::accept(const StreamOpened& opened, const Times& now) {
  Kind kind = Kind::tell;
  if (opened.protocol == kPingProtocol) {
    kind = Kind::ping_in;
  } else if (opened.protocol == kIdentifyPushProtocol) {
    kind = Kind::push_in;
  } else if (opened.protocol != kIdentifyProtocol) {
    return false;
  }
  const auto connection = connections_.find(opened.connection);
  const size_t limit = kind == Kind::ping_in ? kPingInboundMax : kIdentifyInboundMax;
  if (connection == connections_.end() || connection->second.incoming(kind) == limit) {
    host_.reset(opened.stream);
    return true;
  }
  ++connection->second.incoming(kind);
  Stream& stream = streams_[opened.stream];
  stream.kind = kind;
  stream.connection = opened.connection;
  stream.incoming = true;
  if (kind == Kind::push_in) set_deadline(opened.stream, stream, now.mono_us + kIdentifyTimeoutUs);
  if (kind == Kind::tell && !tell(opened.stream, stream, now).ok()) {
    host_.reset(opened.stream);
    forget(opened.stream);
    return true;
  }
  pump(opened.stream, now);
  return true;
}

Status HostServices::tell(StreamId id, Stream& stream, const Times& now) {
  SEREUS_ASSIGN(const Bytes message, own_message(connections_[stream.connection], now));
  stream.unsent = delimited(message);
  set_deadline(id, stream, now.mono_us + kIdentifyTimeoutUs);
  if (flush(id, stream)) host_.finish(id);
  return {};
}

// Whether everything has been written.
bool HostServices::flush(StreamId id, Stream& stream) {
  if (stream.unsent.empty()) return true;
  const auto taken = host_.write(id, stream.unsent);
  if (!taken.ok()) return false;  // StreamClosed tells
  stream.unsent.erase(stream.unsent.begin(), stream.unsent.begin() + static_cast<ptrdiff_t>(*taken));
  return stream.unsent.empty();
}

void HostServices::pump(StreamId id, const Times& now) {
  for (;;) {
    const auto it = streams_.find(id);
    if (it == streams_.end()) return;
    Stream& stream = it->second;
    const bool pending = !stream.unsent.empty();
    // What is not written keeps us from reading on: a peer that does not take its echoes stops itself.
    if (!flush(id, stream)) return;
    if (pending && stream.kind == Kind::tell) host_.finish(id);
    std::array<uint8_t, kReadBytes> buffer;
    const auto got = host_.read(id, buffer);
    if (!got.ok()) return;
    if (got->size > 0 && !take(id, stream, ByteView(buffer).first(got->size), now)) return;
    if (got->finished) return at_end(id, stream);
    if (got->size == 0) return;
  }
}

bool HostServices::take(StreamId id, Stream& stream, ByteView in, const Times& now) {
  switch (stream.kind) {
    case Kind::ping_in:
      stream.responder.feed(in, stream.unsent);
      return true;
    case Kind::ping_out: {
      const auto rtt = stream.initiator.feed(in, now.mono_us);
      if (!rtt.ok()) {
        fail_stream(id, rtt.error(), true);
        return false;
      }
      if (*rtt) {
        events_.push_back(Pinged{stream.connection, **rtt});
        set_deadline(id, stream, kNever);
      }
      return true;
    }
    case Kind::ask:
    case Kind::push_in: {
      const Status fed = stream.reader.feed(in);
      if (!fed.ok()) fail_stream(id, fed.error(), true);
      return fed.ok();
    }
    case Kind::tell:
      fail_stream(id, fail(Code::protocol, "identify: the asking side has nothing to say"), true);
      return false;
  }
  return false;
}

void HostServices::at_end(StreamId id, Stream& stream) {
  if (stream.kind == Kind::tell) return forget(id);  // written and finished
  if (stream.kind == Kind::ping_out) return fail_stream(id, fail(Code::closed, "ping: the peer ended it"), true);
  if (stream.kind == Kind::ping_in) {
    // at_end follows a read that follows a flush, and the last payloads may have come with the end.
    if (!flush(id, stream)) return;
    host_.finish(id);
    return forget(id);
  }
  const bool pushed = stream.kind == Kind::push_in;
  Connection& connection = connections_[stream.connection];
  auto message = stream.reader.finish();
  if (!message.ok()) return fail_stream(id, message.error(), true);
  if (pushed) host_.finish(id);
  Identify known = pushed ? connection.known : Identify();
  apply_push(known, std::move(*message));
  auto verified = verify_identify(std::move(known), connection.peer);
  if (!verified.ok()) return fail_stream(id, verified.error(), true);
  connection.known = verified->said;
  events_.push_back(Identified{stream.connection, std::move(*verified), pushed});
  forget(id);
}

// --- ends ---

void HostServices::fail_stream(StreamId id, const Error& error, bool reset) {
  const Stream& stream = streams_.at(id);
  if (stream.kind == Kind::ask) events_.push_back(IdentifyFailed{stream.connection, error});
  if (stream.kind == Kind::ping_out && stream.initiator.waiting())
    events_.push_back(PingFailed{stream.connection, error});
  if (reset) host_.reset(id);
  forget(id);
}

void HostServices::forget(StreamId id) {
  const auto it = streams_.find(id);
  set_deadline(id, it->second, kNever);
  const auto connection = connections_.find(it->second.connection);
  if (connection != connections_.end()) {
    if (connection->second.ping == id) connection->second.ping = 0;
    if (it->second.incoming) --connection->second.incoming(it->second.kind);
  }
  streams_.erase(it);
}

void HostServices::set_deadline(StreamId id, Stream& stream, uint64_t deadline_us) {
  deadlines_.erase({stream.deadline_us, id});
  stream.deadline_us = deadline_us;
  if (deadline_us != kNever) deadlines_.insert({deadline_us, id});
}

uint64_t HostServices::step(const Times& now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now.mono_us) {
    fail_stream(deadlines_.begin()->second, fail(Code::timeout, "no answer in time"), true);
  }
  return deadlines_.empty() ? kNever : deadlines_.begin()->first;
}

std::optional<ServiceEvent> HostServices::next_event() {
  if (events_.empty()) return std::nullopt;
  ServiceEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace sereus::net
