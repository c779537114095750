#include "core/net/yamux_frame.h"

namespace sereus::net {
namespace {

constexpr uint8_t kVersion = 0;
constexpr uint16_t kFlagsKnown = YamuxHeader::kSyn | YamuxHeader::kAck | YamuxHeader::kFin | YamuxHeader::kRst;

Error broken(const char* what) { return fail(Code::protocol, std::string("yamux: ") + what); }

}  // namespace

void append_yamux_header(Bytes& out, const YamuxHeader& header) {
  uint8_t raw[kYamuxHeaderSize];
  raw[0] = kVersion;
  raw[1] = static_cast<uint8_t>(header.type);
  store_be<uint16_t>(raw + 2, header.flags);
  store_be<uint32_t>(raw + 4, header.stream);
  store_be<uint32_t>(raw + 8, header.length);
  append(out, raw);
}

Result<YamuxHeader> parse_yamux_header(std::span<const uint8_t, kYamuxHeaderSize> raw) {
  if (raw[0] != kVersion) return fail(Code::too_new, "yamux: unknown version");
  if (raw[1] > static_cast<uint8_t>(YamuxType::go_away)) return broken("unknown frame type");
  YamuxHeader header;
  header.type = static_cast<YamuxType>(raw[1]);
  header.flags = load_be<uint16_t>(raw.data() + 2);
  header.stream = load_be<uint32_t>(raw.data() + 4);
  header.length = load_be<uint32_t>(raw.data() + 8);
  if ((header.flags & ~kFlagsKnown) != 0) return broken("unknown flags");
  const bool of_stream = header.type == YamuxType::data || header.type == YamuxType::window_update;
  if (of_stream != (header.stream != 0)) return broken("a stream is named where none may be, or the reverse");
  if (header.type == YamuxType::ping && header.flags != YamuxHeader::kSyn && header.flags != YamuxHeader::kAck) {
    return broken("a ping that is neither question nor answer");
  }
  return header;
}

}  // namespace sereus::net
