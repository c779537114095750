// A peer with Circuit Relay v2 over real sockets, for the tests against js-libp2p:
//
//   relay_peer relay [--listen MULTIADDR]...        a relay, which also echoes
//   relay_peer listen --relay MULTIADDR             reserves there, and echoes (/echo/1.0.0)
//   relay_peer dial --to MULTIADDR [--bytes N]      sends N bytes to an echo, and compares
//
// Writes one JSON object a line. Ends with its standard input; `dial` ends by itself, with status 1 when it failed.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/crypto/init.h"
#include "core/net/relay_client.h"
#include "core/net/relay_server.h"
#include "core/net/service_set.h"
#include "drivers/posix/posix_hosts.h"
#include "drivers/posix/posix_loop.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_times.h"

namespace sereus {
namespace {

constexpr std::string_view kEcho = "/echo/1.0.0";
constexpr uint64_t kTurnUs = 20 * kMicrosPerMilli;  // standard input is looked at this often

struct Arguments {
  std::string mode;
  std::vector<std::string> listen;
  std::string relay;
  std::string to;
  size_t bytes = 10'000;
};

[[noreturn]] void give_up(const std::string& why) {
  std::printf("{\"event\": \"error\", \"message\": \"%s\"}\n", why.c_str());
  std::exit(1);
}

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) give_up(result.error().detail);
  return std::move(result).value();
}
void must(const Status& status) {
  if (!status.ok()) give_up(status.error().detail);
}

Arguments parse(int argc, char** argv) {
  Arguments out;
  if (argc < 2) give_up("what for?");
  out.mode = argv[1];
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--listen") out.listen.push_back(value);
    if (name == "--relay") out.relay = value;
    if (name == "--to") out.to = value;
    if (name == "--bytes") out.bytes = std::stoul(value);
  }
  return out;
}

std::string quoted(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) {
    if (!out.empty()) out += ", ";
    out += '"';
    out += text;
    out += '"';
  }
  return "[" + out + "]";
}

class RelayPeer {
 public:
  explicit RelayPeer(const Arguments& arguments) : arguments_(arguments), hosts_(*loop_, random_, nullptr) {
    crypto::SecretBytes<32> seed;
    random_.fill(ByteSpan(seed.data(), crypto::kSeedSize));
    device_ = std::make_unique<crypto::KeyPair>(crypto::KeyPair::from_seed(seed));
    net::SwarmParts parts = must(hosts_.make_host(seed));
    net::CircuitHost* circuits = parts.circuits;
    swarm_ = std::make_unique<net::Swarm>(std::move(parts), *device_, random_);
    services_ = std::make_unique<net::ServiceSet>(*swarm_);
    client_ = must(net::RelayClient::create(*swarm_, *circuits, *device_, random_, nullptr));
    services_->add(*client_);
    if (arguments_.mode == "relay") {
      net::RelayServerSettings settings;
      settings.private_addresses = true;
      server_ = std::make_unique<net::RelayServer>(*swarm_, *device_, settings);
      services_->add(*server_);
    }
    services_->set_protocols({std::string(kEcho)});
    for (const std::string& address : arguments_.listen) must(swarm_->listen(address));
    if (!arguments_.relay.empty()) must(swarm_->listen(arguments_.relay + "/p2p-circuit"));
  }
  ~RelayPeer() {
    services_.reset();
    client_.reset();
    server_.reset();
  }

  int run() {
    if (arguments_.mode == "relay") ready();
    if (arguments_.mode == "dial") dial();
    while (!done_ && !input_ended()) {
      loop_->wait(std::min(deadline_, posix::now().mono_us + kTurnUs));
      turn(posix::now());
    }
    swarm_->close(posix::now());
    swarm_->step(posix::now());
    return status_;
  }

