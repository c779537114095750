#include "core/net/address_filter.h"

#include <algorithm>

#include "core/net/listen_address.h"
#include "core/net/transport_policy.h"

namespace sereus::net {
namespace {

constexpr size_t kSiteBytesV4 = 3;
constexpr size_t kSiteBytesV6 = 6;

// RFC 6598: between a carrier's box and the customers'.
bool is_shared(const IpEndpoint& endpoint) {
  return !endpoint.is_v6 && endpoint.address[0] == 100 && (endpoint.address[1] & 0xc0) == 64;
}

bool is_local(const IpEndpoint& endpoint) { return scope_of(endpoint) == AddressScope::local || is_shared(endpoint); }

// Nobody's: "this network", multicast and what is above it (RFC 1122 section 3.2.1.3, RFC 4291 section 2.7).
bool is_nobody(const IpEndpoint& endpoint) {
  if (is_unspecified(endpoint)) return true;
  if (endpoint.is_v6) return endpoint.address[0] == 0xff;
  return endpoint.address[0] == 0 || endpoint.address[0] >= 224;
}

}  // namespace

bool AddressFilter::allows(const IpEndpoint& given) const {
  const IpEndpoint endpoint = unmapped(given);
  if (endpoint.port == 0 || is_nobody(endpoint)) return false;
  if (is_loopback(endpoint)) return loopback;
  return local || !is_local(endpoint);
}

bool AddressFilter::allows(const Multiaddr& address) const {
  const auto endpoint = endpoint_of(address);
  return endpoint && allows(*endpoint);
}

Subnet subnet_of(const IpEndpoint& given) {
  const IpEndpoint endpoint = unmapped(given);
  Subnet out{};
  out[0] = endpoint.is_v6 ? 6 : 4;
  const bool whole = is_loopback(endpoint) || is_local(endpoint);
  const size_t site = endpoint.is_v6 ? kSiteBytesV6 : kSiteBytesV4;
  std::copy_n(endpoint.address.begin(), whole ? endpoint.address.size() : site, out.begin() + 1);
  return out;
}

std::optional<IpEndpoint> endpoint_of(const Multiaddr& address) {
  const auto shape = shape_of(address);
  return shape ? shape->ip : std::nullopt;
}

std::optional<IpEndpoint> endpoint_of(std::string_view multiaddr) {
  const auto address = Multiaddr::parse(multiaddr);
  return address.ok() ? endpoint_of(*address) : std::nullopt;
}

bool same_ip(const IpEndpoint& a, const IpEndpoint& b) {
  IpEndpoint x = unmapped(a);
  IpEndpoint y = unmapped(b);
  x.port = y.port = 0;
  return x == y;
}

bool is_relayed(std::string_view multiaddr) { return multiaddr.find("/p2p-circuit") != std::string_view::npos; }

}  // namespace sereus::net
