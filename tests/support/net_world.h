// A small deterministic network in virtual time: hosts on simulated UDP sockets, links that delay, drop, duplicate and
// reorder. The simulator (sim/) has the large one; this is for tests of core/net alone.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/time.h"
#include "core/net/quic_host.h"
#include "core/ports/datagram.h"
#include "core/ports/random.h"

namespace sereus::test {

// xoshiro256** seeded by splitmix64: reproducible, and fast enough for megabytes of padding.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }
  void fill(ByteSpan out) override {
    for (size_t i = 0; i < out.size(); i += 8) {
      const uint64_t word = draw();
      for (size_t j = i; j < out.size() && j < i + 8; ++j) out[j] = static_cast<uint8_t>(word >> (8 * (j - i)));
    }
  }
  bool chance(double probability) { return static_cast<double>(below(1'000'000)) < probability * 1e6; }

 private:
  static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  uint64_t draw() {
    const uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  uint64_t state_[4];
};

struct LinkConditions {
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;  // share of datagrams that take up to reorder_us longer
  uint64_t delay_us = 200;
  uint64_t reorder_us = 2000;
  bool cut = false;
  double blocked = 0;  // share of send() calls that say "not writable now"
  double ce = 0;       // share of ECN-capable datagrams that are marked
};

class NetWorld;

class SimDatagrams final : public Datagrams {
 public:
  SimDatagrams(NetWorld& world, size_t node) : world_(world), node_(node) {}
  Result<Bound> bind(const IpEndpoint& local) override;
  void close(SocketId socket) override;
  bool send(SocketId socket, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size) override;

 private:
  NetWorld& world_;
  size_t node_;
};

class NetWorld {
 public:
  struct Node {
    std::unique_ptr<SimDatagrams> datagrams;
    std::unique_ptr<SeededRandom> random;
    std::unique_ptr<crypto::KeyPair> key;
    std::unique_ptr<net::QuicHost> host;
    std::deque<net::HostEvent> events;  // a deque: tests keep pointers to what they found
    std::map<SocketId, IpEndpoint> sockets;
    uint64_t wake_us = 0;
    bool frozen = false;  // does not step and hears nothing
    bool drained = true;  // its application takes events
    uint64_t datagrams_sent = 0;
  };
  struct Datagram {
    IpEndpoint from;
    IpEndpoint to;
    Ecn ecn;
    Bytes data;
  };

  explicit NetWorld(uint64_t seed) : seed_(seed), random_(seed) {}
  ~NetWorld() {
    for (auto& node : nodes) node->host.reset();  // it closes its sockets, which are ours
  }
  NetWorld(const NetWorld&) = delete;
  NetWorld& operator=(const NetWorld&) = delete;

  static crypto::KeyPair key(uint8_t number) {
    crypto::SecretBytes<crypto::kSeedSize> seed;
    seed.span()[0] = number;
    return crypto::KeyPair::from_seed(seed);
  }

