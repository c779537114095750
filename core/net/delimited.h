// Messages on a stream behind their length: varint size || message, as libp2p's protobuf protocols send them.
#pragma once

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace sereus::net {

// Collects one message at a time. Holds at most `message_max` bytes, and no more than have arrived: a length that is
// announced costs nothing.
class DelimitedReader {
 public:
  explicit DelimitedReader(size_t message_max) : message_max_(message_max) {}

  // Takes bytes up to the end of the message; returns how many. None while complete(). Errors: malformed (a length that is
  // no shortest varint), too_large.
  Result<size_t> feed(ByteView in);

  bool complete() const { return has_size_ && message_.size() == size_; }
  // Nothing of a message has arrived: the only place where a stream may end.
  bool between_messages() const { return !has_size_ && head_.empty(); }
  Bytes take();  // the complete message; the next one may come

 private:
  size_t message_max_;
  Bytes head_;  // the length, until it is all there
  bool has_size_ = false;
  size_t size_ = 0;
  Bytes message_;
};

Bytes delimited(ByteView message);

}  // namespace sereus::net
