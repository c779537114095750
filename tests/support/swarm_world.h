// Swarms over QUIC and TCP on both simulated networks, which run side by side in one virtual time.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/net/circuit_host.h"
#include "core/net/host_group.h"
#include "core/net/service_set.h"
#include "core/net/swarm.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/link_world.h"
#include "tests/support/net_world.h"

namespace sereus::test {

// The worlds own their hosts and step them; a swarm has this in place of one.
class BorrowedHost final : public net::Host {
 public:
  explicit BorrowedHost(net::Host& host) : host_(host) {}
  net::PeerId peer_id() const override { return host_.peer_id(); }
  Status listen(std::string_view address) override { return host_.listen(address); }
  std::vector<std::string> listen_addresses() const override { return host_.listen_addresses(); }
  void set_protocols(std::vector<std::string> protocols) override { host_.set_protocols(std::move(protocols)); }
  Result<uint64_t> dial(std::string_view address, const net::PeerId& peer) override {
    return host_.dial(address, peer);
  }
  void cancel_dial(uint64_t dial) override { host_.cancel_dial(dial); }
  void disconnect(net::ConnectionId connection, Code reason) override { host_.disconnect(connection, reason); }
  Result<uint64_t> dial_punching(std::string_view address, const net::PeerId& peer, net::PunchRole role) override {
    return host_.dial_punching(address, peer, role);
  }
  Status send_probe(std::string_view address) override { return host_.send_probe(address); }
  Result<net::StreamId> open_stream(net::ConnectionId connection, std::string_view protocol) override {
    return host_.open_stream(connection, protocol);
  }
  Result<size_t> write(net::StreamId stream, ByteView data) override { return host_.write(stream, data); }
  Result<ReadResult> read(net::StreamId stream, ByteSpan out) override { return host_.read(stream, out); }
  void finish(net::StreamId stream) override { host_.finish(stream); }
  void reset(net::StreamId stream) override { host_.reset(stream); }
  void network_changed(const Times& now) override { host_.network_changed(now); }
  bool take_network_change() override { return host_.take_network_change(); }
  uint64_t step(const Times& now) override { return host_.step(now); }
  std::optional<net::HostEvent> next_event() override { return host_.next_event(); }
  net::HostStats stats() const override { return host_.stats(); }
  uint64_t buffered(net::ConnectionId connection) const override { return host_.buffered(connection); }
  StreamBuffer largest_buffer(net::ConnectionId connection) const override { return host_.largest_buffer(connection); }
  void close(const Times& now) override { host_.close(now); }

 private:
  net::Host& host_;
};

class SwarmWorld {
 public:
  static constexpr uint64_t kTickUs = 500;

  struct Node {
    std::unique_ptr<crypto::KeyPair> key;
    std::unique_ptr<SeededRandom> random;
    FakeResolver resolver;
    net::ResourceLimits* limits = nullptr;
    net::Bandwidth* bandwidth = nullptr;
    NetWorld::Node* quic = nullptr;
    LinkWorld::Node* tcp = nullptr;
    net::CircuitHost* circuits = nullptr;
    std::unique_ptr<net::Swarm> swarm;
    // Made by tests with services, and stepped in place of the swarm. Services go before the swarm: on_end().
    std::unique_ptr<net::ServiceSet> services;
    std::function<void()> on_end;
    std::deque<net::HostEvent> events;
    std::deque<net::SwarmNotice> notices;

    template <typename T>
    const T* event() const {
      for (const auto& e : events) {
        if (const T* found = std::get_if<T>(&e)) return found;
      }
      return nullptr;
    }
    template <typename T>
    const T* notice() const {
      for (const auto& n : notices) {
        if (const T* found = std::get_if<T>(&n)) return found;
      }
      return nullptr;
    }
    template <typename T>
    size_t count() const {
      size_t out = 0;
      for (const auto& e : events) out += std::holds_alternative<T>(e) ? 1 : 0;
      return out;
    }
  };

  explicit SwarmWorld(uint64_t seed) : quic(seed), tcp(seed), seed_(seed) {}
  ~SwarmWorld() {
    for (auto& node : nodes) end(*node);
    for (auto& node : quic.nodes) node->host.reset();
    for (auto& node : tcp.nodes) node->host.reset();
  }

