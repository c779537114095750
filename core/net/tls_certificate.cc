// Making the certificate. Its verification is in tls_certificate_verify.cc.
#include "core/net/tls_certificate.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/random.h>

#include <algorithm>

#include "core/crypto/hash.h"
#include "core/net/certificate_oids.h"
#include "core/net/der.h"
#include "core/net/wolfssl_memory.h"
#include "core/net/wolfssl_scope.h"

namespace sereus::net {
namespace {

constexpr std::string_view kSignaturePrefix = "libp2p-tls-handshake:";
constexpr size_t kP256Bytes = 32;
constexpr size_t kPrivateKeyDerMax = 160;  // SEC 1 of P-256 with the public key is 121 bytes
constexpr size_t kEcdsaSignatureMax = 72;  // SEQUENCE of two 33-byte integers
constexpr size_t kSerialSize = 8;

// wolfCrypt objects that free themselves.
struct Rng {
  WC_RNG value{};
  bool ready = wc_InitRng(&value) == 0;
  Rng() = default;
  Rng(const Rng&) = delete;
  Rng& operator=(const Rng&) = delete;
  ~Rng() {
    if (ready) wc_FreeRng(&value);
  }
};
struct EccKey {
  ecc_key value{};
  bool ready = wc_ecc_init(&value) == 0;
  EccKey() = default;
  EccKey(const EccKey&) = delete;
  EccKey& operator=(const EccKey&) = delete;
  ~EccKey() {
    if (ready) wc_ecc_free(&value);
  }
};

Error crypto_failed(int code) { return wolfssl_own_error(code, "wolfCrypt failed to make a certificate"); }

// RFC 5280 4.1.2.5: UTCTime through the year 2049, GeneralizedTime after.
Bytes time_element(const std::string& generalized) {
  const bool utc = generalized.compare(0, 4, "1950") >= 0 && generalized.compare(0, 4, "2050") < 0;
  const std::string text = utc ? generalized.substr(2) : generalized;
  return der::wrap(utc ? der::kUtcTime : der::kGeneralizedTime, {as_bytes(text)});
}

Bytes extension_element(const CertificateFields::Extension& extension) {
  const Bytes id = der::wrap(der::kOid, {extension.oid});
  const Bytes critical = extension.critical ? Bytes{der::kBoolean, 1, 0xff} : Bytes{};
  const Bytes value = der::wrap(der::kOctetString, {extension.value});
  return der::wrap(der::kSequence, {id, critical, value});
}

// Positive and without leading zeros, as DER wants integers: the top byte is 0x40..0x7f.
Bytes draw_serial(Random& random) {
  Bytes serial(kSerialSize);
  random.fill(serial);
  serial[0] = static_cast<uint8_t>(0x40 | (serial[0] & 0x3f));
  return der::wrap(der::kInteger, {serial});
}

}  // namespace

Result<CertificateKey> CertificateKey::generate(Random& random) {
  const WolfsslScope scope(random, 0);
  Rng rng;
  EccKey key;
  if (!rng.ready || !key.ready) return crypto_failed(MEMORY_E);
  const int made = wc_ecc_make_key_ex(&rng.value, static_cast<int>(kP256Bytes), &key.value, ECC_SECP256R1);
  if (made != 0) return crypto_failed(made);
  std::array<uint8_t, 1 + 2 * kP256Bytes> point{};
  word32 point_size = point.size();
  const int exported = wc_ecc_export_x963(&key.value, point.data(), &point_size);
  if (exported != 0 || point_size != point.size()) return crypto_failed(exported);
  crypto::SecretBuffer scratch(kPrivateKeyDerMax);
  const int size = wc_EccKeyToDer(&key.value, scratch.data(), static_cast<word32>(scratch.size()));
  if (size <= 0) return crypto_failed(size);

  CertificateKey out;
  out.private_key_ = crypto::SecretBuffer(scratch.view().first(static_cast<size_t>(size)));
  const Bytes algorithm =
      der::wrap(der::kSequence, {der::wrap(der::kOid, {oid::kEcPublicKey}), der::wrap(der::kOid, {oid::kP256})});
  const uint8_t no_unused_bits[] = {0};
  const Bytes bits = der::wrap(der::kBitString, {no_unused_bits, point});
  out.public_key_info_ = der::wrap(der::kSequence, {algorithm, bits});
  return out;
}

Result<Bytes> CertificateKey::certificate(const CertificateFields& fields, Random& random) const {
  const Bytes algorithm = der::wrap(der::kSequence, {der::wrap(der::kOid, {oid::kEcdsaSha256})});
  const uint8_t v3[] = {der::kInteger, 1, 2};
  const Bytes version = der::wrap(der::kContext0, {v3});
  const Bytes serial = draw_serial(random);
  // Issuer and subject stay empty, as in js- and rust-libp2p: the name is the key.
  const Bytes name = der::wrap(der::kSequence, {});
  const Bytes validity = der::wrap(der::kSequence, {time_element(fields.not_before), time_element(fields.not_after)});
  Bytes list;
  for (const auto& extension : fields.extensions) append(list, extension_element(extension));
  const Bytes extensions = list.empty() ? Bytes{} : der::wrap(der::kContext3, {der::wrap(der::kSequence, {list})});
  const Bytes body =
      der::wrap(der::kSequence, {version, serial, algorithm, name, validity, name, public_key_info_, extensions});

  const WolfsslScope scope(random, 0);
  Rng rng;
  EccKey key;
  word32 index = 0;
  if (!rng.ready || !key.ready) return crypto_failed(MEMORY_E);
  const int decoded =
      wc_EccPrivateKeyDecode(private_key_.data(), &index, &key.value, static_cast<word32>(private_key_.size()));
  if (decoded != 0) return crypto_failed(decoded);
  const Hash digest = crypto::sha256(body);
  std::array<uint8_t, kEcdsaSignatureMax> signature{};
  word32 signature_size = signature.size();
  const int written = wc_ecc_sign_hash(digest.bytes.data(), static_cast<word32>(digest.bytes.size()), signature.data(),
                                       &signature_size, &rng.value, &key.value);
  if (written != 0) return crypto_failed(written);
  const uint8_t no_unused_bits[] = {0};
  const Bytes bits = der::wrap(der::kBitString, {no_unused_bits, ByteView(signature).first(signature_size)});
  return der::wrap(der::kSequence, {body, algorithm, bits});
}

CertificateFields::Extension libp2p_extension(const crypto::KeyPair& device, ByteView public_key_info) {
  Bytes message = to_bytes(kSignaturePrefix);
  append(message, public_key_info);
  const Signature signature = device.sign(message);
  CertificateFields::Extension extension;
  extension.oid = Bytes(oid::kLibp2pKey.begin(), oid::kLibp2pKey.end());
  const Bytes key = der::wrap(der::kOctetString, {public_key_protobuf(device.device_key())});
  const Bytes proof = der::wrap(der::kOctetString, {signature.view()});
  extension.value = der::wrap(der::kSequence, {key, proof});
  return extension;
}

Result<TlsIdentity> make_tls_identity(const crypto::KeyPair& device, Random& random) {
  SEREUS_ASSIGN(CertificateKey key, CertificateKey::generate(random));
  CertificateFields fields;
  fields.extensions.push_back(libp2p_extension(device, key.public_key_info()));
  SEREUS_ASSIGN(Bytes certificate, key.certificate(fields, random));
  TlsIdentity identity;
  identity.chain.push_back(std::move(certificate));
  identity.private_key = key.private_key().clone();
  return identity;
}

}  // namespace sereus::net
