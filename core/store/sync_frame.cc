#include "core/store/sync_frame.h"

namespace sereus::store {

void append_frame(Bytes& out, FrameType type, ByteView payload) {
  SEREUS_ASSERT(payload.size() + 2 <= kFrameSizeMax);
  const size_t at = out.size();
  out.resize(at + kFrameHeaderSize + payload.size());
  store_be<uint32_t>(out.data() + at, static_cast<uint32_t>(payload.size() + 2));
  store_be<uint16_t>(out.data() + at + 4, static_cast<uint16_t>(type));
  if (!payload.empty()) std::memcpy(out.data() + at + kFrameHeaderSize, payload.data(), payload.size());
}

Result<std::optional<Frame>> FrameReader::next() {
  const size_t available = buffered();
  if (available < 4) return std::optional<Frame>();
  const uint32_t size = load_be<uint32_t>(buffer_.data() + taken_);
  if (size < 2 || size > frame_size_max_) return fail(Code::protocol, "a frame's size is out of bounds");
  if (available < 4 + size_t{size}) return std::optional<Frame>();
  const uint8_t* start = buffer_.data() + taken_;
  Frame frame;
  frame.type = static_cast<FrameType>(load_be<uint16_t>(start + 4));
  frame.payload.assign(start + kFrameHeaderSize, start + 4 + size);
  taken_ += 4 + size_t{size};
  // Move the rest down only when that frees more than it copies.
  if (taken_ >= buffer_.size() - taken_) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(taken_));
    taken_ = 0;
  }
  return std::optional<Frame>(std::move(frame));
}

Bytes FrameReader::take_rest() {
  Bytes rest(buffer_.begin() + static_cast<ptrdiff_t>(taken_), buffer_.end());
  buffer_.clear();
  taken_ = 0;
  return rest;
}

}  // namespace sereus::store
