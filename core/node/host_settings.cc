#include "core/node/host_settings.h"

#include <algorithm>
#include <charconv>
#include <type_traits>
#include <utility>

#include "core/node/text_lines.h"

namespace sereus::node {
namespace {

// Every field with its name: one list for writing and reading. A line is a name, a space and the value.
template <typename Settings, typename Visit>
void fields_of(Settings& s, Visit&& visit) {
  visit("transports", s.transports);
  visit("security", s.security);
  visit("no_ipv4", s.no_ipv4);
  visit("no_ipv6", s.no_ipv6);
  visit("metered", s.metered);
  visit("connections_low", s.connections_low);
  visit("connections_high", s.connections_high);
  visit("connections_max", s.connections_max);
  visit("connections_peer_max", s.connections_peer_max);
  visit("streams_peer_max", s.streams_peer_max);
  visit("memory_max", s.memory_max);
  visit("rates", s.rates);
  visit("certificate_file", s.certificate_file);
  visit("key_file", s.key_file);
  visit("authorities_file", s.authorities_file);
  visit("any_server", s.any_server);
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

template <typename Number>
bool parse_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

std::string text_of(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}
std::string text_of(const std::string& text) { return text; }
std::string text_of(bool flag) { return flag ? "1" : ""; }
template <typename Number>
requires std::is_unsigned_v<Number> std::string text_of(Number number) {
  return number == 0 ? "" : std::to_string(number);
}
std::string text_of(const std::vector<HostSettings::Rate>& rates) {
  std::string out;
  for (const HostSettings::Rate& rate : rates) {
    out += (out.empty() ? "" : " ") + (rate.transport.empty() ? "all" : rate.transport) + " " +
           std::to_string(rate.up_max) + " " + std::to_string(rate.down_max);
  }
  return out;
}

bool read_value(std::string_view text, std::vector<std::string>& out) {
  out = split_words(text);
  return true;
}
bool read_value(std::string_view text, std::string& out) {
  out = text;
  return true;
}
bool read_value(std::string_view text, bool& out) {
  out = text == "1";
  return true;
}
template <typename Number>
requires std::is_unsigned_v<Number>
bool read_value(std::string_view text, Number& out) { return parse_number(text, out); }
bool read_value(std::string_view text, std::vector<HostSettings::Rate>& out) {
  const std::vector<std::string> words = split_words(text);
  if (words.size() % 3 != 0 || words.size() > 3 * (net::kTransportKinds + 1)) return false;
  for (size_t i = 0; i < words.size(); i += 3) {
    HostSettings::Rate& rate = out.emplace_back();
    if (words[i] != "all") rate.transport = words[i];
    if (!parse_number(words[i + 1], rate.up_max) || !parse_number(words[i + 2], rate.down_max)) return false;
  }
  return true;
}

Result<net::TransportKind> transport_named(const std::string& name) {
  const auto kind = net::parse_transport(name);
  if (kind) return *kind;
  return fail(Code::invalid, "there is no transport '" + name + "': they are quic, tcp, ws, wss and relay");
}

}  // namespace

Bytes encode_host_settings(const HostSettings& settings) {
  std::string out;
  fields_of(settings, [&out](std::string_view name, const auto& value) {
    const std::string text = text_of(value);
    if (!text.empty()) out += std::string(name) + ' ' + text + '\n';
  });
  return to_bytes(as_bytes(out));
}

Result<HostSettings> decode_host_settings(ByteView text) {
  HostSettings out;
  bool well = true;
  for (const std::string& line : split_lines(to_string(text))) {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string_view name = std::string_view(line).substr(0, space);
    const std::string_view value = std::string_view(line).substr(std::min(space + 1, line.size()));
    fields_of(out, [&](std::string_view known, auto& field) {
      if (known == name) well = read_value(value, field) && well;
    });
  }
  if (!well) return fail(Code::malformed, "the settings of a host cannot be read");
  return out;
}

Result<net::SwarmSettings> swarm_settings(const HostSettings& settings) {
  net::SwarmSettings out = settings.metered ? net::SwarmSettings::metered() : net::SwarmSettings();
  out.services = {"sereus/0.1.0", "sereus/0.1.0"};
  if (!settings.transports.empty()) {
    out.policy.order.clear();
    for (const std::string& name : settings.transports) {
      SEREUS_ASSIGN(const net::TransportKind kind, transport_named(name));
      if (!out.policy.allows(kind)) out.policy.order.push_back(kind);
    }
  }
  out.policy.ipv4 = !settings.no_ipv4;
  out.policy.ipv6 = !settings.no_ipv6;
  if (settings.no_ipv4 && settings.no_ipv6) return fail(Code::invalid, "neither IPv4 nor IPv6 is left");
  if (settings.connections_high != 0) out.connections.high_water = settings.connections_high;
  out.connections.low_water = settings.connections_low != 0
                                  ? settings.connections_low
                                  : std::min(out.connections.low_water, out.connections.high_water);
  if (out.connections.low_water > out.connections.high_water) {
    return fail(Code::invalid, "the low-water mark of connections is above the high-water mark");
  }
  return out;
}

Result<net::ResourceSettings> resource_settings(const HostSettings& settings) {
  net::ResourceSettings out;
  if (settings.connections_max != 0) out.connections = settings.connections_max;
  if (settings.connections_peer_max != 0) out.connections_peer = settings.connections_peer_max;
  if (settings.streams_peer_max != 0) out.streams_peer.in = settings.streams_peer_max;
  if (settings.memory_max != 0) {
    out.memory = settings.memory_max;
    out.memory_peer = std::min(out.memory_peer, out.memory);
  }
  return out;
}

Result<net::BandwidthLimits> bandwidth_limits(const HostSettings& settings) {
  net::BandwidthLimits out;
  for (const HostSettings::Rate& rate : settings.rates) {
    if (rate.transport.empty()) {
      out.total = {rate.up_max, rate.down_max};
      continue;
    }
    SEREUS_ASSIGN(const net::TransportKind kind, transport_named(rate.transport));
    if (kind == net::TransportKind::relay) {
      return fail(Code::invalid,
                  "relayed connections have no rate of their own: their bytes are those of what carries them");
    }
    out.transport[static_cast<size_t>(kind)] = {rate.up_max, rate.down_max};
  }
  return out;
}

Result<std::vector<net::TcpSecurity>> tcp_security(const HostSettings& settings) {
  if (settings.security.empty()) return net::TcpSettings().security;
  std::vector<net::TcpSecurity> out;
  for (const std::string& name : settings.security) {
    if (name != "tls" && name != "noise") {
      return fail(Code::invalid, "there is no secure channel '" + name + "': they are tls and noise");
    }
    const auto security = name == "tls" ? net::TcpSecurity::tls : net::TcpSecurity::noise;
    if (std::find(out.begin(), out.end(), security) == out.end()) out.push_back(security);
  }
  return out;
}

Status check_host_settings(const HostSettings& settings) {
  SEREUS_TRY(swarm_settings(settings));
  SEREUS_TRY(resource_settings(settings));
  SEREUS_TRY(bandwidth_limits(settings));
  SEREUS_TRY(tcp_security(settings));
  if (settings.certificate_file.empty() != settings.key_file.empty()) {
    return fail(Code::invalid, "a certificate and its key belong together: name both files");
  }
  return {};
}

}  // namespace sereus::node
