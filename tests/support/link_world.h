// TCP hosts on simulated links in virtual time: bytes take a while, arrive in pieces of drawn sizes, and a full pipe takes
// no more.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/net/tcp_host.h"
#include "tests/support/net_world.h"

namespace sereus::test {

class LinkWorld;

class SimLinks final : public Links {
 public:
  SimLinks(LinkWorld& world, size_t node) : world_(world), node_(node) {}
  Result<Listening> listen(const IpEndpoint& local) override;
  void stop_listening(ListenerId listener) override;
  Result<LinkId> connect(const IpEndpoint& remote) override;
  size_t write(LinkId link, ByteView data) override;
  ReadResult read(LinkId link, ByteSpan out) override;
  void finish(LinkId link) override;
  void close(LinkId link) override;

 private:
  LinkWorld& world_;
  size_t node_;
};

class LinkWorld {
 public:
  static constexpr size_t kPipeBytes = 256 << 10;
  static constexpr uint64_t kDelayUs = 200;

  struct Node {
    std::unique_ptr<SimLinks> links;
    std::unique_ptr<SeededRandom> random;
    std::unique_ptr<net::TcpHost> host;
    std::deque<net::HostEvent> events;
    uint64_t wake_us = 0;
    bool frozen = false;  // does not step
    bool drained = true;  // its application takes events
  };

  explicit LinkWorld(uint64_t seed) : seed_(seed), random_(seed) {}
  ~LinkWorld() {
    for (auto& node : nodes) node->host.reset();
  }

  Node& add(const net::TcpSettings& settings = {}, const net::TlsIdentity* identity = nullptr) {
    auto node = std::make_unique<Node>();
    node->links = std::make_unique<SimLinks>(*this, nodes.size());
    node->random = std::make_unique<SeededRandom>(seed_ * 1000 + nodes.size() + 1);
    const auto key = NetWorld::key(static_cast<uint8_t>(nodes.size() + 1));
    node->host = net::TcpHost::create(key, *node->random, nullptr, settings, identity).value();
    node->host->set_links(*node->links);
    nodes.push_back(std::move(node));
    return *nodes.back();
  }