  Node& add(const net::QuicSettings& settings = {}, const net::TlsIdentity* identity = nullptr) {
    const size_t number = nodes.size();
    auto node = std::make_unique<Node>();
    node->datagrams = std::make_unique<SimDatagrams>(*this, number);
    node->random = std::make_unique<SeededRandom>(seed_ * 1000 + number + 1);
    node->key = std::make_unique<crypto::KeyPair>(key(static_cast<uint8_t>(number + 1)));
    Node& out = *node;
    nodes.push_back(std::move(node));
    auto host = net::QuicHost::create(*out.key, *out.datagrams, *out.random, nullptr, settings, identity);
    out.host = std::move(host).value();
    return out;
  }
  // Node n is 10.0.0.n.
  static IpEndpoint address(size_t node, uint16_t port) {
    return {false, {10, 0, 0, static_cast<uint8_t>(node + 1)}, port};
  }
  size_t index(const Node& node) const {
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].get() == &node) return i;
    }
    return SIZE_MAX;
  }
  std::string listen(Node& node) {
    const std::string address = "/ip4/10.0.0." + std::to_string(index(node) + 1) + "/udp/4001/quic-v1";
    if (!node.host->listen(address).ok()) return {};
    return address;
  }

  Times now() const { return {now_us, wall_us + static_cast<int64_t>(now_us)}; }

  // Puts a datagram on the wire as if sent from `from`; for hostile packets.
  void inject(const IpEndpoint& from, const IpEndpoint& to, ByteView data, Ecn ecn = Ecn::not_ect) {
    transmit({from, to, ecn, to_bytes(data)});
  }
  void transmit(Datagram datagram) {
    if (trace) trace(datagram);
    ++datagrams;
    bytes += datagram.data.size();
    if (link.cut || random_.chance(link.loss)) return;
    if (datagram.ecn != Ecn::not_ect && random_.chance(link.ce)) datagram.ecn = Ecn::ce;
    const int copies = random_.chance(link.duplicate) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      uint64_t at = now_us + link.delay_us;
      if (random_.chance(link.reorder)) at += random_.below(link.reorder_us + 1);
      wire_.emplace(std::pair(at, ++sequence_), datagram);
    }
  }

  void collect(Node& node) {
    if (!node.drained || !node.host) return;
    while (auto event = node.host->next_event()) {
      if (on_event) on_event(node, *event);
      node.events.push_back(std::move(*event));
    }
  }
  void step(Node& node) {
    if (node.frozen || !node.host) return;
    for (const auto& [socket, local] : node.sockets) node.host->on_writable(socket);
    node.wake_us = node.host->step(now());
    collect(node);
  }
  // Moves on to the next thing that happens. False when nothing is left or the limit is reached.
  bool advance(uint64_t limit_us) {
    uint64_t next = wire_.empty() ? kNever : wire_.begin()->first.first;
    for (auto& node : nodes) {
      if (!node->frozen && node->host) next = std::min(next, node->wake_us);
    }
    if (next == kNever || next > limit_us) {
      now_us = std::max(now_us, limit_us);
      return false;
    }
    if (next <= now_us) next = now_us + 1;  // a host that wants to go on: the clock moves a little
    now_us = next;
    while (!wire_.empty() && wire_.begin()->first.first <= now_us) {
      const Datagram datagram = std::move(wire_.begin()->second);
      wire_.erase(wire_.begin());
      deliver(datagram);
    }
    return true;
  }
  // Runs until `done` or for `for_us` of virtual time; returns done().
  bool run(
      uint64_t for_us, const std::function<bool()>& done = [] { return false; }) {
    const uint64_t limit = now_us + for_us;
    for (;;) {
      for (auto& node : nodes) step(*node);
      if (done()) return true;
      for (auto& node : nodes) step(*node);  // what done() wrote
      if (!advance(limit)) return false;
    }
  }

  LinkConditions link;
  uint64_t now_us = 1'000'000;
  int64_t wall_us = 1'767'225'600'000'000;  // 2026-01-01
  std::vector<std::unique_ptr<Node>> nodes;
  std::function<void(const Datagram&)> trace;
  std::function<void(Node&, const net::HostEvent&)> on_event;
  uint64_t datagrams = 0;
  uint64_t bytes = 0;

 private:
  friend class SimDatagrams;
  void deliver(const Datagram& datagram) {
    for (auto& node : nodes) {
      if (node->frozen || !node->host) continue;
      for (const auto& [socket, local] : node->sockets) {
        if (local == datagram.to)
          node->host->on_datagram(socket, local, datagram.from, datagram.ecn, datagram.data, now());
      }
    }
  }

  uint64_t seed_;
  SeededRandom random_;
  uint64_t sequence_ = 0;
  SocketId last_socket_ = 0;
  uint16_t last_port_ = 40000;
  std::map<std::pair<uint64_t, uint64_t>, Datagram> wire_;
};

inline Result<Datagrams::Bound> SimDatagrams::bind(const IpEndpoint& local) {
  const uint16_t port = local.port != 0 ? local.port : ++world_.last_port_;
  const IpEndpoint bound = NetWorld::address(node_, port);
  const SocketId id = ++world_.last_socket_;
  world_.nodes[node_]->sockets[id] = bound;
  return Bound{id, bound};
}

inline void SimDatagrams::close(SocketId socket) { world_.nodes[node_]->sockets.erase(socket); }

inline bool SimDatagrams::send(SocketId socket, const IpEndpoint& to, Ecn ecn, ByteView data, size_t segment_size) {
  if (world_.random_.chance(world_.link.blocked)) return false;
  NetWorld::Node& node = *world_.nodes[node_];
  while (!data.empty()) {
    const size_t size = std::min(segment_size, data.size());
    ++node.datagrams_sent;
    world_.transmit({node.sockets.at(socket), to, ecn, to_bytes(data.first(size))});
    data = data.subspan(size);
  }
  return true;
}

// The first event of type T among a node's events.
template <typename T>
const T* find_event(const NetWorld::Node& node) {
  for (const auto& event : node.events) {
    if (const T* found = std::get_if<T>(&event)) return found;
  }
  return nullptr;
}
template <typename T>
size_t count_events(const NetWorld::Node& node) {
  size_t count = 0;
  for (const auto& event : node.events) count += std::holds_alternative<T>(event) ? 1 : 0;
  return count;
}

}  // namespace sereus::test
