#include "core/codec/cbor.h"
#include "core/codec/utf8.h"

namespace sereus::codec {
namespace {

constexpr uint8_t kUint = 0;
constexpr uint8_t kNegative = 1;
constexpr uint8_t kBytes = 2;
constexpr uint8_t kText = 3;
constexpr uint8_t kArray = 4;
constexpr uint8_t kMap = 5;
constexpr uint8_t kFalse = 0xf4;
constexpr uint8_t kTrue = 0xf5;
constexpr uint8_t kNull = 0xf6;

}  // namespace

void CborWriter::head(uint8_t major, uint64_t value) {
  const auto top = static_cast<uint8_t>(major << 5);
  if (value < 24) {
    out_.push_back(static_cast<uint8_t>(top | value));
    return;
  }
  uint8_t raw[9];
  size_t size = 0;
  if (value <= 0xff) {
    raw[0] = top | 24;
    raw[1] = static_cast<uint8_t>(value);
    size = 2;
  } else if (value <= 0xffff) {
    raw[0] = top | 25;
    store_be(raw + 1, static_cast<uint16_t>(value));
    size = 3;
  } else if (value <= 0xffffffff) {
    raw[0] = top | 26;
    store_be(raw + 1, static_cast<uint32_t>(value));
    size = 5;
  } else {
    raw[0] = top | 27;
    store_be(raw + 1, value);
    size = 9;
  }
  append(out_, ByteView(raw, size));
}

// Accounts for an item that lies in out_ from `from` on: key order in maps, and containers that are now full.
void CborWriter::scalar_written(size_t from, bool may_be_key) {
  if (depth_ == 0) return;
  Frame& frame = frames_[depth_ - 1];
  SEREUS_ASSERT(frame.remaining > 0);
  if (frame.is_map && frame.remaining % 2 == 0) {
    SEREUS_ASSERT(may_be_key);
    const ByteView all(out_);
    const ByteView key = all.subspan(from);
    SEREUS_ASSERT(frame.key_size == 0 || compare(all.subspan(frame.key_at, frame.key_size), key) < 0);
    frame.key_at = from;
    frame.key_size = key.size();
  }
  --frame.remaining;
  while (depth_ > 0 && frames_[depth_ - 1].remaining == 0) --depth_;
}

void CborWriter::open(uint8_t major, size_t count, uint64_t items) {
  SEREUS_ASSERT(depth_ < kCborDepthMax);
  head(major, count);
  if (depth_ > 0) {
    Frame& outer = frames_[depth_ - 1];
    SEREUS_ASSERT(outer.remaining > 0 && !(outer.is_map && outer.remaining % 2 == 0));
    --outer.remaining;
  }
  frames_[depth_++] = Frame{items, major == kMap, 0, 0};
  while (depth_ > 0 && frames_[depth_ - 1].remaining == 0) --depth_;
}

void CborWriter::uint(uint64_t value) {
  const size_t from = out_.size();
  head(kUint, value);
  scalar_written(from, true);
}

void CborWriter::integer(int64_t value) {
  const size_t from = out_.size();
  if (value >= 0) {
    head(kUint, static_cast<uint64_t>(value));
  } else {
    head(kNegative, ~static_cast<uint64_t>(value));  // -1 - value
  }
  scalar_written(from, true);
}

void CborWriter::bytes(ByteView value) {
  const size_t from = out_.size();
  head(kBytes, value.size());
  append(out_, value);
  scalar_written(from, true);
}

void CborWriter::text(std::string_view value) {
  SEREUS_ASSERT(valid_utf8(as_bytes(value)));
  const size_t from = out_.size();
  head(kText, value.size());
  append(out_, as_bytes(value));
  scalar_written(from, true);
}

void CborWriter::array(size_t count) { open(kArray, count, count); }

void CborWriter::map(size_t count) {
  SEREUS_ASSERT(count <= SIZE_MAX / 2);
  open(kMap, count, uint64_t{2} * count);
}

void CborWriter::boolean(bool value) {
  const size_t from = out_.size();
  out_.push_back(value ? kTrue : kFalse);
  scalar_written(from, false);
}

void CborWriter::null() {
  const size_t from = out_.size();
  out_.push_back(kNull);
  scalar_written(from, false);
}

void CborWriter::encoded_item(ByteView item) {
  SEREUS_ASSERT(!item.empty());
  const size_t from = out_.size();
  append(out_, item);
  scalar_written(from, (item[0] >> 5) <= kText);
}

}  // namespace sereus::codec
