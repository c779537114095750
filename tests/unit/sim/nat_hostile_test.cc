// Peers that lie to AutoNAT and DCUtR, and those that would make them weapons against third parties.
#include <gtest/gtest.h>

#include <map>

#include "tests/unit/sim/nat_world.h"

namespace sereus::sim {
namespace {

using net::AutoNatAnswer;
using net::AutoNatData;
using net::AutoNatDataRequest;
using net::AutoNatDialStatus;
using net::AutoNatOutcome;
using net::AutoNatRequest;
using net::AutoNatResponse;
using net::AutoNatStatus;
using net::Multiaddr;
using net::Reachability;

Multiaddr at(std::string_view text) { return Multiaddr::parse(text).value(); }

// Machine 0 serves; machine 1 speaks for itself, with streams of the test's own; machine 2 is a bystander.
class NatHostileTest : public testing::Test {
 protected:
  NatHostileTest() : world(21) {
    world.listen(world.add());
    net::NatSettings quiet = NatWorld::default_settings();
    quiet.serving = net::AutoNatServing::never;
    quiet.client.settle_us = 3600 * kNatSecond;  // asks nothing by itself
    world.listen(world.add(quiet));
    world.listen(world.add(quiet));
    streams =
        std::make_unique<net::MessageStreams>(*world.nodes[1]->swarm, net::MessageStreams::Bounds{20'000, 200'000});
    world.on_event = [this](NatWorld::Node& node, const net::HostEvent& event) {
      return &node == &attacker() && streams->on_event(event, world.now());
    };
    world.network.datagrams.set_tap([this](const DatagramNetwork::Datagram& datagram) {
      if (const auto from = Topology::machine_at(datagram.from); from == 0u) ++sent_to[datagram.to];
    });
  }
  ~NatHostileTest() override { streams.reset(); }
  NatWorld::Node& server() { return *world.nodes[0]; }
  NatWorld::Node& attacker() { return *world.nodes[1]; }

  void connect() {
    world.connect(attacker(), server());
    ASSERT_TRUE(world.run(5 * kNatSecond,
                          [&] { return attacker().swarm->connection_with(server().swarm->peer_id()).has_value(); }));
    world.run(kNatSecond);
  }
  net::StreamId open(std::string_view protocol) {
    const auto connection = attacker().swarm->connection_with(server().swarm->peer_id());
    return streams->open(*connection, protocol, world.now().mono_us + 60 * kNatSecond).value();
  }
  std::optional<net::MessageEvent> next(uint64_t within_us = 30 * kNatSecond) {
    std::optional<net::MessageEvent> event;
    world.run(within_us, [&] {
      streams->step(world.now());
      do event = streams->next_event();
      while (event && std::holds_alternative<net::MessagesEnded>(*event));  // behind an answer
      return event.has_value();
    });
    return event;
  }
  // Sends on a stream of its own and gives the answer.
  std::optional<net::AutoNatV2Message> ask(const AutoNatRequest& request) {
    stream = open(net::kAutoNatRequestProtocol);
    EXPECT_TRUE(streams->send(stream, net::encode_autonat_v2(request)).ok());
    return answer();
  }
  std::optional<net::AutoNatV2Message> answer() {
    const auto event = next();
    const auto* received = event ? std::get_if<net::MessageReceived>(&*event) : nullptr;
    if (received == nullptr) return std::nullopt;
    auto decoded = net::decode_autonat_v2(received->message);
    return decoded.ok() ? std::optional(std::move(*decoded)) : std::nullopt;
  }
  std::optional<AutoNatAnswer> ask_v1(const net::AutoNatDial& dial) {
    stream = open(net::kAutoNatProtocol);
    EXPECT_TRUE(streams->send(stream, net::encode_autonat_dial(dial)).ok());
    const auto event = next();
    const auto* received = event ? std::get_if<net::MessageReceived>(&*event) : nullptr;
    if (received == nullptr) return std::nullopt;
    auto decoded = net::decode_autonat_answer(received->message);
    return decoded.ok() ? std::optional(std::move(*decoded)) : std::nullopt;
  }
  uint64_t sent(std::string_view ip, uint16_t port = 4001) {
    const auto found = sent_to.find(*parse_ip(ip, port));
    return found == sent_to.end() ? 0 : found->second;
  }

