#include "core/net/websocket_handshake.h"

// wolfssl/options.h comes first: it decides the layout of wolfSSL's types.
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hash.h>

#include <algorithm>
#include <array>

#include "core/codec/multibase.h"

namespace sereus::net {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 section 1.3
constexpr size_t kKeySize = 24;                                             // 16 bytes in base64 with padding

std::string base64(ByteView bytes) {
  std::string out = codec::base64url_encode(bytes);
  std::replace(out.begin(), out.end(), '-', '+');
  std::replace(out.begin(), out.end(), '_', '/');
  out.append((4 - out.size() % 4) % 4, '=');
  return out;
}

bool is_key(std::string_view key) {
  if (key.size() != kKeySize || !key.ends_with("==") || key.find_first_of("-_") != std::string_view::npos) return false;
  std::string text(key.substr(0, kKeySize - 2));
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return codec::base64url_decode(text).has_value();
}

WebSocketAnswer refused(std::string_view status, Code code, const std::string& why, std::string_view more_fields = {}) {
  std::string response = "HTTP/1.1 ";
  response.append(status).append("\r\n").append(more_fields);
  response += "Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ";
  response += std::to_string(why.size() + 1) + "\r\n\r\n" + why + "\n";
  return {fail(code, "websocket: " + why), std::move(response)};
}

}  // namespace

std::string websocket_key(ByteView nonce) { return base64(nonce); }

std::string websocket_accept(std::string_view key) {
  const std::string text = std::string(key) + std::string(kGuid);
  std::array<uint8_t, WC_SHA_DIGEST_SIZE> digest{};
  const ByteView bytes = as_bytes(text);
  SEREUS_ASSERT(wc_ShaHash(bytes.data(), static_cast<word32>(bytes.size()), digest.data()) == 0);
  return base64(digest);
}

std::string websocket_request(std::string_view host, std::string_view key) {
  std::string out = "GET / HTTP/1.1\r\nHost: ";
  out.append(host);
  out += "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ";
  out.append(key);
  out += "\r\n\r\n";
  return out;
}

// RFC 6455 section 4.2.1. Extensions and sub-protocols that the client offers are left aside: frames are never compressed.
WebSocketAnswer answer_websocket_request(const HttpHead& request, std::span<const std::string> origins) {
  constexpr std::string_view kBad = "400 Bad Request";
  if (!request.is_get())
    return refused("405 Method Not Allowed", Code::malformed, "only GET is served", "Allow: GET\r\n");
  if (!request.at_least_http_1_1()) return refused(kBad, Code::malformed, "HTTP/1.1 is needed");
  if (request.target() != "/") return refused("404 Not Found", Code::not_found, "only the path / is served");
  if (!request.only("host")) return refused(kBad, Code::malformed, "one Host field is needed");
  if (request.count("content-length") + request.count("transfer-encoding") > 0) {
    return refused(kBad, Code::malformed, "a WebSocket request has no body");
  }
  if (!request.has_token("upgrade", "websocket") || !request.has_token("connection", "upgrade")) {
    return refused("426 Upgrade Required", Code::unsupported, "this is a WebSocket of a libp2p node",
                   "Upgrade: websocket\r\n");
  }
  if (request.only("sec-websocket-version") != "13") {
    return refused("426 Upgrade Required", Code::unsupported, "only version 13 of WebSocket is served",
                   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
  }
  const auto key = request.only("sec-websocket-key");
  if (!key || !is_key(*key)) return refused(kBad, Code::malformed, "Sec-WebSocket-Key is not 16 bytes in base64");
  if (!origins.empty() && request.count("origin") > 0) {
    const auto origin = request.only("origin");
    if (!origin || std::find(origins.begin(), origins.end(), *origin) == origins.end()) {
      return refused("403 Forbidden", Code::denied, "pages of this origin are not served");
    }
  }
  return {Status(),
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          "Sec-WebSocket-Accept: " +
              websocket_accept(*key) + "\r\n\r\n"};
}

std::string refuse_http(const Error& error) {
  const bool large = error.code == Code::too_large;
  return refused(large ? "431 Request Header Fields Too Large" : "400 Bad Request", error.code, error.detail).response;
}

// RFC 6455 section 4.1, "the client MUST validate the server's response". Redirects are not followed: an address says
// where a peer is.
Status check_websocket_response(const HttpHead& response, std::string_view key) {
  if (response.status() != 101) {
    return fail(Code::unsupported,
                "websocket: the server answered the upgrade with status " + std::to_string(response.status()));
  }
  if (!response.at_least_http_1_1() || !response.has_token("upgrade", "websocket") ||
      !response.has_token("connection", "upgrade")) {
    return fail(Code::protocol, "websocket: the server switched to something else");
  }
  if (response.only("sec-websocket-accept") != websocket_accept(key)) {
    return fail(Code::protocol, "websocket: the server's Sec-WebSocket-Accept is wrong");
  }
  if (response.count("sec-websocket-extensions") + response.count("sec-websocket-protocol") > 0) {
    return fail(Code::protocol, "websocket: the server chose an extension or a sub-protocol that was not offered");
  }
  return {};
}

}  // namespace sereus::net
