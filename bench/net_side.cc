#include "bench/net_side.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "bench/support.h"
#include "core/net/limits.h"
#include "drivers/posix/posix_times.h"

namespace sereus::bench {
namespace {

constexpr char kUp[] = "/sereus-bench/up/1.0.0";
constexpr char kDown[] = "/sereus-bench/down/1.0.0";
constexpr size_t kChunk = 64 * 1024;           // what is read and written at once
constexpr uint64_t kMany = 1 << 20;            // handshakes a second
constexpr uint64_t kMuch = uint64_t{1} << 40;  // bytes

// Writes until the stream takes no more; at the end, ends it.
void pour(net::Host& host, net::StreamId stream, const Bytes& chunk, uint64_t& left) {
  while (left > 0) {
    const size_t size = std::min<uint64_t>(chunk.size(), left);
    const size_t written = must(host.write(stream, ByteView(chunk).first(size)));
    left -= written;
    if (written < size) return;
  }
  host.finish(stream);
}

void die_when_broken(const net::HostEvent& event) {
  if (const auto* failed = std::get_if<net::DialFailed>(&event)) die(failed->error);
  if (const auto* closed = std::get_if<net::StreamClosed>(&event)) die(closed->reason);
}

}  // namespace

SideSettings side_settings(std::string listen) {
  SideSettings out;
  out.listen = std::move(listen);
  out.swarm.identify = false;
  out.swarm.connections.low_water = net::kConnectionsMax;
  out.swarm.connections.high_water = net::kConnectionsMax;
  return out;
}

// ---- Side -----------------------------------------------------------------------------------------------------------

Side::Side(const SideSettings& settings) : loop_(must(posix::PosixLoop::make())), hosts_(*loop_, random_, nullptr) {
  crypto::SecretBytes<32> seed;
  random_.fill(ByteSpan(seed.data(), crypto::kSeedSize));
  device_ = std::make_unique<crypto::KeyPair>(crypto::KeyPair::from_seed(seed));
  hosts_.set_quic_settings(settings.quic);
  hosts_.set_tcp_settings(settings.tcp);
  net::SwarmParts parts = must(hosts_.make_host(seed));
  net::ResourceSettings limits;
  limits.connections_peer = net::kConnectionsMax;
  limits.handshakes_per_second = limits.handshakes_burst = kMany;
  limits.handshakes_address_per_second = limits.handshakes_address_burst = kMany;
  limits.streams_peer = limits.streams_protocol = limits.streams_protocol_peer = limits.streams;
  limits.memory = limits.memory_peer = kMuch;
  parts.limits->set_settings(limits);
  swarm_ = std::make_unique<net::Swarm>(std::move(parts), *device_, random_, settings.swarm);
  swarm_->set_protocols({kUp, kDown});
  peer_ = swarm_->peer_id();
  if (settings.listen.empty()) return;
  must(swarm_->listen(settings.listen));
  address_ = swarm_->listen_addresses().at(0);
}

void Side::turn(uint64_t latest_us) {
  loop_->wait(std::min(deadline_, latest_us));
  const Times now = posix::now();
  // What is done about an event may make the next one, which nothing but a step tells of.
  bool happened = true;
  while (happened) {
    deadline_ = swarm_->step(now);
    happened = false;
    for (auto event = swarm_->next_event(); event; event = swarm_->next_event()) {
      happened = true;
      on_event(*event);
    }
    for (auto notice = swarm_->next_notice(); notice; notice = swarm_->next_notice()) {
      happened = true;
      on_notice(*notice);
    }
  }
}

// ---- Server ---------------------------------------------------------------------------------------------------------

Server::Server(const SideSettings& settings, Side* told, uint64_t down)
    : Side(settings), told_(told), left_(down), chunk_(kChunk, 7) {
  thread_ = must(posix::PosixThread::start("bench-server", [this] {
    while (!stopped_) turn();
  }));
}

Server::~Server() {
  stopped_ = true;
  wake();
  thread_.reset();
}

void Server::on_event(const net::HostEvent& event) {
  if (std::holds_alternative<net::Connected>(event)) {
    ++connections_;
  } else if (std::holds_alternative<net::Disconnected>(event)) {
    --connections_;
  } else if (const auto* opened = std::get_if<net::StreamOpened>(&event)) {
    if (opened->protocol != kDown) return;
    sending_ = opened->stream;
    send();
  } else if (std::holds_alternative<net::StreamWritable>(event)) {
    send();
  } else if (const auto* readable = std::get_if<net::StreamReadable>(&event)) {
    if (readable->stream != sending_) read(readable->stream);
  }
}

void Server::read(net::StreamId stream) {
  while (true) {
    const auto read = must(host().read(stream, chunk_));
    bytes_ += read.size;
    if (read.finished) {
      ended_ = true;
      host().finish(stream);
      told_->wake();
    }
    if (read.finished || read.size < chunk_.size()) return;
  }
}

void Server::send() {
  if (left_ > 0) pour(host(), sending_, chunk_, left_);
}

// ---- Client ---------------------------------------------------------------------------------------------------------

Client::Client(const SideSettings& settings) : Side(settings), chunk_(kChunk, 7) {}

void Client::connect(const Side& server) {
  must(host().dial(server.address(), server.peer()));
  hurry();
  while (connection_ == 0) turn();
}

void Client::open(const char* protocol) {
  opened_ = finished_ = false;
  received_ = 0;
  stream_ = must(host().open_stream(connection_, protocol));
  hurry();
  while (!opened_) turn();
}

double Client::up(const Server& server, uint64_t bytes) {
  left_ = 0;
  open(kUp);
  const double from = now_s();
  left_ = bytes;
  send();
  hurry();
  while (!server.stream_ended()) turn();
  return now_s() - from;
}

double Client::down(uint64_t bytes) {
  left_ = 0;
  const double from = now_s();
  open(kDown);
  host().finish(stream_);
  hurry();
  while (!finished_) turn();
  if (received_ != bytes) die(fail(Code::internal, "the stream ended early"));
  return now_s() - from;
}

std::vector<double> Client::pings(uint64_t count) {
  constexpr double kMicros = 1e6;
  std::vector<double> out;
  for (uint64_t i = 0; i < count; ++i) {
    ponged_ = false;
    const double from = now_s();
    must(host().ping(connection_));
    hurry();
    while (!ponged_) turn();
    out.push_back((now_s() - from) * kMicros);
  }
  return out;
}

void Client::on_event(const net::HostEvent& event) {
  die_when_broken(event);
  if (const auto* connected = std::get_if<net::Connected>(&event)) {
    connection_ = connected->connection;
  } else if (std::holds_alternative<net::StreamOpened>(event)) {
    opened_ = true;
  } else if (std::holds_alternative<net::StreamWritable>(event)) {
    if (left_ > 0) send();
  } else if (std::holds_alternative<net::StreamReadable>(event)) {
    read();
  } else if (const auto* closed = std::get_if<net::Disconnected>(&event)) {
    die(closed->reason);
  }
}

void Client::on_notice(const net::SwarmNotice& notice) {
  if (const auto* failed = std::get_if<net::PingFailed>(&notice)) die(failed->error);
  if (std::holds_alternative<net::Pinged>(notice)) ponged_ = true;
}

void Client::send() { pour(host(), stream_, chunk_, left_); }

void Client::read() {
  while (true) {
    const auto read = must(host().read(stream_, chunk_));
    received_ += read.size;
    finished_ = read.finished;
    if (read.finished || read.size < chunk_.size()) return;
  }
}

// ---- Dialer ---------------------------------------------------------------------------------------------------------

void Dialer::run(uint64_t count, size_t at_once, bool keep) {
  keep_ = keep;
  wanted_ = count;
  dialed_ = connected_ = 0;
  while (dialed_ < std::min<uint64_t>(at_once, count)) dial();
  hurry();
  while (connected_ < wanted_) turn();
}

void Dialer::dial() {
  must(host().dial(other_address_, other_));
  ++dialed_;
}

void Dialer::on_event(const net::HostEvent& event) {
  die_when_broken(event);
  const auto* connected = std::get_if<net::Connected>(&event);
  if (connected == nullptr) return;
  ++connected_;
  if (!keep_) host().disconnect(connected->connection, Code::ok);
  if (dialed_ < wanted_) dial();
}

}  // namespace sereus::bench
