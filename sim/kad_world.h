// Many nodes of the Kad-DHT over the least network that there can be: a request takes half a round trip, an answer the other half, a
// first contact one round trip more, and who is gone does not answer. For what only shows in a crowd: lookups under churn, among
// peers that lie, in networks of 2 to 10,000. What is between (streams, handshakes, identify) is tests/unit/discovery's and the
// interop tests' matter. Header-only, as the benchmarks do not link the simulator.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/crypto/sign.h"
#include "core/discovery/kad_node.h"
#include "core/net/peer_record.h"
#include "sim/sim_random.h"

namespace sereus::sim {

struct KadWorldSettings {
  uint64_t seed = 1;
  discovery::KadSettings node;
  // Round trips: least + spread * u * u with u uniform, drawn once for each pair; and a tenth of jitter.
  uint64_t rtt_least_us = 20'000;
  uint64_t rtt_spread_us = 230'000;
  // A swarm keeps connections, and its transports find out when the other end is gone (QUIC: 10 s, with keep-alives every 5).
  size_t connections_max = 256;
  uint64_t lost_after_us = 10'000'000;   // and up to half of it more
  uint64_t connection_idle_us = kNever;  // for transports that close what is not used
  bool identify_records = true;          // peers learn each other's signed record as they connect, as from identify
  uint32_t lost_permille = 0;            // of requests and answers
};

class KadWorld {
 public:
  using Index = uint32_t;
  static constexpr Index kNobody = std::numeric_limits<Index>::max();
  static constexpr int64_t kWallUs = 1'767'225'600'000'000;

  enum class Kind : uint8_t {
    honest,
    silent,     // takes requests and answers none
    colluding,  // names only its like and inventions, and says wrong addresses of whoever is looked for
  };

  struct Node final : discovery::KadSelf {
    explicit Node(crypto::KeyPair pair) : key(std::move(pair)) {}
    std::vector<Bytes> addresses() const override {
      return listens ? std::vector<Bytes>{address} : std::vector<Bytes>();
    }
    Bytes signed_record(const Times& now) override {
      if (!listens) return {};
      const auto parsed = net::Multiaddr::from_bytes(address);
      return net::seal_peer_record(key, static_cast<uint64_t>(now.wall_us) / 1000 + discovery::kRecordLeadMs, {*parsed})
          .value();
    }
    // What identify tells: sealed once for an address.
    const Bytes& first_record(const Times& now) {
      if (identify_address != address) {
        identify_record = signed_record(now);
        identify_address = address;
      }
      return identify_record;
    }
    Bytes identify_record;
    Bytes identify_address;
    crypto::KeyPair key;
    Index index = 0;
    net::PeerId peer;
    Bytes address;
    bool listens = true;
    bool alive = true;
    Kind kind = Kind::honest;
    uint64_t born_us = 0;
    uint64_t wake_us = kNever;
    std::unique_ptr<discovery::AddressBook> book;
    std::unique_ptr<discovery::KadNode> kad;
    std::map<Index, uint64_t> connections;  // to whom, and when last used
    uint64_t sent = 0;
    uint64_t dials = 0;
  };

  explicit KadWorld(const KadWorldSettings& settings) : settings_(settings), random_(settings.seed) {}

  // Joins now, by the `bootstrap` nodes.
  Node& add(const std::vector<Index>& bootstrap, Kind kind = Kind::honest, bool server = true) {
    SecretBytes<crypto::kSeedSize> seed;
    random_.fill(seed.span());
    auto made = std::make_unique<Node>(crypto::KeyPair::from_seed(seed));
    Node& node = *made;
    node.index = static_cast<Index>(nodes.size());
    nodes.push_back(std::move(made));
    node.peer = net::PeerId::from_device_key(node.key.device_key());
    node.address = draw_address();
    node.kind = kind;
    node.born_us = now_us;
    by_peer_[key_of(node.peer)] = node.index;
    discovery::KadSettings own = settings_.node;
    own.server = server;
    node.book = std::make_unique<discovery::AddressBook>(discovery::BookSettings{1024});
    node.kad = std::make_unique<discovery::KadNode>(node.peer, own, node, *node.book, random_, validators);
    for (const Index at : bootstrap) node.kad->add_bootstrap(nodes[at]->peer, {nodes[at]->address}, now());
    if (kind == Kind::colluding) colluders_.push_back(node.index);
    drain(node);
    return node;
  }

