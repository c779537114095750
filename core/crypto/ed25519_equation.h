// The verification equation and what it is made of, shared by single and batch verification. PUBLIC DATA ONLY. Internal to
// core/crypto; use ed25519_verify.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/crypto/ed25519_group.h"
#include "core/crypto/ed25519_scalar.h"

namespace sereus::crypto::ed25519 {

// k = SHA-512(R || A || M) mod L, over the encodings as received. r and public_key: 32 bytes each.
Scalar challenge(const uint8_t* r, const uint8_t* public_key, std::span<const uint8_t> message);

// [8][S]B = [8]R + [8][k]A, for s, k < L. (ed25519_verify.cc)
bool equation_holds(const AffineAddend& a, const AffineAddend& r, const Scalar& s, const Scalar& k);

// A || R || S || k of one item of a batch.
using BatchLine = std::array<uint8_t, 128>;

// One 128-bit coefficient for each line: a function of the seed, all lines and their order. (ed25519_batch.cc)
std::vector<Uint128> batch_coefficients(std::span<const uint8_t, 32> seed, std::span<const BatchLine> lines);

}  // namespace sereus::crypto::ed25519
