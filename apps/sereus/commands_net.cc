// listen, ping, identify, echo, perf: any libp2p host, without a data folder.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <deque>

#include "apps/sereus/commands.h"
#include "apps/sereus/net_peer.h"
#include "apps/sereus/net_services.h"
#include "apps/sereus/signals.h"
#include "apps/sereus/text.h"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Three digits are what such a measurement is worth.
double rounded(double value) {
  if (value <= 0) return 0;
  const double scale = std::pow(10.0, 3 - std::ceil(std::log10(value)));
  return std::round(value * scale) / scale;
}

double mib_per_second(uint64_t bytes, double seconds) {
  return seconds > 0 ? rounded(static_cast<double>(bytes) / 1048576.0 / seconds) : 0;
}

std::string rate_text(uint64_t bytes, double seconds) {
  return human_size(bytes) + " in " + std::to_string(rounded(seconds)).substr(0, 6) + " s, " +
         human_size(static_cast<uint64_t>(mib_per_second(bytes, seconds) * 1048576.0)) + "/s";
}

// ---- listen -----------------------------------------------------------------------------------------------------------

struct ListenOptions : HostOptions {
  std::vector<std::string> listen;
  bool echo = false;
};

void show_connection(Session& session, const sereus_connection_event& event) {
  const bool gone = event.what == SEREUS_CONNECTION_DISCONNECTED;
  const bool identified = event.what == SEREUS_CONNECTION_IDENTIFIED;
  Json json{{"event", gone         ? "disconnected"
                      : identified ? "identified"
                                   : "connected"},
            {"peer", text(event.peer)},
            {"address", text(event.address)}};
  std::string line = short_id(text(event.peer)) +
                     (gone         ? " disconnected"
                      : identified ? " identified"
                                   : " connected") +
                     ": " + printable(text(event.address));
  if (gone && event.status != SEREUS_OK) {
    json["reason"] = text(event.detail);
    line += " (" + printable(text(event.detail)) + ")";
  }
  session.out.result(json, line);
  std::fflush(stdout);
}

int listen(Session& session, const ListenOptions& options) {
  std::vector<std::string> addresses = options.listen;
  if (addresses.empty()) addresses = {"/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0"};
  const Interruptible interruptible;
  NetPeer peer(session, options, addresses);
  NetServices services(peer);
  if (options.echo) services.serve();
  Json addrs = Json::array();
  std::string shown = "This is " + peer.peer() + ", listening on";
  for (const std::string& address : peer.addresses()) {
    addrs.push_back(address);
    shown += "\n  " + address;
  }
  if (!session.out.json && !session.out.quiet) shown += "\nCtrl-C ends it.";
  session.out.result(Json{{"event", "listening"}, {"peer", peer.peer()}, {"addrs", addrs}}, shown);
  std::fflush(stdout);
  peer.on_event([&](const sereus_event* event) {
    if (services.on_event(event)) return;
    if (const auto* connection = sereus_event_connection(event)) show_connection(session, *connection);
  });
  while (!interrupted()) peer.turn();
  return kExitOk;
}

// ---- ping -------------------------------------------------------------------------------------------------------------

struct TargetOptions : HostOptions {
  std::string address;
};

struct PingOptions : TargetOptions {
  uint32_t count = 5;
  double interval_s = 0;
};

