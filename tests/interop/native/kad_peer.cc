// A host with the Kad-DHT on real sockets, for the tests against js-libp2p. It writes one JSON object a line, as js's programs do:
//
//   interop_kad_peer [--listen MULTIADDR] [--bootstrap MULTIADDR]... [--protocol ID] [--client] [--trace]
//                    [--op findpeer|provide|findprovs|put|get --peer ID --key TEXT --value TEXT]
//
// Without --op it stays until it is killed; after an operation it ends, except behind `provide` and `put`.
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "core/crypto/hash.h"
#include "core/discovery/kad.h"
#include "drivers/posix/posix_hosts.h"
#include "drivers/posix/posix_loop.h"
#include "drivers/posix/posix_random.h"
#include "drivers/posix/posix_times.h"

namespace sereus {
namespace {

using discovery::KadDone;
using discovery::KadTrace;

struct Arguments {
  std::map<std::string, std::vector<std::string>> values;
  std::string get(const std::string& name, const std::string& otherwise = {}) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : found->second.back();
  }
  bool has(const std::string& name) const { return values.contains(name); }
};

// js's harness keeps opaque values under this name.
class Anything final : public discovery::KadValidator {
 public:
  Status validate(ByteView, ByteView, int64_t) const override { return {}; }
  bool supersedes(ByteView, ByteView value, ByteView known) const override { return compare(value, known) > 0; }
};

[[noreturn]] void die(const Error& error) {
  std::printf("{\"event\":\"error\",\"code\":\"%s\",\"message\":\"%s\"}\n", std::string(code_name(error.code)).c_str(),
              error.detail.c_str());
  std::fflush(stdout);
  std::exit(1);
}
template <typename T>
T must(Result<T> result) {
  if (!result.ok()) die(result.error());
  return std::move(result).value();
}

// The multihash of the CID that js's harness makes of a text.
Bytes content_key(const std::string& text) {
  Bytes out = {0x12, 0x20};
  append(out, crypto::sha256(as_bytes(text)).view());
  return out;
}

std::string json_list(const std::vector<std::string>& values) {
  std::string out = "[";
  for (const std::string& value : values) {
    out += out.size() > 1 ? ",\"" : "\"";
    out += value;
    out += '"';
  }
  return out + "]";
}

std::vector<std::string> texts(const discovery::KadPeer& peer) {
  std::vector<std::string> out;
  for (const Bytes& bytes : peer.addresses) {
    if (const auto address = net::Multiaddr::from_bytes(bytes); address.ok()) out.push_back(address->to_string());
  }
  return out;
}

class KadPeerProgram {
 public:
  explicit KadPeerProgram(const Arguments& arguments)
      : arguments_(arguments), loop_(must(posix::PosixLoop::make())), hosts_(*loop_, random_, nullptr) {
    crypto::SecretBytes<32> seed;
    random_.fill(seed.span());
    device_ = std::make_unique<crypto::KeyPair>(crypto::KeyPair::from_seed(seed));
    swarm_ = std::make_unique<net::Swarm>(must(hosts_.make_host(seed)), *device_, random_);
    discovery::KadServiceSettings settings;
    settings.protocol = arguments.get("--protocol", std::string(discovery::kKadProtocol));
    settings.node.server = !arguments.has("--client");
    settings.node.trace = arguments.has("--trace");
    kad_ = std::make_unique<discovery::Kad>(*swarm_, *device_, random_, book_, settings);
    must(kad_->add_validator("sereus-test", anything_));
    swarm_->set_protocols(kad_->protocols());
    const Times now = posix::now();
    if (arguments.has("--listen")) must(swarm_->listen(arguments.get("--listen")));
    for (const std::string& bootstrap : arguments.has("--bootstrap") ? arguments.values.at("--bootstrap") : none_) {
      must(kad_->add_bootstrap(bootstrap, now));
    }
    std::vector<std::string> own;
    for (const std::string& address : swarm_->listen_addresses())
      own.push_back(address + "/p2p/" + swarm_->peer_id().to_string());
    std::printf("{\"event\":\"listening\",\"peerId\":\"%s\",\"addrs\":%s}\n", swarm_->peer_id().to_string().c_str(),
                json_list(own).c_str());
    std::fflush(stdout);
  }

