// UTF-8 as RFC 3629 allows it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include "core/base/bytes.h"

namespace sereus::codec {

bool valid_utf8(ByteView text);

}  // namespace sereus::codec

namespace sereus {
using namespace codec;  // the rooms above write these names with or without "codec::"
}
