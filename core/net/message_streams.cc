#include "core/net/message_streams.h"

#include <algorithm>
#include <array>

#include "core/base/assert.h"

namespace sereus::net {
namespace {

constexpr size_t kReadBytes = 4096;

StreamId stream_of(const MessageEvent& event) {
  return std::visit([](const auto& one) { return one.stream; }, event);
}

}  // namespace

// --- what the protocol asks for ---

MessageStreams::Stream& MessageStreams::add(StreamId id, ConnectionId connection, uint64_t deadline_us) {
  Stream& stream = streams_.try_emplace(id, bounds_.message_max).first->second;
  stream.connection = connection;
  change_deadline(id, stream, deadline_us);
  return stream;
}

Result<StreamId> MessageStreams::open(ConnectionId connection, std::string_view protocol, uint64_t deadline_us) {
  SEREUS_ASSIGN(const StreamId id, host_.open_stream(connection, protocol));
  add(id, connection, deadline_us);
  return id;
}

void MessageStreams::accept(const StreamOpened& opened, uint64_t deadline_us) {
  add(opened.stream, opened.connection, deadline_us);
  pump(opened.stream);
}

void MessageStreams::set_deadline(StreamId stream, uint64_t deadline_us) {
  const auto found = streams_.find(stream);
  if (found != streams_.end()) change_deadline(stream, found->second, deadline_us);
}

ConnectionId MessageStreams::connection_of(StreamId stream) const {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? 0 : found->second.connection;
}

Status MessageStreams::send(StreamId id, ByteView message) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return fail(Code::not_found, "no such stream");
  Stream& stream = found->second;
  if (stream.finishing) return fail(Code::closed, "this direction of the stream was ended");
  const Bytes framed = delimited(message);
  if (stream.unsent.size() + framed.size() > bounds_.unsent_max) return fail(Code::again, "too much waits to be sent");
  append(stream.unsent, framed);
  flush(id, stream);
  return {};
}

void MessageStreams::finish(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  found->second.finishing = true;
  flush(id, found->second);
  pump(id);  // forgets it when the other direction has ended
}

void MessageStreams::reset(StreamId id) {
  if (!streams_.contains(id)) return;
  host_.reset(id);
  forget(id);
  drop_events_of(id);
}

void MessageStreams::reset_all() {
  while (!streams_.empty()) reset(streams_.begin()->first);
}

MessageStreams::Released MessageStreams::release(StreamId id) {
  const auto found = streams_.find(id);
  SEREUS_ASSERT(found != streams_.end());
  Stream& stream = found->second;
  Released released{std::move(stream.received), stream.end_read, std::move(stream.unsent)};
  forget(id);
  drop_events_of(id);
  return released;
}

// --- what happens on the host ---

bool MessageStreams::on_event(const HostEvent& event, const Times& /*now*/) {
  StreamId id = 0;
  const auto* closed = std::get_if<StreamClosed>(&event);
  if (closed != nullptr) id = closed->stream;
  if (const auto* opened = std::get_if<StreamOpened>(&event)) id = opened->incoming ? 0 : opened->stream;
  if (const auto* readable = std::get_if<StreamReadable>(&event)) id = readable->stream;
  if (const auto* writable = std::get_if<StreamWritable>(&event)) id = writable->stream;
  if (!streams_.contains(id)) return false;
  if (closed != nullptr) {
    close(id, closed->reason, false);
  } else {
    pump(id);
  }
  return true;
}

void MessageStreams::pump(StreamId id) {
  for (;;) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    Stream& stream = found->second;
    flush(id, stream);
    if (stream.end_told && stream.finished) return forget(id);
    if (stream.holds || stream.end_told) return;
    if (!take_message(id, stream)) return;
  }
}

bool MessageStreams::take_message(StreamId id, Stream& stream) {
  if (stream.received.empty() && !fill(id, stream)) return false;
  if (stream.received.empty()) {  // and its end was read
    if (!stream.reader.between_messages()) {
      close(id, fail(Code::malformed, "the stream ended within a message"), true);
      return false;
    }
    stream.end_told = true;
    events_.emplace_back(MessagesEnded{id});
    return true;
  }
  const auto used = stream.reader.feed(stream.received);
  if (!used.ok()) {
    close(id, used.error(), true);
    return false;
  }
  stream.received.erase(stream.received.begin(), stream.received.begin() + static_cast<ptrdiff_t>(*used));
  if (stream.reader.complete()) {
    stream.holds = true;
    events_.emplace_back(MessageReceived{id, stream.reader.take()});
  }
  return true;
}

// False: nothing has come yet.
bool MessageStreams::fill(StreamId id, Stream& stream) {
  if (stream.end_read) return true;
  std::array<uint8_t, kReadBytes> buffer;
  const auto got = host_.read(id, buffer);
  if (!got.ok()) return false;  // StreamClosed tells
  append(stream.received, ByteView(buffer).first(got->size));
  stream.end_read = got->finished;
  return got->size > 0 || got->finished;
}

void MessageStreams::flush(StreamId id, Stream& stream) {
  if (!stream.unsent.empty()) {
    const auto taken = host_.write(id, stream.unsent);
    if (!taken.ok()) return;  // StreamClosed tells
    stream.unsent.erase(stream.unsent.begin(), stream.unsent.begin() + static_cast<ptrdiff_t>(*taken));
  }
  if (stream.finishing && !stream.finished && stream.unsent.empty()) {
    host_.finish(id);
    stream.finished = true;
  }
}

uint64_t MessageStreams::step(const Times& now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now.mono_us) {
    close(deadlines_.begin()->second, fail(Code::timeout, "no answer in time"), true);
  }
  return deadlines_.empty() ? kNever : deadlines_.begin()->first;
}

std::optional<MessageEvent> MessageStreams::next_event() {
  // Only now, as the caller may have released the stream, or reset it, for what its last message said.
  for (const StreamId id : std::exchange(resumable_, {})) pump(id);
  if (events_.empty()) return std::nullopt;
  MessageEvent event = std::move(events_.front());
  events_.pop_front();
  if (std::holds_alternative<MessageReceived>(event)) {
    const StreamId id = stream_of(event);
    // A stream that was closed since has still said this.
    if (const auto found = streams_.find(id); found != streams_.end()) {
      found->second.holds = false;
      resumable_.push_back(id);
    }
  }
  return event;
}

// --- ends ---

void MessageStreams::close(StreamId id, const Error& reason, bool reset) {
  if (reset) host_.reset(id);
  forget(id);
  events_.emplace_back(MessagesClosed{id, reason});
}

void MessageStreams::forget(StreamId id) {
  const auto found = streams_.find(id);
  change_deadline(id, found->second, kNever);
  streams_.erase(found);
}

void MessageStreams::drop_events_of(StreamId id) {
  std::erase_if(events_, [id](const MessageEvent& event) { return stream_of(event) == id; });
}

void MessageStreams::change_deadline(StreamId id, Stream& stream, uint64_t deadline_us) {
  deadlines_.erase({stream.deadline_us, id});
  stream.deadline_us = deadline_us;
  if (deadline_us != kNever) deadlines_.insert({deadline_us, id});
}

}  // namespace sereus::net
