#include "core/capi/arguments.h"

#include "core/codec/utf8.h"

namespace sereus::capi {

Code copy_text(const char* from, size_t size_max, Presence presence, Bytes* to) {
  to->clear();
  if (from == nullptr || from[0] == '\0') return presence == Presence::required ? Code::invalid : Code::ok;
  size_t size = 0;
  while (size <= size_max && from[size] != '\0') ++size;
  if (size > size_max) return Code::too_large;
  const ByteView text = as_bytes(std::string_view(from, size));
  if (!codec::valid_utf8(text)) return Code::invalid;
  *to = to_bytes(text);
  return Code::ok;
}

bool valid_bytes(sereus_bytes bytes) { return bytes.data != nullptr || bytes.size == 0; }

Code copy_bytes(sereus_bytes from, size_t size_max, Bytes* to) {
  to->clear();
  if (!valid_bytes(from)) return Code::invalid;
  if (from.size > size_max) return Code::too_large;
  if (from.size != 0) to->assign(from.data, from.data + from.size);
  return Code::ok;
}

}  // namespace sereus::capi
