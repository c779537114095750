// Two yamux sessions joined by byte pipes in virtual time: bytes take a while, arrive in drawn parts, and a pipe that is
// full takes no more.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/net/yamux.h"
#include "tests/support/test_random.h"

namespace sereus::test {

struct YamuxEnd {
  YamuxEnd(net::YamuxRole role, const net::YamuxOptions& options) : session(role, options, 0) {}

  net::YamuxSession session;
  std::deque<std::pair<uint64_t, Bytes>> outgoing;  // when it arrives, and what
  size_t in_flight = 0;
  uint64_t sent = 0;
  bool cut = false;  // takes nothing out of its session
  std::set<uint32_t> readable, writable;
  std::vector<net::YamuxClosed> closed;
  std::vector<net::YamuxPong> pongs;
  std::optional<net::YamuxEnded> ended;
  size_t received_most = 0;
  size_t unsent_most = 0;

  void take_events() {
    while (const auto event = session.next_event()) {
      if (const auto* item = std::get_if<net::YamuxReadable>(&*event)) readable.insert(item->stream);
      if (const auto* item = std::get_if<net::YamuxWritable>(&*event)) writable.insert(item->stream);
      if (const auto* item = std::get_if<net::YamuxClosed>(&*event)) closed.push_back(*item);
      if (const auto* item = std::get_if<net::YamuxPong>(&*event)) pongs.push_back(*item);
      if (const auto* item = std::get_if<net::YamuxEnded>(&*event)) ended = *item;
    }
    received_most = std::max(received_most, session.received_bytes());
    unsent_most = std::max(unsent_most, session.unsent_bytes());
  }
};

struct YamuxLink {
  explicit YamuxLink(uint64_t seed = 1, const net::YamuxOptions& client_options = {},
                     const net::YamuxOptions& server_options = {})
      : random(seed), client(net::YamuxRole::client, client_options), server(net::YamuxRole::server, server_options) {}

  // One turn: deliver what has arrived, run timers, take what is to be sent; then time goes on.
  void turn(uint64_t step_us = 100) {
    deliver(client, server);
    deliver(server, client);
    send(client);
    send(server);
    client.take_events();
    server.take_events();
    now_us += step_us;
  }
  // Until nothing is under way, or `turns` are over.
  void settle(size_t turns = 100'000) {
    for (size_t i = 0; i < turns; ++i) {
      turn();
      if (client.outgoing.empty() && server.outgoing.empty() && !client.session.wants_to_send() &&
          !server.session.wants_to_send()) {
        return;
      }
    }
  }
  // A stream of the client, taken by the server. 0 when it did not come to that.
  net::YamuxStreamId open() {
    const auto id = client.session.open(now_us);
    if (!id.ok()) return 0;
    for (int i = 0; i < 1000; ++i) {
      turn();
      if (const auto taken = server.session.accept()) return *taken == *id ? *id : 0;
    }
    return 0;
  }

  TestRandom random;
  YamuxEnd client, server;
  uint64_t now_us = 0;
  uint64_t delay_us = 500;
  size_t pipe_max = 1 << 20;  // bytes under way in a direction
  size_t part_max = 200'000;  // of what arrives at once

 private:
  void deliver(YamuxEnd& from, YamuxEnd& to) {
    while (!from.outgoing.empty() && from.outgoing.front().first <= now_us) {
      const Bytes bytes = std::move(from.outgoing.front().second);
      from.outgoing.pop_front();
      from.in_flight -= bytes.size();
      ByteView rest = bytes;
      while (!rest.empty()) {
        const size_t count = std::min<size_t>(rest.size(), 1 + random.below(part_max));
        (void)to.session.feed(rest.first(count), now_us).ok();
        rest = rest.subspan(count);
      }
    }
  }
  void send(YamuxEnd& end) {
    end.session.step(now_us);
    if (end.cut || end.in_flight >= pipe_max) return;
    Bytes out;
    end.session.produce(out, pipe_max - end.in_flight, now_us);
    if (out.empty()) return;
    end.in_flight += out.size();
    end.sent += out.size();
    end.outgoing.emplace_back(now_us + delay_us, std::move(out));
  }
};

}  // namespace sereus::test
