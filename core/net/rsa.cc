#include "core/net/rsa.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include <bit>
#include <memory>

#include "core/crypto/hash.h"
#include "core/net/der.h"
#include "core/net/limits.h"

namespace sereus::net {
namespace {

constexpr size_t kExponentSizeMax = 4;

// DigestInfo of a SHA-256 (RFC 8017 section 9.2, note 1), up to the digest.
constexpr std::array<uint8_t, 19> kDigestInfoPrefix = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                                       0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

struct WolfsslKey {
  ::RsaKey value{};
  bool ready = wc_InitRsaKey(&value, nullptr) == 0;
  WolfsslKey() = default;
  WolfsslKey(const WolfsslKey&) = delete;
  WolfsslKey& operator=(const WolfsslKey&) = delete;
  ~WolfsslKey() {
    if (ready) wc_FreeRsaKey(&value);
  }
};

bool odd(ByteView number) { return (number.back() & 1) != 0; }

}  // namespace

size_t RsaKey::bits() const {
  if (modulus.empty()) return 0;
  return 8 * (modulus.size() - 1) + static_cast<size_t>(std::bit_width(modulus.front()));
}

std::optional<RsaKey> parse_rsa_key(ByteView der) {
  der::Reader outer(der);
  const auto sequence = outer.next(der::kSequence);
  if (!sequence || !outer.empty()) return std::nullopt;
  der::Reader numbers(sequence->content);
  const auto modulus = der::next_positive(numbers);
  const auto exponent = der::next_positive(numbers);
  if (!modulus || !exponent || !numbers.empty()) return std::nullopt;
  const bool one = exponent->size() == 1 && exponent->front() == 1;
  if (!odd(*modulus) || !odd(*exponent) || one || exponent->size() > kExponentSizeMax) return std::nullopt;
  return RsaKey{*modulus, *exponent};
}

bool rsa_verify_sha256(const RsaKey& key, ByteView message, ByteView signature) {
  if (key.bits() < kRsaBitsMin || key.bits() > kRsaBitsMax) return false;
  // RFC 8017 8.2.2 step 1 and 5.2.2 step 1: exactly as long as the modulus, and smaller.
  if (signature.size() != key.modulus.size() || compare(signature, key.modulus) >= 0) return false;
  const auto rsa = std::make_unique<WolfsslKey>();  // tens of kilobytes: not on the stack
  if (!rsa->ready ||
      wc_RsaPublicKeyDecodeRaw(key.modulus.data(), static_cast<word32>(key.modulus.size()), key.exponent.data(),
                               static_cast<word32>(key.exponent.size()), &rsa->value) != 0) {
    return false;
  }
  Bytes recovered(key.modulus.size());
  const int size = wc_RsaSSL_Verify(signature.data(), static_cast<word32>(signature.size()), recovered.data(),
                                    static_cast<word32>(recovered.size()), &rsa->value);
  // Comparing with what the signer must have encoded, not parsing it: with the length of the digest fixed, the padding is too.
  Bytes expected(kDigestInfoPrefix.begin(), kDigestInfoPrefix.end());
  append(expected, crypto::sha256(message).view());
  return size == static_cast<int>(expected.size()) && equal(ByteView(recovered).first(expected.size()), expected);
}

}  // namespace sereus::net
