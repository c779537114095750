// `sereus-bench net`: every transport over real sockets on the loopback interface, beside js-libp2p and bare sockets. Parts, for
// --only: stream, ping and handshake, each behind the name of a transport ("TCP+Noise stream"), and idle.

#include <wolfssl/options.h>

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wolfssl/wolfcrypt/coding.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "bench/bench.h"
#include "bench/js_peer.h"
#include "bench/net_side.h"
#include "bench/raw_net.h"
#include "bench/raw_streams.h"
#include "bench/support.h"
#include "core/net/limits.h"
#include "core/net/tls_certificate.h"
#include "drivers/posix/descriptor.h"
#include "drivers/posix/posix_times.h"

namespace sereus::bench {
namespace {

constexpr double kMiB = 1 << 20;
constexpr double kKiB = 1 << 10;
constexpr uint64_t kStreamBytes = uint64_t{1} << 30;
constexpr uint64_t kJsBytesMax = uint64_t{256} << 20;  // rates do not depend on it any more
// Bytes of --bytes for one of what the other parts count, so that a quick run is quick in all of them.
constexpr uint64_t kPingShare = 1 << 18;
constexpr uint64_t kHandshakeShare = 1 << 20;
constexpr uint64_t kIdleShare = 100'000;
constexpr uint64_t kPingsMax = 4'000;
constexpr uint64_t kHandshakesMax = 1'000;
constexpr uint64_t kIdleMax = 10'000;
constexpr size_t kHandshakesAtOnce = 8;
constexpr double kNoTarget = 0;

// The targets of issue 3, with their reasons in docs/performance.md.
constexpr double kQuicTarget = 1.2 * 260;  // MiB/s: ngtcp2's example on such a machine
constexpr double kJsTarget = 2;
constexpr double kTlsTarget = 0.6;
constexpr double kPingTarget = 100;  // microseconds
constexpr double kHandshakeTarget = 3;
constexpr double kIdleTarget = 400;

uint64_t scaled(const Options& options, uint64_t share, uint64_t least, uint64_t most) {
  return std::clamp(options.bytes / share, least, most);
}

// ---- Transports -----------------------------------------------------------------------------------------------------

enum class Security : uint8_t { quic, noise, tls };
struct Transport {
  const char* name;
  const char* listen;
  Security security;
  const char* js;  // bench.mjs's name; null where js-libp2p cannot
  bool secure_websocket = false;
};

constexpr std::array<Transport, 5> kTransports{{
    {"QUIC", kQuicListen, Security::quic, "quic-v1"},
    {"TCP+TLS", "/ip4/127.0.0.1/tcp/0", Security::tls, "tcp+tls+yamux"},
    {"TCP+Noise", "/ip4/127.0.0.1/tcp/0", Security::noise, "tcp+noise+yamux"},
    {"WS+Noise", "/ip4/127.0.0.1/tcp/0/ws", Security::noise, "ws+noise+yamux"},
    {"WSS+Noise", "/ip4/127.0.0.1/tcp/0/tls/ws", Security::noise, nullptr, true},
}};

Bytes to_pem(const char* label, ByteView der) {
  Bytes text(der.size() * 2 + 128);
  word32 size = static_cast<word32>(text.size());
  if (Base64_Encode(der.data(), static_cast<word32>(der.size()), text.data(), &size) != 0) {
    die(fail(Code::internal, "cannot encode a certificate"));
  }
  text.resize(size);
  Bytes out = to_bytes(std::string("-----BEGIN ") + label + "-----\n");
  append(out, text);
  append(out, to_bytes(std::string("-----END ") + label + "-----\n"));
  return out;
}

// A certificate of its own for the outer TLS of secure WebSocket, which nobody checks.
std::shared_ptr<net::TlsServerCertificate> web_certificate(Random& random) {
  const net::CertificateKey key = must(net::CertificateKey::generate(random));
  const Bytes certificate = must(key.certificate({}, random));
  auto out = std::make_shared<net::TlsServerCertificate>(random);
  must(out->load(to_pem("CERTIFICATE", certificate), to_pem("EC PRIVATE KEY", key.private_key().view())));
  return out;
}

struct Ends {
  explicit Ends(const Transport& transport) : server(side_settings(transport.listen)), client(side_settings("")) {
    if (transport.security != Security::quic) {
      const auto security = transport.security == Security::tls ? net::TcpSecurity::tls : net::TcpSecurity::noise;
      server.tcp.security = client.tcp.security = {security};
    }
    if (!transport.secure_websocket) return;
    server.tcp.websocket.certificate = web_certificate(random);
    client.tcp.websocket.trust = net::TlsTrust::in_everyone(random);
  }
  posix::PosixRandom random;
  SideSettings server;
  SideSettings client;
};

// ---- Streams and pings ----------------------------------------------------------------------------------------------

// What the same run gave without Sereus. Rates in MiB/s; 0: not measured.
struct Others {
  double udp = 0;
  double tcp = 0;
  double tls = 0;
  double ping = 0;  // microseconds, median
  std::map<std::string, JsFigures> js;
};

bool wanted(const Options& options, const Transport& transport, const char* part) {
  return options.wanted(std::string(transport.name) + " " + part);
}
bool wanted_of_any(const Options& options, const char* part) {
  return std::any_of(kTransports.begin(), kTransports.end(),
                     [&](const Transport& transport) { return wanted(options, transport, part); });
}

Others measure_others(const Options& options) {
  Others out;
  if (wanted_of_any(options, "stream")) {
    out.udp = raw_udp(net::kQuicSegmentMax, options.bytes, UdpCalls::segmented) / kMiB;
    out.tcp = raw_tcp(options.bytes) / kMiB;
    out.tls = raw_tls(options.bytes) / kMiB;
  }
  const uint64_t pings = scaled(options, kPingShare, 64, kPingsMax);
  if (wanted_of_any(options, "ping")) out.ping = percentile(raw_pings(pings), 0.5);
  // Without a wait: what it would warm up are processes of its own, which end.
  if (!options.warm_up) out.js = run_js(options.js, std::min(options.bytes, kJsBytesMax), pings);
  return out;
}

void add_stream(const Transport& transport, bool up, double rate, const Others& others, const JsFigures* js,
                Report& report) {
  std::vector<Limit> limits;
  if (transport.security == Security::quic) {
    if (others.udp > 0) limits.push_back({"raw UDP, segmented by the kernel", others.udp});
  } else {
    limits.push_back({"raw TCP", others.tcp});
    const double target = transport.security == Security::tls ? kTlsTarget : kNoTarget;
    limits.push_back({"raw TLS 1.3 over TCP, wolfSSL", others.tls, target});
  }
  if (js != nullptr) {
    const bool has_target = transport.security == Security::quic || transport.js == std::string_view("tcp+noise+yamux");
    limits.push_back({"js-libp2p on both ends", up ? js->up : js->down, has_target ? kJsTarget : kNoTarget});
  }
  const double target = transport.security == Security::quic ? kQuicTarget : kNoTarget;
  report.add({std::string(transport.name) + ", one stream " + (up ? "up" : "down"), rate, "MiB/s", limits, target});
}

void measure(const Transport& transport, const Options& options, const Others& others, Report& report) {
  const auto found = transport.js == nullptr ? others.js.end() : others.js.find(transport.js);
  const JsFigures* js = found == others.js.end() ? nullptr : &found->second;
  const Ends ends(transport);
  const auto megabytes = static_cast<double>(options.bytes) / kMiB;
  Client client(ends.client);
  const Server server(ends.server, &client, options.bytes);
  client.connect(server);
  if (wanted(options, transport, "stream")) {
    add_stream(transport, true, megabytes / client.up(server, options.bytes), others, js, report);
    add_stream(transport, false, megabytes / client.down(options.bytes), others, js, report);
  }
  if (wanted(options, transport, "ping")) {
    const auto pings = client.pings(scaled(options, kPingShare, 64, kPingsMax));
    std::vector<Limit> limits{{"raw TCP, 32 bytes there and back", others.ping}};
    if (js != nullptr) limits.push_back({"js-libp2p on both ends", js->ping_ms * 1000});
    report.add({std::string(transport.name) + ", ping median", percentile(pings, 0.5), "us", limits, kPingTarget,
                Better::less});
    report.add({std::string(transport.name) + ", ping p99", percentile(pings, 0.99), "us"});
  }
}

// ---- Handshakes -----------------------------------------------------------------------------------------------------

// Processor time of all threads, user's and system's.
double process_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void handshake(const Transport& transport, const Options& options, Report& report) {
  const uint64_t count = scaled(options, kHandshakeShare, 32, kHandshakesMax);
  const Ends ends(transport);
  Client nobody(ends.client);
  const Server server(ends.server, &nobody);
  Dialer dialer(ends.client, server);
  dialer.run(std::min<uint64_t>(count, kHandshakesAtOnce), kHandshakesAtOnce);  // tables and threads are there
  const double from = process_seconds();
  dialer.run(count, kHandshakesAtOnce);
  const double each = (process_seconds() - from) / static_cast<double>(count) * 1000;
  const std::string name = std::string(transport.name) + ", handshake, processor time of both sides";
  report.add({name, each, "ms", {}, kHandshakeTarget, Better::less});
}

// ---- Idle connections -----------------------------------------------------------------------------------------------

// Bytes of this process that are in memory.
double resident_bytes() {
  const std::unique_ptr<FILE, int (*)(FILE*)> status(std::fopen("/proc/self/status", "r"), std::fclose);
  std::array<char, 256> line{};
  double kilobytes = 0;
  while (status && std::fgets(line.data(), line.size(), status.get()) != nullptr) {
    if (std::sscanf(line.data(), "VmRSS: %lf", &kilobytes) == 1) return kilobytes * kKiB;
  }
  die(fail(Code::unsupported, "/proc/self/status does not say how much memory is used"));
}

// As nodes are, with identify; nothing is sent once that is done.
SideSettings idle_settings(const char* listen) {
  SideSettings out = side_settings(listen);
  out.quic.keep_alive_us = 0;
  out.quic.idle_timeout_us = 600 * kMicrosPerSecond;
  out.quic.half_open_retry = out.quic.half_open_max;
  out.swarm.identify = true;
  return out;
}

struct Hello {
  std::array<char, 64> address{};
  std::array<char, 128> peer{};
};
struct Measured {
  uint64_t connections = 0;
  double before = 0;  // bytes
  double after = 0;
};

template <typename T>
void put(int fd, const T& value) {
  if (::write(fd, &value, sizeof value) != static_cast<ssize_t>(sizeof value)) _exit(1);
}
template <typename T>
bool get(int fd, T& value) {
  return ::read(fd, &value, sizeof value) == static_cast<ssize_t>(sizeof value);
}

// The process of the server: says where it is, and when it is asked, what it has.
[[noreturn]] void serve_idle(int in, int out) {
  class Nobody final : public Side {
   public:
    Nobody() : Side(side_settings("")) {}
    void on_event(const net::HostEvent& /*event*/) override {}
  };
  malloc_trim(0);  // what earlier parts left behind would be used again and not count
  Nobody nobody;
  Server server(idle_settings(kQuicListen), &nobody);
  Hello hello;
  std::snprintf(hello.address.data(), hello.address.size(), "%s", server.address().c_str());
  std::snprintf(hello.peer.data(), hello.peer.size(), "%s", server.peer().to_string().c_str());
  put(out, hello);
  char asked = 0;
  Measured measured;
  while (get(in, asked)) {
    if (asked == 'b') measured.before = resident_bytes();
    measured.after = resident_bytes();
    measured.connections = server.connections();
    put(out, measured);
  }
  _exit(0);
}

class IdleServer {
 public:
  IdleServer() {
    std::array<int, 2> to{};
    std::array<int, 2> from{};
    if (::pipe(to.data()) != 0 || ::pipe(from.data()) != 0) die(fail(Code::io, "cannot make a pipe"));
    process_ = ::fork();
    if (process_ == 0) {
      ::close(to[1]);
      ::close(from[0]);
      serve_idle(to[0], from[1]);
    }
    ::close(to[0]);
    ::close(from[1]);
    to_ = to[1];
    from_ = from[0];
    if (process_ < 0 || !get(from_, hello_)) die(fail(Code::io, "cannot start the server's process"));
  }
  ~IdleServer() {
    ::close(to_);
    ::close(from_);
    ::waitpid(process_, nullptr, 0);
  }
  IdleServer(const IdleServer&) = delete;
  IdleServer& operator=(const IdleServer&) = delete;

