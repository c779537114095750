// Bytes as people and machines read them. Whatever came from elsewhere (keys, names, addresses) passes through here
// before it reaches a terminal, so that it cannot move the cursor or reorder a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "include/sereus.h"

namespace cli {

inline std::string_view view(sereus_bytes bytes) {
  return bytes.size == 0 ? std::string_view() : std::string_view(reinterpret_cast<const char*>(bytes.data), bytes.size);
}
inline sereus_bytes bytes(std::string_view text) {
  return {text.empty() ? nullptr : reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string text(const char* value) { return value == nullptr ? std::string() : std::string(value); }

bool is_utf8(std::string_view data);
// Reversible: backslash becomes \\, and what is not printable UTF-8 becomes \xNN for each byte.
std::string printable(std::string_view data);
// The inverse of printable(). Throws a usage Failure for a malformed escape.
std::string unescape(std::string_view text);

std::string hex(std::string_view data);
std::string base64(std::string_view data);
// "12D3KooW…x7Qp": enough of an id to tell peers apart in a table.
std::string short_id(std::string_view id);

std::string human_size(uint64_t size);                     // "1.5 MiB"
std::string human_time(uint64_t wall_ms);                  // "2026-11-20 23:19:37.123" local time
std::string iso_time(uint64_t wall_ms);                    // "2026-11-20T23:19:37.123Z"
std::string human_ago(uint64_t wall_ms, uint64_t now_ms);  // "3 min ago"; "never" for 0
std::string count(uint64_t number, const char* noun);      // "1 entry", "12 entries"
uint64_t wall_ms_now();

// "90s", "15m", "24h", "7d" or plain seconds. Throws a usage Failure.
uint32_t parse_duration_s(const std::string& text);

}  // namespace cli
