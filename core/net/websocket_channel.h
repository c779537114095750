// A WebSocket (RFC 6455) as a stage of a byte-stream connection: binary messages carry the bytes, and where a message begins
// or ends says nothing. docs/formats/transport.md.
//
// Sans-I/O. Payload passes through as it comes, so that a frame may have any length; held are at most kHttpHeadMax bytes of
// a head, the header of one frame, and one control frame. No extension is ever agreed on: nothing is compressed.
//
// Errors of feed(), each with the answer (an HTTP status, a close frame) appended to `out`: malformed and too_large (the
// HTTP head), denied (origin), not_found (path), unsupported (not an upgrade, a text message), protocol (anything that
// RFC 6455 forbids, or more frames without content than a peer has a use for).
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/net/allowance.h"
#include "core/net/channel.h"
#include "core/net/http_head.h"
#include "core/net/limits.h"
#include "core/ports/random.h"

namespace sereus::net {

class WebSocketChannel final : public Channel {
 public:
  // `host`: see websocket_request(). `now` is the owner's, read whenever something is fed; it and `random` outlive this.
  static std::unique_ptr<WebSocketChannel> client(std::string host, Random& random, const Times& now);
  // `origins`: see answer_websocket_request().
  static std::unique_ptr<WebSocketChannel> server(std::vector<std::string> origins, Random& random, const Times& now);

  Status start(Bytes& out) override;
  Status feed(ByteView in, Bytes& out, Bytes& plain) override;
  Status seal(ByteView plain, Bytes& out) override;
  void finish(Bytes& out) override;
  State state() const override { return state_; }
  size_t buffered() const override { return control_.capacity(); }

 private:
  enum class Part : uint8_t { header, payload };
  static constexpr size_t kHeaderMax = 14;  // two bytes, eight of length, four of mask

  WebSocketChannel(bool client, std::string host, std::vector<std::string> origins, Random& random, const Times& now);

  Status take_head(ByteView& in, Bytes& out);
  Status on_head(Bytes& out);
  Status take_header(ByteView& in, Bytes& out);
  Status on_header(Bytes& out);
  Status check_header() const;
  Status take_payload(ByteView& in, Bytes& out, Bytes& plain);
  Status on_control(Bytes& out);
  void unmask(ByteSpan bytes);
  void append_frame(uint8_t opcode, ByteView payload, Bytes& out);
  void append_close(uint16_t status, Bytes& out);
  Error give_up(Error error);

  const bool client_;
  const std::string host_;
  const std::vector<std::string> origins_;
  Random& random_;
  const Times& now_;
  State state_ = State::handshaking;
  std::unique_ptr<HttpHead> head_;  // while handshaking
  std::string key_;                 // of the client's request

  Part part_ = Part::header;
  std::array<uint8_t, kHeaderMax> header_{};
  size_t header_size_ = 0;  // bytes of it that are there
  uint8_t opcode_ = 0;      // of the frame under way
  bool final_ = false;
  uint64_t left_ = 0;  // payload bytes still to come
  std::array<uint8_t, 4> mask_{};
  size_t mask_at_ = 0;
  bool in_message_ = false;  // a continuation may come
  Bytes control_;            // payload of a control frame
  Allowance idle_;
  uint16_t close_status_ = 0;  // to be told when giving up
  bool close_sent_ = false;
  Error error_;
};

}  // namespace sereus::net