 private:
  void ready() const {
    std::vector<std::string> addresses;
    for (const std::string& address : swarm_->listen_addresses()) {
      addresses.push_back(address + "/p2p/" + swarm_->peer_id().to_string());
    }
    std::printf("{\"event\": \"ready\", \"peerId\": \"%s\", \"addrs\": %s}\n", swarm_->peer_id().to_string().c_str(),
                quoted(addresses).c_str());
    std::fflush(stdout);
  }

  void dial() {
    const auto address = must(net::Multiaddr::parse(arguments_.to));
    const auto peer = address.peer_id();
    if (!peer) give_up("whom?");
    dial_ = must(swarm_->dial(*peer, {arguments_.to}));
  }

  void turn(const Times& now) {
    deadline_ = services_->step(now);
    while (auto event = services_->next_event()) on_event(*event);
    while (auto notice = services_->next_notice()) on_notice(*notice);
    while (auto event = client_->next_event()) std::visit([this](const auto& e) { tell(e); }, *event);
    while (server_) {
      const auto event = server_->next_event();
      if (!event) break;
      std::visit([](const auto& e) { tell_served(e); }, *event);
    }
    std::fflush(stdout);
  }

  void tell(const net::ReservationMade& made) const {
    std::printf(
        "{\"event\": \"%s\", \"relay\": \"%s\", \"addresses\": %s, \"life\": %llu, \"bytes\": %llu, \"seconds\": "
        "%llu}\n",
        made.renewed ? "renewed" : "reserved", made.relay.to_string().c_str(), quoted(made.addresses).c_str(),
        static_cast<unsigned long long>(made.life_us / kMicrosPerSecond),
        static_cast<unsigned long long>(made.limit.data_bytes),
        static_cast<unsigned long long>(made.limit.duration_us / kMicrosPerSecond));
    if (arguments_.mode == "listen" && !made.renewed) ready();
  }
  static void tell(const net::ReservationLost& lost) {
    std::printf("{\"event\": \"lost\", \"reason\": \"%s\"}\n", std::string(loss_name(lost.reason)).c_str());
  }
  static void tell(const net::ReservationRefused& refused) {
    std::printf("{\"event\": \"refused\", \"status\": \"%s\", \"message\": \"%s\"}\n",
                std::string(status_name(refused.status)).c_str(), refused.error.detail.c_str());
  }
  static void tell(const net::CircuitRefused& refused) {
    std::printf("{\"event\": \"circuit refused\", \"status\": \"%s\"}\n",
                std::string(status_name(refused.status)).c_str());
  }
  static void tell(const net::CircuitLimited& limited) {
    std::printf("{\"event\": \"limited\", \"limit\": \"%s\"}\n",
                limited.limit == net::CircuitLimitKind::data ? "data" : "duration");
  }
  static void tell_served(const net::RelayServer::ReservationGranted& granted) {
    std::printf("{\"event\": \"granted\", \"peer\": \"%s\", \"renewed\": %s}\n", granted.peer.to_string().c_str(),
                granted.renewed ? "true" : "false");
  }
  static void tell_served(const net::RelayServer::CircuitOpened& opened) {
    std::printf("{\"event\": \"circuit\", \"source\": \"%s\", \"target\": \"%s\"}\n", opened.source.to_string().c_str(),
                opened.target.to_string().c_str());
  }
  static void tell_served(const net::RelayServer::CircuitClosed& closed) {
    std::printf("{\"event\": \"circuit closed\", \"reason\": \"%s\", \"to_target\": %llu, \"to_source\": %llu}\n",
                std::string(end_name(closed.end)).c_str(), static_cast<unsigned long long>(closed.bytes_to_target),
                static_cast<unsigned long long>(closed.bytes_to_source));
  }
  template <typename Other>
  static void tell_served(const Other& /*event*/) {}

