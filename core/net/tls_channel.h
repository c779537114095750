// TLS 1.3 as the secure channel of a byte stream (libp2p specs, tls): tls_context.h over wolfSSL's records.
//
// Sans-I/O: wolfSSL reads and writes memory. It is given whole records only, each judged by its header first: at most one
// record is held, and until the handshake is done kTlsHandshakeBytesMax in all.
#pragma once

#include <memory>
#include <string>

#include "core/base/time.h"
#include "core/net/allowance.h"
#include "core/net/channel.h"
#include "core/net/tls_context.h"
#include "core/net/wolfssl_memory.h"
#include "core/ports/random.h"

namespace sereus::net {

inline constexpr std::string_view kTlsProtocol = "/tls/1.0.0";

enum class TlsRole : uint8_t { client, server };

struct TlsOptions {
  // Who must answer; anybody when empty. A dialing side that knows it always says so.
  PeerId expected;
  // Offered inside the handshake, most preferred first; a peer that speaks none of them leaves it to multistream-select.
  std::vector<std::string> muxers;
  bool clock_suspect = false;  // the wall clock is known to be wrong: certificate dates are not checked
};

// Stays where it was made: wolfSSL points to it.
class TlsChannel final : public SecureChannel {
 public:
  // `context`, `times` and `random` must outlive the channel; `times` is up to date during its calls. Code::internal when
  // wolfSSL cannot begin.
  static Result<std::unique_ptr<TlsChannel>> create(const TlsContext& context, TlsRole role, const TlsOptions& options,
                                                    const Times* times, Random& random);
  ~TlsChannel() override;
  TlsChannel(const TlsChannel&) = delete;
  TlsChannel& operator=(const TlsChannel&) = delete;

  Status start(Bytes& out) override;
  // After an error the keys are wiped; `out` has the alert that says why.
  // Errors: those of verify_peer_certificate; denied (another peer than expected, no certificate, the peer refused us),
  // unsupported (no protocol in common), too_large (a record or a handshake), bad_signature (a record does not
  // authenticate), busy (too many records without any effect), protocol (anything else that TLS forbids).
  Status feed(ByteView in, Bytes& out, Bytes& plain) override;
  Status seal(ByteView plain, Bytes& out) override;
  void finish(Bytes& out) override;

  State state() const override { return state_; }
  size_t buffered() const override { return pending_.capacity(); }
  const PeerId& peer() const override { return verifier_.peer(); }
  const std::string& muxer() const override { return muxer_; }

 private:
  TlsChannel(TlsRole role, const TlsOptions& options, const Times* times, Random& random);

  Result<size_t> record_size(const uint8_t* header) const;
  Status take(ByteView in, Bytes& plain);
  Status take_record(ByteView record, Bytes& plain);
  Status advance();
  Status on_established();
  Status read_record(Bytes& plain);
  Error wolfssl_error(int code) const;
  Error give_up(const Error& error);

  const TlsRole role_;
  const Times* times_;
  Random* random_;
  TlsVerifier verifier_;
  WolfsslMemory memory_;
  WOLFSSL* ssl_ = nullptr;
  State state_ = State::handshaking;
  std::string muxer_;
  Error error_{Code::ok, {}};

  Bytes pending_;               // of the record that is under way
  size_t handshake_bytes_ = 0;  // received
  Allowance idle_;              // records that carried nothing: KeyUpdates, tickets, empty ones
};

}  // namespace sereus::net
