#include "core/net/web_tls_channel.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/version.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/net/limits.h"
#include "core/net/wolfssl_scope.h"

namespace sereus::net {
namespace {

constexpr size_t kPlainMax = 1 << 14;  // RFC 8446 section 5.1
constexpr size_t kRecordExtra = 64;    // header, tag and what TLS 1.2 adds
constexpr char kAlpn[] = "http/1.1";   // RFC 7301; WebSocket over HTTP/2 is not spoken

}  // namespace

WebTlsChannel::WebTlsChannel(bool is_client, WebTlsContext context, Random& random, const Times& now)
    : client_(is_client),
      context_(std::move(context)),
      random_(random),
      now_(now),
      answers_(kWebTlsAnswersBurst, kWebTlsAnswersPerSecond, now.mono_us) {}

Result<std::unique_ptr<WebTlsChannel>> WebTlsChannel::server(WebTlsContext context, Random& random, const Times& now) {
  const WolfsslScope scope(random, now.wall_us);
  std::unique_ptr<WebTlsChannel> out(new WebTlsChannel(false, std::move(context), random, now));
  if (!out->begin()) return fail(Code::no_memory, "no memory: wolfSSL could not begin a handshake");
  return out;
}

Result<std::unique_ptr<WebTlsChannel>> WebTlsChannel::client(WebTlsContext context, Verify verify,
                                                             const TcpAddress& address, Random& random,
                                                             const Times& now) {
  const WolfsslScope scope(random, now.wall_us);
  std::unique_ptr<WebTlsChannel> out(new WebTlsChannel(true, std::move(context), random, now));
  if (!out->begin()) return fail(Code::no_memory, "no memory: wolfSSL could not begin a handshake");
  const std::string& name = address.name;
  if (!name.empty() && wolfSSL_UseSNI(out->ssl_, WOLFSSL_SNI_HOST_NAME, name.data(),
                                      static_cast<unsigned short>(name.size())) != WOLFSSL_SUCCESS) {
    return fail(Code::invalid, "the server's name is none that TLS can ask for");
  }
  if (verify == Verify::nothing) return out;
  if (!out->expect(address)) return fail(Code::invalid, "no certificate can be for the server's name");
  if (verify == Verify::all_but_dates) wolfSSL_set_verify(out->ssl_, WOLFSSL_VERIFY_PEER, on_certificate);
  return out;
}

WebTlsChannel::~WebTlsChannel() {
  if (ssl_ == nullptr) return;
  const WolfsslScope scope(random_, now_.wall_us);
  wolfSSL_free(ssl_);
}

bool WebTlsChannel::begin() {
  ssl_ = wolfSSL_new(context_.get());
  if (ssl_ == nullptr) return false;
  memory_.attach(ssl_);
  // Who offers something else is served all the same: the HTTP that follows decides.
  std::array<char, sizeof(kAlpn)> alpn{};
  std::copy(std::begin(kAlpn), std::end(kAlpn), alpn.begin());
  return wolfSSL_UseALPN(ssl_, alpn.data(), sizeof(kAlpn) - 1, WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) == WOLFSSL_SUCCESS;
}

bool WebTlsChannel::expect(const TcpAddress& address) {
  if (!address.name.empty()) return wolfSSL_check_domain_name(ssl_, address.name.c_str()) == WOLFSSL_SUCCESS;
  const std::string ip = ip_to_string(address.endpoint);
#if LIBWOLFSSL_VERSION_HEX >= 0x05009000
  return wolfSSL_check_ip_address(ssl_, ip.c_str()) == WOLFSSL_SUCCESS;
#else
  return wolfSSL_check_domain_name(ssl_, ip.c_str()) == WOLFSSL_SUCCESS;  // compares with addresses, too
#endif
}

// A wrong name weighs more than a date: wolfSSL tells of it when both are wrong.
int WebTlsChannel::on_certificate(int preverified, WOLFSSL_X509_STORE_CTX* store) {
  return preverified != 0 || store->error == ASN_BEFORE_DATE_E || store->error == ASN_AFTER_DATE_E ? 1 : 0;
}

Status WebTlsChannel::start(Bytes& out) {
  if (!client_) return {};
  return feed({}, out, out);
}

Status WebTlsChannel::feed(ByteView in, Bytes& out, Bytes& plain) {
  if (state_ == State::failed) return error_;
  const WolfsslScope scope(random_, now_.wall_us);
  const WolfsslMemory::Output output(memory_, out);
  const Status taken = take(in, out, plain);
  if (!taken.ok()) return give_up(taken.error());
  return {};
}

Error WebTlsChannel::give_up(const Error& error) {
  state_ = State::failed;
  error_ = error;
  memory_.end_output();
  wolfSSL_free(ssl_);
  ssl_ = nullptr;
  return error;
}

Status WebTlsChannel::take(ByteView in, Bytes& out, Bytes& plain) {
  if (state_ == State::handshaking) SEREUS_TRY(handshake(in));
  if (state_ == State::established && !in.empty()) return read(in, out, plain);
  return {};
}

// wolfSSL asks for one record at a time, so that what is behind the handshake stays in `in`.
Status WebTlsChannel::handshake(ByteView& in) {
  const size_t room = std::min(in.size(), kWebTlsHandshakeMax - handshake_bytes_);
  memory_.input = in.first(room);
  const int done = client_ ? wolfSSL_connect(ssl_) : wolfSSL_accept(ssl_);
  const size_t used = room - memory_.input.size();
  in = in.subspan(used);
  handshake_bytes_ += used;
  if (done == WOLFSSL_SUCCESS) {
    state_ = State::established;
    return {};
  }
  const int error = wolfSSL_get_error(ssl_, done);
  if (error != WOLFSSL_ERROR_WANT_READ) return wolfssl_error(error);
  if (handshake_bytes_ == kWebTlsHandshakeMax) return fail(Code::too_large, "TLS: the handshake is too long");
  return {};
}

Status WebTlsChannel::read(ByteView in, const Bytes& out, Bytes& plain) {
  memory_.input = in;
  for (;;) {
    const size_t at = plain.size();
    const size_t sent = out.size();
    plain.resize(at + kPlainMax);
    const int got = wolfSSL_read(ssl_, plain.data() + at, static_cast<int>(kPlainMax));
    plain.resize(at + static_cast<size_t>(std::max(got, 0)));
    // An answer costs the peer 22 bytes and us new keys.
    if (out.size() > sent && !answers_.take(now_.mono_us)) {
      return fail(Code::protocol, "TLS: too many records that ask for an answer");
    }
    if (got > 0) continue;
    const int error = wolfSSL_get_error(ssl_, got);
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
      state_ = State::ended;
      return {};
    }
    if (error != WOLFSSL_ERROR_WANT_READ) return wolfssl_error(error);
    return {};
  }
}

