// What peers say about themselves and sign: keys, envelopes, records, identify. Nothing faults, and what is taken is
// written to something that reads the same.
#include <cstdint>

#include "core/base/assert.h"
#include "core/net/identify.h"
#include "core/net/peer_record.h"
#include "core/net/public_key.h"

using namespace sereus;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  if (const auto key = net::PublicKey::parse(input); key.ok()) {
    SEREUS_ASSERT(equal(net::write_public_key(key->type(), key->data()), input));
    (void)key->verify(input, input.first(size / 2)).ok();
  }
  if (const auto record = net::open_peer_record(input); record.ok()) SEREUS_ASSERT(!record->peer.empty());
  if (const auto message = net::decode_identify(input); message.ok()) {
    (void)net::verify_identify(*message, net::PeerId()).ok();
    if (const auto bytes = net::encode_identify(*message); bytes.ok()) {
      const auto again = net::decode_identify(*bytes);
      SEREUS_ASSERT(again.ok() && again->skipped == 0);
      SEREUS_ASSERT(net::encode_identify(*again).value() == *bytes);
    }
  }
  net::IdentifyReader reader;
  if (reader.feed(input).ok()) (void)reader.finish().ok();
  return 0;
}
