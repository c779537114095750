// The streams of a connection.
#include <algorithm>

#include "core/base/assert.h"
#include "core/net/quic_connection.h"

namespace sereus::net {
namespace {

constexpr uint64_t kStreamResetCode = 0;  // go-libp2p's and js-libp2p's: a reset carries no reason

}  // namespace

QuicStream& QuicConnection::add_stream(int64_t quic_id, bool incoming) {
  const StreamId id = ++core_.last_stream;
  auto stream = std::make_unique<QuicStream>(*this, id, quic_id, incoming);
  QuicStream& out = *stream;
  streams_.emplace(id, std::move(stream));
  ngtcp2_conn_set_stream_user_data(conn_, quic_id, &out);
  // What the application opens, it opens between two steps: only the next one knows the time.
  if (incoming) {
    begin_negotiation(out);
  } else {
    core_.opened.push_back(id);
  }
  return out;
}

void QuicConnection::begin_negotiation(QuicStream& stream) {
  if (!stream.negotiating()) return;
  stream.negotiation_deadline_us = core_.now.mono_us + kNegotiationTimeoutUs;
  negotiations_.emplace(stream.negotiation_deadline_us, stream.id);
  if (!stream.incoming) update_timer();  // the other's come with packets, after which it is set anyway
}

Result<StreamId> QuicConnection::open_stream(std::string_view protocol) {
  if (!connected()) return fail(Code::closed, "the connection is closed");
  int64_t quic_id = -1;
  const int error = ngtcp2_conn_open_bidi_stream(conn_, &quic_id, nullptr);
  if (error == NGTCP2_ERR_STREAM_ID_BLOCKED) return fail(Code::again, "the peer takes no more streams now");
  if (error != 0) return fail(Code::no_memory, "no memory for a stream");
  QuicStream& stream = add_stream(quic_id, false);
  stream.known = true;
  core_.streams.emplace(stream.id, &stream);
  Bytes proposal;
  stream.negotiation = Multistream::initiator(protocol, proposal);
  send_own(stream, proposal);
  update_timer();
  return stream.id;
}

size_t QuicConnection::room(const QuicStream& stream) const {
  const size_t unsent = std::min(stream.unsent(), kStreamUnsentMax);
  const size_t unacked = std::min(stream.unacked.size(), kStreamUnackedMax);
  const size_t total = std::min(unacked_total_, kConnectionUnackedMax);
  return std::min({kStreamUnsentMax - unsent, kStreamUnackedMax - unacked, kConnectionUnackedMax - total});
}

Result<size_t> QuicConnection::write(QuicStream& stream, ByteView data) {
  if (stream.fin_wanted) return fail(Code::invalid, "the stream was finished before");
  if (stream.write_stopped || stream.quic_closed)
    return fail(Code::closed, "the peer does not read this stream any more");
  const size_t count = std::min(data.size(), room(stream));
  send_own(stream, data.first(count));
  if (count < data.size()) wanting_.insert(stream.id);
  return count;
}

// Appends what is to be sent, whoever wrote it.
void QuicConnection::send_own(QuicStream& stream, ByteView data) {
  if (data.empty()) return;
  stream.unacked.append(data);
  unacked_total_ += data.size();
  enqueue(stream);
  mark_dirty();
}

Host::ReadResult QuicConnection::read(QuicStream& stream, ByteSpan out) {
  Host::ReadResult result;
  // Until the protocol is agreed, nothing in the buffer belongs to the application.
  if (stream.negotiating()) return result;
  result.size = stream.received.read(out);
  received_total_ -= result.size;
  if (result.size > 0) credit(stream, result.size);
  result.finished = stream.fin_received && stream.received.empty();
  if (result.finished) {
    stream.end_read = true;
    if (stream.quic_closed) erase(stream);
  } else if (result.size < out.size()) {
    stream.readable_armed = true;
  }
  return result;
}

void QuicConnection::finish(QuicStream& stream) {
  if (stream.fin_wanted) return;
  stream.fin_wanted = true;
  wanting_.erase(stream.id);
  enqueue(stream);
  mark_dirty();
}

void QuicConnection::reset(QuicStream& stream) {
  kill(stream, std::nullopt);
  shut_down_killed();
}

// Opens the peer's flow-control windows again for bytes that left our memory.
void QuicConnection::credit(QuicStream& stream, size_t count) {
  if (!stream.quic_closed && !stream.fin_received) ngtcp2_conn_extend_max_stream_offset(conn_, stream.quic_id, count);
  credit_connection(count);
}

// The connection's window is what a limit of bandwidth holds back.
void QuicConnection::credit_connection(size_t count) {
  if (core_.limited(Direction::down)) {
    withheld_window_ += count;
    if (!std::exchange(waits_down, true)) core_.waiting_down.push_back(id_);
    return;
  }
  unpaid_window_ += count;
  ngtcp2_conn_extend_max_offset(conn_, count);
  mark_dirty();
}

bool QuicConnection::open_window(size_t budget) {
  const uint64_t count = std::min<uint64_t>(withheld_window_, budget);
  withheld_window_ -= count;
  core_.spend(Direction::down, static_cast<size_t>(count));
  ngtcp2_conn_extend_max_offset(conn_, count);
  mark_dirty();
  return withheld_window_ > 0;
}

// The stream is over for the application, told with `reason` or not at all. ngtcp2 still has it: shut_down_killed().
void QuicConnection::kill(QuicStream& stream, std::optional<Error> reason) {
  if (stream.dead) return;
  stream.dead = true;
  if (stream.known) core_.streams.erase(stream.id);
  if (stream.known && reason) core_.events.emplace_back(StreamClosed{stream.id, std::move(*reason)});
  wanting_.erase(stream.id);
  negotiations_.erase({stream.negotiation_deadline_us, stream.id});
  stream.write_stopped = true;
  dequeue(stream);
  received_total_ -= stream.received.size();
  if (!stream.received.empty()) credit_connection(stream.received.size());
  stream.received.clear();
  killed_.push_back(stream.id);
  mark_dirty();
}

void QuicConnection::shut_down_killed() {
  for (const StreamId id : std::exchange(killed_, {})) {
    const auto it = streams_.find(id);
    if (it == streams_.end()) continue;
    QuicStream& stream = *it->second;
    if (stream.quic_closed) {
      erase(stream);
    } else {
      ngtcp2_conn_shutdown_stream(conn_, 0, stream.quic_id, kStreamResetCode);
    }
  }
}

void QuicConnection::erase(QuicStream& stream) {
  const bool incoming = stream.incoming;
  dequeue(stream);
  wanting_.erase(stream.id);
  negotiations_.erase({stream.negotiation_deadline_us, stream.id});
  received_total_ -= stream.received.size();
  unacked_total_ -= stream.unacked.size();
  if (stream.known && !stream.dead) core_.streams.erase(stream.id);
  streams_.erase(stream.id);
  // Only now may the peer open another: the bound on its streams is a bound on our memory.
  if (incoming) {
    ngtcp2_conn_extend_max_streams_bidi(conn_, 1);
    mark_dirty();
  }
}

Host::StreamBuffer QuicConnection::largest_buffer() const {
  Host::StreamBuffer out;
  for (const auto& [id, stream] : streams_) {
    const uint64_t bytes = stream->received.size() + stream->unacked.size();
    if (stream->known && !stream->dead && bytes > out.bytes) out = {id, bytes};
  }
  return out;
}

void QuicConnection::on_stream_open(int64_t quic_id) {
  QuicStream& stream = add_stream(quic_id, true);
  stream.negotiation = Multistream::responder();
}

// Feeds the negotiation; returns how much of `data` was its.
size_t QuicConnection::negotiate(QuicStream& stream, ByteView data) {
  Bytes answer;
  const size_t used = stream.negotiation.feed(data, core_.protocols, answer);
  send_own(stream, answer);
  if (used > 0) credit(stream, used);
  switch (stream.negotiation.state()) {
    case Multistream::State::negotiating:
      break;
    case Multistream::State::agreed:
      negotiations_.erase({stream.negotiation_deadline_us, stream.id});
      if (stream.incoming) {
        stream.known = true;
        core_.streams.emplace(stream.id, &stream);
      }
      core_.events.emplace_back(StreamOpened{stream.id, id_, stream.negotiation.protocol(), stream.incoming});
      break;
    case Multistream::State::refused:
      kill(stream, fail(Code::unsupported, "the peer does not speak " + stream.negotiation.protocol()));
      break;
    case Multistream::State::failed:
      kill(stream, fail(Code::protocol, "the peer broke multistream-select"));
      break;
  }
  return used;
}

void QuicConnection::on_stream_data(QuicStream& stream, ByteView data, bool fin) {
  const auto unpaid = static_cast<size_t>(std::min<uint64_t>(unpaid_window_, data.size()));
  unpaid_window_ -= unpaid;
  core_.spend(Direction::down, unpaid);
  core_.stream_bytes += data.size();
  if (stream.dead || ended_) return credit_connection(data.size());
  if (fin) stream.fin_received = true;
  if (stream.negotiating()) data = data.subspan(negotiate(stream, data));
  if (stream.dead) return credit_connection(data.size());
  if (stream.negotiating()) {
    if (fin) kill(stream, fail(Code::protocol, "the peer ended the stream before a protocol was agreed"));
    return;
  }
  stream.received.append(data);
  received_total_ += data.size();
  if (!data.empty() || fin) tell_readable(stream);
}

void QuicConnection::tell_readable(QuicStream& stream) {
  if (!stream.readable_armed) return;
  stream.readable_armed = false;
  core_.events.emplace_back(StreamReadable{stream.id});
}

void QuicConnection::tell_writable() {
  if (wanting_.empty() || ended_) return;
  std::vector<StreamId> told;
  for (const StreamId id : wanting_) {
    const QuicStream& stream = *streams_.at(id);
    if (stream.write_stopped || room(stream) >= kStreamWritableMin) told.push_back(id);
  }
  for (const StreamId id : told) {
    wanting_.erase(id);
    core_.events.emplace_back(StreamWritable{id});
  }
}

void QuicConnection::on_stream_acked(QuicStream& stream, size_t count) {
  SEREUS_ASSERT(count <= stream.sent);
  stream.unacked.discard(count);
  stream.sent -= count;
  unacked_total_ -= count;
}

void QuicConnection::on_stream_reset(QuicStream& stream) {
  // All its data is here already: the reset came too late to matter.
  if (stream.fin_received) return;
  kill(stream, fail(Code::closed, "the peer reset the stream"));
}

void QuicConnection::on_stop_sending(QuicStream& stream) {
  // ngtcp2 answers with RESET_STREAM itself; what was written is lost, as the peer wished. The application hears of it
  // from its next write().
  stream.write_stopped = true;
  dequeue(stream);
}

void QuicConnection::on_stream_closed(QuicStream& stream) {
  stream.quic_closed = true;
  dequeue(stream);
  // ngtcp2 has let go of the data.
  unacked_total_ -= stream.unacked.size();
  stream.unacked.clear();
  stream.sent = 0;
  if (stream.dead || stream.end_read) erase(stream);
}

void QuicConnection::expire_negotiations() {
  while (!negotiations_.empty() && negotiations_.begin()->first <= core_.now.mono_us) {
    kill(*streams_.at(negotiations_.begin()->second), fail(Code::timeout, "the peer agreed on no protocol in time"));
  }
  shut_down_killed();
}

}  // namespace sereus::net
