// Messages of AutoNAT version 1 (libp2p specs, autonat/autonat-v1): "dial me back", and what came of it. Codec only; the machines
// are autonat_client.h's and autonat_server.h's. docs/formats/transport.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/multiaddr.h"
#include "core/net/peer_id.h"

namespace sereus::net {

inline constexpr std::string_view kAutoNatProtocol = "/libp2p/autonat/1.0.0";

// Numbers of the wire.
enum class AutoNatStatus : uint32_t {
  ok = 0,
  dial_error = 100,
  dial_refused = 101,
  bad_request = 200,
  internal_error = 300,
};

struct AutoNatDial {
  PeerId peer;  // who asks: the one that is to be dialed
  std::vector<Multiaddr> addresses;
  size_t skipped = 0;  // addresses that are none we know
};

struct AutoNatAnswer {
  AutoNatStatus status = AutoNatStatus::internal_error;
  std::string text;
  std::optional<Multiaddr> address;  // that answered, with AutoNatStatus::ok
};

Bytes encode_autonat_dial(const AutoNatDial& message);
// Errors of both: Code::malformed (also for the other of the two messages, and without a peer), Code::too_large (over
// kAutoNatAddressesMax), Code::unsupported for a status that is none of the above.
Result<AutoNatDial> decode_autonat_dial(ByteView message);

Bytes encode_autonat_answer(const AutoNatAnswer& message);
Result<AutoNatAnswer> decode_autonat_answer(ByteView message);

}  // namespace sereus::net
