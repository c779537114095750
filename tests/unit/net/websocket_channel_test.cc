// WebSocket as a stage: the examples of RFC 6455, everything its peers must not do, and what may be held meanwhile.
#include "core/net/websocket_channel.h"

#include <gtest/gtest.h>

#include "core/net/websocket_handshake.h"
#include "tests/support/test_random.h"

namespace sereus::net {
namespace {

using State = Channel::State;

// RFC 6455 section 1.3.
constexpr std::string_view kRfcKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kRfcAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

std::string request_with(std::string_view fields) {
  return "GET / HTTP/1.1\r\nHost: a.example\r\n" + std::string(fields) + "\r\n";
}
std::string good_fields(std::string_view more = {}) {
  return "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
         std::string(kRfcKey) + "\r\n" + std::string(more);
}

// A client's frame, masked with four equal bytes.
Bytes masked(uint8_t first, ByteView payload, uint8_t mask = 0x5a) {
  Bytes out{first};
  if (payload.size() < 126) {
    out.push_back(static_cast<uint8_t>(0x80 | payload.size()));
  } else {
    out.push_back(0x80 | 126);
    out.push_back(static_cast<uint8_t>(payload.size() >> 8));
    out.push_back(static_cast<uint8_t>(payload.size()));
  }
  out.insert(out.end(), 4, mask);
  for (const uint8_t byte : payload) out.push_back(byte ^ mask);
  return out;
}
Bytes bytes(std::initializer_list<uint8_t> list) { return list; }

class WebSocketTest : public testing::Test {
 protected:
  static constexpr uint64_t kStart = 1'000'000;

  std::unique_ptr<WebSocketChannel> server(std::vector<std::string> origins = {}) {
    return WebSocketChannel::server(std::move(origins), random, now);
  }
  // A server whose upgrade is done.
  std::unique_ptr<WebSocketChannel> open_server() {
    auto out = server();
    Bytes answer;
    EXPECT_TRUE(out->feed(as_bytes(request_with(good_fields())), answer, plain).ok());
    EXPECT_EQ(out->state(), State::established);
    return out;
  }
  // A client whose upgrade is done.
  std::unique_ptr<WebSocketChannel> open_client() {
    auto out = WebSocketChannel::client("a.example", random, now);
    auto other = server();
    Bytes request, response;
    EXPECT_TRUE(out->start(request).ok());
    EXPECT_TRUE(other->feed(request, response, plain).ok());
    EXPECT_TRUE(out->feed(response, request, plain).ok());
    EXPECT_EQ(out->state(), State::established);
    return out;
  }
  // What a fresh server says to `request`, and how it judges it.
  Status answer_to(std::string_view request, std::string& answer, std::vector<std::string> origins = {}) {
    const auto channel = server(std::move(origins));
    Bytes said;
    Status fed = channel->feed(as_bytes(request), said, plain);
    answer = to_string(said);
    EXPECT_TRUE(plain.empty());
    EXPECT_EQ(channel->state() == State::failed, !fed.ok());
    return fed;
  }
  Status client_hears(std::string_view response) {
    const auto channel = WebSocketChannel::client("a.example", random, now);
    Bytes request;
    EXPECT_TRUE(channel->start(request).ok());
    return channel->feed(as_bytes(response), request, plain);
  }
  // Feeds an open server `frames`, which must end it with `code` and a close frame of `status`.
  void expect_refused(ByteView frames, Code code = Code::protocol, uint16_t status = 1002) {
    const auto channel = open_server();
    Bytes said;
    const Status fed = channel->feed(frames, said, plain);
    EXPECT_EQ(fed.code(), code);
    EXPECT_EQ(channel->state(), State::failed);
    EXPECT_EQ(said, bytes({0x88, 2, static_cast<uint8_t>(status >> 8), static_cast<uint8_t>(status)}));
    said.clear();
    EXPECT_EQ(channel->feed(masked(0x82, as_bytes("x")), said, plain).code(), code) << "the same error from then on";
    EXPECT_EQ(channel->seal(as_bytes("x"), said).code(), code);
    channel->finish(said);
    EXPECT_TRUE(said.empty());
  }

