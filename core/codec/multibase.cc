#include "core/codec/multibase.h"

#include <algorithm>
#include <array>

#include "core/base/assert.h"

namespace sereus::codec {
namespace {

constexpr std::string_view kBase58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr uint8_t kNoDigit = 0xff;
using DigitTable = std::array<uint8_t, 256>;

constexpr DigitTable digits_of(std::string_view alphabet) {
  DigitTable table{};
  for (auto& digit : table) digit = kNoDigit;
  for (size_t i = 0; i < alphabet.size(); ++i) table[static_cast<uint8_t>(alphabet[i])] = static_cast<uint8_t>(i);
  return table;
}

constexpr DigitTable kDigits58 = digits_of(kBase58);
constexpr DigitTable kDigits32 = digits_of(kBase32);
constexpr DigitTable kDigits64 = digits_of(kBase64Url);

// RFC 4648 with 5 or 6 bits for each character.
template <unsigned kBits>
std::string encode_bits(ByteView bytes, std::string_view alphabet) {
  std::string text;
  text.reserve((bytes.size() * 8 + kBits - 1) / kBits);
  constexpr uint32_t kMask = (1u << kBits) - 1;
  uint32_t pool = 0;
  unsigned held = 0;
  for (const uint8_t byte : bytes) {
    pool = (pool << 8) | byte;
    held += 8;
    while (held >= kBits) {
      held -= kBits;
      text.push_back(alphabet[(pool >> held) & kMask]);
    }
  }
  if (held > 0) text.push_back(alphabet[(pool << (kBits - held)) & kMask]);
  return text;
}

template <unsigned kBits>
std::optional<Bytes> decode_bits(std::string_view text, const DigitTable& digits) {
  if (text.size() > kBaseTextMax) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() * kBits / 8);
  uint32_t pool = 0;
  unsigned held = 0;
  for (const char c : text) {
    const uint8_t digit = digits[static_cast<uint8_t>(c)];
    if (digit == kNoDigit) return std::nullopt;
    pool = (pool << kBits) | digit;
    held += kBits;
    if (held < 8) continue;
    held -= 8;
    bytes.push_back(static_cast<uint8_t>(pool >> held));
  }
  // What is left is less than one character, and zero: else two texts would mean the same bytes.
  if (held >= kBits || (pool & ((1u << held) - 1)) != 0) return std::nullopt;
  return bytes;
}

}  // namespace

std::string base58btc_encode(ByteView bytes) {
  SEREUS_ASSERT(bytes.size() <= kBase58BytesMax);
  size_t zeros = 0;
  while (zeros < bytes.size() && bytes[zeros] == 0) ++zeros;
  // Limbs of five digits, least significant first, and four bytes at a time: a node writes peer ids all the time.
  constexpr uint32_t kLimb = 58 * 58 * 58 * 58 * 58;
  std::vector<uint32_t> limbs;
  limbs.reserve(bytes.size() / 3 + 1);
  for (ByteView rest = bytes.subspan(zeros); !rest.empty();) {
    const size_t size = rest.size() % 4 == 0 ? 4 : rest.size() % 4;
    uint64_t carry = 0;
    for (const uint8_t byte : rest.first(size)) carry = carry << 8 | byte;
    for (auto& limb : limbs) {
      carry += uint64_t{limb} << (8 * size);
      limb = static_cast<uint32_t>(carry % kLimb);
      carry /= kLimb;
    }
    for (; carry > 0; carry /= kLimb) limbs.push_back(static_cast<uint32_t>(carry % kLimb));
    rest = rest.subspan(size);
  }
  std::string text;  // turned round at the end
  text.reserve(zeros + limbs.size() * 5);
  for (uint32_t limb : limbs) {
    for (int i = 0; i < 5; ++i, limb /= 58) text.push_back(kBase58[limb % 58]);
  }
  while (!text.empty() && text.back() == kBase58[0]) text.pop_back();
  text.append(zeros, kBase58[0]);
  std::reverse(text.begin(), text.end());
  return text;
}

std::optional<Bytes> base58btc_decode(std::string_view text) {
  if (text.size() > kBase58TextMax) return std::nullopt;
  size_t zeros = 0;
  while (zeros < text.size() && text[zeros] == kBase58[0]) ++zeros;
  Bytes reversed;  // base 256, least significant first
  reversed.reserve(text.size() * 733 / 1000 + 1);
  for (const char c : text.substr(zeros)) {
    uint32_t carry = kDigits58[static_cast<uint8_t>(c)];
    if (carry == kNoDigit) return std::nullopt;
    for (auto& byte : reversed) {
      carry += static_cast<uint32_t>(byte) * 58;
      byte = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
    if (carry > 0) reversed.push_back(static_cast<uint8_t>(carry));
  }
  if (zeros + reversed.size() > kBase58BytesMax) return std::nullopt;
  Bytes bytes(zeros, 0);
  bytes.insert(bytes.end(), reversed.rbegin(), reversed.rend());
  return bytes;
}

std::string base32_encode(ByteView bytes) { return encode_bits<5>(bytes, kBase32); }
std::optional<Bytes> base32_decode(std::string_view text) { return decode_bits<5>(text, kDigits32); }
std::string base64url_encode(ByteView bytes) { return encode_bits<6>(bytes, kBase64Url); }
std::optional<Bytes> base64url_decode(std::string_view text) { return decode_bits<6>(text, kDigits64); }

std::string multibase_encode(Multibase base, ByteView bytes) {
  const std::string prefix(1, static_cast<char>(base));
  switch (base) {
    case Multibase::base16:
      return prefix + to_hex(bytes);
    case Multibase::base32:
      return prefix + base32_encode(bytes);
    case Multibase::base58btc:
      return prefix + base58btc_encode(bytes);
    case Multibase::base64url:
      return prefix + base64url_encode(bytes);
  }
  SEREUS_ASSERT(false);
}

std::optional<Bytes> multibase_decode(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const std::string_view body = text.substr(1);
  switch (text.front()) {
    case static_cast<char>(Multibase::base16):
      // 'f' is the lower-case alphabet ('F' the upper), and one text means one byte string.
      for (const char c : body) {
        if (c >= 'A' && c <= 'F') return std::nullopt;
      }
      return body.size() <= kBaseTextMax ? from_hex(body) : std::nullopt;
    case static_cast<char>(Multibase::base32):
      return base32_decode(body);
    case static_cast<char>(Multibase::base58btc):
      return base58btc_decode(body);
    case static_cast<char>(Multibase::base64url):
      return base64url_decode(body);
    default:
      return std::nullopt;
  }
}

}  // namespace sereus::codec
