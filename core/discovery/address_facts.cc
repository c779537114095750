#include "core/discovery/address_facts.h"

#include <algorithm>

#include "core/net/multiaddr.h"

namespace sereus::discovery {
namespace {

using net::AddrCode;

void read_ip(ByteView value, bool is_v6, AddressFacts& facts) {
  IpEndpoint endpoint;
  endpoint.is_v6 = is_v6;
  std::copy(value.begin(), value.end(), endpoint.address.begin());
  endpoint = unmapped(endpoint);
  facts.scope = net::scope_of(endpoint);
  const size_t size = endpoint.is_v6 ? 6 : 3;
  uint64_t subnet = endpoint.is_v6 ? 6 : 4;  // so that no two families share a number, and none is 0
  for (size_t i = 0; i < size; ++i) subnet = (subnet << 8) | endpoint.address[i];
  facts.subnet = subnet;
}

// A direct address of the two usual forms, ip4 with tcp or udp, without the cost of parsing. Most are.
bool read_short(ByteView address, AddressFacts& facts) {
  constexpr size_t kIp4Size = 5;
  constexpr size_t kShortMax = 12;  // ip4, udp, quic-v1
  if (address.size() < kIp4Size + 3 || address.size() > kShortMax || address[0] != 4) return false;
  const bool tcp = address[kIp4Size] == 6;
  const bool udp = address[kIp4Size] == 0x91 && address[kIp4Size + 1] == 0x02;
  if (!tcp && !udp) return false;
  const size_t size = kIp4Size + (tcp ? 3 : 4);
  if (address.size() < size) return false;
  read_ip(address.subspan(1, 4), false, facts);
  facts.endpoint = to_bytes(address.first(size));
  return true;
}

}  // namespace

AddressFacts facts_of(ByteView address) {
  AddressFacts facts;
  if (read_short(address, facts)) return facts;
  facts.endpoint = to_bytes(address);
  const auto parsed = net::Multiaddr::from_bytes(address);
  if (!parsed.ok()) return facts;
  size_t first_parts = 0;
  for (const net::Multiaddr::Part& part : parsed->parts()) {
    if (part.code == AddrCode::p2p_circuit) facts.relayed = true;
    if (first_parts > 0) continue;
    if (part.code == AddrCode::ip4 || part.code == AddrCode::ip6) {
      read_ip(part.value, part.code == AddrCode::ip6, facts);
    } else if (part.code == AddrCode::tcp || part.code == AddrCode::udp) {
      first_parts = static_cast<size_t>(&part - parsed->parts().data()) + 1;
    }
  }
  if (first_parts > 0) facts.endpoint = parsed->first_parts(first_parts).to_bytes();
  return facts;
}

}  // namespace sereus::discovery
