// Swarms with their NAT services on the simulated networks, behind boxes of any kind. What goes through a relay goes over a second
// network here, on which nothing is in the way and whose addresses say p2p-circuit: it has a relay's effect and none of its parts.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/crypto/init.h"
#include "core/net/host_group.h"
#include "core/net/nat_services.h"
#include "sim/networks.h"

namespace sereus::sim {

inline constexpr uint64_t kNatSecond = 1'000'000;

// The host on the second network: dials and listens at one port alone, and calls its connections relayed.
class RelayedHost final : public net::Host {
 public:
  static constexpr std::string_view kForm = "/udp/5001/quic-v1";
  explicit RelayedHost(std::unique_ptr<net::Host> host) : host_(std::move(host)) {}

  net::PeerId peer_id() const override { return host_->peer_id(); }
  Status listen(std::string_view address) override {
    return is_mine(address) ? host_->listen(address) : Status(fail(Code::unsupported));
  }
  std::vector<std::string> listen_addresses() const override { return {}; }
  void set_protocols(std::vector<std::string> protocols) override { host_->set_protocols(std::move(protocols)); }
  Result<uint64_t> dial(std::string_view address, const net::PeerId& peer) override {
    if (!is_mine(address)) return fail(Code::unsupported);
    return host_->dial(address, peer);
  }
  void cancel_dial(uint64_t dial) override { host_->cancel_dial(dial); }
  void disconnect(net::ConnectionId connection, Code reason) override { host_->disconnect(connection, reason); }
  Result<net::StreamId> open_stream(net::ConnectionId connection, std::string_view protocol) override {
    return host_->open_stream(connection, protocol);
  }
  Result<size_t> write(net::StreamId stream, ByteView data) override { return host_->write(stream, data); }
  Result<ReadResult> read(net::StreamId stream, ByteSpan out) override { return host_->read(stream, out); }
  void finish(net::StreamId stream) override { host_->finish(stream); }
  void reset(net::StreamId stream) override { host_->reset(stream); }
  uint64_t step(const Times& now) override { return host_->step(now); }
  std::optional<net::HostEvent> next_event() override {
    auto event = host_->next_event();
    if (auto* connected = event ? std::get_if<net::Connected>(&*event) : nullptr) {
      connected->address += "/p2p-circuit";
      connected->relayed = net::Relayed{};
    }
    return event;
  }
  net::HostStats stats() const override { return host_->stats(); }
  void close(const Times& now) override { host_->close(now); }

 private:
  static bool is_mine(std::string_view address) { return address.ends_with(kForm); }
  std::unique_ptr<net::Host> host_;
};

class NatWorld {
 public:
  struct Node {
    size_t machine = 0;
    std::unique_ptr<KeyPair> key;
    std::unique_ptr<SimRandom> random;
    std::unique_ptr<net::Host> dialer;
    std::unique_ptr<net::Swarm> swarm;
    std::unique_ptr<net::NatServices> nat;
    std::vector<std::string> protocols;
    std::vector<net::ReachabilityChanged> reachability;
    std::vector<net::HolePunched> punched;
    std::vector<net::SwarmNotice> notices;
    std::vector<net::HostEvent> events;

    net::Reachability state() const { return nat->client().state().overall; }
    template <typename T>
    size_t count() const {
      size_t out = 0;
      for (const auto& e : events) out += std::holds_alternative<T>(e) ? 1 : 0;
      return out;
    }
    const net::Connected* direct_with(const net::PeerId& peer) const {
      for (const auto& e : events) {
        const auto* connected = std::get_if<net::Connected>(&e);
        if (connected != nullptr && connected->peer == peer && !net::is_relayed(connected->address)) return connected;
      }
      return nullptr;
    }
  };

  explicit NatWorld(uint64_t seed)
      : random_(seed), network(scheduler, random_.fork("network")), relayed_(scheduler, random_.fork("relayed")) {
    crypto::init();
    DatagramConditions good;
    good.delay_min_us = 5'000;
    good.delay_max_us = 15'000;
    network.datagrams.set_conditions(good);
    relayed_.datagrams.set_conditions(good);
  }
  ~NatWorld() {
    for (auto& node : nodes) node->nat.reset();
    for (auto& node : nodes) node->swarm.reset();
    for (auto& node : nodes) node->dialer.reset();
  }

  static net::NatSettings default_settings() {
    net::NatSettings settings;
    settings.filter.local = true;  // the simulated Internet is 10.0.0.0/8
    return settings;
  }
  // Before the nodes that are behind it. One box each.
  void put_behind(size_t machine, const NatSettings& settings) { network.put_behind_nat({machine}, settings); }
  void put_behind(size_t machine, NatKind kind) {
    NatSettings settings;
    settings.kind = kind;
    put_behind(machine, settings);
  }
  // Nothing that is a datagram gets anywhere; to be called when all machines are there.
  void block_udp(size_t machine) {
    DatagramConditions none;
    none.lost = 1'000'000;
    for (size_t other = 0; other < nodes.size(); ++other) {
      network.datagrams.set_conditions(machine, other, none);
      network.datagrams.set_conditions(other, machine, none);
    }
  }