Error WebTlsChannel::wolfssl_error(int code) const {
  switch (code) {
    case ASN_NO_SIGNER_E:
    case ASN_SELF_SIGNED_E:
      return fail(Code::denied, "TLS: the server's certificate is of nobody who is trusted here");
    case DOMAIN_NAME_MISMATCH:
    case IPADDR_MISMATCH:
      return fail(Code::denied, "TLS: the server's certificate is for another name");
    case ASN_BEFORE_DATE_E:
    case ASN_AFTER_DATE_E:
      return fail(Code::expired, "TLS: the server's certificate is past its date, or not yet good");
    case FATAL_ERROR: {
      WOLFSSL_ALERT_HISTORY alerts{};
      (void)wolfSSL_get_alert_history(ssl_, &alerts);
      return fail(Code::denied, "TLS: the other side refused with alert " + std::to_string(alerts.last_rx.code));
    }
    default:
      return wolfssl_record_error(code);
  }
}

Status WebTlsChannel::seal(ByteView plain, Bytes& out) {
  if (state_ == State::failed) return error_;
  if (state_ == State::handshaking) return fail(Code::again, "TLS: the handshake is not finished");
  // The peer's close_notify ends its direction only (RFC 8446 section 6.1): WebSocket may still answer its close frame.
  if (finished_) return fail(Code::closed, "TLS: closed");
  const WolfsslScope scope(random_, now_.wall_us);
  out.reserve(out.size() + plain.size() + (plain.size() / kPlainMax + 1) * kRecordExtra);
  const WolfsslMemory::Output output(memory_, out);
  if (const int error = memory_.write(ssl_, plain); error != 0) return give_up(wolfssl_error(error));
  return {};
}

void WebTlsChannel::finish(Bytes& out) {
  if (finished_ || (state_ != State::established && state_ != State::ended)) return;
  finished_ = true;
  const WolfsslScope scope(random_, now_.wall_us);
  const WolfsslMemory::Output output(memory_, out);
  (void)wolfSSL_shutdown(ssl_);
}

}  // namespace sereus::net
