#include "core/net/chunk_buffer.h"

#include <algorithm>

#include "core/base/assert.h"

namespace sereus::net {
namespace {

// Chunks grow with what the buffer holds: a stream of small messages costs a page, a transfer few allocations.
constexpr size_t kChunkMin = 4 << 10;
constexpr size_t kChunkMax = 64 << 10;

}  // namespace

void ChunkBuffer::append(ByteView data) {
  while (!data.empty()) {
    if (chunks_.empty() || chunks_.back().end == chunks_.back().capacity) {
      Chunk chunk;
      chunk.capacity = std::clamp(std::max(data.size(), size_), kChunkMin, kChunkMax);
      // Not zeroed: every byte is written before it is read.
      chunk.data = std::unique_ptr<uint8_t[]>(new uint8_t[chunk.capacity]);
      chunks_.push_back(std::move(chunk));
    }
    Chunk& tail = chunks_.back();
    const size_t count = std::min(data.size(), tail.capacity - tail.end);
    std::memcpy(tail.data.get() + tail.end, data.data(), count);
    tail.end += count;
    size_ += count;
    data = data.subspan(count);
  }
}

void ChunkBuffer::discard(size_t count) {
  SEREUS_ASSERT(count <= size_);
  size_ -= count;
  while (count > 0) {
    Chunk& front = chunks_.front();
    const size_t part = std::min(count, front.end - front.begin);
    front.begin += part;
    count -= part;
    if (front.begin == front.end && (size_ == 0 || front.end == front.capacity)) chunks_.pop_front();
  }
}

size_t ChunkBuffer::read(ByteSpan out) {
  size_t done = 0;
  while (done < out.size() && size_ > 0) {
    const Chunk& front = chunks_.front();
    const size_t count = std::min(out.size() - done, front.end - front.begin);
    std::memcpy(out.data() + done, front.data.get() + front.begin, count);
    done += count;
    discard(count);
  }
  return done;
}

void ChunkBuffer::clear() {
  chunks_.clear();
  size_ = 0;
}

size_t ChunkBuffer::peek(size_t offset, std::span<ByteView> out) const {
  SEREUS_ASSERT(offset <= size_);
  size_t count = 0;
  for (auto it = chunks_.begin(); it != chunks_.end() && count < out.size(); ++it) {
    const size_t held = it->end - it->begin;
    if (offset >= held) {
      offset -= held;
      continue;
    }
    out[count++] = ByteView(it->data.get() + it->begin + offset, held - offset);
    offset = 0;
  }
  return count;
}

}  // namespace sereus::net
