// Peers and bystanders that break QUIC's rules on purpose, one test for each way: what they make a host hold, send and
// compute stays bounded, and connections of others go on.
#include <gtest/gtest.h>
#include <malloc.h>

#include <ctime>

#include "tests/support/net_pair.h"
#include "tests/support/quic_attacker.h"

namespace sereus::test {
namespace {

constexpr uint64_t kAck = 0x02;
constexpr uint64_t kResetStream = 0x04;
constexpr uint64_t kCrypto = 0x06;
constexpr uint64_t kNewConnectionId = 0x18;
constexpr uint64_t kPathChallenge = 0x1a;
constexpr size_t kFramesMax = 1150;

IpEndpoint attacker_endpoint() { return {false, {192, 0, 2, 66}, 6666}; }
IpEndpoint victim_endpoint() { return {false, {198, 51, 100, 7}, 7777}; }
IpEndpoint server_endpoint() { return NetWorld::address(1, 4001); }

// What an attack may cost at most, from here to the end of the scope. Processor time is generous: it is to tell work that
// grows with what was sent from work that grows with its square.
class Bound {
 public:
  Bound(size_t memory, double seconds) : memory_(memory), seconds_(seconds), heap_(in_use()), begun_(cpu()) {}
  ~Bound() {
    EXPECT_LT(in_use(), heap_ + memory_);
    EXPECT_LT(cpu() - begun_, seconds_);
  }
  Bound(const Bound&) = delete;
  Bound& operator=(const Bound&) = delete;
  void check() const { EXPECT_LT(in_use(), heap_ + memory_); }

