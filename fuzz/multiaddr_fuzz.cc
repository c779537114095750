// Multiaddrs: text and bytes that are taken come back the same way, and one address has one byte string.
#include <cstdint>

#include "core/base/assert.h"
#include "core/net/multiaddr.h"

using namespace sereus;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  if (const auto address = net::Multiaddr::from_bytes(input); address.ok()) {
    SEREUS_ASSERT(equal(address->to_bytes(), input));
    SEREUS_ASSERT(net::Multiaddr::parse(address->to_string()).value() == *address);
  }
  if (const auto address = net::Multiaddr::parse(as_text(input)); address.ok()) {
    SEREUS_ASSERT(net::Multiaddr::from_bytes(address->to_bytes()).value() == *address);
    SEREUS_ASSERT(net::Multiaddr::parse(address->to_string()).value() == *address);
    (void)address->quic_endpoint();
    (void)address->peer_id();
  }
  return 0;
}
