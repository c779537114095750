// TLS 1.3 with libp2p's rules, as far as QUIC (quic_tls.h) and byte streams (tls_channel.h) share it: both sides present the
// certificate of tls_certificate.h, no server name, no resumption (libp2p specs, tls). wolfSSL runs the handshake; who the
// peer is, is decided by verify_peer_certificate. Every call happens inside a WolfsslScope.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/net/peer_id.h"
#include "core/net/tls_certificate.h"

struct WOLFSSL;
struct WOLFSSL_CTX;
struct WOLFSSL_X509_STORE_CTX;

namespace sereus::net {

// The ALPN of every libp2p endpoint; over byte streams muxers may come before it (libp2p specs, inlined-muxer-negotiation).
inline constexpr std::string_view kLibp2pAlpn = "libp2p";

// One per host: the certificate and the settings of both roles.
class TlsContext {
 public:
  // Code::no_memory when wolfSSL refuses: the identity is one of make_tls_identity().
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

// Judges the peer's certificate in one handshake. Stays where it was made: wolfSSL points to it.
class TlsVerifier {
 public:
  // `times` must outlive the handshake and be up to date whenever bytes are read. `expected` is the peer that was dialed.
  TlsVerifier(const Times* times, bool clock_suspect, std::optional<PeerId> expected)
      : times_(times), clock_suspect_(clock_suspect), expected_(std::move(expected)) {}
  TlsVerifier(const TlsVerifier&) = delete;
  TlsVerifier& operator=(const TlsVerifier&) = delete;

  // Asks the peer for a certificate, and is asked about it.
  void attach(WOLFSSL* ssl);

  // Who the peer proved to be; empty before.
  const PeerId& peer() const { return peer_; }
  // Why the certificate was refused; Code::ok when it was not, or not yet seen.
  const Error& error() const { return error_; }

 private:
  static int on_certificate(int preverified, WOLFSSL_X509_STORE_CTX* store);
  bool check(std::span<const ByteView> chain);

  const Times* times_;
  bool clock_suspect_;
  std::optional<PeerId> expected_;
  PeerId peer_;
  Error error_{Code::ok, {}};
};

// `protocols` with commas between, the most preferred first. A peer with none of them is refused. False: no memory.
bool set_alpn(WOLFSSL* ssl, std::string_view protocols);
// What was agreed on. Empty: nothing, which wolfSSL tolerates of a peer that sent no ALPN at all.
std::string_view agreed_alpn(WOLFSSL* ssl);

// RFC 8446 section 6.
std::string tls_alert_name(uint64_t alert);

}  // namespace sereus::net
