// A byte queue in chunks that never move: what a QUIC stream has received and the application not yet read, or has
// written and the peer not yet acknowledged (ngtcp2 keeps pointers into it until then).
#pragma once

#include <deque>
#include <memory>
#include <span>

#include "core/base/bytes.h"

namespace sereus::net {

class ChunkBuffer {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void append(ByteView data);
  // Drops bytes off the front; size <= size().
  void discard(size_t count);
  // Copies off the front and drops what was copied.
  size_t read(ByteSpan out);
  void clear();

  // The stored bytes from `offset` (counted from the front) as up to out.size() spans; returns how many.
  size_t peek(size_t offset, std::span<ByteView> out) const;

 private:
  struct Chunk {
    std::unique_ptr<uint8_t[]> data;
    size_t begin = 0;  // consumed before
    size_t end = 0;    // filled up to
    size_t capacity = 0;
  };

  std::deque<Chunk> chunks_;
  size_t size_ = 0;
};

}  // namespace sereus::net
