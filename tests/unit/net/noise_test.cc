#include "core/net/noise.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/codec/protobuf.h"
#include "core/crypto/hash.h"
#include "core/net/limits.h"
#include "tests/support/files_in_repository.h"
#include "tests/support/test_random.h"

namespace sereus::net {
namespace {

using nlohmann::json;
using State = NoiseChannel::State;

constexpr size_t kLength = 2;

Bytes hex(const json& value) { return from_hex(value.get<std::string>()).value_or(Bytes()); }

crypto::KeyPair device(uint8_t seed) {
  return crypto::KeyPair::from_seed(crypto::SecretBytes<crypto::kSeedSize>(Bytes(crypto::kSeedSize, seed)));
}
PeerId peer(uint8_t seed) { return PeerId::from_device_key(device(seed).device_key()); }

// Gives out what it was given, once.
class FixedRandom final : public Random {
 public:
  explicit FixedRandom(Bytes bytes) : bytes_(std::move(bytes)) {}
  void fill(ByteSpan out) override {
    ASSERT_EQ(out.size(), bytes_.size());
    std::copy(bytes_.begin(), bytes_.end(), out.begin());
    bytes_.clear();
  }

 private:
  Bytes bytes_;
};

NoiseIdentity identity(uint8_t seed) {
  test::TestRandom random(seed);
  return make_noise_identity(device(seed), random);
}

// One handshake between device 1, dialing, and device 2. Bytes pass through the members, so that tests can change them.
struct Pair {
  explicit Pair(NoiseOptions dialing = {}, NoiseOptions answering = {}) {
    test::TestRandom random(7);
    initiator.emplace(NoiseRole::initiator, identity_1, std::move(dialing), random);
    responder.emplace(NoiseRole::responder, identity_2, std::move(answering), random);
    EXPECT_TRUE(initiator->start(message_1).ok());
    EXPECT_TRUE(responder->start(rest).ok());
  }
  Status second() { return responder->feed(message_1, message_2, plain_2); }
  Status third() { return initiator->feed(message_2, message_3, plain_1); }
  Status finish() { return responder->feed(message_3, rest, plain_2); }
  void connect() {
    ASSERT_TRUE(second().ok());
    ASSERT_TRUE(third().ok());
    ASSERT_TRUE(finish().ok());
    ASSERT_TRUE(rest.empty());
    ASSERT_EQ(initiator->state(), State::established);
    ASSERT_EQ(responder->state(), State::established);
  }

