// TLS 1.2 or 1.3 of the web as a stage of a byte-stream connection, below WebSocket (web_tls.h).
//
// Sans-I/O: wolfSSL reads and writes memory. Held are one record, and a handshake of at most kWebTlsHandshakeMax bytes.
#pragma once

#include <memory>
#include <string>

#include "core/base/time.h"
#include "core/net/allowance.h"
#include "core/net/channel.h"
#include "core/net/tcp_address.h"
#include "core/net/web_tls.h"
#include "core/net/wolfssl_memory.h"
#include "core/ports/random.h"

struct WOLFSSL;
struct WOLFSSL_X509_STORE_CTX;

namespace sereus::net {

// Stays where it was made: wolfSSL points to it.
class WebTlsChannel final : public Channel {
 public:
  // `random` and `now` outlive the channel. Code::internal when wolfSSL cannot begin.
  static Result<std::unique_ptr<WebTlsChannel>> server(WebTlsContext context, Random& random, const Times& now);
  // What a server has to show a certificate for: address.name, or the IP address when that is empty.
  enum class Verify : uint8_t { nothing, all_but_dates, all };
  static Result<std::unique_ptr<WebTlsChannel>> client(WebTlsContext context, Verify verify, const TcpAddress& address,
                                                       Random& random, const Times& now);
  ~WebTlsChannel() override;
  WebTlsChannel(const WebTlsChannel&) = delete;
  WebTlsChannel& operator=(const WebTlsChannel&) = delete;

  Status start(Bytes& out) override;
  // After an error the keys are gone; `out` has the alert that says why. Errors: denied (a certificate of nobody trusted, or
  // of another name; an alert of the peer), expired (a certificate), too_large (the handshake), bad_signature (a record that
  // does not authenticate), protocol (anything else).
  Status feed(ByteView in, Bytes& out, Bytes& plain) override;
  Status seal(ByteView plain, Bytes& out) override;
  void finish(Bytes& out) override;
  State state() const override { return state_; }

 private:
  WebTlsChannel(bool is_client, WebTlsContext context, Random& random, const Times& now);

  static int on_certificate(int preverified, WOLFSSL_X509_STORE_CTX* store);

  bool begin();
  bool expect(const TcpAddress& address);
  Status take(ByteView in, Bytes& out, Bytes& plain);
  Status handshake(ByteView& in);
  Status read(ByteView in, const Bytes& out, Bytes& plain);
  Error wolfssl_error(int code) const;
  Error give_up(const Error& error);

  const bool client_;
  const WebTlsContext context_;  // keeps what the connection began with
  Random& random_;
  const Times& now_;
  WolfsslMemory memory_;
  WOLFSSL* ssl_ = nullptr;
  State state_ = State::handshaking;
  bool finished_ = false;       // our close_notify was sent
  size_t handshake_bytes_ = 0;  // received
  Allowance answers_;           // to what carries nothing: KeyUpdates that ask for one
  Error error_;
};

}  // namespace sereus::net
