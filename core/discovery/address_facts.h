// What an address says about where it is, as far as it matters to whom it is told, and how many peers from there are believed.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"
#include "core/net/dial_ranking.h"

namespace sereus::discovery {

struct AddressFacts {
  // Of names: global, since they are looked up by anyone. Of a relayed address: that of the relay.
  net::AddressScope scope = net::AddressScope::global;
  bool relayed = false;
  uint64_t subnet = 0;  // names a /24 of IPv4 or a /48 of IPv6; 0 for addresses with a name
  Bytes endpoint;       // the part up to the port: who is dialed first
};

// `address`: the binary form of a multiaddr. One that cannot be read is global, in no subnet, and its own endpoint.
AddressFacts facts_of(ByteView address);

}  // namespace sereus::discovery
