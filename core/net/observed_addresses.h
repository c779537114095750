// Where peers see this host come from (identify's observed address), and what that says about a NAT in front of it.
//
// A peer's word is one connection's; peers of one subnet (address_filter.h) count as one, so that nobody makes up an address by
// being many. Connections over QUIC leave by the socket that listens, so their observed endpoint is the NAT's mapping of it. Those
// over TCP leave by ports of their own, and only the IP address counts. A machine that is told things, without a host of its own;
// at most kObserversMax connections.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "core/net/address_filter.h"
#include "core/net/host.h"
#include "core/net/multiaddr.h"

namespace sereus::net {

// What a NAT does with the port that this host sends datagrams from (RFC 4787 section 4.1). Stable numbers.
enum class NatMapping : uint8_t {
  unknown = 0,
  none = 1,                  // peers see an address of an interface of ours
  endpoint_independent = 2,  // all see the same: an address that can be told to others
  endpoint_dependent = 3,    // each sees another ("symmetric"): none can be told
};
// "unknown", "none", ...
std::string_view nat_mapping_name(NatMapping mapping);

class ObservedAddresses {
 public:
  explicit ObservedAddresses(const AddressFilter& filter) : filter_(filter) {}

  // What the peer at `remote` says about a connection; replaces what it said before. Addresses that the filter does not allow,
  // and forms that no transport of ours has, are left out. True when the word is new.
  bool add(ConnectionId connection, const IpEndpoint& remote, bool incoming, const Multiaddr& observed);
  bool remove(ConnectionId connection) { return words_.erase(connection) > 0; }
  void clear() { words_.clear(); }

  struct Candidate {
    Multiaddr address;
    size_t observers =
        0;  // subnets that saw exactly this; 0: put together from an IP address that was seen and a listening port
  };
  // Addresses that others may reach a host at that listens on `listening`, what most peers saw first. Those of `listening` itself
  // are not among them.
  std::vector<Candidate> candidates(const std::vector<Multiaddr>& listening) const;
  NatMapping mapping(bool is_v6, const std::vector<Multiaddr>& listening) const;

 private:
  struct Word {
    Multiaddr address;
    IpEndpoint endpoint;
    TransportKind transport{};
    IpEndpoint remote;
    bool incoming = false;
  };
  // Subnets by what they saw, of one transport and family; TCP's only from connections that came in.
  std::map<Multiaddr, std::vector<Subnet>> seen(TransportKind transport, bool is_v6) const;

  AddressFilter filter_;
  std::map<ConnectionId, Word> words_;
};

}  // namespace sereus::net