  void run() {
    const bool needs_peers = arguments_.has("--bootstrap");
    uint64_t deadline_us = 0;
    while (!over_) {
      loop_->wait(deadline_us);
      deadline_us = turn();
      if (!ready_ && (!needs_peers || kad_->node().table().size() > 0)) {
        ready_ = true;
        std::printf("{\"event\":\"ready\",\"table\":%zu}\n", kad_->node().table().size());
        std::fflush(stdout);
        begin();
        deadline_us = 0;
      }
    }
  }

 private:
  static void must(const Status& status) {
    if (!status.ok()) die(status.error());
  }
  template <typename T>
  static T must(Result<T> result) {
    return sereus::must(std::move(result));
  }

  uint64_t turn() {
    const Times now = posix::now();
    uint64_t deadline_us = 0;
    for (bool happened = true; happened;) {
      happened = false;
      deadline_us = std::min(swarm_->step(now), kad_->step(now));
      while (auto event = swarm_->next_event()) {
        happened = true;
        kad_->on_event(*event, now);
      }
      while (auto notice = swarm_->next_notice()) {
        happened = true;
        kad_->on_notice(*notice, now);
      }
      while (auto event = kad_->next_event()) on_event(*event);
    }
    return deadline_us;
  }

  void begin() {
    const std::string op = arguments_.get("--op");
    const std::string key = arguments_.get("--key", "hello");
    const Bytes value_key = to_bytes("/sereus-test/" + key);
    const Times now = posix::now();
    if (op == "findpeer") op_ = must(kad_->find_peer(net::PeerId::parse(arguments_.get("--peer")).value(), true, now));
    if (op == "provide") op_ = must(kad_->provide(content_key(key), now));
    if (op == "findprovs") op_ = must(kad_->find_providers(content_key(key), 1, now));
    if (op == "put") op_ = must(kad_->put_value(value_key, to_bytes(arguments_.get("--value", "world")), now));
    if (op == "get") op_ = must(kad_->get_value(value_key, 1, now));
  }

  void on_event(const discovery::KadEvent& event) {
    if (const auto* trace = std::get_if<KadTrace>(&event)) {
      std::fprintf(stderr, "trace %d op %llu peer %s closer %zu providers %zu after %llu us %s\n",
                   static_cast<int>(trace->what), static_cast<unsigned long long>(trace->op),
                   trace->peer.to_string().c_str(), trace->closer, trace->providers,
                   static_cast<unsigned long long>(trace->after_us), trace->error.detail.c_str());
      return;
    }
    const auto& done = std::get<KadDone>(event);
    if (done.op != op_) return;
    if (done.error.code != Code::ok) die(done.error);
    std::string peers = "[";
    for (const auto& peer : done.peers) {
      if (peers.size() > 1) peers += ',';
      peers += R"({"id":")" + peer.id.to_string() + R"(","addrs":)";
      peers += json_list(texts(peer)) + "}";
    }
    peers += "]";
    std::printf(
        "{\"event\":\"result\",\"peers\":%s,\"certified\":%s,\"value\":\"%s\",\"copies\":%zu,\"hops\":%u,\"ms\":%.1f}"
        "\n",
        peers.c_str(), done.certified ? "true" : "false", std::string(as_text(done.value)).c_str(), done.copies,
        done.stats.hops, static_cast<double>(done.stats.duration_us) / 1000);
    std::fflush(stdout);
    const std::string op = arguments_.get("--op");
    over_ = op != "provide" && op != "put";
  }

  const Arguments arguments_;
  const std::vector<std::string> none_;
  posix::PosixRandom random_;
  std::unique_ptr<posix::PosixLoop> loop_;
  posix::PosixHosts hosts_;
  Anything anything_;
  discovery::AddressBook book_;
  std::unique_ptr<crypto::KeyPair> device_;
  std::unique_ptr<net::Swarm> swarm_;
  std::unique_ptr<discovery::Kad> kad_;
  uint64_t op_ = 0;
  bool ready_ = false;
  bool over_ = false;
};

}  // namespace
}  // namespace sereus

int main(int argc, char** argv) {
  sereus::Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const bool flag = name == "--client" || name == "--trace";
    arguments.values[name].emplace_back(flag || i + 1 == argc ? "" : argv[++i]);
  }
  sereus::KadPeerProgram(arguments).run();
  return 0;
}