  Times now() const { return {now_us, 1'767'225'600'000'000 + static_cast<int64_t>(now_us)}; }

  void step(Node& node) {
    if (node.frozen) return;
    node.wake_us = node.host->step(now());
    while (node.drained) {
      auto event = node.host->next_event();
      if (!event) break;
      if (on_event) on_event(node, *event);
      node.events.push_back(std::move(*event));
    }
  }
  // Runs until `done` or for `for_us` of virtual time; returns done().
  bool run(
      uint64_t for_us, const std::function<bool()>& done = [] { return false; }) {
    const uint64_t limit = now_us + for_us;
    for (;;) {
      for (auto& node : nodes) step(*node);
      if (done()) return true;
      for (auto& node : nodes) step(*node);
      uint64_t next = wire_.empty() ? kNever : wire_.begin()->first.first;
      for (auto& node : nodes) {
        if (!node->frozen) next = std::min(next, node->wake_us);
      }
      if (next == kNever || next > limit) {
        now_us = limit;
        return done();
      }
      now_us = std::max(next, now_us + 1);
      while (!wire_.empty() && wire_.begin()->first.first <= now_us) {
        const auto deliver = std::move(wire_.begin()->second);
        wire_.erase(wire_.begin());
        deliver();
      }
    }
  }

  // A link that belongs to nobody's host: hostile bytes. What arrives is in `received`.
  LinkId raw_connect(const IpEndpoint& remote);
  size_t raw_write(LinkId link, ByteView data) { return write(link, data); }
  bool is_closed(LinkId link) const { return !ends_.contains(link); }
  // Turns one bit of the `offset`th byte that `link` sends from now on.
  void spoil(LinkId link, uint64_t offset) { ends_.at(link).spoil_at = ends_.at(link).sent + offset; }
  // All links of a world, in the order they were made: the connecting end is before the accepting one.
  std::vector<LinkId> links() const {
    std::vector<LinkId> out;
    for (const auto& [id, end] : ends_) out.push_back(id);
    return out;
  }

  uint64_t now_us = 1'000'000;
  std::vector<std::unique_ptr<Node>> nodes;
  std::function<void(Node&, const net::HostEvent&)> on_event;
  std::function<void(LinkId, ByteView)> trace;  // of what a link sends

 private:
  friend class SimLinks;
  struct End {
    std::optional<size_t> node;  // none: raw
    LinkId other = 0;
    bool connected = false;
    Bytes arrived;
    size_t under_way = 0;  // sent by the other end and not read
    bool ended = false;    // the other end's end has arrived
    bool readable_due = true;
    bool writable_due = false;
    uint64_t sent = 0;
    std::optional<uint64_t> spoil_at;
  };

  void later(uint64_t delay_us, std::function<void()> what) {
    wire_.emplace(std::pair(now_us + delay_us, ++sequence_), std::move(what));
  }
  LinkEvents* events_of(const End& end) { return end.node ? nodes[*end.node]->host.get() : nullptr; }

  std::pair<LinkId, LinkId> make_pair(std::optional<size_t> from, size_t to) {
    const LinkId a = ++last_;
    const LinkId b = ++last_;
    ends_[a] = End{from, b};
    ends_[b] = End{to, a};
    return {a, b};
  }

  size_t write(LinkId id, ByteView data) {
    const auto at = ends_.find(id);
    if (at == ends_.end()) return 0;
    const auto other = ends_.find(at->second.other);
    if (other == ends_.end()) return data.size();  // into the void; the reset is on its way
    const size_t taken = std::min(data.size(), kPipeBytes - std::min(kPipeBytes, other->second.under_way));
    if (taken < data.size()) at->second.writable_due = true;
    other->second.under_way += taken;
    Bytes sent = to_bytes(data.first(taken));
    if (auto& spoil = at->second.spoil_at; spoil && *spoil < at->second.sent + taken) {
      sent[*spoil - at->second.sent] ^= 1;
      spoil.reset();
    }
    at->second.sent += taken;
    if (trace && taken > 0) trace(id, sent);
    // In pieces, one behind the other.
    for (size_t begin = 0; begin < sent.size();) {
      const size_t size = std::min<size_t>(sent.size() - begin, 1 + random_.below(30'000));
      Bytes piece(sent.begin() + static_cast<ptrdiff_t>(begin), sent.begin() + static_cast<ptrdiff_t>(begin + size));
      later(kDelayUs, [this, to = at->second.other, piece] { arrive(to, piece); });
      begin += size;
    }
    return taken;
  }

  void arrive(LinkId to, const Bytes& piece) {
    const auto at = ends_.find(to);
    if (at == ends_.end()) return;
    append(at->second.arrived, piece);
    tell_readable(to, at->second);
  }
  void tell_readable(LinkId id, End& end) {
    if (!end.readable_due) return;
    end.readable_due = false;
    if (LinkEvents* events = events_of(end)) events->on_readable(id);
  }

  Links::ReadResult read(LinkId id, ByteSpan out) {
    const auto at = ends_.find(id);
    if (at == ends_.end()) return {};
    End& end = at->second;
    Links::ReadResult result;
    result.size = std::min(out.size(), end.arrived.size());
    std::copy_n(end.arrived.begin(), result.size, out.begin());
    end.arrived.erase(end.arrived.begin(), end.arrived.begin() + static_cast<ptrdiff_t>(result.size));
    end.under_way -= result.size;
    result.ended = end.ended && end.arrived.empty();
    end.readable_due = result.size < out.size() && !result.ended;
    const auto other = ends_.find(end.other);
    if (result.size > 0 && other != ends_.end() && std::exchange(other->second.writable_due, false)) {
      later(kDelayUs, [this, to = end.other] {
        const auto writer = ends_.find(to);
        if (writer == ends_.end()) return;
        if (LinkEvents* events = events_of(writer->second)) events->on_writable(to);
      });
    }
    return result;
  }

  void finish(LinkId id) {
    const auto at = ends_.find(id);
    if (at == ends_.end()) return;
    later(kDelayUs, [this, to = at->second.other] {
      const auto other = ends_.find(to);
      if (other == ends_.end()) return;
      other->second.ended = true;
      tell_readable(to, other->second);
    });
  }

  void close(LinkId id) {
    const auto at = ends_.find(id);
    if (at == ends_.end()) return;
    const LinkId other = at->second.other;
    ends_.erase(at);
    // As TCP: what was sent is delivered, and then the end; the other side finds out when it writes.
    later(kDelayUs, [this, other] {
      const auto end = ends_.find(other);
      if (end == ends_.end()) return;
      end->second.ended = true;
      tell_readable(other, end->second);
    });
  }

  uint64_t seed_;
  SeededRandom random_;
  uint64_t sequence_ = 0;
  uint64_t last_ = 0;
  std::map<LinkId, End> ends_;
  std::map<ListenerId, std::pair<size_t, IpEndpoint>> listeners_;
  std::map<std::pair<uint64_t, uint64_t>, std::function<void()>> wire_;

  std::optional<std::pair<ListenerId, size_t>> listener_at(const IpEndpoint& endpoint) {
    for (const auto& [id, listener] : listeners_) {
      if (listener.second == endpoint) return std::pair(id, listener.first);
    }
    return std::nullopt;
  }
};

inline Result<Links::Listening> SimLinks::listen(const IpEndpoint& local) {
  const ListenerId id = ++world_.last_;
  world_.listeners_[id] = {node_, local};
  return Listening{id, local};
}
inline void SimLinks::stop_listening(ListenerId listener) { world_.listeners_.erase(listener); }

inline Result<LinkId> SimLinks::connect(const IpEndpoint& remote) {
  const auto listener = world_.listener_at(remote);
  if (!listener) return fail(Code::unreachable, "nobody listens there");
  const auto ends = world_.make_pair(node_, listener->second);
  const LinkId from = ends.first;
  const LinkId to = ends.second;
  const size_t there = listener->second;
  const size_t here = node_;
  world_.later(LinkWorld::kDelayUs, [this, from, to, here, there, id = listener->first, remote] {
    if (!world_.ends_.contains(from)) return;
    world_.nodes[there]->host->on_accepted(id, to, remote, NetWorld::address(here, 40'000));
    world_.nodes[here]->host->on_connected(from, NetWorld::address(here, 40'000));
  });
  return from;
}
inline size_t SimLinks::write(LinkId link, ByteView data) { return world_.write(link, data); }
inline Links::ReadResult SimLinks::read(LinkId link, ByteSpan out) { return world_.read(link, out); }
inline void SimLinks::finish(LinkId link) { world_.finish(link); }
inline void SimLinks::close(LinkId link) { world_.close(link); }

inline LinkId LinkWorld::raw_connect(const IpEndpoint& remote) {
  const auto listener = listener_at(remote);
  const auto [from, to] = make_pair(std::nullopt, listener->second);
  nodes[listener->second]->host->on_accepted(listener->first, to, remote, NetWorld::address(9, 40'000));
  return from;
}

}  // namespace sereus::test
