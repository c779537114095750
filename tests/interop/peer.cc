// Our hosts with settings that the command has no options for, for the tests against libp2p implementations of others; what needs
// none uses the command. One JSON object a line on stdout.
//
//   interop_peer listen MULTIADDR      serves echo, identify and ping until it is killed
//   interop_peer dial MULTIADDR BYTES  identifies, sends BYTES to /echo/1.0.0 and compares what comes back
//
// Before these, --security LIST: what is allowed over TCP, in this order, with commas between (tls,noise); --certificate
// FOLDER: where chain.pem and key.pem of secure WebSocket are.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "core/crypto/init.h"
#include "core/net/host_services.h"
#include "core/net/multiaddr.h"
#include "drivers/posix/posix_hosts.h"
#include "drivers/posix/posix_loop.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_times.h"

namespace sereus {
namespace {

using nlohmann::json;
using namespace net;

constexpr std::string_view kEcho = "/echo/1.0.0";
constexpr size_t kBlock = 64 << 10;

void emit(const json& line) {
  std::puts(line.dump().c_str());
  std::fflush(stdout);
}

int failed(const Error& error) {
  emit({{"event", "error"}, {"code", code_name(error.code)}, {"message", error.detail}});
  return 1;
}

// Byte number `at` of what is sent.
uint8_t pattern(size_t at) { return static_cast<uint8_t>(at * 31 + at / 251); }

class Peer {
 public:
  explicit Peer(posix::PosixLoop& loop) : loop_(loop), hosts_(loop, random_, nullptr) {}

  Status start(const net::TcpSettings& settings, const posix::SecureWebSocketFiles& files) {
    hosts_.set_tcp_settings(settings);
    hosts_.set_secure_websocket(files);
    crypto::SecretBytes<32> seed;
    random_.fill(seed.span());
    device_ = std::make_unique<crypto::KeyPair>(crypto::KeyPair::from_seed(seed));
    SEREUS_ASSIGN(parts_, hosts_.make_host(seed));
    host_ = parts_.host.get();
    services_ = std::make_unique<HostServices>(*host_, *device_, random_, ServicesSettings{"ipfs/0.1.0", "interop/1"});
    services_->set_protocols({std::string(kEcho)});
    return {};
  }

  int listen(std::string_view address) {
    if (const Status status = host_->listen(address); !status.ok()) return failed(status.error());
    host_->step(posix::now());
    json addrs = json::array();
    for (const auto& text : host_->listen_addresses()) addrs.push_back(text + "/p2p/" + host_->peer_id().to_string());
    emit({{"event", "ready"}, {"peer", host_->peer_id().to_string()}, {"addrs", addrs}});
    return run();
  }

  int dial(const std::string& address, size_t bytes) {
    to_send_ = bytes;
    const auto parsed = Multiaddr::parse(address);
    if (!parsed.ok()) return failed(parsed.error());
    const auto peer = parsed->peer_id();
    if (!peer) return failed(fail(Code::invalid, "the address has no /p2p part"));
    if (const auto id = host_->dial(address, *peer); !id.ok()) return failed(id.error());
    return run();
  }

 private:
  int run() {
    while (!result_) {
      const Times now = posix::now();
      host_->step(now);
      while (const auto event = host_->next_event()) {
        if (!services_->on_event(*event, now)) on_event(*event);
      }
      while (const auto event = services_->next_event()) on_service(*event);
      if (result_) break;
      const uint64_t services_next = services_->step(now);
      loop_.wait(std::min(services_next, host_->step(now)));
    }
    host_->close(posix::now());
    host_->step(posix::now());
    return *result_;
  }

  void on_event(const HostEvent& event) {
    if (const auto* refused = std::get_if<DialFailed>(&event)) result_ = failed(refused->error);
    if (const auto* connected = std::get_if<Connected>(&event)) {
      connection_ = connected->connection;
      emit({{"event", "connected"}, {"peer", connected->peer.to_string()}, {"incoming", connected->incoming}});
      check(services_->identify(connection_, posix::now()));
    }
    if (const auto* gone = std::get_if<Disconnected>(&event)) {
      if (to_send_) result_ = failed(gone->reason);
    }
    if (const auto* readable = std::get_if<StreamReadable>(&event)) pump(readable->stream);
    if (const auto* writable = std::get_if<StreamWritable>(&event)) pump(writable->stream);
    if (const auto* closed = std::get_if<StreamClosed>(&event)) {
      echoes_.erase(closed->stream);
      if (closed->stream == sending_) result_ = failed(closed->reason);
    }
  }

  void on_service(const ServiceEvent& event) {
    if (const auto* identified = std::get_if<Identified>(&event)) {
      emit({{"event", "identified"}, {"agent", identified->peer.said.agent_version.value_or("")}});
      if (to_send_ > 0 && !identified->pushed) start_echo();
    }
    if (const auto* error = std::get_if<IdentifyFailed>(&event)) result_ = failed(error->error);
  }