 private:
  static size_t in_use() { return mallinfo2().uordblks; }
  static double cpu() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
  size_t memory_;
  double seconds_;
  size_t heap_;
  double begun_;
};

Bytes frame(uint64_t type, std::initializer_list<uint64_t> fields) {
  Bytes out;
  put_varint(out, type);
  for (const uint64_t field : fields) put_varint(out, field);
  return out;
}

Bytes crypto_frame(uint64_t offset, ByteView data) {
  Bytes out = frame(kCrypto, {offset, data.size()});
  append(out, data);
  return out;
}

Bytes new_connection_id(uint64_t sequence, uint64_t retire_prior_to) {
  Bytes out = frame(kNewConnectionId, {sequence, retire_prior_to});
  out.push_back(8);
  for (size_t i = 0; i < 8; ++i) out.push_back(static_cast<uint8_t>(sequence >> (8 * i)));
  for (size_t i = 0; i < 16; ++i) out.push_back(static_cast<uint8_t>((sequence * 31 + i) >> (i % 2 == 0 ? 0 : 8)));
  return out;
}

// A server that serves a client who behaves, and an attacker who has a connection as well.
struct Attack {
  explicit Attack(QuicAttacker::Options options = {}, const QuicSettings& settings = {}) : pair(1, {}, settings) {
    honest = pair.connect();
    attacker = std::make_unique<QuicAttacker>(pair.world, attacker_endpoint(), server_endpoint(), std::move(options));
  }
  bool connect() {
    EXPECT_NE(honest, 0u);
    const bool connected = attacker->connect();
    pair.world.run(kSecond);
    return connected;
  }
  // Whether the attacker's connection was ended.
  bool ended() const { return count_events<Disconnected>(pair.server) == 1; }
  const Error& reason() const { return find_event<Disconnected>(pair.server)->reason; }
  // The client who behaves is served as before.
  bool serves_others() {
    Echo echo(pair.server);
    const auto stream = pair.client.host->open_stream(honest, kEcho);
    if (!stream.ok()) return false;
    Transfer transfer(pair.client, *stream, pattern(100'000, 5));
    pair.world.on_event = [&](NetWorld::Node& node, const HostEvent& event) {
      if (&node == &pair.server) echo.on_event(event);
    };
    pair.world.run(20 * kSecond, [&] {
      transfer.pump();
      return transfer.done;
    });
    pair.world.on_event = {};
    return transfer.received == transfer.data;
  }

  Pair pair;
  ConnectionId honest = 0;
  std::unique_ptr<QuicAttacker> attacker;
};

// ---- Before a connection --------------------------------------------------------------------------------------------

TEST(QuicAttack, AnInitialInAShortDatagramIsNotAnswered) {
  Pair pair;
  Bytes initial;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) {
    if (initial.empty()) initial = datagram.data;
  };
  pair.world.link.cut = true;
  ASSERT_TRUE(pair.client.host->dial(pair.address, pair.server.host->peer_id()).ok());
  pair.world.run(1000, [&] { return !initial.empty(); });
  pair.client.frozen = true;
  pair.world.link.cut = false;
  uint64_t answers = 0;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) { answers += datagram.from == server_endpoint() ? 1 : 0; };
  const auto send_short = [&] {
    for (size_t size = 1; size < 1200; ++size) {
      pair.world.inject(attacker_endpoint(), server_endpoint(), ByteView(initial).first(size));
      pair.world.run(300);
    }
  };
  send_short();  // what is allocated once
  {
    const Bound bound(16 << 10, 5);
    for (int i = 0; i < 5; ++i) send_short();
    pair.world.run(kSecond);
    EXPECT_EQ(answers, 0u);
  }
  // In its full length the same Initial is.
  pair.world.inject(attacker_endpoint(), server_endpoint(), initial);
  pair.world.run(kSecond);
  EXPECT_GT(answers, 0u);
}

TEST(QuicAttack, GapsInTheFirstMessageAreBoundedAndTimeOut) {
  Attack attack;
  attack.attacker->begin();
  {
    const Bound bound(2 << 20, 20);
    // Every other byte of a ClientHello that is never whole: each is a piece of its own to remember.
    for (uint64_t offset = 1; offset < 200'000;) {
      Bytes frames;
      while (frames.size() < 1000 && offset < 200'000) {
        append(frames, crypto_frame(offset, as_bytes("x")));
        offset += 2;
      }
      attack.attacker->send_initial(frames);
      attack.pair.world.run(300);
      bound.check();
    }
    EXPECT_GT(attack.attacker->answer_bytes, 0u);
    EXPECT_LT(attack.attacker->answer_bytes, 3 * attack.attacker->sent_bytes);
  }
  const Bound bound(256 << 10, 20);
  attack.pair.world.run(60 * kSecond);
  EXPECT_EQ(attack.pair.server.host->stats().connections, 1u);
  EXPECT_EQ(count_events<Connected>(attack.pair.server), 1u);
  EXPECT_TRUE(attack.serves_others());
}

TEST(QuicAttack, EarlyDataIsNeverTaken) {
  // What a client sent as 0-RTT to somebody who accepts it could be replayed here. There are no tickets, so there are no
  // keys for it, and packets of that type are dropped whether a connection is known or not.
  Pair pair;
  Bytes initial;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) {
    if (initial.empty() && datagram.to == server_endpoint()) initial = datagram.data;
  };
  ASSERT_TRUE(pair.client.host->dial(pair.address, pair.server.host->peer_id()).ok());
  pair.world.run(1000, [&] { return !initial.empty(); });
  uint64_t answers = 0;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) {
    answers += datagram.from == server_endpoint() && datagram.to == attacker_endpoint() ? 1 : 0;
  };
  // The header's ids, then what looks like sealed data.
  Bytes early(initial.begin(), initial.begin() + 6 + initial[5] + 1 + initial[6 + initial[5]]);
  early[0] = 0xd3;
  append(early, Bytes{0x44, 0x00});
  const size_t header = early.size();
  early.resize(header + 1024, 0x5a);
  const Bound bound(1 << 20, 10);
  for (uint64_t i = 0; i < 5000; ++i) {
    store_be<uint64_t>(early.data() + header, i);
    if (i % 2 == 0) {
      pair.world.inject(pair.client.sockets.begin()->second, server_endpoint(), early);
    } else {
      Bytes stray = early;
      store_be<uint64_t>(stray.data() + 6, i);  // for a connection that nobody has
      pair.world.inject(attacker_endpoint(), server_endpoint(), stray);
    }
    if (i % 100 == 0) pair.world.run(1000);
  }
  pair.world.run(5 * kSecond);
  EXPECT_EQ(answers, 0u);
  // The handshake beside it was not disturbed, and nothing came in before it was over.
  ASSERT_EQ(count_events<Connected>(pair.server), 1u);
  EXPECT_EQ(count_events<StreamOpened>(pair.server), 0u);
  EXPECT_EQ(pair.server.host->stats().connections, 1u);
}

