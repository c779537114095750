#include "core/net/tcp_connection.h"

#include <algorithm>
#include <array>

#include "core/net/multiaddr.h"
#include "core/net/tls_channel.h"

namespace sereus::net {
namespace {

const std::array<std::string, 1> kMuxers{std::string(kYamuxProtocol)};

}  // namespace

TcpConnection::TcpConnection(TcpCore& core, ConnectionId id, LinkId link, TcpAddress remote, Dial dial,
                             std::vector<std::unique_ptr<Channel>> outer)
    : core_(core),
      id_(id),
      link_(link),
      remote_(std::move(remote)),
      kind_(transport_of(remote_.wrap)),
      dial_(std::move(dial)),
      outer_(std::move(outer)),
      select_(Multistream::responder()) {
  ++core_.half_open;
  timer_.order = id_;
  mark_dirty();  // the next step begins to count
  if (dial_.id == 0) on_connected();
}

TcpConnection::~TcpConnection() {
  proved();
  core_.timers.remove(timer_);
  for (const auto& [yamux_id, stream] : streams_) core_.streams.erase(stream->id);
}

// ---- The link -------------------------------------------------------------------------------------------------------

void TcpConnection::on_connected() {
  if (stage_ != Stage::connecting) return;
  mark_dirty();
  if (const Status started = start_outer(); !started.ok()) end(started.error());
}

Status TcpConnection::start_outer() {
  stage_ = Stage::outer;
  SEREUS_TRY(outer_.start(out_));
  return outer_.state() == Channel::State::established ? start_security() : Status();
}

Status TcpConnection::start_security() {
  stage_ = Stage::security;
  if (dial_.id == 0) return {};
  select_ = Multistream::initiator(core_.security, inner_out());
  return flush_inner();
}

void TcpConnection::mark_dirty() {
  if (!std::exchange(dirty_, true)) core_.dirty.push_back(id_);
}

// No longer one of those that cost much and have shown nothing.
void TcpConnection::proved() {
  if (std::exchange(half_open_, false)) --core_.half_open;
}

void TcpConnection::on_link_closed(const Error& reason) { end(reason); }

size_t TcpConnection::budget(Direction direction) const {
  if (!core_.limited(kind_, direction)) return SIZE_MAX;
  if (!turns_[static_cast<size_t>(direction)].has && !core_.turns_of(kind_, direction).empty()) return 0;
  return core_.budget(kind_, direction);
}

void TcpConnection::wait_turn(Direction direction) {
  if (!std::exchange(turns_[static_cast<size_t>(direction)].waits, true)) {
    core_.turns_of(kind_, direction).push_back(id_);
  }
}

bool TcpConnection::take_turn(Direction direction) {
  Turn& turn = turns_[static_cast<size_t>(direction)];
  turn = {false, true};
  const bool more = step();
  turn.has = false;
  return more;
}

// Reads its share. False when the link has no more now.
bool TcpConnection::read_link() {
  for (size_t i = 0; i < kTcpReadsPerStep && readable_ && !ended(); ++i) {
    if (core_.events_full()) {
      core_.stalled.push_back(id_);  // the application is behind: the peer waits
      return false;
    }
    const size_t budget = this->budget(Direction::down);
    if (budget == 0) {
      wait_turn(Direction::down);
      return false;
    }
    const ByteSpan room = ByteSpan(core_.scratch).first(std::min(core_.scratch.size(), budget));
    const Links::ReadResult got = core_.links->read(link_, room);
    core_.spend(kind_, Direction::down, got.size);
    if (got.size > 0 && core_.now.mono_us >= probe_from_us_) probe_us_ = kNever;
    if (got.size < room.size()) readable_ = false;
    if (const Status fed = feed(ByteView(core_.scratch).first(got.size)); !fed.ok()) {
      (void)write_link();  // what says why: GO_AWAY, an alert
      end(fed.error());
      return false;
    }
    if (got.ended || goodbye_heard()) {
      if (stage_ == Stage::open) say_goodbye();
      end(stage_ == Stage::open ? Error{Code::ok, "the peer closed the connection"}
                                : fail(Code::closed, "the peer closed the connection before it was proved"));
      return false;
    }
  }
  return readable_;
}

bool TcpConnection::goodbye_heard() const {
  return outer_.state() == Channel::State::ended || (secure_ && secure_->state() == Channel::State::ended);
}

Status TcpConnection::flush_inner() {
  if (inner_out_.empty()) return {};
  const Bytes inner = std::exchange(inner_out_, Bytes());
  // The peer's goodbye came behind what is answered here: nobody listens any more, and that is no error.
  if (outer_.state() == Channel::State::ended) return {};
  return outer_.seal(inner, out_);
}

Status TcpConnection::seal(ByteView plain) {
  SEREUS_TRY(secure_->seal(plain, inner_out()));
  return flush_inner();
}

Status TcpConnection::feed(ByteView in) {
  if (outer_.empty()) return feed_inner(in);
  Bytes inner;
  SEREUS_TRY(outer_.feed(in, out_, inner));
  if (stage_ == Stage::outer && outer_.state() == Channel::State::established) SEREUS_TRY(start_security());
  Status fed = feed_inner(inner);
  Status flushed = flush_inner();  // what says why goes out after an error, too
  return fed.ok() ? flushed : fed;
}

Status TcpConnection::feed_inner(ByteView in) {
  if (stage_ == Stage::security) SEREUS_TRY(feed_security(in));
  if (in.empty() || ended()) return {};
  plain_.clear();
  SEREUS_TRY(secure_->feed(in, inner_out(), plain_));
  if (stage_ == Stage::handshake && secure_->state() == Channel::State::established) SEREUS_TRY(on_secured());
  return feed_plain(plain_);
}

Status TcpConnection::feed_security(ByteView& in) {
  in = in.subspan(select_.feed(in, core_.security, inner_out()));
  switch (select_.state()) {
    case Multistream::State::negotiating:
      return {};
    case Multistream::State::refused:
      return fail(Code::unsupported, "the peer speaks no security protocol that is allowed here");
    case Multistream::State::failed:
      return fail(Code::protocol, "the peer broke multistream-select");
    case Multistream::State::agreed:
      return start_handshake();
  }
  return {};
}

// With the protocol that was agreed on.
Status TcpConnection::start_handshake() {
  stage_ = Stage::handshake;
  const bool dialing = dial_.id != 0;
  const std::vector<std::string> muxers(kMuxers.begin(), kMuxers.end());
  if (select_.protocol() == kTlsProtocol) {
    const TlsOptions options{dial_.peer, muxers, core_.settings.clock_suspect};
    SEREUS_ASSIGN(secure_, TlsChannel::create(*core_.tls, dialing ? TlsRole::client : TlsRole::server, options,
                                              &core_.now, core_.random));
  } else {
    secure_ = std::make_unique<NoiseChannel>(dialing ? NoiseRole::initiator : NoiseRole::responder, core_.identity,
                                             NoiseOptions{dial_.peer, muxers}, core_.random);
  }
  return secure_->start(inner_out());
}

// The peer is proved. Its muxer was named inside the handshake, or is agreed on now.
Status TcpConnection::on_secured() {
  stage_ = Stage::muxer;
  if (secure_->muxer() == kYamuxProtocol) return start_yamux();
  if (dial_.id == 0) {
    select_ = Multistream::responder();
    return {};
  }
  Bytes proposal;
  select_ = Multistream::initiator(kYamuxProtocol, proposal);
  return seal(proposal);
}

Status TcpConnection::start_yamux() {
  stage_ = Stage::open;
  proved();
  yamux_.emplace(dial_.id != 0 ? YamuxRole::client : YamuxRole::server, YamuxOptions{}, core_.now.mono_us);
  Connected event;
  event.connection = id_;
  event.dial = dial_.id;
  event.peer = secure_->peer();
  event.address = remote_.multiaddr().to_string();
  event.incoming = dial_.id == 0;
  core_.events.emplace_back(std::move(event));
  return {};
}

Status TcpConnection::feed_plain(ByteView plain) {
  if (stage_ == Stage::muxer) {
    Bytes answer;
    plain = plain.subspan(select_.feed(plain, kMuxers, answer));
    if (!answer.empty()) SEREUS_TRY(seal(answer));
    if (select_.state() == Multistream::State::negotiating) return {};
    if (select_.state() != Multistream::State::agreed) return fail(Code::unsupported, "the peer does not speak yamux");
    SEREUS_TRY(start_yamux());
  }
  if (stage_ != Stage::open) return {};
  Status fed = yamux_->feed(plain, core_.now.mono_us);
  drain_yamux();
  return fed;
}

// Writes its share. True when there is more and the link takes it.
bool TcpConnection::write_link() {
  for (size_t i = 0; i < kTcpWritesPerStep; ++i) {
    if (blocked_ || stage_ == Stage::connecting) return false;
    const size_t budget = this->budget(Direction::up);
    if (budget == 0) {
      if (out_taken_ < out_.size() || (yamux_ && yamux_->wants_to_send())) wait_turn(Direction::up);
      return false;
    }
    if (out_taken_ < out_.size()) {
      const ByteView left = ByteView(out_).subspan(out_taken_);
      const size_t taken = core_.links->write(link_, left);
      core_.spend(kind_, Direction::up, taken);
      out_taken_ += taken;
      if (taken < left.size()) {
        blocked_ = true;
        return false;
      }
    }
    out_.clear();
    out_taken_ = 0;
    if (!yamux_ || !yamux_->wants_to_send()) return false;
    plain_.clear();
    yamux_->produce(plain_, std::min(kTcpProduceBytes, budget), core_.now.mono_us);
    if (const Status sealed = seal(plain_); !sealed.ok()) {
      end(sealed.error());
      return false;
    }
    drain_yamux();  // what was sent made room
  }
  return true;
}

bool TcpConnection::step() {
  dirty_ = false;
  if (ended()) return false;
  bool more = read_link();
  if (ended()) return false;
  uint64_t next = kNever;
  if (half_open_) {
    // Links come between steps, when the last one's time may be long past.
    if (deadline_us_ == kNever) deadline_us_ = core_.now.mono_us + core_.settings.handshake_timeout_us;
    if (core_.now.mono_us >= deadline_us_) {
      end(fail(Code::timeout, "the handshake took too long"));
      return false;
    }
    next = deadline_us_;
  }
  if (core_.now.mono_us >= probe_us_) {
    end(fail(Code::timeout, "nothing was heard from the peer since the network changed"));
    return false;
  }
  next = std::min(next, probe_us_);
  if (yamux_) {
    expire_negotiations();
    next = std::min(next, yamux_->step(core_.now.mono_us));
    drain_yamux();
    if (!negotiations_.empty()) next = std::min(next, negotiations_.begin()->first);
  }
  if (ended()) return false;
  more = write_link() || more;
  if (!more) release_buffers();
  core_.timers.set(timer_, ended() ? kNever : next);
  return more && !ended();
}

// Grown in a transfer, they would be most of what an idle connection costs.
void TcpConnection::release_buffers() {
  for (Bytes* buffer : {&inner_out_, &plain_, &out_}) {
    if (buffer == &plain_ || buffer->empty()) Bytes().swap(*buffer);
  }
}

uint64_t TcpConnection::buffered() const {
  if (ended()) return 0;
  uint64_t out = out_.capacity() + inner_out_.capacity() + plain_.capacity() + outer_.buffered();
  if (secure_) out += secure_->buffered();
  if (yamux_) out += yamux_->received_bytes() + yamux_->unsent_bytes();
  return out;
}

Host::StreamBuffer TcpConnection::largest_buffer() const {
  Host::StreamBuffer out;
  for (const auto& [yamux_id, stream] : streams_) {
    const uint64_t bytes = stream->known ? yamux_->buffered(yamux_id) : 0;
    if (bytes > out.bytes) out = {stream->id, bytes};
  }
  return out;
}

void TcpConnection::probe() {
  if (stage_ != Stage::open) return;      // handshakes have a deadline of their own
  (void)yamux_->ping(core_.now.mono_us);  // when there are too many under way, one of those will do
  probe_us_ = std::min(probe_us_, core_.now.mono_us + kProbeTimeoutUs);
  probe_from_us_ = core_.now.mono_us + yamux_->rtt_us() / 2;
  mark_dirty();
}

void TcpConnection::disconnect(Code reason) {
  if (ended()) return;
  if (stage_ == Stage::open) {
    stage_ = Stage::closing;  // what yamux says of its end is not the reason
    yamux_->close(YamuxGoAway::normal);
    (void)write_link();
    say_goodbye();
  }
  end(Error{reason, "closed here"});
}

void TcpConnection::say_goodbye() {
  secure_->finish(inner_out());
  if (flush_inner().ok()) outer_.finish(out_);
  (void)write_link();
}

// Tells the application, streams first, and lets the link go.
void TcpConnection::end(const Error& reason) {
  if (ended()) return;
  const bool was_open = stage_ == Stage::open || stage_ == Stage::closing;
  stage_ = Stage::ended;
  proved();
  core_.timers.remove(timer_);
  mark_dirty();  // to be taken away
  for (const auto& [yamux_id, stream] : streams_) {
    core_.streams.erase(stream->id);
    if (!stream->known) continue;
    const Error why = reason.code == Code::ok ? fail(Code::closed, "the connection is closed") : reason;
    core_.events.emplace_back(StreamClosed{stream->id, why});
  }
  streams_.clear();
  negotiations_.clear();
  core_.links->finish(link_);  // what was written goes out before the end
  core_.links->close(link_);
  if (was_open) {
    core_.events.emplace_back(Disconnected{id_, reason});
  } else if (dial_.id != 0) {
    core_.events.emplace_back(DialFailed{dial_.id, reason});
  }
}

}  // namespace sereus::net
