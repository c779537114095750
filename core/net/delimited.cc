#include "core/net/delimited.h"

#include <algorithm>

#include "core/base/assert.h"
#include "core/codec/varint.h"

namespace sereus::net {

Result<size_t> DelimitedReader::feed(ByteView in) {
  size_t used = 0;
  while (!has_size_ && used < in.size()) {
    head_.push_back(in[used++]);
    uint64_t size = 0;
    size_t head_size = 0;
    const auto state = codec::varint_parse(head_, size, head_size);
    if (state == codec::VarintState::need_more) continue;
    if (state == codec::VarintState::bad) return fail(Code::malformed, "bad length of a message");
    if (size > message_max_) return fail(Code::too_large, "a message is too large");
    has_size_ = true;
    size_ = static_cast<size_t>(size);
  }
  if (!has_size_) return used;
  const ByteView part = in.subspan(used, std::min(in.size() - used, size_ - message_.size()));
  append(message_, part);
  return used + part.size();
}

Bytes DelimitedReader::take() {
  SEREUS_ASSERT(complete());
  Bytes out = std::move(message_);
  message_.clear();
  head_.clear();
  has_size_ = false;
  size_ = 0;
  return out;
}

Bytes delimited(ByteView message) {
  Bytes out;
  codec::varint_append(out, message.size());
  append(out, message);
  return out;
}

}  // namespace sereus::net
