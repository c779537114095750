// Text decoders and varints: strict, so that what decodes encodes to the same text.
#include <cstdint>

#include "core/base/assert.h"
#include "core/codec/multibase.h"
#include "core/codec/utf8.h"
#include "core/codec/varint.h"
#include "core/ports/datagram.h"

using namespace sereus;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  const std::string_view text = as_text(input);
  if (const auto bytes = base58btc_decode(text)) SEREUS_ASSERT(base58btc_encode(*bytes) == text);
  if (const auto bytes = base32_decode(text)) SEREUS_ASSERT(base32_encode(*bytes) == text);
  if (const auto bytes = base64url_decode(text)) SEREUS_ASSERT(base64url_encode(*bytes) == text);
  if (const auto bytes = multibase_decode(text)) {
    SEREUS_ASSERT(multibase_encode(static_cast<Multibase>(text.front()), *bytes) == text);
  }
  if (size <= kBase58BytesMax) SEREUS_ASSERT(to_bytes(input) == base58btc_decode(base58btc_encode(input)));
  (void)valid_utf8(input);
  ByteView rest = input;
  while (const auto value = varint_read(rest)) {
    Bytes again;
    varint_append(again, *value);
    SEREUS_ASSERT(equal(again, input.subspan(input.size() - rest.size() - again.size(), again.size())));
  }
  if (const auto endpoint = parse_ip_endpoint(text)) SEREUS_ASSERT(parse_ip_endpoint(to_string(*endpoint)) == endpoint);
  return 0;
}
