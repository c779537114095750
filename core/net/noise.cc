#include "core/net/noise.h"

#include <algorithm>
#include <utility>

#include "core/net/limits.h"

namespace sereus::net {
namespace {

constexpr size_t kLengthSize = 2;
constexpr size_t kKeySize = crypto::kX25519Size;
constexpr size_t kTagSize = crypto::kChaChaPolyTagSize;
constexpr size_t kPlaintextMax = kNoiseMessageMax - kTagSize;

// The sizes of the three messages without their payload.
constexpr size_t kMessageSizes[NoiseHandshake::kMessages] = {
    kKeySize,
    kKeySize + (kKeySize + kTagSize) + kTagSize,
    (kKeySize + kTagSize) + kTagSize,
};

void append_length(Bytes& out, size_t at) {
  const size_t size = out.size() - at - kLengthSize;
  SEREUS_ASSERT(size <= kNoiseMessageMax);
  store_be<uint16_t>(out.data() + at, static_cast<uint16_t>(size));
}

}  // namespace

NoiseIdentity make_noise_identity(const crypto::KeyPair& device, Random& random) {
  crypto::X25519Pair static_pair = crypto::X25519Pair::generate(random);
  const Signature signature = sign_noise_static_key(device, static_pair.public_key());
  return NoiseIdentity{std::move(static_pair), public_key_protobuf(device.device_key()), signature};
}

NoiseChannel::NoiseChannel(NoiseRole role, const NoiseIdentity& identity, NoiseOptions options, Random& random)
    : role_(role), identity_(&identity), options_(std::move(options)) {
  handshake_.emplace(role, ByteView(), identity.static_pair, crypto::X25519Pair::generate(random));
}

Status NoiseChannel::start(Bytes& out) {
  if (role_ == NoiseRole::responder) return {};
  return send_handshake(out);
}

Error NoiseChannel::give_up(Error error) {
  state_ = State::failed;
  handshake_.reset();
  ciphers_.reset();
  pending_ = Bytes();
  // What a failed handshake said is nobody's (libp2p specs, noise: early data MUST be discarded).
  peer_ = PeerId();
  muxer_.clear();
  error_ = error;
  return error;
}

// Looked at as soon as the length is there, so that a stranger cannot make us hold 64 KiB.
Status NoiseChannel::check_size(size_t size) const {
  if (state_ == State::established) {
    if (size < kTagSize) return fail(Code::malformed, "noise: a frame is shorter than its tag");
    return {};
  }
  const size_t step = handshake_->step();
  const size_t bare = kMessageSizes[step];
  // The first message has no payload: it would be readable by everyone (libp2p specs, noise, "MUST NOT").
  const size_t most = step == 0 ? bare : bare + kNoisePayloadMax;
  if (size < bare) return fail(Code::malformed, "noise: a handshake message is too short");
  if (size > most) return fail(Code::too_large, "noise: a handshake message is too long");
  return {};
}

Status NoiseChannel::feed(ByteView in, Bytes& out, Bytes& plain) {
  if (state_ == State::failed) return error_;
  while (!in.empty()) {
    if (pending_.size() < kLengthSize) {
      if (pending_.empty() && in.size() >= kLengthSize) {
        // The common case: the whole frame is in `in` and is decrypted from there.
        const size_t size = load_be<uint16_t>(in.data());
        if (const Status fits = check_size(size); !fits.ok()) return give_up(fits.error());
        if (in.size() >= kLengthSize + size) {
          if (const Status taken = take_frame(in.subspan(kLengthSize, size), out, plain); !taken.ok()) {
            return give_up(taken.error());
          }
          in = in.subspan(kLengthSize + size);
          continue;
        }
      }
      pending_.push_back(in.front());
      in = in.subspan(1);
      continue;
    }
    const size_t size = load_be<uint16_t>(pending_.data());
    if (const Status fits = check_size(size); !fits.ok()) return give_up(fits.error());
    const size_t missing = kLengthSize + size - pending_.size();
    const size_t count = std::min(missing, in.size());
    append(pending_, in.first(count));
    in = in.subspan(count);
    if (count < missing) break;
    const Bytes frame = std::exchange(pending_, Bytes());
    if (const Status taken = take_frame(ByteView(frame).subspan(kLengthSize), out, plain); !taken.ok()) {
      return give_up(taken.error());
    }
  }
  return {};
}

Status NoiseChannel::take_frame(ByteView frame, Bytes& out, Bytes& plain) {
  if (state_ == State::established) return ciphers_->receive.open({}, frame, plain);
  return on_handshake(frame, out);
}

Status NoiseChannel::on_handshake(ByteView message, Bytes& out) {
  const size_t step = handshake_->step();
  Bytes payload;
  SEREUS_TRY(handshake_->read(message, payload));
  // The initiator checks who answers before it shows its own identity in message 3.
  if (step > 0) SEREUS_TRY(on_payload(payload));
  if (!handshake_->finished()) SEREUS_TRY(send_handshake(out));
  if (!handshake_->finished()) return {};
  hash_ = handshake_->handshake_hash();
  ciphers_.emplace(handshake_->split());
  handshake_.reset();
  state_ = State::established;
  return {};
}

Status NoiseChannel::on_payload(ByteView bytes) {
  SEREUS_ASSIGN(const NoisePayload payload, parse_noise_payload(bytes));
  SEREUS_ASSIGN(PeerId peer, verify_noise_payload(payload, *handshake_->remote_static()));
  if (!options_.expected.empty() && options_.expected != peer) {
    return fail(Code::denied, "noise: another peer than the expected one answered");
  }
  const bool initiator = role_ == NoiseRole::initiator;
  SEREUS_ASSIGN(muxer_, initiator ? choose_muxer(options_.muxers, payload.stream_muxers)
                                  : choose_muxer(payload.stream_muxers, options_.muxers));
  peer_ = std::move(peer);
  return {};
}

Status NoiseChannel::send_handshake(Bytes& out) {
  Bytes payload;
  if (handshake_->step() > 0) {
    payload =
        encode_noise_payload({identity_->identity_key, to_bytes(identity_->identity_sig.view()), options_.muxers});
  }
  const size_t at = out.size();
  out.resize(at + kLengthSize);
  if (Status written = handshake_->write(payload, out); !written.ok()) {
    out.resize(at);  // no half messages
    return written;
  }
  append_length(out, at);
  return {};
}

Status NoiseChannel::seal(ByteView plaintext, Bytes& out) {
  if (state_ == State::failed) return error_;
  if (state_ == State::handshaking) return fail(Code::again, "noise: the handshake is not finished");
  while (!plaintext.empty()) {
    const size_t count = std::min(plaintext.size(), kPlaintextMax);
    const size_t at = out.size();
    out.resize(at + kLengthSize);
    if (const Status sealed = ciphers_->send.seal({}, plaintext.first(count), out); !sealed.ok()) {
      out.resize(at);
      return give_up(sealed.error());
    }
    append_length(out, at);
    plaintext = plaintext.subspan(count);
  }
  return {};
}

}  // namespace sereus::net
