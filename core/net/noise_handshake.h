// The Noise Protocol Framework, revision 34, as far as Noise_XX_25519_ChaChaPoly_SHA256 needs it: the handshake pattern and
// the ciphers that come out of it. It knows nothing of libp2p: frames and payloads are noise.h's.
//
//   XX:  -> e    <- e, ee, s, es    -> s, se
#pragma once

#include <array>
#include <optional>

#include "core/base/bytes.h"
#include "core/base/ids.h"
#include "core/base/result.h"
#include "core/crypto/chacha_poly.h"
#include "core/crypto/x25519.h"

namespace sereus::net {

// One direction's key and message counter (section 5.1, CipherState with a key).
class NoiseCipher {
 public:
  // Never used: section 5.1 keeps it, and after 2^64 - 1 messages a connection must end.
  static constexpr uint64_t kNonceReserved = UINT64_MAX;

  explicit NoiseCipher(crypto::ChaChaPolyKey key, uint64_t nonce = 0) : key_(std::move(key)), nonce_(nonce) {}

  // Appends plaintext.size() + 16 bytes. Code::closed when the nonces are used up.
  Status seal(ByteView associated, ByteView plaintext, Bytes& out);
  // Appends sealed.size() - 16 bytes. Code::bad_signature when it does not authenticate, Code::closed as above.
  Status open(ByteView associated, ByteView sealed, Bytes& out);

 private:
  crypto::ChaChaPolyKey key_;
  uint64_t nonce_ = 0;
};

enum class NoiseRole : uint8_t { initiator, responder };

// The ciphers of the finished handshake, by direction.
struct NoiseCiphers {
  NoiseCipher send;
  NoiseCipher receive;
};

class NoiseHandshake {
 public:
  static constexpr size_t kMessages = 3;

  // `static_pair` must outlive the handshake; `prologue` is what both sides must agree on (empty in libp2p).
  NoiseHandshake(NoiseRole role, ByteView prologue, const crypto::X25519Pair& static_pair,
                 crypto::X25519Pair ephemeral);

  // Whether the next message is ours; meaningless once finished.
  bool ours_next() const { return (step_ % 2 == 0) == (role_ == NoiseRole::initiator); }
  size_t step() const { return step_; }  // messages done
  bool finished() const { return step_ == kMessages; }

  // Appends the next message with `payload` inside. Precondition: ours_next() and not finished.
  Status write(ByteView payload, Bytes& out);
  // Reads the next message and appends its payload. Precondition: not ours_next() and not finished. After an error the
  // handshake is over: its state is no longer that of the peer.
  // Errors: malformed (too short), bad_signature (does not authenticate), protocol (a key of small order).
  Status read(ByteView message, Bytes& payload);

  // The peer's static key; known to the initiator after message 2 and to the responder after message 3.
  const std::optional<crypto::X25519PublicKey>& remote_static() const { return remote_static_; }
  // Section 5.2, Split(). Precondition: finished; once.
  NoiseCiphers split();
  // Section 11.2: the same on both sides and unique to the session.
  const Hash& handshake_hash() const { return hash_; }

 private:
  void mix_hash(ByteView data);
  void mix_key(ByteView input);
  Status agree(const crypto::X25519Pair& ours, const std::optional<crypto::X25519PublicKey>& theirs);
  Status seal_and_hash(ByteView plaintext, Bytes& out);
  Status open_and_hash(ByteView sealed, Bytes& out);
  Status write_second(Bytes& out);
  Status write_third(Bytes& out);
  Status read_second(ByteView& rest);
  Status read_third(ByteView& rest);
  Status take_ephemeral(ByteView& rest);
  Status take_static(ByteView& rest);

  NoiseRole role_;
  const crypto::X25519Pair* static_;
  crypto::X25519Pair ephemeral_;
  std::optional<crypto::X25519PublicKey> remote_ephemeral_;
  std::optional<crypto::X25519PublicKey> remote_static_;
  size_t step_ = 0;
  Hash hash_;                          // h
  crypto::SecretBytes<32> chain_;      // ck
  std::optional<NoiseCipher> cipher_;  // empty until the first key is mixed in: then "encrypted" is plain
};

}  // namespace sereus::net
