// wolfSSL without libp2p's rules, for the side of a handshake that does not keep to them.
#pragma once

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <algorithm>
#include <string>

#include "core/base/bytes.h"
#include "core/net/tls_certificate.h"
#include "core/net/wolfssl_scope.h"

namespace sereus::test {

class RawTls {
 public:
  struct Options {
    bool server = false;
    const net::TlsIdentity* identity = nullptr;  // null: shows no certificate
    std::string alpn = "libp2p";                 // empty: none
    bool tickets = false;
  };
  RawTls(const Options& options, Random& random) : random_(random) {
    const net::WolfsslScope scope(random_, kWallUs);
    ctx_ = wolfSSL_CTX_new(options.server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method());
    if (options.identity != nullptr) {
      const Bytes& certificate = options.identity->chain.at(0);
      const auto& key = options.identity->private_key;
      wolfSSL_CTX_use_certificate_buffer(ctx_, certificate.data(), static_cast<long>(certificate.size()),
                                         SSL_FILETYPE_ASN1);
      wolfSSL_CTX_use_PrivateKey_buffer(ctx_, key.data(), static_cast<long>(key.size()), SSL_FILETYPE_ASN1);
    }
    if (!options.tickets) wolfSSL_CTX_no_ticket_TLSv13(ctx_);
    wolfSSL_CTX_set_session_cache_mode(ctx_, WOLFSSL_SESS_CACHE_OFF);
    ssl_ = wolfSSL_new(ctx_);
    wolfSSL_set_verify(ssl_, options.server ? WOLFSSL_VERIFY_PEER : WOLFSSL_VERIFY_NONE,
                       [](int, WOLFSSL_X509_STORE_CTX*) { return 1; });
    if (!options.alpn.empty()) {
      std::string alpn = options.alpn;
      wolfSSL_UseALPN(ssl_, alpn.data(), static_cast<unsigned>(alpn.size()), WOLFSSL_ALPN_FAILED_ON_MISMATCH);
    }
    wolfSSL_SSLSetIORecv(ssl_, receive);
    wolfSSL_SSLSetIOSend(ssl_, send);
    wolfSSL_SetIOReadCtx(ssl_, this);
    wolfSSL_SetIOWriteCtx(ssl_, this);
    if (options.server) {
      wolfSSL_set_accept_state(ssl_);
    } else {
      wolfSSL_set_connect_state(ssl_);
    }
  }
  ~RawTls() {
    const net::WolfsslScope scope(random_, kWallUs);
    wolfSSL_free(ssl_);
    wolfSSL_CTX_free(ctx_);
  }
  RawTls(const RawTls&) = delete;
  RawTls& operator=(const RawTls&) = delete;

  // Goes on with the handshake; wolfSSL's error.
  int handshake() {
    const net::WolfsslScope scope(random_, kWallUs);
    return wolfSSL_get_error(ssl_, wolfSSL_SSL_do_handshake(ssl_));
  }
  Bytes read() {
    const net::WolfsslScope scope(random_, kWallUs);
    Bytes out(1 << 16);
    const int got = wolfSSL_read(ssl_, out.data(), static_cast<int>(out.size()));
    out.resize(static_cast<size_t>(std::max(got, 0)));
    return out;
  }
  void write(ByteView data) {
    const net::WolfsslScope scope(random_, kWallUs);
    wolfSSL_write(ssl_, data.data(), static_cast<int>(data.size()));
  }
  void update_keys() {
    const net::WolfsslScope scope(random_, kWallUs);
    wolfSSL_update_keys(ssl_);
  }

  Bytes input;   // what the other side sent
  Bytes output;  // for the other side

 private:
  static int receive(WOLFSSL* /*ssl*/, char* buffer, int size, void* user) {
    Bytes& from = static_cast<RawTls*>(user)->input;
    if (from.empty()) return WOLFSSL_CBIO_ERR_WANT_READ;
    const auto count = static_cast<ptrdiff_t>(std::min(static_cast<size_t>(size), from.size()));
    std::copy_n(from.begin(), count, buffer);
    from.erase(from.begin(), from.begin() + count);
    return static_cast<int>(count);
  }
  static int send(WOLFSSL* /*ssl*/, char* buffer, int size, void* user) {
    append(static_cast<RawTls*>(user)->output,
           ByteView(reinterpret_cast<const uint8_t*>(buffer), static_cast<size_t>(size)));
    return size;
  }

  static constexpr int64_t kWallUs = 1'767'225'600'000'000;  // 2026-01-01; wolfSSL takes 0 for a broken clock

  Random& random_;
  WOLFSSL_CTX* ctx_ = nullptr;
  WOLFSSL* ssl_ = nullptr;
};

}  // namespace sereus::test
