#include <algorithm>
#include <charconv>
#include <cstdio>
#include <vector>

#include "core/ports/datagram.h"

namespace sereus {
namespace {

std::optional<std::array<uint8_t, 16>> parse_v4(std::string_view text) {
  std::array<uint8_t, 16> out{};
  size_t at = 0;
  for (size_t part = 0; part < 4; ++part) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
    const auto digits = static_cast<size_t>(end - (text.data() + at));
    // A leading zero would be octal to some readers and decimal to others.
    if (error != std::errc() || value > 255 || digits > 3 || (digits > 1 && text[at] == '0')) return std::nullopt;
    out[part] = static_cast<uint8_t>(value);
    at += digits;
    if (part < 3 && (at >= text.size() || text[at++] != '.')) return std::nullopt;
  }
  return at == text.size() ? std::optional(out) : std::nullopt;
}

// Reads colon-separated groups of one side of "::"; at the end of the whole text an IPv4 tail fills the last two.
bool parse_groups(std::string_view text, bool is_end, std::vector<uint16_t>& groups) {
  while (!text.empty()) {
    const size_t colon = text.find(':');
    const std::string_view part = text.substr(0, colon);
    if (is_end && colon == std::string_view::npos && part.find('.') != std::string_view::npos) {
      const auto v4 = parse_v4(part);
      if (!v4) return false;
      groups.push_back(load_be<uint16_t>(v4->data()));
      groups.push_back(load_be<uint16_t>(v4->data() + 2));
      return groups.size() <= 8;
    }
    unsigned value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value, 16);
    if (part.empty() || part.size() > 4 || error != std::errc() || end != part.data() + part.size()) return false;
    groups.push_back(static_cast<uint16_t>(value));
    if (groups.size() > 8) return false;
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;
  }
  return true;
}

std::optional<std::array<uint8_t, 16>> parse_v6(std::string_view text) {
  std::vector<uint16_t> head;
  std::vector<uint16_t> tail;
  const size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (!parse_groups(text, true, head) || head.size() != 8) return std::nullopt;
  } else {
    if (!parse_groups(text.substr(0, gap), false, head) || !parse_groups(text.substr(gap + 2), true, tail)) {
      return std::nullopt;
    }
    if (head.size() + tail.size() > 7) return std::nullopt;
    head.resize(8 - tail.size(), 0);
    head.insert(head.end(), tail.begin(), tail.end());
  }
  std::array<uint8_t, 16> out{};
  for (size_t i = 0; i < 8; ++i) store_be<uint16_t>(out.data() + 2 * i, head[i]);
  return out;
}

}  // namespace

std::string ip_to_string(const IpEndpoint& endpoint) {
  char text[48];
  const auto& a = endpoint.address;
  if (!endpoint.is_v6) {
    std::snprintf(text, sizeof text, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
    return text;
  }
  // RFC 5952: the longest run of zero groups, the first of equals, becomes "::".
  std::array<uint16_t, 8> groups{};
  for (size_t i = 0; i < 8; ++i) groups[i] = load_be<uint16_t>(a.data() + 2 * i);
  size_t best = 8;
  size_t best_length = 1;
  for (size_t i = 0; i < 8; ++i) {
    size_t length = 0;
    while (i + length < 8 && groups[i + length] == 0) ++length;
    if (length > best_length) {
      best = i;
      best_length = length;
    }
  }
  std::string out;
  for (size_t i = 0; i < 8; ++i) {
    if (i == best) {
      out += "::";
      i += best_length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    std::snprintf(text, sizeof text, "%x", groups[i]);
    out += text;
  }
  return out;
}

std::string to_string(const IpEndpoint& endpoint) {
  const std::string ip = ip_to_string(endpoint);
  return (endpoint.is_v6 ? "[" + ip + "]" : ip) + ":" + std::to_string(endpoint.port);
}

std::optional<IpEndpoint> parse_ip(std::string_view text, uint16_t port) {
  IpEndpoint endpoint;
  endpoint.port = port;
  endpoint.is_v6 = text.find(':') != std::string_view::npos;
  const auto address = endpoint.is_v6 ? parse_v6(text) : parse_v4(text);
  if (!address) return std::nullopt;
  endpoint.address = *address;
  return endpoint;
}

std::optional<IpEndpoint> parse_ip_endpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view ip = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || port > 65535)
    return std::nullopt;
  const bool bracketed = ip.size() >= 2 && ip.front() == '[' && ip.back() == ']';
  if (bracketed) ip = ip.substr(1, ip.size() - 2);
  if (bracketed != (ip.find(':') != std::string_view::npos)) return std::nullopt;
  return parse_ip(ip, static_cast<uint16_t>(port));
}

IpEndpoint unmapped(const IpEndpoint& endpoint) {
  static constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!endpoint.is_v6 || !std::equal(kMapped.begin(), kMapped.end(), endpoint.address.begin())) return endpoint;
  IpEndpoint out;
  out.port = endpoint.port;
  std::copy_n(endpoint.address.begin() + kMapped.size(), 4, out.address.begin());
  return out;
}

bool is_loopback(const IpEndpoint& endpoint) {
  const IpEndpoint plain = unmapped(endpoint);
  if (!plain.is_v6) return plain.address[0] == 127;
  static constexpr std::array<uint8_t, 16> kLoopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return plain.address == kLoopback;
}

}  // namespace sereus
