#include "core/base/error.h"
#include "sereus.h"

#define SEREUS_TEXT_(x) #x
#define SEREUS_TEXT(x) SEREUS_TEXT_(x)

namespace {

using sereus::Code;

constexpr sereus_status number(Code code) { return static_cast<sereus_status>(code); }
static_assert(number(Code::ok) == SEREUS_OK);
static_assert(number(Code::invalid) == SEREUS_E_INVALID);
static_assert(number(Code::not_found) == SEREUS_E_NOT_FOUND);
static_assert(number(Code::exists) == SEREUS_E_EXISTS);
static_assert(number(Code::again) == SEREUS_E_AGAIN);
static_assert(number(Code::busy) == SEREUS_E_BUSY);
static_assert(number(Code::closed) == SEREUS_E_CLOSED);
static_assert(number(Code::cancelled) == SEREUS_E_CANCELLED);
static_assert(number(Code::timeout) == SEREUS_E_TIMEOUT);
static_assert(number(Code::denied) == SEREUS_E_DENIED);
static_assert(number(Code::passphrase) == SEREUS_E_PASSPHRASE);
static_assert(number(Code::corrupt) == SEREUS_E_CORRUPT);
static_assert(number(Code::too_new) == SEREUS_E_TOO_NEW);
static_assert(number(Code::too_large) == SEREUS_E_TOO_LARGE);
static_assert(number(Code::malformed) == SEREUS_E_MALFORMED);
static_assert(number(Code::bad_signature) == SEREUS_E_BAD_SIGNATURE);
static_assert(number(Code::wrong_store) == SEREUS_E_WRONG_STORE);
static_assert(number(Code::fork) == SEREUS_E_FORK);
static_assert(number(Code::gap) == SEREUS_E_GAP);
static_assert(number(Code::no_space) == SEREUS_E_NO_SPACE);
static_assert(number(Code::io) == SEREUS_E_IO);
static_assert(number(Code::unreachable) == SEREUS_E_UNREACHABLE);
static_assert(number(Code::protocol) == SEREUS_E_PROTOCOL);
static_assert(number(Code::expired) == SEREUS_E_EXPIRED);
static_assert(number(Code::unsupported) == SEREUS_E_UNSUPPORTED);
static_assert(number(Code::no_memory) == SEREUS_E_NO_MEMORY);
static_assert(number(Code::internal) == SEREUS_E_INTERNAL);
static_assert(number(Code::no_identity) == SEREUS_E_NO_IDENTITY);
static_assert(number(Code::archived) == SEREUS_E_ARCHIVED);
static_assert(number(Code::suspended) == SEREUS_E_SUSPENDED);
static_assert(number(Code::future) == SEREUS_E_FUTURE);
static_assert(number(Code::pending) == SEREUS_E_PENDING);

}  // namespace

// The texts are literals: their views end with NUL.
const char* sereus_status_name(sereus_status status) { return sereus::code_name(static_cast<Code>(status)).data(); }
const char* sereus_status_meaning(sereus_status status) {
  return sereus::code_meaning(static_cast<Code>(status)).data();
}

const char* sereus_version(void) {
  return SEREUS_TEXT(SEREUS_VERSION_MAJOR) "." SEREUS_TEXT(SEREUS_VERSION_MINOR) "." SEREUS_TEXT(SEREUS_VERSION_PATCH);
}