  // Without a word.
  void kill(Node& node) {
    node.alive = false;
    for (const auto& [other, used_us] : node.connections) {
      const uint64_t noticed_us = now_us + settings_.lost_after_us + random_.below(settings_.lost_after_us / 2 + 1);
      push({noticed_us, 0, Event::Kind::idle, other, node.index, 0, {}, {}});
    }
    node.kad.reset();
    node.book.reset();
    node.connections.clear();
  }

  // PeerIDs that nobody is, for colluders to name.
  void invent(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      DeviceKey key;
      random_.fill(key.bytes);
      net::PeerId peer = net::PeerId::from_device_key(key);
      inventions_.emplace(discovery::KadId::of(peer), std::move(peer));
    }
  }

  Times now() const { return {now_us, kWallUs + static_cast<int64_t>(now_us)}; }
  SimRandom& random() { return random_; }

  // After any call of node.kad.
  void drain(Node& node) {
    if (!node.alive) return;
    const uint64_t wake_us = node.kad->step(now());
    while (auto request = node.kad->next_request()) send(node, std::move(*request));
    while (node.kad->next_cancelled()) {
    }
    while (auto event = node.kad->next_event()) {
      if (on_event) on_event(node, *event);
    }
    if (wake_us < node.wake_us || node.wake_us <= now_us) {
      node.wake_us = std::max(wake_us, now_us + 1);
      if (wake_us != kNever) push({node.wake_us, 0, Event::Kind::wake, node.index, node.index, 0, {}, {}});
    }
  }

  void at(uint64_t time_us, std::function<void()> what) {
    Event event{std::max(time_us, now_us), 0, Event::Kind::call, 0, 0, 0, {}, {}};
    event.call = std::make_unique<std::function<void()>>(std::move(what));
    push(std::move(event));
  }

  // True when `done` stopped it.
  bool run(
      uint64_t for_us, const std::function<bool()>& done = [] { return false; }) {
    const uint64_t until_us = now_us + for_us;
    while (!done()) {
      if (events_.empty() || events_.front().time_us > until_us) {
        now_us = until_us;
        return false;
      }
      std::pop_heap(events_.begin(), events_.end(), Later());
      Event event = std::move(events_.back());
      events_.pop_back();
      now_us = event.time_us;
      handle(event);
    }
    return true;
  }

  // Draws what it takes to answer: the round trip between two.
  uint64_t rtt_us(Index a, Index b) const {
    uint64_t word = settings_.seed * 0x9e3779b97f4a7c15u + (uint64_t{std::min(a, b)} << 32) + std::max(a, b);
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    const double u = static_cast<double>((word ^ (word >> 31)) >> 11) / static_cast<double>(uint64_t{1} << 53);
    return settings_.rtt_least_us + static_cast<uint64_t>(static_cast<double>(settings_.rtt_spread_us) * u * u);
  }

  uint64_t now_us = 1'000'000;
  uint64_t messages = 0;  // requests and answers, as sent
  uint64_t dials = 0;
  std::vector<std::unique_ptr<Node>> nodes;
  discovery::KadValidators validators;
  std::function<void(Node&, const discovery::KadEvent&)> on_event;
  // Every address that is dialed.
  std::function<void(const Node&, const discovery::KadRequest&)> on_dial;

