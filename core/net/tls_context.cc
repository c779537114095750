#include "core/net/tls_context.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>

#include <vector>

#include "core/net/wolfssl_memory.h"

namespace sereus::net {
namespace {

// AES-128-GCM first: with AES instructions it is several times as fast as ChaCha20, which machines without them choose.
constexpr char kCipherSuites[] = "TLS13-AES128-GCM-SHA256:TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES256-GCM-SHA384";

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
  // A resumed session would not prove the peer's key again. And what peers send of such is not kept in wolfSSL's cache, which
  // is the process's.
  wolfSSL_CTX_no_ticket_TLSv13(ctx);
#endif
  wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
  wolfSSL_CertManagerSetUnknownExtCallback(wolfSSL_CTX_GetCertManager(ctx), on_unknown_extension);
  return true;
}

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::create(const TlsIdentity& identity) {
  // wolfSSL does not say why it refuses. What it is given was made here, and it takes it when it can.
  const Error failed = fail(Code::no_memory, "no memory for the TLS configuration");
  if (!wolfssl_ready()) return failed;
  std::unique_ptr<TlsContext> out(new TlsContext());
  out->client_ = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
  out->server_ = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
  if (out->client_ == nullptr || out->server_ == nullptr) return failed;
  if (!configure(out->client_, identity) || !configure(out->server_, identity)) return failed;
  return out;
}

TlsContext::~TlsContext() {
  wolfSSL_CTX_free(client_);
  wolfSSL_CTX_free(server_);
}

void TlsVerifier::attach(WOLFSSL* ssl) {
  wolfSSL_set_verify(ssl, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_certificate);
  wolfSSL_SetCertCbCtx(ssl, this);
}

int TlsVerifier::on_certificate(int /*preverified*/, WOLFSSL_X509_STORE_CTX* store) {
  // wolfSSL's own verdict is always "no signer known": every libp2p certificate is self-signed.
  auto* verifier = static_cast<TlsVerifier*>(store->userCtx);
  std::vector<ByteView> chain;
  chain.reserve(static_cast<size_t>(store->totalCerts));
  for (int i = 0; i < store->totalCerts; ++i) chain.emplace_back(store->certs[i].buffer, store->certs[i].length);
  return verifier->check(chain) ? 1 : 0;
}

bool TlsVerifier::check(std::span<const ByteView> chain) {
  auto verified = verify_peer_certificate(chain, {times_->wall_us, clock_suspect_});
  if (!verified) {
    error_ = verified.error();
    return false;
  }
  if (expected_ && *expected_ != *verified) {
    error_ = fail(Code::denied, "the peer at this address is " + verified->to_string() + ", not the dialed one");
    return false;
  }
  peer_ = std::move(*verified);
  return true;
}

bool set_alpn(WOLFSSL* ssl, std::string_view protocols) {
  std::string text(protocols);  // wolfSSL wants it writable
  return wolfSSL_UseALPN(ssl, text.data(), static_cast<unsigned>(text.size()), WOLFSSL_ALPN_FAILED_ON_MISMATCH) ==
         WOLFSSL_SUCCESS;
}

std::string_view agreed_alpn(WOLFSSL* ssl) {
  char* name = nullptr;
  word16 size = 0;
  if (wolfSSL_ALPN_GetProtocol(ssl, &name, &size) != WOLFSSL_SUCCESS || name == nullptr) return {};
  return {name, size};
}

std::string tls_alert_name(uint64_t alert) {
  switch (alert) {
    case 40:
      return "handshake_failure";
    case 42:
      return "bad_certificate";
    case 43:
      return "unsupported_certificate";
    case 45:
      return "certificate_expired";
    case 46:
      return "certificate_unknown";
    case 47:
      return "illegal_parameter";
    case 48:
      return "unknown_ca";
    case 51:
      return "decrypt_error";
    case 109:
      return "missing_extension";
    case 116:
      return "certificate_required";
    case 120:
      return "no_application_protocol";
    default:
      return "alert " + std::to_string(alert);
  }
}

}  // namespace sereus::net
