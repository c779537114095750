// The 12 bytes before every yamux frame (libp2p specs, yamux: "Framing").
#pragma once

#include <cstdint>
#include <span>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace sereus::net {

inline constexpr size_t kYamuxHeaderSize = 12;

enum class YamuxType : uint8_t { data = 0, window_update = 1, ping = 2, go_away = 3 };

// What GO_AWAY carries ("Session termination").
enum class YamuxGoAway : uint32_t { normal = 0, protocol_error = 1, internal_error = 2 };

struct YamuxHeader {
  static constexpr uint16_t kSyn = 1;
  static constexpr uint16_t kAck = 2;
  static constexpr uint16_t kFin = 4;
  static constexpr uint16_t kRst = 8;

  YamuxType type = YamuxType::data;
  uint16_t flags = 0;
  uint32_t stream = 0;  // 0 is the session
  uint32_t length = 0;  // of data; the delta of a window; the value of a ping; the code of a GO_AWAY

  bool has(uint16_t flag) const { return (flags & flag) != 0; }
  friend bool operator==(const YamuxHeader&, const YamuxHeader&) = default;
};

void append_yamux_header(Bytes& out, const YamuxHeader& header);

// Judges what can be judged without knowing the session: version, type, flags, and whether a stream is named where there
// must be one. Code::protocol, or Code::too_new for another version.
Result<YamuxHeader> parse_yamux_header(std::span<const uint8_t, kYamuxHeaderSize> raw);

}  // namespace sereus::net
