// Certificates: parsing never faults, and whatever parses and has its issuer's signature is what issuing it gives.
#include <cstdint>

#include "core/crypto/certificate.h"

using namespace sereus;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  static const KeyPair issuer = KeyPair::from_seed(SecretBytes<32>(Bytes(32, 1)));
  if (auto parsed = parse_device_certificate(input); parsed.ok()) {
    parsed->party = issuer.party_key();
    SEREUS_ASSERT(*verify_device_certificate(issue_certificate(issuer, *parsed), std::nullopt) == *parsed);
  }
  if (auto parsed = parse_author_certificate(input); parsed.ok()) {
    parsed->device = issuer.device_key();
    SEREUS_ASSERT(*verify_author_certificate(issue_certificate(issuer, *parsed), std::nullopt) == *parsed);
  }
  (void)verify_device_certificate(input, 0).ok();
  (void)verify_author_certificate(input, 0).ok();
  (void)verify_author_chain(input.first(size / 2), input.subspan(size / 2), StoreId(), std::nullopt).ok();
  return 0;
}