  void check(const Status& status) {
    if (!status.ok()) result_ = failed(status.error());
  }

  void start_echo() {
    const auto stream = host_->open_stream(connection_, kEcho);
    if (!stream.ok()) {
      result_ = failed(stream.error());
      return;
    }
    sending_ = *stream;
    pump(sending_);
  }

  void pump(StreamId id) {
    if (id == sending_) {
      send();
      receive();
    } else {
      echo(id);
    }
  }

  void send() {
    while (sent_ < to_send_) {
      Bytes block(std::min(kBlock, to_send_ - sent_));
      for (size_t i = 0; i < block.size(); ++i) block[i] = pattern(sent_ + i);
      const auto taken = host_->write(sending_, block);
      if (!taken.ok() || *taken == 0) return;
      sent_ += *taken;
    }
    host_->finish(sending_);
  }

  void receive() {
    Bytes buffer(kBlock);
    for (;;) {
      const auto got = host_->read(sending_, buffer);
      if (!got.ok()) return;
      for (size_t i = 0; i < got->size; ++i) {
        if (buffer[i] == pattern(received_ + i)) continue;
        result_ = failed(fail(Code::corrupt, "the echo differs at byte " + std::to_string(received_ + i)));
        return;
      }
      received_ += got->size;
      if (got->finished) {
        if (received_ != to_send_) {
          result_ = failed(fail(Code::corrupt, "the echo has " + std::to_string(received_) + " bytes"));
          return;
        }
        emit({{"event", "echo"}, {"bytes", received_}});
        result_ = 0;
        return;
      }
      if (got->size < buffer.size()) return;
    }
  }

  void echo(StreamId id) {
    Bytes& rest = echoes_[id];
    for (;;) {
      if (!rest.empty()) {
        const auto taken = host_->write(id, rest);
        if (!taken.ok()) return;
        rest.erase(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(*taken));
        if (!rest.empty()) return;
      }
      rest.resize(kBlock);
      const auto got = host_->read(id, rest);
      rest.resize(got.ok() ? got->size : 0);
      if (!got.ok() || (rest.empty() && !got->finished)) return;
      if (!rest.empty()) continue;
      host_->finish(id);
      echoes_.erase(id);
      return;
    }
  }

  posix::PosixLoop& loop_;
  posix::PosixRandom random_;
  posix::PosixHosts hosts_;
  std::unique_ptr<crypto::KeyPair> device_;
  SwarmParts parts_;
  Host* host_ = nullptr;
  std::unique_ptr<HostServices> services_;
  std::map<StreamId, Bytes> echoes_;
  ConnectionId connection_ = 0;
  StreamId sending_ = 0;
  size_t to_send_ = 0;
  size_t sent_ = 0;
  size_t received_ = 0;
  std::optional<int> result_;
};

Result<std::vector<TcpSecurity>> parse_security(const std::string& list) {
  std::vector<TcpSecurity> out;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    if (word != "tls" && word != "noise") return fail(Code::invalid, "no such security: " + word);
    out.push_back(word == "tls" ? TcpSecurity::tls : TcpSecurity::noise);
  }
  return out;
}

int run(std::vector<std::string> arguments) {
  TcpSettings settings;
  posix::SecureWebSocketFiles files;
  while (arguments.size() > 2 && arguments[0].starts_with("--")) {
    const std::string option = arguments[0];
    const std::string value = arguments[1];
    arguments.erase(arguments.begin(), arguments.begin() + 2);
    if (option == "--certificate") {
      files.chain_path = value + "/chain.pem";
      files.key_path = value + "/key.pem";
    } else if (option == "--security") {
      auto security = parse_security(value);
      if (!security.ok()) return failed(security.error());
      settings.security = std::move(*security);
    } else {
      return failed(fail(Code::invalid, "there is no option " + option));
    }
  }
  auto loop = posix::PosixLoop::make();
  if (!loop.ok()) return failed(loop.error());
  Peer peer(**loop);
  if (const Status status = peer.start(settings, files); !status.ok()) return failed(status.error());
  if (arguments.size() == 2 && arguments[0] == "listen") return peer.listen(arguments[1]);
  if (arguments.size() == 3 && arguments[0] == "dial") {
    return peer.dial(arguments[1], std::strtoul(arguments[2].c_str(), nullptr, 10));
  }
  return failed(
      fail(Code::invalid, "[--security LIST] [--certificate FOLDER] listen MULTIADDR, or dial MULTIADDR BYTES"));
}

}  // namespace
}  // namespace sereus

int main(int argc, char** argv) { return sereus::run(std::vector<std::string>(argv + 1, argv + argc)); }
