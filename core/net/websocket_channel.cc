#include "core/net/websocket_channel.h"

#include <algorithm>
#include <utility>

#include "core/codec/utf8.h"
#include "core/net/websocket_handshake.h"

namespace sereus::net {
namespace {

// RFC 6455 section 11.8.
constexpr uint8_t kContinuation = 0x0;
constexpr uint8_t kText = 0x1;
constexpr uint8_t kBinary = 0x2;
constexpr uint8_t kClose = 0x8;
constexpr uint8_t kPing = 0x9;
constexpr uint8_t kPong = 0xa;

constexpr uint8_t kFinal = 0x80;
constexpr uint8_t kReserved = 0x70;
constexpr uint8_t kMasked = 0x80;
constexpr uint8_t kLengthBits = 0x7f;
constexpr uint8_t kLength16 = 126;
constexpr uint8_t kLength64 = 127;

// RFC 6455 section 7.4.1.
constexpr uint16_t kNormal = 1000;
constexpr uint16_t kProtocolError = 1002;
constexpr uint16_t kUnsupportedData = 1003;
constexpr uint16_t kNoStatus = 1005;

bool is_control(uint8_t opcode) { return (opcode & 0x8) != 0; }

size_t length_size(uint8_t bits) { return bits == kLength64 ? 8 : bits == kLength16 ? 2 : 0; }

// Statuses that may be on the wire (RFC 6455 section 7.4, with those registered since).
bool is_status(uint16_t status) {
  if (status >= 3000) return status <= 4999;
  return status >= 1000 && status <= 1014 && (status < 1004 || status > 1006);
}

// RFC 6455 section 5.3.
void apply_mask(ByteSpan bytes, const std::array<uint8_t, 4>& mask, size_t at) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] ^= mask[(at + i) % 4];
}

}  // namespace

WebSocketChannel::WebSocketChannel(bool client, std::string host, std::vector<std::string> origins, Random& random,
                                   const Times& now)
    : client_(client),
      host_(std::move(host)),
      origins_(std::move(origins)),
      random_(random),
      now_(now),
      head_(std::make_unique<HttpHead>(client ? HttpHead::Kind::response : HttpHead::Kind::request)),
      idle_(kWebSocketIdleBurst, kWebSocketIdlePerSecond, now.mono_us) {}

std::unique_ptr<WebSocketChannel> WebSocketChannel::client(std::string host, Random& random, const Times& now) {
  return std::unique_ptr<WebSocketChannel>(new WebSocketChannel(true, std::move(host), {}, random, now));
}

std::unique_ptr<WebSocketChannel> WebSocketChannel::server(std::vector<std::string> origins, Random& random,
                                                           const Times& now) {
  return std::unique_ptr<WebSocketChannel>(new WebSocketChannel(false, {}, std::move(origins), random, now));
}

Status WebSocketChannel::start(Bytes& out) {
  if (!client_) return {};
  std::array<uint8_t, kWebSocketNonceSize> nonce{};
  random_.fill(nonce);
  key_ = websocket_key(nonce);
  append(out, as_bytes(websocket_request(host_, key_)));
  return {};
}

Error WebSocketChannel::give_up(Error error) {
  state_ = State::failed;
  head_.reset();
  control_ = Bytes();
  error_ = error;
  return error;
}

Status WebSocketChannel::feed(ByteView in, Bytes& out, Bytes& plain) {
  if (state_ == State::failed) return error_;
  while (!in.empty() && state_ != State::ended) {
    Status taken;
    if (state_ == State::handshaking) {
      taken = take_head(in, out);
    } else if (part_ == Part::header) {
      taken = take_header(in, out);
    } else {
      taken = take_payload(in, out, plain);
    }
    if (taken.ok()) continue;
    if (state_ == State::established && !close_sent_) append_close(close_status_, out);
    return give_up(taken.error());
  }
  return {};
}

// ---- The upgrade ----------------------------------------------------------------------------------------------------

