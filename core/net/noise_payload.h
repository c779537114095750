// What libp2p puts into messages 2 and 3 of the Noise handshake (libp2p specs, noise: "The libp2p Handshake Payload").
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/crypto/sign.h"
#include "core/crypto/x25519.h"
#include "core/net/peer_id.h"

namespace sereus::net {

struct NoisePayload {
  Bytes identity_key;                      // protobuf of a public key (peer_id.h)
  Bytes identity_sig;                      // over "noise-libp2p-static-key:" || static key
  std::vector<std::string> stream_muxers;  // in order of preference; empty when the peer says nothing
};

Bytes encode_noise_payload(const NoisePayload& payload);
// Fields and extensions that are not known are skipped: there is a registry of them. Errors: malformed, too_large.
Result<NoisePayload> parse_noise_payload(ByteView bytes);

// The host key's signature over a static Noise key.
Signature sign_noise_static_key(const crypto::KeyPair& device, const crypto::X25519PublicKey& static_key);
// Who the payload proves the owner of `static_key` to be. Errors: malformed, bad_signature, unsupported.
Result<PeerId> verify_noise_payload(const NoisePayload& payload, const crypto::X25519PublicKey& static_key);

// The first of the initiator's muxers that the responder has too (libp2p specs, inlined-muxer-negotiation). Empty when one
// of the sides said nothing: then multistream-select decides. Code::unsupported when both spoke and share none.
Result<std::string> choose_muxer(std::span<const std::string> initiators, std::span<const std::string> responders);

}  // namespace sereus::net
