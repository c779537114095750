// Messages of DCUtR, direct connection upgrade through relay (libp2p specs, relay/DCUtR). Codec only; the machine is dcutr.h's.
// docs/formats/transport.md.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/multiaddr.h"

namespace sereus::net {

inline constexpr std::string_view kDcutrProtocol = "/libp2p/dcutr";

// Numbers of the wire.
enum class HolePunchType : uint32_t { connect = 100, sync = 300 };

struct HolePunchMessage {
  HolePunchType type = HolePunchType::connect;
  std::vector<Multiaddr> addresses;  // where its sender is seen, or thinks that it is
  size_t skipped = 0;                // addresses that are none we know
};

// Code::too_large over kHolePunchBytesMax.
Result<Bytes> encode_hole_punch(const HolePunchMessage& message);
// Code::malformed, Code::too_large (also over kHolePunchAddressesMax).
Result<HolePunchMessage> decode_hole_punch(ByteView message);

}  // namespace sereus::net
