#include "core/net/noise_handshake.h"

#include <algorithm>
#include <utility>

#include "core/crypto/hash.h"
#include "core/crypto/hmac.h"

namespace sereus::net {
namespace {

// Exactly 32 bytes, so section 5.2 makes it the first hash as it stands.
constexpr std::string_view kProtocolName = "Noise_XX_25519_ChaChaPoly_SHA256";
static_assert(kProtocolName.size() == Hash::kSize);

constexpr size_t kKeySize = crypto::kX25519Size;
constexpr size_t kTagSize = crypto::kChaChaPolyTagSize;

// Section 12.3: 32 bits of zeros, then the counter little-endian.
crypto::ChaChaPolyNonce nonce_bytes(uint64_t counter) {
  crypto::ChaChaPolyNonce nonce{};
  store_le<uint64_t>(nonce.data() + 4, counter);
  return nonce;
}

// Section 4.3, HKDF with two outputs.
std::pair<crypto::SecretBytes<32>, crypto::SecretBytes<32>> derive_two(ByteView chain, ByteView input) {
  constexpr uint8_t kOne[] = {1};
  constexpr uint8_t kTwo[] = {2};
  const crypto::SecretBytes<32> temporary = crypto::hmac_sha256(chain, {input});
  crypto::SecretBytes<32> first = crypto::hmac_sha256(temporary.view(), {kOne});
  crypto::SecretBytes<32> second = crypto::hmac_sha256(temporary.view(), {first.view(), kTwo});
  return {std::move(first), std::move(second)};
}

Error nonces_used_up() { return fail(Code::closed, "noise: the nonces of this connection are used up"); }
Error too_short() { return fail(Code::malformed, "noise: a handshake message is too short"); }

}  // namespace

Status NoiseCipher::seal(ByteView associated, ByteView plaintext, Bytes& out) {
  if (nonce_ == kNonceReserved) return nonces_used_up();
  const size_t at = out.size();
  out.resize(at + plaintext.size() + kTagSize);
  crypto::chacha_poly_seal(key_, nonce_bytes(nonce_), associated, plaintext, ByteSpan(out).subspan(at));
  ++nonce_;
  return {};
}

Status NoiseCipher::open(ByteView associated, ByteView sealed, Bytes& out) {
  if (nonce_ == kNonceReserved) return nonces_used_up();
  if (sealed.size() < kTagSize) return fail(Code::malformed, "noise: a message is shorter than its tag");
  const size_t at = out.size();
  out.resize(at + sealed.size() - kTagSize);
  if (!crypto::chacha_poly_open(key_, nonce_bytes(nonce_), associated, sealed, ByteSpan(out).subspan(at))) {
    out.resize(at);
    return fail(Code::bad_signature, "noise: a message does not authenticate");
  }
  ++nonce_;
  return {};
}

NoiseHandshake::NoiseHandshake(NoiseRole role, ByteView prologue, const crypto::X25519Pair& static_pair,
                               crypto::X25519Pair ephemeral)
    : role_(role), static_(&static_pair), ephemeral_(std::move(ephemeral)), chain_(as_bytes(kProtocolName)) {
  std::copy(kProtocolName.begin(), kProtocolName.end(), hash_.bytes.begin());
  mix_hash(prologue);
}

void NoiseHandshake::mix_hash(ByteView data) {
  Bytes joined = to_bytes(hash_.view());
  append(joined, data);
  hash_ = crypto::sha256(joined);
}

void NoiseHandshake::mix_key(ByteView input) {
  auto derived = derive_two(chain_.view(), input);
  chain_ = std::move(derived.first);
  cipher_.emplace(std::move(derived.second));
}

Status NoiseHandshake::agree(const crypto::X25519Pair& ours, const std::optional<crypto::X25519PublicKey>& theirs) {
  SEREUS_ASSERT(theirs.has_value());
  const auto shared = ours.agree(*theirs);
  // Section 12.1 leaves it open; a peer with such a key has no business with us.
  if (!shared) return fail(Code::protocol, "noise: the peer's key agrees on nothing secret");
  mix_key(shared->view());
  return {};
}

Status NoiseHandshake::seal_and_hash(ByteView plaintext, Bytes& out) {
  const size_t at = out.size();
  if (cipher_) {
    SEREUS_TRY(cipher_->seal(hash_.view(), plaintext, out));
  } else {
    append(out, plaintext);
  }
  mix_hash(ByteView(out).subspan(at));
  return {};
}

Status NoiseHandshake::open_and_hash(ByteView sealed, Bytes& out) {
  if (cipher_) {
    SEREUS_TRY(cipher_->open(hash_.view(), sealed, out));
  } else {
    append(out, sealed);
  }
  mix_hash(sealed);
  return {};
}

// <- e, ee, s, es
Status NoiseHandshake::write_second(Bytes& out) {
  append(out, ephemeral_.public_key());
  mix_hash(ephemeral_.public_key());
  SEREUS_TRY(agree(ephemeral_, remote_ephemeral_));
  SEREUS_TRY(seal_and_hash(static_->public_key(), out));
  return agree(*static_, remote_ephemeral_);
}

Status NoiseHandshake::read_second(ByteView& rest) {
  SEREUS_TRY(take_ephemeral(rest));
  SEREUS_TRY(agree(ephemeral_, remote_ephemeral_));
  SEREUS_TRY(take_static(rest));
  return agree(ephemeral_, remote_static_);
}

// -> s, se
Status NoiseHandshake::write_third(Bytes& out) {
  SEREUS_TRY(seal_and_hash(static_->public_key(), out));
  return agree(*static_, remote_ephemeral_);
}

Status NoiseHandshake::read_third(ByteView& rest) {
  SEREUS_TRY(take_static(rest));
  return agree(ephemeral_, remote_static_);
}

Status NoiseHandshake::take_ephemeral(ByteView& rest) {
  if (rest.size() < kKeySize) return too_short();
  crypto::X25519PublicKey key{};
  std::copy_n(rest.begin(), kKeySize, key.begin());
  rest = rest.subspan(kKeySize);
  mix_hash(key);
  remote_ephemeral_ = key;
  return {};
}

Status NoiseHandshake::take_static(ByteView& rest) {
  if (rest.size() < kKeySize + kTagSize) return too_short();
  Bytes plain;
  SEREUS_TRY(open_and_hash(rest.first(kKeySize + kTagSize), plain));
  rest = rest.subspan(kKeySize + kTagSize);
  crypto::X25519PublicKey key{};
  std::copy_n(plain.begin(), kKeySize, key.begin());
  remote_static_ = key;
  return {};
}

Status NoiseHandshake::write(ByteView payload, Bytes& out) {
  SEREUS_ASSERT(!finished() && ours_next());
  if (step_ == 0) {
    append(out, ephemeral_.public_key());
    mix_hash(ephemeral_.public_key());
  } else if (step_ == 1) {
    SEREUS_TRY(write_second(out));
  } else {
    SEREUS_TRY(write_third(out));
  }
  SEREUS_TRY(seal_and_hash(payload, out));
  ++step_;
  return {};
}

Status NoiseHandshake::read(ByteView message, Bytes& payload) {
  SEREUS_ASSERT(!finished() && !ours_next());
  ByteView rest = message;
  if (step_ == 0) {
    SEREUS_TRY(take_ephemeral(rest));
  } else if (step_ == 1) {
    SEREUS_TRY(read_second(rest));
  } else {
    SEREUS_TRY(read_third(rest));
  }
  SEREUS_TRY(open_and_hash(rest, payload));
  ++step_;
  return {};
}

NoiseCiphers NoiseHandshake::split() {
  SEREUS_ASSERT(finished());
  auto derived = derive_two(chain_.view(), {});
  NoiseCipher first(std::move(derived.first));  // from the initiator to the responder
  NoiseCipher second(std::move(derived.second));
  if (role_ == NoiseRole::initiator) return {std::move(first), std::move(second)};
  return {std::move(second), std::move(first)};
}

}  // namespace sereus::net