  NatWorld world;
  std::unique_ptr<net::MessageStreams> streams;
  net::StreamId stream = 0;
  std::map<IpEndpoint, uint64_t> sent_to;  // datagrams of the server's machine
};

TEST_F(NatHostileTest, AThirdPartyCostsMoreThanItIsWorth) {
  connect();
  const AutoNatRequest request{{at("/ip4/10.0.0.3/udp/4001/quic-v1")}, 7};
  const auto wants = ask(request);
  ASSERT_TRUE(wants && std::holds_alternative<AutoNatDataRequest>(*wants));
  const uint64_t bytes = std::get<AutoNatDataRequest>(*wants).bytes;
  EXPECT_GE(bytes, net::kAutoNatDataMin);
  EXPECT_LE(bytes, net::kAutoNatDataMax);
  world.run(20 * kNatSecond);
  EXPECT_EQ(sent("10.0.0.3"), 0u) << "nothing before it is paid for";
  // Paid, it dials, and finds that somebody else is there.
  const auto again = ask(request);
  ASSERT_TRUE(again && std::holds_alternative<AutoNatDataRequest>(*again));
  uint64_t paid = std::get<AutoNatDataRequest>(*again).bytes;
  for (uint64_t left = paid; left > 0; left -= std::min<uint64_t>(left, 4096)) {
    ASSERT_TRUE(streams->send(stream, net::encode_autonat_v2(AutoNatData{std::min<size_t>(left, 4096)})).ok());
  }
  const auto response = answer();
  ASSERT_TRUE(response && std::holds_alternative<AutoNatResponse>(*response));
  EXPECT_EQ(std::get<AutoNatResponse>(*response).outcome, AutoNatOutcome::ok);
  EXPECT_EQ(std::get<AutoNatResponse>(*response).dial, AutoNatDialStatus::dial_error);
  EXPECT_GT(sent("10.0.0.3"), 0u);
  EXPECT_LT(sent("10.0.0.3") * 1500, paid) << "the attacker would have sent more by itself";
}

TEST_F(NatHostileTest, CrumbsAndSilenceDoNotPay) {
  connect();
  const AutoNatRequest request{{at("/ip4/10.0.0.3/udp/4001/quic-v1")}, 7};
  ASSERT_TRUE(ask(request));
  for (int i = 0; i < 2000; ++i) {
    if (!streams->send(stream, net::encode_autonat_v2(AutoNatData{1})).ok()) break;
  }
  const auto event = next();
  EXPECT_TRUE(event && std::holds_alternative<net::MessagesClosed>(*event));
  EXPECT_EQ(server().nat->server()->stats().broken, 1u);
  ASSERT_TRUE(ask(request));
  world.run(30 * kNatSecond);
  EXPECT_EQ(server().nat->server()->jobs(), 0u) << "its time is over";
  EXPECT_EQ(sent("10.0.0.3"), 0u);
}

TEST_F(NatHostileTest, AddressesThatNobodyMayNameAreRefused) {
  connect();
  AutoNatRequest request;
  for (const char* text : {"/ip4/127.0.0.1/udp/4001/quic-v1", "/ip4/0.0.0.0/tcp/4001", "/ip4/224.0.0.1/udp/1/quic-v1",
                           "/dns4/localhost/tcp/4001", "/ip4/10.0.0.2/udp/4001/quic-v1/p2p-circuit",
                           "/ip6/::ffff:127.0.0.1/tcp/1", "/ip6/2001:db8::1/tcp/1", "/ip4/10.0.0.2/tcp/0"}) {
    request.addresses.push_back(at(text));
  }
  // It has no IPv6 itself, so it says nothing of others' either.
  const auto response = ask(request);
  ASSERT_TRUE(response && std::holds_alternative<AutoNatResponse>(*response));
  EXPECT_EQ(std::get<AutoNatResponse>(*response).outcome, AutoNatOutcome::dial_refused);
  EXPECT_EQ(server().nat->server()->stats().refused, 1u);
}

TEST_F(NatHostileTest, VersionOneDialsTheAskingAddressAlone) {
  connect();
  net::AutoNatDial dial{attacker().swarm->peer_id(), {at("/ip4/10.0.0.3/udp/4001/quic-v1")}, 0};
  auto answered = ask_v1(dial);
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->status, AutoNatStatus::dial_refused);
  EXPECT_EQ(sent("10.0.0.3"), 0u);
  dial.addresses.push_back(at("/ip4/10.0.0.2/udp/4001/quic-v1"));
  answered = ask_v1(dial);
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->status, AutoNatStatus::ok);
  EXPECT_EQ(answered->address, dial.addresses[1]);
  EXPECT_EQ(sent("10.0.0.3"), 0u);
  // For another peer than the one that asks.
  dial.peer = world.nodes[2]->swarm->peer_id();
  answered = ask_v1(dial);
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->status, AutoNatStatus::bad_request);
}

