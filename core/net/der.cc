#include "core/net/der.h"

namespace sereus::net::der {

std::optional<Element> Reader::next() {
  if (rest_.size() < 2) return std::nullopt;
  const uint8_t tag = rest_[0];
  if ((tag & 0x1f) == 0x1f) return std::nullopt;  // multi-byte tags do not occur in what we read
  size_t header = 2;
  size_t length = rest_[1];
  if (length >= 0x80) {
    const size_t count = length & 0x7f;
    // X.690 10.1: definite form, as few bytes as possible. Four bytes are more than any certificate of ours.
    if (count == 0 || count > 4 || rest_.size() < 2 + count) return std::nullopt;
    length = 0;
    for (size_t i = 0; i < count; ++i) length = (length << 8) | rest_[2 + i];
    if (length < 0x80 || rest_[2] == 0) return std::nullopt;
    header += count;
  }
  if (length > rest_.size() - header) return std::nullopt;
  const Element element{tag, rest_.subspan(header, length), rest_.first(header + length)};
  rest_ = rest_.subspan(header + length);
  return element;
}

std::optional<Element> Reader::next(uint8_t tag) { return next_is(tag) ? next() : std::nullopt; }

std::optional<ByteView> next_positive(Reader& reader) {
  const auto element = reader.next(kInteger);
  if (!element || element->content.empty()) return std::nullopt;
  const ByteView content = element->content;
  if (content[0] != 0) return (content[0] & 0x80) != 0 ? std::nullopt : std::optional(content);
  // A leading zero belongs there only before a byte that would make the number negative.
  if (content.size() == 1 || (content[1] & 0x80) == 0) return std::nullopt;
  return content.subspan(1);
}

std::optional<ByteView> bit_string_bytes(ByteView content) {
  if (content.empty() || content[0] != 0) return std::nullopt;
  return content.subspan(1);
}

Bytes wrap(uint8_t tag, std::initializer_list<ByteView> parts) {
  size_t length = 0;
  for (const ByteView part : parts) length += part.size();
  Bytes out;
  out.reserve(length + 6);
  out.push_back(tag);
  if (length < 0x80) {
    out.push_back(static_cast<uint8_t>(length));
  } else {
    size_t count = 1;
    while (count < 4 && (length >> (8 * count)) != 0) ++count;
    out.push_back(static_cast<uint8_t>(0x80 | count));
    for (size_t i = count; i-- > 0;) out.push_back(static_cast<uint8_t>(length >> (8 * i)));
  }
  for (const ByteView part : parts) append(out, part);
  return out;
}

}  // namespace sereus::net::der
