// TLS as a secure channel: what it proves, what it carries, and what it refuses.
#include "core/net/tls_channel.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include "core/net/limits.h"
#include "core/net/wolfssl_scope.h"
#include "tests/support/bad_identities.h"
#include "tests/support/net_pair.h"
#include "tests/support/raw_tls.h"

namespace sereus::net {
namespace {

using State = Channel::State;

constexpr std::string_view kYamux = "/yamux/1.0.0";
const Times kNow{1'000'000, 1'767'225'600'000'000};  // 2026-01-01

PeerId peer(uint8_t number) { return PeerId::from_device_key(test::NetWorld::key(number).device_key()); }

// A client, device 1, and a server, device 2. Bytes pass through the members, so that tests can change them.
struct Pair {
  struct Options {
    uint64_t seed = 1;
    TlsOptions dialing{peer(2), {std::string(kYamux)}, false};
    TlsOptions answering{{}, {std::string(kYamux)}, false};
    const TlsIdentity* client_identity = nullptr;
    const TlsIdentity* server_identity = nullptr;
  };
  Pair() : Pair(Options()) {}
  explicit Pair(const Options& options) : random(options.seed), times(kNow) {
    contexts[0] = context(1, options.client_identity);
    contexts[1] = context(2, options.server_identity);
    client = TlsChannel::create(*contexts[0], TlsRole::client, options.dialing, &times, random).value();
    server = TlsChannel::create(*contexts[1], TlsRole::server, options.answering, &times, random).value();
    EXPECT_TRUE(client->start(to_server).ok());
    EXPECT_TRUE(server->start(to_client).ok());
  }
  std::unique_ptr<TlsContext> context(uint8_t number, const TlsIdentity* identity) {
    const TlsIdentity fresh = make_tls_identity(test::NetWorld::key(number), random).value();
    const WolfsslScope scope(random, 0);
    return TlsContext::create(identity != nullptr ? *identity : fresh).value();
  }

  // Carries bytes until nobody says anything more.
  void run() {
    while (!to_server.empty() || !to_client.empty()) {
      server_status = server->feed(std::exchange(to_server, {}), to_client, server_plain);
      client_status = client->feed(std::exchange(to_client, {}), to_server, client_plain);
      if (!server_status.ok() && !client_status.ok()) return;
    }
  }
  void connect() {
    run();
    ASSERT_EQ(client->state(), State::established);
    ASSERT_EQ(server->state(), State::established);
  }

  test::SeededRandom random;
  Times times;
  std::unique_ptr<TlsContext> contexts[2];
  std::unique_ptr<TlsChannel> client, server;
  Bytes to_server, to_client, server_plain, client_plain;
  Status server_status, client_status;
};

TEST(TlsChannel, ProvesBothAndNamesTheMuxer) {
  Pair pair;
  pair.connect();
  EXPECT_EQ(pair.client->peer(), peer(2));
  EXPECT_EQ(pair.server->peer(), peer(1));
  EXPECT_EQ(pair.client->muxer(), kYamux);
  EXPECT_EQ(pair.server->muxer(), kYamux);
}

TEST(TlsChannel, LeavesTheMuxerToMultistreamWhenNoneIsInCommon) {
  for (const auto& [ours, theirs] : std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>>{
           {{}, {std::string(kYamux)}}, {{std::string(kYamux)}, {}}, {{"/mplex/6.7.0"}, {std::string(kYamux)}}}) {
    Pair::Options options;
    options.dialing.muxers = ours;
    options.answering.muxers = theirs;
    Pair pair(options);
    pair.connect();
    EXPECT_EQ(pair.client->muxer() + pair.server->muxer(), "");
  }
  // The dialing side's order decides.
  Pair::Options options;
  options.dialing.muxers = {"/a/1", "/b/1", "/c/1"};
  options.answering.muxers = {"/c/1", "/b/1"};
  Pair pair(options);
  pair.connect();
  EXPECT_EQ(pair.client->muxer(), "/b/1");
  EXPECT_EQ(pair.server->muxer(), "/b/1");
}

TEST(TlsChannel, CarriesBytesInEveryCut) {
  for (const size_t step : {1u, 4u, 5u, 6u, 100u, 16'405u, 70'000u}) {
    Pair pair;
    const auto feed = [step](TlsChannel& channel, Bytes& in, Bytes& out, Bytes& plain) {
      const Bytes all = std::exchange(in, {});
      for (size_t at = 0; at < all.size(); at += step) {
        ASSERT_TRUE(channel.feed(ByteView(all).subspan(at, std::min(step, all.size() - at)), out, plain).ok());
      }
    };
    for (int i = 0; i < 3; ++i) {
      feed(*pair.server, pair.to_server, pair.to_client, pair.server_plain);
      feed(*pair.client, pair.to_client, pair.to_server, pair.client_plain);
    }
    ASSERT_EQ(pair.server->state(), State::established);
    const Bytes data = test::pattern(200'000, step);
    ASSERT_TRUE(pair.client->seal(data, pair.to_server).ok());
    EXPECT_LE(pair.to_server.size(), data.size() + 13 * 22);
    feed(*pair.server, pair.to_server, pair.to_client, pair.server_plain);
    EXPECT_TRUE(equal(pair.server_plain, data));
    ASSERT_TRUE(pair.server->seal(ByteView(data).first(10), pair.to_client).ok());
    feed(*pair.client, pair.to_client, pair.to_server, pair.client_plain);
    EXPECT_TRUE(equal(pair.client_plain, ByteView(data).first(10)));
  }
}

TEST(TlsChannel, SealsNothingBeforeItIsEstablished) {
  Pair pair;
  Bytes out;
  EXPECT_EQ(pair.client->seal(as_bytes("x"), out).code(), Code::again);
  EXPECT_EQ(pair.server->seal(as_bytes("x"), out).code(), Code::again);
  pair.server->finish(out);
  EXPECT_TRUE(out.empty());
}

TEST(TlsChannel, TheSameSeedGivesTheSameBytes) {
  const auto bytes_of = [](uint64_t seed) {
    Pair::Options options;
    options.seed = seed;
    Pair pair(options);
    Bytes all = pair.to_server;
    EXPECT_TRUE(pair.server->feed(pair.to_server, pair.to_client, pair.server_plain).ok());
    append(all, pair.to_client);
    pair.to_server.clear();
    EXPECT_TRUE(pair.client->feed(pair.to_client, pair.to_server, pair.client_plain).ok());
    EXPECT_TRUE(pair.client->seal(as_bytes("hello"), pair.to_server).ok());
    append(all, pair.to_server);
    return all;
  };
  EXPECT_EQ(bytes_of(3), bytes_of(3));
  EXPECT_NE(bytes_of(3), bytes_of(4));
}

TEST(TlsChannel, AGoodbyeIsHeard) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.client->seal(as_bytes("last words"), pair.to_server).ok());
  pair.client->finish(pair.to_server);
  append(pair.to_server, as_bytes("garbage behind the end"));
  ASSERT_TRUE(pair.server->feed(pair.to_server, pair.to_client, pair.server_plain).ok());
  EXPECT_EQ(to_string(pair.server_plain), "last words");
  EXPECT_EQ(pair.server->state(), State::ended);
  // The other direction goes on (RFC 8446 6.1).
  ASSERT_TRUE(pair.server->seal(as_bytes("bye"), pair.to_client).ok());
  pair.server->finish(pair.to_client);
  ASSERT_TRUE(pair.client->feed(pair.to_client, pair.to_server, pair.client_plain).ok());
  EXPECT_EQ(to_string(pair.client_plain), "bye");
  EXPECT_EQ(pair.client->state(), State::ended);
}

// ---- Who must not pass ----------------------------------------------------------------------------------------------

TEST(TlsChannel, AnotherPeerThanExpectedIsRefusedBeforeWeShowWhoWeAre) {
  Pair::Options options;
  options.dialing.expected = peer(3);
  Pair pair(options);
  pair.run();
  EXPECT_EQ(pair.client_status.code(), Code::denied);
  EXPECT_NE(pair.client_status.error().detail.find("not the dialed one"), std::string::npos);
  EXPECT_TRUE(pair.server->peer().empty());
  EXPECT_EQ(pair.server_status.code(), Code::denied) << "an alert told it";
}

TEST(TlsChannel, BadCertificatesAreRefusedByEitherSide) {
  for (const test::BadIdentity& bad : test::bad_identities(2)) {
    Pair::Options options;
    options.server_identity = &bad.identity;
    Pair pair(options);
    pair.run();
    EXPECT_EQ(pair.client_status.code(), bad.code) << bad.name << ": " << pair.client_status.error().detail;
    EXPECT_EQ(pair.client->state(), State::failed) << bad.name;
  }
  for (const test::BadIdentity& bad : test::bad_identities(1)) {
    Pair::Options options;
    options.client_identity = &bad.identity;
    Pair pair(options);
    Status server;
    for (int i = 0; i < 3 && server.ok(); ++i) {
      server = pair.server->feed(std::exchange(pair.to_server, {}), pair.to_client, pair.server_plain);
      if (!server.ok()) break;
      EXPECT_TRUE(pair.client->feed(std::exchange(pair.to_client, {}), pair.to_server, pair.client_plain).ok());
    }
    EXPECT_EQ(server.code(), bad.code) << bad.name << ": " << server.error().detail;
    ASSERT_FALSE(pair.to_client.empty()) << bad.name << ": an alert says why";
    EXPECT_EQ(pair.client->feed(pair.to_client, pair.to_server, pair.client_plain).code(), Code::denied) << bad.name;
  }
}

TEST(TlsChannel, DatesAreNotCheckedWhileTheClockIsSuspect) {
  for (const test::BadIdentity& bad : test::bad_identities(2)) {
    if (bad.code != Code::expired) continue;
    Pair::Options options;
    options.server_identity = &bad.identity;
    options.dialing.clock_suspect = true;
    Pair pair(options);
    pair.connect();
  }
}

// One of ours against a peer with its own ideas.
struct RawPair {
  explicit RawPair(const test::RawTls::Options& options) : random(9), times(kNow), raw(options, random) {
    const TlsIdentity identity = make_tls_identity(test::NetWorld::key(1), random).value();
    {
      const WolfsslScope scope(random, 0);
      context = TlsContext::create(identity).value();
    }
    ours = TlsChannel::create(*context, options.server ? TlsRole::client : TlsRole::server,
                              {{}, {std::string(kYamux)}, false}, &times, random)
               .value();
    EXPECT_TRUE(ours->start(out).ok());
    for (int i = 0; i < 4; ++i) {
      append(raw.input, std::exchange(out, {}));
      (void)raw.handshake();
      if (status.ok()) status = ours->feed(std::exchange(raw.output, {}), out, plain);
    }
  }
  Status feed() { return ours->feed(std::exchange(raw.output, {}), out, plain); }

