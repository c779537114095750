// Messages of Circuit Relay v2 and vouchers. Nothing faults, and what is taken is written to something that reads the same.
#include <cstdint>

#include "core/base/assert.h"
#include "core/net/circuit_message.h"

using namespace sereus;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  if (const auto hop = net::decode_hop(input); hop.ok()) {
    // It may be longer than what came, where addresses were not written in their shortest form.
    if (const auto bytes = net::encode_hop(*hop); bytes.ok()) {
      const auto again = net::decode_hop(*bytes);
      SEREUS_ASSERT(again.ok() && net::encode_hop(*again).value() == *bytes);
      SEREUS_ASSERT(again->peer == hop->peer && again->status == hop->status);
    }
    if (hop->reservation) (void)net::open_voucher(hop->reservation->voucher).ok();
  }
  if (const auto stop = net::decode_stop(input); stop.ok()) {
    const auto bytes = net::encode_stop(*stop);
    SEREUS_ASSERT(bytes.ok());
    const auto again = net::decode_stop(*bytes);
    SEREUS_ASSERT(again.ok() && again->peer == stop->peer && again->status == stop->status);
  }
  if (const auto voucher = net::open_voucher(input); voucher.ok()) SEREUS_ASSERT(!voucher->relay.empty());
  return 0;
}
