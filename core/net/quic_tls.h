// TLS 1.3 for QUIC: tls_context.h with ALPN "libp2p" alone, since QUIC needs no muxer.
#pragma once

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <memory>
#include <optional>

#include "core/net/tls_context.h"

namespace sereus::net {

// Code::internal when wolfSSL refuses the identity.
Result<std::unique_ptr<TlsContext>> make_quic_tls_context(const TlsIdentity& identity);

// One handshake. Stays where it was made: wolfSSL points to it.
class TlsSession {
 public:
  // `context` is one of make_quic_tls_context. `conn` is the variable in which the owner keeps its ngtcp2 connection; it is
  // read during callbacks. For the others see TlsVerifier.
  static Result<std::unique_ptr<TlsSession>> create(const TlsContext& context, bool server, ngtcp2_conn* const* conn,
                                                    const Times* times, bool clock_suspect,
                                                    std::optional<PeerId> expected);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  WOLFSSL* native() const { return ssl_; }
  const PeerId& peer() const { return verifier_.peer(); }
  const Error& certificate_error() const { return verifier_.error(); }
  // Whether "libp2p" was agreed. wolfSSL tolerates a peer that sent no ALPN at all; QUIC does not (RFC 9001 8.1).
  bool alpn_agreed() const { return agreed_alpn(ssl_) == kLibp2pAlpn; }

 private:
  TlsSession(ngtcp2_conn* const* conn, const Times* times, bool clock_suspect, std::optional<PeerId> expected);
  static ngtcp2_conn* get_conn(ngtcp2_crypto_conn_ref* ref);

  WOLFSSL* ssl_ = nullptr;
  ngtcp2_crypto_conn_ref ref_{};
  ngtcp2_conn* const* conn_;
  TlsVerifier verifier_;
};

}  // namespace sereus::net