TEST(QuicAttack, ARetryTokenIsOfOneAddressAndOneMoment) {
  QuicSettings settings;
  settings.half_open_retry = 0;  // always
  Pair pair(1, {}, settings);
  std::vector<Bytes> initials;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) {
    // Long, Initial, with a token: behind both ids there is a length that is not 0.
    const Bytes& data = datagram.data;
    if (datagram.to != server_endpoint() || data.size() < 1200 || (data[0] & 0xf0) != 0xc0) return;
    const size_t token = 7u + data[5] + data[6 + data[5]];
    if (data[token] != 0) initials.push_back(data);
  };
  ASSERT_NE(pair.connect(), 0u);
  ASSERT_FALSE(initials.empty());
  const Bytes initial = initials.front();
  uint64_t answers = 0;
  uint64_t answer_bytes = 0;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) {
    if (datagram.from != server_endpoint() || datagram.to == pair.client.sockets.begin()->second) return;
    ++answers;
    answer_bytes += datagram.data.size();
  };
  pair.client.host->close(pair.world.now());
  pair.world.run(3 * kSecond);  // the server has forgotten the ids of that connection
  const Bound bound(256 << 10, 10);
  // From elsewhere, at once; with a bit turned; and from where it was given to, but too late.
  for (int i = 0; i < 300; ++i) {
    pair.world.inject(attacker_endpoint(), server_endpoint(), initial);
    Bytes spoiled = initial;
    spoiled[40] ^= static_cast<uint8_t>(1 + i % 255);
    pair.world.inject(attacker_endpoint(), server_endpoint(), spoiled);
    pair.world.run(5000);
  }
  EXPECT_GT(answers, 0u);
  EXPECT_LT(answer_bytes, answers * 100) << "a refusal is small";
  pair.world.run(net::kRetryTokenLifeUs);
  pair.client.frozen = true;
  const IpEndpoint client = pair.client.sockets.begin()->second;
  for (int i = 0; i < 300; ++i) {
    pair.world.inject(client, server_endpoint(), initial);
    pair.world.run(5000);
  }
  pair.world.run(20 * kSecond);
  EXPECT_EQ(count_events<Connected>(pair.server), 1u);
  EXPECT_EQ(pair.server.host->stats().connections, 0u);
}

// ---- The handshake --------------------------------------------------------------------------------------------------

