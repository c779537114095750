#include "core/net/quic_tls.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <ngtcp2/ngtcp2_crypto_wolfssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>

#include <algorithm>
#include <array>

namespace sereus::net {
namespace {

constexpr char kAlpn[] = "libp2p";
constexpr unsigned kAlpnSize = sizeof(kAlpn) - 1;

// AES-128-GCM first: with AES instructions it is several times as fast as ChaCha20, which machines without them choose.
constexpr char kCipherSuites[] = "TLS13-AES128-GCM-SHA256:TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES256-GCM-SHA384";

// Process-wide tables of wolfSSL; reference counted inside and never released.
bool wolfssl_ready() {
  static const bool ready = wolfSSL_Init() == WOLFSSL_SUCCESS;
  return ready;
}

// wolfSSL refuses critical extensions it does not know. It may pass them: verify_peer_certificate looks at all of them.
int on_unknown_extension(const word16* /*oid*/, word32 /*size*/, int /*critical*/, const unsigned char* /*der*/,
                         word32 /*der_size*/) {
  return 0;
}

bool configure(WOLFSSL_CTX* ctx, const TlsIdentity& identity) {
  Bytes chain;
  for (const Bytes& certificate : identity.chain) append(chain, certificate);
  // The leaf alone goes through the plain loader, which takes any DER; a longer chain exists in tests only.
  const bool single = identity.chain.size() == 1;
  const int loaded =
      single ? wolfSSL_CTX_use_certificate_buffer(ctx, chain.data(), static_cast<long>(chain.size()), SSL_FILETYPE_ASN1)
             : wolfSSL_CTX_use_certificate_chain_buffer_format(ctx, chain.data(), static_cast<long>(chain.size()),
                                                               SSL_FILETYPE_ASN1);
  if (loaded != WOLFSSL_SUCCESS) return false;
  if (wolfSSL_CTX_use_PrivateKey_buffer(ctx, identity.private_key.data(),
                                        static_cast<long>(identity.private_key.size()),
                                        SSL_FILETYPE_ASN1) != WOLFSSL_SUCCESS) {
    return false;
  }
  if (wolfSSL_CTX_set_cipher_list(ctx, kCipherSuites) != WOLFSSL_SUCCESS) return false;
  // X25519 for speed, P-256 for peers without it. No hybrid with ML-KEM yet: its key share makes the first flight two
  // datagrams, and no libp2p implementation asks for it.
  int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1};
  if (wolfSSL_CTX_set_groups(ctx, groups, 2) != WOLFSSL_SUCCESS) return false;
#ifdef HAVE_SESSION_TICKET
  // A resumed session would not prove the peer's key again.
  wolfSSL_CTX_no_ticket_TLSv13(ctx);
#endif
  wolfSSL_CertManagerSetUnknownExtCallback(wolfSSL_CTX_GetCertManager(ctx), on_unknown_extension);
  return true;
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::create(const TlsIdentity& identity) {
  const Error failed = fail(Code::internal, "wolfSSL refused the TLS configuration");
  if (!wolfssl_ready()) return failed;
  std::unique_ptr<TlsContext> out(new TlsContext());
  out->client_ = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
  out->server_ = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
  if (out->client_ == nullptr || out->server_ == nullptr) return failed;
  if (ngtcp2_crypto_wolfssl_configure_client_context(out->client_) != 0 ||
      ngtcp2_crypto_wolfssl_configure_server_context(out->server_) != 0) {
    return failed;
  }
  if (!configure(out->client_, identity) || !configure(out->server_, identity)) return failed;
  return out;
}

TlsContext::~TlsContext() {
  wolfSSL_CTX_free(client_);
  wolfSSL_CTX_free(server_);
}

Result<std::unique_ptr<TlsSession>> TlsSession::create(const TlsContext& context, bool server, ngtcp2_conn* const* conn,
                                                       const Times* times, bool clock_suspect,
                                                       std::optional<PeerId> expected) {
  const Error failed = fail(Code::internal, "wolfSSL could not begin a handshake");
  std::unique_ptr<TlsSession> out(new TlsSession());
  out->conn_ = conn;
  out->times_ = times;
  out->clock_suspect_ = clock_suspect;
  out->expected_ = std::move(expected);
  out->ref_.get_conn = get_conn;
  out->ref_.user_data = out.get();
  out->ssl_ = wolfSSL_new(server ? context.server() : context.client());
  if (out->ssl_ == nullptr) return failed;
  wolfSSL_set_app_data(out->ssl_, &out->ref_);
  wolfSSL_set_verify(out->ssl_, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_certificate);
  wolfSSL_SetCertCbCtx(out->ssl_, out.get());
  std::array<char, sizeof(kAlpn)> alpn{};
  std::copy(std::begin(kAlpn), std::end(kAlpn), alpn.begin());
  if (wolfSSL_UseALPN(out->ssl_, alpn.data(), kAlpnSize, WOLFSSL_ALPN_FAILED_ON_MISMATCH) != WOLFSSL_SUCCESS) {
    return failed;
  }
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

bool TlsSession::alpn_agreed() const {
  char* name = nullptr;
  word16 size = 0;
  if (wolfSSL_ALPN_GetProtocol(ssl_, &name, &size) != WOLFSSL_SUCCESS || name == nullptr) return false;
  return std::string_view(name, size) == std::string_view(kAlpn, kAlpnSize);
}

ngtcp2_conn* TlsSession::get_conn(ngtcp2_crypto_conn_ref* ref) {
  return *static_cast<const TlsSession*>(ref->user_data)->conn_;
}

int TlsSession::on_certificate(int /*preverified*/, WOLFSSL_X509_STORE_CTX* store) {
  // wolfSSL's own verdict is always "no signer known": every libp2p certificate is self-signed.
  auto* session = static_cast<TlsSession*>(store->userCtx);
  std::vector<ByteView> chain;
  chain.reserve(static_cast<size_t>(store->totalCerts));
  for (int i = 0; i < store->totalCerts; ++i) chain.emplace_back(store->certs[i].buffer, store->certs[i].length);
  return session->check(chain) ? 1 : 0;
}

bool TlsSession::check(std::span<const ByteView> chain) {
  auto verified = verify_peer_certificate(chain, {times_->wall_us, clock_suspect_});
  if (!verified) {
    certificate_error_ = verified.error();
    return false;
  }
  if (expected_ && *expected_ != *verified) {
    certificate_error_ =
        fail(Code::denied, "the peer at this address is " + verified->to_string() + ", not the dialed one");
    return false;
  }
  peer_ = std::move(*verified);
  return true;
}

}  // namespace sereus::net