  test::SeededRandom random;
  Times times;
  test::RawTls raw;
  std::unique_ptr<TlsContext> context;
  std::unique_ptr<TlsChannel> ours;
  Bytes out, plain;
  Status status;
};

TEST(TlsChannel, APeerWithoutACertificateIsRefused) {
  RawPair pair({});
  EXPECT_EQ(pair.status.code(), Code::denied) << pair.status.error().detail;
  EXPECT_NE(pair.status.error().detail.find("no certificate"), std::string::npos) << pair.status.error().detail;
}

TEST(TlsChannel, APeerThatSpeaksNoLibp2pIsRefused) {
  test::SeededRandom random(4);
  const TlsIdentity identity = make_tls_identity(test::NetWorld::key(2), random).value();
  for (const bool server : {true, false}) {
    for (const char* alpn : {"h2", ""}) {
      RawPair pair({server, &identity, alpn, false});
      EXPECT_EQ(pair.status.code(), Code::unsupported) << server << alpn << ": " << pair.status.error().detail;
    }
    RawPair old({server, &identity, "libp2p", false});
    EXPECT_TRUE(old.status.ok()) << old.status.error().detail;
    EXPECT_EQ(old.ours->state(), State::established);
    EXPECT_EQ(old.ours->muxer(), "");
    EXPECT_EQ(old.ours->peer(), peer(2));
  }
}

// ---- After the handshake --------------------------------------------------------------------------------------------

TEST(TlsChannel, TicketsAndNewKeysAreTaken) {
  test::SeededRandom random(4);
  const TlsIdentity identity = make_tls_identity(test::NetWorld::key(2), random).value();
  for (const bool server : {true, false}) {
    RawPair pair({server, &identity, "libp2p", true});
    ASSERT_TRUE(pair.status.ok()) << pair.status.error().detail;
    for (int i = 0; i < 5; ++i) {
      pair.raw.write(as_bytes("before"));
      pair.raw.update_keys();
      pair.raw.write(as_bytes("after"));
      ASSERT_TRUE(pair.feed().ok());
      EXPECT_EQ(to_string(std::exchange(pair.plain, {})), "beforeafter");
      ASSERT_TRUE(pair.ours->seal(as_bytes("answer"), pair.out).ok());
      append(pair.raw.input, std::exchange(pair.out, {}));
      EXPECT_EQ(to_string(pair.raw.read()), "answer");
    }
  }
}

TEST(TlsChannel, AFloodOfKeyUpdatesIsRefused) {
  test::SeededRandom random(4);
  const TlsIdentity identity = make_tls_identity(test::NetWorld::key(2), random).value();
  RawPair pair({false, &identity, "libp2p", false});
  ASSERT_TRUE(pair.status.ok());
  for (int i = 0; i < 10'000; ++i) pair.raw.update_keys();
  EXPECT_EQ(pair.feed().code(), Code::busy);
  EXPECT_LT(pair.out.size(), 64 * kTlsIdleBurst) << "what answers them is bounded";
  // As many as this over a day are none.
  RawPair patient({false, &identity, "libp2p", false});
  for (int i = 0; i < 500; ++i) {
    patient.raw.update_keys();
    ASSERT_TRUE(patient.feed().ok()) << i;
    patient.times.mono_us += 2 * kMicrosPerSecond;
  }
}

TEST(TlsChannel, AFloodOfEmptyRecordsIsRefused) {
  // Sealed by hand: wolfSSL writes no empty records. Any that is too short for a tag is judged by its header.
  Pair pair;
  pair.connect();
  EXPECT_EQ(pair.server->feed(Bytes{23, 3, 3, 0, 16}, pair.to_client, pair.server_plain).code(), Code::malformed);
}

TEST(TlsChannel, AChangedBitEndsIt) {
  Pair reference;
  const size_t hello = reference.to_server.size();
  for (size_t at = 0; at < hello; ++at) {
    if (at == 2) continue;  // the record's version, which "MUST be ignored" (RFC 8446 5.1)
    Pair pair;
    pair.to_server[at] ^= 4;
    pair.run();
    EXPECT_FALSE(pair.server->state() == State::established && pair.client->state() == State::established)
        << "byte " << at << " of the ClientHello";
  }
  Bytes answer;
  ASSERT_TRUE(reference.server->feed(reference.to_server, answer, reference.server_plain).ok());
  for (size_t at = 0; at < answer.size(); at += 7) {
    Pair pair;
    (void)pair.server->feed(std::exchange(pair.to_server, {}), pair.to_client, pair.server_plain);
    pair.to_client.at(at) ^= 1;
    pair.run();
    EXPECT_NE(pair.server->state(), State::established) << "byte " << at << " of the server's flight";
  }
  for (const size_t at : {0u, 3u, 5u, 50u, 1000u, 1020u}) {
    Pair pair;
    pair.connect();
    ASSERT_TRUE(pair.client->seal(test::pattern(1000, 1), pair.to_server).ok());
    pair.to_server.at(at) ^= 1;
    const Status fed = pair.server->feed(pair.to_server, pair.to_client, pair.server_plain);
    EXPECT_TRUE(!fed.ok() || at == 3) << at;  // a longer record is still waited for
    EXPECT_TRUE(pair.server_plain.empty());
    if (at >= 5) {
      EXPECT_EQ(fed.code(), Code::bad_signature) << fed.error().detail;
    }
    if (fed.ok()) continue;
    EXPECT_EQ(pair.server->feed(as_bytes("more"), pair.to_client, pair.server_plain).code(), fed.code());
    EXPECT_EQ(pair.server->seal(as_bytes("more"), pair.to_client).code(), fed.code());
  }
}

// ---- Bytes from strangers -------------------------------------------------------------------------------------------

TEST(TlsChannel, RecordsAreJudgedByTheirHeader) {
  const auto code = [](bool established, const Bytes& header) {
    Pair pair;
    if (established) pair.connect();
    return pair.server->feed(header, pair.to_client, pair.server_plain).code();
  };
  for (const bool established : {false, true}) {
    EXPECT_EQ(code(established, {'G', 'E', 'T', ' ', '/'}), Code::protocol);
    EXPECT_EQ(code(established, {24, 3, 3, 0, 10}), Code::protocol);
    EXPECT_EQ(code(established, {23, 2, 3, 0, 100}), Code::protocol);
    EXPECT_EQ(code(established, {23, 3, 3, 0x41, 1}), Code::too_large);
    EXPECT_EQ(code(established, {23, 3, 3, 0xff, 0xff}), Code::too_large);
    EXPECT_EQ(code(established, {23, 3, 3, 0, 0}), Code::malformed);
    EXPECT_EQ(code(established, {23, 3, 3, 0x41, 0}), Code::ok) << "the longest there may be";
  }
  EXPECT_EQ(code(false, {22, 3, 1, 0x40, 1}), Code::too_large);
  EXPECT_EQ(code(false, {22, 3, 1, 0, 0}), Code::malformed);
  for (const uint8_t type : {20, 21, 22}) {
    EXPECT_EQ(code(true, {type, 3, 3, 0, 2}), Code::protocol) << "in the clear";
  }
}

TEST(TlsChannel, AnEndlessHandshakeIsBounded) {
  // A ClientHello that says it has 2^24 - 1 bytes, in records of one byte, of a hundred, and of as many as there may be.
  for (const size_t size : {1u, 100u, 8'000u, 16'384u}) {
    Pair pair;
    Status status;
    size_t fed = 0;
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 100'000 && status.ok(); ++i) {
      Bytes record{22, 3, 1, static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)};
      Bytes body(size, 0);
      if (i == 0) {
        const Bytes start{1, 0xff, 0xff, 0xff};
        std::copy_n(start.begin(), std::min<size_t>(4, size), body.begin());
      }
      append(record, body);
      status = pair.server->feed(record, pair.to_client, pair.server_plain);
      fed += record.size();
    }
    EXPECT_FALSE(status.ok()) << size;
    EXPECT_LE(fed, kTlsHandshakeBytesMax + size + 5) << size;
    EXPECT_LT(mallinfo2().uordblks, before + 4 * kTlsHandshakeBytesMax);
  }
}

TEST(TlsChannel, ATruncatedHandshakeStaysUnproved) {
  Pair reference;
  const Bytes hello = reference.to_server;
  for (size_t size = 0; size < hello.size(); size += 3) {
    Pair pair;
    EXPECT_TRUE(pair.server->feed(ByteView(hello).first(size), pair.to_client, pair.server_plain).ok());
    EXPECT_EQ(pair.server->state(), State::handshaking);
    EXPECT_TRUE(pair.to_client.empty()) << "no answer to half a question";
  }
}

TEST(TlsChannel, GarbageIsRefused) {
  test::SeededRandom random(11);
  for (int round = 0; round < 300; ++round) {
    Bytes data(random.below(2000) + 5);
    random.fill(data);
    if (round % 2 == 0) {
      const Bytes header{22, 3, 1, static_cast<uint8_t>((data.size() - 5) >> 8), static_cast<uint8_t>(data.size() - 5)};
      std::copy(header.begin(), header.end(), data.begin());
    }
    Pair pair;
    Bytes& out = round % 3 == 0 ? pair.to_server : pair.to_client;
    TlsChannel& channel = round % 3 == 0 ? *pair.client : *pair.server;
    out.clear();
    (void)channel.feed(data, out, pair.server_plain);
    EXPECT_NE(channel.state(), State::established);
    EXPECT_LE(out.size(), 100u) << "an alert at most";
    EXPECT_TRUE(pair.server_plain.empty());
  }
}

}  // namespace
}  // namespace sereus::net
