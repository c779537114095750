#include "core/net/quic_tls.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <ngtcp2/ngtcp2_crypto_wolfssl.h>
#include <wolfssl/ssl.h>

namespace sereus::net {

Result<std::unique_ptr<TlsContext>> make_quic_tls_context(const TlsIdentity& identity) {
  SEREUS_ASSIGN(auto context, TlsContext::create(identity));
  if (ngtcp2_crypto_wolfssl_configure_client_context(context->client()) != 0 ||
      ngtcp2_crypto_wolfssl_configure_server_context(context->server()) != 0) {
    return fail(Code::internal, "wolfSSL refused the TLS configuration");
  }
  return context;
}

TlsSession::TlsSession(ngtcp2_conn* const* conn, const Times* times, bool clock_suspect, std::optional<PeerId> expected)
    : conn_(conn), verifier_(times, clock_suspect, std::move(expected)) {}

Result<std::unique_ptr<TlsSession>> TlsSession::create(const TlsContext& context, bool server, ngtcp2_conn* const* conn,
                                                       const Times* times, bool clock_suspect,
                                                       std::optional<PeerId> expected) {
  const Error failed = fail(Code::no_memory, "no memory: wolfSSL could not begin a handshake");
  std::unique_ptr<TlsSession> out(new TlsSession(conn, times, clock_suspect, std::move(expected)));
  out->ref_.get_conn = get_conn;
  out->ref_.user_data = out.get();
  out->ssl_ = wolfSSL_new(server ? context.server() : context.client());
  if (out->ssl_ == nullptr) return failed;
  wolfSSL_set_app_data(out->ssl_, &out->ref_);
  out->verifier_.attach(out->ssl_);
  if (!set_alpn(out->ssl_, kLibp2pAlpn)) return failed;
  wolfSSL_set_quic_transport_version(out->ssl_, static_cast<int>(NGTCP2_TLSEXT_QUIC_TRANSPORT_PARAMETERS_V1));
  if (server) {
    wolfSSL_set_accept_state(out->ssl_);
  } else {
    wolfSSL_set_connect_state(out->ssl_);
  }
  return out;
}

TlsSession::~TlsSession() {
  if (ssl_ != nullptr) wolfSSL_free(ssl_);
}

ngtcp2_conn* TlsSession::get_conn(ngtcp2_crypto_conn_ref* ref) {
  return *static_cast<const TlsSession*>(ref->user_data)->conn_;
}

}  // namespace sereus::net
