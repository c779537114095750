// The one error type of the core. Codes equal the SEREUS_E_* statuses of the C ABI (core/capi asserts it), so an
// error travels from the deepest room to a binding without translation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sereus {

// Append only: the numbers are part of the ABI.
enum class Code : int32_t {
  ok = 0,
  invalid = -1,         // an argument is wrong: the caller's mistake
  not_found = -2,       // no such store, key, peer, operation
  exists = -3,          // it is there already
  again = -4,           // a bounded queue is full: retry after draining
  busy = -5,            // held by another process or operation
  closed = -6,          // the node, store or stream is closed
  cancelled = -7,       // the operation was cancelled
  timeout = -8,         // no answer in time
  denied = -9,          // not authorised
  passphrase = -10,     // wrong or missing passphrase
  corrupt = -11,        // stored data is damaged
  too_new = -12,        // written by a newer version
  too_large = -13,      // over a named limit
  malformed = -14,      // received or given bytes do not parse
  bad_signature = -15,  // a signature does not verify
  wrong_store = -16,    // an entry of another store
  fork = -17,           // an author signed two entries with one predecessor
  gap = -18,            // a predecessor is missing
  no_space = -19,       // disk full or quota reached
  io = -20,             // the operating system refused an operation
  unreachable = -21,    // a peer could not be reached
  protocol = -22,       // a peer broke the protocol
  expired = -23,        // an invite or certificate is past its date
  unsupported = -24,    // not in this build or on this platform
  no_memory = -25,      // allocation failed
  internal = -26,       // a defect of Sereus: please report
  no_identity = -27,    // the data folder has no identity yet
  archived = -28,       // the store was deleted and is kept read-only
  suspended = -29,      // the node is suspended
  future = -30,         // the timestamp is too far ahead
  pending = -31,        // authority not known yet: try again after the root store has synced
};

struct Error {
  Code code = Code::internal;
  std::string detail;  // one line in a person's words; never keys, tokens or content
};

// Stable name, "SEREUS_E_NOT_FOUND", and one-line meaning. Unknown numbers give "SEREUS_E_UNKNOWN".
std::string_view code_name(Code code);
std::string_view code_meaning(Code code);

}  // namespace sereus