  void on_notice(const net::SwarmNotice& notice) {
    if (const auto* unreached = std::get_if<net::Unreached>(&notice);
        unreached != nullptr && unreached->dial == dial_) {
      fail_with(unreached->error.detail);
    }
    const auto* reached = std::get_if<net::Reached>(&notice);
    if (reached == nullptr || reached->dial != dial_) return;
    const auto stream = swarm_->open_stream(reached->connection, kEcho);
    if (!stream.ok()) return fail_with(stream.error().detail);
    own_ = *stream;
    for (size_t i = 0; i < arguments_.bytes; ++i) unsent_[own_].push_back(static_cast<uint8_t>(i * 31 + 7));
    expected_ = unsent_[own_];
    ends_[own_] = true;
    for (const net::ConnectionInfo& info : swarm_->connections()) {
      if (info.connection == reached->connection) relayed_ = info.relayed;
    }
    pump(own_);
  }

  void on_event(const net::HostEvent& event) {
    if (const auto* opened = std::get_if<net::StreamOpened>(&event)) pump(opened->stream);
    if (const auto* readable = std::get_if<net::StreamReadable>(&event)) pump(readable->stream);
    if (const auto* writable = std::get_if<net::StreamWritable>(&event)) pump(writable->stream);
    if (const auto* closed = std::get_if<net::StreamClosed>(&event)) {
      if (closed->stream == own_ && own_ != 0) fail_with(closed->reason.detail);
    }
  }

  // Writes what is to be written, and reads; an echo writes what it reads.
  void pump(net::StreamId stream) {
    Bytes& unsent = unsent_[stream];
    Bytes buffer(16 << 10);
    for (;;) {
      if (const auto taken = swarm_->write(stream, unsent); taken.ok()) {
        unsent.erase(unsent.begin(), unsent.begin() + static_cast<ptrdiff_t>(*taken));
      }
      if (unsent.empty() && ends_[stream]) {
        ends_[stream] = false;
        swarm_->finish(stream);
      }
      if (!unsent.empty() && stream != own_) return;
      const auto got = swarm_->read(stream, buffer);
      if (!got.ok()) return;
      append(stream == own_ ? received_ : unsent, ByteView(buffer).first(got->size));
      if (got->finished && stream == own_) return finish();
      if (got->finished) ends_[stream] = true;
      if (got->size == 0 && !got->finished) return;
      if (got->finished && unsent.empty()) return swarm_->finish(stream);
    }
  }

  void finish() {
    done_ = true;
    status_ = received_ == expected_ ? 0 : 1;
    std::printf("{\"event\": \"result\", \"bytes\": %zu, \"same\": %s, \"relay\": \"%s\", \"limit\": %llu}\n",
                received_.size(), received_ == expected_ ? "true" : "false",
                relayed_ ? relayed_->relay.to_string().c_str() : "",
                static_cast<unsigned long long>(relayed_ ? relayed_->limit.data_bytes : 0));
  }
  void fail_with(const std::string& why) {
    done_ = true;
    status_ = 1;
    std::printf("{\"event\": \"error\", \"message\": \"%s\"}\n", why.c_str());
  }

  static bool input_ended() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    char byte = 0;
    return ::poll(&input, 1, 0) > 0 && ::read(STDIN_FILENO, &byte, 1) <= 0;
  }

  const Arguments arguments_;
  posix::PosixRandom random_;
  std::unique_ptr<posix::PosixLoop> loop_ = must(posix::PosixLoop::make());
  posix::PosixHosts hosts_;
  std::unique_ptr<crypto::KeyPair> device_;
  std::unique_ptr<net::Swarm> swarm_;
  std::unique_ptr<net::ServiceSet> services_;
  std::unique_ptr<net::RelayClient> client_;
  std::unique_ptr<net::RelayServer> server_;
  uint64_t deadline_ = 0;
  uint64_t dial_ = 0;
  net::StreamId own_ = 0;
  std::optional<net::Relayed> relayed_;
  std::map<net::StreamId, Bytes> unsent_;
  std::map<net::StreamId, bool> ends_;
  Bytes expected_;
  Bytes received_;
  bool done_ = false;
  int status_ = 0;
};

}  // namespace
}  // namespace sereus

int main(int argc, char** argv) {
  sereus::crypto::init();
  return sereus::RelayPeer(sereus::parse(argc, argv)).run();
}
