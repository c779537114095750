#include "core/base/error.h"

#include <array>

namespace sereus {
namespace {

struct CodeText {
  std::string_view name;
  std::string_view meaning;
};

// Indexed by -code; the order is that of the enumeration.
constexpr std::array<CodeText, 32> kTexts{{
    {"SEREUS_OK", "success"},
    {"SEREUS_E_INVALID", "an argument is wrong"},
    {"SEREUS_E_NOT_FOUND", "there is no such thing"},
    {"SEREUS_E_EXISTS", "it exists already"},
    {"SEREUS_E_AGAIN", "a queue is full; drain events and retry"},
    {"SEREUS_E_BUSY", "another process or operation holds it"},
    {"SEREUS_E_CLOSED", "it is closed"},
    {"SEREUS_E_CANCELLED", "the operation was cancelled"},
    {"SEREUS_E_TIMEOUT", "no answer in time"},
    {"SEREUS_E_DENIED", "not authorised"},
    {"SEREUS_E_PASSPHRASE", "the passphrase is wrong or missing"},
    {"SEREUS_E_CORRUPT", "stored data is damaged"},
    {"SEREUS_E_TOO_NEW", "written by a newer version of Sereus"},
    {"SEREUS_E_TOO_LARGE", "over a limit"},
    {"SEREUS_E_MALFORMED", "the bytes do not parse"},
    {"SEREUS_E_BAD_SIGNATURE", "a signature does not verify"},
    {"SEREUS_E_WRONG_STORE", "the entry belongs to another store"},
    {"SEREUS_E_FORK", "an author signed two entries with one predecessor"},
    {"SEREUS_E_GAP", "a preceding entry is missing"},
    {"SEREUS_E_NO_SPACE", "the disk is full or a quota is reached"},
    {"SEREUS_E_IO", "the operating system refused an operation"},
    {"SEREUS_E_UNREACHABLE", "the peer could not be reached"},
    {"SEREUS_E_PROTOCOL", "the peer broke the protocol"},
    {"SEREUS_E_EXPIRED", "the invite or certificate has expired"},
    {"SEREUS_E_UNSUPPORTED", "not available in this build or on this platform"},
    {"SEREUS_E_NO_MEMORY", "out of memory"},
    {"SEREUS_E_INTERNAL", "a defect of Sereus; please report it"},
    {"SEREUS_E_NO_IDENTITY", "the data folder has no identity yet"},
    {"SEREUS_E_ARCHIVED", "the store is archived and read-only"},
    {"SEREUS_E_SUSPENDED", "the node is suspended"},
    {"SEREUS_E_FUTURE", "the timestamp is too far ahead"},
    {"SEREUS_E_PENDING", "authority is not known yet"},
}};

constexpr CodeText kUnknown{"SEREUS_E_UNKNOWN", "unknown status"};

const CodeText& text_of(Code code) {
  const int64_t index = -static_cast<int64_t>(code);
  if (index < 0 || index >= static_cast<int64_t>(kTexts.size())) return kUnknown;
  return kTexts[static_cast<size_t>(index)];
}

}  // namespace

std::string_view code_name(Code code) { return text_of(code).name; }
std::string_view code_meaning(Code code) { return text_of(code).meaning; }

}  // namespace sereus
