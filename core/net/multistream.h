// multistream-select 1.0 (libp2p specs, connections): agreeing on a stream's protocol. A machine for one stream: bytes
// in, bytes to send out. Used on QUIC streams, and on TCP for the security and muxer steps.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/error.h"

namespace sereus::net {

class Multistream {
 public:
  enum class State : uint8_t {
    negotiating,
    agreed,   // on protocol()
    refused,  // the responder does not speak it
    failed,   // the peer broke the rules
  };

  // Proposes `protocol` at once, header and proposal together: what the application writes may follow without waiting
  // (lazy negotiation). Appends to `out`.
  static Multistream initiator(std::string_view protocol, Bytes& out);
  // Proposes the first of `protocols`, and when it is refused the next: nothing may follow before the agreement.
  // Precondition: not empty.
  static Multistream initiator(std::span<const std::string> protocols, Bytes& out);
  // Waits for proposals; answers with the first that is in `supported`.
  static Multistream responder();

  // Takes bytes the peer sent and appends answers to `out`. Returns how many bytes it used: what follows the agreement
  // belongs to the application.
  size_t feed(ByteView in, std::span<const std::string> supported, Bytes& out);

  State state() const { return state_; }
  // Agreed on; before that, what was proposed last.
  const std::string& protocol() const { return protocol_; }

 private:
  void on_line(std::string_view line, std::span<const std::string> supported, Bytes& out);

  State state_ = State::negotiating;
  bool initiator_ = false;
  bool header_seen_ = false;
  size_t proposals_ = 0;
  std::string protocol_;
  std::vector<std::string> others_;  // to be proposed when protocol_ is refused, the last one first
  Bytes pending_;  // of the line that is under way: its length and so much of its text, at most kMultistreamLineMax + 2
};

// Whether `protocol` can be proposed: not empty, fits a line, no newline.
bool valid_protocol_name(std::string_view protocol);

}  // namespace sereus::net
