// The head of one HTTP/1.1 message (RFC 9112): its first line and its fields, up to the empty line. What WebSocket's upgrade
// needs of HTTP and nothing else; llhttp does the parsing, strictly.
//
// Bounds: kHttpHeadMax bytes and kHttpFieldsMax fields are held, whatever arrives.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace sereus::net {

class HttpHead {
 public:
  enum class Kind : uint8_t { request, response };
  struct Field {
    std::string name;  // in lower case
    std::string value;
  };

  explicit HttpHead(Kind kind);
  HttpHead(const HttpHead&) = delete;
  HttpHead& operator=(const HttpHead&) = delete;
  ~HttpHead();

  // Takes bytes up to the end of the head and returns how many. Errors, after which the object is of no use: malformed,
  // too_large.
  Result<size_t> feed(ByteView in);
  bool complete() const;

  // --- of a complete head
  bool is_get() const;                // of a request
  const std::string& target() const;  // of a request
  int status() const;                 // of a response
  bool at_least_http_1_1() const;

  size_t count(std::string_view name) const;  // how many fields have this name (in lower case)
  // The value of the only field of this name.
  std::optional<std::string_view> only(std::string_view name) const;
  // Whether a comma-separated list, over all fields of this name, has the token, in whatever case.
  bool has_token(std::string_view name, std::string_view token) const;

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace sereus::net
