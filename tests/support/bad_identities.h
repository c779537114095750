// Certificates that must not pass, for the tests of every transport with TLS.
#pragma once

#include <utility>
#include <vector>

#include "core/net/tls_certificate.h"
#include "tests/support/net_world.h"

namespace sereus::test {

struct BadIdentity {
  const char* name;
  Code code;  // what the side that verifies says
  net::TlsIdentity identity;
};

inline net::TlsIdentity identity_with(const net::CertificateFields& fields, net::CertificateKey key,
                                      SeededRandom& random) {
  net::TlsIdentity out;
  out.chain.push_back(key.certificate(fields, random).value());
  out.private_key = key.private_key().clone();
  return out;
}

// They claim the device key of NetWorld::key(`number`).
inline std::vector<BadIdentity> bad_identities(uint8_t number) {
  std::vector<BadIdentity> out;
  SeededRandom random(77);
  const auto device = NetWorld::key(number);
  const auto fields_for = [&](const net::CertificateKey& key) {
    net::CertificateFields fields;
    fields.extensions.push_back(net::libp2p_extension(device, key.public_key_info()));
    return fields;
  };
  const auto add = [&](const char* name, Code code, auto change) {
    net::CertificateKey key = net::CertificateKey::generate(random).value();
    net::CertificateFields fields = fields_for(key);
    change(fields);
    out.push_back({name, code, identity_with(fields, std::move(key), random)});
  };
  add("bad extension signature", Code::bad_signature, [](auto& fields) { fields.extensions[0].value.back() ^= 1; });
  add("expired", Code::expired, [](auto& fields) { fields.not_after = "20250101000000Z"; });
  add("not valid yet", Code::expired, [](auto& fields) { fields.not_before = "20300101000000Z"; });
  add("no libp2p extension", Code::malformed, [](auto& fields) { fields.extensions.clear(); });
  add("truncated extension", Code::malformed, [](auto& fields) { fields.extensions[0].value.resize(20); });
  add("oversized", Code::too_large, [](auto& fields) {
    fields.extensions.push_back({{0x2b, 0x06, 0x01, 0x04, 0x01, 0x01}, false, Bytes(9000, 0)});
  });
  add("unknown critical extension", Code::unsupported, [](auto& fields) {
    fields.extensions.push_back({{0x2b, 0x06, 0x01, 0x04, 0x01, 0x01}, true, {0x05, 0x00}});
  });
  net::CertificateKey key = net::CertificateKey::generate(random).value();
  net::TlsIdentity two = identity_with(fields_for(key), std::move(key), random);
  two.chain.push_back(two.chain[0]);
  out.push_back({"two certificates", Code::malformed, std::move(two)});
  return out;
}

}  // namespace sereus::test