  NoiseIdentity identity_1 = identity(1);
  NoiseIdentity identity_2 = identity(2);
  Bytes message_1, message_2, message_3, rest, plain_1, plain_2;
  std::optional<NoiseChannel> initiator, responder;
};

// A frame is its length and its bytes.
Bytes framed(ByteView message) {
  Bytes out(kLength);
  store_be<uint16_t>(out.data(), static_cast<uint16_t>(message.size()));
  append(out, message);
  return out;
}

TEST(NoiseHandshake, PublishedVectors) {
  const json loaded =
      json::parse(test::read_text_file(SEREUS_SOURCE_DIR "/vectors/noise_xx.json").value_or(""), nullptr, false);
  ASSERT_FALSE(loaded.is_discarded());
  ASSERT_FALSE(loaded["vectors"].empty());
  const auto pair = [](const json& secret) {
    return crypto::X25519Pair::from_secret(crypto::X25519Secret(hex(secret)));
  };
  for (const json& vector : loaded["vectors"]) {
    const crypto::X25519Pair static_1 = pair(vector["init_static"]);
    const crypto::X25519Pair static_2 = pair(vector["resp_static"]);
    NoiseHandshake initiator(NoiseRole::initiator, hex(vector["init_prologue"]), static_1,
                             pair(vector["init_ephemeral"]));
    NoiseHandshake responder(NoiseRole::responder, hex(vector["resp_prologue"]), static_2,
                             pair(vector["resp_ephemeral"]));
    std::optional<NoiseCiphers> ciphers_1, ciphers_2;
    for (size_t i = 0; i < vector["messages"].size(); ++i) {
      const json& item = vector["messages"][i];
      const bool first = i % 2 == 0;  // the sides take turns, after the handshake too
      Bytes sent, got;
      if (i < NoiseHandshake::kMessages) {
        NoiseHandshake& from = first ? initiator : responder;
        NoiseHandshake& to = first ? responder : initiator;
        ASSERT_TRUE(from.ours_next() && !to.ours_next());
        ASSERT_TRUE(from.write(hex(item["payload"]), sent).ok());
        ASSERT_TRUE(to.read(sent, got).ok());
      } else {
        if (!ciphers_1) ciphers_1.emplace(initiator.split());
        if (!ciphers_2) ciphers_2.emplace(responder.split());
        ASSERT_TRUE((first ? ciphers_1 : ciphers_2)->send.seal({}, hex(item["payload"]), sent).ok());
        ASSERT_TRUE((first ? ciphers_2 : ciphers_1)->receive.open({}, sent, got).ok());
      }
      EXPECT_EQ(to_hex(sent), item["ciphertext"].get<std::string>()) << i;
      EXPECT_EQ(to_hex(got), item["payload"].get<std::string>()) << i;
    }
    EXPECT_EQ(initiator.handshake_hash().hex(), vector["handshake_hash"].get<std::string>());
    EXPECT_EQ(responder.handshake_hash().hex(), vector["handshake_hash"].get<std::string>());
    EXPECT_EQ(*initiator.remote_static(), static_2.public_key());
    EXPECT_EQ(*responder.remote_static(), static_1.public_key());
  }
}

// vectors/noise_libp2p.json, which tools/vectors/noise_vectors.py writes without any of our code.
TEST(Noise, ConnectionsOfVectors) {
  const json loaded =
      json::parse(test::read_text_file(SEREUS_SOURCE_DIR "/vectors/noise_libp2p.json").value_or(""), nullptr, false);
  ASSERT_FALSE(loaded.is_discarded());
  ASSERT_GE(loaded["connections"].size(), 4u);
  for (const json& item : loaded["connections"]) {
    std::vector<NoiseIdentity> identities;
    for (size_t side = 0; side < 2; ++side) {
      FixedRandom random(hex(item["static_secrets"][side]));
      const crypto::SecretBytes<crypto::kSeedSize> seed(hex(item["device_seeds"][side]));
      identities.push_back(make_noise_identity(crypto::KeyPair::from_seed(seed), random));
    }
    const auto options = [&item](size_t side) {
      return NoiseOptions{PeerId(), item["muxers"][side].get<std::vector<std::string>>()};
    };
    FixedRandom first_random(hex(item["ephemeral_secrets"][0]));
    FixedRandom second_random(hex(item["ephemeral_secrets"][1]));
    Bytes messages[3], rest, plain;
    NoiseChannel sides[] = {{NoiseRole::initiator, identities[0], options(0), first_random},
                            {NoiseRole::responder, identities[1], options(1), second_random}};
    ASSERT_TRUE(sides[0].start(messages[0]).ok());
    ASSERT_TRUE(sides[1].feed(messages[0], messages[1], plain).ok());
    ASSERT_TRUE(sides[0].feed(messages[1], messages[2], plain).ok());
    ASSERT_TRUE(sides[1].feed(messages[2], rest, plain).ok());
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(to_hex(messages[i]), item["handshake"][i].get<std::string>());
    for (const NoiseChannel& side : sides) {
      EXPECT_EQ(side.handshake_hash().hex(), item["handshake_hash"].get<std::string>());
      EXPECT_EQ(side.muxer(), item["agreed"].get<std::string>());
    }
    for (const json& frame : item["frames"]) {
      const bool repeated = frame["plain"].is_object();
      Bytes text;
      for (int i = 0; i < (repeated ? frame["plain"]["times"].get<int>() : 1); ++i) {
        append(text, hex(repeated ? frame["plain"]["repeat"] : frame["plain"]));
      }
      Bytes wire, got;
      const size_t from = frame["from"].get<size_t>();
      ASSERT_TRUE(sides[from].seal(text, wire).ok());
      EXPECT_EQ(repeated ? crypto::sha256(wire).hex() : to_hex(wire),
                (repeated ? frame["wire"]["sha256"] : frame["wire"]).get<std::string>());
      ASSERT_TRUE(sides[1 - from].feed(wire, rest, got).ok());
      EXPECT_EQ(got, text);
    }
  }
}

TEST(NoiseHandshake, AnotherPrologueIsAnotherHandshake) {
  const NoiseIdentity one = identity(1);
  const NoiseIdentity two = identity(2);
  test::TestRandom random(3);
  NoiseHandshake initiator(NoiseRole::initiator, as_bytes("a"), one.static_pair, crypto::X25519Pair::generate(random));
  NoiseHandshake responder(NoiseRole::responder, as_bytes("b"), two.static_pair, crypto::X25519Pair::generate(random));
  Bytes first, second, payload;
  ASSERT_TRUE(initiator.write({}, first).ok());
  ASSERT_TRUE(responder.read(first, payload).ok());
  ASSERT_TRUE(responder.write({}, second).ok());
  EXPECT_EQ(initiator.read(second, payload).code(), Code::bad_signature);
}

TEST(Noise, TwoHostsProveThemselvesAndTalk) {
  Pair pair({peer(2), {}}, {});
  pair.connect();
  EXPECT_EQ(pair.initiator->peer(), peer(2));
  EXPECT_EQ(pair.responder->peer(), peer(1));
  EXPECT_EQ(pair.initiator->handshake_hash(), pair.responder->handshake_hash());
  EXPECT_EQ(pair.initiator->muxer(), "");
  for (const size_t size : {size_t{0}, size_t{1}, kNoiseMessageMax - 16, kNoiseMessageMax - 15, size_t{300'000}}) {
    Bytes data(size);
    test::TestRandom random(size);
    random.fill(data);
    for (const bool forth : {true, false}) {
      NoiseChannel& from = forth ? *pair.initiator : *pair.responder;
      NoiseChannel& to = forth ? *pair.responder : *pair.initiator;
      Bytes sealed, out, plain;
      ASSERT_TRUE(from.seal(data, sealed).ok());
      const size_t frames = (size + kNoiseMessageMax - 17) / (kNoiseMessageMax - 16);
      EXPECT_EQ(sealed.size(), size + frames * (2 + 16));
      ASSERT_TRUE(to.feed(sealed, out, plain).ok());
      EXPECT_EQ(plain, data);
      EXPECT_TRUE(out.empty());
    }
  }
}

TEST(Noise, TheSameSeedGivesTheSameBytes) {
  Pair a, b;
  a.connect();
  b.connect();
  EXPECT_EQ(a.message_1, b.message_1);
  EXPECT_EQ(a.message_2, b.message_2);
  EXPECT_EQ(a.message_3, b.message_3);
}

TEST(Noise, BytesMayBeCutAnywhere) {
  Pair whole;
  whole.connect();
  Bytes sealed;
  ASSERT_TRUE(whole.initiator->seal(as_bytes("hello"), sealed).ok());
  // To the responder: message 1, message 3 and one frame, all at once or in two parts.
  Bytes all = whole.message_1;
  append(all, whole.message_3);
  append(all, sealed);
  for (size_t cut = 0; cut <= all.size(); ++cut) {
    Pair pair;
    Bytes out, plain;
    ASSERT_TRUE(pair.responder->feed(ByteView(all).first(cut), out, plain).ok());
    ASSERT_TRUE(pair.responder->feed(ByteView(all).subspan(cut), out, plain).ok());
    EXPECT_EQ(out, whole.message_2);
    EXPECT_EQ(to_string(plain), "hello");
  }
  Pair pair;  // byte by byte
  Bytes out, plain;
  for (const uint8_t byte : all) ASSERT_TRUE(pair.responder->feed({&byte, 1}, out, plain).ok());
  EXPECT_EQ(to_string(plain), "hello");
  for (size_t cut = 0; cut <= whole.message_2.size(); ++cut) {
    Pair other;
    Bytes third;
    ASSERT_TRUE(other.initiator->feed(ByteView(whole.message_2).first(cut), third, plain).ok());
    EXPECT_EQ(third.empty(), cut < whole.message_2.size());
    ASSERT_TRUE(other.initiator->feed(ByteView(whole.message_2).subspan(cut), third, plain).ok());
    EXPECT_EQ(third, whole.message_3);
  }
}

// Every byte of the three messages, changed in three ways: somebody notices before anything is delivered.
TEST(Noise, NoByteOfTheHandshakeCanBeChanged) {
  for (const uint8_t flip : {uint8_t{0x01}, uint8_t{0x80}, uint8_t{0xff}}) {
    for (size_t message = 0; message < 3; ++message) {
      Pair sizes;
      sizes.connect();
      const size_t size = (message == 0 ? sizes.message_1 : message == 1 ? sizes.message_2 : sizes.message_3).size();
      for (size_t at = 0; at < size; ++at) {
        Pair pair;
        if (message == 0) pair.message_1[at] ^= flip;
        bool refused = !pair.second().ok() || pair.message_2.empty();
        if (!refused && message == 1) pair.message_2[at] ^= flip;
        refused = refused || !pair.third().ok() || pair.message_3.empty();
        if (!refused && message == 2) pair.message_3[at] ^= flip;
        refused = refused || !pair.finish().ok() || pair.responder->state() != State::established;
        EXPECT_TRUE(refused) << "message " << message << " byte " << at;
        EXPECT_TRUE(pair.plain_1.empty() && pair.plain_2.empty());
      }
    }
  }
}

TEST(Noise, TruncatedMessagesAreRefused) {
  Pair good;
  good.connect();
  for (size_t size = 0; size < good.message_2.size() - kLength; ++size) {
    Pair pair;
    const Status status =
        pair.initiator->feed(framed(ByteView(good.message_2).subspan(kLength, size)), pair.message_3, pair.plain_1);
    EXPECT_FALSE(status.ok()) << size;
    EXPECT_TRUE(pair.message_3.empty());
    EXPECT_EQ(pair.initiator->state(), State::failed);
  }
}

TEST(Noise, SizesAreCheckedBeforeTheBytesAreThere) {
  const auto first_answer = [](NoiseChannel& channel, uint16_t length) {
    uint8_t raw[kLength];
    store_be<uint16_t>(raw, length);
    Bytes out, plain;
    return channel.feed(raw, out, plain).code();
  };
  for (const uint16_t length : {uint16_t{0}, uint16_t{31}}) {
    Pair pair;
    EXPECT_EQ(first_answer(*pair.responder, length), Code::malformed);
  }
  Pair one;  // the first message has no payload
  EXPECT_EQ(first_answer(*one.responder, 33), Code::too_large);
  Pair two;
  EXPECT_EQ(first_answer(*two.initiator, static_cast<uint16_t>(96 + kNoisePayloadMax + 1)), Code::too_large);
  Pair three;
  ASSERT_TRUE(three.second().ok());
  EXPECT_EQ(first_answer(*three.responder, static_cast<uint16_t>(64 + kNoisePayloadMax + 1)), Code::too_large);
  Pair four;
  four.connect();
  EXPECT_EQ(first_answer(*four.responder, 15), Code::malformed);
  Pair five;
  five.connect();
  EXPECT_EQ(first_answer(*five.responder, 65535), Code::ok);
}

TEST(Noise, AnotherPeerThanTheExpectedOneIsRefusedBeforeWeShowOurselves) {
  Pair pair({peer(3), {}}, {});
  ASSERT_TRUE(pair.second().ok());
  EXPECT_EQ(pair.third().code(), Code::denied);
  EXPECT_TRUE(pair.message_3.empty());
  EXPECT_EQ(pair.third().code(), Code::denied);  // and stays so
  Bytes out;
  EXPECT_EQ(pair.initiator->seal(as_bytes("x"), out).code(), Code::denied);
  EXPECT_TRUE(out.empty());

  Pair answering({}, {peer(3), {}});
  ASSERT_TRUE(answering.second().ok());
  ASSERT_TRUE(answering.third().ok());
  EXPECT_EQ(answering.finish().code(), Code::denied);
}

TEST(Noise, AForeignKeyInThePayloadIsRefused) {
  // Host 2's own static key, with somebody else's identity: their key, their signature over another static key.
  Pair foreign;
  foreign.identity_2.identity_key = identity(3).identity_key;
  foreign.identity_2.identity_sig = identity(3).identity_sig;
  ASSERT_TRUE(foreign.second().ok());
  EXPECT_EQ(foreign.third().code(), Code::bad_signature);
  // The signature moved from one static key to another.
  Pair moved;
  test::TestRandom random(99);
  moved.identity_1.identity_sig = make_noise_identity(device(1), random).identity_sig;
  ASSERT_TRUE(moved.second().ok());
  ASSERT_TRUE(moved.third().ok());
  EXPECT_EQ(moved.finish().code(), Code::bad_signature);
  EXPECT_TRUE(moved.responder->peer().empty());
  Pair garbage;
  garbage.identity_2.identity_key = {1, 2, 3};
  ASSERT_TRUE(garbage.second().ok());
  EXPECT_EQ(garbage.third().code(), Code::malformed);
}

TEST(Noise, KeysOfSmallOrderAreRefused) {
  // RFC 7748 section 6.1: 0, 1, two points of order 8, and p - 1, p, p + 1.
  const char* const points[] = {
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  };
  for (const char* const point : points) {
    Pair pair;
    const Bytes key = from_hex(point).value_or(Bytes());
    ASSERT_EQ(key.size(), 32u);
    pair.message_1 = framed(key);
    EXPECT_EQ(pair.second().code(), Code::protocol) << point;
    EXPECT_TRUE(pair.message_2.empty());
  }
}

TEST(Noise, MuxersAreAgreedInsideTheHandshake) {
  const std::string yamux = "/yamux/1.0.0";
  const std::string mplex = "/mplex/6.7.0";
  const auto agreed = [](std::vector<std::string> dialing, std::vector<std::string> answering) {
    Pair pair({PeerId(), std::move(dialing)}, {PeerId(), std::move(answering)});
    pair.connect();
    EXPECT_EQ(pair.initiator->muxer(), pair.responder->muxer());
    return pair.initiator->muxer();
  };
  EXPECT_EQ(agreed({yamux}, {yamux}), yamux);
  EXPECT_EQ(agreed({yamux, mplex}, {mplex, yamux}), yamux);
  EXPECT_EQ(agreed({mplex, yamux}, {yamux, mplex}), mplex);
  EXPECT_EQ(agreed({mplex, yamux}, {yamux}), yamux);
  EXPECT_EQ(agreed({yamux}, {}), "");
  EXPECT_EQ(agreed({}, {yamux}), "");
  Pair none({PeerId(), {yamux}}, {PeerId(), {mplex}});
  ASSERT_TRUE(none.second().ok());
  EXPECT_EQ(none.third().code(), Code::unsupported);
}

TEST(Noise, FramesCannotBeChangedRepeatedDroppedOrCut) {
  const auto sealed_by = [](Pair& pair, std::string_view text) {
    Bytes out;
    EXPECT_TRUE(pair.initiator->seal(as_bytes(text), out).ok());
    return out;
  };
  Bytes out, plain;
  Pair sample;
  sample.connect();
  const Bytes frame = sealed_by(sample, "hello");
  for (size_t at = kLength; at < frame.size(); ++at) {
    Pair pair;
    pair.connect();
    Bytes changed = sealed_by(pair, "hello");
    changed[at] ^= 0x10;
    EXPECT_EQ(pair.responder->feed(changed, out, plain).code(), Code::bad_signature);
  }
  Pair repeated;
  repeated.connect();
  const Bytes once = sealed_by(repeated, "hello");
  EXPECT_TRUE(repeated.responder->feed(once, out, plain).ok());
  EXPECT_EQ(repeated.responder->feed(once, out, plain).code(), Code::bad_signature);
  Pair dropped;
  dropped.connect();
  sealed_by(dropped, "lost");
  EXPECT_EQ(dropped.responder->feed(sealed_by(dropped, "next"), out, plain).code(), Code::bad_signature);
  EXPECT_EQ(to_string(plain), "hello");  // of the first of `repeated`, and nothing else
  EXPECT_EQ(dropped.responder->feed({}, out, plain).code(), Code::bad_signature);
}

TEST(Noise, TheConnectionEndsBeforeANonceRepeats) {
  const auto at = [](uint64_t nonce) {
    return NoiseCiphers{NoiseCipher(crypto::ChaChaPolyKey(Bytes(32, 1)), nonce),
                        NoiseCipher(crypto::ChaChaPolyKey(Bytes(32, 1)), nonce)};
  };
  Pair pair;
  pair.connect();
  pair.initiator->set_ciphers_for_tests(at(UINT64_MAX - 2));
  pair.responder->set_ciphers_for_tests(at(UINT64_MAX - 2));
  Bytes sealed, out, plain;
  ASSERT_TRUE(pair.initiator->seal(as_bytes("a"), sealed).ok());
  ASSERT_TRUE(pair.initiator->seal(as_bytes("b"), sealed).ok());
  const size_t before = sealed.size();
  EXPECT_EQ(pair.initiator->seal(as_bytes("c"), sealed).code(), Code::closed);
  EXPECT_EQ(sealed.size(), before);
  EXPECT_EQ(pair.initiator->state(), State::failed);
  ASSERT_TRUE(pair.responder->feed(sealed, out, plain).ok());
  EXPECT_EQ(to_string(plain), "ab");
  EXPECT_EQ(pair.responder->feed(framed(Bytes(17)), out, plain).code(), Code::closed);
}

TEST(NoisePayload, RoundTripAndUnknownFields) {
  const NoisePayload payload{{1, 2}, {3}, {"/yamux/1.0.0", "/mplex/6.7.0"}};
  Bytes bytes = encode_noise_payload(payload);
  codec::ProtobufWriter unknown;
  unknown.number(9, 300);
  unknown.bytes(3, as_bytes("old data field"));
  append(bytes, unknown.view());
  const auto parsed = parse_noise_payload(bytes);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->identity_key, payload.identity_key);
  EXPECT_EQ(parsed->identity_sig, payload.identity_sig);
  EXPECT_EQ(parsed->stream_muxers, payload.stream_muxers);
}

TEST(NoisePayload, BadInput) {
  const auto code = [](const Bytes& bytes) { return parse_noise_payload(bytes).code(); };
  const Bytes good = encode_noise_payload({{1}, {2}, {"/a"}});
  ASSERT_EQ(code(good), Code::ok);
  for (size_t size = 0; size < good.size(); ++size) {
    // A cut between fields leaves the extensions out, which is a payload too.
    const Code expected = size == 6 ? Code::ok : Code::malformed;
    EXPECT_EQ(code(Bytes(good.begin(), good.begin() + static_cast<ptrdiff_t>(size))), expected);
  }
  Bytes twice = good;
  append(twice, Bytes{0x0a, 1, 'x'});
  EXPECT_EQ(code(twice), Code::malformed);
  EXPECT_EQ(code({0x08, 1}), Code::malformed);  // the key as a number
  Bytes group = good;
  group.push_back(0x2b);
  EXPECT_EQ(code(group), Code::malformed);
  EXPECT_EQ(code(encode_noise_payload({{1}, {2}, std::vector<std::string>(kNoiseMuxersMax + 1, "/a")})),
            Code::too_large);
  EXPECT_EQ(code(encode_noise_payload({{1}, {2}, {std::string(kMultistreamLineMax, 'a')}})), Code::too_large);
  EXPECT_EQ(code(Bytes(kNoisePayloadMax + 1)), Code::too_large);
}

}  // namespace
}  // namespace sereus::net