int ping(Session& session, const PingOptions& options) {
  const Interruptible interruptible;
  NetPeer self(session, options, {});
  const NetPeer::Connection to = self.dial(options.address);
  std::vector<uint64_t> times;
  for (uint32_t i = 1; i <= options.count && !interrupted(); ++i) {
    const Done done = self.run("ping " + to.peer, [&](sereus_id* op) { return sereus_ping(self.node(), to.id, op); });
    times.push_back(done.count);
    session.out.result(Json{{"event", "ping"}, {"peer", to.peer}, {"n", i}, {"rtt_us", done.count}},
                       short_id(to.peer) + "  " + std::to_string(i) + "  " +
                           std::to_string(rounded(static_cast<double>(done.count) / 1000.0)).substr(0, 6) + " ms");
    std::fflush(stdout);
    const auto until = Clock::now() + std::chrono::milliseconds(int64_t(options.interval_s * 1000));
    while (i < options.count && !interrupted() && Clock::now() < until) self.turn(10);
  }
  if (times.empty()) return kExitFailure;
  std::sort(times.begin(), times.end());
  const uint64_t median = times[times.size() / 2];
  session.out.result(Json{{"event", "summary"},
                          {"peer", to.peer},
                          {"n", times.size()},
                          {"min_us", times.front()},
                          {"median_us", median},
                          {"max_us", times.back()}},
                     count(times.size(), "ping") + ": min " + std::to_string(times.front()) + " µs, median " +
                         std::to_string(median) + " µs, max " + std::to_string(times.back()) + " µs");
  return kExitOk;
}

// ---- identify ---------------------------------------------------------------------------------------------------------

int identify(Session& session, const TargetOptions& options) {
  NetPeer self(session, options, {});
  const NetPeer::Connection to = self.dial(options.address);
  self.run("identify " + to.peer, [&](sereus_id* op) { return sereus_identify(self.node(), to.id, op); });
  sereus_rows* raw = nullptr;
  check("read what the peer said", sereus_connections(self.node(), &raw));
  const Rows rows(raw);
  const sereus_connection_info* info = sereus_rows_connection(raw, 0);
  if (info == nullptr || info->identified == 0) throw status_failure("identify " + to.peer, SEREUS_E_CLOSED);
  const Json addrs = lines_to_json(info->addresses);
  const Json protocols = lines_to_json(info->protocols);
  std::string shown = "Peer       " + to.peer + "\nAgent      " + printable(text(info->agent)) + "\nProtocol   " +
                      printable(text(info->protocol_version)) + "\nObserved   " + printable(text(info->observed)) +
                      "\nAddresses  " + (info->signed_record != 0 ? "signed by the peer" : "not signed");
  for (const auto& address : addrs) shown += "\n  " + printable(address.get<std::string>());
  shown += "\nProtocols";
  for (const auto& protocol : protocols) shown += "\n  " + printable(protocol.get<std::string>());
  session.out.result(Json{{"peer", to.peer},
                          {"agent", text(info->agent)},
                          {"protocol_version", text(info->protocol_version)},
                          {"observed", text(info->observed)},
                          {"signed", info->signed_record != 0},
                          {"addrs", addrs},
                          {"protocols", protocols}},
                     shown);
  return kExitOk;
}

// ---- echo -------------------------------------------------------------------------------------------------------------

struct EchoOptions : TargetOptions {
  uint64_t bytes = 1 << 20;
  uint32_t streams = 1;
};

int echo(Session& session, const EchoOptions& options) {
  const uint64_t total = options.bytes;
  NetPeer self(session, options, {});
  const NetPeer::Connection to = self.dial(options.address);
  Progress progress(session.out, "echo", total * options.streams);
  const auto begin = Clock::now();
  std::deque<EchoClient> clients;
  for (uint32_t i = 0; i < options.streams; ++i) {
    clients.emplace_back(self, self.open_stream(to.id, kEchoProtocol), total, i);
  }
  for (EchoClient& client : clients) client.start();
  self.on_event([&](const sereus_event* event) {
    for (EchoClient& client : clients) client.on_event(event);
  });
  const auto done = [&] {
    return std::all_of(clients.begin(), clients.end(), [](const EchoClient& c) { return c.done(); });
  };
  while (!done()) {
    self.turn();
    uint64_t received = 0;
    for (const EchoClient& client : clients) received += client.received();
    progress.update(received);
  }
  progress.clear();
  const double seconds = seconds_since(begin);
  const uint64_t bytes = total * options.streams;
  session.out.result(Json{{"peer", to.peer},
                          {"bytes", bytes},
                          {"streams", options.streams},
                          {"seconds", rounded(seconds)},
                          {"mib_per_s", mib_per_second(bytes, seconds)},
                          {"verified", true}},
                     "Every byte came back: " + rate_text(bytes, seconds) + " each way");
  return kExitOk;
}

