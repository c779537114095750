// Object identifiers (the content bytes of their DER) that occur in libp2p certificates and keys.
#pragma once

#include <array>
#include <cstdint>

namespace sereus::net::oid {

// 1.3.6.1.4.1.53594.1.1, the libp2p public key extension (libp2p specs, tls)
inline constexpr std::array<uint8_t, 10> kLibp2pKey = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01};
// 1.2.840.10045.2.1 id-ecPublicKey (RFC 5480)
inline constexpr std::array<uint8_t, 7> kEcPublicKey = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
// 1.2.840.113549.1.1.1 rsaEncryption (RFC 8017 A.1)
inline constexpr std::array<uint8_t, 9> kRsaEncryption = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
// 1.2.840.10045.3.1.7 secp256r1; 1.3.132.0.34 secp384r1
inline constexpr std::array<uint8_t, 8> kP256 = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
inline constexpr std::array<uint8_t, 5> kP384 = {0x2b, 0x81, 0x04, 0x00, 0x22};
// 1.2.840.10045.4.3.2 and .3, ecdsa-with-SHA256 and -SHA384 (RFC 5758)
inline constexpr std::array<uint8_t, 8> kEcdsaSha256 = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
inline constexpr std::array<uint8_t, 8> kEcdsaSha384 = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
// 1.3.101.112 Ed25519 (RFC 8410)
inline constexpr std::array<uint8_t, 3> kEd25519 = {0x2b, 0x65, 0x70};

}  // namespace sereus::net::oid
