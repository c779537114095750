#include "core/net/http_head.h"

#include <llhttp.h>

#include <algorithm>

#include "core/net/limits.h"

namespace sereus::net {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_token(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

// Without the spaces and tabs around it (RFC 9110 section 5.6.3).
std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

struct HttpHead::Parser {
  llhttp_t parser{};
  llhttp_settings_t settings{};
  size_t taken = 0;
  bool complete = false;
  std::string target;
  std::string name;  // of the field that is coming in
  std::string value;
  std::vector<Field> fields;

  static Parser& of(llhttp_t* parser) { return *static_cast<Parser*>(parser->data); }

  static int on_url(llhttp_t* parser, const char* at, size_t size) {
    of(parser).target.append(at, size);
    return HPE_OK;
  }
  static int on_name(llhttp_t* parser, const char* at, size_t size) {
    std::transform(at, at + size, std::back_inserter(of(parser).name), lower);
    return HPE_OK;
  }
  static int on_value(llhttp_t* parser, const char* at, size_t size) {
    of(parser).value.append(at, size);
    return HPE_OK;
  }
  static int on_field(llhttp_t* parser) {
    Parser& self = of(parser);
    if (self.fields.size() == kHttpFieldsMax) return -1;
    self.fields.push_back({std::move(self.name), std::string(trimmed(self.value))});
    self.name.clear();
    self.value.clear();
    return HPE_OK;
  }
  static int on_end(llhttp_t* parser) {
    of(parser).complete = true;
    return 2;  // what follows is not HTTP: llhttp stops here
  }
};

HttpHead::HttpHead(Kind kind) : parser_(std::make_unique<Parser>()) {
  llhttp_settings_t& settings = parser_->settings;
  llhttp_settings_init(&settings);
  settings.on_url = Parser::on_url;
  settings.on_header_field = Parser::on_name;
  settings.on_header_value = Parser::on_value;
  settings.on_header_value_complete = Parser::on_field;
  settings.on_headers_complete = Parser::on_end;
  llhttp_init(&parser_->parser, kind == Kind::request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
  parser_->parser.data = parser_.get();
}

HttpHead::~HttpHead() = default;

Result<size_t> HttpHead::feed(ByteView in) {
  if (complete()) return size_t{0};
  const size_t room = kHttpHeadMax - parser_->taken;
  const auto* begin = reinterpret_cast<const char*>(in.data());
  const size_t given = std::min(in.size(), room);
  const llhttp_errno_t outcome = llhttp_execute(&parser_->parser, begin, given);
  if (complete()) {
    if (outcome != HPE_PAUSED_UPGRADE) return fail(Code::malformed, "http: a head that does not end in order");
    return static_cast<size_t>(llhttp_get_error_pos(&parser_->parser) - begin);
  }
  if (outcome == HPE_CB_HEADER_VALUE_COMPLETE) return fail(Code::too_large, "http: too many header fields");
  if (outcome != HPE_OK) return fail(Code::malformed, "http: not an HTTP/1.1 message");
  parser_->taken += given;
  if (parser_->taken == kHttpHeadMax) return fail(Code::too_large, "http: the header fields are too long");
  return given;
}

bool HttpHead::complete() const { return parser_->complete; }
bool HttpHead::is_get() const { return parser_->parser.method == HTTP_GET; }
const std::string& HttpHead::target() const { return parser_->target; }
int HttpHead::status() const { return parser_->parser.status_code; }
bool HttpHead::at_least_http_1_1() const { return parser_->parser.http_major == 1 && parser_->parser.http_minor >= 1; }

size_t HttpHead::count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(parser_->fields.begin(), parser_->fields.end(),
                                           [&](const Field& field) { return field.name == name; }));
}

std::optional<std::string_view> HttpHead::only(std::string_view name) const {
  if (count(name) != 1) return std::nullopt;
  const auto at = std::find_if(parser_->fields.begin(), parser_->fields.end(),
                               [&](const Field& field) { return field.name == name; });
  return at->value;
}

bool HttpHead::has_token(std::string_view name, std::string_view token) const {
  for (const Field& field : parser_->fields) {
    if (field.name != name) continue;
    std::string_view rest = field.value;
    for (;;) {
      const size_t comma = rest.find(',');
      if (same_token(trimmed(rest.substr(0, comma)), token)) return true;
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

}  // namespace sereus::net