TEST_F(NatHostileTest, WrongMessagesEndTheStreamAndNothingElse) {
  connect();
  for (const net::AutoNatV2Message& wrong :
       {net::AutoNatV2Message(AutoNatResponse{AutoNatOutcome::ok, 0, {}}),
        net::AutoNatV2Message(AutoNatDataRequest{0, 50'000}), net::AutoNatV2Message(AutoNatData{100})}) {
    const net::StreamId id = open(net::kAutoNatRequestProtocol);
    ASSERT_TRUE(streams->send(id, net::encode_autonat_v2(wrong)).ok());
    const auto event = next();
    EXPECT_TRUE(event && std::holds_alternative<net::MessagesClosed>(*event));
  }
  const net::StreamId id = open(net::kDcutrProtocol);
  const auto event = next();
  EXPECT_TRUE(event && std::holds_alternative<net::MessagesClosed>(*event)) << "the connection is direct";
  (void)id;
  EXPECT_EQ(server().nat->server()->stats().broken, 3u);
  EXPECT_TRUE(attacker().swarm->connection_with(server().swarm->peer_id()).has_value());
}

TEST_F(NatHostileTest, AFloodIsRejectedAndCostsOneShare) {
  connect();
  size_t served = 0;
  for (int i = 0; i < 40; ++i) {
    const auto response = ask({{at("/ip4/10.0.0.2/udp/4001/quic-v1")}, static_cast<uint64_t>(i)});
    ASSERT_TRUE(response && std::holds_alternative<AutoNatResponse>(*response)) << i;
    const bool rejected = std::get<AutoNatResponse>(*response).outcome == AutoNatOutcome::request_rejected;
    served += rejected ? 0 : 1;
  }
  EXPECT_GE(served, 1u);
  // The attacker's own client has asked as well, and is the same peer.
  EXPECT_LE(server().nat->server()->stats().served, 2 * net::kAutoNatServePeerPerMinute) << "two windows at most";
  EXPECT_GE(server().nat->server()->stats().rejected, 40 - 2 * net::kAutoNatServePeerPerMinute);
  EXPECT_EQ(server().nat->server()->jobs(), 0u);
}

// ---- Servers that lie -----------------------------------------------------------------------------------------------

// Machine 0 asks; machine 1 serves as the test says.
class LyingServerTest : public testing::Test {
 protected:
  LyingServerTest() : world(22) {
    net::NatSettings settings = NatWorld::default_settings();
    settings.serving = net::AutoNatServing::never;
    world.put_behind(0, NatKind::port_restricted);
    world.listen(world.add(settings));
    world.listen(world.add(settings));
    world.extra_protocols = {std::string(net::kAutoNatRequestProtocol)};
    streams =
        std::make_unique<net::MessageStreams>(*world.nodes[1]->swarm, net::MessageStreams::Bounds{20'000, 200'000});
    world.on_event = [this](NatWorld::Node& node, const net::HostEvent& event) {
      if (node.machine != 1) return false;
      const auto* opened = std::get_if<net::StreamOpened>(&event);
      const bool request = opened != nullptr && opened->incoming && opened->protocol == net::kAutoNatRequestProtocol;
      if (request) streams->accept(*opened, kNever);
      return request || streams->on_event(event, world.now());
    };
    world.connect(*world.nodes[0], *world.nodes[1]);
  }
  ~LyingServerTest() override { streams.reset(); }
  // Answers every request so; gives how many there were.
  size_t serve(uint64_t for_us, const std::function<void(net::StreamId, const AutoNatRequest&)>& lie) {
    size_t requests = 0;
    world.run(for_us, [&] {
      streams->step(world.now());
      while (const auto event = streams->next_event()) {
        const auto* received = std::get_if<net::MessageReceived>(&*event);
        if (received == nullptr) continue;
        const auto decoded = net::decode_autonat_v2(received->message);
        data +=
            decoded.ok() && std::holds_alternative<AutoNatData>(*decoded) ? std::get<AutoNatData>(*decoded).bytes : 0;
        if (!decoded.ok() || !std::holds_alternative<AutoNatRequest>(*decoded)) continue;
        ++requests;
        lie(received->stream, std::get<AutoNatRequest>(*decoded));
      }
      return false;
    });
    return requests;
  }
  void respond(net::StreamId to, AutoNatOutcome outcome, uint32_t index, AutoNatDialStatus dial) {
    EXPECT_TRUE(streams->send(to, net::encode_autonat_v2(AutoNatResponse{outcome, index, dial})).ok());
    streams->finish(to);
  }
  NatWorld::Node& client() { return *world.nodes[0]; }

  NatWorld world;
  std::unique_ptr<net::MessageStreams> streams;
  uint64_t data = 0;
};

TEST_F(LyingServerTest, AYesWithoutTheNonceIsNone) {
  const size_t requests = serve(120 * kNatSecond, [this](net::StreamId to, const AutoNatRequest&) {
    respond(to, AutoNatOutcome::ok, 0, AutoNatDialStatus::ok);
  });
  EXPECT_GE(requests, 1u);
  EXPECT_LE(requests, 10u) << "who fails waits";
  EXPECT_NE(client().state(), Reachability::reachable);
  EXPECT_TRUE(client().nat->client().external_addresses().empty());
}

TEST_F(LyingServerTest, TheNonceOverOurOwnConnectionIsNone) {
  serve(60 * kNatSecond, [this](net::StreamId to, const AutoNatRequest& request) {
    // On the connection that the client made: nobody was dialed.
    const auto connection = world.nodes[1]->swarm->connection_with(client().swarm->peer_id());
    const auto back = streams->open(*connection, net::kAutoNatDialBackProtocol, kNever);
    ASSERT_TRUE(back.ok());
    EXPECT_TRUE(streams->send(*back, net::encode_autonat_dial_back(request.nonce)).ok());
    world.scheduler.after(kNatSecond, [this, to] { respond(to, AutoNatOutcome::ok, 0, AutoNatDialStatus::ok); });
  });
  EXPECT_NE(client().state(), Reachability::reachable);
}

TEST_F(LyingServerTest, WantingTooMuchDataEndsIt) {
  serve(60 * kNatSecond, [this](net::StreamId to, const AutoNatRequest&) {
    EXPECT_TRUE(streams->send(to, net::encode_autonat_v2(AutoNatDataRequest{0, net::kAutoNatDataMax + 1})).ok());
  });
  EXPECT_EQ(data, 0u);
}

TEST_F(LyingServerTest, DataIsSentOnceForARequest) {
  size_t asked = 0;
  serve(20 * kNatSecond, [&](net::StreamId to, const AutoNatRequest&) {
    ++asked;
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(streams->send(to, net::encode_autonat_v2(AutoNatDataRequest{0, 50'000})).ok());
    }
  });
  ASSERT_GE(asked, 1u);
  EXPECT_LE(data, asked * 50'000u);
}

TEST_F(LyingServerTest, AnIndexOfNothingAndSilenceAreNoVotes) {
  size_t n = 0;
  serve(300 * kNatSecond, [&](net::StreamId to, const AutoNatRequest&) {
    if (++n % 2 == 0) respond(to, AutoNatOutcome::ok, 5, AutoNatDialStatus::dial_error);
  });
  for (const auto& address : client().nat->client().addresses()) EXPECT_EQ(address.yes + address.no, 0u);
  EXPECT_EQ(client().state(), Reachability::unknown);
}

}  // namespace
}  // namespace sereus::sim
