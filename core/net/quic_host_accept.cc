// Datagrams that belong to no connection: new ones, and answers without state (RFC 9000 sections 5.2, 6, 8.1 and 10).
#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>

#include "core/net/quic_host.h"
#include "core/net/quic_path.h"

namespace sereus::net {
namespace {

constexpr size_t kInitialDatagramMin = 1200;  // RFC 9000 14.1: smaller Initials are not answered
constexpr size_t kStatelessResetMin = 21;     // RFC 9000 10.3: 5 unpredictable bytes and the token
constexpr size_t kStatelessResetSize = 40;    // looks like a short packet; below 43 so that two hosts do not loop
constexpr size_t kRetryCidLength = 18;

std::span<uint8_t> out_buffer(QuicCore& core) { return std::span(core.batch).first(kQuicSegmentMax); }

}  // namespace

bool QuicHost::may_answer_stateless(QuicSocket& socket) {
  if (socket.blocked || !socket.waiting.data.empty()) return false;
  const uint64_t interval = kMicrosPerSecond / kStatelessPerSecond;
  const uint64_t earned = (core_.now.mono_us - stateless_refill_us_) / interval;
  stateless_tokens_ = std::min(kStatelessBurst, stateless_tokens_ + std::min(earned, kStatelessBurst));
  stateless_refill_us_ += earned * interval;
  if (stateless_tokens_ == 0) return false;
  --stateless_tokens_;
  return true;
}

// Stateless answers are never kept for later.
void QuicHost::send_now(QuicSocket& socket, const IpEndpoint& remote, ByteView packet) {
  if (core_.datagrams.send(socket.id, remote, Ecn::not_ect, packet, packet.size())) {
    core_.stats.bytes_sent += packet.size();
  } else {
    socket.blocked = true;
  }
}

void QuicHost::on_lingering(QuicLingering& lingering) {
  // RFC 9000 10.2.1: the close packet again, less and less often: for packets 1, 2, 4, 8, ...
  const uint64_t count = ++lingering.packets;
  if (lingering.close_packet.empty() || (count & (count - 1)) != 0 || !may_answer_stateless(*lingering.socket)) return;
  send_now(*lingering.socket, lingering.remote, lingering.close_packet);
}

void QuicHost::on_stray(QuicSocket& socket, const IpEndpoint& remote, Ecn ecn, ByteView datagram,
                        const ngtcp2_version_cid& header) {
  const bool long_header = (datagram[0] & 0x80) != 0;
  if (!long_header) {
    // Its last bytes may be the token of a peer that has lost its state; the id in front is random then.
    if (datagram.size() >= kStatelessResetMin) {
      const auto known = core_.reset_tokens.find(core_.hidden_token(datagram.last(NGTCP2_STATELESS_RESET_TOKENLEN)));
      QuicConnection* connection = known == core_.reset_tokens.end() ? nullptr : find_connection(known->second);
      if (connection != nullptr) {
        connection->read(socket, remote, ecn, datagram);
        return;
      }
    }
    send_stateless_reset(socket, remote, header, datagram.size());
  } else if (socket.listening) {
    accept(socket, remote, ecn, datagram);
  }
}

void QuicHost::accept(QuicSocket& socket, const IpEndpoint& remote, Ecn ecn, ByteView datagram) {
  ngtcp2_pkt_hd header{};
  if (datagram.size() < kInitialDatagramMin || ngtcp2_accept(&header, datagram.data(), datagram.size()) != 0) return;
  if (header.version != NGTCP2_PROTO_VER_V1) return;

  std::optional<ngtcp2_cid> retried_from;
  if (header.tokenlen > 0 && header.token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2) {
    const QuicPath path(socket.local, remote);
    ngtcp2_cid original{};
    if (ngtcp2_crypto_verify_retry_token2(&original, header.token, header.tokenlen, retry_secret_.data(),
                                          retry_secret_.size(), header.version, path.get().remote.addr,
                                          path.get().remote.addrlen, &header.dcid,
                                          kRetryTokenLifeUs * NGTCP2_MICROSECONDS, core_.timestamp()) != 0) {
      send_refusal(socket, remote, header, NGTCP2_INVALID_TOKEN);
      return;
    }
    retried_from = original;
  }
  AcceptGate* gate = core_.settings.gate;
  if (core_.half_open >= core_.settings.half_open_max || connections_.size() >= core_.settings.connections_max) {
    if (gate != nullptr) gate->on_half_open_refused(TransportKind::quic, remote, core_.now);
    send_refusal(socket, remote, header, NGTCP2_CONNECTION_REFUSED);
    return;
  }
  if (!retried_from && core_.half_open >= core_.settings.half_open_retry) {
    send_retry(socket, remote, header);
    return;
  }
  if (gate != nullptr && !gate->admit(TransportKind::quic, remote, core_.now)) {
    send_refusal(socket, remote, header, NGTCP2_CONNECTION_REFUSED);
    return;
  }
  const ConnectionId id = ++last_connection_;
  auto made = QuicConnection::server(core_, id, {remote, &socket, &header, retried_from});
  if (!made) return;
  QuicConnection& connection = *connections_.emplace(id, std::move(made).value()).first->second;
  if (connection.read(socket, remote, ecn, datagram) == QuicConnection::ReadResult::retry) {
    send_retry(socket, remote, header);
  }
  // An Initial that did not decrypt leaves nothing behind.
  if (connection.ended()) remove(id);
}

void QuicHost::send_version_negotiation(QuicSocket& socket, const IpEndpoint& remote,
                                        const ngtcp2_version_cid& header) {
  if (!may_answer_stateless(socket)) return;
  uint8_t unused_bits = 0;
  core_.random.fill(ByteSpan(&unused_bits, 1));
  const uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
  const auto out = out_buffer(core_);
  const ngtcp2_ssize size = ngtcp2_pkt_write_version_negotiation(
      out.data(), out.size(), unused_bits, header.scid, header.scidlen, header.dcid, header.dcidlen, versions, 1);
  if (size > 0) send_now(socket, remote, out.first(static_cast<size_t>(size)));
}

void QuicHost::send_retry(QuicSocket& socket, const IpEndpoint& remote, const ngtcp2_pkt_hd& header) {
  if (!may_answer_stateless(socket)) return;
  const QuicPath path(socket.local, remote);
  ngtcp2_cid source{};
  source.datalen = kRetryCidLength;
  core_.random.fill(ByteSpan(source.data, source.datalen));
  std::array<uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2> token{};
  const ngtcp2_ssize token_size = ngtcp2_crypto_generate_retry_token2(
      token.data(), retry_secret_.data(), retry_secret_.size(), header.version, path.get().remote.addr,
      path.get().remote.addrlen, &source, &header.dcid, core_.timestamp());
  if (token_size < 0) return;
  const auto out = out_buffer(core_);
  const ngtcp2_ssize size = ngtcp2_crypto_write_retry(out.data(), out.size(), header.version, &header.scid, &source,
                                                      &header.dcid, token.data(), static_cast<size_t>(token_size));
  if (size > 0) send_now(socket, remote, out.first(static_cast<size_t>(size)));
}

void QuicHost::send_refusal(QuicSocket& socket, const IpEndpoint& remote, const ngtcp2_pkt_hd& header, uint64_t error) {
  if (!may_answer_stateless(socket)) return;
  const auto out = out_buffer(core_);
  const ngtcp2_ssize size = ngtcp2_crypto_write_connection_close(out.data(), out.size(), header.version, &header.scid,
                                                                 &header.dcid, error, nullptr, 0);
  if (size > 0) send_now(socket, remote, out.first(static_cast<size_t>(size)));
}

void QuicHost::send_stateless_reset(QuicSocket& socket, const IpEndpoint& remote, const ngtcp2_version_cid& header,
                                    size_t datagram_size) {
  // RFC 9000 10.3.3: always smaller than what caused it, so that two hosts without state fall silent.
  if (datagram_size <= kStatelessResetMin || !may_answer_stateless(socket)) return;
  const size_t random_size = std::min(datagram_size - 1, kStatelessResetSize) - NGTCP2_STATELESS_RESET_TOKENLEN;
  ngtcp2_cid cid{};
  ngtcp2_cid_init(&cid, header.dcid, header.dcidlen);
  std::array<uint8_t, kStatelessResetSize> unpredictable{};
  core_.random.fill(ByteSpan(unpredictable).first(random_size));
  const auto out = out_buffer(core_);
#if NGTCP2_VERSION_NUM >= 0x011600
  ngtcp2_stateless_reset_token token{};
  uint8_t* token_bytes = token.data;
#else
  uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
  uint8_t* token_bytes = token;
#endif
  if (ngtcp2_crypto_generate_stateless_reset_token(token_bytes, core_.reset_secret.data(), core_.reset_secret.size(),
                                                   &cid) != 0) {
    return;
  }
#if NGTCP2_VERSION_NUM >= 0x011600
  const ngtcp2_ssize size =
      ngtcp2_pkt_write_stateless_reset2(out.data(), out.size(), &token, unpredictable.data(), random_size);
#else
  const ngtcp2_ssize size =
      ngtcp2_pkt_write_stateless_reset(out.data(), out.size(), token, unpredictable.data(), random_size);
#endif
  if (size > 0) send_now(socket, remote, out.first(static_cast<size_t>(size)));
}

}  // namespace sereus::net