  // Its process ends: nobody hears of it.
  static void end(Node& node) {
    node.services.reset();
    if (node.on_end) node.on_end();
    node.on_end = nullptr;
    node.swarm.reset();
  }

  // The nth is 10.0.0.n on both networks.
  Node& add(const net::SwarmSettings& settings = {}, const net::ResourceSettings& resources = {},
            const net::BandwidthLimits& bandwidth = {}) {
    auto made = std::make_unique<Node>();
    Node& node = *made;
    nodes.push_back(std::move(made));
    node.key = std::make_unique<crypto::KeyPair>(NetWorld::key(static_cast<uint8_t>(nodes.size())));
    node.random = std::make_unique<SeededRandom>(seed_ * 77 + nodes.size());
    auto limits = std::make_unique<net::ResourceLimits>(resources);
    auto rates = std::make_unique<net::Bandwidth>(bandwidth);
    node.limits = limits.get();
    node.bandwidth = rates.get();
    net::QuicSettings quic_settings;
    quic_settings.gate = limits.get();
    quic_settings.bandwidth = rates.get();
    net::TcpSettings tcp_settings;
    tcp_settings.gate = limits.get();
    tcp_settings.bandwidth = rates.get();
    node.quic = &quic.add(quic_settings);
    node.tcp = &tcp.add(tcp_settings);
    node.quic->drained = node.tcp->drained = false;
    std::vector<std::unique_ptr<net::Host>> members;
    members.push_back(std::make_unique<BorrowedHost>(*node.quic->host));
    members.push_back(std::make_unique<BorrowedHost>(*node.tcp->host));
    auto circuits = std::make_unique<net::CircuitHost>(node.quic->host->peer_id());
    node.circuits = circuits.get();
    members.push_back(std::move(circuits));
    net::SwarmParts parts;
    parts.limits = std::move(limits);
    parts.bandwidth = std::move(rates);
    parts.host = std::make_unique<net::HostGroup>(std::move(members));
    parts.resolver = &node.resolver;
    node.swarm = std::make_unique<net::Swarm>(std::move(parts), *node.key, *node.random, settings);
    return node;
  }
  std::string quic_address(const Node& node) const { return ip_of(node) + "/udp/4001/quic-v1"; }
  std::string tcp_address(const Node& node) const { return ip_of(node) + "/tcp/4001"; }
  void listen(Node& node) {
    EXPECT_TRUE(node.swarm->listen(quic_address(node)).ok());
    EXPECT_TRUE(node.swarm->listen(tcp_address(node)).ok());
  }

  Times now() const { return quic.now(); }
  void step(Node& node) {
    if (node.quic->frozen || !node.swarm) return;
    if (node.services) {
      node.services->step(now());
      take(node, *node.services);
    } else {
      node.swarm->step(now());
      take(node, *node.swarm);
    }
  }
  template <typename Source>
  void take(Node& node, Source& source) {
    while (auto event = source.next_event()) {
      if (on_event) on_event(node, *event);
      node.events.push_back(std::move(*event));
    }
    while (auto notice = source.next_notice()) node.notices.push_back(std::move(*notice));
  }
  bool run(
      uint64_t for_us, const std::function<bool()>& done = [] { return false; }) {
    const uint64_t limit = quic.now_us + for_us;
    for (;;) {
      for (auto& node : nodes) step(*node);
      if (done()) return true;
      if (quic.now_us >= limit) return false;
      const uint64_t next = std::min(limit, quic.now_us + kTickUs);
      // Each runs through its own events up to `next`, and then both have the same time, never an earlier one.
      quic.run(next - quic.now_us);
      if (next > tcp.now_us) tcp.run(next - tcp.now_us);
      quic.now_us = tcp.now_us = std::max({next, quic.now_us, tcp.now_us});
    }
  }

  NetWorld quic;
  LinkWorld tcp;
  std::vector<std::unique_ptr<Node>> nodes;
  std::function<void(Node&, const net::HostEvent&)> on_event;

 private:
  std::string ip_of(const Node& node) const {
    size_t number = 0;
    while (nodes[number].get() != &node) ++number;
    return "/ip4/10.0.0." + std::to_string(number + 1);
  }
  uint64_t seed_;
};

}  // namespace sereus::test
