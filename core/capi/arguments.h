// Checking and copying what a C caller passed. Every function takes null and rubbish.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/capi/limits.h"
#include "sereus.h"

namespace sereus::capi {

// Copies a caller's struct, whose `size` may be that of an older version (the rest becomes zero) or of a newer one (what
// we do not know must be zero: Code::unsupported). `size_min` is the size of the first version.
template <typename T>
Code copy_struct(const T* from, size_t size_min, T* to) {
  *to = T{};
  const size_t size = from->size;
  if (size < size_min || size > kStructSizeMax) return Code::invalid;
  std::memcpy(static_cast<void*>(to), from, std::min(size, sizeof(T)));
  const auto* raw = reinterpret_cast<const uint8_t*>(from);
  for (size_t i = sizeof(T); i < size; ++i) {
    if (raw[i] != 0) return Code::unsupported;
  }
  to->size = sizeof(T);
  return Code::ok;
}

enum class Presence : uint8_t { optional, required };

// Null text is empty, or Code::invalid when required (as is empty text then). Not UTF-8: invalid. Over `size_max`: too_large.
Code copy_text(const char* from, size_t size_max, Presence presence, Bytes* to);
Code copy_bytes(sereus_bytes from, size_t size_max, Bytes* to);
bool valid_bytes(sereus_bytes bytes);

}  // namespace sereus::capi

#define SEREUS_CHECK(expr)                                                             \
  do {                                                                                 \
    const ::sereus::Code sereus_code_ = (expr);                                        \
    if (sereus_code_ != ::sereus::Code::ok) return static_cast<int32_t>(sereus_code_); \
  } while (false)
