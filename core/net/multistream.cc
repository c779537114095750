#include "core/net/multistream.h"

#include <algorithm>
#include <utility>

#include "core/codec/varint.h"
#include "core/net/limits.h"

namespace sereus::net {
namespace {

constexpr std::string_view kHeader = "/multistream/1.0.0";
constexpr std::string_view kNotAvailable = "na";
constexpr uint8_t kNewline = '\n';

void append_line(Bytes& out, std::string_view text) {
  codec::varint_append(out, text.size() + 1);
  append(out, as_bytes(text));
  out.push_back(kNewline);
}

}  // namespace

bool valid_protocol_name(std::string_view protocol) {
  return !protocol.empty() && protocol.size() < kMultistreamLineMax && protocol.find('\n') == std::string_view::npos &&
         protocol != kNotAvailable && protocol != kHeader;
}

Multistream Multistream::initiator(std::string_view protocol, Bytes& out) {
  Multistream machine;
  machine.initiator_ = true;
  machine.protocol_ = protocol;
  append_line(out, kHeader);
  append_line(out, protocol);
  return machine;
}

Multistream Multistream::initiator(std::span<const std::string> protocols, Bytes& out) {
  Multistream machine = initiator(protocols.front(), out);
  machine.others_.assign(protocols.rbegin(), protocols.rend() - 1);
  return machine;
}

Multistream Multistream::responder() { return {}; }

size_t Multistream::feed(ByteView in, std::span<const std::string> supported, Bytes& out) {
  size_t used = 0;
  while (state_ == State::negotiating && used < in.size()) {
    pending_.push_back(in[used++]);
    uint64_t length = 0;
    size_t prefix = 0;
    const auto parsed = codec::varint_parse(pending_, length, prefix);
    if (parsed == codec::VarintState::need_more) {
      if (pending_.size() > 2) state_ = State::failed;  // a length of three bytes is over the limit already
      continue;
    }
    if (parsed == codec::VarintState::bad || length == 0 || length > kMultistreamLineMax) {
      state_ = State::failed;
      break;
    }
    const size_t missing = prefix + static_cast<size_t>(length) - pending_.size();
    const size_t taken = std::min(missing, in.size() - used);
    append(pending_, in.subspan(used, taken));
    used += taken;
    if (taken < missing) break;
    if (pending_.back() != kNewline) {
      state_ = State::failed;
      break;
    }
    const std::string line = to_string(ByteView(pending_).subspan(prefix, static_cast<size_t>(length) - 1));
    pending_.clear();
    on_line(line, supported, out);
  }
  if (state_ != State::negotiating) pending_ = Bytes();
  return used;
}

void Multistream::on_line(std::string_view line, std::span<const std::string> supported, Bytes& out) {
  if (!header_seen_) {
    header_seen_ = true;
    if (line != kHeader) {
      state_ = State::failed;
    } else if (!initiator_) {
      append_line(out, kHeader);
    }
    return;
  }
  if (initiator_) {
    if (line == protocol_) {
      state_ = State::agreed;
    } else if (line != kNotAvailable) {
      state_ = State::failed;
    } else if (others_.empty()) {
      state_ = State::refused;
    } else {
      protocol_ = std::move(others_.back());
      others_.pop_back();
      append_line(out, protocol_);
    }
    return;
  }
  if (std::find(supported.begin(), supported.end(), line) != supported.end()) {
    protocol_ = line;
    append_line(out, line);
    state_ = State::agreed;
    return;
  }
  // "ls" asks for the list of protocols; it is answered like any protocol we do not speak, so that a stranger has to
  // know what to ask for.
  if (++proposals_ >= kMultistreamProposalsMax) {
    state_ = State::failed;
    return;
  }
  append_line(out, kNotAvailable);
}

}  // namespace sereus::net