TEST(QuicAttack, TransportParametersThatAreNotAllowedEndTheHandshake) {
  // RFC 9000 section 18.2, and 7.4 for the one that comes twice.
  std::vector<Bytes> wrong;
  for (const auto& [id, value] : {
           std::pair<uint64_t, uint64_t>{0x03, 1199},       // max_udp_payload_size
           std::pair<uint64_t, uint64_t>{0x0a, 21},         // ack_delay_exponent
           std::pair<uint64_t, uint64_t>{0x0b, 1 << 14},    // max_ack_delay
           std::pair<uint64_t, uint64_t>{0x0e, 1},          // active_connection_id_limit
           std::pair<uint64_t, uint64_t>{0x08, 1ull << 61}  // initial_max_streams_bidi
       }) {
    Bytes value_bytes;
    put_varint(value_bytes, value);
    wrong.push_back(frame(id, {value_bytes.size()}));
    append(wrong.back(), value_bytes);
  }
  Bytes longer_than_there_is = frame(0x2ab2, {60'000});
  wrong.push_back(longer_than_there_is);
  Bytes of_a_server = frame(0x02, {16});  // stateless_reset_token
  of_a_server.resize(of_a_server.size() + 16, 1);
  wrong.push_back(of_a_server);
  for (const Bytes& parameters : wrong) {
    QuicAttacker::Options options;
    options.more_parameters = parameters;
    Attack attack(options);
    const Bound bound(1 << 20, 5);
    EXPECT_FALSE(attack.connect()) << "parameter " << int{parameters[0]};
    EXPECT_EQ(count_events<Connected>(attack.pair.server), 1u);
    EXPECT_TRUE(attack.serves_others());
  }
}

TEST(QuicAttack, OversizedTransportParametersAreNotKept) {
  for (const size_t size : {size_t{1'000}, size_t{4'000}, size_t{14'000}, size_t{60'000}}) {
    QuicAttacker::Options options;
    options.more_parameters = frame(0x2ab2 + 31, {size});
    options.more_parameters.resize(options.more_parameters.size() + size, 1);
    Attack attack(options);
    const Bound bound(1 << 20, 10);
    // Unknown ones are ignored (RFC 9000 section 7.4.2), as long as the ClientHello is one that is read at all.
    const bool connected = attack.connect();
    EXPECT_EQ(connected, size < 20'000) << size;
    attack.attacker.reset();
    attack.pair.world.run(60 * kSecond);
    EXPECT_EQ(attack.pair.server.host->stats().connections, 1u);
    EXPECT_TRUE(attack.serves_others());
  }
}

TEST(QuicAttack, LargestLimitsInTransportParametersAreOnlyNumbers) {
  QuicAttacker::Options options;
  options.parameters = [](ngtcp2_transport_params& params) {
    constexpr uint64_t kMost = (uint64_t{1} << 62) - 1;
    params.initial_max_data = params.initial_max_stream_data_bidi_local = params.initial_max_stream_data_bidi_remote =
        kMost;
    params.initial_max_streams_bidi = uint64_t{1} << 60;
  };
  Attack attack(options);
  const Bound bound(2 << 20, 5);
  EXPECT_TRUE(attack.connect());
  EXPECT_TRUE(attack.serves_others());
}

// ---- Within a connection --------------------------------------------------------------------------------------------

TEST(QuicAttack, MoreConnectionIdsThanAgreedEndTheConnection) {
  Attack attack;
  ASSERT_TRUE(attack.connect());
  const Bound bound(256 << 10, 5);
  Bytes frames;
  for (uint64_t sequence = 1; frames.size() < kFramesMax - 40; ++sequence) {
    append(frames, new_connection_id(sequence, 0));
  }
  attack.attacker->send_frames(frames);
  attack.pair.world.run(kSecond);
  ASSERT_TRUE(attack.ended());
  EXPECT_EQ(attack.reason().code, Code::protocol);
  EXPECT_TRUE(attack.serves_others());
}

TEST(QuicAttack, ConnectionIdsThatRetireTheOthersAreBounded) {
  Attack attack;
  ASSERT_TRUE(attack.connect());
  const Bound bound(512 << 10, 20);
  // Each retires all before it, and what says so is never acknowledged.
  uint64_t sequence = 1;
  for (int i = 0; i < 3000 && !attack.ended(); ++i) {
    Bytes frames;
    while (frames.size() < kFramesMax - 40) {
      append(frames, new_connection_id(sequence, sequence));
      ++sequence;
    }
    attack.attacker->send_frames(frames);
    attack.pair.world.run(500);
    bound.check();
  }
  EXPECT_TRUE(attack.ended()) << "after " << sequence << " ids";
  EXPECT_LT(sequence, 2000u);
  EXPECT_LT(attack.attacker->answer_bytes, 3 * attack.attacker->sent_bytes + 20'000);
  EXPECT_TRUE(attack.serves_others());
}

TEST(QuicAttack, AFloodOfPathChallengesIsAnsweredWithLessThanItSent) {
  Attack attack;
  ASSERT_TRUE(attack.connect());
  const uint64_t answered = attack.attacker->answer_bytes;
  const Bound bound(512 << 10, 30);
  for (uint64_t i = 0; i < 3000 && !attack.ended(); ++i) {
    Bytes frames;
    for (uint64_t n = 0; frames.size() < kFramesMax - 9; ++n) {
      put_varint(frames, kPathChallenge);
      for (size_t b = 0; b < 8; ++b) frames.push_back(static_cast<uint8_t>((i * 200 + n) >> (8 * b)));
    }
    attack.attacker->send_frames(frames);
    attack.pair.world.run(300);
  }
  EXPECT_GT(attack.attacker->answer_bytes, answered);
  EXPECT_LT(attack.attacker->answer_bytes - answered, attack.attacker->sent_bytes);
  EXPECT_TRUE(attack.serves_others());
}

TEST(QuicAttack, PathChallengesFromManyAddressesGiveNobodyMoreThanWasSentFromThere) {
  Attack attack;
  ASSERT_TRUE(attack.connect());
  std::map<IpEndpoint, std::pair<uint64_t, uint64_t>> traffic;  // to the server, and from it
  attack.pair.world.trace = [&](const NetWorld::Datagram& datagram) {
    if (datagram.to == server_endpoint()) traffic[datagram.from].first += datagram.data.size();
    if (datagram.from == server_endpoint()) traffic[datagram.to].second += datagram.data.size();
  };
  const Bound bound(1 << 20, 20);
  for (uint64_t i = 0; i < 2000 && !attack.ended(); ++i) {
    Bytes frames;
    put_varint(frames, kPathChallenge);
    frames.resize(frames.size() + 8, static_cast<uint8_t>(i));
    const IpEndpoint from{false, {192, 0, 2, static_cast<uint8_t>(i % 200)}, static_cast<uint16_t>(2000 + i)};
    attack.attacker->send_frames(frames, &from);
    attack.pair.world.run(500);
  }
  attack.pair.world.run(10 * kSecond);
  uint64_t answered = 0;
  for (const auto& [endpoint, bytes] : traffic) {
    if (endpoint.port < 2000 || endpoint.port >= 4000) continue;  // not one of those above
    answered += bytes.second;
    EXPECT_LE(bytes.second, 3 * bytes.first) << to_string(endpoint);
  }
  EXPECT_GT(answered, 0u);
  EXPECT_TRUE(attack.serves_others());
}

TEST(QuicAttack, HandshakeDataAfterTheHandshakeIsNotCollected) {
  for (const uint64_t begin : {uint64_t{1}, uint64_t{1} << 20, (uint64_t{1} << 62) - 2000}) {
    Attack attack;
    ASSERT_TRUE(attack.connect());
    const Bound bound(2 << 20, 20);
    uint64_t offset = begin;
    for (int i = 0; i < 500 && !attack.ended(); ++i) {
      Bytes frames;
      while (frames.size() < kFramesMax - 20) {
        append(frames, crypto_frame(offset, as_bytes("x")));
        offset += 2;
      }
      attack.attacker->send_frames(frames);
      attack.pair.world.run(300);
    }
    ASSERT_TRUE(attack.ended()) << begin;
    EXPECT_EQ(attack.reason().code, Code::protocol);
    EXPECT_TRUE(attack.serves_others());
  }
}

TEST(QuicAttack, AcknowledgingWhatWasNeverSentEndsTheConnection) {
  Attack attack;
  ASSERT_TRUE(attack.connect());
  const Bound bound(256 << 10, 5);
  // RFC 9000 section 13.1: largest, delay, no further ranges, and how many before it.
  attack.attacker->send_frames(frame(kAck, {100'000, 0, 0, 100'000}));
  attack.pair.world.run(kSecond);
  ASSERT_TRUE(attack.ended());
  EXPECT_EQ(attack.reason().code, Code::protocol);
  EXPECT_TRUE(attack.serves_others());
}

// Acknowledges ahead of what it can have received while the server has much to send: sooner or later it names a packet that
// does not exist, and until then it gets no more than the windows it opened.
TEST(QuicAttack, OptimisticAcknowledgementsAreFoundOut) {
  constexpr uint64_t kWindow = 1 << 20;  // that it opened
  Attack attack;
  ASSERT_TRUE(attack.connect());
  const ConnectionId connection = [&] {
    ConnectionId last = 0;
    for (const auto& event : attack.pair.server.events) {
      if (const auto* connected = std::get_if<Connected>(&event)) last = connected->connection;
    }
    return last;
  }();
  const auto stream = attack.pair.server.host->open_stream(connection, kEcho);
  ASSERT_TRUE(stream.ok());
  const Bytes data = pattern(net::kStreamUnsentMax, 1);
  (void)attack.pair.server.host->write(*stream, data);
  const uint64_t answered = attack.attacker->answer_bytes;
  const Bound bound(4 << 20, 20);
  uint64_t largest = 0;
  for (int i = 0; i < 5000 && !attack.ended(); ++i) {
    largest += 3;
    attack.attacker->send_frames(frame(kAck, {largest, 0, 0, largest}));
    attack.pair.world.run(200);
  }
  EXPECT_TRUE(attack.ended());
  EXPECT_LT(attack.attacker->answer_bytes - answered, 2 * kWindow);
  EXPECT_TRUE(attack.serves_others());
}

// Resets without ever acknowledging the server's: a stream counts until both sides know that it is over, so there are never
// more than were allowed at once (RFC 9000 section 4.6).
TEST(QuicAttack, ResetsOfStreamsThatNeverWereAreBounded) {
  Attack attack;
  ASSERT_TRUE(attack.connect());
  const Bound bound(512 << 10, 20);
  uint64_t streams = 0;
  while (streams < 20'000 && !attack.ended()) {
    Bytes frames;
    for (int i = 0; i < 50; ++i) append(frames, frame(kResetStream, {4 * streams++, 0, 0}));
    attack.attacker->send_frames(frames);
    attack.pair.world.run(2000);
    bound.check();
  }
  ASSERT_TRUE(attack.ended());
  EXPECT_EQ(attack.reason().code, Code::protocol);
  EXPECT_LE(streams, net::kIncomingStreamsMax + 50);
  EXPECT_GE(streams, net::kIncomingStreamsMax);
  EXPECT_EQ(count_events<StreamOpened>(attack.pair.server), 0u);
  EXPECT_TRUE(attack.serves_others());
}

// ---- Bystanders -----------------------------------------------------------------------------------------------------

TEST(QuicAttack, AForgedStatelessResetEndsNothing) {
  Pair pair;
  Bytes to_client;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) {
    if (datagram.from == server_endpoint() && (datagram.data[0] & 0x80) == 0) to_client = datagram.data;
  };
  const ConnectionId connection = pair.connect();
  pair.world.run(kSecond);
  ASSERT_GT(to_client.size(), 30u);
  const IpEndpoint client = pair.client.sockets.begin()->second;
  SeededRandom random(4);
  const Bound bound(64 << 10, 20);
  for (int i = 0; i < 20'000; ++i) {
    // Bytes that look like any, or a true id in front, and a guessed token at the end (RFC 9000 section 10.3).
    Bytes forged(22 + random.below(40));
    random.fill(forged);
    forged[0] = static_cast<uint8_t>(0x40 | (forged[0] & 0x3f));
    if (i % 2 == 0) std::copy_n(to_client.begin() + 1, net::kQuicCidLength, forged.begin() + 1);
    if (forged.size() < 1 + net::kQuicCidLength + NGTCP2_STATELESS_RESET_TOKENLEN) continue;
    pair.world.inject(server_endpoint(), client, forged);
    pair.world.inject(client, server_endpoint(), forged);
    if (i % 100 == 0) pair.world.run(1000);
  }
  pair.world.run(2 * kSecond);
  EXPECT_EQ(count_events<Disconnected>(pair.client) + count_events<Disconnected>(pair.server), 0u);
  EXPECT_TRUE(pair.client.host->open_stream(connection, kEcho).ok());
}

// Somebody on the path forwards a client's packets with a false source while the server is sending at full speed (RFC 9000
// section 9.3.3): the address they name gets three times what came from there, and no more.
TEST(QuicAttack, AMigrationToAVictimIsNotAmplified) {
  Pair pair;
  Echo echo(pair.server);
  pair.world.on_event = [&](NetWorld::Node& node, const HostEvent& event) {
    if (&node == &pair.server) echo.on_event(event);
  };
  const ConnectionId connection = pair.connect();
  const auto stream = pair.client.host->open_stream(connection, kEcho);
  ASSERT_TRUE(stream.ok());
  Transfer transfer(pair.client, *stream, pattern(3'000'000, 9));
  pair.world.run(20 * kSecond, [&] {
    transfer.pump();
    return transfer.received.size() > 1'000'000;
  });
  ASSERT_FALSE(transfer.done);
  Bytes taken;
  uint64_t to_victim = 0;
  uint64_t from_victim = 0;
  bool taking = true;
  pair.world.trace = [&](const NetWorld::Datagram& datagram) {
    if (datagram.to == victim_endpoint()) to_victim += datagram.data.size();
    if (datagram.from == victim_endpoint()) from_victim += datagram.data.size();
    if (taking && datagram.to == server_endpoint()) taken = datagram.data;
  };
  const Bound bound(8 << 20, 30);
  // The client's packets do not arrive; the latest does, from the victim.
  pair.world.link.cut = true;
  pair.world.run(20'000, [&] {
    transfer.pump();
    return false;
  });
  taking = false;
  ASSERT_FALSE(taken.empty());
  pair.world.link.cut = false;
  pair.client.frozen = true;
  pair.world.inject(victim_endpoint(), server_endpoint(), taken);
  pair.world.run(4 * kSecond);
  EXPECT_GT(from_victim, 0u);
  EXPECT_LE(to_victim, 3 * from_victim);
  // And the client, who is still where it was, gets the rest.
  pair.client.frozen = false;
  pair.world.run(60 * kSecond, [&] {
    transfer.pump();
    return transfer.done;
  });
  EXPECT_EQ(transfer.received, transfer.data);
  pair.world.on_event = {};
}

}  // namespace
}  // namespace sereus::test