Status WebSocketChannel::take_head(ByteView& in, Bytes& out) {
  const Result<size_t> taken = head_->feed(in);
  if (!taken.ok()) {
    if (!client_) append(out, as_bytes(refuse_http(taken.error())));
    return taken.error();
  }
  in = in.subspan(*taken);
  if (!head_->complete()) return {};
  // An honest client waits for the answer (RFC 6455 section 4.1): who does not may be smuggling through a proxy.
  if (!client_ && !in.empty()) {
    const Error early = fail(Code::protocol, "websocket: bytes behind the request before it was answered");
    append(out, as_bytes(refuse_http(early)));
    return early;
  }
  SEREUS_TRY(on_head(out));
  head_.reset();
  state_ = State::established;
  return {};
}

Status WebSocketChannel::on_head(Bytes& out) {
  if (client_) return check_websocket_response(*head_, key_);
  WebSocketAnswer answer = answer_websocket_request(*head_, origins_);
  append(out, as_bytes(answer.response));
  return std::move(answer.verdict);
}

// ---- Frames received ------------------------------------------------------------------------------------------------

Status WebSocketChannel::take_header(ByteView& in, Bytes& out) {
  header_[header_size_++] = in.front();
  in = in.subspan(1);
  if (header_size_ < 2) return {};
  const size_t masked = (header_[1] & kMasked) != 0 ? 4 : 0;
  if (header_size_ == 2) {
    // Looked at before more is waited for.
    close_status_ = kProtocolError;
    if (header_[0] == (kFinal | kText) || header_[0] == kText) close_status_ = kUnsupportedData;
    SEREUS_TRY(check_header());
  }
  if (header_size_ < 2 + length_size(header_[1] & kLengthBits) + masked) return {};
  return on_header(out);
}

// RFC 6455 sections 5.1 to 5.5; the first two bytes are there.
Status WebSocketChannel::check_header() const {
  const uint8_t opcode = header_[0] & 0x0f;
  const bool final = (header_[0] & kFinal) != 0;
  if ((header_[0] & kReserved) != 0)
    return fail(Code::protocol, "websocket: a frame of an extension that was not agreed on");
  if (((header_[1] & kMasked) != 0) == client_) {
    return fail(Code::protocol,
                client_ ? "websocket: a masked frame of a server" : "websocket: an unmasked frame of a client");
  }
  switch (opcode) {
    case kContinuation:
      if (!in_message_) return fail(Code::protocol, "websocket: a continuation of nothing");
      break;
    case kBinary:
      if (in_message_) return fail(Code::protocol, "websocket: a message inside another");
      break;
    case kText:
      return fail(Code::unsupported, "websocket: a text message; libp2p's are binary");
    case kClose:
    case kPing:
    case kPong:
      if (!final || (header_[1] & kLengthBits) > kWebSocketControlMax) {
        return fail(Code::protocol, "websocket: a control frame that is fragmented or too long");
      }
      break;
    default:
      return fail(Code::protocol, "websocket: an unknown kind of frame");
  }
  return {};
}

Status WebSocketChannel::on_header(Bytes& out) {
  opcode_ = header_[0] & 0x0f;
  final_ = (header_[0] & kFinal) != 0;
  const uint8_t bits = header_[1] & kLengthBits;
  const uint8_t* const at = header_.data() + 2;
  left_ = bits == kLength64 ? load_be<uint64_t>(at) : bits == kLength16 ? load_be<uint16_t>(at) : bits;
  const bool shortest =
      bits == kLength64 ? left_ > UINT16_MAX && left_ >> 63 == 0 : bits != kLength16 || left_ >= kLength16;
  if (!shortest) return fail(Code::protocol, "websocket: a frame length that is too large or not in its shortest form");
  if (!client_) std::copy_n(at + length_size(bits), mask_.size(), mask_.begin());
  mask_at_ = 0;
  header_size_ = 0;
  if (!is_control(opcode_)) in_message_ = !final_;
  if ((left_ == 0 || is_control(opcode_)) && !idle_.take(now_.mono_us)) {
    return fail(Code::protocol, "websocket: too many frames without content");
  }
  if (left_ > 0) {
    part_ = Part::payload;
    return {};
  }
  return is_control(opcode_) ? on_control(out) : Status();
}

