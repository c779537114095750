// Datagrams in and out of a connection.
#include <algorithm>

#include "core/net/quic_connection.h"
#include "core/net/quic_path.h"

namespace sereus::net {
namespace {

constexpr size_t kSpansPerWrite = 4;  // of stream data offered to one packet: 64 KiB chunks, so two would do
constexpr uint64_t kBlockedPauseUs = 1000;
constexpr uint64_t kProbeAfterUs = 1000;

}  // namespace

QuicConnection::ReadResult QuicConnection::read(QuicSocket& socket, const IpEndpoint& remote, Ecn ecn,
                                                ByteView datagram) {
  if (ended_) return ReadResult::ok;
  const QuicPath path(socket.local, remote);
  ngtcp2_pkt_info info{};
  info.ecn = static_cast<uint8_t>(ecn);
  const int error =
      ngtcp2_conn_read_pkt(conn_, &path.get(), &info, datagram.data(), datagram.size(), core_.timestamp());
  if (error == NGTCP2_ERR_RETRY) {
    end(fail(Code::denied, "address not validated"), Farewell::silent);
    return ReadResult::retry;
  }
  if (error != 0) {
    fail_with(error);
    return ReadResult::ok;
  }
  heard_ = true;
  end_probe();
  release_tls();
  shut_down_killed();
  tell_writable();
  mark_dirty();
  return ReadResult::ok;
}

void QuicConnection::on_timer() {
  if (ended_) return;
  if (core_.now.mono_us >= probe_us_) {
    end(fail(Code::timeout, "nothing was heard from the peer since the network changed"), Farewell::silent);
    return;
  }
  expire_negotiations();
  if (const int error = ngtcp2_conn_handle_expiry(conn_, core_.timestamp()); error != 0) {
    fail_with(error);
    return;
  }
  mark_dirty();
}

void QuicConnection::update_timer() {
  const ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(conn_);
  uint64_t deadline = expiry == UINT64_MAX ? kNever : (expiry + NGTCP2_MICROSECONDS - 1) / NGTCP2_MICROSECONDS;
  if (!negotiations_.empty()) deadline = std::min(deadline, negotiations_.begin()->first);
  deadline = std::min(deadline, probe_us_);
  // A socket that takes nothing wakes us itself; a deadline that has passed would only spin until then.
  if (socket_->blocked) deadline = std::max(deadline, core_.now.mono_us + kBlockedPauseUs);
  core_.timers.set(timer_, deadline);
}

bool QuicConnection::write(size_t budget) {
  dirty_ = false;
  if (ended_) return false;
  const ngtcp2_tstamp now = core_.timestamp();
  bool more = false;
  for (size_t i = 0; i < kQuicBatchesPerStep && !socket_->blocked && budget > 0; ++i) {
    ngtcp2_path_storage path;
    ngtcp2_path_storage_zero(&path);
    ngtcp2_pkt_info info{};
    size_t segment = 0;
    // The quantum is what congestion control lets out in one burst; at least one packet has to fit.
    const size_t quantum = std::max(ngtcp2_conn_get_send_quantum(conn_), kQuicSegmentMax);
    const size_t size = std::min({core_.batch.size(), quantum, std::max(budget, kQuicSegmentMax)});
#if NGTCP2_VERSION_NUM >= 0x010f00
    const ngtcp2_ssize written = ngtcp2_conn_write_aggregate_pkt(conn_, &path.path, &info, core_.batch.data(), size,
                                                                 &segment, write_packet_callback, now);
#else
    // Before 1.15 ngtcp2 does not gather packets: each is a batch of its own.
    const ngtcp2_ssize written =
        write_packet(&path.path, &info, core_.batch.data(), std::min(size, kQuicSegmentMax), now);
    segment = written > 0 ? static_cast<size_t>(written) : 0;
#endif
    if (written < 0) {
      fail_with(static_cast<int>(written));
      return false;
    }
    more = written > 0;
    if (written == 0) break;
    budget -= std::min(budget, static_cast<size_t>(written));
    QuicSocket& from = core_.socket_at(QuicPath::endpoint(path.path.local), *socket_);
    if (from.blocked) break;  // of another path: as if it were lost
    core_.send(from, QuicPath::endpoint(path.path.remote), static_cast<Ecn>(info.ecn & NGTCP2_ECN_MASK),
               ByteView(core_.batch).first(static_cast<size_t>(written)), segment);
    // Streams take turns by batches: a small message waits for at most one batch of a large transfer.
    if (send_queue_.size() > 1) std::rotate(send_queue_.begin(), send_queue_.begin() + 1, send_queue_.end());
  }
  ngtcp2_conn_update_pkt_tx_time(conn_, now);
  tell_writable();
  update_timer();
  return more;
}

void QuicConnection::probe() {
  if (!connected()) return;  // handshakes have a deadline of their own
  probe_us_ = std::min(probe_us_, core_.now.mono_us + kProbeTimeoutUs);
  // About how long a packet takes. An answer that comes sooner, since the new way is shorter, is followed by others.
  probe_from_us_ = core_.now.mono_us + ngtcp2_conn_get_pto(conn_) / NGTCP2_MICROSECONDS / 2;
  // ngtcp2 sends a PING when nothing was sent for the time given.
  ngtcp2_conn_set_keep_alive_timeout(conn_, kProbeAfterUs * NGTCP2_MICROSECONDS);
  mark_dirty();
}

void QuicConnection::end_probe() {
  if (probe_us_ == kNever || core_.now.mono_us < probe_from_us_) return;
  probe_us_ = kNever;
  const uint64_t keep_alive_us = core_.settings.keep_alive_us;
  ngtcp2_conn_set_keep_alive_timeout(conn_, keep_alive_us == 0 ? UINT64_MAX : keep_alive_us * NGTCP2_MICROSECONDS);
}

// The path that was is taken for dead: packets go over the new one at once, while it is validated (RFC 9000 section 9).
void QuicConnection::move_to(QuicSocket& socket) {
  probe();
  if (!connected() || server_) return;
  const QuicPath path(socket.local, remote_);
  if (ngtcp2_conn_initiate_immediate_migration(conn_, &path.get(), core_.timestamp()) == 0) socket_ = &socket;
}

QuicStream* QuicConnection::next_to_send() {
  while (!send_queue_.empty() && !send_queue_.front()->wants_to_send()) dequeue(*send_queue_.front());
  if (send_queue_.empty() || ngtcp2_conn_get_max_data_left(conn_) == 0) return nullptr;
  return send_queue_.front();
}

ngtcp2_ssize QuicConnection::write_packet_callback(ngtcp2_conn* /*conn*/, ngtcp2_path* path, ngtcp2_pkt_info* info,
                                                   uint8_t* out, size_t size, ngtcp2_tstamp now, void* user_data) {
  return static_cast<QuicConnection*>(user_data)->write_packet(path, info, out, size, now);
}

// Fills one packet with data of as many streams as fit.
ngtcp2_ssize QuicConnection::write_packet(ngtcp2_path* path, ngtcp2_pkt_info* info, uint8_t* out, size_t size,
                                          ngtcp2_tstamp now) {
  for (;;) {
    QuicStream* stream = next_to_send();
    std::array<ByteView, kSpansPerWrite> spans;
    std::array<ngtcp2_vec, kSpansPerWrite> data;
    size_t count = 0;
    bool fin = false;
    if (stream != nullptr) {
      count = stream->unacked.peek(stream->sent, spans);
      size_t offered = 0;
      for (size_t i = 0; i < count; ++i) {
        // ngtcp2 only reads it; its vector type serves both directions.
        data[i] = {const_cast<uint8_t*>(spans[i].data()), spans[i].size()};
        offered += spans[i].size();
      }
      fin = stream->fin_wanted && offered == stream->unsent();
    }
    const uint32_t flags =
        NGTCP2_WRITE_STREAM_FLAG_MORE | (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : NGTCP2_WRITE_STREAM_FLAG_NONE);
    ngtcp2_ssize accepted = -1;
    const ngtcp2_ssize written =
        ngtcp2_conn_writev_stream(conn_, path, info, out, size, &accepted, flags,
                                  stream == nullptr ? -1 : stream->quic_id, data.data(), count, now);
    if (stream != nullptr && accepted >= 0) on_sent(*stream, static_cast<size_t>(accepted), fin);
    switch (written) {
      case NGTCP2_ERR_WRITE_MORE:
        continue;
      case NGTCP2_ERR_STREAM_DATA_BLOCKED:
        dequeue(*stream);
        continue;  // comes back when the peer opens its window
      case NGTCP2_ERR_STREAM_SHUT_WR:
      case NGTCP2_ERR_STREAM_NOT_FOUND:
        on_stop_sending(*stream);
        continue;
      default:
        return written;
    }
  }
}

void QuicConnection::on_sent(QuicStream& stream, size_t count, bool fin) {
  stream.sent += count;
  if (fin && stream.unsent() == 0) stream.fin_sent = true;
  if (!stream.wants_to_send()) dequeue(stream);
}

void QuicConnection::enqueue(QuicStream& stream) {
  if (stream.queued || !stream.wants_to_send()) return;
  stream.queued = true;
  send_queue_.push_back(&stream);
}

void QuicConnection::dequeue(QuicStream& stream) {
  if (!stream.queued) return;
  stream.queued = false;
  if (send_queue_.front() == &stream) {
    send_queue_.pop_front();
  } else {
    std::erase(send_queue_, &stream);
  }
}

}  // namespace sereus::net