  // The next machine.
  Node& add(const net::NatSettings& settings = default_settings()) {
    auto made = std::make_unique<Node>();
    Node& node = *made;
    node.machine = nodes.size();
    nodes.push_back(std::move(made));
    node.key = std::make_unique<KeyPair>(key_of(static_cast<uint8_t>(node.machine + 1)));
    node.random = std::make_unique<SimRandom>(random_.fork("node"));
    std::vector<std::unique_ptr<net::Host>> members;
    members.push_back(std::make_unique<RelayedHost>(host_on(relayed_, node, *node.key)));
    members.push_back(host_on(network, node, *node.key));
    net::SwarmParts parts;
    parts.host = std::make_unique<net::HostGroup>(std::move(members));
    node.swarm = std::make_unique<net::Swarm>(std::move(parts), *node.key, *node.random);
    node.dialer = host_on(network, node, key_of(static_cast<uint8_t>(node.machine + 101)));
    node.nat = std::make_unique<net::NatServices>(*node.swarm, node.dialer.get(), *node.random, settings);
    EXPECT_TRUE(node.swarm->listen("/ip4/0.0.0.0/udp/5001/quic-v1").ok());
    return node;
  }
  void listen(Node& node, bool quic = true, bool tcp = true) {
    if (quic) {
      EXPECT_TRUE(node.swarm->listen("/ip4/0.0.0.0/udp/4001/quic-v1").ok());
    }
    if (tcp) {
      EXPECT_TRUE(node.swarm->listen("/ip4/0.0.0.0/tcp/4001").ok());
    }
  }
  static std::string quic_address(const Node& node) {
    return "/ip4/" + ip_to_string(Topology::v4(node.machine)) + "/udp/4001/quic-v1";
  }
  static std::string tcp_address(const Node& node) {
    return "/ip4/" + ip_to_string(Topology::v4(node.machine)) + "/tcp/4001";
  }
  // Of a node on the second network.
  static std::string relayed_address(const Node& node) {
    return "/ip4/" + ip_to_string(Topology::v4(node.machine)) + std::string(RelayedHost::kForm);
  }
  // Over the public network, and over the second one.
  void connect(Node& from, const Node& to, bool quic = true) {
    EXPECT_TRUE(from.swarm->dial(quic ? quic_address(to) : tcp_address(to), to.swarm->peer_id()).ok());
  }
  void connect_relayed(Node& from, const Node& to) {
    EXPECT_TRUE(from.swarm->dial(relayed_address(to), to.swarm->peer_id()).ok());
  }

  Times now() const { return {scheduler.now_us(), 1'767'225'600'000'000 + static_cast<int64_t>(scheduler.now_us())}; }
  bool run(
      uint64_t for_us, const std::function<bool()>& done = [] { return false; }) {
    const uint64_t limit = scheduler.now_us() + for_us;
    for (;;) {
      uint64_t next = limit;
      for (auto& node : nodes) next = std::min(next, step(*node));
      if (done()) return true;
      if (scheduler.now_us() >= limit) return false;
      if (next <= scheduler.now_us()) next = scheduler.now_us() + 1;
      (void)scheduler.step(std::min(next, limit));
    }
  }

  Scheduler scheduler;

 private:
  SimRandom random_;

 public:
  Networks network;
  std::vector<std::unique_ptr<Node>> nodes;
  // Sees an event before the node's services do; true takes it from them.
  std::function<bool(Node&, const net::HostEvent&)> on_event;

 private:
  static KeyPair key_of(uint8_t number) {
    crypto::SecretBytes<crypto::kSeedSize> seed;
    seed.span()[0] = number;
    return KeyPair::from_seed(seed);
  }
  std::unique_ptr<net::Host> host_on(Networks& on, Node& node, const KeyPair& key) {
    Networks::HostPorts ports;
    ports.machine = node.machine;
    ports.random = node.random.get();
    ports.clock = [this] { return now(); };
    ports.wake = [] {};
    net::SwarmParts parts;
    EXPECT_TRUE(on.make_host(ports, key, parts).ok());
    return std::move(parts.host);
  }
  uint64_t step(Node& node) {
    uint64_t next = kNever;
    // What services say leaves with the swarm's next step.
    for (int round = 0; round < 2; ++round) {
      next = node.swarm->step(now());
      while (auto event = node.swarm->next_event()) {
        if (!(on_event && on_event(node, *event))) (void)node.nat->on_event(*event, now());
        node.events.push_back(std::move(*event));
      }
      while (auto notice = node.swarm->next_notice()) {
        node.nat->on_notice(*notice, now());
        node.notices.push_back(std::move(*notice));
      }
      next = std::min(next, node.nat->step(now()));
      while (auto event = node.nat->next_event()) {
        if (auto* changed = std::get_if<net::ReachabilityChanged>(&*event)) node.reachability.push_back(*changed);
        if (auto* punched = std::get_if<net::HolePunched>(&*event)) node.punched.push_back(*punched);
      }
      std::vector<std::string> protocols = node.nat->protocols();
      for (const std::string& more : extra_protocols) protocols.push_back(more);
      if (protocols != node.protocols) {
        node.protocols = protocols;
        node.swarm->set_protocols(std::move(protocols));
      }
    }
    return next;
  }

 public:
  std::vector<std::string> extra_protocols;  // of all nodes

 private:
  Networks relayed_;
};

}  // namespace sereus::sim
