// The life of a connection: beginning, handshake, ending. Packets are in quic_connection_io.cc, streams in
// quic_connection_streams.cc.
#include "core/net/quic_connection.h"

#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>

#include "core/net/multiaddr.h"
#include "core/net/quic_callbacks.h"
#include "core/net/quic_path.h"

namespace sereus::net {
namespace {

constexpr size_t kFirstCidLength =
    18;  // the client's first choice for the server; at least 8 (RFC 9000 7.2), unguessable

}  // namespace

uint64_t close_code_of(Code reason) {
  return reason == Code::ok ? 0 : kCloseCodeBase + static_cast<uint64_t>(-static_cast<int64_t>(reason));
}

Error reason_of_close_code(uint64_t close_code) {
  if (close_code == 0) return {Code::ok, {}};
  const uint64_t number = close_code - kCloseCodeBase;
  if (close_code > kCloseCodeBase && number <= static_cast<uint64_t>(-static_cast<int64_t>(Code::pending))) {
    return fail(static_cast<Code>(-static_cast<int32_t>(number)), "the peer closed the connection");
  }
  return fail(Code::closed, "the peer closed the connection with application code " + std::to_string(close_code));
}

QuicConnection::QuicConnection(QuicCore& core, ConnectionId id, QuicSocket& socket, const IpEndpoint& remote,
                               bool server)
    : core_(core), id_(id), socket_(&socket), remote_(remote), server_(server) {
  timer_.order = id;
  ++(server_ ? core_.half_open : core_.dialing);
  ngtcp2_ccerr_default(&close_error_);
  unpaid_window_ = connection_window();
}

QuicConnection::~QuicConnection() {
  core_.timers.remove(timer_);
  for (const auto& [id, stream] : streams_) core_.streams.erase(id);
  for (const Cid& cid : cids_) core_.cids.erase(cid);
  for (const Cid& token : reset_tokens_) core_.reset_tokens.erase(token);
  if (!connected_) --(server_ ? core_.half_open : core_.dialing);
  // ngtcp2 first: it frees packet keys and may still look at the TLS session.
  if (conn_ != nullptr) ngtcp2_conn_del(conn_);
}

// With a limit of bandwidth a quarter of a second's worth: more would come in at once before the limit is felt.
uint64_t QuicConnection::connection_window() const {
  const uint64_t whole = core_.settings.connection_window;
  if (!core_.limited(Direction::down)) return whole;
  const uint64_t rate = core_.settings.bandwidth->rate(TransportKind::quic, Direction::down);
  return std::min(whole, std::max(rate / 4, kLimitedWindowMin));
}

ngtcp2_settings QuicConnection::settings() const {
  ngtcp2_settings out;
  ngtcp2_settings_default(&out);
  out.cc_algo = core_.settings.bbr ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
  out.initial_ts = core_.timestamp();
  out.max_tx_udp_payload_size = kQuicSegmentMax;
  out.rand_ctx.native_handle = &core_.random;
  out.handshake_timeout = core_.settings.handshake_timeout_us * NGTCP2_MICROSECONDS;
  out.max_stream_window = std::max(kStreamWindowMax, core_.settings.stream_window);
  out.max_window = connection_window();
  return out;
}

ngtcp2_transport_params QuicConnection::transport_params() const {
  ngtcp2_transport_params out;
  ngtcp2_transport_params_default(&out);
  out.initial_max_stream_data_bidi_local = core_.settings.stream_window;
  out.initial_max_stream_data_bidi_remote = core_.settings.stream_window;
  out.initial_max_data = connection_window();
  out.initial_max_streams_bidi = kIncomingStreamsMax;
  out.initial_max_streams_uni = 0;  // libp2p has none
  out.max_idle_timeout = core_.settings.idle_timeout_us * NGTCP2_MICROSECONDS;
  out.active_connection_id_limit = 4;
  out.grease_quic_bit = 1;  // RFC 9287
  return out;
}

ngtcp2_cid QuicConnection::draw_cid() {
  ngtcp2_cid cid{};
  cid.datalen = kQuicCidLength;
  do {
    core_.random.fill(ByteSpan(cid.data, cid.datalen));
  } while (core_.cids.contains(Cid::from(cid)));
  return cid;
}

void QuicConnection::add_cid(const ngtcp2_cid& cid) {
  core_.cids.emplace(Cid::from(cid), id_);
  cids_.push_back(Cid::from(cid));
}

void QuicConnection::remove_cid(const ngtcp2_cid& cid) {
  const Cid key = Cid::from(cid);
  std::erase(cids_, key);
  core_.cids.erase(key);
}

void QuicConnection::reset_token(const ngtcp2_cid& cid, uint8_t* token) const {
  // RFC 9000 10.3.2: computed from the id with a static key, so that it can be given after the state is lost.
  ngtcp2_crypto_generate_stateless_reset_token(token, core_.reset_secret.data(), core_.reset_secret.size(), &cid);
}

Status QuicConnection::start_tls(std::optional<PeerId> expected) {
  SEREUS_ASSIGN(tls_, TlsSession::create(*core_.tls, server_, &conn_, &core_.now, core_.settings.clock_suspect,
                                         std::move(expected)));
  ngtcp2_conn_set_tls_native_handle(conn_, tls_->native());
  if (core_.settings.keep_alive_us != 0) {
    ngtcp2_conn_set_keep_alive_timeout(conn_, core_.settings.keep_alive_us * NGTCP2_MICROSECONDS);
  }
  mark_dirty();
  return {};
}

Result<std::unique_ptr<QuicConnection>> QuicConnection::client(QuicCore& core, ConnectionId id,
                                                               const ClientStart& start) {
  std::unique_ptr<QuicConnection> out(new QuicConnection(core, id, *start.socket, start.remote, false));
  out->dial_ = start.dial;
  const ngtcp2_cid source = out->draw_cid();
  ngtcp2_cid destination{};
  destination.datalen = kFirstCidLength;
  core.random.fill(ByteSpan(destination.data, destination.datalen));
  const QuicPath path(start.socket->local, start.remote);
  const ngtcp2_callbacks callbacks = QuicCallbacks::table();
  const ngtcp2_settings settings = out->settings();
  const ngtcp2_transport_params params = out->transport_params();
  if (ngtcp2_conn_client_new(&out->conn_, &destination, &source, &path.get(), NGTCP2_PROTO_VER_V1, &callbacks,
                             &settings, &params, out->heap_.mem(), out.get()) != 0) {
    return fail(Code::no_memory, "no memory for a connection");
  }
  out->add_cid(source);
  SEREUS_TRY(out->start_tls(start.peer));
  return out;
}

Result<std::unique_ptr<QuicConnection>> QuicConnection::server(QuicCore& core, ConnectionId id,
                                                               const ServerStart& start) {
  std::unique_ptr<QuicConnection> out(new QuicConnection(core, id, *start.socket, start.remote, true));
  const ngtcp2_pkt_hd& header = *start.header;
  const ngtcp2_cid source = out->draw_cid();
  ngtcp2_settings settings = out->settings();
  ngtcp2_transport_params params = out->transport_params();
  params.original_dcid = start.retried_from.value_or(header.dcid);
  params.original_dcid_present = 1;
  if (start.retried_from) {
    params.retry_scid = header.dcid;
    params.retry_scid_present = 1;
    settings.token = header.token;
    settings.tokenlen = header.tokenlen;
    settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
  }
  params.stateless_reset_token_present = 1;
  out->reset_token(source, params.stateless_reset_token);
  const QuicPath path(start.socket->local, start.remote);
  const ngtcp2_callbacks callbacks = QuicCallbacks::table();
  if (ngtcp2_conn_server_new(&out->conn_, &header.scid, &source, &path.get(), header.version, &callbacks, &settings,
                             &params, out->heap_.mem(), out.get()) != 0) {
    return fail(Code::no_memory, "no memory for a connection");
  }
  out->add_cid(source);
  // The client uses the id it chose until it has heard ours.
  out->add_cid(header.dcid);
  SEREUS_TRY(out->start_tls(std::nullopt));
  return out;
}

void QuicConnection::mark_dirty() {
  if (dirty_) return;
  dirty_ = true;
  core_.dirty.push_back(id_);
}

Status QuicConnection::on_handshake_completed() {
  if (!tls_->alpn_agreed()) return fail(Code::protocol, "the peer does not speak libp2p");
  if (tls_->peer().empty()) return fail(Code::denied, "the peer presented no certificate");
  --(server_ ? core_.half_open : core_.dialing);
  connected_ = true;
  peer_ = tls_->peer();
  // A server has the client's last word now; a client may still have to repeat its own (RFC 9001 4.1.2).
  tls_finished_ = server_;
  core_.events.emplace_back(Connected{id_, dial_, peer_, Multiaddr::quic(remote_).to_string(), server_});
  return {};
}

// Packet keys and their updates are ngtcp2's. Not from a callback: wolfSSL may be on the stack.
void QuicConnection::release_tls() {
  if (!tls_finished_ || tls_ == nullptr) return;
  ngtcp2_conn_set_tls_native_handle(conn_, nullptr);
  tls_.reset();
}

Error QuicConnection::peer_close_reason() const {
  if (stateless_reset_) return fail(Code::closed, "the peer has forgotten the connection");
  const ngtcp2_ccerr* error = ngtcp2_conn_get_ccerr(conn_);
  if (error->type == NGTCP2_CCERR_TYPE_APPLICATION) return reason_of_close_code(error->error_code);
  if (error->error_code == NGTCP2_NO_ERROR) return {Code::ok, {}};
  if (error->error_code == NGTCP2_CONNECTION_REFUSED) return fail(Code::busy, "the peer takes no more connections");
  if (error->error_code >= NGTCP2_CRYPTO_ERROR && error->error_code <= NGTCP2_CRYPTO_ERROR + 0xff) {
    return fail(Code::denied,
                "the peer refused the handshake: " + tls_alert_name(error->error_code - NGTCP2_CRYPTO_ERROR));
  }
  return fail(Code::protocol, "the peer closed the connection with QUIC error " + std::to_string(error->error_code));
}

Error QuicConnection::read_error(int error) const {
  if (callback_error_.code != Code::ok) return callback_error_;
  if (tls_ != nullptr && tls_->certificate_error().code != Code::ok) return tls_->certificate_error();
  switch (error) {
    case NGTCP2_ERR_CRYPTO:
      return fail(Code::protocol, "the TLS handshake failed: " + tls_alert_name(ngtcp2_conn_get_tls_alert(conn_)));
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
      return fail(Code::unsupported, "the peer does not speak QUIC version 1");
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
      return fail(Code::timeout, "the peer did not answer");
    case NGTCP2_ERR_IDLE_CLOSE:
      return fail(Code::timeout, "nothing was heard from the peer");
    case NGTCP2_ERR_NOMEM:
      return fail(Code::no_memory, "no memory for the connection");
    default:
      return fail(Code::protocol, std::string("QUIC: ") + ngtcp2_strerror(error));
  }
}

void QuicConnection::fail_with(int error) {
  const Error reason = read_error(error);
  switch (error) {
    case NGTCP2_ERR_DRAINING:
      end(peer_close_reason(), Farewell::draining);
      return;
    case NGTCP2_ERR_CLOSING:
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_IDLE_CLOSE:
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
      end(reason, Farewell::silent);
      return;
    default:
      break;
  }
  if (error == NGTCP2_ERR_CRYPTO) {
    ngtcp2_ccerr_set_tls_alert(&close_error_, ngtcp2_conn_get_tls_alert(conn_), nullptr, 0);
  } else if (callback_error_.code != Code::ok) {
    ngtcp2_ccerr_set_transport_error(&close_error_, NGTCP2_CONNECTION_REFUSED, nullptr, 0);
  } else {
    ngtcp2_ccerr_set_liberr(&close_error_, error, nullptr, 0);
  }
  end(reason, Farewell::close_packet);
}

void QuicConnection::disconnect(Code reason) {
  if (ended_) return;
  ngtcp2_ccerr_set_application_error(&close_error_, close_code_of(reason), nullptr, 0);
  end({reason, reason == Code::ok ? "" : "closed here"}, Farewell::close_packet);
}

void QuicConnection::cancel() {
  if (ended_ || connected_ || server_) return;
  ngtcp2_ccerr_set_application_error(&close_error_, close_code_of(Code::cancelled), nullptr, 0);
  end(fail(Code::cancelled, "the dial was cancelled"), Farewell::close_packet);
}

void QuicConnection::unreachable() {
  if (ended_ || heard_ || server_) return;
  end(fail(Code::unreachable, "nobody listens at this address"), Farewell::silent);
}

void QuicConnection::log_end(const Error& reason) const {
  if (core_.logger == nullptr || !core_.logger->enabled(LogLevel::debug)) return;
  core_.log(LogLevel::debug, "connection " + std::to_string(id_) + " ended: " + std::string(code_name(reason.code)) +
                                 (reason.detail.empty() ? "" : ", " + reason.detail));
}

void QuicConnection::end(Error reason, Farewell farewell) {
  if (ended_) return;
  ended_ = true;
  farewell_ = farewell;
  log_end(reason);
  core_.timers.remove(timer_);
  const Error stream_reason = reason.code == Code::ok ? fail(Code::closed, "the connection was closed") : reason;
  for (auto& [id, stream] : streams_) {
    core_.streams.erase(id);
    const bool both_finished = stream->end_read && stream->fin_wanted;
    if (stream->known && !stream->dead && !both_finished) core_.events.emplace_back(StreamClosed{id, stream_reason});
    stream->dead = true;
  }
  if (connected_) {
    core_.events.emplace_back(Disconnected{id_, std::move(reason)});
  } else if (dial_ != 0) {
    if (reason.code == Code::ok) reason = fail(Code::unreachable, "the peer closed the connection at once");
    core_.events.emplace_back(DialFailed{dial_, std::move(reason)});
  }
  mark_dirty();  // so that the host says farewell and lets go
}

QuicLingering QuicConnection::linger() {
  QuicLingering out;
  out.socket = socket_;
  out.remote = remote_;
  if (farewell_ == Farewell::silent) return out;
  out.until_us = core_.now.mono_us + 3 * (ngtcp2_conn_get_pto(conn_) / NGTCP2_MICROSECONDS) + 1;
  if (farewell_ == Farewell::close_packet) {
    ngtcp2_path_storage path;
    ngtcp2_path_storage_zero(&path);
    ngtcp2_pkt_info info{};
    out.close_packet.resize(NGTCP2_MAX_UDP_PAYLOAD_SIZE);
    const ngtcp2_ssize size = ngtcp2_conn_write_connection_close(
        conn_, &path.path, &info, out.close_packet.data(), out.close_packet.size(), &close_error_, core_.timestamp());
    out.close_packet.resize(size > 0 ? static_cast<size_t>(size) : 0);
    if (size <= 0) return out;
    out.remote = QuicPath::endpoint(path.path.remote);  // where it is now: it may have migrated
  }
  out.cids = std::exchange(cids_, {});
  return out;
}

}  // namespace sereus::net
