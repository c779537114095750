// Swarms with relay clients and servers on the simulated networks.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/net/relay_client.h"
#include "core/net/relay_server.h"
#include "tests/support/swarm_world.h"

namespace sereus::test {

class RelayWorld {
 public:
  static constexpr std::string_view kEcho = "/echo/1.0.0";

  struct Peer {
    SwarmWorld::Node* node = nullptr;
    std::unique_ptr<net::RelayClient> client;
    std::unique_ptr<net::RelayServer> server;
    std::deque<net::RelayClientEvent> told;
    std::deque<net::RelayServer::Event> served;

    net::Swarm& swarm() const { return *node->swarm; }
    net::PeerId id() const { return node->swarm->peer_id(); }
    template <typename T>
    const T* event() {
      while (auto e = client->next_event()) told.push_back(std::move(*e));
      return last<T>(told);
    }
    template <typename T>
    const T* serve_event() {
      while (auto e = server->next_event()) served.push_back(std::move(*e));
      return last<T>(served);
    }

   private:
    template <typename T, typename Queue>
    static const T* last(const Queue& queue) {
      for (auto at = queue.rbegin(); at != queue.rend(); ++at) {
        if (const T* found = std::get_if<T>(&*at)) return found;
      }
      return nullptr;
    }
  };

  explicit RelayWorld(uint64_t seed) : world(seed) {}
  ~RelayWorld() {
    for (auto& peer : peers) end(*peer);
  }

  // Relays listen; nobody else can be dialed.
  Peer& add_relay(const net::RelayServerSettings& settings = local()) {
    Peer& peer = add();
    world.listen(*peer.node);
    peer.server = std::make_unique<net::RelayServer>(peer.swarm(), *peer.node->key, settings);
    peer.node->services->add(*peer.server);
    return peer;
  }
  Peer& add_client(const net::RelayClientSettings& settings = {}) {
    Peer& peer = add();
    peer.client = net::RelayClient::create(peer.swarm(), *peer.node->circuits, *peer.node->key, *peer.node->random,
                                           nullptr, settings)
                      .value();
    peer.node->services->add(*peer.client);
    return peer;
  }
  static void end(Peer& peer) {
    peer.node->services.reset();
    peer.client.reset();
    peer.server.reset();
    SwarmWorld::end(*peer.node);
  }
  // Its addresses are of private networks here.
  static net::RelayServerSettings local() {
    net::RelayServerSettings out;
    out.private_addresses = true;
    return out;
  }
  static net::RelayClientSettings passive() {
    net::RelayClientSettings out;
    out.reservations = 0;
    return out;
  }

  std::string address(const Peer& peer, bool quic = true) const {
    return (quic ? world.quic_address(*peer.node) : world.tcp_address(*peer.node)) + "/p2p/" + peer.id().to_string();
  }
  std::string circuit(const Peer& relay, const Peer& target, bool quic = true) const {
    return address(relay, quic) + "/p2p-circuit/p2p/" + target.id().to_string();
  }
  bool run(uint64_t us, const std::function<bool()>& done) { return world.run(us, done); }
  void settle(uint64_t us) {
    world.run(us, [] { return false; });
  }
  bool reserve(Peer& client, const Peer& relay, bool quic = true) {
    EXPECT_TRUE(client.client->add_relay(address(relay, quic)).ok());
    return run(20 * kMicrosPerSecond, [&] { return client.client->reserved(relay.id()); });
  }
  // A connection by one address, relayed or not; 0 when the dial failed.
  net::ConnectionId connect(Peer& from, const std::string& to, const net::PeerId& peer) {
    const auto dial = from.swarm().dial(to, peer);
    EXPECT_TRUE(dial.ok()) << dial.error().detail;
    if (!dial.ok()) return 0;
    net::ConnectionId out = 0;
    run(20 * kMicrosPerSecond, [&] {
      for (const auto& event : from.node->events) {
        const auto* connected = std::get_if<net::Connected>(&event);
        if (connected != nullptr && connected->dial == *dial) out = connected->connection;
        const auto* failed = std::get_if<net::DialFailed>(&event);
        if (failed != nullptr && failed->dial == *dial) {
          failure = failed->error;
          return true;
        }
      }
      return out != 0;
    });
    return out;
  }

  SwarmWorld world;
  std::vector<std::unique_ptr<Peer>> peers;
  Error failure;  // of the last dial

 private:
  Peer& add() {
    peers.push_back(std::make_unique<Peer>());
    Peer& peer = *peers.back();
    peer.node = &world.add();
    peer.node->services = std::make_unique<net::ServiceSet>(*peer.node->swarm);
    return peer;
  }
};

// A stream of raw bytes, by hand.
struct RawStream {
  net::Swarm& swarm;
  net::StreamId id = 0;
  Bytes received = {};
  bool ended = false;

  // Everything that has come.
  void read() {
    std::array<uint8_t, 4096> buffer;
    for (;;) {
      const auto got = swarm.read(id, buffer);
      if (!got.ok()) return;
      append(received, ByteView(buffer).first(got->size));
      ended = ended || got->finished;
      if (got->size == 0) return;
    }
  }
};

}  // namespace sereus::test
