// Messages of AutoNAT version 2 (libp2p specs, autonat/autonat-v2). Codec only; the machines are autonat_client.h's and
// autonat_server.h's. docs/formats/transport.md.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/multiaddr.h"

namespace sereus::net {

inline constexpr std::string_view kAutoNatRequestProtocol = "/libp2p/autonat/2/dial-request";
inline constexpr std::string_view kAutoNatDialBackProtocol = "/libp2p/autonat/2/dial-back";

// On the request's stream.
struct AutoNatRequest {
  // In the order of the wire, since answers name them by their place. One that is no address we know is empty.
  std::vector<Multiaddr> addresses;
  uint64_t nonce = 0;
};

// Numbers of the wire.
enum class AutoNatOutcome : uint32_t {
  internal_error = 0,
  request_rejected = 100,
  dial_refused = 101,
  ok = 200,
};
enum class AutoNatDialStatus : uint32_t {
  unused = 0,
  dial_error = 100,
  dial_back_error = 101,
  ok = 200,
};
struct AutoNatResponse {
  AutoNatOutcome outcome = AutoNatOutcome::internal_error;
  uint32_t index = 0;
  AutoNatDialStatus dial = AutoNatDialStatus::unused;
};
// What the server wants to be sent before it dials an address that is not the asking peer's.
struct AutoNatDataRequest {
  uint32_t index = 0;
  uint64_t bytes = 0;
};
struct AutoNatData {
  size_t bytes = 0;  // of its data, which means nothing
};
using AutoNatV2Message = std::variant<AutoNatRequest, AutoNatResponse, AutoNatDataRequest, AutoNatData>;

Bytes encode_autonat_v2(const AutoNatV2Message& message);
// Exactly one of the four. Code::malformed, Code::too_large (addresses over kAutoNatAddressesMax, data over kAutoNatDataChunkMax),
// Code::unsupported for status numbers that are none of the above ("must discard").
Result<AutoNatV2Message> decode_autonat_v2(ByteView message);

// On the dial-back's stream.
Bytes encode_autonat_dial_back(uint64_t nonce);
// Code::malformed without a nonce.
Result<uint64_t> decode_autonat_dial_back(ByteView message);
Bytes encode_autonat_dial_back_answer();
// Code::unsupported for another status than OK.
Status decode_autonat_dial_back_answer(ByteView message);

}  // namespace sereus::net
