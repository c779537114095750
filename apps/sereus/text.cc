#include "apps/sereus/text.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "apps/sereus/failure.h"

namespace cli {
namespace {

struct Point {
  uint32_t code = 0;
  size_t size = 0;  // 0: not UTF-8
};

// Strict: no overlong forms, surrogates or values beyond U+10FFFF.
Point decode(std::string_view data) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(data[i])); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || data.size() < size) return {};
  uint32_t code = first & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3F);
  }
  constexpr std::array<uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[size] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, size};
}

bool shows(uint32_t code) {
  if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return false;
  if (code == 0x200E || code == 0x200F || code == 0x061C) return false;  // marks of direction
  if (code >= 0x2028 && code <= 0x202E) return false;                    // line separators and overrides
  if (code >= 0x2066 && code <= 0x2069) return false;                    // isolates
  return code != 0xFEFF;
}

constexpr char kHex[] = "0123456789abcdef";

void append_escaped(std::string& out, std::string_view data) {
  for (const char c : data) {
    const auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string format_time(uint64_t wall_ms, const char* format, bool utc, const char* end) {
  const auto seconds = static_cast<std::time_t>(wall_ms / 1000);
  std::tm parts{};
  if ((utc ? gmtime_r(&seconds, &parts) : localtime_r(&seconds, &parts)) == nullptr) return "?";
  std::array<char, 64> buffer{};
  const size_t size = std::strftime(buffer.data(), buffer.size(), format, &parts);
  std::array<char, 16> millis{};
  std::snprintf(millis.data(), millis.size(), ".%03u", static_cast<unsigned>(wall_ms % 1000));
  return std::string(buffer.data(), size) + millis.data() + end;
}

}  // namespace

bool is_utf8(std::string_view data) {
  while (!data.empty()) {
    const Point point = decode(data);
    if (point.size == 0) return false;
    data.remove_prefix(point.size);
  }
  return true;
}

std::string printable(std::string_view data) {
  std::string out;
  out.reserve(data.size());
  while (!data.empty()) {
    const Point point = decode(data);
    const size_t size = point.size == 0 ? 1 : point.size;
    if (point.size == 0 || !shows(point.code)) {
      append_escaped(out, data.substr(0, size));
    } else if (point.code == '\\') {
      out += "\\\\";
    } else {
      out += data.substr(0, size);
    }
    data.remove_prefix(size);
  }
  return out;
}

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == '\\') {
      out += '\\';
      ++i;
      continue;
    }
    const bool whole = i + 3 < text.size() && text[i + 1] == 'x';
    const int high = whole ? hex_digit(text[i + 2]) : -1;
    const int low = whole ? hex_digit(text[i + 3]) : -1;
    if (high < 0 || low < 0) {
      throw usage_failure("'" + printable(text) + "' has a malformed escape",
                          "write \\\\ for a backslash and \\xNN for a byte");
    }
    out += static_cast<char>(high * 16 + low);
    i += 3;
  }
  return out;
}

std::string hex(std::string_view data) {
  std::string out;
  for (const char c : data) {
    const auto byte = static_cast<unsigned char>(c);
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string base64(std::string_view data) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  for (size_t i = 0; i < data.size(); i += 3) {
    uint32_t group = 0;
    const size_t have = std::min<size_t>(3, data.size() - i);
    for (size_t j = 0; j < 3; ++j) group = (group << 8) | (j < have ? static_cast<unsigned char>(data[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j) out += j <= have ? kDigits[(group >> (18 - 6 * j)) & 63] : '=';
  }
  return out;
}

std::string short_id(std::string_view id) {
  if (id.size() <= 16) return printable(id);
  return printable(id.substr(0, 8)) + "…" + printable(id.substr(id.size() - 6));
}

std::string human_size(uint64_t size) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(size);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return buffer.data();
}

std::string human_time(uint64_t wall_ms) { return format_time(wall_ms, "%Y-%m-%d %H:%M:%S", false, ""); }
std::string iso_time(uint64_t wall_ms) { return format_time(wall_ms, "%Y-%m-%dT%H:%M:%S", true, "Z"); }

std::string human_ago(uint64_t wall_ms, uint64_t now_ms) {
  if (wall_ms == 0) return "never";
  if (wall_ms > now_ms + 1000) return human_time(wall_ms);
  const uint64_t seconds = now_ms > wall_ms ? (now_ms - wall_ms) / 1000 : 0;
  if (seconds < 2) return "now";
  if (seconds < 120) return std::to_string(seconds) + " s ago";
  if (seconds < 7200) return std::to_string(seconds / 60) + " min ago";
  if (seconds < 172800) return std::to_string(seconds / 3600) + " h ago";
  return std::to_string(seconds / 86400) + " days ago";
}

std::string count(uint64_t number, const char* noun) {
  std::string word = noun;
  if (number != 1) {
    const bool turns =
        word.size() > 1 && word.back() == 'y' && std::string("aeiou").find(word[word.size() - 2]) == word.npos;
    word = turns ? word.substr(0, word.size() - 1) + "ies" : word + "s";
  }
  return std::to_string(number) + " " + word;
}

uint64_t wall_ms_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

uint32_t parse_duration_s(const std::string& text) {
  size_t digits = 0;
  uint64_t value = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9' && value < UINT32_MAX) {
    value = value * 10 + static_cast<uint64_t>(text[digits] - '0');
    ++digits;
  }
  const std::string unit = text.substr(digits);
  const uint64_t factor = unit.empty() || unit == "s" ? 1
                          : unit == "m"               ? 60
                          : unit == "h"               ? 3600
                          : unit == "d"               ? 86400
                                                      : 0;
  if (digits == 0 || factor == 0 || value == 0 || value > UINT32_MAX / factor) {
    throw usage_failure("'" + printable(text) + "' is not a duration", "write it like 90s, 15m, 24h or 7d");
  }
  return static_cast<uint32_t>(value * factor);
}

}  // namespace cli
