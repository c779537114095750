// The opening handshake of a WebSocket (RFC 6455 section 4): texts to send, and judging those received.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/http_head.h"

namespace sereus::net {

inline constexpr size_t kWebSocketNonceSize = 16;

// Sec-WebSocket-Key of a nonce.
std::string websocket_key(ByteView nonce);
// Sec-WebSocket-Accept of a key (RFC 6455 section 4.2.2).
std::string websocket_accept(std::string_view key);

// The client's request for "/". `host` goes into the Host field: a name or an IP address with its port, if that is not the
// scheme's own.
std::string websocket_request(std::string_view host, std::string_view key);

// What a server says to a complete request. `verdict` tells whether it becomes a WebSocket; `response` is sent either way.
// `origins`: the values of Origin that are let in; empty lets everyone in, and who sends none (no browser) always is.
struct WebSocketAnswer {
  Status verdict;
  std::string response;
};
WebSocketAnswer answer_websocket_request(const HttpHead& request, std::span<const std::string> origins);
// What a server says to bytes that are no request: `error` is HttpHead's.
std::string refuse_http(const Error& error);

// Judges a server's complete answer to websocket_request(..., key).
Status check_websocket_response(const HttpHead& response, std::string_view key);

}  // namespace sereus::net
