#include "core/net/tls_channel.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include <algorithm>
#include <array>

#include "core/base/assert.h"
#include "core/net/limits.h"
#include "core/net/wolfssl_scope.h"

namespace sereus::net {
namespace {

// RFC 8446 section 5.1 and 5.2.
constexpr size_t kHeaderSize = 5;
constexpr size_t kPlainMax = 1 << 14;
constexpr size_t kPlainLengthMax = kPlainMax;
constexpr size_t kSealedLengthMax = kPlainMax + 256;
constexpr size_t kSealedLengthMin = 16 + 1;  // tag and inner type
constexpr size_t kSealedExtra = kHeaderSize + kSealedLengthMin;
constexpr uint8_t kChangeCipherSpec = 20;
constexpr uint8_t kApplicationData = 23;

constexpr int kAlertNoApplicationProtocol = 120;

std::string alpn_of(const TlsOptions& options) {
  std::string out;
  for (const std::string& muxer : options.muxers) out += muxer + ",";
  return out += kLibp2pAlpn;
}

std::optional<PeerId> expected_of(const TlsOptions& options) {
  if (options.expected.empty()) return std::nullopt;
  return options.expected;
}

}  // namespace

TlsChannel::TlsChannel(TlsRole role, const TlsOptions& options, const Times* times, Random& random)
    : role_(role),
      times_(times),
      random_(&random),
      verifier_(times, options.clock_suspect, expected_of(options)),
      idle_(kTlsIdleBurst, kTlsIdlePerSecond, times->mono_us) {}

Result<std::unique_ptr<TlsChannel>> TlsChannel::create(const TlsContext& context, TlsRole role,
                                                       const TlsOptions& options, const Times* times, Random& random) {
  const WolfsslScope scope(random, times->wall_us);
  std::unique_ptr<TlsChannel> out(new TlsChannel(role, options, times, random));
  out->ssl_ = wolfSSL_new(role == TlsRole::server ? context.server() : context.client());
  if (out->ssl_ == nullptr || !set_alpn(out->ssl_, alpn_of(options))) {
    return fail(Code::no_memory, "no memory: wolfSSL could not begin a handshake");
  }
  out->verifier_.attach(out->ssl_);
  out->memory_.attach(out->ssl_);
  return out;
}

TlsChannel::~TlsChannel() {
  if (ssl_ == nullptr) return;
  const WolfsslScope scope(*random_, times_->wall_us);
  wolfSSL_free(ssl_);
}

Status TlsChannel::start(Bytes& out) {
  if (role_ == TlsRole::server) return {};
  const WolfsslScope scope(*random_, times_->wall_us);
  const WolfsslMemory::Output output(memory_, out);
  const Status sent = advance();
  if (!sent.ok()) return give_up(sent.error());
  return {};
}

Error TlsChannel::give_up(const Error& error) {
  state_ = State::failed;
  error_ = error;
  memory_.end_output();
  wolfSSL_free(ssl_);
  ssl_ = nullptr;
  pending_ = Bytes();
  return error;
}

Status TlsChannel::feed(ByteView in, Bytes& out, Bytes& plain) {
  if (state_ == State::failed) return error_;
  const WolfsslScope scope(*random_, times_->wall_us);
  const WolfsslMemory::Output output(memory_, out);
  const Status taken = take(in, plain);
  if (!taken.ok()) return give_up(taken.error());
  return {};
}

// Header and body together, judged as soon as the header is there, so that nobody can make us hold more than a record.
Result<size_t> TlsChannel::record_size(const uint8_t* header) const {
  const uint8_t type = header[0];
  const size_t length = load_be<uint16_t>(header + 3);
  if (type < kChangeCipherSpec || type > kApplicationData || header[1] != 3) {
    return fail(Code::protocol, "TLS: not a record");
  }
  if (type != kApplicationData && state_ == State::established) {
    return fail(Code::protocol, "TLS: a record in the clear after the handshake");
  }
  if (length > (type == kApplicationData ? kSealedLengthMax : kPlainLengthMax)) {
    return fail(Code::too_large, "TLS: a record is too long");
  }
  // A handshake in fragments of nothing would cost a peer nothing (RFC 8446 5.1 forbids it).
  if (length == 0 || (type == kApplicationData && length < kSealedLengthMin)) {
    return fail(Code::malformed, "TLS: a record is too short");
  }
  return kHeaderSize + length;
}

Status TlsChannel::take(ByteView in, Bytes& plain) {
  while (!in.empty() && state_ != State::ended) {
    if (pending_.empty() && in.size() >= kHeaderSize) {
      // The common case: the whole record is in `in`, and is read from there.
      SEREUS_ASSIGN(const size_t size, record_size(in.data()));
      if (in.size() >= size) {
        SEREUS_TRY(take_record(in.first(size), plain));
        in = in.subspan(size);
        continue;
      }
    }
    size_t wanted = kHeaderSize;
    if (pending_.size() >= kHeaderSize) {
      SEREUS_ASSIGN(wanted, record_size(pending_.data()));
    }
    const size_t count = std::min(wanted - pending_.size(), in.size());
    append(pending_, in.first(count));
    in = in.subspan(count);
    if (pending_.size() < kHeaderSize) break;
    SEREUS_ASSIGN(wanted, record_size(pending_.data()));
    if (pending_.size() < wanted) continue;
    const Bytes record = std::exchange(pending_, Bytes());
    SEREUS_TRY(take_record(record, plain));
  }
  return {};
}

Status TlsChannel::take_record(ByteView record, Bytes& plain) {
  memory_.input = record;
  if (state_ != State::handshaking) return read_record(plain);
  handshake_bytes_ += record.size();
  if (handshake_bytes_ > kTlsHandshakeBytesMax) return fail(Code::too_large, "TLS: the handshake is too long");
  return advance();
}

// Goes on with the handshake.
Status TlsChannel::advance() {
  const int done = role_ == TlsRole::server ? wolfSSL_accept(ssl_) : wolfSSL_connect(ssl_);
  if (done == WOLFSSL_SUCCESS) return on_established();
  const int error = wolfSSL_get_error(ssl_, done);
  if (error != WOLFSSL_ERROR_WANT_READ) return wolfssl_error(error);
  return {};
}

Status TlsChannel::on_established() {
  const std::string_view alpn = agreed_alpn(ssl_);
  if (alpn.empty()) return fail(Code::unsupported, "TLS: the peer does not speak libp2p");
  if (verifier_.peer().empty()) return fail(Code::denied, "TLS: the peer presented no certificate");
  if (alpn != kLibp2pAlpn) muxer_ = alpn;
  state_ = State::established;
  if (!memory_.input.empty()) return fail(Code::protocol, "TLS: bytes behind the handshake's last message");
  return {};
}

Status TlsChannel::read_record(Bytes& plain) {
  const size_t before = plain.size();
  for (;;) {
    const size_t at = plain.size();
    plain.resize(at + kPlainMax);
    const int got = wolfSSL_read(ssl_, plain.data() + at, static_cast<int>(kPlainMax));
    plain.resize(at + static_cast<size_t>(std::max(got, 0)));
    if (got > 0 && memory_.input.empty() && wolfSSL_pending(ssl_) == 0) return {};
    if (got > 0) continue;
    const int error = wolfSSL_get_error(ssl_, got);
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
      state_ = State::ended;
      return {};
    }
    if (error != WOLFSSL_ERROR_WANT_READ) return wolfssl_error(error);
    break;
  }
  // Every one costs us new keys, and an answer when it asks for it, which is held until the peer takes it.
  if (plain.size() == before && !idle_.take(times_->mono_us)) {
    return fail(Code::busy, "TLS: too many records without any effect");
  }
  return {};
}

