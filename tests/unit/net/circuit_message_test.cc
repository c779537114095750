// Messages of Circuit Relay v2 and vouchers: vectors of js-libp2p, and what is refused.
#include "core/net/circuit_message.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/codec/protobuf.h"
#include "core/net/signed_envelope.h"
#include "tests/support/files_in_repository.h"
#include "tests/support/test_random.h"

namespace sereus::net {
namespace {

using nlohmann::json;

const json& vectors() {
  static const json loaded =
      json::parse(test::read_text_file(SEREUS_SOURCE_DIR "/vectors/libp2p_circuit.json").value_or(""), nullptr, false);
  return loaded;
}
Bytes hex(const json& value) { return from_hex(value.get<std::string>()).value_or(Bytes()); }
crypto::KeyPair pair(uint8_t n) {
  return crypto::KeyPair::from_seed(crypto::SecretBytes<crypto::kSeedSize>(Bytes(32, n)));
}
PeerId peer(uint8_t n) { return PeerId::from_device_key(pair(n).device_key()); }

std::optional<CircuitLimit> limit_of(const json& item) {
  if (!item.contains("limit")) return std::nullopt;
  return CircuitLimit{item["limit"]["seconds"].get<uint64_t>() * kMicrosPerSecond, item["limit"]["data"]};
}
std::optional<CircuitStatus> status_of(const json& item) {
  if (!item.contains("status")) return std::nullopt;
  return static_cast<CircuitStatus>(item["status"].get<uint32_t>());
}

TEST(CircuitMessage, OfJs) {
  ASSERT_EQ(vectors()["hop"].size(), 8u);
  for (const json& item : vectors()["hop"]) {
    SCOPED_TRACE(item["name"].get<std::string>());
    const auto message = decode_hop(hex(item["bytes"]));
    ASSERT_TRUE(message.ok()) << message.error().detail;
    EXPECT_EQ(static_cast<int>(message->type), item["type"].get<int>());
    EXPECT_EQ(message->peer ? message->peer->to_string() : "", item.value("peer", ""));
    EXPECT_EQ(message->limit, limit_of(item));
    EXPECT_EQ(message->status, status_of(item));
    ASSERT_EQ(message->reservation.has_value(), item.contains("expire"));
    if (message->reservation) {
      EXPECT_EQ(message->reservation->expire_s, item["expire"].get<uint64_t>());
      std::vector<std::string> addresses;
      for (const Multiaddr& address : message->reservation->addresses) addresses.push_back(address.to_string());
      EXPECT_EQ(json(addresses), item["addresses"]);
      EXPECT_EQ(message->reservation->voucher, hex(vectors()["voucher"]["envelope"]));
    }
    if (item.value("foreign", false)) continue;
    EXPECT_EQ(to_hex(encode_hop(*message).value()), item["bytes"].get<std::string>());
  }
  ASSERT_EQ(vectors()["stop"].size(), 4u);
  for (const json& item : vectors()["stop"]) {
    SCOPED_TRACE(item["name"].get<std::string>());
    const auto message = decode_stop(hex(item["bytes"]));
    ASSERT_TRUE(message.ok()) << message.error().detail;
    EXPECT_EQ(static_cast<int>(message->type), item["type"].get<int>());
    EXPECT_EQ(message->peer ? message->peer->to_string() : "", item.value("peer", ""));
    EXPECT_EQ(message->limit, limit_of(item));
    EXPECT_EQ(message->status, status_of(item));
    EXPECT_EQ(to_hex(encode_stop(*message).value()), item["bytes"].get<std::string>());
  }
}

TEST(CircuitMessage, ALimitIsInSecondsUnlessThatIsAbsurd) {
  const auto read = [](uint64_t duration) {
    codec::ProtobufWriter limit;
    limit.number(1, duration);
    codec::ProtobufWriter message;
    message.number(1, 2);
    message.bytes(4, limit.view());
    return decode_hop(message.view())->limit->duration_us;
  };
  EXPECT_EQ(read(0), 0u);
  EXPECT_EQ(read(120), 120 * kMicrosPerSecond);
  EXPECT_EQ(read(kCircuitMillisecondsFrom - 1), (kCircuitMillisecondsFrom - 1) * kMicrosPerSecond);
  EXPECT_EQ(read(kCircuitMillisecondsFrom), 36 * kMicrosPerSecond);
  EXPECT_EQ(read(120'000), 120 * kMicrosPerSecond);
  EXPECT_EQ(read(UINT32_MAX), uint64_t{UINT32_MAX} * kMicrosPerMilli);
  // Ours never becomes "none" by rounding.
  HopMessage message;
  message.type = HopMessage::Type::status;
  message.limit = CircuitLimit{1, 0};
  EXPECT_EQ(decode_hop(encode_hop(message).value())->limit->duration_us, kMicrosPerSecond);
}

TEST(CircuitMessage, HostileOnesAreRefused) {
  const auto message = [](auto fill) {
    codec::ProtobufWriter writer;
    fill(writer);
    return writer.take();
  };
  using Writer = codec::ProtobufWriter;
  const Bytes id = to_bytes(peer(1).multihash());
  const Bytes good_peer = message([&](Writer& w) { w.bytes(1, id); });
  const std::vector<Bytes> bad = {
      {},                                                          // no type
      {0x08},                                                      // cut off
      message([](Writer& w) { w.number(1, 3); }),                  // an unknown type
      message([](Writer& w) { w.bytes(1, Bytes{0}); }),            // the type as bytes
      message([](Writer& w) { w.number(1, 0), w.number(1, 0); }),  // twice
      message([](Writer& w) { w.number(1, 1), w.number(2, 7); }),  // a peer that is a number
      message([](Writer& w) { w.number(1, 1), w.bytes(2, {}); }),  // a peer without its id
      message([](Writer& w) {
        w.number(1, 1), w.bytes(2, Bytes{1, 2});
      }),  // no message
      message([&](Writer& w) { w.number(1, 1), w.bytes(2, message([](Writer& p) { p.bytes(1, Bytes(34, 7)); })); }),
      message([&](Writer& w) { w.number(1, 1), w.bytes(2, good_peer), w.bytes(2, good_peer); }),
      message([&](Writer& w) {
        w.number(1, 1);
        w.bytes(2, message([&](Writer& p) { p.bytes(1, id), p.bytes(1, id); }));
      }),
      message([&](Writer& w) {
        w.number(1, 1);
        w.bytes(2, message([&](Writer& p) {
                  p.bytes(1, id);
                  for (size_t i = 0; i <= kCircuitAddressesMax; ++i) p.bytes(2, {});
                }));
      }),
  };
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_EQ(decode_hop(bad[i]).code(), Code::malformed) << i;
    EXPECT_EQ(decode_stop(bad[i]).code(), Code::malformed) << i;
  }
  EXPECT_EQ(decode_hop(Bytes(kCircuitMessageMax + 1)).code(), Code::too_large);
  EXPECT_EQ(decode_stop(Bytes(kCircuitMessageMax + 1)).code(), Code::too_large);
  const auto hop_with = [&](uint32_t field, const Bytes& inner) {
    return decode_hop(message([&](Writer& w) { w.number(1, 2), w.bytes(field, inner); })).code();
  };
  EXPECT_EQ(hop_with(3, message([](Writer& w) { w.bytes(1, Bytes{1}); })), Code::malformed);
  EXPECT_EQ(hop_with(3, message([](Writer& w) { w.bytes(3, Bytes(kVoucherBytesMax + 1)); })), Code::malformed);
  EXPECT_EQ(hop_with(3, message([](Writer& w) {
                       for (size_t i = 0; i <= kCircuitAddressesMax; ++i) w.bytes(2, Bytes{1});
                     })),
            Code::malformed);
  EXPECT_EQ(hop_with(4, message([](Writer& w) { w.number(1, uint64_t{1} << 32); })), Code::malformed);
  EXPECT_EQ(hop_with(4, message([](Writer& w) { w.bytes(2, {}); })), Code::malformed);
  // What is only strange passes, and what is from the future.
  EXPECT_EQ(hop_with(4, {}), Code::ok);
  EXPECT_EQ(hop_with(9, Bytes{1, 2, 3}), Code::ok);
}

TEST(CircuitMessage, TooManyAddressesAreNotWritten) {
  HopMessage message;
  message.type = HopMessage::Type::status;
  message.reservation.emplace();
  message.reservation->addresses.assign(kCircuitAddressesMax + 1, *Multiaddr::parse("/ip4/1.2.3.4/tcp/1"));
  EXPECT_EQ(encode_hop(message).code(), Code::too_large);
}

TEST(Voucher, OfJs) {
  const Bytes envelope = hex(vectors()["voucher"]["envelope"]);
  const uint64_t expire = vectors()["voucher"]["expire"];
  const auto voucher = open_voucher(envelope);
  ASSERT_TRUE(voucher.ok()) << voucher.error().detail;
  EXPECT_EQ(voucher->relay, peer(1));
  EXPECT_EQ(voucher->peer, peer(2));
  EXPECT_EQ(voucher->expire_s, expire);
  EXPECT_EQ(seal_voucher(pair(1), peer(2), expire).value(), envelope);
}

TEST(Voucher, CountsForItsRelayAndPeerAndTime) {
  const Bytes voucher = seal_voucher(pair(1), peer(2), 1000).value();
  EXPECT_TRUE(check_voucher(voucher, peer(1), peer(2), 999).ok());
  EXPECT_EQ(check_voucher(voucher, peer(1), peer(2), 1000).code(), Code::expired);
  EXPECT_EQ(check_voucher(voucher, peer(3), peer(2), 999).code(), Code::denied);
  EXPECT_EQ(check_voucher(voucher, peer(1), peer(3), 999).code(), Code::denied);
  // Another peer's signature on the same words.
  codec::ProtobufWriter payload;
  payload.bytes(1, peer(1).multihash());
  payload.bytes(2, peer(2).multihash());
  payload.number(3, 1000);
  const Bytes type = {0x03, 0x02};
  const EnvelopePurpose purpose{"libp2p-relay-rsvp", type};
  EXPECT_EQ(check_voucher(seal_envelope(pair(3), purpose, payload.view()).value(), peer(1), peer(2), 999).code(),
            Code::denied);
  // The right one's, for another purpose.
  EXPECT_EQ(
      check_voucher(seal_envelope(pair(1), {"another", type}, payload.view()).value(), peer(1), peer(2), 999).code(),
      Code::bad_signature);
  for (size_t i = 0; i < voucher.size(); ++i) {
    Bytes spoilt = voucher;
    spoilt[i] ^= 1;
    EXPECT_FALSE(check_voucher(spoilt, peer(1), peer(2), 999).ok()) << i;
  }
  payload.number(3, 1000);  // twice
  EXPECT_EQ(open_voucher(seal_envelope(pair(1), purpose, payload.view()).value()).code(), Code::malformed);
  EXPECT_EQ(open_voucher(seal_envelope(pair(1), purpose, {}).value()).code(), Code::malformed);
}

}  // namespace
}  // namespace sereus::net
