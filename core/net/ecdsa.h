// Verifying ECDSA (FIPS 186-5 section 6.4.2) on the curves that libp2p keys and their certificates are on. Public data
// only; hostile input gives false.
#pragma once

#include "core/base/bytes.h"

namespace sereus::net {

enum class EcCurve : uint8_t { p256, p384, secp256k1 };

// Whether `point` is SEC 1's encoding of a point that can be a public key: coordinates below the field's prime, on the
// curve, not infinity. P-256 and P-384 uncompressed, as certificates have them; secp256k1 compressed, as Bitcoin does.
bool ec_point_valid(EcCurve curve, ByteView point);

// Whether `signature`, DER SEQUENCE{r, s} in the shortest form with nothing behind it, is one of `digest`. `point` has
// passed ec_point_valid.
//
// High s: (r, s) and (r, n - s) verify alike, so anyone can turn one signature into the other. Nothing here takes a
// signature's bytes for a name, so that is harmless in itself, and P-256 signers, which produce both halves, would lose
// every second signature: both are valid. For secp256k1 libp2p's peer-ids point to BIP 62, whose rule 5 wants the low half
// and which signers follow: the high half is refused.
bool ecdsa_verify(EcCurve curve, ByteView point, ByteView digest, ByteView signature);

}  // namespace sereus::net
