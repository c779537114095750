// vectors/libp2p_wire.json: bytes of multistream-select, ping, yamux and WebSocket as js-libp2p and its packages write them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/net/multistream.h"
#include "core/net/ping.h"
#include "core/net/websocket_channel.h"
#include "core/net/websocket_handshake.h"
#include "core/net/yamux_frame.h"
#include "tests/support/files_in_repository.h"
#include "tests/support/test_random.h"

namespace sereus::net {
namespace {

using nlohmann::json;

const json& vectors() {
  static const json loaded =
      json::parse(test::read_text_file(SEREUS_SOURCE_DIR "/vectors/libp2p_wire.json").value_or(""), nullptr, false);
  return loaded;
}

Bytes hex(const json& value) { return from_hex(value.get<std::string>()).value_or(Bytes()); }

TEST(WireVectors, Multistream) {
  ASSERT_FALSE(vectors().is_discarded());
  ASSERT_FALSE(vectors()["multistream"].empty());
  for (const json& item : vectors()["multistream"]) {
    const auto proposals = item["proposals"].get<std::vector<std::string>>();
    const auto supported = item["supported"].get<std::vector<std::string>>();
    const bool agrees = item["agreed"].is_string();
    Bytes asked, answered;
    Multistream initiator = Multistream::initiator(std::span(proposals), asked);
    Multistream responder = Multistream::responder();
    Bytes to_initiator, all_asked = asked;
    while (!asked.empty()) {
      to_initiator.clear();
      responder.feed(asked, supported, to_initiator);
      append(answered, to_initiator);
      asked.clear();
      initiator.feed(to_initiator, {}, asked);
      append(all_asked, asked);
    }
    EXPECT_EQ(all_asked, hex(item["initiator"])) << item["name"];
    EXPECT_EQ(answered, hex(item["responder"])) << item["name"];
    EXPECT_EQ(initiator.state(), agrees ? Multistream::State::agreed : Multistream::State::refused) << item["name"];
    if (!agrees) continue;
    EXPECT_EQ(initiator.protocol(), item["agreed"].get<std::string>());
    EXPECT_EQ(responder.protocol(), item["agreed"].get<std::string>());
  }
}

TEST(WireVectors, Ping) {
  PingResponder responder;
  Bytes echo;
  responder.feed(hex(vectors()["ping"]["initiator"]), echo);
  EXPECT_EQ(echo, hex(vectors()["ping"]["responder"]));
  EXPECT_EQ(echo.size(), 2 * kPingBytes);
  EXPECT_TRUE(responder.clean());
}

TEST(WireVectors, Yamux) {
  const std::map<std::string, YamuxType> types = {{"data", YamuxType::data},
                                                  {"window_update", YamuxType::window_update},
                                                  {"ping", YamuxType::ping},
                                                  {"go_away", YamuxType::go_away}};
  ASSERT_FALSE(vectors()["yamux"].empty());
  for (const json& item : vectors()["yamux"]) {
    const YamuxHeader header{types.at(item["type"]), item["flags"], item["stream"], item["length"]};
    const Bytes bytes = hex(item["bytes"]);
    Bytes ours;
    append_yamux_header(ours, header);
    EXPECT_EQ(ours, bytes) << item;
    ASSERT_EQ(bytes.size(), kYamuxHeaderSize);
    const auto parsed = parse_yamux_header(std::span<const uint8_t, kYamuxHeaderSize>(bytes.data(), kYamuxHeaderSize));
    ASSERT_TRUE(parsed.ok()) << item;
    EXPECT_EQ(*parsed, header) << item;
  }
}

class WebSocketVectors : public testing::Test {
 protected:
  static const json& vector() { return vectors()["websocket"]; }
  void SetUp() override {
    Bytes request;
    ASSERT_TRUE(client->start(request).ok());
    Bytes response;
    ASSERT_TRUE(WebSocketChannel::server({}, random, now)->feed(request, response, plain).ok());
    ASSERT_TRUE(client->feed(response, out, plain).ok());
    ASSERT_TRUE(server->feed(as_bytes(vector()["request"].get<std::string>()), upgraded, plain).ok());
    ASSERT_EQ(client->state(), Channel::State::established);
    ASSERT_EQ(server->state(), Channel::State::established);
  }

  test::TestRandom random{7};
  Times now{1'800'000'000'000'000, 0};
  const std::unique_ptr<WebSocketChannel> client = WebSocketChannel::client("a.example", random, now);
  const std::unique_ptr<WebSocketChannel> server = WebSocketChannel::server({}, random, now);
  Bytes upgraded;  // the server's answer to the request of the vectors
  Bytes out, plain;
};

TEST_F(WebSocketVectors, Upgrade) {
  const auto key = vector()["key"].get<std::string>();
  const auto theirs = vector()["response"].get<std::string>();
  for (const std::string& response : {theirs, to_string(ByteView(upgraded))}) {
    HttpHead head(HttpHead::Kind::response);
    ASSERT_TRUE(head.feed(as_bytes(response)).ok());
    ASSERT_TRUE(head.complete());
    EXPECT_TRUE(check_websocket_response(head, key).ok()) << response;
  }
  EXPECT_NE(theirs.find(websocket_accept(key)), std::string::npos);
}

TEST_F(WebSocketVectors, Frames) {
  ASSERT_FALSE(vector()["frames"].empty());
  for (const json& item : vector()["frames"]) {
    const Bytes payload = hex(item["payload"]);
    const Bytes bytes = hex(item["bytes"]);
    const int opcode = item["opcode"];
    WebSocketChannel& receiver = item["masked"] ? *server : *client;
    out.clear();
    plain.clear();
    ASSERT_TRUE(receiver.feed(bytes, out, plain).ok()) << item["name"];
    EXPECT_EQ(plain, opcode <= 2 ? payload : Bytes()) << item["name"];
    if (opcode == 8 || opcode == 9) {  // a close frame comes back as it is, a ping as a pong
      Bytes answer{static_cast<uint8_t>(opcode == 8 ? 0x88 : 0x8a), static_cast<uint8_t>(payload.size())};
      append(answer, payload);
      EXPECT_EQ(out, answer) << item["name"];
    } else {
      EXPECT_TRUE(out.empty()) << item["name"];
    }
    if (opcode != 2 || !item["fin"]) continue;
    Bytes ours;
    ASSERT_TRUE((item["masked"] ? *client : *server).seal(payload, ours).ok());
    if (!item["masked"]) {
      EXPECT_EQ(ours, bytes) << item["name"];
      continue;
    }
    // Masked with another mask: the same up to there, and what it means.
    const size_t header = bytes.size() - payload.size() - 4;
    ASSERT_EQ(ours.size(), bytes.size()) << item["name"];
    EXPECT_TRUE(equal(ByteView(ours).first(header), ByteView(bytes).first(header))) << item["name"];
    plain.clear();
    ASSERT_TRUE(server->feed(ours, out, plain).ok());
    EXPECT_EQ(plain, payload) << item["name"];
  }
  EXPECT_EQ(server->state(), Channel::State::ended);
}

}  // namespace
}  // namespace sereus::net
