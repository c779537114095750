// The streams of an application.
#include <algorithm>
#include <utility>

#include "core/net/multistream.h"
#include "core/node/app_host.h"

namespace sereus::node {

AppHost::Stream* AppHost::stream_of(OpRef ref, uint64_t number) {
  const auto found = streams_.find(number);
  if (found != streams_.end()) return &found->second;
  context_.complete(ref, fail(Code::not_found, "there is no such stream; it may have ended"));
  return nullptr;
}

void AppHost::count_stream(uint64_t connection, int change) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  found->second.streams += static_cast<size_t>(change);
  view_.count_streams(connection, static_cast<uint32_t>(found->second.streams));
}

void AppHost::open_stream(OpRef ref, Request& request) {
  Connection* connection = connection_of(ref, request.store);
  if (connection == nullptr) return;
  const uint64_t connection_number = staying(request.store);
  const std::string protocol = to_string(ByteView(request.x));
  if (!net::valid_protocol_name(protocol)) {
    return context_.complete(ref, fail(Code::invalid, "not a protocol name: it is one line, like /example/1.0.0"));
  }
  if (streams_.size() >= kAppStreamsMax) {
    return context_.complete(ref, fail(Code::again, "there are too many streams; end some"));
  }
  const auto id = swarm_->open_stream(connection->id, protocol);
  if (!id.ok()) return context_.complete(ref, id.error());
  const uint64_t number = node_.next_number();
  Stream& stream = streams_[number];
  stream.id = *id;
  stream.connection = connection_number;
  stream.origin = ref.origin;
  stream.protocol = protocol;
  stream.opening = ref;
  stream_numbers_[*id] = number;
  count_stream(connection_number, 1);
  context_.begin(ref, [this, number] {
    swarm_->reset(streams_.at(number).id);
    close_stream(number, fail(Code::cancelled, "opening the stream was cancelled"), false);
  });
}

bool AppHost::on_stream_opened(const net::StreamOpened& event) {
  if (!event.incoming) {
    const auto found = stream_numbers_.find(event.stream);
    if (found == stream_numbers_.end()) return false;
    Stream& stream = streams_.at(found->second);
    if (stream.opening) {
      Event done;
      done.connection = stream.connection;
      done.stream = found->second;
      context_.complete(*std::exchange(stream.opening, std::nullopt), std::move(done));
    }
    pump(found->second);
    return true;
  }
  const auto protocol = protocols_.find(event.protocol);
  if (protocol == protocols_.end()) return false;
  const auto connection = connection_numbers_.find(event.connection);
  // A stream is told of or refused: nobody would ever read one whose event was dropped.
  if (connection == connection_numbers_.end() || streams_.size() >= kAppStreamsMax ||
      context_.ports.events->room(protocol->second) == 0) {
    swarm_->reset(event.stream);
    return true;
  }
  const uint64_t number = node_.next_number();
  Stream& stream = streams_[number];
  stream.id = event.stream;
  stream.connection = connection->second;
  stream.origin = protocol->second;
  stream.protocol = event.protocol;
  stream_numbers_[event.stream] = number;
  count_stream(connection->second, 1);
  Event told;
  told.kind = EventKind::stream;
  told.origin = protocol->second;
  told.host = host_;
  told.connection = connection->second;
  told.stream = number;
  told.name = event.protocol;
  told.peer = connections_.at(connection->second).peer.to_string();
  context_.emit(std::move(told));
  return true;
}

// ---- Writing ----------------------------------------------------------------------------------------------------------

void AppHost::write(OpRef ref, Request& request) {
  Stream* stream = stream_of(ref, request.store);
  if (stream == nullptr) return;
  if (stream->writes_finished) return context_.complete(ref, fail(Code::invalid, "this stream's writing was finished"));
  if (!stream->writes.empty() && stream->unsent + request.x.size() > kAppWriteAheadMax) {
    return context_.complete(ref, fail(Code::again, "earlier writes still wait for the peer to read"));
  }
  stream->unsent += request.x.size();
  stream->writes.push_back(Write{ref, std::move(request.x), 0, request.a != 0});
  stream->writes_finished = request.a != 0;
  const uint64_t number = request.store;
  context_.begin(ref, [this, number, ref] { cancel_write(number, ref); });
  pump(number);
}

// What has begun goes on: bytes of it may be with the peer already.
void AppHost::cancel_write(uint64_t number, OpRef ref) {
  Stream& stream = streams_.at(number);
  const auto found =
      std::find_if(stream.writes.begin(), stream.writes.end(), [ref](const Write& write) { return write.ref == ref; });
  if (found == stream.writes.end() || found->taken > 0) return;
  if (found->finish) stream.writes_finished = false;
  stream.unsent -= found->data.size();
  stream.writes.erase(found);
  context_.complete(ref, fail(Code::cancelled, "the write was cancelled"));
}

