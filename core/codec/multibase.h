// Binary to text: base58btc, base32, base64url, and the multibase prefix that tells them apart. All decoders are
// strict: one text for one byte string. They give nothing for a character outside the alphabet, padding, white space,
// an impossible length, stray low bits, or a text over the bound.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"

namespace sereus::codec {

// Base58 costs time quadratic in its length, so it is for ids and keys only. Longer input is an assertion when
// encoding (ours) and refused when decoding (theirs).
inline constexpr size_t kBase58BytesMax = 1024;
inline constexpr size_t kBase58TextMax = 1400;           // of kBase58BytesMax bytes, rounded up
inline constexpr size_t kBaseTextMax = size_t{4} << 20;  // base32 and base64url text: no text of ours is longer

// The Bitcoin alphabet (draft-msporny-base58), as libp2p peer ids use it.
std::string base58btc_encode(ByteView bytes);
std::optional<Bytes> base58btc_decode(std::string_view text);

// RFC 4648 section 6, lower case, no padding.
std::string base32_encode(ByteView bytes);
std::optional<Bytes> base32_decode(std::string_view text);

// RFC 4648 section 5, no padding.
std::string base64url_encode(ByteView bytes);
std::optional<Bytes> base64url_decode(std::string_view text);

// The first character of a multibase text (github.com/multiformats/multibase).
enum class Multibase : char { base16 = 'f', base32 = 'b', base58btc = 'z', base64url = 'u' };

std::string multibase_encode(Multibase base, ByteView bytes);
// Nothing for a prefix that is not in Multibase.
std::optional<Bytes> multibase_decode(std::string_view text);

}  // namespace sereus::codec

namespace sereus {
using namespace codec;  // the rooms above write these names with or without "codec::"
}