// ---- perf -------------------------------------------------------------------------------------------------------------

struct PerfOptions : TargetOptions {
  uint64_t up = 0;
  uint64_t down = 0;
};

int perf(Session& session, const PerfOptions& options) {
  const uint64_t up = options.up;
  const uint64_t down = options.down;
  if (up == 0 && down == 0) throw usage_failure("perf: nothing to measure", "give --up BYTES, --down BYTES or both");
  NetPeer self(session, options, {});
  const NetPeer::Connection to = self.dial(options.address);
  Progress progress(session.out, "perf", up + down);
  const PerfClient::Result result =
      PerfClient(self, self.open_stream(to.id, kPerfProtocol), up, down).run([&](uint64_t moved) {
        progress.update(moved);
      });
  progress.clear();
  Json json{{"peer", to.peer}, {"up", up}, {"down", down}};
  std::string shown;
  if (up > 0) {
    json["up_seconds"] = rounded(result.up_seconds);
    json["up_mib_per_s"] = mib_per_second(up, result.up_seconds);
    shown = "Up    " + rate_text(up, result.up_seconds);
  }
  if (down > 0) {
    json["down_seconds"] = rounded(result.down_seconds);
    json["down_mib_per_s"] = mib_per_second(down, result.down_seconds);
    shown += (shown.empty() ? "" : "\n") + ("Down  " + rate_text(down, result.down_seconds));
  }
  session.out.result(json, shown);
  return kExitOk;
}

void add_target(CLI::App* command, TargetOptions& options) {
  command->add_option("MULTIADDR", options.address, "Where it listens, ending in /p2p/<peer id>")->required();
  add_host_options(command, options, HostRole::dials);
}

}  // namespace

void add_net_commands(CLI::App& app, Session& session) {
  const auto [listening, l] = add_command<ListenOptions>(app, session, kGroupNetwork, "listen",
                                                         "Be a libp2p host until Ctrl-C, for others to dial", listen);
  listening->add_option("--listen", l->listen, "Multiaddr to listen on, repeatable (default: QUIC and TCP, any port)")
      ->allow_extra_args(false)
      ->type_name("MULTIADDR");
  listening->add_flag("--echo", l->echo, "Serve /echo/1.0.0 and /perf/1.0.0");
  add_host_options(listening, *l, HostRole::listens);
  const auto [pinging, p] =
      add_command<PingOptions>(app, session, kGroupNetwork, "ping", "Measure round trips to a libp2p host", ping);
  add_target(pinging, *p);
  pinging->add_option("-n,--count", p->count, "How many (default: 5)")->check(CLI::Range(1u, 1000000u));
  pinging->add_option("--interval", p->interval_s, "Seconds between them (default: none)")
      ->check(CLI::NonNegativeNumber);
  const auto [identifying, i] =
      add_command<TargetOptions>(app, session, kGroupNetwork, "identify", "Ask a libp2p host what it is", identify);
  add_target(identifying, *i);
  const auto [echoing, e] = add_command<EchoOptions>(app, session, kGroupNetwork, "echo",
                                                     "Send bytes to /echo/1.0.0 and compare what comes back", echo);
  add_target(echoing, *e);
  echoing->add_option("--bytes", e->bytes, "How many, like 1000 or 256MiB (default: 1MiB)")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
  echoing->add_option("--streams", e->streams, "At once, each with so many bytes (default: 1)")
      ->check(CLI::Range(1u, 1000u));
  const auto [measuring, m] =
      add_command<PerfOptions>(app, session, kGroupNetwork, "perf", "Measure throughput with /perf/1.0.0", perf);
  add_target(measuring, *m);
  measuring->add_option("--up", m->up, "Bytes to send, like 256MiB")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
  measuring->add_option("--down", m->down, "Bytes to receive")->type_name("BYTES")->transform(CLI::AsSizeValue(false));
}

}  // namespace cli
