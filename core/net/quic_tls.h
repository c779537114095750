// TLS 1.3 for QUIC with libp2p's rules: both sides present the certificate of tls_certificate.h, ALPN "libp2p", no server
// name (libp2p specs, tls and quic). wolfSSL runs the handshake; who the peer is, is decided by verify_peer_certificate.
#pragma once

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <memory>
#include <optional>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/net/peer_id.h"
#include "core/net/tls_certificate.h"

struct WOLFSSL;
struct WOLFSSL_CTX;
struct WOLFSSL_X509_STORE_CTX;

namespace sereus::net {

// One per host: the certificate and the settings of both roles.
class TlsContext {
 public:
  // Code::internal when wolfSSL refuses the identity.
  static Result<std::unique_ptr<TlsContext>> create(const TlsIdentity& identity);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  WOLFSSL_CTX* client() const { return client_; }
  WOLFSSL_CTX* server() const { return server_; }

 private:
  TlsContext() = default;
  WOLFSSL_CTX* client_ = nullptr;
  WOLFSSL_CTX* server_ = nullptr;
};

// One handshake. Stays where it was made: wolfSSL points to it.
class TlsSession {
 public:
  // `conn` is the variable in which the owner keeps its ngtcp2 connection; it is read during callbacks. `expected` is the
  // peer that was dialed. `times` must outlive the session and be up to date whenever packets are read.
  static Result<std::unique_ptr<TlsSession>> create(const TlsContext& context, bool server, ngtcp2_conn* const* conn,
                                                    const Times* times, bool clock_suspect,
                                                    std::optional<PeerId> expected);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  WOLFSSL* native() const { return ssl_; }
  // Who the peer proved to be; empty before.
  const PeerId& peer() const { return peer_; }
  // Why the certificate was refused; Code::ok when it was not, or not yet seen.
  const Error& certificate_error() const { return certificate_error_; }
  // Whether "libp2p" was agreed. wolfSSL tolerates a peer that sent no ALPN at all; QUIC does not (RFC 9001 8.1).
  bool alpn_agreed() const;

 private:
  TlsSession() = default;
  static ngtcp2_conn* get_conn(ngtcp2_crypto_conn_ref* ref);
  static int on_certificate(int preverified, WOLFSSL_X509_STORE_CTX* store);
  bool check(std::span<const ByteView> chain);

  WOLFSSL* ssl_ = nullptr;
  ngtcp2_crypto_conn_ref ref_{};
  ngtcp2_conn* const* conn_ = nullptr;
  const Times* times_ = nullptr;
  bool clock_suspect_ = false;
  std::optional<PeerId> expected_;
  PeerId peer_;
  Error certificate_error_{Code::ok, {}};
};

}  // namespace sereus::net