// Nothing more can be written; what waits is answered.
void AppHost::fail_writes(Stream& stream, const Error& why) {
  stream.writes_finished = stream.finished = true;
  stream.unsent = 0;
  for (const Write& write : std::exchange(stream.writes, {})) context_.complete(write.ref, why);
}

void AppHost::pump_writes(Stream& stream) {
  while (!stream.writes.empty()) {
    Write& write = stream.writes.front();
    const ByteView left = ByteView(write.data).subspan(write.taken);
    if (!left.empty()) {
      const auto taken = swarm_->write(stream.id, left);
      // Not all ends are told by an event: the peer may have ended only this direction.
      if (!taken.ok()) return fail_writes(stream, taken.error());
      if (*taken == 0) return;
      write.taken += *taken;
      if (*taken < left.size()) continue;  // asked again, so that it tells when there is room
    }
    if (write.finish) {
      swarm_->finish(stream.id);
      stream.finished = true;
    }
    stream.unsent -= write.data.size();
    Event done;
    done.count = write.data.size();
    const OpRef ref = write.ref;
    stream.writes.pop_front();
    context_.complete(ref, std::move(done));
  }
}

// ---- Reading ----------------------------------------------------------------------------------------------------------

void AppHost::read(OpRef ref, Request& request) {
  Stream* stream = stream_of(ref, request.store);
  if (stream == nullptr) return;
  if (stream->read) return context_.complete(ref, fail(Code::busy, "another read of this stream is under way"));
  if (stream->end_read) {
    Event done;
    done.finished = true;
    return context_.complete(ref, std::move(done));
  }
  const uint64_t wanted = request.a == 0 ? kAppReadDefault : request.a;
  stream->read = Read{ref, static_cast<size_t>(std::min<uint64_t>(wanted, kAppReadMax))};
  const uint64_t number = request.store;
  context_.begin(ref, [this, number, ref] {
    streams_.at(number).read.reset();
    context_.complete(ref, fail(Code::cancelled, "the read was cancelled; nothing was lost"));
  });
  pump(number);
}

void AppHost::pump_read(Stream& stream) {
  if (!stream.read || stream.opening) return;
  Event done;
  done.data.resize(stream.read->size_max);
  size_t size = 0;
  while (size < done.data.size()) {
    const auto got = swarm_->read(stream.id, ByteSpan(done.data).subspan(size));
    if (!got.ok()) return;  // its end is told by an event
    size += got->size;
    done.finished = got->finished;
    if (got->size == 0 || got->finished) break;
  }
  if (size == 0 && !done.finished) return;
  // In a buffer of its own size: it may wait in the application's queue for long, with many others.
  done.data = Bytes(done.data.begin(), done.data.begin() + static_cast<ptrdiff_t>(size));
  done.count = size;
  stream.end_read = done.finished;
  context_.complete(std::exchange(stream.read, std::nullopt)->ref, std::move(done));
}

// ---- Ends ---------------------------------------------------------------------------------------------------------------

void AppHost::pump(uint64_t number) {
  Stream& stream = streams_.at(number);
  pump_writes(stream);
  pump_read(stream);
  forget_if_over(number);
}

void AppHost::reset(OpRef ref, Request& request) {
  Stream* stream = stream_of(ref, request.store);
  if (stream == nullptr) return;
  swarm_->reset(stream->id);
  close_stream(request.store, fail(Code::cancelled, "the stream was reset here"), false);
  context_.complete(ref, Status());
}

void AppHost::answer_all(Stream& stream, const Error& why) {
  if (stream.opening) context_.complete(*std::exchange(stream.opening, std::nullopt), why);
  if (stream.read) context_.complete(std::exchange(stream.read, std::nullopt)->ref, why);
  for (const Write& write : std::exchange(stream.writes, {})) context_.complete(write.ref, why);
}

// The stream is no more; whoever waits is answered, and told, unless it knows from an answer that it never began.
void AppHost::close_stream(uint64_t number, const Error& why, bool tell) {
  const auto found = streams_.find(number);
  if (found == streams_.end()) return;
  Stream stream = std::move(found->second);
  const bool was_open = !stream.opening;
  streams_.erase(found);
  stream_numbers_.erase(stream.id);
  count_stream(stream.connection, -1);
  answer_all(stream, why);
  if (!tell || !was_open) return;
  Event told;
  told.kind = EventKind::stream_closed;
  told.origin = stream.origin;
  told.host = host_;
  told.connection = stream.connection;
  told.stream = number;
  told.status = why.code;
  told.detail = why.detail;
  context_.emit(std::move(told));
}

// Both directions ended in order.
void AppHost::forget_if_over(uint64_t number) {
  const auto found = streams_.find(number);
  if (found == streams_.end() || !found->second.end_read || !found->second.finished) return;
  close_stream(number, Error{Code::ok, {}}, false);
}

}  // namespace sereus::node