 private:
  struct Event {
    enum class Kind : uint8_t { wake, request, answer, refused, idle, call };
    uint64_t time_us = 0;
    uint64_t sequence = 0;
    Kind kind = Kind::wake;
    Index from = 0;
    Index to = 0;
    uint64_t request = 0;
    std::unique_ptr<discovery::KadMessage> message;
    std::unique_ptr<std::function<void()>> call;
    bool one_way = false;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.time_us != b.time_us ? a.time_us > b.time_us : a.sequence > b.sequence;
    }
  };

  static std::string key_of(const net::PeerId& peer) { return std::string(as_text(peer.multihash())); }

  void push(Event event) {
    event.sequence = ++sequence_;
    events_.push_back(std::move(event));
    std::push_heap(events_.begin(), events_.end(), Later());
  }

  // /ip4/A.B.C.D/udp/4001/quic-v1, no two alike.
  Bytes draw_address() {
    const auto number = static_cast<uint32_t>(++addresses_);
    // Neighbours in the count are in different subnets.
    const uint32_t mixed = number * 2654435761u;
    const uint32_t ip = (20u << 24) + (mixed % (64u << 24));
    return {4,
            static_cast<uint8_t>(ip >> 24),
            static_cast<uint8_t>(ip >> 16),
            static_cast<uint8_t>(ip >> 8),
            static_cast<uint8_t>(ip),
            0x91,
            0x02,
            0x0f,
            0xa1,
            0xcd,
            0x03};
  }

  uint64_t half(Index a, Index b) {
    const uint64_t rtt = rtt_us(a, b);
    return rtt / 2 + random_.below(rtt / 20 + 1);
  }
  bool lost() { return settings_.lost_permille > 0 && random_.below(1000) < settings_.lost_permille; }

  bool connected(const Node& node, Index other) const {
    const auto found = node.connections.find(other);
    return found != node.connections.end() && nodes[other]->alive;
  }

  void send(Node& node, discovery::KadRequest request) {
    ++messages;
    ++node.sent;
    const auto found = by_peer_.find(key_of(request.peer));
    Node* other = found == by_peer_.end() ? nullptr : nodes[found->second].get();
    const bool there = node.connections.contains(other == nullptr ? kNobody : other->index);
    if (!there) {
      ++dials;
      ++node.dials;
      if (on_dial) on_dial(node, request);
    }
    if (other == nullptr) return;  // an invention: its address is nobody's
    // Who dials a wrong address finds nobody there.
    const bool right = std::any_of(request.addresses.begin(), request.addresses.end(),
                                   [&](const Bytes& a) { return equal(a, other->address); });
    if (!there && !right) return;
    uint64_t delay_us = half(node.index, other->index);
    if (!there) delay_us += rtt_us(node.index, other->index);
    if (there) node.connections[other->index] = now_us;
    if (lost()) return;
    Event event{now_us + delay_us, 0, Event::Kind::request, node.index, other->index, request.id, {}, {}};
    event.message = std::make_unique<discovery::KadMessage>(std::move(request.message));
    event.one_way = request.one_way;
    push(std::move(event));
  }

  void connect(Node& from, Node& to) {
    for (Node* side : {&from, &to}) {
      Node& other = side == &from ? to : from;
      side->connections[other.index] = now_us;
      discovery::KadPeerFacts facts;
      facts.peer = other.peer;
      facts.server = other.kind != Kind::honest || other.kad->is_server();
      facts.remote = other.address;
      facts.incoming = side == &to;
      facts.addresses = other.addresses();
      if (settings_.identify_records) facts.record = other.first_record(now());
      if (side->kad) side->kad->on_peer(facts, now());
      if (settings_.connection_idle_us != kNever) {
        push({now_us + settings_.connection_idle_us, 0, Event::Kind::idle, side->index, other.index, 0, {}, {}});
      }
      if (side->connections.size() > settings_.connections_max) trim(*side, other.index);
    }
  }

  // The connection that was not used for longest.
  void trim(Node& node, Index but) {
    auto oldest = node.connections.end();
    for (auto at = node.connections.begin(); at != node.connections.end(); ++at) {
      if (at->first == but) continue;
      if (oldest == node.connections.end() || at->second < oldest->second) oldest = at;
    }
    Node& other = *nodes[oldest->first];
    node.connections.erase(oldest);
    if (node.kad) node.kad->on_disconnected(other.peer, false);
    if (other.alive && other.connections.erase(node.index) > 0) other.kad->on_disconnected(node.peer, false);
  }

  void handle(Event& event) {
    Node& to = *nodes[event.to];
    switch (event.kind) {
      case Event::Kind::call:
        (*event.call)();
        break;
      case Event::Kind::wake:
        if (to.alive && to.wake_us == event.time_us) drain(to);
        break;
      case Event::Kind::request:
        on_request(event, *nodes[event.from], to);
        break;
      case Event::Kind::answer:
      case Event::Kind::refused:
        if (!to.alive) break;
        if (event.kind == Event::Kind::answer) {
          to.kad->on_answer(event.request, std::move(*event.message), nodes[event.from]->address, true, now());
        } else {
          to.kad->on_failed(event.request, fail(Code::unsupported), now());
        }
        drain(to);
        break;
      case Event::Kind::idle:
        on_idle(event);
        break;
    }
  }

  void on_idle(const Event& event) {
    Node& node = *nodes[event.from];
    const auto found = node.connections.find(event.to);
    if (!node.alive || found == node.connections.end()) return;
    const bool lives = nodes[event.to]->alive;
    const bool kept = settings_.connection_idle_us == kNever;
    const uint64_t ends_us = kept ? kNever : found->second + settings_.connection_idle_us;
    if (lives && kept) return;
    if (lives && ends_us > now_us) {
      push({ends_us, 0, Event::Kind::idle, event.from, event.to, 0, {}, {}});
      return;
    }
    node.connections.erase(found);
    node.kad->on_disconnected(nodes[event.to]->peer, !lives);
    drain(node);
  }

  void on_request(Event& event, Node& from, Node& to) {
    if (!to.alive || !from.alive || to.kind == Kind::silent) return;
    const bool fresh = !to.connections.contains(from.index);
    if (fresh) connect(from, to);
    to.connections[from.index] = now_us;
    std::optional<discovery::KadMessage> answer;
    bool refused = false;
    if (to.kind == Kind::colluding) {
      answer = lie(to, *event.message);
    } else {
      auto served = to.kad->serve(from.peer, from.address, *event.message, now());
      refused = !served.ok();
      if (!refused) answer = std::move(*served);
    }
    if (fresh) drain(from);
    drain(to);
    if (refused || answer || event.one_way) ++messages;
    if (event.one_way) --messages;  // its end is no message
    if (!answer && !event.one_way && !refused) return;
    if (lost()) return;
    ++to.sent;
    Event back{now_us + half(from.index, to.index),
               0,
               refused ? Event::Kind::refused : Event::Kind::answer,
               to.index,
               from.index,
               event.request,
               {},
               {}};
    back.message = std::make_unique<discovery::KadMessage>(answer ? std::move(*answer) : discovery::KadMessage());
    push(std::move(back));
  }

  discovery::KadMessage lie(const Node& liar, const discovery::KadMessage& request) {
    discovery::KadMessage answer;
    answer.type = request.type;
    answer.key = request.key;
    if (request.type == discovery::KadType::put_value) answer.record = request.record;  // and forgets it
    const discovery::KadId target = discovery::place_of_key(request.key);
    if (const auto peer = net::PeerId::from_multihash(request.key)) {
      answer.closer.push_back({*peer, {liar.address}, discovery::KadLink::connected, {}});
    }
    std::vector<std::pair<discovery::KadId, Index>> near;
    near.reserve(colluders_.size());
    for (const Index at : colluders_) {
      if (at != liar.index) near.emplace_back(discovery::KadId::of(nodes[at]->peer).distance(target), at);
    }
    const size_t count = std::min<size_t>(10, near.size());
    std::partial_sort(near.begin(), near.begin() + static_cast<ptrdiff_t>(count), near.end());
    for (size_t i = 0; i < count; ++i) {
      const Node& like = *nodes[near[i].second];
      answer.closer.push_back({like.peer, {like.address}, discovery::KadLink::connected, {}});
    }
    auto after = inventions_.lower_bound(target);
    for (size_t i = 0; i < 9 && after != inventions_.end(); ++i, ++after) {
      Bytes address = victim;
      // Elsewhere for each, unless all are to hit one.
      if (!one_victim) std::copy_n(after->second.multihash().end() - 3, 3, address.begin() + 2);
      answer.closer.push_back({after->second, {std::move(address)}, discovery::KadLink::connected, {}});
    }
    return answer;
  }

 public:
  Bytes victim = {4, 9, 9, 9, 9, 6, 0, 80};  // /ip4/9.9.9.9/tcp/80: where inventions are said to be
  bool one_victim = false;

 private:
  KadWorldSettings settings_;
  SimRandom random_;
  std::vector<Event> events_;  // a heap
  uint64_t sequence_ = 0;
  uint64_t addresses_ = 0;
  std::unordered_map<std::string, Index> by_peer_;
  std::vector<Index> colluders_;
  std::map<discovery::KadId, net::PeerId> inventions_;
};

}  // namespace sereus::sim
