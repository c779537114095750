// Frames between Sereus nodes: u32be size of the rest, u16be type, FlatBuffers payload. The type numbers are one
// registry for all our protocols (docs/formats/sync.md): append only, an unknown one ends the stream.
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace sereus::store {

enum class FrameType : uint16_t {
  sync_open = 1,
  sync_tips = 2,
  sync_range = 3,
  sync_state = 4,
  sync_refused = 5,
  join_request = 32,
  join_response = 33,
};

inline constexpr size_t kFrameHeaderSize = 6;
// A range of kRangeBytesMax, or one largest entry, and the FlatBuffers fields around it.
inline constexpr size_t kFrameSizeMax = 2 * 1024 * 1024 + 64 * 1024;

// Appends a frame to `out`. Precondition: the payload fits kFrameSizeMax.
void append_frame(Bytes& out, FrameType type, ByteView payload);

struct Frame {
  FrameType type = FrameType::sync_open;
  Bytes payload;
};

// Cuts a byte stream into frames. Holds at most one frame's bytes, and reserves no more than has arrived.
class FrameReader {
 public:
  // A reader for a protocol whose frames are smaller can say so.
  explicit FrameReader(size_t frame_size_max = kFrameSizeMax) : frame_size_max_(frame_size_max) {}
  void feed(ByteView bytes) { append(buffer_, bytes); }
  // The next whole frame, nothing when more bytes are needed, Code::protocol when the stream cannot be one of frames.
  Result<std::optional<Frame>> next();
  size_t buffered() const { return buffer_.size() - taken_; }
  // The bytes behind the last frame, for another reader that takes the stream over.
  Bytes take_rest();

 private:
  Bytes buffer_;
  size_t taken_ = 0;
  size_t frame_size_max_;
};

}  // namespace sereus::store
