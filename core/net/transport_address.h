// What dial() and listen() of every transport check of an address before they look at its form.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_id.h"
#include "core/ports/datagram.h"

namespace sereus::net {

// Code::invalid: no `peer`, or the address names another one.
Result<Multiaddr> parse_dial_address(std::string_view multiaddr, const PeerId& peer);
// `self` is the host's own. Code::invalid: the address names another one.
Result<Multiaddr> parse_listen_address(std::string_view multiaddr, const PeerId& self);

// `endpoint` is what the transport found in the address, `form` what it looks for. Code::unsupported: nothing;
// Code::invalid: no port, which can be listened on only.
Result<IpEndpoint> dial_endpoint(const std::optional<IpEndpoint>& endpoint, std::string_view form);
Result<IpEndpoint> listen_endpoint(const std::optional<IpEndpoint>& endpoint, std::string_view form);

}  // namespace sereus::net
