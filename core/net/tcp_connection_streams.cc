// The streams of a TCP connection.
#include <algorithm>

#include "core/net/tcp_connection.h"

namespace sereus::net {

TcpStream& TcpConnection::add_stream(YamuxStreamId yamux_id, bool incoming) {
  auto made = std::unique_ptr<TcpStream>(
      new TcpStream{*this, ++core_.last_stream, yamux_id, incoming, Multistream::responder(), 0, {}, {}});
  TcpStream& stream = *made;
  streams_.emplace(yamux_id, std::move(made));
  // What the application opens, it opens between two steps: only the next one knows the time.
  if (incoming) {
    begin_negotiation(stream);
  } else {
    core_.opened.push_back(stream.id);
  }
  return stream;
}

void TcpConnection::begin_negotiation(TcpStream& stream) {
  if (!stream.negotiating()) return;
  stream.deadline_us = core_.now.mono_us + kNegotiationTimeoutUs;
  negotiations_.emplace(stream.deadline_us, stream.yamux_id);
}

Result<StreamId> TcpConnection::open_stream(std::string_view protocol) {
  if (stage_ != Stage::open) return fail(Code::closed, "the connection is closed");
  SEREUS_ASSIGN(const YamuxStreamId yamux_id, yamux_->open(core_.now.mono_us));
  TcpStream& stream = add_stream(yamux_id, false);
  stream.known = true;
  core_.streams.emplace(stream.id, &stream);
  stream.negotiation = Multistream::initiator(protocol, stream.own);
  push_own(stream);
  mark_dirty();
  return stream.id;
}

// What agrees on the protocol goes first; the application's bytes follow it (lazy negotiation).
void TcpConnection::push_own(TcpStream& stream) {
  if (stream.own.empty()) return;
  const auto taken = yamux_->write(stream.yamux_id, stream.own);
  if (!taken.ok()) return;  // its end is told by an event
  stream.own.erase(stream.own.begin(), stream.own.begin() + static_cast<ptrdiff_t>(*taken));
  if (stream.own.empty() && stream.finished) yamux_->finish(stream.yamux_id);
}

Result<size_t> TcpConnection::write(TcpStream& stream, ByteView data) {
  if (stream.finished) return fail(Code::invalid, "the stream was finished before");
  size_t taken = 0;
  if (stream.own.empty()) {
    SEREUS_ASSIGN(taken, yamux_->write(stream.yamux_id, data));
  }
  if (taken < data.size()) stream.wants_writable = true;
  mark_dirty();
  return taken;
}

Result<Host::ReadResult> TcpConnection::read(TcpStream& stream, ByteSpan out) {
  Host::ReadResult result;
  // Until the protocol is agreed, nothing that arrives belongs to the application.
  if (stream.negotiating()) return result;
  mark_dirty();  // the peer's window opens
  result.size = std::min(out.size(), stream.rest.size());
  std::copy_n(stream.rest.begin(), result.size, out.begin());
  stream.rest.erase(stream.rest.begin(), stream.rest.begin() + static_cast<ptrdiff_t>(result.size));
  if (!stream.end_seen) {
    if (result.size == out.size()) return result;
    SEREUS_ASSIGN(const YamuxSession::ReadResult more,
                  yamux_->read(stream.yamux_id, out.subspan(result.size), core_.now.mono_us));
    result.size += more.size;
    result.finished = more.finished;
  } else {
    result.finished = stream.rest.empty();
  }
  if (result.finished) {
    stream.end_read = true;
    erase_if_over(stream);
  }
  return result;
}

void TcpConnection::finish(TcpStream& stream) {
  if (stream.finished) return;
  stream.finished = true;
  if (stream.own.empty()) yamux_->finish(stream.yamux_id);
  mark_dirty();
  erase_if_over(stream);
}

void TcpConnection::reset(TcpStream& stream) {
  yamux_->reset(stream.yamux_id);
  mark_dirty();
  erase(stream);
}

void TcpConnection::kill(TcpStream& stream, const Error& reason) {
  if (stream.known) core_.events.emplace_back(StreamClosed{stream.id, reason});
  reset(stream);
}

void TcpConnection::erase(TcpStream& stream) {
  core_.streams.erase(stream.id);
  negotiations_.erase({stream.deadline_us, stream.yamux_id});
  streams_.erase(stream.yamux_id);
}

// Both ends have finished: nothing can be asked of it any more. yamux sends what is left.
void TcpConnection::erase_if_over(TcpStream& stream) {
  if (stream.finished && stream.end_read && stream.own.empty()) erase(stream);
}

void TcpConnection::expire_negotiations() {
  while (!negotiations_.empty() && negotiations_.begin()->first <= core_.now.mono_us) {
    kill(*streams_.at(negotiations_.begin()->second), fail(Code::timeout, "the peer agreed on no protocol in time"));
  }
}

void TcpConnection::drain_yamux() {
  if (stage_ != Stage::open) return;
  while (const auto yamux_id = yamux_->accept()) {
    TcpStream& stream = add_stream(*yamux_id, true);
    negotiate(stream);  // its first bytes may be here already
  }
  while (!ended()) {
    const std::optional<YamuxEvent> event = yamux_->next_event();
    if (!event) return;
    if (const auto* over = std::get_if<YamuxEnded>(&*event)) {
      (void)write_link();  // GO_AWAY
      if (ended()) return;
      stage_ = Stage::closing;
      say_goodbye();
      return end(over->reason);
    }
    on_stream_event(*event);
  }
}

void TcpConnection::on_stream_event(const YamuxEvent& event) {
  const auto find = [this](YamuxStreamId id) {
    const auto at = streams_.find(id);
    return at == streams_.end() ? nullptr : at->second.get();
  };
  if (const auto* readable = std::get_if<YamuxReadable>(&event)) {
    TcpStream* stream = find(readable->stream);
    if (stream == nullptr) return;
    if (stream->negotiating()) return negotiate(*stream);
    core_.events.emplace_back(StreamReadable{stream->id});
  } else if (const auto* writable = std::get_if<YamuxWritable>(&event)) {
    TcpStream* stream = find(writable->stream);
    if (stream == nullptr) return;
    push_own(*stream);
    if (stream->finished) return erase_if_over(*stream);
    if (!stream->own.empty() || !std::exchange(stream->wants_writable, false)) return;
    core_.events.emplace_back(StreamWritable{stream->id});
  } else if (const auto* closed = std::get_if<YamuxClosed>(&event)) {
    TcpStream* stream = find(closed->stream);
    if (stream == nullptr) return;
    if (stream->known) core_.events.emplace_back(StreamClosed{stream->id, closed->reason});
    erase(*stream);
  }
}

void TcpConnection::negotiate(TcpStream& stream) {
  std::array<uint8_t, kMultistreamLineMax> chunk;
  while (true) {
    const auto got = yamux_->read(stream.yamux_id, chunk, core_.now.mono_us);
    if (!got.ok()) return;
    const ByteView data = ByteView(chunk).first(got->size);
    const size_t used = stream.negotiation.feed(data, core_.protocols, stream.own);
    push_own(stream);
    switch (stream.negotiation.state()) {
      case Multistream::State::negotiating:
        if (got->finished)
          return kill(stream, fail(Code::protocol, "the peer ended the stream before a protocol was agreed"));
        if (got->size < chunk.size()) return;
        break;
      case Multistream::State::refused:
        return kill(stream, fail(Code::unsupported, "the peer does not speak " + stream.negotiation.protocol()));
      case Multistream::State::failed:
        return kill(stream, fail(Code::protocol, "the peer broke multistream-select"));
      case Multistream::State::agreed:
        stream.rest = to_bytes(data.subspan(used));
        stream.end_seen = got->finished;
        return agreed(stream, !stream.rest.empty() || got->finished || got->size == chunk.size());
    }
  }
}

void TcpConnection::agreed(TcpStream& stream, bool more) {
  negotiations_.erase({stream.deadline_us, stream.yamux_id});
  if (stream.incoming) {
    stream.known = true;
    core_.streams.emplace(stream.id, &stream);
  }
  core_.events.emplace_back(StreamOpened{stream.id, id_, stream.negotiation.protocol(), stream.incoming});
  // yamux tells of new bytes only after a read that found too few.
  if (more) core_.events.emplace_back(StreamReadable{stream.id});
}

}  // namespace sereus::net
