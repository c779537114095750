// Certificates as the web has them, for tests of secure WebSocket: an authority, and servers' certificates that it signs.
#pragma once

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/codec/multibase.h"
#include "core/crypto/hash.h"
#include "core/net/certificate_oids.h"
#include "core/net/der.h"
#include "core/net/tls_certificate.h"
#include "core/net/wolfssl_scope.h"
#include "core/ports/datagram.h"

namespace sereus::test {

inline std::string pem(std::string_view label, ByteView der) {
  std::string text = codec::base64url_encode(der);
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  text.append((4 - text.size() % 4) % 4, '=');
  std::string out = "-----BEGIN " + std::string(label) + "-----\n";
  for (size_t i = 0; i < text.size(); i += 64) out += text.substr(i, 64) + "\n";
  return out + "-----END " + std::string(label) + "-----\n";
}

class WebAuthority {
 public:
  struct Server {
    std::string chain;  // PEM
    std::string key;
  };
  struct Names {
    std::vector<std::string> dns;
    std::vector<IpEndpoint> ips;
  };

  explicit WebAuthority(Random& random, std::string name = "Test authority")
      : random_(random), name_(std::move(name)), key_(net::CertificateKey::generate(random).value()) {}

  std::string anchor() const {
    const Bytes ca = net::der::wrap(net::der::kSequence, {Bytes{net::der::kBoolean, 1, 0xff}});
    return pem("CERTIFICATE", sign(name_, key_, extension({0x55, 0x1d, 0x13}, ca), "20990101000000Z"));
  }
  Server server(const Names& names, const std::string& not_after = "20990101000000Z") const {
    Bytes list;
    for (const std::string& name : names.dns) append(list, net::der::wrap(0x82, {as_bytes(name)}));
    for (const IpEndpoint& ip : names.ips) {
      append(list, net::der::wrap(0x87, {ByteView(ip.address).first(ip.is_v6 ? 16 : 4)}));
    }
    const auto key = net::CertificateKey::generate(random_).value();
    const Bytes names_extension = extension({0x55, 0x1d, 0x11}, net::der::wrap(net::der::kSequence, {list}));
    return {pem("CERTIFICATE", sign("Test server", key, names_extension, not_after)),
            pem("EC PRIVATE KEY", key.private_key().view())};
  }

 private:
  static Bytes extension(Bytes oid, const Bytes& value) {
    return net::der::wrap(net::der::kSequence,
                          {net::der::wrap(net::der::kOid, {oid}), net::der::wrap(net::der::kOctetString, {value})});
  }
  static Bytes name_of(const std::string& name) {
    using net::der::wrap;
    const Bytes common_name = wrap(net::der::kOid, {Bytes{0x55, 0x04, 0x03}});
    return wrap(net::der::kSequence,
                {wrap(0x31, {wrap(net::der::kSequence, {common_name, wrap(0x0c, {as_bytes(name)})})})});
  }
  static Bytes time_of(const std::string& text) {
    const bool utc = text < "2050";
    return net::der::wrap(utc ? net::der::kUtcTime : net::der::kGeneralizedTime,
                          {as_bytes(utc ? std::string_view(text).substr(2) : std::string_view(text))});
  }

  Bytes sign(const std::string& subject, const net::CertificateKey& subject_key, const Bytes& extension,
             const std::string& not_after) const {
    using net::der::wrap;
    const Bytes algorithm = wrap(net::der::kSequence, {wrap(net::der::kOid, {net::oid::kEcdsaSha256})});
    const Bytes version = wrap(net::der::kContext0, {Bytes{net::der::kInteger, 1, 2}});
    const Bytes serial{net::der::kInteger, 1, 0x42};
    const Bytes validity = wrap(net::der::kSequence, {time_of("20200101000000Z"), time_of(not_after)});
    const Bytes extensions = wrap(net::der::kContext3, {wrap(net::der::kSequence, {extension})});
    const Bytes body = wrap(net::der::kSequence, {version, serial, algorithm, name_of(name_), validity,
                                                  name_of(subject), subject_key.public_key_info(), extensions});
    const net::WolfsslScope scope(random_, 0);
    WC_RNG rng;
    ecc_key key;
    word32 index = 0;
    SEREUS_ASSERT(wc_InitRng(&rng) == 0 && wc_ecc_init(&key) == 0);
    const auto& der = key_.private_key();
    SEREUS_ASSERT(wc_EccPrivateKeyDecode(der.data(), &index, &key, static_cast<word32>(der.size())) == 0);
    const Hash digest = crypto::sha256(body);
    std::array<uint8_t, 80> signature{};
    word32 size = signature.size();
    SEREUS_ASSERT(wc_ecc_sign_hash(digest.bytes.data(), 32, signature.data(), &size, &rng, &key) == 0);
    wc_ecc_free(&key);
    wc_FreeRng(&rng);
    const Bytes bits = wrap(net::der::kBitString, {Bytes{0}, ByteView(signature).first(size)});
    return wrap(net::der::kSequence, {body, algorithm, bits});
  }

  Random& random_;
  std::string name_;
  net::CertificateKey key_;
};

}  // namespace sereus::test
