#include "core/net/web_tls.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <string>
#include <utility>

#include "core/net/limits.h"
#include "core/net/wolfssl_memory.h"
#include "core/net/wolfssl_scope.h"

namespace sereus::net {
namespace {

// TLS 1.2 for those who have nothing newer, and of it what is as good: ephemeral keys and authenticated encryption.
constexpr char kCipherSuites[] =
    "TLS13-AES128-GCM-SHA256:TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

constexpr std::string_view kPemBegin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kPemEnd = "-----END CERTIFICATE-----";

Result<WebTlsContext> make_context(WOLFSSL_METHOD* method) {
  // All that is asked for here is always the same, and known to be taken.
  const Error failed = fail(Code::no_memory, "no memory for the TLS configuration");
  if (!wolfssl_ready()) return failed;
  const WebTlsContext context(wolfSSL_CTX_new(method), [](WOLFSSL_CTX* ctx) { wolfSSL_CTX_free(ctx); });
  if (context == nullptr || wolfSSL_CTX_SetMinVersion(context.get(), WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS ||
      wolfSSL_CTX_set_cipher_list(context.get(), kCipherSuites) != WOLFSSL_SUCCESS) {
    return failed;
  }
  // P-384 for servers that have their certificate's curve alone.
  int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};
  if (wolfSSL_CTX_set_groups(context.get(), groups, 3) != WOLFSSL_SUCCESS) return failed;
  // Connections live for hours: resuming one saves nothing, and would keep the certificate of before a reload alive.
  wolfSSL_CTX_set_session_cache_mode(context.get(), WOLFSSL_SESS_CACHE_OFF);
#ifdef HAVE_SESSION_TICKET
  wolfSSL_CTX_no_ticket_TLSv13(context.get());
  wolfSSL_CTX_NoTicketTLSv12(context.get());
#endif
  return WebTlsContext(context);
}

Result<Bytes> read_file(Files& files, std::string_view path) {
  SEREUS_ASSIGN(const std::unique_ptr<File> file, files.open(path, OpenMode::read));
  SEREUS_ASSIGN(const uint64_t size, file->size());
  if (size > kWebTlsPemMax) return fail(Code::too_large, std::string(path) + " is too large for a certificate");
  Bytes out(static_cast<size_t>(size));
  SEREUS_ASSIGN(const size_t got, file->read_at(0, out));
  out.resize(got);
  return out;
}

}  // namespace

Status TlsServerCertificate::load(ByteView chain, ByteView key) {
  if (chain.size() > kWebTlsPemMax || key.size() > kWebTlsPemMax) {
    return fail(Code::too_large, "the certificate chain or its key is too large");
  }
  const WolfsslScope scope(random_, 0);
  SEREUS_ASSIGN(WebTlsContext fresh, make_context(wolfSSLv23_server_method()));
  WOLFSSL_CTX* const ctx = fresh.get();
  if (wolfSSL_CTX_use_certificate_chain_buffer(ctx, chain.data(), static_cast<long>(chain.size())) != WOLFSSL_SUCCESS) {
    return fail(Code::malformed, "the certificate chain is not one in PEM");
  }
  // wolfSSL compares the key with the certificate here or in the check behind it, depending on the kind of key.
  if (wolfSSL_CTX_use_PrivateKey_buffer(ctx, key.data(), static_cast<long>(key.size()), SSL_FILETYPE_PEM) !=
      WOLFSSL_SUCCESS) {
    return fail(Code::malformed, "the private key is not one in PEM without a passphrase");
  }
  if (wolfSSL_CTX_check_private_key(ctx) != WOLFSSL_SUCCESS) {
    return fail(Code::invalid, "the private key is not that of the first certificate of the chain");
  }
  wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, nullptr);
  context_ = std::move(fresh);
  return {};
}

Status TlsServerCertificate::load(Files& files, std::string_view chain_path, std::string_view key_path) {
  SEREUS_ASSIGN(const Bytes chain, read_file(files, chain_path));
  SEREUS_ASSIGN(const Bytes key, read_file(files, key_path));
  return load(chain, key);
}

std::shared_ptr<TlsTrust> TlsTrust::in_everyone(Random& random) { return std::make_shared<TlsTrust>(nullptr, random); }

Result<WebTlsContext> TlsTrust::context() {
  if (!std::exchange(tried_, true)) loaded_ = load();
  if (!loaded_.ok()) {
    tried_ = loaded_.code() != Code::no_memory;
    return loaded_.error();
  }
  return WebTlsContext(context_);
}

Status TlsTrust::load() {
  const WolfsslScope scope(random_, 0);
  SEREUS_ASSIGN(WebTlsContext fresh, make_context(wolfSSLv23_client_method()));
  wolfSSL_CTX_set_verify(fresh.get(), verifies() ? WOLFSSL_VERIFY_PEER : WOLFSSL_VERIFY_NONE, nullptr);
  if (verifies()) {
    SEREUS_ASSIGN(const Bytes bundle, anchors_());
    if (bundle.size() > kWebTlsBundleMax) return fail(Code::too_large, "the trusted certificates are too large");
    // One by one: a system's bundle may have some of a kind that wolfSSL does not take, and they must not cost the others.
    std::string_view rest = as_text(bundle);
    size_t loaded = 0;
    for (;;) {
      const size_t begin = rest.find(kPemBegin);
      const size_t end = rest.find(kPemEnd, begin);
      if (begin == std::string_view::npos || end == std::string_view::npos) break;
      const ByteView one = as_bytes(rest.substr(begin, end + kPemEnd.size() - begin));
      loaded +=
          wolfSSL_CTX_load_verify_buffer_ex(fresh.get(), one.data(), static_cast<long>(one.size()), SSL_FILETYPE_PEM, 0,
                                            WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY) == WOLFSSL_SUCCESS
              ? 1
              : 0;
      rest.remove_prefix(end + kPemEnd.size());
    }
    if (loaded == 0) return fail(Code::malformed, "there is no usable certificate among the trusted ones");
  }
  context_ = std::move(fresh);
  return {};
}

}  // namespace sereus::net
