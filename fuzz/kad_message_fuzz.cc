// Messages and values of the Kad-DHT, and the address book's file. Nothing faults, and what is taken is written to something that reads
// the same.
#include <cstdint>

#include "core/base/assert.h"
#include "core/discovery/address_book.h"
#include "core/discovery/address_facts.h"
#include "core/discovery/kad_message.h"
#include "core/discovery/kad_records.h"

using namespace sereus;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  (void)discovery::facts_of(input);
  (void)discovery::open_signed_record(input).ok();
  if (const auto message = discovery::decode_kad(input); message.ok()) {
    if (const auto bytes = discovery::encode_kad(*message); bytes.ok()) {
      const auto again = discovery::decode_kad(*bytes);
      SEREUS_ASSERT(again.ok() && again->skipped == 0);
      SEREUS_ASSERT(equal(discovery::encode_kad(*again).value(), *bytes));
    }
    if (message->record) {
      const discovery::KadValidators validators;
      (void)validators.validate(message->record->key, message->record->value, 0).ok();
    }
  }
  discovery::AddressBook book;
  const Times now{1'000'000, 1'767'225'600'000'000};
  if (book.load(input, now).ok()) {
    discovery::AddressBook other;
    SEREUS_ASSERT(other.load(book.save(now), now).ok());
  }
  return 0;
}