  const Hello& hello() const { return hello_; }
  Measured ask(char what) {
    Measured out;
    put(to_, what);
    if (!get(from_, out)) die(fail(Code::io, "the server's process ended"));
    return out;
  }

 private:
  pid_t process_ = -1;
  int to_ = -1;
  int from_ = -1;
  Hello hello_;
};

void idle(const Options& options, Report& report) {
  const uint64_t count = scaled(options, kIdleShare, 100, kIdleMax);
  IdleServer server;
  Dialer dialer(idle_settings(""), server.hello().address.data(),
                net::PeerId::parse(server.hello().peer.data()).value());
  dialer.run(1, 1, true);  // what the first connection brings is not theirs
  server.ask('b');
  dialer.run(count, kHandshakesAtOnce, true);
  // Acknowledgements, identify, and the moment until a handshake counts as confirmed.
  const uint64_t until = posix::now().mono_us + 2 * kMicrosPerSecond;
  while (posix::now().mono_us < until) dialer.turn(until);
  const Measured measured = server.ask('m');
  if (measured.connections != count + 1) die(fail(Code::internal, "idle connections were lost"));
  const double bytes = measured.after - measured.before;
  const std::string name = std::to_string(count) + " idle QUIC connections, memory of the server";
  report.add({name, bytes / kMiB, "MiB", {}, count == kIdleMax ? kIdleTarget : kNoTarget, Better::less});
  report.add({"each of them", bytes / kKiB / static_cast<double>(count), "KiB", {}, kNoTarget, Better::less});
}

void run(const Options& options, Report& report) {
  if (options.wanted("idle")) idle(options, report);  // first: the server begins as a copy of this process
  if (wanted_of_any(options, "stream") || wanted_of_any(options, "ping")) {
    const Others others = measure_others(options);
    for (const Transport& transport : kTransports) {
      if (wanted(options, transport, "stream") || wanted(options, transport, "ping")) {
        measure(transport, options, others, report);
      }
    }
  }
  for (const Transport& transport : kTransports) {
    if (wanted(options, transport, "handshake")) handshake(transport, options, report);
  }
}

const Registration kNet("net", run, kStreamBytes);

}  // namespace
}  // namespace sereus::bench