  test::TestRandom random{7};
  Times now{kStart, 0};
  Bytes plain;
};

TEST_F(WebSocketTest, TheKeyOfTheRfc) {
  EXPECT_EQ(websocket_key(as_bytes("the sample nonce")), kRfcKey);
  EXPECT_EQ(websocket_accept(kRfcKey), kRfcAccept);
}

TEST_F(WebSocketTest, TheUpgrade) {
  const auto client = WebSocketChannel::client("192.0.2.1:4001", random, now);
  const auto serving = server();
  Bytes out, response;
  ASSERT_TRUE(client->start(out).ok());
  const std::string request = to_string(ByteView(out));
  EXPECT_TRUE(request.starts_with("GET / HTTP/1.1\r\nHost: 192.0.2.1:4001\r\n"));
  EXPECT_EQ(client->seal(as_bytes("early"), response).code(), Code::again);
  EXPECT_EQ(serving->seal(as_bytes("early"), response).code(), Code::again);
  ASSERT_TRUE(serving->feed(out, response, plain).ok());
  EXPECT_EQ(serving->state(), State::established);
  EXPECT_TRUE(to_string(ByteView(response)).starts_with("HTTP/1.1 101 "));
  // The server may speak at once.
  ASSERT_TRUE(serving->seal(as_bytes("hello"), response).ok());
  out.clear();
  ASSERT_TRUE(client->feed(response, out, plain).ok());
  EXPECT_EQ(client->state(), State::established);
  EXPECT_EQ(as_text(plain), "hello");
  EXPECT_TRUE(out.empty());
}

TEST_F(WebSocketTest, EveryRequestHasAKeyOfItsOwn) {
  Bytes first, second;
  ASSERT_TRUE(WebSocketChannel::client("a", random, now)->start(first).ok());
  ASSERT_TRUE(WebSocketChannel::client("a", random, now)->start(second).ok());
  EXPECT_NE(first, second);
}

// Whatever the pieces: both directions, all sizes where the frame header changes its form.
TEST_F(WebSocketTest, CarriesBytesInAnyPieces) {
  for (const size_t step : {size_t{1}, size_t{3}, size_t{1000}, size_t{1} << 20}) {
    const auto client = WebSocketChannel::client("a.example", random, now);
    const auto serving = server();
    Bytes to_server, to_client, at_server, at_client, sent;
    ASSERT_TRUE(client->start(to_server).ok());
    const auto move = [&] {
      while (!to_server.empty() || !to_client.empty()) {
        const Bytes up = std::exchange(to_server, {});
        for (size_t i = 0; i < up.size(); i += step) {
          ASSERT_TRUE(serving->feed(ByteView(up).subspan(i, std::min(step, up.size() - i)), to_client, at_server).ok());
        }
        const Bytes down = std::exchange(to_client, {});
        for (size_t i = 0; i < down.size(); i += step) {
          ASSERT_TRUE(
              client->feed(ByteView(down).subspan(i, std::min(step, down.size() - i)), to_server, at_client).ok());
        }
      }
    };
    move();
    for (const size_t size :
         {size_t{0}, size_t{1}, size_t{125}, size_t{126}, size_t{65535}, size_t{65536}, size_t{300'000}}) {
      Bytes block(size);
      random.fill(block);
      append(sent, block);
      ASSERT_TRUE(client->seal(block, to_server).ok());
      ASSERT_TRUE(serving->seal(block, to_client).ok());
    }
    move();
    EXPECT_TRUE(equal(at_server, sent)) << step;
    EXPECT_TRUE(equal(at_client, sent)) << step;
  }
}

TEST_F(WebSocketTest, FramesOfTheRfc) {
  // RFC 6455 section 5.7, with opcode 2: an unmasked and a masked "Hello", a fragmented one, 256 bytes.
  const auto client = open_client();
  Bytes out;
  ASSERT_TRUE(client->feed(bytes({0x82, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}), out, plain).ok());
  ASSERT_TRUE(client->feed(bytes({0x02, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f}), out, plain).ok());
  EXPECT_EQ(as_text(plain), "HelloHello");
  plain.clear();
  Bytes long_one = bytes({0x82, 0x7e, 0x01, 0x00});
  long_one.resize(4 + 256, 0x33);
  ASSERT_TRUE(client->feed(long_one, out, plain).ok());
  EXPECT_EQ(plain, Bytes(256, 0x33));
  plain.clear();
  const auto serving = open_server();
  ASSERT_TRUE(
      serving->feed(bytes({0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}), out, plain).ok());
  EXPECT_EQ(as_text(plain), "Hello");
  EXPECT_TRUE(out.empty());
  // A masked ping, and its answer.
  ASSERT_TRUE(
      serving->feed(bytes({0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}), out, plain).ok());
  EXPECT_EQ(out, bytes({0x8a, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}));
}

TEST_F(WebSocketTest, ClientsMaskAndServersDoNot) {
  Bytes from_client, from_server;
  const Bytes zeros(64);
  ASSERT_TRUE(open_client()->seal(zeros, from_client).ok());
  ASSERT_TRUE(open_server()->seal(zeros, from_server).ok());
  EXPECT_EQ(from_client[1] & 0x80, 0x80);
  EXPECT_FALSE(equal(ByteView(from_client).last(64), zeros));
  EXPECT_EQ(from_server[1], 64);
  EXPECT_TRUE(equal(ByteView(from_server).last(64), zeros));
}

TEST_F(WebSocketTest, ControlFramesComeBetweenFragments) {
  const auto channel = open_server();
  Bytes in = masked(0x02, as_bytes("one "));
  append(in, masked(0x89, as_bytes("ping")));
  append(in, masked(0x8a, as_bytes("a pong nobody asked for")));
  append(in, masked(0x80, as_bytes("two")));
  Bytes out;
  ASSERT_TRUE(channel->feed(in, out, plain).ok());
  EXPECT_EQ(as_text(plain), "one two");
  Bytes pong{0x8a, 4};
  append(pong, as_bytes("ping"));
  EXPECT_EQ(out, pong);
}

// ---- The end --------------------------------------------------------------------------------------------------------

TEST_F(WebSocketTest, ClosingInOrder) {
  const auto client = WebSocketChannel::client("a.example", random, now);
  const auto serving = server();
  Bytes up, down;
  ASSERT_TRUE(client->start(up).ok());
  ASSERT_TRUE(serving->feed(up, down, plain).ok());
  up.clear();
  ASSERT_TRUE(client->feed(down, up, plain).ok());
  down.clear();
  client->finish(up);
  EXPECT_EQ(client->seal(as_bytes("x"), up).code(), Code::closed);
  client->finish(up);  // once is enough
  EXPECT_EQ(up.size(), 8u);
  ASSERT_TRUE(serving->feed(up, down, plain).ok());
  EXPECT_EQ(serving->state(), State::ended);
  EXPECT_EQ(down, bytes({0x88, 2, 0x03, 0xe8}));
  EXPECT_EQ(serving->seal(as_bytes("x"), down).code(), Code::closed);
  Bytes nothing;
  ASSERT_TRUE(client->feed(down, nothing, plain).ok());
  EXPECT_EQ(client->state(), State::ended);
  EXPECT_TRUE(nothing.empty());
  ASSERT_TRUE(serving->feed(masked(0x81, as_bytes("dropped")), nothing, plain).ok());
  EXPECT_TRUE(nothing.empty() && plain.empty());
}

TEST_F(WebSocketTest, ACloseWithoutStatusIsAnswered) {
  const auto channel = open_server();
  Bytes out;
  ASSERT_TRUE(channel->feed(masked(0x88, {}), out, plain).ok());
  EXPECT_EQ(channel->state(), State::ended);
  EXPECT_EQ(out, bytes({0x88, 2, 0x03, 0xe8}));
}

TEST_F(WebSocketTest, BadClosePayloads) {
  expect_refused(masked(0x88, bytes({0x03})));  // half a status
  for (const uint16_t status : {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535}) {
    expect_refused(masked(0x88, bytes({static_cast<uint8_t>(status >> 8), static_cast<uint8_t>(status)})));
  }
  expect_refused(masked(0x88, bytes({0x03, 0xe8, 0xc3, 0x28})));        // not UTF-8
  expect_refused(masked(0x88, bytes({0x03, 0xe8, 0xed, 0xa0, 0x80})));  // a surrogate
}

// ---- Frames that are not allowed ------------------------------------------------------------------------------------

TEST_F(WebSocketTest, AnUnmaskedClientIsRefused) { expect_refused(bytes({0x82, 0x01, 0x00})); }

TEST_F(WebSocketTest, AMaskedServerIsRefused) {
  const auto client = open_client();
  Bytes out;
  EXPECT_EQ(client->feed(masked(0x82, as_bytes("x")), out, plain).code(), Code::protocol);
  EXPECT_EQ(client->state(), State::failed);
  EXPECT_TRUE(plain.empty());
}

TEST_F(WebSocketTest, ReservedBitsAndOpcodesAreRefused) {
  for (const uint8_t bit : {0x40, 0x20, 0x10}) expect_refused(masked(0x82 | bit, as_bytes("deflated?")));
  for (const uint8_t opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) expect_refused(masked(0x80 | opcode, as_bytes("x")));
}

TEST_F(WebSocketTest, TextIsRefused) {
  expect_refused(masked(0x81, as_bytes("Hello")), Code::unsupported, 1003);
  expect_refused(masked(0x01, as_bytes("Hel")), Code::unsupported, 1003);
}

TEST_F(WebSocketTest, FragmentsOutOfOrderAreRefused) {
  expect_refused(masked(0x80, as_bytes("x")));  // a continuation of nothing
  expect_refused(masked(0x00, as_bytes("x")));
  Bytes twice = masked(0x02, {});
  append(twice, masked(0x82, as_bytes("x")));
  expect_refused(twice);
}

TEST_F(WebSocketTest, LongOrFragmentedControlFramesAreRefused) {
  const Bytes payload(126, 'x');
  for (const uint8_t opcode : {8, 9, 10}) {
    expect_refused(masked(0x80 | opcode, payload));
    expect_refused(masked(opcode, as_bytes("x")));
  }
}

TEST_F(WebSocketTest, LengthsThatAreTooLargeOrNotShortest) {
  expect_refused(bytes({0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}));     // 2^63
  expect_refused(bytes({0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4}));  // fits 16 bits
  expect_refused(bytes({0x82, 0xfe, 0, 125, 1, 2, 3, 4}));                        // fits 7
}

TEST_F(WebSocketTest, AHugeFrameHoldsNothing) {
  const auto channel = open_server();
  Bytes out;
  ASSERT_TRUE(
      channel->feed(bytes({0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}), out, plain).ok());
  const Bytes block(10'000, 'a');
  for (int i = 0; i < 100; ++i) {
    plain.clear();
    ASSERT_TRUE(channel->feed(block, out, plain).ok());
    ASSERT_EQ(plain, block) << "passed on as it comes";
  }
  EXPECT_TRUE(out.empty());
}

TEST_F(WebSocketTest, FloodsOfFramesWithoutContentAreRefused) {
  const std::vector<Bytes> floods{masked(0x89, {}), masked(0x89, Bytes(125, 'p')), masked(0x8a, {}), masked(0x00, {})};
  for (const Bytes& frame : floods) {
    const auto channel = open_server();
    Bytes out;
    ASSERT_TRUE(channel->feed(masked(0x02, as_bytes("x")), out, plain).ok());
    uint64_t taken = 0;
    while (taken < 10'000 && channel->feed(frame, out, plain).ok()) ++taken;
    EXPECT_EQ(taken, kWebSocketIdleBurst);
    EXPECT_EQ(channel->state(), State::failed);
    EXPECT_LE(out.size(), kWebSocketIdleBurst * 127 + 4) << "answers are bounded, too";
  }
}

TEST_F(WebSocketTest, KeepAlivesGoOnForEver) {
  const auto channel = open_server();
  Bytes out;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(channel->feed(masked(0x89, as_bytes("?")), out, plain).ok());
    now.mono_us += kMicrosPerSecond / kWebSocketIdlePerSecond;
  }
  EXPECT_EQ(out.size(), 3000u);
}

TEST_F(WebSocketTest, TinyFragmentsHoldNothing) {
  const auto channel = open_server();
  Bytes out;
  ASSERT_TRUE(channel->feed(masked(0x02, as_bytes("x")), out, plain).ok());
  for (int i = 0; i < 100'000; ++i) {
    plain.clear();
    ASSERT_TRUE(channel->feed(masked(0x00, as_bytes("y")), out, plain).ok());
    ASSERT_EQ(plain.size(), 1u);
  }
  EXPECT_TRUE(out.empty());
}

// ---- Requests that are refused --------------------------------------------------------------------------------------

TEST_F(WebSocketTest, RequestsThatAreRefused) {
  struct Case {
    std::string request;
    Code code;
    std::string_view answer;
  };
  const std::string key(kRfcKey);
  const auto without = [](std::string_view field) {
    std::string fields = good_fields();
    const size_t at = fields.find(field);
    fields.erase(at, fields.find("\r\n", at) + 2 - at);
    return request_with(fields);
  };
  std::string post = request_with(good_fields());
  post.replace(0, 3, "POST");
  std::string elsewhere = request_with(good_fields());
  elsewhere.replace(4, 1, "/chat");
  std::string old = request_with(good_fields());
  old.replace(old.find("1.1"), 3, "1.0");
  std::string nameless = request_with(good_fields());
  nameless.erase(nameless.find("Host"), std::string_view("Host: a.example\r\n").size());
  std::string other_version = request_with(good_fields());
  other_version.replace(other_version.find("13"), 2, "8");
  const auto with_key = [&key](std::string_view other) {
    std::string out = request_with(good_fields());
    return out.replace(out.find(key), key.size(), other);
  };
  const std::vector<Case> cases{
      {request_with(""), Code::unsupported, "426"},
      {without("Upgrade:"), Code::unsupported, "426"},
      {without("Connection:"), Code::unsupported, "426"},
      {without("Sec-WebSocket-Version"), Code::unsupported, "426"},
      {without("Sec-WebSocket-Key"), Code::malformed, "400"},
      {other_version, Code::unsupported, "426"},
      {post, Code::malformed, "405"},
      {elsewhere, Code::not_found, "404"},
      {old, Code::malformed, "400"},
      {nameless, Code::malformed, "400"},
      {request_with(good_fields("Host: b.example\r\n")), Code::malformed, "400"},
      {request_with(good_fields("Sec-WebSocket-Key: " + key + "\r\n")), Code::malformed, "400"},
      {request_with(good_fields("Content-Length: 5\r\n")), Code::malformed, "400"},
      {request_with(good_fields("Transfer-Encoding: chunked\r\n")), Code::malformed, "400"},
      {request_with(good_fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")), Code::malformed, "400"},
      {with_key("dGhlIHNhbXBsZSBub25jZQ"), Code::malformed, "400"},
      {with_key("dGhlIHNhbXBsZSBub25jZTEy"), Code::malformed, "400"},
      {with_key("-GhlIHNhbXBsZSBub25jZQ=="), Code::malformed, "400"},
      {with_key("dGhlIHNhbXBsZSBub25jZR=="), Code::malformed, "400"},        // bits that are not zero
      {"\x16\x03\x01\x02\x05\x01\x01\xfc\x03\x03", Code::malformed, "400"},  // TLS to a plain port
      {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Code::malformed, "400"},
      {"GET / HTTP/1.1\nHost: a\n\n", Code::malformed, "400"},
      {"\x13/multistream/1.0.0\n", Code::malformed, "400"},  // a peer that thinks this is plain TCP
  };
  for (const Case& c : cases) {
    std::string answer;
    EXPECT_EQ(answer_to(c.request, answer).code(), c.code) << c.request << answer;
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + std::string(c.answer))) << c.request << answer;
    EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
  }
}

TEST_F(WebSocketTest, RequestsThatAreTaken) {
  const std::string one = good_fields();
  for (const std::string& fields : {
           one,
           good_fields(
               "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: x\r\n"),
           good_fields("Origin: https://anywhere.example\r\nCookie: a=b\r\nX-Forwarded-For: 192.0.2.7\r\n"),
           "upgrade: h2c , WebSocket\r\ncoNNection: keep-alive,Upgrade\r\n" + one.substr(one.find("Sec-")),
       }) {
    std::string answer;
    EXPECT_TRUE(answer_to(request_with(fields), answer).ok()) << fields;
    EXPECT_EQ(answer,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: " +
                  std::string(kRfcAccept) + "\r\n\r\n")
        << "no extension, no sub-protocol";
  }
}

TEST_F(WebSocketTest, OriginsThatAreNotListedAreRefused) {
  const std::vector<std::string> origins{"https://app.example", "https://b.example:8443"};
  const auto from = [&](const std::string& fields) {
    std::string answer;
    return answer_to(request_with(good_fields(fields)), answer, origins).code();
  };
  EXPECT_EQ(from("Origin: https://app.example\r\n"), Code::ok);
  EXPECT_EQ(from("Origin: https://b.example:8443\r\n"), Code::ok);
  EXPECT_EQ(from(""), Code::ok) << "not a browser";
  for (const auto* other :
       {"https://evil.example", "http://app.example", "https://app.example.evil.example", "null", ""}) {
    EXPECT_EQ(from("Origin: " + std::string(other) + "\r\n"), Code::denied) << other;
  }
  EXPECT_EQ(from("Origin: https://app.example\r\nOrigin: https://evil.example\r\n"), Code::denied);
}

TEST_F(WebSocketTest, BytesBehindARequestAreRefused) {
  std::string answer;
  std::string smuggled = request_with(good_fields());
  smuggled += as_text(masked(0x82, as_bytes("early")));
  EXPECT_EQ(answer_to(smuggled, answer).code(), Code::protocol);
  EXPECT_EQ(answer_to(request_with(good_fields()) + request_with(good_fields()), answer).code(), Code::protocol);
}

TEST_F(WebSocketTest, HeadsAreBounded) {
  std::string answer;
  const std::string long_value(kHttpHeadMax, 'a');
  EXPECT_EQ(answer_to(request_with("X: " + long_value + "\r\n"), answer).code(), Code::too_large);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 431 "));
  EXPECT_EQ(answer_to("GET /" + long_value, answer).code(), Code::too_large);
  std::string many;
  for (size_t i = 0; i <= kHttpFieldsMax; ++i) many += "a:b\r\n";
  EXPECT_EQ(answer_to(request_with(many), answer).code(), Code::too_large);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 431 "));
  // One byte at a time, for ever: the end comes at the limit.
  const auto channel = server();
  Bytes out;
  size_t fed = 0;
  ASSERT_TRUE(channel->feed(as_bytes("GET / HTTP/1.1\r\nX: "), out, plain).ok());
  while (fed < 100'000 && channel->feed(as_bytes("a"), out, plain).ok()) ++fed;
  EXPECT_LT(fed, kHttpHeadMax);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(channel->feed(as_bytes("a"), out, plain).code(), Code::too_large);
}

// ---- Responses that are refused -------------------------------------------------------------------------------------

TEST_F(WebSocketTest, ResponsesThatAreRefused) {
  EXPECT_EQ(client_hears("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").code(), Code::unsupported);
  EXPECT_EQ(client_hears("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n").code(), Code::unsupported);
  EXPECT_EQ(client_hears("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").code(), Code::unsupported);
  EXPECT_EQ(client_hears("HTTP/1.1 100 Continue\r\n\r\n").code(), Code::unsupported);
  EXPECT_EQ(client_hears("\x13/multistream/1.0.0\n").code(), Code::malformed);
  EXPECT_EQ(client_hears("HTTP/1.1 101 X\r\nX: " + std::string(kHttpHeadMax, 'a')).code(), Code::too_large);
  const std::string upgraded = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  EXPECT_EQ(client_hears(upgraded + "\r\n").code(), Code::protocol);
  EXPECT_EQ(client_hears(upgraded + "Sec-WebSocket-Accept: " + std::string(kRfcAccept) + "\r\n\r\n").code(),
            Code::protocol)
      << "the answer to another key";
  EXPECT_EQ(client_hears("HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n").code(), Code::protocol);
}

TEST_F(WebSocketTest, AServerMayNotChooseWhatWasNotOffered) {
  for (const auto* field : {"Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Protocol: chat\r\n"}) {
    const auto client = WebSocketChannel::client("a.example", random, now);
    Bytes request, response;
    ASSERT_TRUE(client->start(request).ok());
    ASSERT_TRUE(server()->feed(request, response, plain).ok());
    std::string text = to_string(ByteView(response));
    text.insert(text.size() - 2, field);
    EXPECT_EQ(client->feed(as_bytes(text), request, plain).code(), Code::protocol);
  }
}

}  // namespace
}  // namespace sereus::net