void WebSocketChannel::unmask(ByteSpan bytes) {
  if (!client_) apply_mask(bytes, mask_, mask_at_);
  mask_at_ = (mask_at_ + bytes.size()) % mask_.size();
}

Status WebSocketChannel::take_payload(ByteView& in, Bytes& out, Bytes& plain) {
  const auto count = static_cast<size_t>(std::min<uint64_t>(left_, in.size()));
  Bytes& to = is_control(opcode_) ? control_ : plain;
  append(to, in.first(count));
  unmask(ByteSpan(to).last(count));
  in = in.subspan(count);
  left_ -= count;
  if (left_ > 0) return {};
  part_ = Part::header;
  return is_control(opcode_) ? on_control(out) : Status();
}

Status WebSocketChannel::on_control(Bytes& out) {
  const Bytes payload = std::exchange(control_, Bytes());
  if (opcode_ == kPing && !close_sent_) append_frame(kPong, payload, out);
  if (opcode_ != kClose) return {};
  uint16_t status = kNoStatus;
  if (!payload.empty()) {
    // RFC 6455 section 5.5.1: a status, and a reason in UTF-8.
    if (payload.size() == 1) return fail(Code::protocol, "websocket: half a close status");
    status = load_be<uint16_t>(payload.data());
    if (!is_status(status)) return fail(Code::protocol, "websocket: a close status that means nothing");
    if (!codec::valid_utf8(ByteView(payload).subspan(2))) {
      return fail(Code::protocol, "websocket: a close reason that is not UTF-8");
    }
  }
  if (!close_sent_) append_close(status == kNoStatus ? kNormal : status, out);
  state_ = State::ended;
  return {};
}

// ---- Frames sent ----------------------------------------------------------------------------------------------------

void WebSocketChannel::append_frame(uint8_t opcode, ByteView payload, Bytes& out) {
  out.push_back(kFinal | opcode);
  const uint8_t masked = client_ ? kMasked : 0;
  const size_t at = out.size();
  if (payload.size() < kLength16) {
    out.push_back(static_cast<uint8_t>(masked | payload.size()));
  } else if (payload.size() <= UINT16_MAX) {
    out.resize(at + 3);
    out[at] = masked | kLength16;
    store_be<uint16_t>(out.data() + at + 1, static_cast<uint16_t>(payload.size()));
  } else {
    out.resize(at + 9);
    out[at] = masked | kLength64;
    store_be<uint64_t>(out.data() + at + 1, payload.size());
  }
  std::array<uint8_t, 4> mask{};
  if (client_) {
    random_.fill(mask);  // fresh for every frame, from the strong source (RFC 6455 section 10.3)
    append(out, mask);
  }
  append(out, payload);
  if (client_) apply_mask(ByteSpan(out).last(payload.size()), mask, 0);
}

void WebSocketChannel::append_close(uint16_t status, Bytes& out) {
  std::array<uint8_t, 2> payload{};
  store_be<uint16_t>(payload.data(), status);
  append_frame(kClose, payload, out);
  close_sent_ = true;
}

Status WebSocketChannel::seal(ByteView plain, Bytes& out) {
  if (state_ == State::failed) return error_;
  if (state_ == State::handshaking) return fail(Code::again, "websocket: the upgrade is not finished");
  if (close_sent_) return fail(Code::closed, "websocket: closed");
  while (!plain.empty()) {
    const size_t count = std::min(plain.size(), kWebSocketFrameSendMax);
    append_frame(kBinary, plain.first(count), out);
    plain = plain.subspan(count);
  }
  return {};
}

void WebSocketChannel::finish(Bytes& out) {
  if (state_ == State::established && !close_sent_) append_close(kNormal, out);
}

}  // namespace sereus::net