Error TlsChannel::wolfssl_error(int code) const {
  if (verifier_.error().code != Code::ok) return verifier_.error();
  WOLFSSL_ALERT_HISTORY alerts{};
  (void)wolfSSL_get_alert_history(ssl_, &alerts);
  switch (code) {
    case FATAL_ERROR:  // an alert of the peer
      if (alerts.last_rx.code == kAlertNoApplicationProtocol) {
        return fail(Code::unsupported, "TLS: the peer does not speak libp2p");
      }
      return fail(Code::denied, "TLS: the peer refused the connection: " +
                                    tls_alert_name(static_cast<uint64_t>(std::max(alerts.last_rx.code, 0))));
    case UNKNOWN_ALPN_PROTOCOL_NAME_E:
      return fail(Code::unsupported, "TLS: the peer does not speak libp2p");
    case NO_PEER_CERT:
      return fail(Code::denied, "TLS: the peer presented no certificate");
    default:
      return wolfssl_record_error(code);
  }
}

Status TlsChannel::seal(ByteView plain, Bytes& out) {
  if (state_ == State::failed) return error_;
  if (state_ == State::handshaking) return fail(Code::again, "TLS: the handshake is not finished");
  const WolfsslScope scope(*random_, times_->wall_us);
  out.reserve(out.size() + plain.size() + (plain.size() / kPlainMax + 1) * kSealedExtra);
  const WolfsslMemory::Output output(memory_, out);
  if (const int error = memory_.write(ssl_, plain); error != 0) return give_up(wolfssl_error(error));
  return {};
}

void TlsChannel::finish(Bytes& out) {
  if (state_ != State::established && state_ != State::ended) return;
  const WolfsslScope scope(*random_, times_->wall_us);
  const WolfsslMemory::Output output(memory_, out);
  (void)wolfSSL_shutdown(ssl_);
}

}  // namespace sereus::net
