#include "core/capi/host_settings.h"

#include <algorithm>
#include <cstddef>

#include "core/capi/arguments.h"

namespace sereus::capi {
namespace {

constexpr size_t kSettingsSizeMin = offsetof(sereus_host_settings, any_server) + sizeof(int32_t);
constexpr size_t kRateSizeMin = offsetof(sereus_rate, down_max) + sizeof(uint64_t);
constexpr size_t kRatesMax = net::kTransportKinds + 1;

Error wrong(Code code, const char* what) { return fail(code, std::string("sereus_host_settings: ") + what); }

Status copy(const char* from, const char* what, std::string* to) {
  Bytes text;
  const Code code = copy_text(from, kTextSizeMax, Presence::optional, &text);
  if (code != Code::ok || std::find(text.begin(), text.end(), '\n') != text.end()) {
    return wrong(code == Code::ok ? Code::invalid : code, what);
  }
  *to = to_string(ByteView(text));
  return {};
}

Status copy_words(const char* from, const char* what, std::vector<std::string>* to) {
  std::string text;
  SEREUS_TRY(copy(from, what, &text));
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) to->push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return {};
}

Status copy_rates(const sereus_host_settings& from, std::vector<node::HostSettings::Rate>* to) {
  if (from.rate_count > kRatesMax || (from.rates == nullptr && from.rate_count != 0)) {
    return wrong(Code::invalid, "there is one rate for each transport, and one for all");
  }
  for (size_t i = 0; i < from.rate_count; ++i) {
    // Their size is that of the caller's version, which the first one tells.
    const auto* at = reinterpret_cast<const uint8_t*>(from.rates) + i * from.rates[0].size;
    sereus_rate rate = SEREUS_INIT(sereus_rate);
    const Code code = copy_struct(reinterpret_cast<const sereus_rate*>(at), kRateSizeMin, &rate);
    if (code != Code::ok) return wrong(code, "`size` of a rate is not that of a known version");
    node::HostSettings::Rate& out = to->emplace_back();
    SEREUS_TRY(copy(rate.transport, "the transport of a rate is no text", &out.transport));
    out.up_max = rate.up_max;
    out.down_max = rate.down_max;
  }
  return {};
}

}  // namespace

Result<node::HostSettings> copy_host_settings(const sereus_host_settings* given) {
  node::HostSettings out;
  if (given == nullptr) return out;
  sereus_host_settings from = SEREUS_INIT(sereus_host_settings);
  const Code code = copy_struct(given, kSettingsSizeMin, &from);
  if (code != Code::ok) return wrong(code, "`size` is not that of a known version");
  SEREUS_TRY(copy_words(from.transports, "transports is no text", &out.transports));
  SEREUS_TRY(copy_words(from.security, "security is no text", &out.security));
  out.no_ipv4 = from.no_ipv4 != 0;
  out.no_ipv6 = from.no_ipv6 != 0;
  out.metered = from.metered != 0;
  out.connections_low = from.connections_low;
  out.connections_high = from.connections_high;
  out.connections_max = from.connections_max;
  out.connections_peer_max = from.connections_peer_max;
  out.streams_peer_max = from.streams_peer_max;
  out.memory_max = from.memory_max;
  SEREUS_TRY(copy_rates(from, &out.rates));
  SEREUS_TRY(copy(from.certificate_file, "certificate_file is no path", &out.certificate_file));
  SEREUS_TRY(copy(from.key_file, "key_file is no path", &out.key_file));
  SEREUS_TRY(copy(from.authorities_file, "authorities_file is no path", &out.authorities_file));
  out.any_server = from.any_server != 0;
  SEREUS_TRY(node::check_host_settings(out));
  return out;
}

}  // namespace sereus::capi
