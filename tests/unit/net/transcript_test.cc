// vectors/transcripts.json: what our machines say in a TLS and in a QUIC handshake, byte by byte, from fixed seeds. With
// SEREUS_WRITE_VECTORS set it is written instead (a new wolfSSL or ngtcp2 may say the same in other bytes).
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/net/multistream.h"
#include "core/net/tls_channel.h"
#include "core/net/wolfssl_scope.h"
#include "tests/support/files_in_repository.h"
#include "tests/support/net_pair.h"

namespace sereus::net {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kFile = SEREUS_SOURCE_DIR "/vectors/transcripts.json";
constexpr uint64_t kSeeds[] = {101, 102};
const Times kNow{1'000'000, 1'767'225'600'000'000};  // 2026-01-01

json side(uint8_t number, const TlsIdentity& identity) {
  const auto device = test::NetWorld::key(number);
  Bytes seed(crypto::kSeedSize, 0);
  seed[0] = number;
  return {{"device_seed", to_hex(seed)},
          {"peer", PeerId::from_device_key(device.device_key()).to_string()},
          {"random_seed", kSeeds[number - 1]},
          {"certificate", to_hex(identity.chain.at(0))},
          {"certificate_key", to_hex(identity.private_key.view())}};
}

// Client and server, each with its own randomness.
struct Sides {
  Sides() {
    for (uint8_t i = 0; i < 2; ++i) {
      randoms.emplace_back(kSeeds[i]);
      identities.push_back(make_tls_identity(test::NetWorld::key(i + 1), randoms[i]).value());
    }
  }
  json described() const { return json::array({side(1, identities[0]), side(2, identities[1])}); }
  std::vector<test::SeededRandom> randoms;
  std::vector<TlsIdentity> identities;
};

json tcp_tls() {
  Sides sides;
  json out{{"about", "TLS over TCP: multistream-select, the handshake, one line each way, goodbyes"},
           {"sides", sides.described()},
           {"flights", json::array()}};
  const auto flight = [&out](size_t from, Bytes bytes) {
    out["flights"].push_back({{"from", from}, {"bytes", to_hex(bytes)}});
    return bytes;
  };
  const std::vector<std::string> securities{std::string(kTlsProtocol)};
  Bytes said, answer, nothing, plain;
  Multistream asking = Multistream::initiator(securities, said);
  Multistream answering = Multistream::responder();
  answering.feed(flight(0, said), securities, answer);
  asking.feed(flight(1, answer), securities, nothing);
  EXPECT_EQ(asking.state(), Multistream::State::agreed);

  std::unique_ptr<TlsContext> contexts[2];
  std::unique_ptr<TlsChannel> channels[2];
  for (size_t i = 0; i < 2; ++i) {
    const WolfsslScope scope(sides.randoms[i], kNow.wall_us);
    contexts[i] = TlsContext::create(sides.identities[i]).value();
    const TlsOptions options{{}, {"/yamux/1.0.0"}, false};
    channels[i] =
        TlsChannel::create(*contexts[i], i == 0 ? TlsRole::client : TlsRole::server, options, &kNow, sides.randoms[i])
            .value();
  }
  Bytes pending;
  EXPECT_TRUE(channels[0]->start(pending).ok());
  for (size_t from = 0; !pending.empty(); from = 1 - from) {
    Bytes next;
    EXPECT_TRUE(channels[1 - from]->feed(flight(from, pending), next, plain).ok());
    pending = std::move(next);
  }
  for (const auto& channel : channels) EXPECT_EQ(channel->state(), Channel::State::established);
  for (size_t from = 0; from < 2; ++from) {
    Bytes sealed;
    plain.clear();
    EXPECT_TRUE(channels[from]->seal(as_bytes(from == 0 ? "from the client" : "from the server"), sealed).ok());
    channels[from]->finish(sealed);
    EXPECT_TRUE(channels[1 - from]->feed(flight(from, sealed), nothing, plain).ok());
    EXPECT_EQ(to_string(plain), from == 0 ? "from the client" : "from the server");
  }
  return out;
}

json quic() {
  Sides sides;
  json out{{"about", "QUIC version 1: Initial and handshake packets, until both sides are proved"},
           {"sides", sides.described()},
           {"datagrams", json::array()}};
  test::NetWorld world(1);
  auto& client = world.add({}, &sides.identities[0]);
  auto& server = world.add({}, &sides.identities[1]);
  const std::string address = world.listen(server);
  world.trace = [&](const test::NetWorld::Datagram& datagram) {
    const size_t from = datagram.to.port == 4001 ? 0 : 1;
    out["datagrams"].push_back({{"from", from}, {"bytes", to_hex(datagram.data)}});
  };
  EXPECT_TRUE(client.host->dial(address, server.host->peer_id()).ok());
  EXPECT_TRUE(world.run(test::kSecond,
                        [&] { return test::find_event<Connected>(client) && test::find_event<Connected>(server); }));
  world.trace = {};
  // The hosts draw from the simulated network's seed, not from the sides'.
  for (json& one : out["sides"]) one.erase("random_seed");
  return out;
}

TEST(Transcript, OfTheVectors) {
  const json made{
      {"about",
       "Handshakes as our machines make them from fixed seeds (docs/formats/transport.md); certificates checked with "
       "js-libp2p by tests/interop. Sides and from: 0 dials, 1 listens. Now is 2026-01-01."},
      {"tcp_tls", tcp_tls()},
      {"quic", quic()}};
  if (std::getenv("SEREUS_WRITE_VECTORS") != nullptr) {
    std::ofstream(kFile) << made.dump(1) << "\n";
  }
  const json loaded = json::parse(test::read_text_file(kFile).value_or(""), nullptr, false);
  ASSERT_FALSE(loaded.is_discarded());
  EXPECT_EQ(made["tcp_tls"], loaded["tcp_tls"]);
  EXPECT_EQ(made["quic"], loaded["quic"]);
}

}  // namespace
}  // namespace sereus::net
