// Looking names up (DNS) as a port: questions are asked, answers are taken later. The POSIX driver asks the system's resolver on
// a thread of its own; a browser has none, since it dials by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/ports/datagram.h"

namespace sereus {

enum class NameFamily : uint8_t { any, v4, v6 };  // A and AAAA records, A only, AAAA only

// Belongs to one asker. Thread rule: the asker's thread; when an answer has come in, the driver steps the asker.
class Resolver {
 public:
  virtual ~Resolver() = default;

  using QueryId = uint64_t;  // never used again; 0 is none
  // Answered once by next_answer(), unless cancelled. Code::again when too many are under way.
  virtual Result<QueryId> resolve(std::string_view name, NameFamily family) = 0;
  // Likewise, of the name's TXT records. Code::unsupported where there is no way to ask.
  virtual Result<QueryId> resolve_texts(std::string_view /*name*/) {
    return fail(Code::unsupported, "TXT records cannot be looked up here");
  }
  // No answer will follow. Unknown ids are let go by.
  virtual void cancel(QueryId query) = 0;

  struct Answer {
    QueryId query = 0;
    // In the order to be tried, ports 0; never empty when there was no error. Code::not_found: there is no such name or it
    // has no address of the family; Code::timeout, Code::io: nobody could tell.
    Result<std::vector<IpEndpoint>> addresses = std::vector<IpEndpoint>();
    // Of resolve_texts(), whose errors stand in `addresses`: a record each, its strings put together (RFC 7208 section 3.3).
    std::vector<std::string> texts;
  };
  virtual std::optional<Answer> next_answer() = 0;
};

}  // namespace sereus
