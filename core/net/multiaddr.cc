#include "core/net/multiaddr.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/codec/multibase.h"
#include "core/codec/varint.h"
#include "core/net/limits.h"
#include "core/net/tcp_address.h"

namespace sereus::net {
namespace {

enum class ValueKind : uint8_t { none, ip4, ip6, port, name, peer, zone, hash };

struct Protocol {
  AddrCode code;
  std::string_view name;
  ValueKind kind;
};

constexpr std::array<Protocol, 19> kProtocols = {{
    {AddrCode::ip4, "ip4", ValueKind::ip4},
    {AddrCode::tcp, "tcp", ValueKind::port},
    {AddrCode::ip6, "ip6", ValueKind::ip6},
    {AddrCode::ip6zone, "ip6zone", ValueKind::zone},
    {AddrCode::dns, "dns", ValueKind::name},
    {AddrCode::dns4, "dns4", ValueKind::name},
    {AddrCode::dns6, "dns6", ValueKind::name},
    {AddrCode::dnsaddr, "dnsaddr", ValueKind::name},
    {AddrCode::udp, "udp", ValueKind::port},
    {AddrCode::webrtc_direct, "webrtc-direct", ValueKind::none},
    {AddrCode::p2p_circuit, "p2p-circuit", ValueKind::none},
    {AddrCode::p2p, "p2p", ValueKind::peer},
    {AddrCode::tls, "tls", ValueKind::none},
    {AddrCode::sni, "sni", ValueKind::name},
    {AddrCode::quic_v1, "quic-v1", ValueKind::none},
    {AddrCode::webtransport, "webtransport", ValueKind::none},
    {AddrCode::certhash, "certhash", ValueKind::hash},
    {AddrCode::ws, "ws", ValueKind::none},
    {AddrCode::wss, "wss", ValueKind::none},
}};

const Protocol* find_protocol(std::string_view name) {
  const auto it = std::find_if(kProtocols.begin(), kProtocols.end(), [&](const Protocol& p) { return p.name == name; });
  return it == kProtocols.end() ? nullptr : &*it;
}

const Protocol* find_protocol(uint64_t code) {
  const auto it = std::find_if(kProtocols.begin(), kProtocols.end(),
                               [&](const Protocol& p) { return static_cast<uint64_t>(p.code) == code; });
  return it == kProtocols.end() ? nullptr : &*it;
}

// Letters, digits, hyphen, underscore and dots between labels. Anything else has no business in a host name and would
// be dangerous in a log or a resolver.
bool valid_dns_name(std::string_view name) {
  if (name.empty() || name.size() > kDnsNameMax || name.front() == '.' || name.find("..") != std::string_view::npos) {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

// RFC 4007 section 11: a zone is whatever the system calls its interface. No slash, so that the text reads back, no
// control characters or spaces, so that it is fit for a log.
bool valid_zone(std::string_view zone) {
  return !zone.empty() && zone.size() <= kZoneNameMax &&
         std::all_of(zone.begin(), zone.end(), [](char c) { return c > ' ' && c < 0x7f && c != '/'; });
}

// A multihash of any function: code, length and digest, nothing behind it.
bool valid_multihash(ByteView hash) {
  const auto code = codec::varint_read(hash);
  const auto length = codec::varint_read(hash);
  return code && length && *length == hash.size() && !hash.empty() && hash.size() <= kCertHashDigestMax;
}

std::optional<uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, port);
  if (text.empty() || error != std::errc() || at != end || port > 65535) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return static_cast<uint16_t>(port);
}

std::optional<Bytes> parse_value(ValueKind kind, std::string_view text) {
  switch (kind) {
    case ValueKind::none:
      return std::nullopt;
    case ValueKind::ip4:
    case ValueKind::ip6: {
      const auto ip = parse_ip(text, 0);
      if (!ip || ip->is_v6 != (kind == ValueKind::ip6)) return std::nullopt;
      return Bytes(ip->address.begin(), ip->address.begin() + (ip->is_v6 ? 16 : 4));
    }
    case ValueKind::port: {
      const auto port = parse_port(text);
      if (!port) return std::nullopt;
      return Bytes{static_cast<uint8_t>(*port >> 8), static_cast<uint8_t>(*port & 0xff)};
    }
    case ValueKind::name:
      return valid_dns_name(text) ? std::optional(to_bytes(text)) : std::nullopt;
    case ValueKind::peer: {
      const auto peer = PeerId::parse(text);
      return peer ? std::optional(to_bytes(peer->multihash())) : std::nullopt;
    }
    case ValueKind::zone:
      return valid_zone(text) ? std::optional(to_bytes(text)) : std::nullopt;
    case ValueKind::hash: {
      auto hash = codec::multibase_decode(text);
      return hash && valid_multihash(*hash) ? std::move(hash) : std::nullopt;
    }
  }
  return std::nullopt;
}

bool has_length_prefix(ValueKind kind) {
  return kind == ValueKind::name || kind == ValueKind::peer || kind == ValueKind::zone || kind == ValueKind::hash;
}

size_t fixed_size(ValueKind kind) {
  switch (kind) {
    case ValueKind::ip4:
      return 4;
    case ValueKind::ip6:
      return 16;
    case ValueKind::port:
      return 2;
    default:
      return 0;
  }
}

// A value of the binary form means something only when its text would parse.
bool valid_value(ValueKind kind, ByteView value) {
  if (kind == ValueKind::name) return valid_dns_name(as_text(value));
  if (kind == ValueKind::peer) return PeerId::from_multihash(value).has_value();
  if (kind == ValueKind::zone) return valid_zone(as_text(value));
  if (kind == ValueKind::hash) return valid_multihash(value);
  return value.size() == fixed_size(kind);
}

IpEndpoint ip_of(const Multiaddr::Part& part, uint16_t port) {
  IpEndpoint endpoint;
  endpoint.is_v6 = part.code == AddrCode::ip6;
  endpoint.port = port;
  std::copy(part.value.begin(), part.value.end(), endpoint.address.begin());
  return endpoint;
}

std::string value_text(ValueKind kind, const Multiaddr::Part& part) {
  switch (kind) {
    case ValueKind::none:
      return {};
    case ValueKind::ip4:
    case ValueKind::ip6:
      return ip_to_string(ip_of(part, 0));
    case ValueKind::port:
      return std::to_string(load_be<uint16_t>(part.value.data()));
    case ValueKind::name:
    case ValueKind::zone:
      return sereus::to_string(ByteView(part.value));
    case ValueKind::hash:
      return codec::multibase_encode(codec::Multibase::base64url, part.value);
    case ValueKind::peer:
      return PeerId::from_multihash(part.value).value_or(PeerId()).to_string();
  }
  return {};
}

}  // namespace

Result<Multiaddr> Multiaddr::parse(std::string_view text) {
  if (text.size() > kMultiaddrTextMax) return fail(Code::too_large, "multiaddr is too long");
  if (text.empty() || text.front() != '/') return fail(Code::malformed, "a multiaddr begins with '/'");
  Multiaddr out;
  const auto take = [&text]() {
    text.remove_prefix(1);  // the slash
    const std::string_view part = text.substr(0, text.find('/'));
    text.remove_prefix(part.size());
    return part;
  };
  while (!text.empty()) {
    const std::string_view name = take();
    if (name.empty()) return fail(Code::malformed, "empty part in a multiaddr");
    const Protocol* protocol = find_protocol(name);
    if (protocol == nullptr) return fail(Code::unsupported, "unknown multiaddr protocol");
    Part part{protocol->code, {}};
    if (protocol->kind != ValueKind::none) {
      if (text.empty()) return fail(Code::malformed, "multiaddr ends after /" + std::string(protocol->name));
      auto value = parse_value(protocol->kind, take());
      if (!value) return fail(Code::malformed, "bad value of /" + std::string(protocol->name) + " in a multiaddr");
      part.value = std::move(*value);
    }
    if (out.parts_.size() == kMultiaddrPartsMax) return fail(Code::too_large, "multiaddr has too many parts");
    out.parts_.push_back(std::move(part));
  }
  return out;
}

Result<Multiaddr> Multiaddr::from_bytes(ByteView bytes) {
  if (bytes.size() > kMultiaddrBytesMax) return fail(Code::too_large, "multiaddr is too long");
  if (bytes.empty()) return fail(Code::malformed, "empty multiaddr");
  Multiaddr out;
  while (!bytes.empty()) {
    const auto code = codec::varint_read(bytes);
    if (!code) return fail(Code::malformed, "bad code in a multiaddr");
    const Protocol* protocol = find_protocol(*code);
    if (protocol == nullptr) return fail(Code::unsupported, "unknown multiaddr protocol");
    uint64_t size = fixed_size(protocol->kind);
    if (has_length_prefix(protocol->kind)) {
      const auto length = codec::varint_read(bytes);
      if (!length) return fail(Code::malformed, "bad length in a multiaddr");
      size = *length;
    }
    if (size > bytes.size()) return fail(Code::malformed, "truncated multiaddr");
    const ByteView value = bytes.first(static_cast<size_t>(size));
    if (!valid_value(protocol->kind, value)) return fail(Code::malformed, "bad value in a multiaddr");
    if (out.parts_.size() == kMultiaddrPartsMax) return fail(Code::too_large, "multiaddr has too many parts");
    out.parts_.push_back({protocol->code, sereus::to_bytes(value)});
    bytes = bytes.subspan(value.size());
  }
  return out;
}

Multiaddr Multiaddr::of_endpoint(const IpEndpoint& endpoint, AddrCode transport) {
  Multiaddr out;
  const auto ip = ByteView(endpoint.address).first(endpoint.is_v6 ? 16 : 4);
  out.parts_.push_back({endpoint.is_v6 ? AddrCode::ip6 : AddrCode::ip4, sereus::to_bytes(ip)});
  out.parts_.push_back(
      {transport, {static_cast<uint8_t>(endpoint.port >> 8), static_cast<uint8_t>(endpoint.port & 0xff)}});
  return out;
}

Multiaddr Multiaddr::quic(const IpEndpoint& endpoint) {
  Multiaddr out = of_endpoint(endpoint, AddrCode::udp);
  out.parts_.push_back({AddrCode::quic_v1, {}});
  return out;
}

Multiaddr Multiaddr::tcp(const IpEndpoint& endpoint) { return of_endpoint(endpoint, AddrCode::tcp); }

std::string Multiaddr::to_string() const {
  std::string out;
  for (const Part& part : parts_) {
    const Protocol* protocol = find_protocol(static_cast<uint64_t>(part.code));
    out += '/';
    out += protocol->name;
    if (protocol->kind == ValueKind::none) continue;
    out += '/';
    out += value_text(protocol->kind, part);
  }
  return out;
}

Bytes Multiaddr::to_bytes() const {
  Bytes out;
  for (const Part& part : parts_) {
    codec::varint_append(out, static_cast<uint64_t>(part.code));
    if (has_length_prefix(find_protocol(static_cast<uint64_t>(part.code))->kind)) {
      codec::varint_append(out, part.value.size());
    }
    append(out, part.value);
  }
  return out;
}

// The endpoint when the address is an IP, `rest`, and perhaps a peer id.
std::optional<IpEndpoint> Multiaddr::endpoint_before(std::initializer_list<AddrCode> rest) const {
  const size_t size = 1 + rest.size();
  const bool with_peer = parts_.size() == size + 1 && parts_.back().code == AddrCode::p2p;
  if (parts_.size() != size && !with_peer) return std::nullopt;
  const bool ip = parts_[0].code == AddrCode::ip4 || parts_[0].code == AddrCode::ip6;
  const bool same = std::equal(rest.begin(), rest.end(), parts_.begin() + 1,
                               [](AddrCode code, const Part& part) { return part.code == code; });
  if (!ip || !same) return std::nullopt;
  return ip_of(parts_[0], load_be<uint16_t>(parts_[1].value.data()));
}

std::optional<IpEndpoint> Multiaddr::quic_endpoint() const {
  return endpoint_before({AddrCode::udp, AddrCode::quic_v1});
}

std::optional<IpEndpoint> Multiaddr::tcp_endpoint() const { return endpoint_before({AddrCode::tcp}); }

bool Multiaddr::dialable() const { return quic_endpoint() || TcpAddress::of(*this); }

std::optional<uint16_t> Multiaddr::port() const {
  for (const Part& part : parts_) {
    if (part.code == AddrCode::udp || part.code == AddrCode::tcp) return load_be<uint16_t>(part.value.data());
  }
  return std::nullopt;
}

Multiaddr Multiaddr::with_port(uint16_t port) const {
  Multiaddr out = *this;
  for (Part& part : out.parts_) {
    if (part.code != AddrCode::udp && part.code != AddrCode::tcp) continue;
    part.value = {static_cast<uint8_t>(port >> 8), static_cast<uint8_t>(port & 0xff)};
    break;
  }
  return out;
}

std::optional<PeerId> Multiaddr::peer_id() const {
  if (parts_.empty() || parts_.back().code != AddrCode::p2p) return std::nullopt;
  return PeerId::from_multihash(parts_.back().value);
}

Multiaddr Multiaddr::with_peer_id(const PeerId& peer) const {
  Multiaddr out = without_peer_id();
  out.parts_.push_back({AddrCode::p2p, sereus::to_bytes(peer.multihash())});
  return out;
}

Multiaddr Multiaddr::without_peer_id() const {
  Multiaddr out = *this;
  if (!out.parts_.empty() && out.parts_.back().code == AddrCode::p2p) out.parts_.pop_back();
  return out;
}

Multiaddr Multiaddr::first_parts(size_t count) const {
  Multiaddr out = *this;
  if (count < out.parts_.size()) out.parts_.resize(count);
  return out;
}

Multiaddr Multiaddr::with(Part part) const {
  SEREUS_ASSERT(parts_.size() < kMultiaddrPartsMax);
  Multiaddr out = *this;
  out.parts_.push_back(std::move(part));
  return out;
}

}  // namespace sereus::net
