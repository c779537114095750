// Two hosts on the simulated network, an echo service and transfers that check every byte.
#pragma once

#include <map>
#include <string>

#include "tests/support/net_world.h"

namespace sereus::test {

using net::Connected;
using net::ConnectionId;
using net::DialFailed;
using net::Disconnected;
using net::HostEvent;
using net::QuicSettings;
using net::StreamClosed;
using net::StreamId;
using net::StreamOpened;
using net::StreamReadable;
using net::StreamWritable;

inline constexpr uint64_t kSecond = kMicrosPerSecond;
inline constexpr std::string_view kEcho = "/echo/1.0.0";

// A client (0) and a server (1) that listens and speaks kEcho.
struct Pair {
  explicit Pair(uint64_t seed = 1, const QuicSettings& client_settings = {}, const QuicSettings& server_settings = {})
      : world(seed), client(world.add(client_settings)), server(world.add(server_settings)) {
    address = world.listen(server);
    server.host->set_protocols({std::string(kEcho)});
  }
  // Dials and waits for both sides; 0 when it failed.
  ConnectionId connect() {
    const auto dial = client.host->dial(address, server.host->peer_id());
    if (!dial.ok()) return 0;
    world.run(20 * kSecond, [&] {
      return (find_event<Connected>(client) && find_event<Connected>(server)) || find_event<DialFailed>(client);
    });
    const auto* connected = find_event<Connected>(client);
    return connected == nullptr ? 0 : connected->connection;
  }
  NetWorld world;
  NetWorld::Node& client;
  NetWorld::Node& server;
  std::string address;
};

// Answers every stream with what it reads, and finishes when the peer did.
struct Echo {
  explicit Echo(NetWorld::Node& echo_node) : node(echo_node) {}
  void pump(StreamId id) {
    Bytes buffer(64 << 10);
    for (;;) {
      if (auto& rest = pending[id]; !rest.empty()) {
        const auto taken = node.host->write(id, rest);
        if (!taken.ok()) return;
        rest.erase(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(*taken));
        if (!rest.empty()) return;
      }
      const auto got = node.host->read(id, buffer);
      if (!got.ok()) return;
      pending[id].assign(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(got->size));
      if (got->size > 0) continue;
      if (got->finished) node.host->finish(id);
      return;
    }
  }
  void on_event(const HostEvent& event) {
    if (const auto* readable = std::get_if<StreamReadable>(&event)) pump(readable->stream);
    if (const auto* writable = std::get_if<StreamWritable>(&event)) pump(writable->stream);
  }
  NetWorld::Node& node;
  std::map<StreamId, Bytes> pending;
};

inline Bytes pattern(size_t size, uint64_t seed) {
  Bytes out(size);
  SeededRandom random(seed);
  random.fill(out);
  return out;
}

// Sends `data` on a stream, finishes, and collects what comes back.
struct Transfer {
  Transfer(NetWorld::Node& transfer_node, StreamId stream_id, Bytes content)
      : node(transfer_node), stream(stream_id), data(std::move(content)) {}
  void pump() {
    while (sent < data.size()) {
      const auto taken = node.host->write(stream, ByteView(data).subspan(sent));
      if (!taken.ok() || *taken == 0) break;
      sent += *taken;
    }
    if (sent == data.size() && !finished) {
      node.host->finish(stream);
      finished = true;
    }
    Bytes buffer(64 << 10);
    while (!done) {
      const auto got = node.host->read(stream, buffer);
      if (!got.ok()) break;
      append(received, ByteView(buffer).first(got->size));
      done = got->finished;
      if (got->size < buffer.size()) break;
    }
  }
  NetWorld::Node& node;
  StreamId stream;
  Bytes data;
  Bytes received;
  size_t sent = 0;
  bool finished = false;
  bool done = false;
};

}  // namespace sereus::test
