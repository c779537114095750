// The Noise secure channel of libp2p (libp2p specs, noise): Noise_XX_25519_ChaChaPoly_SHA256 in frames of a 16-bit
// big-endian length, with the host key's proof in the handshake. docs/formats/transport.md.
//
// Sans-I/O: received bytes go in by feed(), bytes to send come out. At most one frame is held. How long a handshake may
// take is the owner's to say (kNegotiationTimeoutUs).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/crypto/sign.h"
#include "core/crypto/x25519.h"
#include "core/net/channel.h"
#include "core/net/noise_handshake.h"
#include "core/net/noise_payload.h"
#include "core/net/peer_id.h"
#include "core/ports/random.h"

namespace sereus::net {

inline constexpr std::string_view kNoiseProtocol = "/noise";

// What a host shows in every Noise handshake. One static key for the life of the process, as the specification allows:
// it is signed once.
struct NoiseIdentity {
  crypto::X25519Pair static_pair;
  Bytes identity_key;  // protobuf of the host key
  Signature identity_sig;
};
NoiseIdentity make_noise_identity(const crypto::KeyPair& device, Random& random);

struct NoiseOptions {
  // Who must answer; anybody when empty. A dialing side that knows it always says so.
  PeerId expected;
  // Offered inside the handshake, most preferred first. Empty: the muxer is left to multistream-select.
  std::vector<std::string> muxers;
};

class NoiseChannel final : public SecureChannel {
 public:
  // `identity` must outlive the handshake; `random` is used here only.
  NoiseChannel(NoiseRole role, const NoiseIdentity& identity, NoiseOptions options, Random& random);

  Status start(Bytes& out) override;

  // Takes received bytes, all of them. Answers of the handshake are appended to `out`, decrypted bytes to `plain`; `plain`
  // grows by no more than was fed and held. After an error the channel is over and its keys are wiped; the same error comes
  // back from then on.
  // Errors: malformed, too_large, bad_signature (does not authenticate, or a forged identity), denied (another peer than
  // expected), protocol (key of small order), unsupported (key type, no muxer in common), closed (nonces used up).
  Status feed(ByteView in, Bytes& out, Bytes& plain) override;

  // Encrypts, in frames as large as they may be, and appends to `out`. Code::again before the channel is established.
  Status seal(ByteView plaintext, Bytes& out) override;

  State state() const override { return state_; }
  size_t buffered() const override { return pending_.capacity(); }
  // Proved by the handshake. Precondition of these: established.
  const PeerId& peer() const override { return peer_; }
  const std::string& muxer() const override { return muxer_; }
  const Hash& handshake_hash() const { return hash_; }

  // For tests: 2^64 messages cannot be waited for.
  void set_ciphers_for_tests(NoiseCiphers ciphers) { ciphers_.emplace(std::move(ciphers)); }

 private:
  Status take_frame(ByteView frame, Bytes& out, Bytes& plain);
  Status on_handshake(ByteView message, Bytes& out);
  Status on_payload(ByteView payload);
  Status send_handshake(Bytes& out);
  Status check_size(size_t size) const;
  Error give_up(Error error);

  NoiseRole role_;
  const NoiseIdentity* identity_;
  NoiseOptions options_;
  State state_ = State::handshaking;
  std::optional<NoiseHandshake> handshake_;
  std::optional<NoiseCiphers> ciphers_;
  Bytes pending_;  // a frame that is under way, with its length
  PeerId peer_;
  std::string muxer_;
  Hash hash_;
  Error error_;
};

}  // namespace sereus::net
